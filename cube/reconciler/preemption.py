"""Who gives way to a task that matters more and fits nowhere: as little as helps, of what matters least.

Where the inventory does not allow it nobody is a tenant, and nobody gives way.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce

from cube.model.job import JobType
from cube.model.resources import Resources
from cube.model.task import GroupKey, Slot, Task
from cube.reconciler.buckets import Bucket, Sorted
from cube.reconciler.silence import is_cut_off
from cube.reconciler.tasks import is_of_use, is_proven
from cube.reconciler.wants import Want
from cube.reconciler.world import World
from cube.scheduler.algorithms import is_last_resort
from cube.scheduler.filters import choose_ports, refusals_of
from cube.scheduler.state import NodeState, Request

GAP = 10
"""By how much a job must matter less for its tasks to give way: who is nearly as important stays."""

BY = "preempted by"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tenant:
    """A task that would give way to one of a priority that is higher by GAP. `serves`: somebody needs it."""

    task: Task
    priority: int
    serves: bool

    @property
    def group(self) -> GroupKey:
        """Of whose tasks only so many may go at a time."""
        return self.task.slot.group_key


@dataclass(frozen=True, slots=True, kw_only=True)
class Crowd:
    """Who is on the nodes. `leaving` go in any case: their room is waited for."""

    tenants: Mapping[str, Sequence[Tenant]] = field(default_factory=dict)
    leaving: Mapping[str, Sequence[Task]] = field(default_factory=dict)


NOBODY = Crowd()


@dataclass(frozen=True, slots=True, kw_only=True)
class Eviction:
    """Room for the slot's task on a node, once these have gone; no more of them than is needed."""

    slot: Slot
    node: str
    tenants: tuple[Tenant, ...]

    def __str__(self) -> str:
        names = ", ".join(str(found.task.slot) for found in self.tenants)
        return f"{names} give{'s' * (len(self.tenants) == 1)} way on {self.node}"


def was_preempted(task: Task) -> bool:
    """It ended to make room for another slot's task."""
    return task.reason.startswith(BY)


def crowd_of(world: World, wants: Mapping[Slot, Want], tasks: Sorted) -> Crowd:
    """Who may have to give way, where the cluster wants that; nobody while it is we who are cut off."""
    if not world.preemption or is_cut_off(world.observed):
        return NOBODY
    tenants: dict[str, list[Tenant]] = {}
    # Of two in one slot one goes in this wave: the other one is needed until that is over.
    doubled = {task.slot for task in tasks.of(Bucket.EXTRA)}
    for task in tasks.of(Bucket.KEPT, Bucket.OUTDATED, Bucket.MISSING, Bucket.FAILED):
        want = wants[task.slot]
        is_alone = task.slot not in doubled
        if is_alone and task.node is not None and want.job.type_of(want.group) is not JobType.SYSTEM:
            found = Tenant(task=task, priority=want.job.priority, serves=is_of_use(task, world))
            tenants.setdefault(task.node, []).append(found)
    leaving: dict[str, list[Task]] = {}
    for task in tasks.of(Bucket.EXTRA):
        if task.node is not None and task.holds_room:
            leaving.setdefault(task.node, []).append(task)
    return Crowd(tenants=tenants, leaving=leaving)


def room_for(request: Request, priority: int, room: Mapping[str, NodeState], crowd: Crowd) -> Eviction | None:
    """The node on which the least must give way, and who; None: nowhere would that help, or none need to.

    The least: first nodes where the slot's tasks have not failed, then whose most important tenant matters
    least, then the fewest, then the smallest sum of priorities, then the order of nodes.
    """
    if not crowd.tenants or _is_coming(request, room, crowd.leaving):
        return None
    asked = request.among(room.values())
    chosen = {
        name: least(asked, state, [one for one in crowd.tenants.get(name, ()) if _below(one, priority)])
        for name, state in room.items()
    }
    helps = [name for name, found in chosen.items() if found]
    if not helps:
        return None
    node = min(helps, key=lambda name: (is_last_resort(request, room[name]), *_price(chosen[name])))
    return Eviction(slot=request.slot, node=node, tenants=chosen[node])


