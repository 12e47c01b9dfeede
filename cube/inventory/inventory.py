"""What an inventory says: groups, hosts and their variables, before any of it means something to Cube."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from cube.document.reader import Mark
from cube.inventory.value import Variable, Variables


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """`children` and `hosts` are its own, in the order in which they were written.

    `depth` is the longest way to it from `all`. Where two groups set one variable, the deeper wins,
    then the one of higher `priority`, then the later in the alphabet.
    """

    name: str
    mark: Mark
    depth: int
    priority: int
    children: tuple[str, ...]
    hosts: tuple[str, ...]
    variables: Variables


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """`groups` are all that it is in, `all` first, then from the weakest to the strongest."""

    name: str
    mark: Mark
    groups: tuple[str, ...]
    variables: Variables


@dataclass(frozen=True, slots=True, kw_only=True)
class Inventory:
    """Groups and hosts by name, in the order of the file.

    `group_files` and `host_files` hold what group_vars/ and host_vars/ add to them, by name.
    """

    groups: Mapping[str, Group]
    hosts: Mapping[str, Host]
    warnings: tuple[str, ...] = ()
    group_files: Mapping[str, Variables] = field(default_factory=dict)
    host_files: Mapping[str, Variables] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Layer:
    """The variables that one owner (`group web`, `host web1`) sets in one kind of place."""

    owner: str
    variables: Variables


def group_layers(inventory: Inventory, groups: tuple[str, ...]) -> Iterator[Layer]:
    """What groups set, the weakest first: the inventory's own text, then the files in group_vars/."""
    for name in groups:
        yield Layer(f"group {name}", inventory.groups[name].variables)
    for name in groups:
        yield Layer(f"group {name}", inventory.group_files.get(name, {}))


def host_layers(inventory: Inventory, host: Host) -> Iterator[Layer]:
    """Everything that sets variables of a host, the weakest first."""
    yield from group_layers(inventory, host.groups)
    yield Layer(f"host {host.name}", host.variables)
    yield Layer(f"host {host.name}", inventory.host_files.get(host.name, {}))


def resolve(inventory: Inventory) -> Mapping[str, Variables]:
    """The variables of every host as they hold in the end."""
    shared: dict[tuple[str, ...], dict[str, Variable]] = {}
    resolved: dict[str, Variables] = {}
    for host in inventory.hosts.values():
        if host.groups not in shared:
            shared[host.groups] = _merged(group_layers(inventory, host.groups))
        from_files = inventory.host_files.get(host.name, {})
        resolved[host.name] = {**shared[host.groups], **host.variables, **from_files}
    return resolved


def group_members(inventory: Inventory) -> Mapping[str, tuple[str, ...]]:
    """The hosts of every group, those of nested groups included, in the order of the file."""
    members: dict[str, list[str]] = {name: [] for name in inventory.groups}
    for host in inventory.hosts.values():
        for name in host.groups:
            members[name].append(host.name)
    return {name: tuple(hosts) for name, hosts in members.items()}


def _merged(layers: Iterator[Layer]) -> dict[str, Variable]:
    return {name: variable for layer in layers for name, variable in layer.variables.items()}
