"""`cube recover`: the store rebuilt from what the containers carry."""

from typing import Annotated

import typer

from cube.cli import options


def recover(
    owner: Annotated[
        str | None,
        typer.Option("--owner", metavar="ID", help="Which store's containers, where several were."),
    ] = None,
    partial: Annotated[
        bool, typer.Option("--partial", help="Do without the nodes that do not answer.")
    ] = False,
    yes: options.Yes = False,
    inventory: options.Inventory = None,
    state: options.State = None,
    lock_wait: options.LockWait = "0s",
) -> None:
    """Rebuild a lost state from the containers' labels: jobs, versions, tasks. Restarts nothing.

    Also takes a fleet over from another state on purpose: that one must not be used any more.
    Example: cube recover -i inventories/production.yml
    """
    from cube.cli import recovered, settle
    from cube.cli.office import office

    place, wait = office(inventory, state), settle.wait_of(lock_wait)
    recovered.recover(place, owner, wait, partial=partial, yes=yes)
