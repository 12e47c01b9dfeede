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
    output: options.Format = options.Output.TABLE,
) -> None:
    """Print what is recorded, at once, with the age of the last look. Example: cube status web --live"""
    from cube.cli import render, rows
    from cube.cli.office import office
    from cube.store.store import open_store

    place = office(inventory, state)
    notes = rows.notes_of_a_look(place) if live else {}
    store = open_store(place.state)
    jobs, tasks = store.jobs(), rows.as_seen(store.current_tasks(), notes)
    looks, swept = store.looks(), store.last_sweep()
    store.close()
    if job is not None and job not in [found.name for found in jobs]:
        raise InputError(f"there is no job {job!r}", where=place.cluster.name)
    silent = {look.node for look in looks if look.cause is not None}
    if job is None:
        render.table([rows.of_job(found, tasks, silent) for found in jobs], rows.JOB, output)
    else:
        chosen = [task for task in tasks if task.slot.job == job and rows.is_of_interest(task)]
        render.table([rows.of_task(task, silent) for task in chosen], rows.TASK, output)
    if output is options.Output.TABLE:
        sweep = f"; last sweep {render.age(swept.finished)} ago: {swept.result}" if swept else ""
        ago = f"looked {render.age(max(look.at for look in looks))} ago" if looks else "never looked"
        unanswered = f"; no answer from {', '.join(sorted(silent))}" if silent else ""
        render.line(f"cluster {place.cluster.name}: {ago}{unanswered}{sweep}", "bright_black")


def ps(
    pattern: Pattern = "all",
    inventory: options.Inventory = None,
    state: options.State = None,
    every: Annotated[bool, typer.Option("--all", "-a", help="Also containers that are not Cube's.")] = False,
    output: options.Format = options.Output.TABLE,
) -> None:
    """Print the containers as they are now, node by node. Example: cube ps 'web:&dc1' --all"""
    from cube.cli import look, render, rows
    from cube.cli.office import office

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
    from cube.cli.office import office

    place = office(inventory, state)
    earlier, found = look.with_sample(place, pattern)
    chosen = [node for node in place.cluster.nodes if node.name in found]
    shown = [
        rows.of_node(node, found[node.name], earlier.get(node.name), place.cluster.name) for node in chosen
    ]
    render.table(shown, rows.NODE, output)
    raise typer.Exit(look.warn_of_unknown(found))


def events(
    job: Annotated[str | None, typer.Option("--job", help="Only this job's.")] = None,
    since: Annotated[str | None, typer.Option("--since", help="Not older than this, such as 1h.")] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as they come.")] = False,
    limit: Annotated[int, typer.Option("--limit", "-n", help="At most this many.", min=1)] = 50,
    inventory: options.Inventory = None,
    state: options.State = None,
    output: options.Format = options.Output.TABLE,
) -> None:
    """Print what happened to tasks, when and why. Example: cube events --job web --since 1h -f"""
    from cube.cli import render, rows
    from cube.cli.office import office, seconds
    from cube.store.store import open_store

    place = office(inventory, state)
    start = time.time() - seconds(since, "--since") if since else None
    store = open_store(place.state)
    found = store.events(job=job, since=start, limit=limit)
    render.table([rows.of_event(event) for event in found], rows.EVENT, output)
    last = found[-1].number if found else 0
    while follow:
        time.sleep(1)
        for event in store.events(job=job, after=last):
            render.row(rows.of_event(event), rows.EVENT, output)
            last = event.number
    store.close()
