"""`cube adopt`: a container that others started becomes a job."""

from typing import Annotated

import typer

from cube.cli import options


def adopt(
    node: Annotated[str, typer.Argument(metavar="NODE", help="The node that it runs on.")],
    container: Annotated[str, typer.Argument(metavar="CONTAINER", help="Its name or id there.")],
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Do it: stop it, and start Cube's own in its place.")
    ] = False,
    inventory: options.Inventory = None,
    state: options.State = None,
    timeout: options.Timeout = "5m",
    lock_wait: options.LockWait = "0s",
) -> None:
    """Print the job file for a container that others started; with --yes let Cube run it from now on.

    Docker cannot label a running container, so it is stopped, kept as NAME-before-cube, and replaced; the
    old one is put back where the new one does not come up. Example: cube adopt web1 postgres > jobs/db.yml
    """
    from cube.cli import adopting, settle
    from cube.cli.office import office, seconds

    place = office(inventory, state)
    limits = (seconds(timeout, "--timeout"), settle.wait_of(lock_wait))
    if yes:
        raise typer.Exit(adopting.take_in(place, node, container, limits))
    adopting.show(place, node, container)
