"""What else a seed draws of a job: policies that few jobs have, and groups that few have beside their own.

All of it comes from draws of its own, so that the rest of a seed's history stays as it is.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from random import Random

from cube.model.job import CheckKind, Group, HealthCheck, Job, JobType, Port, TaskSpec
from cube.model.policy import (
    Condition,
    DisconnectPolicy,
    OnDisconnect,
    OnUnhealthy,
    Order,
    ReschedulePolicy,
    RestartMode,
    RestartPolicy,
    UpdatePolicy,
)
from cube.model.resources import Resources
from cube.simulator.history import LARGE, SMALL, WORK, History

VARIED = 0.6
"""In how many of the histories anything is drawn here; of each kind in half of those."""

THEN = (OnDisconnect.KEEP, OnDisconnect.KEEP, OnDisconnect.REPLACE)
"""What a silent node's tasks are to do: the rest of the histories has the last alone."""

LOST_AFTER = (10.0, 60.0, 600.0)
"""Seconds of silence after which a task is lost."""

WINDOW = 60.0
"""Seconds after which a task that is tried again and again has all of its attempts back."""

LATER = 0.2
"""In how many of the histories there is also what jobs could have only later."""

STREAM = "later 3264430"
"""Under this name no seed draws any of that which had failed before: it lives the history that it lived."""

PAUSES = (5.0, 20.0)
"""Seconds between two slots of an update."""


def varied(history: History, job: Job) -> Job:
    """The job with what this history varies."""
    random = Random(f"policies {history.seed} {history.commands}")
    for kind in varies(history.seed):
        job = VARIATIONS[kind](job, random)
    return job


@cache
def varies(seed: int) -> tuple[str, ...]:
    """The kinds that there are in the seed's history."""
    return (*_policies(seed), *_later(seed))


def _policies(seed: int) -> tuple[str, ...]:
    random = Random(f"policies {seed}")
    if random.random() >= VARIED:
        return ()
    return tuple(kind for kind in POLICIES if random.random() < 0.5)


def _later(seed: int) -> tuple[str, ...]:
    random = Random(f"{STREAM} {seed}")
    if random.random() >= LATER:
        return ()
    return random.choice((("agents",), ("pauses",), ("agents", "pauses")))


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


def agents(job: Job, random: Random) -> Job:
    """A service gets a group of which each node has one task, beside its own; mostly, and it may lose it."""
    image, cpu, is_asked = random.choice(("app:1", "app:2")), random.choice((100, 100, 500)), random.random()
    most, order = random.randint(1, 2), random.choice(tuple(Order))
    waits, is_there = random.random() < 0.2, random.random() < 0.8
    if job.type is not JobType.SERVICE or not is_there:
        return job
    main = job.groups[0]
    check = HealthCheck(kind=CheckKind.TCP, port="status", interval=1.0, grace=5.0)
    spec = TaskSpec(
        image=image,
        resources=Resources(cpu=SMALL if main.spec.resources.cpu == LARGE else cpu, memory=64 * 2**20),
        ports=(Port(name="status", container=81),),
        health=check if is_asked < 0.5 else None,
    )
    agent = Group(
        name="agent",
        type=JobType.SYSTEM,
        spec=spec,
        restart=main.restart,
        reschedule=main.reschedule,
        update=UpdatePolicy(
            max_parallel=most,
            order=order,
            min_healthy_time=main.update.min_healthy_time,
            auto_revert=main.update.auto_revert,
        ),
        on_unhealthy=main.on_unhealthy,
        disconnect=main.disconnect,
        depends_on={"main": Condition.HEALTHY} if waits else {},
    )
    return replace(job, groups=(*job.groups, agent))


def pauses(job: Job, random: Random) -> Job:
    """A pause after each slot that an update has replaced."""

    def with_it(group: Group) -> Group:
        return replace(group, update=replace(group.update, delay=random.choice(PAUSES)))

    return replace(job, groups=tuple(map(with_it, job.groups)))


POLICIES: Mapping[str, Callable[[Job, Random], Job]] = {
    act.__name__: act for act in (prepares, disconnects, delays, starts_first)
}

VARIATIONS = {**POLICIES, **{act.__name__: act for act in (agents, pauses)}}
