"""The one function that decides: what is wanted, recorded and seen, to a plan of one wave."""

from collections.abc import Collection, Iterable, Iterator, Mapping

from cube.model.action import Action, Decision, Note, Plan, Quarantine, Revert, Start, Stop, Wait
from cube.model.policy import Condition
from cube.model.task import Slot, State, Task
from cube.reconciler.advice import warnings
from cube.reconciler.buckets import Bucket, Sorted, sort_tasks, why_outdated
from cube.reconciler.conclusion import conclusions
from cube.reconciler.dependency import unmet
from cube.reconciler.devices import with_devices
from cube.reconciler.due import first_of_each, later_changes, next_changes
from cube.reconciler.filling import Leeway
from cube.reconciler.health import check_health, heal, is_sick
from cube.reconciler.images import images_first, untold
from cube.reconciler.line import Opening
from cube.reconciler.moves import without_ended_moves
from cube.reconciler.periodic import forget_runs, is_overdue, launches, next_launches
from cube.reconciler.placement import place_all, room_of
from cube.reconciler.preemption import BY, crowd_of, going_now, spare_of, was_preempted
from cube.reconciler.renames import crowded_out, under_new_names
from cube.reconciler.restarts import can_restart, makes_way, restart_due
from cube.reconciler.rollout import next_wave
from cube.reconciler.silence import on_lost
from cube.reconciler.tasks import recover, restart, serves, stop, stop_as_failed
from cube.reconciler.wants import Want, wants_of
from cube.reconciler.world import World
from cube.scheduler.algorithms import Scheduler

ORPHAN_GRACE = 10.0
"""Seconds to stop in, for a container whose task nobody remembers."""

AT_ONCE = 5
"""Tasks of one job that one wave restarts, or ends because they are sick: a herd comes back in steps (P8)."""

MOVES = 2
"""Tasks of lost nodes that may be on their way to another one at a time; a tenth of all, if that is more."""

SOON = 60.0
"""Seconds: what time changes later than that is left to the next sweep."""


def reconcile(world: World, scheduler: Scheduler) -> Plan:
    """The actions of the next wave, none of which waits for another, each with its reason.

    Pure and deterministic: the same world gives the same plan. Nothing is done about a node that is unknown.
    """
    world, renames = under_new_names(world)
    world, arrivals = without_ended_moves(world)
    wants = wants_of(world)
    tasks = sort_tasks(world, wants)
    ends = conclusions(world, wants, tasks)
    room = room_of(world) if tasks.unfilled or tasks.of(Bucket.OUTDATED) else {}
    leeway = Leeway(moves=moves_left(world, tasks), crowd=crowd_of(world, wants, tasks))
    filled = place_all(world, openings(world, wants, tasks, ends), scheduler, room, leeway)
    going = going_now(filled.evictions, spare_of(world, wants, tasks, filled.placed))
    staying = tasks.without([task for task, _ in going], wants)
    wave = next_wave(world, wants, staying, filled.room)
    begun = place_all(world, wave.begins, scheduler, wave.room)
    actions: tuple[Action, ...] = (
        *renames,
        *arrivals,
        *remove_orphans(world, wants, tasks),
        *end_extra(world, wants, tasks),
        *give_way(world, going),
        *wave.stops,
        *recover_missing(world, wants, staying, crowded_out(world, renames)),
        *restart_failed(world, wants, staying),
        *heal_sick(world, wants, staying),
        *check_all(world, staying, leaving=wave.stops),
        *hold_back(world, wants, tasks),
        *with_devices((*filled.actions, *begun.actions), world),
        *launches(world),
        *forget_runs(world),
        *ends,
    )
    unready = untold(world, wants, tasks, wave.stops)
    in_a_moment = (*(found.slot.job for found in filled.evictions), *(held.job for held in unready))
    soon = dict.fromkeys(in_a_moment, world.now + 1.0)
    due = {**next_changes(world, wants, tasks), **soon}
    return Plan(
        actions=images_first(world, wants, tasks, actions),
        due={job: at for job, at in due.items() if at <= world.now + SOON},
        later=first_of_each((*due.items(), *later_changes(world, wants, tasks), *next_launches(world))),
        held=(*wave.held, *unready),
        warnings=tuple(warnings(world, tasks)),
    )


def give_way(world: World, going: Iterable[tuple[Task, Slot]]) -> tuple[Stop | Note, ...]:
    """The ends of those that make room for what matters more."""
    return tuple(stop(task, world, f"{BY} {slot}") for task, slot in going)


