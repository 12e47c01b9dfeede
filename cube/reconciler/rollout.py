"""How many outdated tasks may go now: never more out of service at a time than the group allows."""

from collections.abc import Mapping, Sequence

from cube.model.action import Note, Stop
from cube.model.task import Slot, Task
from cube.reconciler.buckets import Bucket, Sorted
from cube.reconciler.tasks import is_ready, stop
from cube.reconciler.world import Want, World

GroupKey = tuple[str, str]


def replace_outdated(
    world: World, wants: Mapping[Slot, Want], tasks: Sorted
) -> tuple[tuple[Stop | Note, ...], tuple[str, ...]]:
    """Stops for as many outdated tasks as may go, and a line per group on those that wait.

    One that does not serve goes at once. Of those that serve, as many go as `max_parallel` leaves after
    the slots of the group that are out of service already. A slot on an unknown node does not count:
    one bad node holds up no other.
    """
    stops: list[Stop | Note] = []
    waiting: list[str] = []
    for key, outdated in _by_group(tasks.buckets[Bucket.OUTDATED]).items():
        want = wants[outdated[0].slot]
        idle = [task for task in outdated if not is_ready(task)]
        serving = [task for task in outdated if is_ready(task)]
        room = max(want.group.max_parallel - _out_of_service(key, tasks) - len(idle), 0)
        reason = f"replaced by version {want.job.version}"
        stops += [stop(task, world, reason) for task in (*idle, *serving[:room])]
        if rest := len(serving[room:]):
            waiting.append(
                f"{rest} more of {key[0]}/{key[1]} to replace, {want.group.max_parallel} at a time"
            )
    return tuple(stops), tuple(waiting)


def _by_group(tasks: Sequence[Task]) -> Mapping[GroupKey, list[Task]]:
    groups: dict[GroupKey, list[Task]] = {}
    for task in sorted(tasks, key=lambda task: task.slot.index):
        groups.setdefault((task.slot.job, task.slot.group), []).append(task)
    return groups


def _out_of_service(key: GroupKey, tasks: Sorted) -> int:
    unfilled = [want.slot for want in tasks.unfilled]
    current = (*tasks.buckets[Bucket.KEPT], *tasks.buckets[Bucket.MISSING], *tasks.buckets[Bucket.FAILED])
    down = [task.slot for task in current if not is_ready(task) or task in tasks.buckets[Bucket.MISSING]]
    return sum((slot.job, slot.group) == key for slot in (*unfilled, *down))
