"""When a rollout is over: everything is in place, or this version will not come up."""

from collections.abc import Iterator, Mapping, Sequence

from cube.model.action import Conclude, Revert
from cube.model.job import Group
from cube.model.rollout import Rollout, RolloutState
from cube.model.task import Health, Slot, State, Task
from cube.reconciler.buckets import Bucket, Sorted
from cube.reconciler.restarts import begins_a_window, can_restart
from cube.reconciler.tasks import is_proven, proven_at, serves
from cube.reconciler.wants import Want
from cube.reconciler.world import World


def conclusions(world: World, wants: Mapping[Slot, Want], tasks: Sorted) -> tuple[Conclude | Revert, ...]:
    """The rollouts that have ended in this moment, and the failed ones that are to be taken back."""
    found = (_conclusion(rollout, world, wants, tasks) for _, rollout in sorted(world.rollouts.items()))
    return tuple(conclusion for conclusion in found if conclusion is not None)


def next_proofs(world: World, wants: Mapping[Slot, Want], tasks: Sorted) -> Iterator[tuple[str, float]]:
    """By job, when a new task will have been healthy for long enough, where something waits for that."""
    beside = {task.slot for task in tasks.of(Bucket.BESIDE)}
    replaced = {task.slot.group_key for task in tasks.of(Bucket.OUTDATED)}
    for slot, task in tasks.holders.items():
        want = wants[slot]
        is_rolling = world.rollout(slot.job).state is RolloutState.RUNNING
        is_awaited = is_rolling or slot in beside or slot in world.moves or slot.group_key in replaced
        if is_awaited and serves(task, world) and not is_proven(task, want.group, world):
            yield slot.job, proven_at(task, want.group, world.now)


def _conclusion(
    rollout: Rollout, world: World, wants: Mapping[Slot, Want], tasks: Sorted
) -> Conclude | Revert | None:
    if rollout.state not in (RolloutState.RUNNING, RolloutState.FAILED):
        return None
    mine = [want for slot, want in wants.items() if slot.job == rollout.job]
    if rollout.state is RolloutState.FAILED:
        return _way_back(rollout, mine)
    if why := _why_it_failed(rollout, mine, world, tasks):
        return _conclude(rollout, RolloutState.FAILED, why)
    if all(_is_in_place(want, rollout, world, tasks) for want in mine) and not _is_unfinished(rollout, tasks):
        return _conclude(rollout, RolloutState.SUCCEEDED, "everything is in place")
    return None


def _way_back(rollout: Rollout, wants: Sequence[Want]) -> Revert | None:
    if rollout.stable is None or not any(want.group.update.auto_revert for want in wants):
        return None
    why = f"version {rollout.version} failed: {rollout.reason}"
    return Revert(job=rollout.job, version=rollout.version, to=rollout.stable, reason=why)


def _conclude(rollout: Rollout, state: RolloutState, reason: str) -> Conclude:
    return Conclude(job=rollout.job, version=rollout.version, state=state, reason=reason)


def _is_unfinished(rollout: Rollout, tasks: Sorted) -> bool:
    left = tasks.of(Bucket.OUTDATED, Bucket.BESIDE, Bucket.EXTRA)
    return any(task.slot.job == rollout.job for task in left)


def _is_in_place(want: Want, rollout: Rollout, world: World, tasks: Sorted) -> bool:
    """A first version is in place when it serves; one that replaced another must have been proven."""
    holder = tasks.holders.get(want.slot)
    if holder is None or holder.state is State.PENDING:
        return False
    if world.seen(holder.node) is None:
        return True  # It is put right when its node is back: one silent node fails no rollout.
    if holder.spec != want.group.spec:
        return False
    if rollout.stable is None:
        return serves(holder, world) or holder.state is State.COMPLETED
    return is_proven(holder, want.group, world)


def _why_it_failed(rollout: Rollout, wants: Sequence[Want], world: World, tasks: Sorted) -> str:
    """The first sign that this version will not come up; empty: there is none."""
    by_slot = {want.slot: want for want in wants}
    new = [
        (task, by_slot[task.slot].group)
        for task in tasks.of(Bucket.KEPT, Bucket.FAILED)
        if task.slot in by_slot and task.version == rollout.version
    ]
    proofs = (proven_at(task, group, world.now) for task, group in new if is_proven(task, group, world))
    progressed = max(rollout.since, *proofs, 0.0)
    for task, group in new:
        if why := why_not_proven(task, group, world) or _why_it_stalls(task, group, world.now, progressed):
            return f"{task.slot} {why}"
    return ""


def _why_it_stalls(task: Task, group: Group, now: float, progressed: float) -> str:
    """A task that crashes on and on may have restarts left for days. Empty where it does not hold us up.

    `progressed`: when a task of this version was last proven, or the rollout began.
    """
    deadline = group.update.progress_deadline
    is_late = now - max(progressed, task.created_at) > deadline
    if task.state is not State.FAILED or not task.restarts or not is_late:
        return ""
    return f"crashes on and on, and none was newly proven within {deadline:.0f}s: {task.reason}"


def why_not_proven(task: Task, group: Group, world: World) -> str:
    """Why a task that is to take over a slot will not come up; empty: there is no sign of that."""
    if task.state is State.FAILED:
        is_over = not can_restart(task, group) or begins_a_window(task, group)
        return f"failed: {task.reason}" if is_over else ""
    if task.health is Health.UNHEALTHY:
        return "is unhealthy"
    container = world.container(task)
    if serves(task, world) or (container is not None and container.health is Health.HEALTHY):
        return ""  # Whatever the clock says: nobody may have looked for long.
    runs_for, update = world.now - task.changed_at, group.update
    if task.health is Health.STARTING and runs_for > update.healthy_deadline:
        return f"was not healthy within {update.healthy_deadline:.0f}s"
    is_late = runs_for > update.progress_deadline and not is_proven(task, group, world)
    return f"has not stayed healthy within {update.progress_deadline:.0f}s" if is_late else ""
