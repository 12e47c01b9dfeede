"""`cube why` and `cube why-not`: why a task is where it is, or waits; and whether a node could take one."""

import time
from typing import Annotated

import typer

from cube.cli import options


def why(
    task: Annotated[
        str, typer.Argument(metavar="TASK", help="A task: job/group[index], or the start of its id.")
    ],
    node: Annotated[
        str | None, typer.Argument(metavar="[NODE]", help="Only what is to be said of this node, in full.")
    ] = None,
    at: Annotated[
        str | None,
        typer.Option("--at", metavar="TIME", help="As it was then: '2026-11-20 14:00', 14:00, or 1h ago."),
    ] = None,
    inventory: options.Inventory = None,
    state: options.State = None,
    output: options.Format = options.Output.TABLE,
) -> None:
    """Print why a task is where it is, or waits: as it was decided and recorded, without a look at the fleet.

    Example: cube why 'web/main[2]' node3
    """
    from cube.cli import why_recorded
    from cube.cli.moment import moment
    from cube.cli.reach import office

    now = time.time()
    until = moment(at, "--at", now=now) if at is not None else now
    why_recorded.tell(office(inventory, state), task, node, until, output)


def why_not(
    job: options.JobName,
    node: Annotated[str, typer.Argument(metavar="NODE", help="The node's name.")],
    inventory: options.Inventory = None,
    state: options.State = None,
    scheduler: options.Algorithm = None,
    output: options.Format = options.Output.TABLE,
) -> None:
    """Look at the fleet and print whether a node could take one task more of a job, and why or why not.

    Changes nothing. Example: cube why-not web node3
    """
    from cube.cli import why_now
    from cube.cli.reach import office

    raise typer.Exit(why_now.tell(office(inventory, state, scheduler), job, node, output))
