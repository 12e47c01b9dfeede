"""What the keys of a group must be to each other. Each rule is a function that finds what breaks it."""

from collections.abc import Callable, Hashable, Iterable, Iterator

from cube.document.check import Problem
from cube.model.job import Constraint, Operator
from cube.spec.schema import GroupSchema, JobSchema

MAX_ENVIRONMENT = 131072
"""Characters of all variables together: a task's spec travels as a label of its container."""


def broken(job: JobSchema) -> Iterator[Problem]:
    """Every broken rule of every group, at its place in the job."""
    for name, group in job.groups.items():
        for rule in RULES:
            for path, what, key in rule(group):
                yield Problem(("groups", name, *path), what, key)


def health_has_one_kind(group: GroupSchema) -> Iterator[Problem]:
    """`http` or `tcp: true`, not both and not none."""
    if group.health and (group.health.http is not None) == bool(group.health.tcp):
        yield Problem(("health",), "write either 'http: /path' or 'tcp: true'", key=True)


def health_asks_a_port_of_the_group(group: GroupSchema) -> Iterator[Problem]:
    """The checked port exists and speaks TCP."""
    if group.health is None:
        return
    port = group.ports.get(group.health.port)
    if port is None:
        known = ", ".join(group.ports) or "none is written"
        yield Problem(("health", "port"), f"the group has no port '{group.health.port}'; its ports: {known}")
    elif port.protocol != "tcp":
        yield Problem(("health", "port"), f"the port '{group.health.port}' is udp; only tcp can be checked")


def no_port_twice(group: GroupSchema) -> Iterator[Problem]:
    """Neither on the node nor in the container."""
    fixed = {name: port for name, port in group.ports.items() if isinstance(port.host, int)}
    for name in _repeated((port.host, port.protocol, name) for name, port in fixed.items()):
        yield Problem(("ports", name, "host"), f"the group publishes port {group.ports[name].host} twice")
    inside = ((port.container, port.protocol, name) for name, port in group.ports.items())
    for name in _repeated(inside):
        what = f"the container's port {group.ports[name].container} is published twice"
        yield Problem(("ports", name, "container"), what)


def no_target_twice(group: GroupSchema) -> Iterator[Problem]:
    """Two volumes cannot be mounted at one place."""
    targets = ((volume.target, "", str(index)) for index, volume in enumerate(group.volumes))
    for index in map(int, _repeated(targets)):
        yield Problem(("volumes", index), f"two volumes are mounted at {group.volumes[index].target}")


def environment_fits(group: GroupSchema) -> Iterator[Problem]:
    """All variables together stay below the limit."""
    total = sum(len(name) + len(value) for name, value in group.env.items())
    if total > MAX_ENVIRONMENT:
        yield Problem(
            ("env",), f"the variables have {total} characters; {MAX_ENVIRONMENT} are allowed", key=True
        )


def constraints_can_hold(group: GroupSchema) -> Iterator[Problem]:
    """Some value of each attribute satisfies all that is demanded of it."""
    for attribute in dict.fromkeys(constraint.attribute for constraint in group.constraints):
        demands = [constraint for constraint in group.constraints if constraint.attribute == attribute]
        if _contradict(demands):
            yield Problem(
                ("constraints",), f"no node can satisfy all that is demanded of {attribute}", key=True
            )


RULES: tuple[Callable[[GroupSchema], Iterable[Problem]], ...] = (
    health_has_one_kind,
    health_asks_a_port_of_the_group,
    no_port_twice,
    no_target_twice,
    environment_fits,
    constraints_can_hold,
)


def _contradict(demands: Iterable[Constraint]) -> bool:
    wanted: set[str] | None = None
    refused: set[str] = set()
    for demand in demands:
        if demand.operator in (Operator.NOT_EQUAL, Operator.NOT_IN):
            refused.update(demand.values)
        else:
            wanted = set(demand.values) if wanted is None else wanted & set(demand.values)
    return wanted is not None and not wanted - refused


def _repeated(pairs: Iterable[tuple[Hashable, Hashable, str]]) -> Iterator[str]:
    """The names of those whose first two parts were there before."""
    seen: set[tuple[Hashable, Hashable]] = set()
    for first, second, name in pairs:
        if (first, second) in seen:
            yield name
        seen.add((first, second))
