"""The hard demands: each filter answers why a node cannot take a request, or None."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from cube.model.action import Refusal
from cube.model.job import Constraint, Operator, Port
from cube.scheduler.attributes import attribute, holds
from cube.scheduler.state import NodeState, Request


@dataclass(frozen=True, slots=True, kw_only=True)
class Lack:
    """What a node lacks: what was wanted, what there is, and whether it could ever be otherwise."""

    wanted: str
    found: str
    reason: str
    ever: bool = False


@dataclass(frozen=True, slots=True)
class Filter:
    """One hard demand by its name. `lacks` tells all that the node lacks of it; nothing: the node passes."""

    name: str
    lacks: Callable[[Request, NodeState], Iterable[Lack]]

    def refusals(self, request: Request, state: NodeState) -> Iterator[Refusal]:
        """Why the node cannot take the request, as far as this filter knows."""
        for lack in self.lacks(request, state):
            yield Refusal(
                node=state.node.name,
                reason=lack.reason,
                ever=lack.ever,
                filter=self.name,
                wanted=lack.wanted,
                found=lack.found,
            )


def is_schedulable(_request: Request, state: NodeState) -> Iterator[Lack]:
    """The operator lets the node take new tasks."""
    reason = state.closed or ("" if state.node.schedulable else "not schedulable")
    if reason:
        yield Lack(wanted="open to new tasks", found=reason, reason=reason)


def is_the_node(request: Request, state: NodeState) -> Iterator[Lack]:
    """A task of a system job belongs to one node."""
    if request.node not in (None, state.node.name):
        what = f"it belongs to {request.node}"
        yield Lack(wanted=f"{request.node}", found=state.node.name, reason=what, ever=True)


def has_its_data(request: Request, state: NodeState) -> Iterator[Lack]:
    """What the slot's last task wrote to a volume is where its next one begins."""
    if request.home not in (None, state.node.name):
        what = f"its data is on {request.home}"
        yield Lack(wanted=f"{request.home}", found=state.node.name, reason=what)


def is_in_datacenter(request: Request, state: NodeState) -> Iterator[Lack]:
    """The node stands in one of the job's datacenters; a job that names none may go anywhere."""
    wanted, found = request.demand.datacenters, state.node.datacenter
    if wanted and found not in wanted:
        names = ", ".join(wanted)
        yield Lack(wanted=names, found=found, reason=f"datacenter is {found}, wanted {names}", ever=True)


def meets_constraints(request: Request, state: NodeState) -> Iterator[Lack]:
    """Every constraint of the group that asks something of the node alone holds there."""
    for constraint in request.demand.constraints:
        found = attribute(state.node, constraint.attribute)
        if not holds(constraint, found):
            shown = "not set" if found is None else found
            yield Lack(wanted=str(constraint), found=shown, reason=f"{constraint}: it is {shown}", ever=True)


def has_peers_elsewhere(request: Request, state: NodeState) -> Iterator[Lack]:
    """Not too many of the group's tasks share a value of an attribute (`distinct_property`)."""
    for constraint in request.demand.constraints:
        if constraint.operator is Operator.DISTINCT_PROPERTY:
            yield from _too_many_peers(constraint, request, state)


def has_few_enough(request: Request, state: NodeState) -> Iterator[Lack]:
    """Not more of the group's tasks than one node may have (`max_per_node`, `distinct_hosts`)."""
    most, here = request.demand.most_on_one_node, state.tasks.get(request.group, 0)
    if most is not None and here >= most:
        reason = f"it has {here} of the group's tasks, {most} may be on one node"
        yield Lack(wanted=f"at most {most}", found=str(here), reason=reason)


def has_cpu(request: Request, state: NodeState) -> Iterator[Lack]:
    """Enough millicores are unpromised."""
    asked, free, capacity = request.resources.cpu, state.free.cpu, state.capacity.cpu
    if asked > free:
        reason = f"cpu: {asked}m asked, {free}m of {capacity}m free"
        yield Lack(wanted=f"{asked}m", found=f"{free}m", reason=reason, ever=asked > capacity)


def has_memory(request: Request, state: NodeState) -> Iterator[Lack]:
    """Enough memory is unpromised."""
    yield from _bytes_left("memory", request.resources.memory, state.capacity.memory, state.promised.memory)


def has_disk(request: Request, state: NodeState) -> Iterator[Lack]:
    """Enough disk is unpromised."""
    yield from _bytes_left("disk", request.resources.disk, state.capacity.disk, state.promised.disk)


