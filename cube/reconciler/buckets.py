"""Every recorded task in exactly one bucket; each bucket has one rule."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from cube.model.rollout import RolloutState
from cube.model.task import Slot, State, Task
from cube.reconciler.dependency import unmet
from cube.reconciler.restarts import makes_way
from cube.reconciler.silence import is_lost
from cube.reconciler.tasks import is_of_use, is_proven
from cube.reconciler.wants import Want, fits_for_good
from cube.reconciler.world import World


class Bucket(StrEnum):
    """What is to be done about a task."""

    PENDING = "pending"  # waits for a place
    UNKNOWN = "unknown"  # its node did not answer: hands off
    LOST = "lost"  # its node has been silent for too long: hands off, and its slot is to be filled
    QUARANTINED = "quarantined"  # sick, and kept for somebody to look at
    EXTRA = "extra"  # nobody wants it, or another task fills its slot
    BESIDE = "beside"  # serves on until the task that took its slot is proven
    OUTDATED = "outdated"  # its slot wants another spec, or another node
    FINISHED = "finished"  # ended as it should
    FAILED = "failed"  # ended as it should not
    MISSING = "missing"  # meant to run, not known to
    KEPT = "kept"  # runs, and is wanted as it is


BUCKETS = tuple(Bucket)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sorted:
    """The tasks by bucket, the slots that no task fills, and the task that fills each of the others."""

    buckets: Mapping[Bucket, Sequence[Task]]
    unfilled: tuple[Want, ...]
    holders: Mapping[Slot, Task]

    def of(self, *buckets: Bucket) -> tuple[Task, ...]:
        """The tasks of those buckets."""
        return tuple(task for bucket in buckets for task in self.buckets[bucket])

    def without(self, leaving: Collection[Task], wants: Mapping[Slot, Want]) -> "Sorted":
        """Where these tasks are on their way out, and their slots empty."""
        if not leaving:
            return self
        gone = {task.id for task in leaving}
        left = {
            bucket: [task for task in found if task.id not in gone] for bucket, found in self.buckets.items()
        }
        return Sorted(
            buckets={**left, Bucket.EXTRA: [*left[Bucket.EXTRA], *leaving]},
            unfilled=(*self.unfilled, *(wants[task.slot] for task in leaving)),
            holders={slot: task for slot, task in self.holders.items() if task.id not in gone},
        )


def sort_tasks(world: World, wants: Mapping[Slot, Want]) -> Sorted:
    """Put each task into its bucket and find the slots that are left over."""
    holders = _holders(world, wants)
    buckets: dict[Bucket, list[Task]] = {bucket: [] for bucket in BUCKETS}
    for task in world.tasks:
        buckets[_bucket(task, world, wants, holders)].append(task)
    pending = {task.slot for task in buckets[Bucket.PENDING]}
    unfilled = tuple(want for slot, want in wants.items() if slot not in holders or slot in pending)
    return Sorted(buckets=buckets, unfilled=unfilled, holders=holders)


def why_outdated(task: Task, want: Want, world: World) -> str:
    """Why the task is not what its slot wants; empty: it is."""
    if task.spec != want.group.spec:
        return f"version {want.job.version} is wanted"
    if why := _why_misplaced(task, want, world):
        return why
    container = world.container(task)
    if container is None:
        return ""
    if container.is_cut_off and task.quarantined_until is None:
        return "it was cut off as sick after all: that came late"
    return f"changed by hand: {container.drift}" if container.drift else ""


def _why_misplaced(task: Task, want: Want, world: World) -> str:
    """Why its slot wants another node; empty: it does not."""
    if world.is_draining(task.node):
        return f"{task.node} is drained"
    move, node = world.moves.get(task.slot), world.nodes.get(task.node or "")
    if move is not None and task.node != move.target:
        return f"moves to {move.target}: {move.reason}"
    if node is not None and (
        want.node not in (None, node.name) or not fits_for_good(want.job, want.group, node)
    ):
        return f"{node.name} no longer meets what its group demands"
    return ""


def _bucket(task: Task, world: World, wants: Mapping[Slot, Want], holders: Mapping[Slot, Task]) -> Bucket:
    want = wants.get(task.slot)
    is_held = want is not None and holders.get(task.slot) is task
    if task.state is State.PENDING:
        return Bucket.PENDING if is_held else Bucket.EXTRA
    is_kept = task.quarantined_until is not None and world.container(task) is not None
    if task.state is State.COMPLETED and not is_kept:
        return Bucket.FINISHED
    if world.seen(task.node) is None:
        return Bucket.LOST if want is not None and is_lost(task, want, world) else Bucket.UNKNOWN
    if want is None:
        return Bucket.EXTRA
    if task.quarantined_until is not None:
        return Bucket.QUARANTINED if world.now < task.quarantined_until else Bucket.EXTRA
    decide = _bucket_of_holder if is_held else _bucket_of_rival
    return decide(task, world, wants, holders)


def _bucket_of_rival(
    task: Task, world: World, wants: Mapping[Slot, Want], holders: Mapping[Slot, Task]
) -> Bucket:
    """A task that serves stays until the one that took its slot has shown that it can."""
    want, holder = wants[task.slot], holders.get(task.slot)
    if holder is None or not is_of_use(task, world):
        return Bucket.EXTRA
    is_older = task.spec != want.group.spec
    waits = not is_proven(holder, want.group, world) or (is_older and is_on_hold(want, world))
    return Bucket.BESIDE if waits else Bucket.EXTRA


def _bucket_of_holder(
    task: Task, world: World, wants: Mapping[Slot, Want], holders: Mapping[Slot, Task]
) -> Bucket:
    if why_outdated(task, wants[task.slot], world) and not _is_left_as_it_is(task, world, wants, holders):
        return Bucket.OUTDATED
    runs = world.lives(task)
    if runs and task.state is State.RUNNING:
        return Bucket.KEPT
    return Bucket.FAILED if task.state is State.FAILED and not runs else Bucket.MISSING


def _is_left_as_it_is(
    task: Task, world: World, wants: Mapping[Slot, Want], holders: Mapping[Slot, Task]
) -> bool:
    """An old version stays, and is looked after, while the rollout is held or others come first."""
    want = wants[task.slot]
    if task.spec == want.group.spec or world.is_draining(task.node):
        return False
    is_no_canary = has_canaries(want, world) and task.slot.index >= want.group.update.canary
    is_held = world.rollout(task.slot.job).state.is_held
    return is_held or is_no_canary or bool(unmet(want, world, wants, holders))


def is_on_hold(want: Want, world: World) -> bool:
    """No old version may go: the rollout failed, is paused, or waits for somebody to promote its canaries."""
    rollout = world.rollout(want.job.name)
    return rollout.state.is_held or has_canaries(want, world)


def has_canaries(want: Want, world: World) -> bool:
    """Only the first slots of the group may be given the new version, and the old ones stay beside them."""
    rollout = world.rollout(want.job.name)
    is_begun = rollout.state is RolloutState.RUNNING and rollout.stable is not None
    return is_begun and want.group.update.canary > 0 and not rollout.promoted


def _holders(world: World, wants: Mapping[Slot, Want]) -> Mapping[Slot, Task]:
    """The task that fills each wanted slot."""
    rivals: dict[Slot, list[Task]] = {}
    for task in world.tasks:
        want = wants.get(task.slot)
        if want is not None and _can_fill(task, want, world):
            rivals.setdefault(task.slot, []).append(task)
    return {slot: _holder(found, wants[slot], world) for slot, found in rivals.items()}


def _holder(rivals: Sequence[Task], want: Want, world: World) -> Task:
    """One that is there as wanted, then one that serves, then the oldest.

    If a rollout failed, first of all an old one that serves.
    """
    has_failed = world.rollout(want.job.name).state is RolloutState.FAILED

    def claim(task: Task) -> tuple[bool, ...]:
        does_serve = is_of_use(task, world)
        stays = has_failed and does_serve and task.spec != want.group.spec
        is_right = task.state is not State.PENDING and not why_outdated(task, want, world)
        return stays, is_right, does_serve, task.state is not State.FAILED

    if len(rivals) == 1:
        return rivals[0]
    return max(rivals, key=lambda task: (claim(task), -task.order))


def _can_fill(task: Task, want: Want, world: World) -> bool:
    if task.state is State.COMPLETED:
        has_ended_well = task.exit_code == 0  # else it was stopped, or given up for another try
        return want.ends_by_itself and has_ended_well and task.spec == want.group.spec
    if task.quarantined_until is not None:
        return _waits_for_its_successor(task, want, world)
    if makes_way(task, want.group, world.now) and not world.lives(task):
        return False
    return not is_lost(task, want, world)


def _waits_for_its_successor(task: Task, want: Want, world: World) -> bool:
    """A new task comes when the policy for failed ones says so, or at once where another one is wanted."""
    is_current = task.spec == want.group.spec and task.changed_at >= world.rollout(want.job.name).since
    return is_current and not makes_way(task, want.group, world.now)
