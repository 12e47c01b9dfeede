"""How many outdated tasks may go now: never more out of service at a time than the group allows."""

from collections.abc import Mapping, Sequence

from cube.model.action import Held, Note, Stop
from cube.model.task import Slot, Task
from cube.reconciler.buckets import Bucket, Sorted
from cube.reconciler.placement import has_successor, node_states
from cube.reconciler.tasks import serves, stop
from cube.reconciler.world import Want, World

GroupKey = tuple[str, str]


def replace_outdated(
    world: World, wants: Mapping[Slot, Want], tasks: Sorted
) -> tuple[tuple[Stop | Note, ...], tuple[Held, ...]]:
    """Stops for as many outdated tasks as may go, and for each group what holds the others.

    One that does not serve goes at once. Of those that serve, as many go as `max_parallel` leaves after
    the slots of the group that are out of service already, and only where a task of the new version will
    fit. A slot on an unknown node does not count: one bad node holds up no other.
    """
    states = node_states(world)
    stops: list[Stop | Note] = []
    held: list[Held] = []
    for key, outdated in _by_group(tasks.buckets[Bucket.OUTDATED]).items():
        want = wants[outdated[0].slot]
        limit = want.group.max_parallel
        idle = [task for task in outdated if not serves(task, world)]
        serving = [task for task in outdated if serves(task, world)]
        fitting = [task for task in serving if has_successor(task, want, states)]
        going = fitting[: max(limit - _out_of_service(key, world, tasks) - len(idle), 0)]
        stops += [stop(task, world, f"replaced by version {want.job.version}") for task in (*idle, *going)]
        if left := len(serving) - len(going):
            reason = f"{limit} at a time" if fitting else f"version {want.job.version} fits nowhere"
            held.append(Held(job=key[0], group=key[1], count=left, reason=reason))
    return tuple(stops), tuple(held)


def _by_group(tasks: Sequence[Task]) -> Mapping[GroupKey, list[Task]]:
    groups: dict[GroupKey, list[Task]] = {}
    for task in sorted(tasks, key=lambda task: task.slot.index):
        groups.setdefault((task.slot.job, task.slot.group), []).append(task)
    return groups


def _out_of_service(key: GroupKey, world: World, tasks: Sorted) -> int:
    """The group's slots between two tasks, or whose task does not serve; not those that never had a place."""
    gone = {task.slot for task in tasks.buckets[Bucket.FINISHED]}
    between = [want.slot for want in tasks.unfilled if want.slot in gone]
    current = (*tasks.buckets[Bucket.KEPT], *tasks.buckets[Bucket.MISSING], *tasks.buckets[Bucket.FAILED])
    down = [task.slot for task in current if not serves(task, world)]
    return sum((slot.job, slot.group) == key for slot in (*between, *down))
