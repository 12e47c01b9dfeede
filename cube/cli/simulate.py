"""`cube simulate`: what would be, from what is recorded; no node is asked."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from cube.cli import options
from cube.errors import InputError

Lose = Annotated[
    list[str] | None, typer.Option("--lose", metavar="NODE", help="That node is gone; repeatable.")
]
Add = Annotated[
    list[str] | None,
    typer.Option("--add", metavar="SIZE", help="Idle nodes more: 4x8GiB, 3*4x8GiB,zone=b; repeatable."),
]
Scale = Annotated[
    list[str] | None,
    typer.Option("--scale", metavar="JOB=COUNT", help="So many tasks: web=12, web/api=3; repeatable."),
]
NPlus1 = Annotated[
    bool,
    typer.Option("--n-plus-1", help="Is there room for all if any one node is lost? Exits with 1 if not."),
]
Trace = Annotated[
    Path | None, typer.Option("--trace", help="Play the tasks of this CSV file instead of the fleet.")
]
Nodes = Annotated[Path | None, typer.Option("--nodes", help="With --trace: the nodes, as a CSV file.")]
Replay = Annotated[
    bool, typer.Option("--replay", help="Play what was recorded of this fleet, as others had placed it.")
]
Since = Annotated[
    str | None, typer.Option("--since", metavar="TIME", help="With --replay: from then on, such as 2d.")
]
Plot = Annotated[
    Path | None,
    typer.Option("--plot", help="Draw how full nodes are and would be, or how they fill, as a PNG file."),
]
Schedulers = Annotated[
    str | None,
    typer.Option(
        "--scheduler",
        help="Who chooses nodes; of a history several: tight,spread; of a trace also batch.",
    ),
]


def simulate(
    lose: Lose = None,
    add: Add = None,
    scale: Scale = None,
    n_plus_1: NPlus1 = False,
    trace: Trace = None,
    nodes: Nodes = None,
    replay: Replay = False,
    since: Since = None,
    plot: Plot = None,
    scheduler: Schedulers = None,
    inventory: options.Inventory = None,
    state: options.State = None,
    output: options.Format = options.Output.TABLE,
) -> None:
    """Print what would move, what would find no room, and how full nodes would be; nothing is touched.

    With --scheduler alone all services are placed anew.
    Example: cube simulate --lose web3 --scale api=12; cube simulate --n-plus-1;
    cube simulate --trace PODS.csv --nodes NODES.csv --scheduler tight,spread;
    cube simulate --replay --since 7d --scheduler tight,spread --plot week.png
    """
    _refuse_mixtures(
        what_if={"--lose": lose, "--add": add, "--scale": scale, "--n-plus-1": n_plus_1},
        trace={"--trace": trace, "--nodes": nodes},
        replay={"--replay": replay, "--since": since},
        plot=plot is not None,
    )
    if trace is not None:
        from cube.cli import replayed

        replayed.show(trace, nodes, scheduler or "tight", plot, output)
        return
    from cube.cli.reach import office

    if replay:
        from cube.cli import relived
        from cube.cli.moment import moment

        at = moment(since, "--since", now=time.time()) if since is not None else None
        relived.show(office(inventory, state), scheduler, at, plot, output)
        return
    from cube.cli import supposed

    place = office(inventory, state, scheduler)
    world = supposed.recorded_world(place)
    change = supposed.change_of(world, lose or [], add or [], scale or [])
    if n_plus_1:
        raise typer.Exit(supposed.show_falls(world, change, place.scheduler, output))
    if scheduler is not None and change == supposed.NOTHING:
        supposed.show_anew(world, place.scheduler, plot, output)
        return
    supposed.show(world, change, place.scheduler, plot, output)


def _refuse_mixtures(
    *, what_if: Mapping[str, object], trace: Mapping[str, object], replay: Mapping[str, object], plot: bool
) -> None:
    """Raises InputError: a fleet that is supposed, a trace and a history are three things."""
    given = [[name for name, value in kind.items() if value] for kind in (what_if, trace, replay)]
    kinds = [names for names in given if names]
    if len(kinds) > 1:
        what = f"{kinds[0][0]} and {kinds[1][0]} exclude each other"
        raise InputError(what, cure="Ask once for each: they are played on different fleets.")
    if trace["--nodes"] and not trace["--trace"]:
        raise InputError("--nodes belongs to --trace", cure="Name the tasks: --trace FILE.")
    if replay["--since"] and not replay["--replay"]:
        raise InputError("--since belongs to --replay", cure="Add --replay.")
    if plot and what_if["--n-plus-1"]:
        cure = "Draw the loss of one node: --lose NODE --plot FILE."
        raise InputError("--n-plus-1 draws nothing", where="--plot", cure=cure)
