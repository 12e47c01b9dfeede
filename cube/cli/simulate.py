"""`cube simulate`: what would be, from what is recorded; no node is asked."""

from pathlib import Path
from typing import Annotated

import typer

from cube.cli import options
from cube.errors import InputError


def simulate(
    lose: Annotated[
        list[str] | None, typer.Option("--lose", metavar="NODE", help="That node is gone; repeatable.")
    ] = None,
    add: Annotated[
        list[str] | None,
        typer.Option("--add", metavar="SIZE", help="Idle nodes more: 4x8GiB, 3*4x8GiB,zone=b; repeatable."),
    ] = None,
    scale: Annotated[
        list[str] | None,
        typer.Option("--scale", metavar="JOB=COUNT", help="So many tasks: web=12, web/api=3; repeatable."),
    ] = None,
    n_plus_1: Annotated[
        bool,
        typer.Option(
            "--n-plus-1", help="Is there room for all if any one node is lost? Exits with 1 if not."
        ),
    ] = False,
    trace: Annotated[
        Path | None, typer.Option("--trace", help="Play the tasks of this CSV file instead of the fleet.")
    ] = None,
    nodes: Annotated[
        Path | None, typer.Option("--nodes", help="With --trace: the nodes, as a CSV file.")
    ] = None,
    plot: Annotated[
        Path | None, typer.Option("--plot", help="With --trace: draw how the nodes fill, as a PNG file.")
    ] = None,
    scheduler: Annotated[
        str | None, typer.Option("--scheduler", help="Who chooses nodes; with --trace several: tight,spread.")
    ] = None,
    inventory: options.Inventory = None,
    state: options.State = None,
    output: options.Format = options.Output.TABLE,
) -> None:
    """Print what would move, what would find no room, and how full nodes would be; nothing is touched.

    Example: cube simulate --lose web3 --scale api=12; cube simulate --n-plus-1;
    cube simulate --trace PODS.csv --nodes NODES.csv --scheduler tight,spread
    """
    if trace is None and (nodes is not None or plot is not None):
        raise InputError("--nodes and --plot belong to --trace", cure="Name the tasks: --trace FILE.")
    if trace is not None:
        from cube.cli import replayed

        if lose or add or scale or n_plus_1:
            raise InputError(
                "--trace goes without --lose, --add, --scale and --n-plus-1",
                cure="A trace is played on the nodes of --nodes, not on the fleet.",
            )
        replayed.show(trace, nodes, scheduler or "tight", plot, output)
        return
    from cube.cli import supposed
    from cube.cli.office import office

    place = office(inventory, state, scheduler)
    world = supposed.recorded_world(place)
    change = supposed.change_of(world, lose or [], add or [], scale or [])
    if n_plus_1:
        raise typer.Exit(supposed.show_falls(world, change, place.scheduler, output))
    supposed.show(world, change, place.scheduler, output)
