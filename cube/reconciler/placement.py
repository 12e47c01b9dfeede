"""Unfilled slots to nodes: by priority, then first in, first out; one that fits nowhere holds up nobody.

A slot whose task was stopped to make room for its successor comes before all: that room is its own (P19).
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from cube.model.action import Decision, Place, Refusal, Wait
from cube.model.node import Node
from cube.model.observation import Seen, Unknown
from cube.model.resources import Resources
from cube.model.task import State, Task
from cube.reconciler.line import Batch, Opening, batches
from cube.reconciler.wants import Want
from cube.reconciler.world import World
from cube.scheduler.algorithms import Scheduler, name_of, scheduler_of
from cube.scheduler.filters import choose_ports, refusals_of
from cube.scheduler.fleet import fleet_of
from cube.scheduler.state import Load, NodeState

FRESH = 300.0
"""Seconds for which a look says how busy a node is."""

NODES_TOLD = 5
"""Of how many nodes a sentence tells why they cannot take a task; events tell of many more."""


Room = Mapping[str, NodeState]
"""The nodes that answered, by name and in inventory order, with what is promised on each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """A Place or a Wait for every opening, and the room that is left."""

    actions: tuple[Place | Wait, ...]
    room: Room


def place_all(
    world: World,
    openings: Sequence[Opening],
    scheduler: Scheduler,
    room: Room,
    *,
    moves: int = 0,
) -> Placed:
    """A Place or a Wait for every slot.

    Of those that move at most `moves` are placed, and the others left out: one that fits nowhere holds up no
    other. Room that other actions of the plan free is not counted.
    """
    absent = _absent(world)
    filled = Filled(room=room, moves=moves)
    for batch in batches(world, openings, room):
        chosen = scheduler_of(batch.asked[0][0].want.job, scheduler)
        done = _without_scheduler(batch, filled) if chosen is None else _fill(batch, chosen, filled, absent)
        filled = replace(done, actions=(*filled.actions, *done.actions))
    return Placed(actions=filled.actions, room=filled.room)


@dataclass(frozen=True, slots=True, kw_only=True)
class Filled:
    """What was done about some openings, the room that is left, and how many of those that move may go on."""

    room: Room
    moves: int
    actions: tuple[Place | Wait, ...] = ()


def _fill(batch: Batch, scheduler: Scheduler, before: Filled, absent: Sequence[Refusal]) -> Filled:
    """The batch's openings one after the other; if all are to be placed or none, and some cannot be: none."""
    fleet, moves = fleet_of(scheduler, before.room, len(batch.asked)), before.moves
    done: list[tuple[Opening, Place | Wait]] = []
    name, nodes = name_of(scheduler), len(before.room) + len(absent)
    for opening, request in batch.asked:
        if opening.is_move and moves <= 0:
            continue
        found = fleet.place(request, leaving=opening.beside)
        decision = replace(found.decision, refusals=(*found.decision.refusals, *absent), scheduler=name)
        if found.node is not None:
            moves -= opening.is_move
            done.append((opening, _place(opening, found.node, found.ports, decision)))
        elif opening.beside is None:
            done.append((opening, _wait(opening, decision, f"fits on none of {_nodes(nodes)}")))
    stuck = sum(isinstance(action, Wait) for _, action in done)
    if batch.together and stuck:
        why = f"all of {batch.together} is placed or nothing: {stuck} of {len(done)} tasks fit nowhere"
        return replace(before, actions=_now(_none_of(done, why)))
    return Filled(room=fleet.room(), moves=moves, actions=_now(done))


def _now(done: Iterable[tuple[Opening, Place | Wait]]) -> tuple[Place | Wait, ...]:
    return tuple(action for opening, action in done if not opening.is_later)


def _none_of(
    done: Iterable[tuple[Opening, Place | Wait]], why: str
) -> Iterator[tuple[Opening, Place | Wait]]:
    """Those that could be placed wait for the others."""
    for opening, action in done:
        yield opening, action if isinstance(action, Wait) else _wait(opening, Decision(scores={}), why)


def _without_scheduler(batch: Batch, before: Filled) -> Filled:
    """Somebody deployed them where the algorithm is installed, and here it is not."""
    decision = Decision(scores={})
    waits = (
        _wait(opening, decision, f"there is no scheduler {opening.want.job.scheduler!r} on this machine")
        for opening, _ in batch.asked
        if opening.beside is None and not opening.is_later
    )
    return replace(before, actions=tuple(waits))