def remove_orphans(world: World, wants: Mapping[Slot, Want], tasks: Sorted) -> tuple[Stop, ...]:
    """Containers of this store that no recorded task accounts for: a late effect, or a leftover."""
    done = {task.id for task in tasks.of(Bucket.FINISHED) if not _is_kept(task, wants)}
    kept = [task for task in world.tasks if task.id not in done]
    accounted = {(task.node, found.id) for task in kept if (found := world.container(task)) is not None}
    return tuple(
        Stop(
            node=name,
            container=found.id,
            container_name=found.name,
            grace=ORPHAN_GRACE,
            reason="no task accounts for it",
        )
        for name in world.observed
        if (seen := world.seen(name)) is not None
        for found in seen.containers
        if world.is_ours(found) and (name, found.id) not in accounted
    )


def end_extra(world: World, wants: Mapping[Slot, Want], tasks: Sorted) -> tuple[Stop | Note, ...]:
    """Tasks that nobody wants: the job was stopped, scaled down or removed, or the slot is filled twice."""
    jobs = {job.name: job for job in world.jobs}

    def reason(task: Task) -> str:
        job, want = jobs.get(task.slot.job), wants.get(task.slot)
        if job is None:
            return "its job was removed"
        if task.slot in world.vacated:
            return world.vacated[task.slot]
        if want is None:
            return _why_unwanted(task, world, is_stopped=job.stopped, is_overdue=is_overdue(job, world))
        if task.quarantined_until is not None:
            return "its quarantine is over"
        if makes_way(task, want.group, world.now):
            return f"moved: {task.reason}"
        return why_outdated(task, want, world) or "its slot is filled by another task"

    def end(task: Task) -> Stop | Note:
        # One that was given up stays failed, also when it is kept no longer.
        ends = stop_as_failed if tasks.holders.get(task.slot) is task else stop
        return ends(task, world, reason(task))

    return tuple(map(end, tasks.of(Bucket.EXTRA)))


def recover_missing(
    world: World, wants: Mapping[Slot, Want], tasks: Sorted, crowded: Collection[str]
) -> tuple[Start | Stop | Note, ...]:
    """What is believed of the tasks that should run and are not known to, or done to make them.

    Those of `crowded` end: their rooms have become others' while nobody knew what their node is called.
    """
    found = (
        stop(task, world, "its room was promised to another while its node was called otherwise")
        if task.id in crowded
        else recover(task, world, wants[task.slot])
        for task in tasks.of(Bucket.MISSING)
    )
    return tuple(action for action in found if action is not None)


def restart_failed(world: World, wants: Mapping[Slot, Want], tasks: Sorted) -> tuple[Action, ...]:
    """The failed tasks whose policy allows another attempt now; a few of each job at a time."""
    due = [
        task
        for task in tasks.of(Bucket.FAILED)
        if can_restart(task, wants[task.slot].group)
        and restart_due(task, wants[task.slot].group, world.now) <= world.now
    ]
    return tuple(restart(task, wants[task.slot]) for task in few_of_each_job(due))


def heal_sick(
    world: World, wants: Mapping[Slot, Want], tasks: Sorted
) -> tuple[Stop | Note | Quarantine, ...]:
    """What is done about the tasks that are unhealthy; a few of each job at a time."""
    sick = [task for task in tasks.of(Bucket.KEPT) if is_sick(task, world)]
    return tuple(
        heal(task, world, wants[task.slot], _quarantined(task, tasks)) for task in few_of_each_job(sick)
    )


def check_all(world: World, tasks: Sorted, leaving: Iterable[Stop | Note]) -> Iterator[Note]:
    """What the last checks change on the tasks that stay."""
    gone = {action.task.id for action in leaving if action.task is not None}
    staying = (task for task in tasks.of(Bucket.KEPT, Bucket.BESIDE, Bucket.OUTDATED) if task.id not in gone)
    return (note for task in staying if (note := check_health(task, world)) is not None)


def hold_back(world: World, wants: Mapping[Slot, Want], tasks: Sorted) -> tuple[Wait, ...]:
    """The slots of groups that wait for another group."""
    pending = {task.slot: task for task in tasks.of(Bucket.PENDING)}
    lost = why_lost(world, tasks)
    return tuple(
        Wait(
            slot=want.slot,
            version=want.job.version,
            spec=want.group.spec,
            decision=Decision(scores={}),
            reason=f"{lost[want.slot]}: {reason}" if want.slot in lost else reason,
            pending=pending.get(want.slot),
        )
        for want in tasks.unfilled
        if (reason := unmet(want, world, wants, tasks.holders))
    )


