"""Jobs as a seed draws them."""

from dataclasses import replace
from random import Random

from cube.model.job import (
    CheckKind,
    Group,
    HealthCheck,
    Job,
    JobType,
    Parameters,
    Port,
    Schedule,
    TaskSpec,
    Volume,
)
from cube.model.policy import Condition, OnUnhealthy, Order, ReschedulePolicy, RestartPolicy, UpdatePolicy
from cube.model.resources import Resources
from cube.simulator.history import WORK


def draw_job(random: Random) -> Job:
    """A service or a system job, with or without ports, checks, volumes, canaries and a group to wait for."""
    port = Port(name="http", container=80, host=random.choice((None, None, 8080)))
    ports = random.choice(((), (port,)))
    check = HealthCheck(kind=CheckKind.TCP, port="http", interval=1.0, grace=5.0)
    spec = TaskSpec(
        image=random.choice(("app:1", "app:2")),
        resources=Resources(cpu=random.choice((100, 100, 1500)), memory=64 * 2**20),
        ports=ports,
        volumes=random.choice(((), (), (Volume(source="data", target="/data"),))),
        health=random.choice((None, check)) if ports else None,
    )
    update = UpdatePolicy(
        max_parallel=random.randint(1, 3),
        order=random.choice((Order.AUTO, Order.AUTO, Order.STOP_FIRST)),
        min_healthy_time=random.choice((0.0, 2.0)),
        canary=random.choice((0, 0, 0, 1)),
        auto_revert=random.random() < 0.3,
    )
    group = Group(
        name="main",
        spec=spec,
        count=random.randint(0, 5),
        restart=RestartPolicy(attempts=random.choice((1, 3)), delay=1.0, max_delay=5.0),
        reschedule=ReschedulePolicy(delay=2.0, max_delay=20.0),
        update=update,
        on_unhealthy=random.choice(tuple(OnUnhealthy)),
    )
    kind = random.choice((JobType.SERVICE, JobType.SERVICE, JobType.SERVICE, JobType.SYSTEM))
    job = Job(name=random.choice(("web", "api")), groups=(group,), type=kind)
    return _with_a_base(job, random) if kind is JobType.SERVICE and random.random() < 0.2 else job


def draw_work(random: Random) -> Job:
    """A batch job, a periodic one, or one that is dispatched."""
    spec = TaskSpec(image=WORK, resources=Resources(cpu=random.choice((100, 1500)), memory=64 * 2**20))
    group = Group(
        name="main",
        spec=spec,
        count=random.randint(1, 2),
        restart=RestartPolicy(attempts=random.choice((0, 2)), delay=1.0, max_delay=5.0),
        reschedule=ReschedulePolicy(attempts=random.choice((0, 3)), delay=2.0, max_delay=20.0),
    )
    match random.choice((JobType.BATCH, JobType.PERIODIC, JobType.PARAMETERIZED)):
        case JobType.PERIODIC:
            overlap, deadline = random.random() < 0.7, random.choice((None, 30.0))
            schedule = Schedule(cron="*/5 * * * *", prohibit_overlap=overlap, deadline=deadline)
            return Job(name="nightly", groups=(group,), type=JobType.PERIODIC, schedule=schedule)
        case JobType.PARAMETERIZED:
            return Job(name="mail", groups=(group,), type=JobType.PARAMETERIZED, parameters=Parameters())
        case _:
            return Job(name="once", groups=(group,), type=JobType.BATCH)


def _with_a_base(job: Job, random: Random) -> Job:
    """The job's group waits for another one."""
    (group,) = job.groups
    spec, update = replace(group.spec, ports=(), health=None), replace(group.update, canary=0)
    base = replace(group, name="base", spec=spec, update=update, count=random.randint(1, 2))
    return replace(job, groups=(replace(group, depends_on={"base": Condition.HEALTHY}), base))
