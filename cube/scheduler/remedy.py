"""What would make a request fit on a node that refuses it: for each filter the smallest change.

A change is made here, on the request or on the node, before it is told: what is told does help.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from heapq import nsmallest

from cube.model.action import Remedy
from cube.model.job import Constraint, Operator, Port
from cube.model.resources import Resources
from cube.scheduler.attributes import attribute, holds
from cube.scheduler.filters import FILTERS, Filter, most_for_each_value
from cube.scheduler.state import Demand, NodeState, Request

TOLD = 3
"""How many nodes are told of."""

MEBIBYTE = 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Relief:
    """One change, in words, and the request and the node once it is made.

    `cost` orders changes: a shortage counts as the share of the node that it is, and more what somebody said
    on purpose.
    """

    fault: str
    change: str
    cost: float
    request: Request
    state: NodeState


Relieve = Callable[[Request, NodeState], Relief | None]


def remedies(request: Request, nodes: Iterable[NodeState]) -> tuple[Remedy, ...]:
    """The nodes that lack least, the nearest first: few changes before many, then small before large.

    A node that no change of the job or of the node would help is left out.
    """
    found = [
        (len(steps), sum(step.cost for step in steps), place, state.node.name, steps)
        for place, state in enumerate(nodes)
        if (steps := reliefs(request, state))
    ]
    return tuple(_remedy(name, steps) for *_, name, steps in nsmallest(TOLD, found, key=lambda one: one[:3]))


def reliefs(request: Request, state: NodeState) -> tuple[Relief, ...] | None:
    """The changes that let the node take the request, one for each filter that refuses; None: nothing would.

    Empty where the node can take it as it is. Each change builds on those before it.
    """
    steps: list[Relief] = []
    for refusing in FILTERS:
        if not _refuses(refusing, request, state):
            continue
        relieve = _RELIEFS.get(refusing.name)
        step = relieve(request, state) if relieve else None
        if step is None or _refuses(refusing, step.request, step.state):
            return None
        steps.append(step)
        request, state = step.request, step.state
    return tuple(steps)


def _remedy(node: str, steps: Sequence[Relief]) -> Remedy:
    return Remedy(
        node=node,
        fault=" and ".join(step.fault for step in steps),
        change="; and ".join(step.change for step in steps),
        changes=len(steps),
    )


def _refuses(found: Filter, request: Request, state: NodeState) -> bool:
    return any(True for _ in found.lacks(request, state))


def _opened(request: Request, state: NodeState) -> Relief:
    name = state.node.name
    asked = [f"cube node uncordon {name}"] if state.closed else []
    if not state.node.schedulable:
        asked.append(f"set cube_schedulable: true for {name} in the inventory")
    opened = replace(state, closed="", node=replace(state.node, schedulable=True))
    return Relief(
        fault=state.closed.removeprefix("it ") or "is not schedulable",
        change=" and ".join(asked),
        cost=0.25,
        request=request,
        state=opened,
    )


def _let_in(request: Request, state: NodeState) -> Relief:
    here = state.node.datacenter
    wider = (*request.demand.datacenters, here)
    return Relief(
        fault=f"is in {here}",
        change=f"add {here} to the job's datacenters",
        cost=0.5,
        request=_asking(request, datacenters=wider),
        state=state,
    )


def _unconstrained(request: Request, state: NodeState) -> Relief:
    constraints = request.demand.constraints
    broken = [found for found in constraints if not holds(found, attribute(state.node, found.attribute))]
    kept = tuple(found for found in constraints if found not in broken)
    told = " and ".join(str(found) for found in broken)
    return Relief(
        fault=f"does not meet {told}",
        change=f"take the constraint {told} out of the job, or let {state.node.name} meet it",
        cost=0.5 * len(broken),
        request=_asking(request, constraints=kept),
        state=state,
    )


def _among_peers(request: Request, state: NodeState) -> Relief:
    constraints = request.demand.constraints
    wider = tuple(_widened(found, request, state) for found in constraints)
    broken = [old for old, new in zip(constraints, wider, strict=True) if old != new]
    told = " and ".join(str(found) for found in broken)
    return Relief(
        fault=f"has too many of the group's tasks beside it ({told})",
        change=f"let {told} allow one task more for each value, or ask for fewer tasks",
        cost=0.5,
        request=_asking(request, constraints=tuple(found for found in wider if found is not None)),
        state=state,
    )


def _widened(found: Constraint, request: Request, state: NodeState) -> Constraint | None:
    if found.operator is not Operator.DISTINCT_PROPERTY:
        return found
    value = attribute(state.node, found.attribute)
    if value is None:
        return None
    here = request.peers.get(found.attribute, {}).get(value, 0)
    return replace(found, values=(str(here + 1),)) if here >= most_for_each_value(found) else found


def _crowded(request: Request, state: NodeState) -> Relief:
    more = state.tasks.get(request.group, 0) + 1
    demand, name = request.demand, state.node.name
    kept = tuple(found for found in demand.constraints if found.operator is not Operator.DISTINCT_HOSTS)
    is_alone = len(kept) < len(demand.constraints)
    what = "take distinct_hosts out of the job" if is_alone else f"raise max_per_node to {more}"
    limit = None if demand.max_per_node is None else max(more, demand.max_per_node)
    return Relief(
        fault=f"has {more - 1} of the group's tasks already",
        change=f"{what}, ask for fewer tasks, or add a node beside {name}",
        cost=0.5,
        request=_asking(request, constraints=kept, max_per_node=limit),
        state=state,
    )


def _roomier(what: str, shown: Callable[[int], str]) -> Relieve:
    def relieve(request: Request, state: NodeState) -> Relief:
        asked = getattr(request.resources, what)
        free, capacity = getattr(state.free, what), getattr(state.capacity, what)
        if asked > capacity:
            return _outgrown(what, shown, request, state)
        short = asked - free
        ways = [f"give the task {shown(short)} less"] * (free > 0)
        ways += [f"free {'as much' if ways else shown(short)} there"]
        less = Resources(**{what: short})
        if free > 0:
            request = _asking(request, resources=request.resources - less)
        else:
            state = replace(state, promised=state.promised - less)
        return Relief(
            fault=f"lacks {shown(short)} of {what}",
            change=", or ".join(ways),
            cost=short / capacity,
            request=request,
            state=state,
        )

    return relieve


def _outgrown(what: str, shown: Callable[[int], str], request: Request, state: NodeState) -> Relief:
    """The node would be too small with nothing on it: the task asks for less, or there is a larger node."""
    asked = getattr(request.resources, what)
    free, capacity = getattr(state.free, what), getattr(state.capacity, what)
    larger = f"add a node that has {shown(asked)} of {what} for tasks"
    least = min(free, capacity) if free > 0 else max(capacity, 0)
    fewer = f"ask for {_at_most(least, what)}{'' if free > 0 else ' and free that there'}"
    if least > 0:
        less, freed = Resources(**{what: asked - least}), Resources(**{what: max(least - free, 0)})
        request = _asking(request, resources=request.resources - less)
        state = replace(state, promised=state.promised - freed)
    else:
        state = replace(state, capacity=state.capacity + Resources(**{what: asked - free}))
    return Relief(
        fault=f"has no more than {_at_most(max(capacity, 0), what)} of {what} in all",
        change=f"{fewer}, or {larger}" if least > 0 else larger,
        cost=(asked - free) / capacity if capacity > 0 else float("inf"),
        request=request,
        state=state,
    )


def _at_most(amount: int, what: str) -> str:
    """Rounded down: so much is there."""
    return f"{amount}m" if what == "cpu" else f"{amount // MEBIBYTE}MiB"


def _without_ports(request: Request, state: NodeState) -> Relief:
    taken = sorted(state.ports & {number for port in request.ports for number in _numbers(port)})
    fixed = [port.host for port in request.ports if port.host in state.ports]
    freed = frozenset(taken[: len(request.ports)]) | frozenset(number for number in fixed if number)
    told = " and ".join(f"host port {number}" for number in fixed) or "every host port of the range"
    return Relief(
        fault=f"has {told} taken",
        change="stop what has it there, or ask for another port",
        cost=0.25,
        request=request,
        state=replace(state, ports=state.ports - freed),
    )


def _with_volumes(request: Request, state: NodeState) -> Relief | None:
    if state.volumes is None:
        return None
    missing = [name for name in request.demand.volumes if name not in state.volumes]
    told = " and ".join(missing)
    return Relief(
        fault=f"has no volume {told}",
        change=f"make {told} there, as with docker volume create, or let Cube do so: without external",
        cost=0.5 * len(missing),
        request=request,
        state=replace(state, volumes=state.volumes | set(missing)),
    )


def _with_devices(request: Request, state: NodeState) -> Relief:
    asked, free = dict(request.demand.devices), state.devices
    short = {kind: count - free.get(kind, 0) for kind, count in asked.items() if count > free.get(kind, 0)}
    undeclared = [kind for kind in short if asked[kind] > _declared(kind, state)]
    fewer = {kind: free[kind] for kind in short if free.get(kind, 0) > 0}
    freed = {kind: asked[kind] for kind in short if kind not in fewer}
    return Relief(
        fault=f"lacks {' and '.join(f'{count} {kind}' for kind, count in short.items())}",
        change=" and ".join(_ways_to_devices(kind, asked[kind], state) for kind in short),
        cost=sum(count / asked[kind] for kind, count in short.items()) + 0.5 * len(undeclared),
        request=_asking(request, devices=tuple((asked | fewer).items())),
        state=replace(state, devices={**free, **freed}),
    )


def _ways_to_devices(kind: str, asked: int, state: NodeState) -> str:
    """What lets the node have enough devices of the kind."""
    free, there = state.devices.get(kind, 0), _declared(kind, state)
    ways = [f"ask for {asked - free} {kind} fewer"] * (free > 0)
    if asked <= there:
        ways.append(f"free {asked - free} {kind} there")
    else:
        ways.append(
            f"declare {asked - there} {kind} more in cube_devices of {state.node.name}, if it has them"
        )
    return ", or ".join(ways)


def _declared(kind: str, state: NodeState) -> int:
    return len(state.node.devices.get(kind, ()))


def _numbers(port: Port) -> Iterable[int]:
    first, last = port.host_range
    return (port.host,) if port.host is not None else range(first, last + 1)


def _asking(request: Request, **changes: object) -> Request:
    demand: Demand = replace(request.demand, **changes)  # type: ignore[arg-type] # each is a field of Demand
    return replace(request, demand=demand)


def _mebibytes(amount: int) -> str:
    """Rounded up: so much does help."""
    return f"{-(-amount // MEBIBYTE)}MiB"


_RELIEFS: Mapping[str, Relieve] = {
    "schedulable": _opened,
    "datacenter": _let_in,
    "constraints": _unconstrained,
    "peers": _among_peers,
    "max per node": _crowded,
    "cpu": _roomier("cpu", lambda amount: f"{amount}m"),
    "memory": _roomier("memory", _mebibytes),
    "disk": _roomier("disk", _mebibytes),
    "host ports": _without_ports,
    "volumes": _with_volumes,
    "devices": _with_devices,
}
"""By the filter's name. Nothing helps against the others: a system task belongs to its node, as data does."""
