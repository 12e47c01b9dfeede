"""Unfilled slots to nodes: by priority, then first in, first out; one that fits nowhere holds up nobody.

A slot whose task was stopped to make room for its successor comes before all: that room is its own (P19).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from cube.model.action import Decision, Place, Refusal, Wait
from cube.model.node import Node
from cube.model.observation import Seen, Unknown
from cube.model.resources import Resources
from cube.model.task import Slot, State, Task
from cube.reconciler.wants import Want
from cube.reconciler.world import World
from cube.scheduler.algorithms import Scheduler
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
class Opening:
    """A slot to be filled now. `waiting`: the task that waits for that. `former`: the last one that failed.

    `why`: what happened to the one that had it, empty for a slot that is new. `beside`: the old task that
    serves on in the slot; then it is not said to wait where it fits nowhere. `resumes`: the last one was
    stopped for this one to take its room. `is_move`: the last one is on a lost node.
    """

    want: Want
    waiting: Task | None = None
    former: Task | None = None
    why: str = ""
    beside: Task | None = None
    resumes: bool = False
    is_move: bool = False

    @property
    def reschedules(self) -> int:
        """How many tasks of the slot have failed for good, one after the other."""
        if self.waiting is not None:
            return self.waiting.reschedules
        return self.former.reschedules + 1 if self.former is not None else 0

    @property
    def failed_on(self) -> tuple[str, ...]:
        """The nodes on which they did."""
        if self.waiting is not None:
            return self.waiting.failed_on
        if self.former is None or self.former.node is None:
            return ()
        return tuple(dict.fromkeys((*self.former.failed_on, self.former.node)))


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
    if not openings:
        return Placed(actions=(), room=room)
    fleet = fleet_of(scheduler, room, len(openings))
    absent = _absent(world)
    earlier = {task.slot: task.order for task in world.tasks}
    newest = max((task.order for task in world.tasks), default=0)
    actions: list[Place | Wait] = []
    for position, opening in enumerate(_in_line(openings, earlier)):
        if opening.is_move and moves <= 0:
            continue
        earlier_one = opening.waiting or opening.beside
        order = earlier_one.order if earlier_one else newest + 1 + position
        request = replace(opening.want.request(order), avoid=frozenset(opening.failed_on))
        found = fleet.place(request, leaving=opening.beside)
        decision = replace(found.decision, refusals=found.decision.refusals + absent)
        if found.node is not None:
            moves -= opening.is_move
            actions.append(_place(opening, found.node, found.ports, decision))
        elif opening.beside is None:
            actions.append(_wait(opening, decision, len(room) + len(absent)))
    return Placed(actions=tuple(actions), room=fleet.room())


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
            capacity=seen.stats.capacity - node.reserved,
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


def _in_line(openings: Sequence[Opening], earlier: Mapping[Slot, int]) -> list[Opening]:
    """Those that resume, then by priority, then by the age of the slot's last task.

    Stable: among slots that never had a task, the order of jobs, groups and indices holds.
    """

    def turn(opening: Opening) -> tuple[bool, int, float]:
        return not opening.resumes, -opening.want.job.priority, earlier.get(opening.want.slot, float("inf"))

    return sorted(openings, key=turn)


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


def _wait(opening: Opening, decision: Decision, nodes: int) -> Wait:
    return Wait(
        slot=opening.want.slot,
        version=opening.want.job.version,
        spec=opening.want.group.spec,
        decision=decision,
        reason=f"fits on none of {nodes} nodes",
        pending=opening.waiting,
        reschedules=opening.reschedules,
        failed_on=opening.failed_on,
    )


def _place(opening: Opening, node: str, ports: Mapping[str, int], decision: Decision) -> Place:
    why = f"{opening.why}: " if opening.why else ""
    candidates = len(decision.scores) + decision.others
    return Place(
        slot=opening.want.slot,
        version=opening.want.job.version,
        spec=opening.want.group.spec,
        node=node,
        ports=ports,
        decision=decision,
        reason=f"{why}best of {candidates} nodes, score {decision.scores[node]:.3f}",
        pending=opening.waiting,
        reschedules=opening.reschedules,
        failed_on=opening.failed_on,
    )
