"""How a new version takes the place of the old: what may begin, what holds the rest, when it is over."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from cube.model.action import Held, Note, Stop
from cube.model.policy import Order
from cube.model.rollout import RolloutState
from cube.model.task import GroupKey, Slot, Task
from cube.reconciler.buckets import Bucket, Sorted, has_canaries, is_on_hold, why_outdated
from cube.reconciler.dependency import unmet
from cube.reconciler.line import Opening
from cube.reconciler.placement import Room, fits_beside, keep_room, why_nowhere
from cube.reconciler.tasks import is_proven, rested_at, serves, stop
from cube.reconciler.wants import Want
from cube.reconciler.world import World


@dataclass(frozen=True, slots=True, kw_only=True)
class Wave:
    """What is done about outdated tasks now: those to stop, and the slots to be filled beside their old task.

    `held` tells of those that stay for now. `room` is what is left once each task that is stopped has kept
    what its successor needs.
    """

    room: Room

    stops: tuple[Stop | Note, ...] = ()
    begins: tuple[Opening, ...] = ()
    held: tuple[Held, ...] = ()


def next_wave(world: World, wants: Mapping[Slot, Want], tasks: Sorted, room: Room) -> Wave:
    """As many outdated tasks of each group as may go now.

    One that does not serve goes at once. Of those that serve, as many begin as `max_parallel` leaves after
    the slots of the group that are under way already, and only where a task of the new version will fit.
    A slot on an unknown node does not count: one bad node holds up no other.
    """
    outdated = _by_group(tasks.of(Bucket.OUTDATED))
    waves: list[Wave] = []
    for found in outdated.values():
        waves.append(_wave_of_group(found, world, wants, tasks, waves[-1].room if waves else room))
    return Wave(
        room=waves[-1].room if waves else room,
        stops=tuple(action for wave in waves for action in wave.stops),
        begins=tuple(opening for wave in waves for opening in wave.begins),
        held=_one_per_group(
            (*(held for wave in waves for held in wave.held), *_held_on_hold(world, wants, tasks))
        ),
    )


def _wave_of_group(
    outdated: Sequence[Task], world: World, wants: Mapping[Slot, Want], tasks: Sorted, room: Room
) -> Wave:
    want = wants[outdated[0].slot]
    hold = _why_none_may_go(want, world, wants, tasks)
    free = [task for task in outdated if not hold or not _is_barred(task, want, world)]
    idle = [task for task in free if _goes_at_once(task, world)]
    serving = [task for task in free if not _goes_at_once(task, world)]
    eligible = [task for task in serving if _is_eligible(task, wants[task.slot], world)]
    busy = _under_way(want, world, wants, tasks) + len(_resting(want, world, tasks))
    left = want.group.update.max_parallel - len(idle) - busy
    beginning, stopping, room_left = _exchanges(eligible, wants, room, left)
    leaving = {task.id for task in (*idle, *beginning, *stopping)}
    staying = [task for task in outdated if task.id not in leaving]
    is_stuck = left > 0 and bool(eligible) and not (beginning or stopping)
    nowhere = _why_stuck(eligible[0], wants, world, room) if is_stuck else ""
    reason = (hold if len(free) < len(outdated) else nowhere) or _why_they_wait(want, world, eligible)
    return Wave(
        stops=tuple(stop(task, world, _why(task, wants, world)) for task in (*idle, *stopping)),
        begins=tuple(
            Opening(want=wants[task.slot], why=_why(task, wants, world), beside=task) for task in beginning
        ),
        held=(_held(want, staying, reason, waits=is_on_hold(want, world)),) if staying else (),
        room=room_left,
    )


def _why_none_may_go(want: Want, world: World, wants: Mapping[Slot, Want], tasks: Sorted) -> str:
    rollout = world.rollout(want.job.name)
    if rollout.state is RolloutState.FAILED:
        return f"the rollout of version {rollout.version} failed: {rollout.reason}"
    if rollout.state is RolloutState.PAUSED:
        return f"the rollout is paused; go on with: cube resume {want.job.name}"
    return unmet(want, world, wants, tasks.holders)


def _why_stuck(task: Task, wants: Mapping[Slot, Want], world: World, room: Room) -> str:
    want = wants[task.slot]
    if want.node is not None and world.is_draining(want.node):
        return f"it leaves {want.node} after all others"
    return f"version {want.job.version} fits nowhere: {why_nowhere(task, want, room)}"


def _why_they_wait(want: Want, world: World, eligible: Sequence[Task] = ()) -> str:
    if want.ends_by_itself and not eligible:
        return "each runs until it has ended"
    if has_canaries(want, world) and not eligible:
        first = (
            "a canary comes" if want.group.update.canary == 1 else f"{want.group.update.canary} canaries come"
        )
        return f"{first} first; go on with: cube promote {want.job.name}"
    pause = f", {want.group.update.delay:g}s apart" if want.group.update.delay else ""
    return f"{want.group.update.max_parallel} at a time{pause}"


def _held_on_hold(world: World, wants: Mapping[Slot, Want], tasks: Sorted) -> Iterator[Held]:
    """Old tasks that are left beside new ones, or in their place, until somebody else goes first."""
    kept = [task for task in tasks.of(Bucket.KEPT) if task.spec != wants[task.slot].group.spec]
    for found in _by_group((*tasks.of(Bucket.BESIDE), *kept)).values():
        want = wants[found[0].slot]
        reason = _why_none_may_go(want, world, wants, tasks)
        if reason or is_on_hold(want, world):
            waits = is_on_hold(want, world)
            yield _held(want, found, reason or _why_they_wait(want, world), waits=waits)


def _one_per_group(helds: Sequence[Held]) -> tuple[Held, ...]:
    """The first of each group, which tells of all of its tasks."""
    groups: dict[GroupKey, Held] = {}
    for held in helds:
        key = (held.job, held.group)
        before = groups.get(key)
        groups[key] = replace(before, count=before.count + held.count) if before else held
    return tuple(groups.values())


def _held(want: Want, found: Sequence[Task], reason: str, *, waits: bool = False) -> Held:
    return Held(
        job=want.job.name,
        group=want.group.name,
        count=len(found),
        reason=reason,
        waits_for_a_person=waits,
    )


def _why(task: Task, wants: Mapping[Slot, Want], world: World) -> str:
    return why_outdated(task, wants[task.slot], world)


def _is_barred(task: Task, want: Want, world: World) -> bool:
    """It is of an older version; what a drain moves, or somebody changed, is of the one that is wanted."""
    return task.spec != want.group.spec and not _must_go(task, world)


def _goes_at_once(task: Task, world: World) -> bool:
    return not serves(task, world) or _must_go(task, world)


def _must_go(task: Task, world: World) -> bool:
    """Its node is drained, and the time for that is over."""
    deadline = world.drain_deadline(task.node)
    return deadline is not None and deadline <= world.now


def _is_eligible(task: Task, want: Want, world: World) -> bool:
    """Of a new version only the canaries before somebody has promoted it; a drain waits for batch tasks."""
    is_older = task.spec != want.group.spec
    if want.ends_by_itself and not is_older and world.is_draining(task.node):
        return False
    return not (is_older and has_canaries(want, world)) or task.slot.index < want.group.update.canary


def _exchanges(
    eligible: Sequence[Task], wants: Mapping[Slot, Want], room: Room, most: int
) -> tuple[list[Task], list[Task], Room]:
    """Those whose successor starts beside them, those that are stopped first, and the room that is left."""
    beginning: list[Task] = []
    stopping: list[Task] = []
    for task in eligible:
        if len(beginning) + len(stopping) >= most:
            break
        want = wants[task.slot]
        if _may_start_first(task, want) and fits_beside(want, room):
            beginning.append(task)
        elif want.group.update.order is not Order.START_FIRST and (kept := keep_room(task, want, room)):
            stopping.append(task)
            room = kept
    return beginning, stopping, room


def _may_start_first(task: Task, want: Want) -> bool:
    order = want.group.update.order
    return order is Order.START_FIRST or (order is Order.AUTO and not _would_clash(task, want))


def _would_clash(task: Task, want: Want) -> bool:
    """Two tasks of the slot would want one host port, or write to one volume."""
    spec, is_apart = want.group.spec, want.node not in (None, task.node)
    wants_a_port = any(port.host is not None for port in spec.ports) and not is_apart
    return wants_a_port or any(not volume.read_only for volume in spec.volumes)


def _under_way(want: Want, world: World, wants: Mapping[Slot, Want], tasks: Sorted) -> int:
    """The group's slots between two tasks, or whose task is not proven; not those that never had a place."""
    gone = {task.slot for task in tasks.of(Bucket.FINISHED, Bucket.EXTRA, Bucket.BESIDE)}
    between = {want.slot for want in tasks.unfilled if want.slot in gone}
    current = tasks.of(Bucket.KEPT, Bucket.MISSING, Bucket.FAILED)
    unproven = {task.slot for task in current if not is_proven(task, wants[task.slot].group, world)}
    # A canary that is proven has come: its old task stays until somebody promotes it.
    beside = {task.slot for task in tasks.of(Bucket.BESIDE)} if not has_canaries(want, world) else set()
    key = (want.job.name, want.group.name)
    return sum(slot.group_key == key for slot in between | unproven | beside)


