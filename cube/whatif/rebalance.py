"""Which few moves would stand better where they go, by the scheduler's own scores."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from heapq import nlargest
from math import inf
from operator import itemgetter

from cube.errors import InputError
from cube.model.job import JobType
from cube.model.move import Move
from cube.model.rollout import RolloutState
from cube.model.task import GroupKey, Slot, Task
from cube.reconciler.buckets import Bucket, sort_tasks
from cube.reconciler.placement import Room
from cube.reconciler.silence import is_cut_off
from cube.reconciler.tasks import is_proven
from cube.reconciler.wants import Want, wants_of
from cube.reconciler.world import World
from cube.scheduler.algorithms import Algorithm, ByFormula, Scheduler, is_last_resort, scheduler_of
from cube.scheduler.filters import choose_ports
from cube.scheduler.state import Load, NodeState, Request
from cube.whatif.play import known_room


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """A task that would stand better elsewhere: `before` and `after` are its scores, 0..1, here and there.

    Its price is one restart of the job, of whose group `of` tasks are wanted.
    """

    task: Task
    target: str
    before: float
    after: float
    of: int

    @property
    def gain(self) -> float:
        """By how much its score would rise."""
        return self.after - self.before

    @property
    def price(self) -> str:
        """What it costs, in words."""
        return f"1 restart of {self.of} in {self.task.slot.job}/{self.task.slot.group}"

    @property
    def wish(self) -> Move:
        """The move as it is recorded before it is carried out."""
        assert self.task.node is not None, "what is to move runs somewhere"
        scores = f"{self.before:.3f} -> {self.after:.3f}"
        reason = f"gains {self.gain:.3f} ({scores}) for {self.price}"
        return Move(slot=self.task.slot, source=self.task.node, target=self.target, reason=reason)


def rebalance(
    world: World,
    scheduler: Scheduler,
    *,
    max_moves: int,
    min_gain: float,
    settled: frozenset[Slot] = frozenset(),
) -> tuple[Exchange, ...]:
    """At most so many moves, each the one that gains most after those before it, none less than `min_gain`.

    A task moves once at most, and those that fill `settled` slots never; there is room for it where it goes
    while it is still where it was. None while another move is under way. Raises InputError as
    `refuse_turns` does.
    """
    refuse_turns(scheduler)
    if world.moves:
        return ()
    wants = wants_of(world)
    movable = {task.id: task for task in movable_tasks(world, wants) if task.slot not in settled}
    room, moves = known_room(world), list[Exchange]()
    while len(moves) < max_moves:
        found = _most_gained(movable.values(), wants, room, scheduler)
        if found is None or found.gain < min_gain or found.gain <= 0:
            break
        moves.append(found)
        del movable[found.task.id]
        room = moved(room, found, wants[found.task.slot])
    return tuple(moves)


def refuse_turns(scheduler: Scheduler) -> None:
    """Raises InputError for a scheduler whose scores do not say how well a task stands."""
    if _takes_turns(scheduler):
        cure = "Name another, such as --scheduler tight."
        raise InputError("this scheduler takes turns, and finds no place better than another", cure=cure)


def movable_tasks(world: World, wants: Mapping[Slot, Want]) -> Iterator[Task]:
    """Those of services that lose nothing by a restart: none of their group is missing, sick or in motion.

    Not those that write to a volume, none of a job whose version is not in place, and none at all while it is
    we who are cut off.
    """
    if is_cut_off(world.observed):
        return
    proven = {
        task.slot: task
        for task in sort_tasks(world, wants).of(Bucket.KEPT)
        if is_proven(task, wants[task.slot].group, world)
    }
    lacking = {slot.group_key for slot in wants if slot not in proven}
    for slot, task in proven.items():
        want, is_in_place = wants[slot], world.rollout(slot.job).state is RolloutState.SUCCEEDED
        is_service = want.job.type_of(want.group) is JobType.SERVICE
        writes = any(volume.has_data for volume in task.spec.volumes)
        if is_service and is_in_place and not writes and slot.group_key not in lacking:
            yield task


def moved(room: Room, move: Exchange, want: Want) -> Room:
    """The room once the task runs there, and no longer where it was."""
    assert move.task.node is not None
    ports = choose_ports(want.group.spec.ports, room[move.target].ports)
    assert ports is not None, "a candidate has passed the filter of ports"
    return {
        **room,
        move.task.node: _left(room[move.task.node], move.task),
        move.target: room[move.target].with_task(want.request(), ports),
    }


def _most_gained(
    tasks: Iterable[Task], wants: Mapping[Slot, Want], room: Room, scheduler: Scheduler
) -> Exchange | None:
    """The move that gains most. Who cannot gain as much as another is not asked where it would go."""
    found = list[Exchange]()
    for most, task in sorted(_promising(tasks, wants, room, scheduler), key=itemgetter(0), reverse=True):
        if found and most < max(exchange.gain for exchange in found):
            break
        found += _best(task, wants[task.slot], room, scheduler)
    return max(found, key=_worth, default=None)


def _promising(
    tasks: Iterable[Task], wants: Mapping[Slot, Want], room: Room, scheduler: Scheduler
) -> Iterator[tuple[float, Task]]:
    """Tasks with how much a move of each can gain at most; of equal ones on one node only the first.

    Of a formula that is known from the fleet as it is: that the task leaves changes the score of its own node
    alone. Elsewhere, and where it matters how the group is spread, only asking tells.
    """
    places = _Places(room)
    for task in _unlike(tasks):
        want = wants[task.slot]
        chosen = _chooser(want, scheduler)
        if chosen is None:
            continue
        if not isinstance(chosen, Algorithm) or want.request().demand.counted:
            yield inf, task
        elif (most := places.most_gained(task, want, chosen)) is not None:
            yield most, task


class _Places:
    """What each node is worth to the groups that were asked about, as the fleet is."""

    def __init__(self, room: Room) -> None:
        self._room, self._states = room, tuple(room.values())
        self._two_best: dict[GroupKey, Sequence[tuple[str, float]]] = {}

    def most_gained(self, task: Task, want: Want, how: Algorithm) -> float | None:
        """By how much another node is worth more than the task's own; None: it fits on one only."""
        assert task.node is not None
        request = want.request().among(self._states)
        key = task.slot.group_key
        if key not in self._two_best:
            scores = _scores(how, request, self._states)
            self._two_best[key] = nlargest(2, scores.items(), key=itemgetter(1))
        own = _scores(how, request, (_left(self._room[task.node], task),))
        others = [score for name, score in self._two_best[key] if name != task.node]
        return max(others) - own[task.node] if own and others else None


