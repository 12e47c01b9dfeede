"""The slots that jobs want filled."""

from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace

from cube.model.job import Constraint, Group, Job, JobType
from cube.model.node import Node
from cube.model.task import Slot, State, Task
from cube.reconciler.homes import home_of
from cube.reconciler.periodic import is_overdue, runs_to_forget
from cube.reconciler.world import World
from cube.scheduler.attributes import SEEN, attribute
from cube.scheduler.filters import STANDING_FILTERS, refusals_of
from cube.scheduler.state import NodeState, Request


@dataclass(frozen=True, slots=True, kw_only=True)
class Want:
    """A slot that a job wants filled. `node`: the one that it belongs to, or that it is to move to.

    `home`: of one that may go anywhere else the node that keeps its data.
    """

    slot: Slot
    job: Job
    group: Group
    node: str | None = None
    home: str | None = None

    @property
    def ends_by_itself(self) -> bool:
        """Its task is done when it has ended well."""
        return self.job.type_of(self.group) is JobType.BATCH

    def request(self, order: int = 0) -> Request:
        """What the slot asks of a node."""
        asked = Request.of(self.job, self.group, index=self.slot.index, order=order, node=self.node)
        return replace(asked, home=self.home) if self.home is not None else asked


def wants_of(world: World) -> Mapping[Slot, Want]:
    """Every slot that is wanted, in the order of jobs, groups and indices."""
    old = runs_to_forget(world)
    wants = (
        want
        for job in world.jobs
        if _wants_tasks(job, world) and job.name not in old
        for group in job.groups
        for want in (
            _one_per_node(job, group, world)
            if job.type_of(group) is JobType.SYSTEM
            else _as_counted(job, group, world)
        )
    )
    return {want.slot: want for want in wants if want.slot not in world.vacated}


def fits_for_good(job: Job, group: Group, node: Node) -> bool:
    """The node meets what the group demands of it for as long as a task lives there.

    What nobody knows of a node is nothing against it: it may be silent.
    """
    if not (job.datacenters or group.constraints):
        return True
    unknown = {name for name in SEEN if attribute(node, name) is None}
    group = replace(group, constraints=_without(group.constraints, unknown))
    state = NodeState(node=node, capacity=group.spec.resources)
    return not refusals_of(Request.of(job, group, index=0, order=0), state, STANDING_FILTERS)


def _without(constraints: Sequence[Constraint], names: AbstractSet[str]) -> tuple[Constraint, ...]:
    return tuple(found for found in constraints if found.attribute not in names)


def _wants_tasks(job: Job, world: World) -> bool:
    return not (job.stopped or job.type.is_template or is_overdue(job, world))


def _as_counted(job: Job, group: Group, world: World) -> Iterator[Want]:
    for index in range(group.count):
        slot = Slot(job=job.name, group=group.name, index=index)
        if (move := world.moves.get(slot)) is not None:
            yield Want(slot=slot, job=job, group=group, node=move.target)
        else:
            yield Want(slot=slot, job=job, group=group, home=home_of(slot, group.spec, world))


def _one_per_node(job: Job, group: Group, world: World) -> Iterator[Want]:
    """A node's slot is that of the task it has; a new node gets the lowest index that is free."""
    mine = [
        task
        for task in world.tasks
        if task.slot.group_key == (job.name, group.name) and task.state is not State.COMPLETED
    ]
    held = {task.node: task.slot.index for task in mine if task.node is not None}
    free = (index for index in range(len(held) + len(world.nodes)) if index not in held.values())
    for node in world.nodes.values():
        if fits_for_good(job, group, node) and _is_to_have(node, world, has_it=node.name in held):
            index = held[node.name] if node.name in held else next(free)
            slot = Slot(job=job.name, group=group.name, index=index)
            yield Want(slot=slot, job=job, group=group, node=node.name)


def _is_to_have(node: Node, world: World, *, has_it: bool) -> bool:
    if world.is_draining(node.name):
        return has_it and any(_is_guest(task, world) for task in world.tasks if task.node == node.name)
    return has_it or (world.may_get_tasks(node) and world.seen(node.name) is not None)


def _is_guest(task: Task, world: World) -> bool:
    """A task that a drain moves: system tasks leave a node after all others."""
    job = next((job for job in world.jobs if job.name == task.slot.job), None)
    group = job.group(task.slot.group) if job else None
    is_system = job is not None and group is not None and job.type_of(group) is JobType.SYSTEM
    return not task.state.is_terminal and not is_system
