"""Runs of periodic and parameterized jobs: when one is due, has taken too long, or is forgotten."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from functools import lru_cache
from itertools import islice
from zoneinfo import ZoneInfo

from cronsim import CronSim

from cube.model.action import Forget, Launch
from cube.model.job import Group, Job, JobType, Schedule
from cube.model.task import State, Task
from cube.reconciler.restarts import is_given_up
from cube.reconciler.world import World
from cube.view import words

RUNS_KEPT = 5
"""Ended runs of one job whose containers, and so their logs, are kept."""

MINUTE = 60.0
"""Seconds: schedules know nothing smaller, so within one the calendar is asked once."""

PUNCTUAL = 120.0
"""Seconds after its time until which a run was not missed: sweeps come each minute."""

MISSED_COUNTED = 1000
"""Missed runs are counted up to here."""


def next_runs(schedule: Schedule, after: float, count: int) -> tuple[float, ...]:
    """The next `count` times, in seconds since the epoch. Fewer where the calendar holds no more."""
    return _runs_after(schedule.cron, schedule.timezone, after // MINUTE, count)


def last_run(schedule: Schedule, until: float) -> float | None:
    """The newest time that is not after `until`, in seconds since the epoch."""
    return _run_until(schedule.cron, schedule.timezone, until // MINUTE)


def run_of(job: Job, name: str, at: float) -> Job:
    """A run of the job: a batch job of its own."""
    return replace(
        job,
        name=f"{job.name}.{name}",
        type=JobType.BATCH,
        parameters=None,
        parent=job.name,
        launched=at,
        version=0,
    )


def launches(world: World) -> tuple[Launch, ...]:
    """A run for every periodic job of which one is due; of several that were missed only the last."""
    periodic = [job for job in world.jobs if job.type is JobType.PERIODIC and not job.stopped]
    found = (_launch(job, world) for job in periodic)
    return tuple(launch for launch in found if launch is not None)


def next_launches(world: World) -> tuple[tuple[str, float], ...]:
    """When the next run of each periodic job is due, in seconds since the epoch."""
    jobs = [job for job in world.jobs if job.type is JobType.PERIODIC and not job.stopped]
    return tuple(
        (job.name, at) for job in jobs if job.schedule for at in next_runs(job.schedule, world.now, 1)
    )


def is_overdue(job: Job, world: World) -> bool:
    """A run that has taken longer than its schedule allows; also once a clock was set back."""
    if job.launched is None or job.schedule is None or job.schedule.deadline is None:
        return False
    newest = max((task.changed_at for task in world.tasks if task.slot.job == job.name), default=0.0)
    return max(world.now, newest) > world.rollout(job.name).since + job.schedule.deadline


def runs_to_forget(world: World) -> frozenset[str]:
    """The ended runs of each job but the newest few."""
    ended: dict[str, list[Job]] = {}
    for job in world.jobs:
        if job.parent is not None and not is_under_way(job, world):
            ended.setdefault(job.parent, []).append(job)
    return frozenset(
        job.name
        for runs in ended.values()
        for job in sorted(runs, key=lambda run: run.launched or 0.0)[:-RUNS_KEPT]
    )


def forget_runs(world: World) -> Iterator[Forget]:
    """The runs that are to be forgotten and of which no container is left anywhere."""
    for name in sorted(runs_to_forget(world)):
        tasks = [task for task in world.tasks if task.slot.job == name]
        if all(task.state.is_terminal and world.seen(task.node) for task in tasks if task.node) and not any(
            world.whereabouts(task) for task in tasks
        ):
            yield Forget(job=name, reason=f"newer runs than these are kept: the last {RUNS_KEPT}")


def is_under_way(job: Job, world: World) -> bool:
    """Some task of the run has neither ended well nor been given up."""
    mine = world.newest_tasks(job.name)
    if job.stopped or is_overdue(job, world):
        return any(not task.state.is_terminal for task in mine)
    ended = [task for task in mine if _has_ended(task, job.group(task.slot.group))]
    return len(ended) < sum(group.count for group in job.groups)


def _has_ended(task: Task, group: Group | None) -> bool:
    has_ended_well = task.state is State.COMPLETED and task.exit_code == 0
    return has_ended_well or group is None or is_given_up(task, group)


def _launch(job: Job, world: World) -> Launch | None:
    assert job.schedule is not None, "a periodic job has a schedule"
    runs = [run for run in world.jobs if run.parent == job.name]
    since = max((run.launched or 0.0 for run in runs), default=0.0)
    since = max(since, world.rollout(job.name).since)
    if not any(first <= world.now for first in next_runs(job.schedule, since, 1)):
        return None
    at = last_run(job.schedule, world.now)
    assert at is not None, "one was due since then"
    if job.schedule.prohibit_overlap and any(is_under_way(run, world) for run in runs):
        return None
    earlier = sum(time < at for time in next_runs(job.schedule, since, MISSED_COUNTED))
    reason = f"due at {words.utc(at)}{_what_was_missed(world.now - at, earlier)}"
    return Launch(job=run_of(job, _run_name(at), at), reason=reason)


def _what_was_missed(late: float, earlier: int) -> str:
    """Of a run that begins so many seconds late, after that many others that never did; empty: nothing."""
    caught_up = (
        f"; it was missed then, and is caught up {late / MINUTE:.0f} minutes later" if late > PUNCTUAL else ""
    )
    never = f"; {earlier} earlier runs were missed and are not made up for" if earlier else ""
    return caught_up + never


def _run_name(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y%m%dT%H%M")


@lru_cache(maxsize=1024)
def _runs_after(cron: str, timezone: str, minute: float, count: int) -> tuple[float, ...]:
    start = datetime.fromtimestamp(minute * MINUTE, ZoneInfo(timezone))
    return tuple(at.timestamp() for at in islice(CronSim(cron, start), count))


@lru_cache(maxsize=1024)
def _run_until(cron: str, timezone: str, minute: float) -> float | None:
    start = datetime.fromtimestamp((minute + 1) * MINUTE, ZoneInfo(timezone))
    return next((at.timestamp() for at in CronSim(cron, start, reverse=True)), None)