def openings(
    world: World, wants: Mapping[Slot, Want], tasks: Sorted, ends: Iterable[Action]
) -> tuple[Opening, ...]:
    """The empty slots that are to be filled now; not those of a version that is just being taken back."""
    going_back = {end.job for end in ends if isinstance(end, Revert)}
    waiting = {task.slot: task for task in tasks.of(Bucket.PENDING)}
    replaced = sorted(tasks.of(Bucket.EXTRA, Bucket.QUARANTINED), key=lambda task: task.order)
    former = {task.slot: task for task in replaced if _has_failed(task)}
    moving = {task.slot for task in tasks.of(Bucket.LOST)}
    lost = why_lost(world, tasks)
    preempted = {task.slot: task.reason for task in tasks.of(Bucket.FINISHED) if was_preempted(task)}
    why = preempted | lost | {slot: f"{task.reason} on {task.node}" for slot, task in former.items()}
    ended = {task.slot: world.last_on_a_node.get(task.slot, task) for task in tasks.of(Bucket.FINISHED)}
    exchanged = {slot for slot, last in ended.items() if _gave_way(last, world)} - set(preempted)
    return tuple(
        Opening(
            want=want,
            waiting=waiting.get(want.slot),
            former=former.get(want.slot),
            why=why.get(want.slot, ""),
            resumes=want.slot in exchanged,
            is_move=want.slot in moving,
            is_later=is_later,
        )
        for want in tasks.unfilled
        if want.job.name not in going_back
        and (not (is_later := bool(unmet(want, world, wants, tasks.holders))) or _needs_room_beside(want))
    )


def why_lost(world: World, tasks: Sorted) -> dict[Slot, str]:
    """The slots whose last task on a node is lost, and with which node."""
    last = world.last_on_a_node
    return {task.slot: on_lost(task.node) for task in tasks.of(Bucket.LOST) if last[task.slot].id == task.id}


def moves_left(world: World, tasks: Sorted) -> int:
    """How many tasks of lost nodes may begin to move now (P8)."""
    lost = {task.slot for task in tasks.of(Bucket.LOST)}
    live = sum(not task.state.is_terminal for task in world.tasks)
    begun = [task for task in tasks.holders.values() if task.slot in lost and task.state is not State.PENDING]
    return max(MOVES, live // 10) - sum(not serves(task, world) for task in begun)


def few_of_each_job(tasks: Iterable[Task]) -> Iterator[Task]:
    """The first few tasks of each job."""
    taken: dict[str, int] = {}
    for task in tasks:
        taken[task.slot.job] = taken.get(task.slot.job, 0) + 1
        if taken[task.slot.job] <= AT_ONCE:
            yield task


def _why_unwanted(task: Task, world: World, *, is_stopped: bool, is_overdue: bool) -> str:
    if is_stopped:
        return "its job was stopped"
    if is_overdue:
        return "its run has taken longer than the schedule allows"
    return f"{task.node} is drained" if world.is_draining(task.node) else "scaled down"


def _is_kept(task: Task, wants: Mapping[Slot, Want]) -> bool:
    """Its container stays for its logs: it did what it was for."""
    return task.slot in wants and wants[task.slot].ends_by_itself


def _gave_way(task: Task, world: World) -> bool:
    """It ended since its job was last deployed: the one that is wanted in its slot was to have its room."""
    return task.state is State.COMPLETED and task.changed_at >= world.rollout(task.slot.job).since


def _needs_room_beside(want: Want) -> bool:
    """Its job is to be placed as a whole, and what it waits for stays when it comes."""
    return want.job.all_or_nothing and Condition.COMPLETED not in want.group.depends_on.values()


def _has_failed(task: Task) -> bool:
    return task.state is State.FAILED


def _quarantined(task: Task, tasks: Sorted) -> int:
    """Memory, in bytes, of the group's tasks that are kept on the task's node already."""
    kept = [found for found in tasks.of(Bucket.QUARANTINED) if found.node == task.node]
    group = task.slot.group_key
    return sum(found.spec.resources.memory for found in kept if found.slot.group_key == group)
