"""Which few moves would stand better where they go, by the scheduler's own scores."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from cube.errors import InputError
from cube.model.job import JobType
from cube.model.task import Slot, State, Task
from cube.reconciler.buckets import Bucket, sort_tasks
from cube.reconciler.placement import Room
from cube.reconciler.wants import Want, wants_of
from cube.reconciler.world import World
from cube.scheduler.algorithms import Algorithm, ByFormula, Scheduler, is_last_resort
from cube.scheduler.filters import choose_ports
from cube.scheduler.state import Load, NodeState
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


def rebalance(world: World, scheduler: Scheduler, *, max_moves: int, min_gain: float) -> tuple[Exchange, ...]:
    """At most so many moves, each the one that gains most after those before it, none less than `min_gain`.

    A task moves once at most, and there is room for it where it goes while it is still where it was. Raises
    InputError for a scheduler whose scores do not say how well a task stands.
    """
    if isinstance(scheduler, Algorithm) and not isinstance(scheduler.rule, ByFormula):
        cure = "Name another, such as --scheduler tight."
        raise InputError("this scheduler takes turns, and finds no place better than another", cure=cure)
    wants = wants_of(world)
    movable = {task.id: task for task in movable_tasks(world, wants)}
    room, moves = known_room(world), list[Exchange]()
    while len(moves) < max_moves:
        found = max(_exchanges(movable.values(), wants, room, scheduler), key=_worth, default=None)
        if found is None or found.gain < min_gain or found.gain <= 0:
            break
        moves.append(found)
        del movable[found.task.id]
        room = moved(room, found, wants[found.task.slot])
    return tuple(moves)


def movable_tasks(world: World, wants: Mapping[Slot, Want]) -> Iterator[Task]:
    """Those that run as wanted, on nodes that answer, and lose nothing by a restart.

    Not those of batch and system groups, nor those that write to a volume.
    """
    tasks = sort_tasks(world, wants)
    for task in tasks.of(Bucket.KEPT, Bucket.MISSING):  # the record knows no containers
        want = wants[task.slot]
        is_service = want.job.type_of(want.group) is JobType.SERVICE
        writes = any(not volume.read_only for volume in task.spec.volumes)
        if is_service and not writes and task.state is State.RUNNING:
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


def _exchanges(
    tasks: Iterable[Task], wants: Mapping[Slot, Want], room: Room, scheduler: Scheduler
) -> Iterator[Exchange]:
    """The best move of each task; of equal tasks on one node only the first is asked."""
    asked: set[tuple[str, str, str]] = set()
    for task in tasks:
        key = (task.slot.job, task.slot.group, task.node or "")
        if key not in asked:
            asked.add(key)
            yield from _best(task, wants[task.slot], room, scheduler)


def _best(task: Task, want: Want, room: Room, scheduler: Scheduler) -> Iterator[Exchange]:
    assert task.node is not None
    states = tuple(_left(state, task) if name == task.node else state for name, state in room.items())
    request = replace(want.request(task.order), avoid=frozenset(task.failed_on)).among(states)
    candidates, _ = scheduler.select_candidate_nodes(request, states)
    preferred = tuple(state for state in candidates if not is_last_resort(request, state))
    scores = scheduler.score(request, preferred)
    if task.node in scores:
        there = scheduler.pick(scores, preferred).node.name
        if there != task.node:
            before, after = scores[task.node], scores[there]
            yield Exchange(task=task, target=there, before=before, after=after, of=want.group.count)


def _left(state: NodeState, task: Task) -> NodeState:
    """The node without the task, and without the load that is promised to it."""
    asked, load = task.spec.resources, state.load
    less = load and Load(cpu=max(load.cpu - asked.cpu, 0), memory=max(load.memory - asked.memory, 0))
    return replace(state.without(task), load=less)


def _worth(found: Exchange) -> tuple[float, int]:
    """The largest gain; of equals the task that was wanted first."""
    return found.gain, -found.task.order