def next_rests(world: World, wants: Mapping[Slot, Want], tasks: Sorted) -> Iterator[tuple[str, float]]:
    """By job, when the next old task may go, as far as that waits for the pause between two."""
    for outdated in _by_group(tasks.of(Bucket.OUTDATED)).values():
        want = wants[outdated[0].slot]
        for task in _resting(want, world, tasks):
            yield task.slot.job, rested_at(task, want.group, world.now)


def _resting(want: Want, world: World, tasks: Sorted) -> Sequence[Task]:
    """The group's tasks of the new version that have been proven for less than the pause between two."""
    rollout, update = world.rollout(want.job.name), want.group.update
    if not update.delay or rollout.state is not RolloutState.RUNNING:
        return ()
    key = (want.job.name, want.group.name)
    return [
        task
        for task in tasks.of(Bucket.KEPT)
        if task.slot.group_key == key
        and task.version == rollout.version
        and is_proven(task, want.group, world)
        and rested_at(task, want.group, world.now) > world.now
    ]


def _by_group(tasks: Sequence[Task]) -> Mapping[GroupKey, list[Task]]:
    groups: dict[GroupKey, list[Task]] = {}
    for task in sorted(tasks, key=lambda task: task.slot.index):
        groups.setdefault(task.slot.group_key, []).append(task)
    return groups
