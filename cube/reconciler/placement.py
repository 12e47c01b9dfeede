"""Unfilled slots to nodes: by priority, then first in, first out; one that fits nowhere holds up nobody.

A slot whose task was stopped to make room for its successor comes before all: that room is its own (P19).
"""

from collections.abc import Mapping, Sequence

from cube.errors import InputError
from cube.model.action import Refusal
from cube.model.image import Images
from cube.model.node import Node
from cube.model.observation import Seen, Unknown
from cube.model.resources import Resources
from cube.model.task import Task
from cube.reconciler.devices import free_devices
from cube.reconciler.filling import NO_LEEWAY, Filled, Leeway, fill, without_scheduler
from cube.reconciler.line import Opening, batches
from cube.reconciler.wants import Want
from cube.reconciler.world import World
from cube.scheduler.algorithms import Scheduler, scheduler_of
from cube.scheduler.filters import choose_ports, refusals_of
from cube.scheduler.state import Load, NodeState

FRESH = 300.0
"""Seconds for which a look says how busy a node is."""

NODES_TOLD = 5
"""Of how many nodes a sentence tells why they cannot take a task; events tell of many more."""


Room = Mapping[str, NodeState]
"""The nodes that answered, by name and in inventory order, with what is promised on each."""


def place_all(
    world: World,
    openings: Sequence[Opening],
    scheduler: Scheduler,
    room: Room,
    leeway: Leeway = NO_LEEWAY,
) -> Filled:
    """A Place or a Wait for every slot, who gives way to it, and the room that is left.

    Of those that move only some are placed, as the leeway says, and the others left out: one that fits
    nowhere holds up no other. Room that other actions of the plan free is not counted.
    """
    absent = _absent(world)
    filled = Filled(room=room, leeway=leeway, last=last_of(world, room))
    for batch in batches(world, openings, room):
        try:
            chosen = scheduler_of(batch.asked[0][0].want.job, scheduler)
        except InputError as error:
            filled = without_scheduler(batch, filled, error.headline)
        else:
            filled = fill(batch, chosen, filled, absent)
    return filled


def last_of(world: World, room: Room) -> str:
    """The node that the newest task with one got, of those that answered; empty: none has one."""
    newest = max((task for task in world.tasks if task.node in room), key=_order, default=None)
    return "" if newest is None or newest.node is None else newest.node


def room_of(world: World) -> Room:
    """Every node that answered, with what is promised on it, in inventory order."""
    promised: dict[str, list[Task]] = {name: [] for name in world.nodes}
    for task in world.tasks:
        if task.node in promised and task.holds_room:
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
            images=_images(seen),
            volumes=None if seen.volumes is None else frozenset(seen.volumes),
            devices={kind: len(free) for kind, free in free_devices(node, tasks).items()},
        )
    return states


def _order(task: Task) -> int:
    return task.order


def _load(seen: Seen, node: Node, now: float) -> Load | None:
    """What the machine is busy with beyond what the inventory reserves; None where that was long ago."""
    if now - seen.at > FRESH:
        return None
    stats, reserved = seen.stats, node.reserved
    return Load(
        cpu=max(round(stats.load[0] * 1000) - reserved.cpu, 0),
        memory=max(stats.memory_total - stats.memory_available - reserved.memory, 0),
    )


def _images(seen: Seen) -> Images:
    """What the engine told; where it did not, what its containers were made from is there at least."""
    if seen.images is not None:
        return Images(listed=seen.images)
    return Images(held=frozenset((found.image, found.image_id) for found in seen.containers))


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


def _count(tasks: Sequence[Task]) -> Mapping[tuple[str, str], int]:
    counts: dict[tuple[str, str], int] = {}
    for task in tasks:
        key = task.slot.group_key
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
