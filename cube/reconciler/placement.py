"""Unfilled slots to nodes: by priority, then first in, first out; one that fits nowhere holds up nobody."""

from collections.abc import Mapping, Sequence

from cube.model.action import Decision, Place, Refusal, Wait
from cube.model.observation import Unknown
from cube.model.resources import Resources
from cube.model.task import Slot, State, Task
from cube.reconciler.world import Want, World
from cube.scheduler.algorithms import Scheduler, place
from cube.scheduler.filters import choose_ports, refusals_of
from cube.scheduler.state import NodeState, Request


def place_unfilled(
    world: World, unfilled: Sequence[Want], pending: Sequence[Task], scheduler: Scheduler
) -> tuple[Place | Wait, ...]:
    """A Place or a Wait for every slot. Room that other actions of the plan free is not counted."""
    states = node_states(world)
    absent = _absent(world)
    waiting = {task.slot: task for task in pending}
    earlier = {task.slot: task.order for task in world.tasks}
    newest = max((task.order for task in world.tasks), default=0)
    actions: list[Place | Wait] = []
    for position, want in enumerate(_in_line(unfilled, earlier)):
        task = waiting.get(want.slot)
        order = task.order if task else newest + 1 + position
        request = Request.of(want.job, want.group, index=want.slot.index, order=order)
        state, decision = place(scheduler, request, tuple(states.values()))
        decision = Decision(scores=decision.scores, refusals=decision.refusals + absent)
        if state is None:
            actions.append(_wait(want, decision, task))
            continue
        ports = choose_ports(request.ports, state.ports)
        assert ports is not None, "a candidate has passed the filter of ports"
        states[state.node.name] = state.with_task(request, ports)
        actions.append(_place(want, state, ports, decision, task))
    return tuple(actions)


def node_states(world: World) -> dict[str, NodeState]:
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
        )
    return states


def has_successor(task: Task, want: Want, states: Mapping[str, NodeState]) -> bool:
    """The slot's new task would fit somewhere, once this one has given up its room."""
    request = Request.of(want.job, want.group, index=task.slot.index, order=task.order)
    left = [state.without(task) if name == task.node else state for name, state in states.items()]
    return any(not refusals_of(request, state) for state in left)


def _holds_room(task: Task) -> bool:
    return task.state not in (State.PENDING, State.COMPLETED)


def _count(tasks: Sequence[Task]) -> Mapping[tuple[str, str], int]:
    counts: dict[tuple[str, str], int] = {}
    for task in tasks:
        key = (task.slot.job, task.slot.group)
        counts[key] = counts.get(key, 0) + 1
    return counts


def _in_line(unfilled: Sequence[Want], earlier: Mapping[Slot, int]) -> list[Want]:
    """By priority, then by the age of the slot's last task: one that is being replaced keeps its turn.

    Stable: among slots that never had a task, the order of jobs, groups and indices holds.
    """
    return sorted(unfilled, key=lambda want: (-want.job.priority, earlier.get(want.slot, float("inf"))))


def _absent(world: World) -> tuple[Refusal, ...]:
    return tuple(
        Refusal(node=name, reason=f"unknown: {found.cause}")
        for name, found in world.observed.items()
        if isinstance(found, Unknown)
    )


def _wait(want: Want, decision: Decision, pending: Task | None) -> Wait:
    nodes = {refusal.node for refusal in decision.refusals}
    return Wait(
        slot=want.slot,
        version=want.job.version,
        spec=want.group.spec,
        decision=decision,
        reason=f"fits on none of {len(nodes)} nodes",
        pending=pending,
    )


def _place(
    want: Want, state: NodeState, ports: Mapping[str, int], decision: Decision, pending: Task | None
) -> Place:
    name = state.node.name
    return Place(
        slot=want.slot,
        version=want.job.version,
        spec=want.group.spec,
        node=name,
        ports=ports,
        decision=decision,
        reason=f"best of {len(decision.scores)} nodes, score {decision.scores[name]:.3f}",
        pending=pending,
    )