def least(request: Request, state: NodeState, tenants: Sequence[Tenant]) -> tuple[Tenant, ...]:
    """Those without whom the request fits on the node, none of them in vain; empty: nobody's going helps.

    One alone, where one is enough; else those that matter least first, and of equals the largest.
    """
    size = state.capacity
    line = sorted(tenants, key=lambda one: (one.priority, -_share(one, size), one.task.order))
    left, chosen = state, list[Tenant]()
    for one in line:
        if _fits(request, left):
            break
        left = left.without(one.task)
        chosen.append(one)
    if not chosen or not _fits(request, left):
        return ()
    as_little = [one for one in line if one.priority <= chosen[-1].priority]
    alone = next((one for one in as_little if _fits(request, state.without(one.task))), None)
    return _none_in_vain(request, state, chosen) if alone is None else (alone,)


def _none_in_vain(request: Request, state: NodeState, tenants: Sequence[Tenant]) -> tuple[Tenant, ...]:
    """Without those that need not go, of which what matters most stays first."""
    needed = list(tenants)
    for one in reversed(tenants):
        others = [other for other in needed if other is not one]
        if _fits(request, without(state, others)):
            needed = others
    return tuple(needed)


def without(state: NodeState, tenants: Sequence[Tenant]) -> NodeState:
    """The node once they have gone."""
    return _after_all(state, [one.task for one in tenants])


def held(state: NodeState, request: Request, eviction: Eviction) -> NodeState:
    """The node while they are still there: what the task needs beyond their room is nobody else's."""
    theirs = sum((one.task.spec.resources for one in eviction.tenants), Resources())
    ports = choose_ports(request.ports, without(state, eviction.tenants).ports) or {}
    return state.holding(request.resources.beyond(theirs), frozenset(ports.values()))


def after(crowd: Crowd, eviction: Eviction) -> Crowd:
    """Who is left to give way to others."""
    gone = {one.task.id for one in eviction.tenants}
    left = [one for one in crowd.tenants[eviction.node] if one.task.id not in gone]
    return replace(crowd, tenants={**crowd.tenants, eviction.node: left})


def going_now(evictions: Iterable[Eviction], spare: Mapping[GroupKey, int]) -> tuple[tuple[Task, Slot], ...]:
    """Who goes in this wave, and for which slot: of each group that serves no more than it can spare."""
    going, left = list[tuple[Task, Slot]](), dict(spare)
    for eviction in evictions:
        for one in eviction.tenants:
            if not one.serves or left.get(one.group, 0) > 0:
                going.append((one.task, eviction.slot))
                left[one.group] = left.get(one.group, 0) - one.serves
    return tuple(going)


def spare_of(
    world: World, wants: Mapping[Slot, Want], tasks: Sorted, placed: Iterable[Slot]
) -> Mapping[GroupKey, int]:
    """How many more of each group may be without a task that serves: what its `max_parallel` leaves.

    Those count whose task is not proven, and those that are placed just now; not those that wait for a place,
    for then the group would never lose another.
    """
    unproven = (
        task.slot
        for task in tasks.of(Bucket.KEPT, Bucket.MISSING, Bucket.FAILED)
        if not is_proven(task, wants[task.slot].group, world)
    )
    beside = (task.slot for task in tasks.of(Bucket.BESIDE))
    on_the_way = Counter(slot.group_key for slot in {*unproven, *beside, *placed})
    groups = {slot.group_key: want.group.update.max_parallel for slot, want in wants.items()}
    return {group: most - on_the_way[group] for group, most in groups.items()}


def _below(tenant: Tenant, priority: int) -> bool:
    return tenant.priority <= priority - GAP


def _price(chosen: Sequence[Tenant]) -> tuple[int, int, int]:
    priorities = [one.priority for one in chosen]
    return max(priorities), len(priorities), sum(priorities)


def _share(tenant: Tenant, size: Resources) -> float:
    asked = tenant.task.spec.resources
    return max(asked.cpu / max(size.cpu, 1), asked.memory / max(size.memory, 1))


def _fits(request: Request, state: NodeState) -> bool:
    return not refusals_of(request, state)


def _is_coming(
    request: Request, room: Mapping[str, NodeState], leaving: Mapping[str, Sequence[Task]]
) -> bool:
    """It fits once those have gone that go in any case."""
    asked = request.among(room.values()) if leaving else request
    return any(_fits(asked, _after_all(room[name], tasks)) for name, tasks in leaving.items() if name in room)


def _after_all(state: NodeState, leaving: Sequence[Task]) -> NodeState:
    return reduce(NodeState.without, leaving, state)