def has_ports(request: Request, state: NodeState) -> Iterator[Lack]:
    """Every fixed host port is free, and every range has a free port left."""
    lacking = [port for port, number in _each_port(request.ports, state.ports) if number is None]
    if lacking:
        asked, taken = (", ".join(map(_shown, ports)) for ports in (request.ports, lacking))
        yield Lack(wanted=asked, found=f"{taken} taken", reason=f"host port {taken}: taken")


def has_volumes(request: Request, state: NodeState) -> Iterator[Lack]:
    """What is to be mounted, and nobody makes, is there."""
    known = state.volumes
    for volume in request.demand.volumes:
        if known is None:
            yield Lack(wanted=volume, found="unknown", reason=f"volume {volume}: the engine did not tell")
        elif volume not in known:
            yield Lack(wanted=volume, found="none", reason=f"volume {volume}: it is not there")


def has_devices(request: Request, state: NodeState) -> Iterator[Lack]:
    """Enough devices of each kind are unpromised."""
    for kind, asked in request.demand.devices:
        free = state.devices.get(kind, 0)
        if asked > free:
            reason = f"{kind}: {asked} asked, {free} free"
            yield Lack(wanted=str(asked), found=str(free), reason=reason, ever=kind not in state.devices)


FILTERS: tuple[Filter, ...] = (
    Filter("schedulable", is_schedulable),
    Filter("node", is_the_node),
    Filter("data", has_its_data),
    Filter("datacenter", is_in_datacenter),
    Filter("constraints", meets_constraints),
    Filter("peers", has_peers_elsewhere),
    Filter("max per node", has_few_enough),
    Filter("cpu", has_cpu),
    Filter("memory", has_memory),
    Filter("disk", has_disk),
    Filter("host ports", has_ports),
    Filter("volumes", has_volumes),
    Filter("devices", has_devices),
)
"""In the order in which their reasons are told."""

STANDING_FILTERS: tuple[Filter, ...] = tuple(
    found for found in FILTERS if found.name in ("datacenter", "constraints")
)
"""Those that a task must go on meeting after it was placed."""


def refusals_of(
    request: Request, state: NodeState, filters: Iterable[Filter] = FILTERS
) -> tuple[Refusal, ...]:
    """Every reason, not only the first, why the node cannot take the request; empty: it can."""
    return tuple(refusal for found in filters for refusal in found.refusals(request, state))


def choose_ports(ports: tuple[Port, ...], taken: frozenset[int]) -> Mapping[str, int] | None:
    """A host port for each port: the fixed one, or the lowest free of its range. None where one is taken."""
    chosen: dict[str, int] = {}
    for port, number in _each_port(ports, taken):
        if number is None:
            return None
        chosen[port.name] = number
    return chosen


def most_for_each_value(constraint: Constraint) -> int:
    """How many tasks `distinct_property` allows for each value: 1 where it does not say."""
    return int(constraint.values[0]) if constraint.values else 1


def _each_port(ports: tuple[Port, ...], taken: frozenset[int]) -> Iterator[tuple[Port, int | None]]:
    """Each port with its host port, the fixed ones first; None: all that it could have are taken."""
    used = set(taken)
    for port in sorted(ports, key=lambda port: port.host is None):
        first, last = (port.host, port.host) if port.host is not None else port.host_range
        number = next((number for number in range(first, last + 1) if number not in used), None)
        if number is not None:
            used.add(number)
        yield port, number


def _too_many_peers(constraint: Constraint, request: Request, state: NodeState) -> Iterator[Lack]:
    value, most = attribute(state.node, constraint.attribute), most_for_each_value(constraint)
    if value is None:
        reason = f"{constraint}: it is not set"
        yield Lack(wanted=str(constraint), found="not set", reason=reason, ever=True)
    elif (here := request.peers.get(constraint.attribute, {}).get(value, 0)) >= most:
        reason = f"{constraint}: {here} of the group's tasks are in {value}"
        yield Lack(wanted=f"at most {most}", found=str(here), reason=reason)


def _bytes_left(what: str, asked: int, capacity: int, promised: int) -> Iterator[Lack]:
    free = capacity - promised
    if asked > free:
        wanted, found = _mebibytes(asked), _mebibytes(free)
        reason = f"{what}: {wanted} asked, {found} of {_mebibytes(capacity)} free"
        yield Lack(wanted=wanted, found=found, reason=reason, ever=asked > capacity)


def _mebibytes(amount: int) -> str:
    return f"{amount / 2**20:.0f}MiB"


def _shown(port: Port) -> str:
    return str(port.host) if port.host is not None else f"{port.host_range[0]}-{port.host_range[1]}"