def _scores(how: Algorithm, request: Request, states: Sequence[NodeState]) -> Mapping[str, float]:
    candidates, _ = how.select_candidate_nodes(request, states)
    return how.score(request, candidates)


def _unlike(tasks: Iterable[Task]) -> Iterator[Task]:
    """Of equal tasks on one node only the first."""
    asked: set[tuple[object, ...]] = set()
    for task in tasks:
        key = (task.slot.group_key, task.node, task.failed_on)
        if key not in asked:
            asked.add(key)
            yield task


def _best(task: Task, want: Want, room: Room, scheduler: Scheduler) -> Iterator[Exchange]:
    assert task.node is not None
    chosen = _chooser(want, scheduler)
    if chosen is None:
        return
    states = tuple(_left(state, task) if name == task.node else state for name, state in room.items())
    request = replace(want.request(task.order), avoid=frozenset(task.failed_on)).among(states)
    candidates, _ = chosen.select_candidate_nodes(request, states)
    preferred = tuple(
        state for state in candidates if state.node.name == task.node or not is_last_resort(request, state)
    )
    scores = chosen.score(request, preferred)
    if task.node in scores:
        there = chosen.pick(scores, preferred).node.name
        if there != task.node:
            before, after = scores[task.node], scores[there]
            yield Exchange(task=task, target=there, before=before, after=after, of=want.group.count)


def _chooser(want: Want, scheduler: Scheduler) -> Scheduler | None:
    """Who says how well the job's tasks stand; None: nobody here can."""
    try:
        chosen = scheduler_of(want.job, scheduler)
    except InputError:
        return None
    return None if _takes_turns(chosen) else chosen


def _takes_turns(scheduler: Scheduler) -> bool:
    return isinstance(scheduler, Algorithm) and not isinstance(scheduler.rule, ByFormula)


def _left(state: NodeState, task: Task) -> NodeState:
    """The node without the task, and without the load that is promised to it."""
    asked, load = task.spec.resources, state.load
    less = load and Load(cpu=max(load.cpu - asked.cpu, 0), memory=max(load.memory - asked.memory, 0))
    return replace(state.without(task), load=less)


def _worth(found: Exchange) -> tuple[float, int]:
    """The largest gain; of equals the task that was wanted first."""
    return found.gain, -found.task.order
