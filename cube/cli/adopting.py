"""Behind `cube adopt`: shows the job file, and has the container replaced."""

import time

import typer

from cube.cli import following, progress, render, settle
from cube.errors import InputError
from cube.manager.adopt import ASIDE, candidate, replace_with
from cube.manager.office import Office
from cube.manager.session import at_hand, at_work_by_hand
from cube.spec.parse import parse


def show(place: Office, node: str, container: str) -> None:
    """Print the job file on standard output, and what it leaves out beside it."""
    with at_hand(place) as (_, workers):
        found = candidate(workers, node, container).draft
    typer.echo(found.text, nl=False)
    render.warn(found.notes)
    name = f"{container}{ASIDE}"
    typer.echo(f"With --yes: {container} is stopped and kept as {name}, and Cube starts its own.", err=True)


def take_in(place: Office, node: str, container: str, limits: tuple[float, float]) -> int:
    """Replace the container by Cube's own; the exit code. Raises CubeError with the old one put back."""
    started = time.time()
    with (
        at_work_by_hand(place, command=f"adopt {node} {container}", wait=limits[1]) as (manager, workers),
        following.telling() as tell,
    ):
        chosen = candidate(workers, node, container)
        render.warn(chosen.draft.notes)
        job = parse(chosen.draft.text, f"the job file for {container}", {})
        if any(known.name == job.name for known in manager.store.jobs()):
            cure = "Where an adoption was cut short, go on with: cube reconcile"
            raise InputError(f"there is a job {job.name} already", where=place.cluster.name, cure=cure)
        run = settle.run_of(started + limits[0], tell)
        report = replace_with(job, chosen, manager, run)
    progress.print_report(report, time.time() - started)
    kept = chosen.name
    if report.exit_code == 0:
        render.line(f"{kept} is job {job.name} now; the old one is kept, stopped, as {kept}{ASIDE}", "green")
    else:
        render.line(f"{kept} was put back as it was: Cube's own did not come up", "red")
    return report.exit_code
