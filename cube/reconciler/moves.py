"""Moves: which still hold, which are done, and which can no longer be and are dropped."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from cube.model.action import EndMove
from cube.model.move import Move
from cube.model.rollout import RolloutState
from cube.model.task import State, Task
from cube.reconciler.conclusion import why_not_proven
from cube.reconciler.placement import Room, room_of
from cube.reconciler.tasks import is_proven, runs_unrecorded
from cube.reconciler.wants import Want, wants_of
from cube.reconciler.world import World
from cube.scheduler.filters import refusals_of


def without_ended_moves(world: World) -> tuple[World, tuple[EndMove, ...]]:
    """The same world with the moves alone that still hold, and the ends of the others."""
    if not world.moves:
        return world, ()
    ends = tuple(_ends(world))
    over = {end.move.slot for end in ends}
    return replace(world, moves={slot: move for slot, move in world.moves.items() if slot not in over}), ends


def _ends(world: World) -> Iterator[EndMove]:
    wants, room = wants_of(replace(world, moves={})), room_of(world)
    for move in world.moves.values():
        if move.slot in world.vacated:
            continue
        here = [task for task in world.tasks if task.slot == move.slot]
        want = wants.get(move.slot)
        if want is not None and _is_done(move, here, want, world):
            yield EndMove(move=move, is_done=True, reason=move.reason)
        elif why := next(_hindrances(move, here, want, room, world), ""):
            yield EndMove(move=move, is_done=False, reason=why)


def _is_done(move: Move, here: Sequence[Task], want: Want, world: World) -> bool:
    """A proven task is there, and none elsewhere."""
    live = [task for task in here if not task.state.is_terminal]
    is_there = bool(live) and all(task.node == move.target for task in live)
    return is_there and is_proven(live[-1], want.group, world)


def _hindrances(
    move: Move, here: Sequence[Task], want: Want | None, room: Room, world: World
) -> Iterator[str]:
    """Why it must be dropped, if it must; the first reason is enough."""
    rollout = world.rollout(move.slot.job)
    if want is None:
        yield "nobody wants it any more"
        return
    if want.node is not None:
        yield f"it belongs to {want.node}"
    if rollout.state is not RolloutState.SUCCEEDED:
        yield f"version {rollout.version} is not in place"
    if world.is_draining(move.target):
        yield f"{move.target} is drained"
    if move.target not in room:
        yield f"{move.target} does not answer"
        return
    arrived = [task for task in here if task.node == move.target and _has_a_say(task)]
    if not arrived:
        silent = (task.node for task in here if not task.state.is_terminal and task.node not in room)
        yield from (f"{name} does not answer" for name in silent if name)
        yield from _refusals(move, here, want, room)
    elif not runs_unrecorded(arrived[-1], world) and (why := why_not_proven(arrived[-1], want.group, world)):
        yield f"its task there {why}"


def _refusals(move: Move, here: Sequence[Task], want: Want, room: Room) -> Iterator[str]:
    """What the target has against the task, which is nobody's neighbour any more where it leaves."""
    left = dict(room)
    for task in here:
        if task.node in left and not task.state.is_terminal:
            left[task.node] = left[task.node].without_neighbour(task)
    asked = replace(want, home=None).request()  # its data goes along, or need not
    for refusal in refusals_of(asked.among(left.values()), left[move.target]):
        yield refusal.reason


def _has_a_say(task: Task) -> bool:
    """One that ended well, or is kept for somebody to look at, was there before."""
    return task.state is not State.COMPLETED and task.quarantined_until is None
