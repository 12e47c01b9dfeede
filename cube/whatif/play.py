"""The recorded fleet played on: the tasks that need a place are given one by the code that really does it."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from cube.model.action import Place, Refusal, Wait
from cube.model.resources import Resources
from cube.model.task import Slot, State, Task
from cube.reconciler.buckets import Bucket, Sorted, sort_tasks
from cube.reconciler.line import Opening
from cube.reconciler.placement import Room, place_all, room_of
from cube.reconciler.wants import wants_of
from cube.reconciler.world import World
from cube.scheduler.algorithms import Scheduler
from cube.whatif.change import Change, supposed


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """A slot that gets a node. `source` None: it had none before; then `why` says whether it is new."""

    slot: Slot
    source: str | None
    target: str
    score: float
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Stuck:
    """A slot that fits nowhere, and why each node refuses; of a large fleet some nodes, and counts."""

    slot: Slot
    source: str | None
    refusals: tuple[Refusal, ...]
    refused: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Packing:
    """What one node has for tasks, and what of it is promised before and after; None: it is not there."""

    node: str
    capacity: Resources
    before: Resources | None
    after: Resources | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Play:
    """What would come of a change. `ended`: tasks that nobody would want any more."""

    moves: tuple[Move, ...]
    stuck: tuple[Stuck, ...]
    ended: tuple[Task, ...]
    packing: tuple[Packing, ...]


def play(world: World, change: Change, scheduler: Scheduler) -> Play:
    """What would come of the change once everything that it moves, adds or leaves waiting has been placed.

    Rollouts and drains that are under way stay as they are; groups do not wait for those they depend on.
    """
    after = supposed(world, change)
    tasks = sort_tasks(after, wants_of(after))
    ended, homes = ended_of(tasks), homes_of(world)
    # The queue is that of the world as it was: a task keeps its turn though its node is lost.
    queue = replace(after, tasks=world.tasks)
    placed = place_all(queue, openings_of(tasks), scheduler, known_room(without(after, ended)))
    return Play(
        moves=tuple(_move(found, homes) for found in placed.actions if isinstance(found, Place)),
        stuck=tuple(stuck_of(found, homes) for found in placed.actions if isinstance(found, Wait)),
        ended=ended,
        packing=packings(known_room(world), placed.room),
    )


def ended_of(tasks: Sorted) -> tuple[Task, ...]:
    """Those that nobody wants any more, and that have room."""
    return tuple(task for task in tasks.of(Bucket.EXTRA) if task.state in (State.SCHEDULED, State.RUNNING))


def without(world: World, ended: Collection[Task]) -> World:
    """The world once these have ended."""
    gone = {task.id for task in ended}
    return replace(world, tasks=tuple(task for task in world.tasks if task.id not in gone))


def homes_of(world: World) -> Mapping[Slot, str]:
    """The node of each slot's task, where it has one."""
    tasks = (task for task in world.tasks if task.state is not State.COMPLETED)
    return {task.slot: task.node for task in tasks if task.node}


def known_room(world: World) -> Room:
    """The nodes with what is promised there; images and volumes are those of the tasks recorded there."""
    images: dict[str, set[tuple[str, str]]] = {}
    volumes: dict[str, set[str]] = {}
    for task in world.tasks:
        if task.node is not None:
            images.setdefault(task.node, set()).add((task.spec.image, task.spec.pinned))
            volumes.setdefault(task.node, set()).update(found.source for found in task.spec.volumes)
    return {
        name: replace(
            state,
            images=state.images.holding(frozenset(images.get(name, ()))),
            volumes=(state.volumes or frozenset()) | volumes.get(name, set()),
        )
        for name, state in room_of(world).items()
    }


def openings_of(tasks: Sorted) -> Sequence[Opening]:
    """The slots that no task fills."""
    waiting = {task.slot: task for task in tasks.of(Bucket.PENDING)}
    return [Opening(want=want, waiting=waiting.get(want.slot)) for want in tasks.unfilled]


def stuck_of(wait: Wait, homes: Mapping[Slot, str]) -> Stuck:
    """What is told of a slot that fits nowhere."""
    return Stuck(
        slot=wait.slot,
        source=homes.get(wait.slot),
        refusals=wait.decision.refusals,
        refused=wait.decision.refused,
    )


def _move(place: Place, homes: Mapping[Slot, str]) -> Move:
    source = homes.get(place.slot)
    new = "it waits for a place" if place.pending is not None else "new"
    return Move(
        slot=place.slot,
        source=source,
        target=place.node,
        score=place.decision.scores[place.node],
        why=f"{source} is lost" if source is not None else new,
    )


def packings(before: Room, after: Room) -> tuple[Packing, ...]:
    """How full each node is, and how full it would be; in their order."""
    return tuple(
        Packing(
            node=name,
            capacity=(before.get(name) or after[name]).capacity,
            before=before[name].promised if name in before else None,
            after=after[name].promised if name in after else None,
        )
        for name in dict.fromkeys((*before, *after))
    )
