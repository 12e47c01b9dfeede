"""What the keys of a group must be to each other. Each rule is a function that finds what breaks it."""

from collections.abc import Callable, Hashable, Iterable, Iterator

from pydantic import BaseModel

from cube.document.check import Problem, shown
from cube.model.job import CheckKind, Constraint, Operator
from cube.model.policy import Order
from cube.spec.mounts import READABLE
from cube.spec.parts import HealthSchema
from cube.spec.reach_rules import (
    an_ingress_can_be_as_it_says,
    names_have_one_meaning,
    requests_reach_a_port,
)
from cube.spec.schema import GroupSchema

MAX_ENVIRONMENT = 131072
"""Characters of all variables together: a task's spec travels as a label of its container."""

_OF_HTTP = ("status", "headers", "body")


def checks_of(health: HealthSchema) -> tuple[CheckKind, ...]:
    """The kinds of check that are written; one, where no rule is broken."""
    return tuple(kind for kind in CheckKind if getattr(health, kind) not in (None, False))


def health_has_one_kind(group: GroupSchema) -> Iterator[Problem]:
    """One of the four, not two and not none."""
    if group.health and len(checks_of(group.health)) != 1:
        ways = "'http: /path', 'tcp: true', 'exec: [program, argument]' and 'image: true'"
        yield Problem(("health",), f"write exactly one of {ways}", key=True)


def health_asks_a_port_of_the_group(group: GroupSchema) -> Iterator[Problem]:
    """The checked port exists and speaks TCP; what needs no port names none."""
    if group.health is None or len(checks_of(group.health)) != 1:
        return
    (kind,) = checks_of(group.health)
    name = group.health.port
    needs_one = kind in (CheckKind.HTTP, CheckKind.TCP)
    if name is None and needs_one:
        yield Problem(("health",), "the key 'port' is missing")
    elif name is not None and not needs_one:
        yield Problem(("health", "port"), f"a check by '{kind}' asks no port; remove the key", key=True)
    elif name is not None:
        yield from _port_can_be_asked(name, group)


def health_says_of_http_what_is_http(group: GroupSchema) -> Iterator[Problem]:
    """What an answer must be is said only where there is one."""
    if group.health is None or CheckKind.HTTP in checks_of(group.health):
        return
    for key in _OF_HTTP:
        if key in group.health.model_fields_set:
            yield Problem(("health", key), f"'{key}' is for checks by 'http' only", key=True)


def no_header_twice(group: GroupSchema) -> Iterator[Problem]:
    """Small and capital letters are the same in a header's name."""
    headers = group.health.headers if group.health else ()
    for name in _repeated((name.lower(), "", name) for name in headers):
        yield Problem(("health", "headers", name), f"the header {shown(name)} stands here twice", key=True)


def a_check_ends_before_the_next(group: GroupSchema) -> Iterator[Problem]:
    """The timeout is not longer than the interval; one that nobody wrote follows it."""
    if group.health and "timeout" in group.health.model_fields_set:
        yield from _in_order(("health",), group.health, "timeout", "interval")


def delays_have_an_end(group: GroupSchema) -> Iterator[Problem]:
    """The first delay is not longer than the longest."""
    yield from _in_order(("restart",), group.restart, "delay", "max_delay")
    yield from _in_order(("reschedule",), group.reschedule, "delay", "max_delay")


def an_update_can_succeed(group: GroupSchema) -> Iterator[Problem]:
    """A new task has the time to become healthy, and to stay it, before the rollout fails."""
    update = group.update
    if update.healthy_deadline <= update.min_healthy_time:
        deadline, least = _told(update, "healthy_deadline"), _told(update, "min_healthy_time")
        key = _written(update, "healthy_deadline", "min_healthy_time")
        yield Problem(("update", key), f"{deadline} must be longer than {least}")
    yield from _in_order(("update",), update, "healthy_deadline", "progress_deadline")


def a_file_has_one_way_to_be_told_of(group: GroupSchema) -> Iterator[Problem]:
    """One of the three, not two and not none."""
    for target, template in group.templates.items():
        how = template.on_change
        if sum(each is not None for each in (how.restart, how.signal, how.exec)) != 1:
            ways = "'restart', 'none', '{signal: SIGHUP}' or '{exec: [program, argument]}'"
            yield Problem(("templates", target, "on_change"), f"write one of {ways}", key=True)


def variables_change_with_a_restart_or_not_at_all(group: GroupSchema) -> Iterator[Problem]:
    """Nothing else reaches the environment of a process."""
    for target, template in group.templates.items():
        how = template.on_change
        if template.env and (how.signal is not None or how.exec is not None):
            what = "with 'env', write 'restart' or 'none': no signal and no command changes what has begun"
            yield Problem(("templates", target, "on_change"), what, key=True)


def a_file_has_one_origin(group: GroupSchema) -> Iterator[Problem]:
    """A template, or a text of its own."""
    for target, template in group.templates.items():
        if (template.source is None) == (template.text is None):
            yield Problem(("templates", target), "write either 'source' or 'text'", key=True)


def only_named_volumes_are_looked_for(group: GroupSchema) -> Iterator[Problem]:
    """Only of these a node tells which it has."""
    for index, volume in enumerate(group.volumes):
        wanted = {
            "external": volume.external,
            "sticky": not volume.sticky,
            "backup": volume.backup is not None,
        }
        for name in (name for name in wanted if wanted[name] and "/" in volume.source):
            what = f"'{name}' is for volumes with a name; {shown(volume.source)} is a path of the node"
            yield Problem(("volumes", index, name), f"{what}: remove the key")


