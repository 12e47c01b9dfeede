"""`cube dispatch` and `cube job next`: runs that somebody asks for, and those that the clock will."""

import time
from typing import Annotated

import typer

from cube.cli import options
from cube.errors import InputError

app = typer.Typer(help="Look at what a job will do.", no_args_is_help=True)


def dispatch(
    job: options.JobName,
    values: Annotated[
        list[str] | None,
        typer.Option("--value", "-v", metavar="NAME=VALUE", help="A parameter of the job; repeatable."),
    ] = None,
    inventory: options.Inventory = None,
    state: options.State = None,
    timeout: options.Timeout = "5m",
    lock_wait: options.LockWait = "0s",
    output: options.Format = options.Output.TABLE,
) -> None:
    """Begin a run of a parameterized job, and see it under way. Example: cube dispatch resize -v path=/a"""
    from cube.cli import settle
    from cube.cli.office import pairs
    from cube.cli.reach import office

    place, waits = office(inventory, state), (timeout, lock_wait)
    wanted = pairs(values or [], "--value")
    settle.settle(
        place,
        f"dispatch {job}",
        lambda manager, run: manager.dispatch(job, wanted, run),
        waits,
        output,
    )


@app.command("next")
def next_(
    job: options.JobName,
    count: Annotated[int, typer.Option("--count", "-n", help="How many.", min=1, max=1000)] = 5,
    inventory: options.Inventory = None,
    state: options.State = None,
    output: options.Format = options.Output.TABLE,
) -> None:
    """Print when a periodic job runs next, by its clock and by UTC. Example: cube job next nightly -n 3"""
    from cube.cli import render, rows
    from cube.cli.reach import office, recorded
    from cube.reconciler.periodic import next_runs

    place = office(inventory, state)
    with recorded(place) as store:
        found, known = store.job(job), store.jobs()
    if found is None:
        raise InputError(
            f"there is no job {job!r}", where=place.cluster.name, cure=f"Known jobs: {rows.names(known)}."
        )
    if found.schedule is None or found.parent is not None:
        periodic = [each for each in known if each.schedule is not None and each.parent is None]
        raise InputError(f"job {job} is not periodic", cure=f"Periodic jobs: {rows.names(periodic)}.")
    now = time.time()
    times = next_runs(found.schedule, now, count)
    render.table([rows.of_run(at, found.schedule, now) for at in times], rows.RUN, output)
    if found.stopped:
        render.warn([f"job {job} is stopped: none of these will begin before it is deployed again"])
