"""How nodes were used, from what was measured there. Pure."""

from collections.abc import Iterable, Mapping
from itertools import pairwise

from cube.model.measure import Measure, Usage
from cube.model.observation import Observation, Seen, Stats, Use
from cube.model.resources import Resources
from cube.model.task import Task

RECENT = 6 * 3600.0
"""Seconds of the past that are told where nobody asks for others."""

SHORT = 8
"""Characters of a task's id that tell it from the others of its slot."""


def measures(observed: Iterable[Observation], tasks: Iterable[Task], cluster: str) -> tuple[Measure, ...]:
    """What those looks measured; nothing of a node that did not answer in full."""
    promised: dict[str | None, Resources] = {}
    for task in tasks:
        if not task.state.is_terminal:
            promised[task.node] = promised.get(task.node, Resources()) + task.spec.resources
    return tuple(
        _measure(seen, promised.get(seen.node, Resources()), cluster)
        for seen in observed
        if isinstance(seen, Seen)
    )


def _measure(seen: Seen, promised: Resources, cluster: str) -> Measure:
    mine: dict[str, Use] = {}
    others: dict[str, Use] = {}
    for container in seen.containers:
        use, identity = seen.stats.uses.get(container.id), container.identity
        if use is not None and identity is not None and identity.cluster == cluster:
            mine[f"{identity.slot} {identity.task[:SHORT]}"] = use
        elif use is not None:
            others[container.name] = use
    stats = seen.stats
    return Measure(
        node=seen.node,
        at=seen.at,
        boot_id=stats.boot_id,
        cpu=stats.cpu,
        load=stats.load[0],
        memory=stats.memory_in_use,
        disk=stats.disk_in_use,
        capacity=stats.capacity,
        promised=promised,
        tasks=mine,
        others=others,
    )


def usages(found: Iterable[Measure]) -> tuple[Usage, ...]:
    """How the node was used between each two measures, which are of one node, the oldest first.

    Nothing is told of the time in which the machine started anew.
    """
    told = (_between(earlier, later) for earlier, later in pairwise(found))
    return tuple(usage for usage in told if usage is not None)


def _between(earlier: Measure, later: Measure) -> Usage | None:
    busy = later.cpu.busy_since(earlier.cpu) if later.boot_id == earlier.boot_id else None
    seconds = later.at - earlier.at
    if busy is None or seconds <= 0:
        return None
    return Usage(
        since=earlier.at,
        at=later.at,
        capacity=later.capacity,
        promised=later.promised,
        used=Resources(cpu=round(busy * later.capacity.cpu), memory=later.memory, disk=later.disk),
        load=later.load,
        tasks=_used_by(later.tasks, earlier.tasks, seconds, later.capacity),
        others=_used_by(later.others, earlier.others, seconds, later.capacity),
    )


def now_in_use(
    found: Observation, before: Stats | None, cluster: str
) -> tuple[Resources | None, Resources | None]:
    """What is in use by everybody, and of it by the cluster's tasks, None where it is not known.

    `before` are stats of an earlier look; without them the load stands for the CPU in use.
    """
    now = found.stats
    if now is None:
        return None, None
    busy = now.cpu.busy_since(before.cpu) if before and now.boot_id == before.boot_id else None
    cpu = min(now.load[0] / now.cpus, 1.0) if busy is None else busy
    used = Resources(cpu=round(cpu * now.capacity.cpu), memory=now.memory_in_use, disk=now.disk_in_use)
    if before is None or now.at <= before.at or not isinstance(found, Seen):
        return used, None
    mine = {
        held.id: now.uses[held.id]
        for held in found.containers
        if held.id in now.uses and held.identity is not None and held.identity.cluster == cluster
    }
    uses = _used_by(mine, before.uses, now.at - before.at, now.capacity)
    return used, sum(uses.values(), Resources())


def _used_by(
    now: Mapping[str, Use], before: Mapping[str, Use], seconds: float, capacity: Resources
) -> Mapping[str, Resources]:
    """No more than the machine has: what was not measured before may be older than that."""
    return {
        name: Resources(
            cpu=min(round(1000 * _spent(use, before.get(name)) / seconds), capacity.cpu), memory=use.memory
        )
        for name, use in now.items()
    }


def _spent(now: Use, before: Use | None) -> float:
    """Seconds of CPU; a container that started in between began with none."""
    return now.cpu if before is None or before.cpu > now.cpu else now.cpu - before.cpu
