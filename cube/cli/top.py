"""`cube top`: the fleet at a terminal."""

from functools import partial
from typing import Annotated

import typer

from cube.cli import options

Every = Annotated[str, typer.Option("--every", help="The pause between two looks.")]


def top(every: Every = "2s", inventory: options.Inventory = None, state: options.State = None) -> None:
    """Follow nodes, jobs, tasks and events live, read logs, drain nodes; keys as in k9s, `q` ends it.

    Needs the extra `top`: pip install 'cube[top]'. Example: cube top -i inventories/lab.yml
    """
    from cube.cli.office import actor, seconds
    from cube.cli.reach import at_work, looking_on_for_long, office
    from cube.errors import InputError

    try:
        from cube.top.screen import Top
    except ModuleNotFoundError as missing:
        cure = "Install it: pip install 'cube[top]'"
        raise InputError("cube top cannot draw", why=f"{missing.name} is not installed", cure=cure) from None
    from cube.top.source import FleetSource

    place, pause = office(inventory, state), seconds(every, "--every")
    with looking_on_for_long(place) as (manager, hands):
        Top(FleetSource(manager, hands, partial(at_work, place), actor()), pause).run()
