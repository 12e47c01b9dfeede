"""The fleet as it was recorded at some moment, from the events and the versions of jobs."""

from collections.abc import Mapping, Sequence

from cube.cli import options, render, rows
from cube.cli.reach import Place, recorded
from cube.errors import InputError
from cube.model.job import Job
from cube.store.replay import PastTask, current, tasks_at
from cube.store.store import Store


def show(place: Place, name: str | None, at: float, output: options.Output) -> None:
    """Print every job, or the tasks of one, as they were at that time (seconds since the epoch)."""
    with recorded(place) as store:
        tasks = current(tasks_at(event for event in store.events() if event.at <= at))
        jobs = _jobs_at(store, at)
    known = {**{task.slot.job: None for task in tasks}, **jobs}
    if name is not None and name not in known:
        raise InputError(f"there was no job {name!r} at {render.moment(at)}", where=place.cluster.name)
    if name is None:
        render.table(_rows(known, tasks), rows.JOB, output)
    else:
        chosen = [task for task in tasks if task.slot.job == name and rows.is_of_interest(task)]
        render.table([rows.of_task(task, silent=(), now=at) for task in chosen], rows.TASK, output)
    if output is options.Output.TABLE:
        render.line(f"cluster {place.cluster.name} as recorded at {render.moment(at)}", "bright_black")


def _jobs_at(store: Store, at: float) -> Mapping[str, Job]:
    """The newest version of each job at that time; one that was removed since is not remembered."""
    versions = [found for job in store.jobs() for found in store.versions(job.name) if found.at <= at]
    return {found.job.name: found.job for found in versions}


def _rows(known: Mapping[str, Job | None], tasks: Sequence[PastTask]) -> Sequence[rows.Row]:
    there = rows.of_jobs([job for _, job in sorted(known.items()) if job is not None], tasks, silent=())
    removed = [_of_removed(name, tasks) for name, job in sorted(known.items()) if job is None]
    return [*there, *(row for row in removed if row["state"])]


def _of_removed(name: str, tasks: Sequence[PastTask]) -> rows.Row:
    mine = [task for task in tasks if task.slot.job == name and not task.state.is_terminal]
    return {
        "job": name,
        "type": "removed since",
        "version": max((task.version for task in mine), default=None),
        "state": rows.worst({task.state for task in mine}) if mine else None,
        "running": str(sum(task.state == "Running" for task in mine)),
        "nodes": " ".join(sorted({task.node for task in mine if task.node})) or None,
    }
