"""`cube rebalance` and `cube move`: the few moves that gain most, one at a time; and one that is named."""

from typing import Annotated

import typer

from cube.cli import options


def rebalance(
    plan: Annotated[
        bool, typer.Option("--plan", help="Print the moves with gain and price, and change nothing.")
    ] = False,
    max_moves: Annotated[int, typer.Option("--max-moves", help="At most so many.", min=1, max=1000)] = 10,
    min_gain: Annotated[
        float, typer.Option("--min-gain", help="By how much a task's score is to rise.", min=0.0, max=1.0)
    ] = 0.05,
    scheduler: options.Algorithm = None,
    inventory: options.Inventory = None,
    state: options.State = None,
    timeout: options.Timeout = "15m",
    lock_wait: options.LockWait = "0s",
    output: options.Format = options.Output.TABLE,
) -> None:
    """Move the tasks that gain most by it, one at a time, each new one proven before its old one stops.

    Ends at the first move that does not come to pass. Ctrl-C ends it, too: the next sweep finishes the move
    that is under way. Example: cube rebalance --max-moves 5 --min-gain 0.1
    """
    from cube.cli import moves, settle
    from cube.cli.reach import office

    place = office(inventory, state, scheduler)
    moves.refuse_turns(place)
    if plan:
        moves.preview(place, max_moves, min_gain, output)
        return
    settle.settle(
        place,
        "rebalance",
        moves.rebalanced(place, max_moves, min_gain),
        (timeout, lock_wait),
        output,
    )


def move(
    task: Annotated[
        str, typer.Argument(metavar="TASK", help="A task: job/group[index], or the start of its id.")
    ],
    to: Annotated[str, typer.Option("--to", metavar="NODE", help="Where it is to run.")],
    with_data: Annotated[
        bool,
        typer.Option(
            "--with-data", help="Take along what is in its volumes, the last of it while it is stopped."
        ),
    ] = False,
    keep_old: Annotated[
        str,
        typer.Option("--keep-old", help="With its data: how long what it leaves is kept, and then removed."),
    ] = "7d",
    inventory: options.Inventory = None,
    state: options.State = None,
    timeout: options.Timeout = "5m",
    lock_wait: options.LockWait = "0s",
    output: options.Format = options.Output.TABLE,
) -> None:
    """Move one task to a node: the new one is proven before the old one stops, if both may run at once.

    Dropped, and exit 1, where the node cannot take it: the old one stays, or with its data is started again.
    Example: cube move 'web/main[2]' --to node3
    """
    from cube.cli import moves, settle
    from cube.cli.office import seconds
    from cube.cli.reach import office
    from cube.manager.moves_with_data import Asked

    place = office(inventory, state)
    if with_data:
        asked = Asked(task=task, node=to, keep=seconds(keep_old, "--keep-old"))
        carry_out = moves.moved_with_data(place, asked)
    else:
        carry_out = moves.moved(place, task, to)
    settle.settle(place, f"move {task}", carry_out, (timeout, lock_wait), output)
