"""Unfilled slots to nodes: by priority, then first in, first out; one that fits nowhere holds up nobody."""

from collections.abc import Mapping, Sequence

from cube.model.action import Decision, Place, Refusal, Wait
from cube.model.observation import Unknown
from cube.model.resources import Resources
from cube.model.task import Slot, State, Task
from cube.reconciler.world import Want, World
from cube.scheduler.algorithms import Scheduler, place
from cube.scheduler.filters import choose_ports
from cube.scheduler.state import NodeState, Request


def place_unfilled(
    world: World, unfilled: Sequence[Want], pending: Sequence[Task], scheduler: Scheduler
) -> tuple[Place | Wait, ...]:
    """A Place or a Wait for every slot. Room that other actions of the plan free is not counted."""
    states = node_states(world)
    absent = _absent(world)
    waiting = {task.slot: task for task in pending}
    newest = max((task.order for task in world.tasks), default=0)
    actions: list[Place | Wait] = []
    for position, want in enumerate(_in_line(unfilled, waiting)):
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


def _holds_room(task: Task) -> bool:
    return task.state not in (State.PENDING, State.COMPLETED)


def _count(tasks: Sequence[Task]) -> Mapping[tuple[str, str], int]:
    counts: dict[tuple[str, str], int] = {}
    for task in tasks:
        key = (task.slot.job, task.slot.group)
        counts[key] = counts.get(key, 0) + 1
    return counts


def _in_line(unfilled: Sequence[Want], waiting: Mapping[Slot, Task]) -> list[Want]:
    """Stable: among slots that nobody has waited for, the order of jobs, groups and indices holds."""

    def rank(want: Want) -> tuple[int, float]:
        task = waiting.get(want.slot)
        return -want.job.priority, task.order if task else float("inf")

    return sorted(unfilled, key=rank)


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
