"""The fleet as it is recorded, or seen, now."""

import time
from collections.abc import Collection, Iterator, Mapping, Sequence

from cube.cli import options, render, rows
from cube.cli.closed import in_maintenance
from cube.cli.lateness import SWEEPS, lateness
from cube.cli.reach import Place, recorded
from cube.errors import InputError
from cube.model.job import Job
from cube.model.node import Cordon
from cube.model.rollout import Rollout, RolloutState
from cube.store.rows import Look, Sweep


def show(place: Place, name: str | None, output: options.Output, *, live: bool) -> None:
    """Print every job, or the tasks of one, and under the table what a person should know."""
    notes = rows.notes_of_a_look(place) if live else {}
    with recorded(place) as store:
        jobs, tasks = store.jobs(), rows.as_seen(store.current_tasks(), notes)
        looks, sweeps = store.looks(), store.sweeps(SWEEPS)
        cordons, rollouts, closed = store.cordons(), store.rollouts(), store.maintenances()
    if name is not None and name not in [found.name for found in jobs]:
        cure = f"Known jobs: {rows.names(jobs)}."
        raise InputError(f"there is no job {name!r}", where=place.cluster.name, cure=cure)
    silent = {look.node for look in looks if look.cause is not None}
    unseen = silent | {str(task.node) for task in tasks if place.cluster.node(str(task.node)) is None}
    if name is not None:
        names = {found.name for found in jobs if name in (found.name, found.parent)}
        chosen = [task for task in tasks if task.slot.job in names and rows.is_of_interest(task)]
        render.table([rows.of_task(task, unseen) for task in chosen], rows.TASK, output)
    elif output is options.Output.JSON:
        render.as_json([rows.of_job(found, tasks, unseen) for found in jobs])
    else:
        render.table(rows.of_jobs(jobs, tasks, unseen), rows.JOB, output)
    if output is options.Output.TABLE:
        lines = (*_of_rollouts(rollouts, jobs, name), *in_maintenance(closed, name), *_of_cordons(cordons))
        for line in lines:
            render.line(line, "yellow")
        render.line(f"cluster {place.cluster.name}: {_of_looks(looks, silent, sweeps)}", "bright_black")
    if late := lateness(sweeps, time.time()):
        render.warn([late])


def _of_rollouts(rollouts: Mapping[str, Rollout], jobs: Sequence[Job], name: str | None) -> Iterator[str]:
    for job in jobs:
        rollout = rollouts.get(job.name)
        if rollout and name in (None, job.name) and rollout.state is not RolloutState.SUCCEEDED:
            yield f"version {rollout.version} of {job.name}: {_words(rollout, job)}"


def _words(rollout: Rollout, job: Job) -> str:
    match rollout.state:
        case RolloutState.PAUSED:
            return f"paused; go on with: cube resume {rollout.job}"
        case RolloutState.FAILED:
            return f"failed: {rollout.reason}; see: cube postmortem {rollout.job}"
        case _ if _has_canaries(job, rollout):
            return f"canaries first; when they do well: cube promote {rollout.job}"
        case _:
            return "on its way"


def _has_canaries(job: Job, rollout: Rollout) -> bool:
    """Some groups are given the new version only in part before somebody promotes it."""
    return rollout.stable is not None and not rollout.promoted and any(g.update.canary for g in job.groups)


def _of_cordons(cordons: Mapping[str, Cordon]) -> Iterator[str]:
    for name, cordon in sorted(cordons.items()):
        what = "is drained" if cordon.draining else "gets no new tasks"
        since = f"by {cordon.actor}, {render.age(cordon.at)} ago"
        yield f"{name} {what} ({since}); undo: cube node uncordon {name}"


def _of_looks(looks: Sequence[Look], silent: Collection[str], sweeps: Sequence[Sweep]) -> str:
    ago = f"looked {render.age(max(look.at for look in looks))} ago" if looks else "never looked"
    unanswered = f"; no answer from {', '.join(sorted(silent))}" if silent else ""
    swept = [f"; last sweep {render.age(sweep.finished)} ago: {sweep.result}" for sweep in sweeps[:1]]
    return ago + unanswered + "".join(swept)