def room_of(world: World) -> Room:
    """Every node that answered, with what is promised on it, in inventory order."""
    promised: dict[str, list[Task]] = {name: [] for name in world.nodes}
    for task in world.tasks:
        if task.node in promised and _holds_room(task):
            promised[task.node].append(task)
    states: dict[str, NodeState] = {}
    for name, node in world.nodes.items():
        seen, tasks = world.seen(name), promised[name]
        if seen is None:
            continue
        states[name] = NodeState(
            node=node,
            capacity=node.room(seen.stats.capacity),
            promised=sum((task.spec.resources for task in tasks), Resources()),
            ports=frozenset(port for found in seen.containers for port in found.host_ports)
            | frozenset(port for task in tasks for port in task.ports.values()),
            tasks=_count(tasks),
            closed=_why_closed(name, world),
            load=_load(seen, node, world.now),
            images=frozenset(found.image for found in seen.containers),
        )
    return states


def _load(seen: Seen, node: Node, now: float) -> Load | None:
    """What the machine is busy with beyond what the inventory reserves; None where that was long ago."""
    if now - seen.at > FRESH:
        return None
    stats, reserved = seen.stats, node.reserved
    return Load(
        cpu=max(round(stats.load[0] * 1000) - reserved.cpu, 0),
        memory=max(stats.memory_total - stats.memory_available - reserved.memory, 0),
    )


def keep_room(task: Task, want: Want, room: Room) -> Room | None:
    """The room without what the slot's new task needs beside the room of this one; None: it fits nowhere.

    The task's own node comes first, for there it needs least.
    """
    request = want.request()
    for name in sorted(room, key=lambda name: name != task.node):
        is_own = name == task.node
        left = room[name].without(task) if is_own else room[name]
        ports = None if refusals_of(request, left) else choose_ports(request.ports, left.ports)
        if ports is not None:
            needed = request.resources.beyond(task.spec.resources) if is_own else request.resources
            return {**room, name: room[name].holding(needed, frozenset(ports.values()))}
    return None


def fits_beside(want: Want, room: Room) -> bool:
    """The slot's new task would fit somewhere although the old one keeps its room."""
    return any(not refusals_of(want.request(), state) for state in room.values())


def why_nowhere(task: Task, want: Want, room: Room) -> str:
    """Why no node can take the slot's new task, though this one gave up its room; of the first few nodes."""
    left = [state.without(task) if name == task.node else state for name, state in room.items()]
    told = [
        f"{state.node.name}: {refusals[0].reason}"
        for state in left
        if (refusals := refusals_of(want.request(), state))
    ]
    more = [f"and {len(told) - NODES_TOLD} nodes more"] if len(told) > NODES_TOLD else []
    return "; ".join([*told[:NODES_TOLD], *more]) or "no node answers"


def _why_closed(name: str, world: World) -> str:
    if world.is_draining(name):
        return "it is drained"
    return "it is cordoned" if name in world.cordons else ""


def _holds_room(task: Task) -> bool:
    return task.state not in (State.PENDING, State.COMPLETED)


def _count(tasks: Sequence[Task]) -> Mapping[tuple[str, str], int]:
    counts: dict[tuple[str, str], int] = {}
    for task in tasks:
        key = (task.slot.job, task.slot.group)
        counts[key] = counts.get(key, 0) + 1
    return counts


def _absent(world: World) -> tuple[Refusal, ...]:
    return tuple(
        Refusal(
            node=name,
            reason=f"unknown: {found.cause}",
            filter="reachable",
            wanted="an answer",
            found=f"{found.cause}",
        )
        for name, found in world.observed.items()
        if isinstance(found, Unknown)
    )


def _wait(opening: Opening, decision: Decision, reason: str) -> Wait:
    return Wait(
        slot=opening.want.slot,
        version=opening.want.job.version,
        spec=opening.want.group.spec,
        decision=decision,
        reason=reason,
        pending=opening.waiting,
        reschedules=opening.reschedules,
        failed_on=opening.failed_on,
    )


def _place(opening: Opening, node: str, ports: Mapping[str, int], decision: Decision) -> Place:
    why = f"{opening.why}: " if opening.why else ""
    candidates = _nodes(len(decision.scores) + decision.others)
    return Place(
        slot=opening.want.slot,
        version=opening.want.job.version,
        spec=opening.want.group.spec,
        node=node,
        ports=ports,
        decision=decision,
        reason=f"{why}best of {candidates}, score {decision.scores[node]:.3f}",
        pending=opening.waiting,
        reschedules=opening.reschedules,
        failed_on=opening.failed_on,
    )


def _nodes(count: int) -> str:
    return "1 node" if count == 1 else f"{count} nodes"
