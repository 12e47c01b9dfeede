"""The hard demands: each filter answers why a node cannot take a request, or None."""

from collections.abc import Callable, Iterable, Mapping

from cube.model.action import Refusal
from cube.model.job import Constraint, Operator, Port
from cube.model.node import Node
from cube.scheduler.state import NodeState, Request

Filter = Callable[[Request, NodeState], Refusal | None]


def is_schedulable(_request: Request, state: NodeState) -> Refusal | None:
    """The operator lets the node take new tasks."""
    reason = state.closed or ("" if state.node.schedulable else "not schedulable")
    return Refusal(node=state.node.name, reason=reason) if reason else None


def is_the_node(request: Request, state: NodeState) -> Refusal | None:
    """A task of a system job belongs to one node."""
    if request.node in (None, state.node.name):
        return None
    return Refusal(node=state.node.name, reason=f"it belongs to {request.node}", ever=True)


def is_in_datacenter(request: Request, state: NodeState) -> Refusal | None:
    """The node stands in one of the job's datacenters; a job that names none may go anywhere."""
    if not request.datacenters or state.node.datacenter in request.datacenters:
        return None
    wanted = ", ".join(request.datacenters)
    return Refusal(
        node=state.node.name, reason=f"datacenter is {state.node.datacenter}, wanted {wanted}", ever=True
    )


def meets_constraints(request: Request, state: NodeState) -> Refusal | None:
    """Every constraint of the group holds on the node."""
    for constraint in request.constraints:
        found = attribute(state.node, constraint.attribute)
        if not holds(constraint, found):
            wanted = f"{constraint.attribute} {constraint.operator} {', '.join(constraint.values)}"
            shown = "not set" if found is None else found
            return Refusal(node=state.node.name, reason=f"{wanted}: it is {shown}", ever=True)
    return None


def has_cpu(request: Request, state: NodeState) -> Refusal | None:
    """Enough millicores are unpromised."""
    asked, free, capacity = request.resources.cpu, state.free.cpu, state.capacity.cpu
    if asked <= free:
        return None
    return Refusal(
        node=state.node.name,
        reason=f"cpu: {asked}m asked, {free}m of {capacity}m free",
        ever=asked > capacity,
    )


def has_memory(request: Request, state: NodeState) -> Refusal | None:
    """Enough memory is unpromised."""
    return _bytes_left("memory", request.resources.memory, state.free.memory, state)


def has_disk(request: Request, state: NodeState) -> Refusal | None:
    """Enough disk is unpromised."""
    return _bytes_left("disk", request.resources.disk, state.free.disk, state)


def has_ports(request: Request, state: NodeState) -> Refusal | None:
    """Every fixed host port is free, and every range has a free port left."""
    if choose_ports(request.ports, state.ports) is not None:
        return None
    taken = ", ".join(_shown(port) for port in request.ports)
    return Refusal(node=state.node.name, reason=f"host port {taken}: taken")


FILTERS: tuple[Filter, ...] = (
    is_schedulable,
    is_the_node,
    is_in_datacenter,
    meets_constraints,
    has_cpu,
    has_memory,
    has_disk,
    has_ports,
)
"""In the order in which their reasons are told."""

STANDING_FILTERS: tuple[Filter, ...] = (is_in_datacenter, meets_constraints)
"""Those that a task must go on meeting after it was placed."""


def refusals_of(
    request: Request, state: NodeState, filters: Iterable[Filter] = FILTERS
) -> tuple[Refusal, ...]:
    """Every reason, not only the first, why the node cannot take the request; empty: it can."""
    answers = (test(request, state) for test in filters)
    return tuple(refusal for refusal in answers if refusal is not None)


def attribute(node: Node, name: str) -> str | None:
    """A node's attribute by the name that constraints use; None where it is not set."""
    if name.startswith("label."):
        return node.labels.get(name.removeprefix("label."))
    return {"node.name": node.name, "node.datacenter": node.datacenter, "node.role": node.role}.get(name)


def holds(constraint: Constraint, found: str | None) -> bool:
    """An attribute that is not set equals nothing and differs from everything."""
    is_among = found is not None and found in constraint.values
    return is_among if constraint.operator in (Operator.EQUAL, Operator.IN) else not is_among


def choose_ports(ports: tuple[Port, ...], taken: frozenset[int]) -> Mapping[str, int] | None:
    """A host port for each port: the fixed one, or the lowest free of its range. None where one is taken."""
    chosen: dict[str, int] = {}
    for port in sorted(ports, key=lambda port: port.host is None):
        first, last = (port.host, port.host) if port.host is not None else port.host_range
        used = taken | frozenset(chosen.values())
        number = next((number for number in range(first, last + 1) if number not in used), None)
        if number is None:
            return None
        chosen[port.name] = number
    return chosen


def _bytes_left(what: str, asked: int, free: int, state: NodeState) -> Refusal | None:
    if asked <= free:
        return None
    capacity = getattr(state.capacity, what)
    return Refusal(
        node=state.node.name,
        reason=f"{what}: {_mebibytes(asked)} asked, {_mebibytes(free)} of {_mebibytes(capacity)} free",
        ever=asked > capacity,
    )


def _mebibytes(amount: int) -> str:
    return f"{amount / 2**20:.0f}MiB"


def _shown(port: Port) -> str:
    return str(port.host) if port.host is not None else f"{port.host_range[0]}-{port.host_range[1]}"
