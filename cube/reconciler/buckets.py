"""Every recorded task in exactly one bucket; each bucket has one rule."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from cube.model.job import JobType
from cube.model.task import Slot, State, Task
from cube.reconciler.world import Want, World
from cube.scheduler.filters import STANDING_FILTERS, refusals_of
from cube.scheduler.state import NodeState, Request


class Bucket(StrEnum):
    """What is to be done about a task."""

    PENDING = "pending"  # waits for a place
    UNKNOWN = "unknown"  # its node did not answer: hands off
    EXTRA = "extra"  # nobody wants it, or another task fills its slot
    OUTDATED = "outdated"  # its slot wants another spec, or another node
    FINISHED = "finished"  # ended as it should
    FAILED = "failed"  # ended as it should not
    MISSING = "missing"  # meant to run, not known to
    KEPT = "kept"  # runs, and is wanted as it is


@dataclass(frozen=True, slots=True, kw_only=True)
class Sorted:
    """The tasks by bucket, and the slots that no task fills."""

    buckets: Mapping[Bucket, tuple[Task, ...]]
    unfilled: tuple[Want, ...]


def sort_tasks(world: World, wants: Mapping[Slot, Want]) -> Sorted:
    """Put each task into its bucket and find the slots that are left over."""
    holders = _holders(world, wants)
    placed = {task.id: _bucket(task, world, wants.get(task.slot), holders) for task in world.tasks}
    buckets = {bucket: tuple(task for task in world.tasks if placed[task.id] is bucket) for bucket in Bucket}
    pending = {task.slot for task in buckets[Bucket.PENDING]}
    unfilled = tuple(want for slot, want in wants.items() if slot not in holders or slot in pending)
    return Sorted(buckets=buckets, unfilled=unfilled)


def _bucket(task: Task, world: World, want: Want | None, holders: Mapping[Slot, Task]) -> Bucket:
    is_wanted = want is not None and holders.get(task.slot) is task
    if task.state is State.PENDING:
        return Bucket.PENDING if is_wanted else Bucket.EXTRA
    if task.state is State.COMPLETED:
        return Bucket.FINISHED
    if world.seen(task.node) is None:
        return Bucket.UNKNOWN
    if want is None or not is_wanted:
        return Bucket.EXTRA
    return Bucket.OUTDATED if is_outdated(task, want, world) else _bucket_of_wanted(task, world)


def _bucket_of_wanted(task: Task, world: World) -> Bucket:
    container = world.container(task)
    runs = container is not None and container.state.is_alive
    if runs and task.state is State.RUNNING:
        return Bucket.KEPT
    return Bucket.FAILED if task.state is State.FAILED and not runs else Bucket.MISSING


def is_outdated(task: Task, want: Want, world: World) -> bool:
    """The task's spec is not the group's, or its node no longer meets the group's standing demands."""
    if task.spec != want.group.spec:
        return True
    node = world.nodes.get(task.node or "")
    if node is None:
        return False
    request = Request.of(want.job, want.group, index=task.slot.index, order=0)
    state = NodeState(node=node, capacity=want.group.spec.resources)
    return bool(refusals_of(request, state, STANDING_FILTERS))


def _holders(world: World, wants: Mapping[Slot, Want]) -> Mapping[Slot, Task]:
    """The task that fills each wanted slot: of several the right spec, then Running, then the newest."""
    holders: dict[Slot, Task] = {}
    for task in world.tasks:
        want = wants.get(task.slot)
        if want is None or not _can_fill(task, want):
            continue
        rival = holders.get(task.slot)
        if rival is None or _claim(task, want) > _claim(rival, want):
            holders[task.slot] = task
    return holders


def _can_fill(task: Task, want: Want) -> bool:
    if task.state is not State.COMPLETED:
        return True
    return want.job.type is JobType.BATCH and task.spec == want.group.spec


def _claim(task: Task, want: Want) -> tuple[bool, bool, int]:
    return task.spec == want.group.spec, task.state is State.RUNNING, task.order
