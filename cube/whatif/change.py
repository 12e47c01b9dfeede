"""What is supposed of a fleet: nodes that are lost, nodes that are added, other numbers of tasks."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from cube.model.job import Job
from cube.model.node import Node
from cube.model.observation import CpuTimes, Engine, Seen, Stats
from cube.model.policy import OnDisconnect
from cube.model.resources import Resources
from cube.model.task import State, Task
from cube.reconciler.restarts import is_given_up
from cube.reconciler.world import World

NO_ENGINE = Engine(version="", api_version="")


@dataclass(frozen=True, slots=True, kw_only=True)
class Addition:
    """A node that is not there: it answers, has that much of everything, and does nothing."""

    node: Node
    size: Resources


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What is supposed. `lost` nodes are gone; `jobs` are wanted in place of those of their names."""

    lost: frozenset[str] = frozenset()
    added: tuple[Addition, ...] = ()
    jobs: tuple[Job, ...] = ()


def supposed(world: World, change: Change) -> World:
    """The world after the change: tasks on lost nodes that would run elsewhere are not in it any more."""
    jobs = {job.name: job for job in world.jobs} | {job.name: job for job in change.jobs}
    nodes = {name: node for name, node in world.nodes.items() if name not in change.lost}
    observed = {name: found for name, found in world.observed.items() if name not in change.lost}
    gone = {task.id: task for task in world.tasks if _goes(task, change.lost, jobs.get(task.slot.job))}
    return replace(
        world,
        jobs=tuple(jobs.values()),
        nodes=nodes | {found.node.name: found.node for found in change.added},
        observed=observed | {found.node.name: seen_idle(found, world.now) for found in change.added},
        tasks=tuple(task for task in world.tasks if task.id not in gone),
        former=(*world.former, *gone.values()),
    )


def added_nodes(world: World, sizes: Sequence[Addition]) -> tuple[Addition, ...]:
    """Those nodes under names that nobody has: `added1`, `added2`..."""
    free = (name for number in range(1, 10**9) if (name := f"added{number}") not in world.nodes)
    return tuple(
        replace(found, node=replace(found.node, name=name)) for found, name in zip(sizes, free, strict=False)
    )


def seen_idle(found: Addition, now: float) -> Seen:
    """The node as a look would show it."""
    stats = Stats(
        at=now,
        boot_id="",
        machine_id="",
        uptime=0.0,
        clock=now,
        cpus=found.size.cpu // 1000,
        cpu=CpuTimes(total=0, idle=0),
        load=(0.0, 0.0, 0.0),
        memory_total=found.size.memory,
        memory_available=found.size.memory,
        disk_total=found.size.disk,
        disk_free=found.size.disk,
        pressure={},
    )
    return Seen(node=found.node.name, at=now, stats=stats, engine=NO_ENGINE, containers=())


def _goes(task: Task, lost: frozenset[str], job: Job | None) -> bool:
    """It was alive on a lost node, and its group lets another one take its slot."""
    group = job.group(task.slot.group) if job is not None else None
    if task.node not in lost or task.state is State.COMPLETED or group is None:
        return False
    return group.disconnect.then is OnDisconnect.REPLACE and not is_given_up(task, group)
