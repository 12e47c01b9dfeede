"""`cube rebalance`: which few moves would gain most, by the record; they are planned only."""

from typing import Annotated

import typer

from cube.cli import options
from cube.errors import InputError


def rebalance(
    plan: Annotated[bool, typer.Option("--plan", help="Print the moves; no other way yet.")] = False,
    max_moves: Annotated[int, typer.Option("--max-moves", help="At most so many.", min=1, max=1000)] = 10,
    min_gain: Annotated[
        float, typer.Option("--min-gain", help="By how much a task's score is to rise.", min=0.0, max=1.0)
    ] = 0.05,
    scheduler: options.Algorithm = None,
    inventory: options.Inventory = None,
    state: options.State = None,
    output: options.Format = options.Output.TABLE,
) -> None:
    """Print the moves of tasks that would gain most, each with its price; nothing is touched.

    Example: cube rebalance --plan --max-moves 5 --min-gain 0.1
    """
    from cube.cli import supposed
    from cube.cli.office import office

    if not plan:
        cure = "Add --plan; to empty a whole node: cube node drain NODE"
        raise InputError("moves are planned only, and not carried out yet", cure=cure)
    place = office(inventory, state, scheduler)
    supposed.show_rebalance(supposed.recorded_world(place), place.scheduler, max_moves, min_gain, output)
