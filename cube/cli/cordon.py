"""`cube node cordon`, `uncordon`, `drain`, `forget`: which nodes may have tasks."""

import time
from contextlib import nullcontext
from typing import Annotated

import typer

from cube.cli import options, render

NodeName = Annotated[str, typer.Argument(metavar="NODE", help="The node, as the inventory names it.")]


def cordon(
    node: NodeName,
    inventory: options.Inventory = None,
    state: options.State = None,
    lock_wait: options.LockWait = "0s",
) -> None:
    """Give a node no new tasks; those that it has stay. Example: cube node cordon web3"""
    from cube.cli import settle
    from cube.cli.reach import at_work, office

    place, wait = office(inventory, state), settle.wait_of(lock_wait)
    with at_work(place, command=f"node cordon {node}", wait=wait) as manager:
        manager.cordon(node, settle.run_of(0.0))
    render.line(f"{node} gets no new tasks; until: cube node uncordon {node}")


def uncordon(
    node: NodeName,
    inventory: options.Inventory = None,
    state: options.State = None,
    lock_wait: options.LockWait = "0s",
) -> None:
    """Let a node have new tasks again, after a cordon or a drain. Example: cube node uncordon web3"""
    from cube.cli import settle
    from cube.cli.reach import at_work, office

    place, wait = office(inventory, state), settle.wait_of(lock_wait)
    with at_work(place, command=f"node uncordon {node}", wait=wait) as manager:
        was_kept = manager.uncordon(node, settle.run_of(0.0))
    render.line(f"{node} gets new tasks again" if was_kept else f"{node} was not cordoned")


def drain(
    node: NodeName,
    deadline: Annotated[
        str | None, typer.Option("--deadline", help="Stop what is left there after this long, such as 10m.")
    ] = None,
    plan: Annotated[
        bool, typer.Option("--plan", help="Print what would have to move, its data, how long that takes.")
    ] = False,
    leave_data: Annotated[
        bool,
        typer.Option("--leave-data", help="Let tasks begin anew elsewhere, without what they wrote here."),
    ] = False,
    inventory: options.Inventory = None,
    state: options.State = None,
    timeout: options.Timeout = "10m",
    lock_wait: options.LockWait = "0s",
    output: options.Format = options.Output.TABLE,
) -> None:
    """Move every task of a node elsewhere, each once its successor is healthy; the node gets no new ones.

    Refused where a task writes to a volume: its data would stay (cube move --with-data takes it along). Exits
    with 0 only when nothing is left there; else it says what, and why. Example: cube node drain web3
    """
    from cube.cli import drained, following, settle
    from cube.cli.office import seconds
    from cube.cli.reach import at_work, office

    place = office(inventory, state)
    if plan:
        from cube.cli import leaving

        raise typer.Exit(leaving.preview(place, node, output))

    wait = settle.wait_of(lock_wait)
    limit = None if deadline is None else seconds(deadline, "--deadline")
    started, is_table = time.time(), output is options.Output.TABLE
    with (
        at_work(place, command=f"node drain {node}", wait=wait) as manager,
        following.telling() if is_table else nullcontext(settle.say_nothing) as tell,
    ):
        run = settle.run_of(started + seconds(timeout, "--timeout"), tell)
        report = manager.drain(node, run, deadline=limit, leave_data=leave_data)
    raise typer.Exit(drained.tell(report, node, output))


def forget(
    node: Annotated[str, typer.Argument(metavar="NODE", help="A node that has left the inventory.")],
    inventory: options.Inventory = None,
    state: options.State = None,
    timeout: options.Timeout = "5m",
    lock_wait: options.LockWait = "0s",
    output: options.Format = options.Output.TABLE,
) -> None:
    """Take the tasks of a node that is gone for good for ended, so that others take their places.

    What they have written there is given up; its containers, if it still runs, are left as they are, and
    named. Example: cube node forget web3
    """
    from cube.cli import drained, settle
    from cube.cli.reach import office

    place, waits = office(inventory, state), (timeout, lock_wait)
    if output is options.Output.TABLE:
        drained.tell_of_containers(place, node)
    settle.settle(
        place, f"node forget {node}", lambda manager, run: manager.forget_node(node, run), waits, output
    )
