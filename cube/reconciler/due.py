"""When time alone will change the plan."""

from collections.abc import Iterable, Iterator, Mapping

from cube.model.task import Slot
from cube.reconciler.buckets import Bucket, Sorted
from cube.reconciler.conclusion import next_proofs
from cube.reconciler.dependency import next_dependencies
from cube.reconciler.health import next_check
from cube.reconciler.restarts import can_reschedule, can_restart, reschedule_due, restart_due
from cube.reconciler.rollout import next_rests
from cube.reconciler.wants import Want
from cube.reconciler.world import World


def next_changes(world: World, wants: Mapping[Slot, Want], tasks: Sorted) -> Mapping[str, float]:
    """The first such time of each job that a run may wait for, in seconds since the epoch."""
    times = (
        *_restarts(world, wants, tasks),
        *_checks(world, tasks),
        *_ends_of_drains(world, tasks),
        *((job, world.now + 1.0) for job in next_dependencies(world, wants, tasks.unfilled, tasks.holders)),
        *next_proofs(world, wants, tasks),
        *next_rests(world, wants, tasks),
    )
    return first_of_each(times)


def first_of_each(times: Iterable[tuple[str, float]]) -> dict[str, float]:
    """The first time of each job."""
    first: dict[str, float] = {}
    for job, at in times:
        first[job] = min(at, first.get(job, at))
    return first


def later_changes(world: World, wants: Mapping[Slot, Want], tasks: Sorted) -> Iterator[tuple[str, float]]:
    """What is left to the next sweep: new tasks for those that failed for good, ends of quarantines."""
    for task in tasks.of(Bucket.FAILED, Bucket.QUARANTINED):
        group = wants[task.slot].group
        is_held = tasks.holders.get(task.slot) is task
        if is_held and not can_restart(task, group) and can_reschedule(task, group):
            yield task.slot.job, reschedule_due(task, group, world.now)
    for task in tasks.of(Bucket.QUARANTINED):
        if task.quarantined_until is not None:
            yield task.slot.job, task.quarantined_until


def _restarts(world: World, wants: Mapping[Slot, Want], tasks: Sorted) -> Iterator[tuple[str, float]]:
    for task in tasks.of(Bucket.FAILED):
        group = wants[task.slot].group
        if can_restart(task, group):
            yield task.slot.job, restart_due(task, group, world.now)


def _checks(world: World, tasks: Sorted) -> Iterator[tuple[str, float]]:
    for task in tasks.of(Bucket.KEPT, Bucket.BESIDE, Bucket.OUTDATED):
        if (at := next_check(task, world)) is not None:
            yield task.slot.job, at


def _ends_of_drains(world: World, tasks: Sorted) -> Iterator[tuple[str, float]]:
    for task in tasks.of(Bucket.OUTDATED):
        at = world.drain_deadline(task.node)
        if at is not None and at > world.now:
            yield task.slot.job, at