def the_nodes_own_files_are_only_read(group: GroupSchema) -> Iterator[Problem]:
    """What a task wrote there would be the node's."""
    for index, volume in enumerate(group.volumes):
        if volume.source in READABLE and not volume.read_only:
            what = (
                f"{volume.source} is the node's own, and may only be read: write 'read_only: true', or ':ro'"
            )
            yield Problem(("volumes", index), what)


def start_first_can_be(group: GroupSchema) -> Iterator[Problem]:
    """Two tasks of one slot run at once where they share no port of the node and write to no volume."""
    if group.update.order != Order.START_FIRST:
        return
    for clash in _clashes(group):
        what = f"'start-first' is not possible: {clash}; write 'auto' or 'stop-first'"
        yield Problem(("update", "order"), what)


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
    mounted = {volume.target for volume in group.volumes}
    for key, found in (("tmpfs", group.tmpfs), ("templates", group.templates)):
        for target in found:
            if target in mounted:
                yield Problem((key, target), f"something else is mounted at {target} too", key=True)
        mounted |= set(found)


def secrets_have_places_of_their_own(group: GroupSchema) -> Iterator[Problem]:
    """Each is a file or a variable, at a place that nothing else has."""
    taken = {volume.target for volume in group.volumes} | set(group.tmpfs) | set(group.templates)
    variables = set(group.env)
    for name, secret in group.secrets.items():
        place = secret.file or f"/run/secrets/{name}"
        if secret.file and secret.env:
            yield Problem(("secrets", name), "write 'file' or 'env', not both", key=True)
        elif secret.env is None and place in taken:
            yield Problem(("secrets", name), f"something else is mounted at {place}", key=True)
        elif secret.env is not None and secret.env in variables:
            yield Problem(("secrets", name), f"the variable {secret.env} has a value already", key=True)
        taken |= {place} if secret.env is None else set()
        variables |= {secret.env} if secret.env else set()


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


def targets_are_at_most_all(group: GroupSchema) -> Iterator[Problem]:
    """The percentages of a spread are not more than a hundred."""
    for attribute, targets in group.spread.items():
        if (total := sum(targets.values())) > 100:
            yield Problem(("spread", attribute), f"the targets add up to {total} percent", key=True)


RULES: tuple[Callable[[GroupSchema], Iterable[Problem]], ...] = (
    health_has_one_kind,
    health_asks_a_port_of_the_group,
    health_says_of_http_what_is_http,
    no_header_twice,
    a_check_ends_before_the_next,
    delays_have_an_end,
    an_update_can_succeed,
    only_named_volumes_are_looked_for,
    the_nodes_own_files_are_only_read,
    variables_change_with_a_restart_or_not_at_all,
    a_file_has_one_origin,
    a_file_has_one_way_to_be_told_of,
    requests_reach_a_port,
    an_ingress_can_be_as_it_says,
    start_first_can_be,
    no_port_twice,
    no_target_twice,
    names_have_one_meaning,
    secrets_have_places_of_their_own,
    environment_fits,
    constraints_can_hold,
    targets_are_at_most_all,
)


def _port_can_be_asked(name: str, group: GroupSchema) -> Iterator[Problem]:
    port = group.ports.get(name)
    if port is None:
        known = ", ".join(group.ports) or "none is written"
        yield Problem(("health", "port"), f"the group has no port '{name}'; its ports: {known}")
    elif port.protocol != "tcp":
        yield Problem(("health", "port"), f"the port '{name}' is udp; only tcp can be checked")


def _clashes(group: GroupSchema) -> Iterator[str]:
    for name, port in group.ports.items():
        if isinstance(port.host, int):
            yield f"old and new would both need port {port.host} of the node ('{name}')"
    for volume in group.volumes:
        if not volume.read_only:
            yield f"old and new would both write to the volume {shown(volume.source)}"


def _in_order(path: tuple[str, ...], table: BaseModel, low: str, high: str) -> Iterator[Problem]:
    """A problem where the duration `low` is longer than `high`, at the one that was written."""
    if getattr(table, low) > getattr(table, high):
        what = f"{_told(table, low)} cannot be longer than {_told(table, high)}"
        yield Problem((*path, _written(table, low, high)), what)


def _written(table: BaseModel, first: str, second: str) -> str:
    return first if first in table.model_fields_set else second


def _told(table: BaseModel, key: str) -> str:
    """The key and its seconds; that nobody wrote them, where it is so."""
    origin = "" if key in table.model_fields_set else ", its default"
    return f"'{key}' ({getattr(table, key):.10g}s{origin})"


def _contradict(demands: Iterable[Constraint]) -> bool:
    wanted: set[str] | None = None
    refused: set[str] = set()
    for demand in demands:
        if demand.operator in (Operator.NOT_EQUAL, Operator.NOT_IN):
            refused.update(demand.values)
        elif demand.operator in (Operator.EQUAL, Operator.IN):
            wanted = set(demand.values) if wanted is None else wanted & set(demand.values)
    return wanted is not None and not wanted - refused


def _repeated(pairs: Iterable[tuple[Hashable, Hashable, str]]) -> Iterator[str]:
    """The names of those whose first two parts were there before."""
    seen: set[tuple[Hashable, Hashable]] = set()
    for first, second, name in pairs:
        if (first, second) in seen:
            yield name
        seen.add((first, second))
