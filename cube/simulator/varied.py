"""What else a seed draws of a job: policies that few jobs have, and a group that must have ended first.

All of it comes from draws of its own, so that the rest of a seed's history stays as it is.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from random import Random

from cube.model.job import Group, Job, JobType, TaskSpec
from cube.model.policy import (
    Condition,
    DisconnectPolicy,
    OnDisconnect,
    OnUnhealthy,
    Order,
    ReschedulePolicy,
    RestartMode,
    RestartPolicy,
)
from cube.simulator.history import WORK, History

VARIED = 0.6
"""In how many of the histories anything is drawn here; of each kind in half of those."""

THEN = (OnDisconnect.KEEP, OnDisconnect.KEEP, OnDisconnect.REPLACE)
"""What a silent node's tasks are to do: the rest of the histories has the last alone."""

LOST_AFTER = (10.0, 60.0, 600.0)
"""Seconds of silence after which a task is lost."""

WINDOW = 60.0
"""Seconds after which a task that is tried again and again has all of its attempts back."""


def varied(history: History, job: Job) -> Job:
    """The job with what this history varies."""
    random = Random(f"policies {history.seed} {history.commands}")
    for kind in varies(history.seed):
        job = VARIATIONS[kind](job, random)
    return job


@cache
def varies(seed: int) -> tuple[str, ...]:
    """The kinds that there are in the seed's history."""
    random = Random(f"policies {seed}")
    if random.random() >= VARIED:
        return ()
    return tuple(kind for kind in VARIATIONS if random.random() < 0.5)


def disconnects(job: Job, random: Random) -> Job:
    """What a silent node's tasks are to do, and after how long."""

    def with_it(group: Group) -> Group:
        then, lost_after = random.choice(THEN), random.choice(LOST_AFTER)
        return replace(group, disconnect=DisconnectPolicy(then=then, lost_after=lost_after))

    return replace(job, groups=tuple(map(with_it, job.groups)))


def delays(job: Job, _random: Random) -> Job:
    """What fails is tried again where it is, for ever; so it is with all jobs of a history, or with none."""

    def with_it(group: Group) -> Group:
        attempts = max(group.restart.attempts, 1)
        policy = replace(group.restart, attempts=attempts, window=WINDOW, mode=RestartMode.DELAY)
        return replace(group, restart=policy, on_unhealthy=OnUnhealthy.RESTART)

    return replace(job, groups=tuple(map(with_it, job.groups)))


def starts_first(job: Job, random: Random) -> Job:
    """The new task before the old one's end, where a job file may ask for that."""

    def with_it(group: Group) -> Group:
        is_asked = random.random() < 0.5
        clashes = any(port.host is not None for port in group.spec.ports) or bool(group.spec.volumes)
        order = Order.START_FIRST if is_asked and not clashes else group.update.order
        return replace(group, update=replace(group.update, order=order))

    return replace(job, groups=tuple(map(with_it, job.groups)))


def prepares(job: Job, random: Random) -> Job:
    """A service's first group waits until a batch group has done what it is for."""
    count, attempts, tries = random.randint(1, 2), random.choice((1, 2)), random.choice((0, 3, None))
    if job.type is not JobType.SERVICE or random.random() < 0.4:
        return job
    main, *others = job.groups
    prepare = Group(
        name="prepare",
        type=JobType.BATCH,
        spec=TaskSpec(image=WORK, resources=main.spec.resources),
        count=count,
        restart=RestartPolicy(attempts=attempts, delay=1.0, max_delay=5.0),
        reschedule=ReschedulePolicy(attempts=tries, delay=2.0, max_delay=20.0),
    )
    main = replace(main, depends_on={**main.depends_on, "prepare": Condition.COMPLETED})
    return replace(job, groups=(main, *others, prepare))


VARIATIONS: Mapping[str, Callable[[Job, Random], Job]] = {
    act.__name__: act for act in (prepares, disconnects, delays, starts_first)
}
