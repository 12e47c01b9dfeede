"""`cube status`, `ps`, `nodes`, `events`: what is recorded, and what is there now."""

import time
from typing import Annotated

import typer

from cube.cli import options
from cube.errors import InputError

Live = Annotated[bool, typer.Option("--live", help="Look at the fleet first. Changes nothing there.")]
Pattern = Annotated[str, typer.Argument(metavar="[PATTERN]", help="Which nodes: all, web, web:&dc1, web*.")]


def status(
    job: Annotated[str | None, typer.Argument(metavar="[JOB]", help="One job, task by task.")] = None,
    inventory: options.Inventory = None,
    state: options.State = None,
    live: Live = False,
    at: Annotated[
        str | None,
        typer.Option("--at", metavar="TIME", help="As it was then: '2026-11-20 14:00', 14:00, or 1h ago."),
    ] = None,
    output: options.Format = options.Output.TABLE,
) -> None:
    """Print what is recorded, at once, with the age of the last look.

    Example: cube status web --live; cube status --at 14:00
    """
    from cube.cli import now, past
    from cube.cli.moment import moment
    from cube.cli.reach import office

    place = office(inventory, state)
    if at is None:
        now.show(place, job, output, live=live)
    elif live:
        raise InputError("--live and --at exclude each other", cure="The past cannot be looked at.")
    else:
        past.show(place, job, moment(at, "--at", now=time.time()), output)


def ps(
    pattern: Pattern = "all",
    inventory: options.Inventory = None,
    state: options.State = None,
    every: Annotated[bool, typer.Option("--all", "-a", help="Also containers that are not Cube's.")] = False,
    output: options.Format = options.Output.TABLE,
) -> None:
    """Print the containers as they are now, node by node. Example: cube ps 'web:&dc1' --all"""
    from cube.cli import look, render, rows
    from cube.cli.reach import office

    place = office(inventory, state)
    found = look.once(place, pattern)
    render.table(rows.of_containers(found, place.cluster.name, every=every), rows.CONTAINER, output)
    raise typer.Exit(look.warn_of_unknown(found))


def nodes(
    pattern: Pattern = "all",
    inventory: options.Inventory = None,
    state: options.State = None,
    output: options.Format = options.Output.TABLE,
) -> None:
    """Look at the nodes: load, memory, disk, engine, tasks. Example: cube nodes 'all:&dc1'"""
    from cube.cli import look, render, rows
    from cube.cli.reach import office

    place = office(inventory, state)
    before, found = look.with_record(place, pattern)
    chosen = [node for node in place.cluster.nodes if node.name in found]
    shown = [
        rows.of_node(
            node,
            found[node.name],
            before.samples.get(node.name),
            place.cluster.name,
            before.cordons.get(node.name),
        )
        for node in chosen
    ]
    render.table(shown, rows.NODE, output)
    raise typer.Exit(look.warn_of_unknown(found))


def events(
    job: Annotated[str | None, typer.Option("--job", help="Only this job's.")] = None,
    node: Annotated[str | None, typer.Option("--node", help="Only what happened on this node.")] = None,
    since: Annotated[
        str | None, typer.Option("--since", metavar="TIME", help="Not older than 1h, or '2026-11-20 14:00'.")
    ] = None,
    until: Annotated[
        str | None, typer.Option("--until", metavar="TIME", help="Not newer than that; as --since.")
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as they come, until Ctrl-C.")] = False,
    limit: Annotated[int, typer.Option("--limit", "-n", help="At most this many.", min=1)] = 50,
    inventory: options.Inventory = None,
    state: options.State = None,
    output: options.Format = options.Output.TABLE,
) -> None:
    """Print what happened, when and why. Example: cube events --since 1h --job web --node web3 -f"""
    from cube.cli import story
    from cube.cli.moment import moment
    from cube.cli.reach import office

    if follow and until is not None:
        raise InputError("--until and --follow exclude each other")
    place, now = office(inventory, state), time.time()
    chosen = story.Chosen(
        job=job,
        node=node,
        since=moment(since, "--since", now=now) if since is not None else None,
        until=moment(until, "--until", now=now) if until is not None else None,
    )
    story.tell(place, chosen, limit, output, follow=follow)


def postmortem(
    name: Annotated[
        str,
        typer.Argument(
            metavar="TASK", help="A job, job/group, job/group[index], or the start of a task's id."
        ),
    ],
    limit: Annotated[int, typer.Option("--limit", "-n", help="At most so many, the newest.", min=1)] = 10,
    inventory: options.Inventory = None,
    state: options.State = None,
    output: options.Format = options.Output.TABLE,
) -> None:
    """Print what failed containers left behind, the oldest first: exit code, last lines, last checks.

    Example: cube postmortem web/web[0]
    """
    from cube.cli import story
    from cube.cli.reach import office

    story.tell_deaths(office(inventory, state), name, limit, output)
