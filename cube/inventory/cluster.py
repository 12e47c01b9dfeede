"""From an inventory to the Cluster: Ansible's connection names and Cube's own keys."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from cube.document.check import shown
from cube.errors import InputError
from cube.inventory import grammar
from cube.inventory.access import Roads
from cube.inventory.inventory import Inventory, group_layers, group_members
from cube.inventory.scope import Checked, Scope, Setting
from cube.inventory.value import Variable
from cube.model import units
from cube.model.node import STATS_KEEP, Access, Cluster, Login, Node, Overcommit
from cube.model.resources import Resources

KEYS = (
    "cube_cluster", "cube_datacenter", "cube_devices", "cube_host_key", "cube_image_tree", "cube_labels",
    "cube_overcommit", "cube_preemption", "cube_registries", "cube_reserved", "cube_role",
    "cube_schedulable", "cube_scheduler", "cube_stats_keep",
)  # fmt: skip
OF_CLUSTER = (
    "cube_cluster", "cube_image_tree", "cube_preemption", "cube_registries", "cube_scheduler",
    "cube_stats_keep",
)  # fmt: skip
"""Keys that say something of the whole cluster."""
MAX_LABELS = 64
MAX_LABEL = 256

_RESERVED: Mapping[str, Callable[[str], int]] = {"cpu": units.cpu, "memory": units.size, "disk": units.size}
_FACTORS: Mapping[str, Callable[[str], float]] = {"cpu": units.factor, "memory": units.factor}
_SWITCH = {
    "true": True,
    "yes": True,
    "on": True,
    "1": True,
    "false": False,
    "no": False,
    "off": False,
    "0": False,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """The cluster, and what a person should know about how its inventory was read."""

    cluster: Cluster
    warnings: tuple[str, ...]


def read_cluster(inventory: Inventory, *, name: str, folder: str, locate: Callable[[str], str]) -> Reading:
    """The cluster that an inventory describes; `cube_cluster` in `all` goes before `name`.

    `folder` is the inventory's own; `locate` makes the path of a key file absolute.
    Raises InputError, with the place and the cure, for everything that Cube cannot stand by.
    """
    _check_keys(inventory)
    scope = Scope(inventory, folder)
    roads = Roads(scope, locate)
    hosts = [host for host in inventory.hosts if roads.is_reached_by_ssh(host)]
    left_out = [host for host in inventory.hosts if not roads.is_reached_by_ssh(host)]
    nodes = tuple(_node(scope, roads, host) for host in hosts)
    _check_addresses(inventory, nodes)
    if not nodes:
        raise InputError("the inventory has no host that is reached by SSH", where=folder)
    warnings = [
        f"{inventory.hosts[host].mark}: '{host}' is left out: its ansible_connection is not ssh"
        for host in left_out
    ]
    reached = frozenset(hosts)
    groups = {
        group: tuple(host for host in members if host in reached)
        for group, members in group_members(inventory).items()
    }
    kept = _of_cluster(inventory, "cube_stats_keep", units.duration)
    return Reading(
        cluster=Cluster(
            name=_cluster_name(inventory, name),
            nodes=nodes,
            groups=groups,
            variables=_for_templates(inventory),
            scheduler=_of_cluster(inventory, "cube_scheduler", grammar.name) or "",
            preemption=_of_cluster(inventory, "cube_preemption", _switch) or False,
            image_tree=_of_cluster(inventory, "cube_image_tree", _switch) or False,
            registries=_registries(_of_all(inventory).get("cube_registries")),
            stats_keep=STATS_KEEP if kept is None else kept,
        ),
        warnings=(*inventory.warnings, *warnings, *roads.warnings),
    )


def _node(scope: Scope, roads: Roads, host: str) -> Node:
    try:
        grammar.name(host)
    except ValueError as error:
        raise InputError(
            f"the host name {shown(host)} cannot be used",
            where=str(scope.inventory.hosts[host].mark),
            why=str(error),
            cure="Give it such a name, and its address as ansible_host.",
        ) from None
    datacenter, role = scope.setting(host, "cube_datacenter"), scope.setting(host, "cube_role")
    schedulable = scope.setting(host, "cube_schedulable")
    return Node(
        name=host,
        access=roads.to(host),
        datacenter=datacenter.checked(grammar.name) if datacenter else "dc1",
        labels=_labels(scope.setting(host, "cube_labels")),
        role=role.checked(grammar.name) if role else "worker",
        reserved=Resources(**_amounts(scope.setting(host, "cube_reserved"), _RESERVED)),
        overcommit=Overcommit(**_amounts(scope.setting(host, "cube_overcommit"), _FACTORS)),
        schedulable=schedulable.checked(_switch) if schedulable else True,
        devices=_devices(scope.setting(host, "cube_devices")),
    )


def _labels(setting: Setting | None) -> Mapping[str, str]:
    if setting is None:
        return {}
    labels = {part.name: part for part in _parts(setting)}
    if len(labels) > MAX_LABELS:
        raise setting.refused(f"a node has at most {MAX_LABELS} labels")
    for name in labels:
        if not all(
            character.isascii() and (character.isalnum() or character in "._-/") for character in name
        ):
            raise setting.refused(
                f"the label {shown(name)} has other characters than letters, digits, . _ - /"
            )
    return {name: part.checked(_label) for name, part in labels.items()}


def _devices(setting: Setting | None) -> Mapping[str, tuple[str, ...]]:
    """The names of each kind's devices, written as a list."""
    found: dict[str, tuple[str, ...]] = {}
    for part in _parts(setting) if setting is not None else ():
        Setting(part.name, part.name, part.mark).checked(grammar.name)
        names = part.value if isinstance(part.value, list) else [part.value]
        found[part.name] = tuple(
            Setting(part.name, name, part.mark).checked(grammar.device) for name in names
        )
        if len(set(found[part.name])) < len(names):
            raise part.refused("a device is written twice")
    return found


def _registries(variable: Variable | None) -> Mapping[str, Login]:
    if variable is None:
        return {}
    found = {}
    for part in _parts(Setting("cube_registries", variable.written(), variable.mark)):
        Setting(part.name, part.name, part.mark).checked(grammar.registry)
        written = {each.name: each for each in _parts(part)}
        if written.keys() != {"user", "secret"}:
            raise part.refused(
                "a login is a table: {user: NAME, secret: NAME}, the secret's name and not its value"
            )
        found[part.name] = Login(
            user=written["user"].checked(grammar.login), secret=written["secret"].checked(grammar.secret)
        )
    return found


def _label(text: str) -> str:
    if len(text) > MAX_LABEL or not text.isprintable():
        raise ValueError(f"a label's value has at most {MAX_LABEL} characters, and is one line")
    return text


def _amounts(setting: Setting | None, known: Mapping[str, Callable[[str], Checked]]) -> Mapping[str, Checked]:
    """The entries of a table that has certain names only."""
    parts = {} if setting is None else {part.name: part for part in _parts(setting)}
    for name in parts:
        if setting is not None and name not in known:
            raise setting.refused(f"unknown key '{name}'", grammar.nearest(name, known))
    return {name: part.checked(known[name]) for name, part in parts.items()}


def _parts(setting: Setting) -> Iterable[Setting]:
    """The entries of a table, each a setting of its own."""
    if not isinstance(setting.value, dict):
        raise setting.refused("a table of names and values is needed here")
    return [
        Setting(str(name), "" if value is None else value, setting.mark)
        for name, value in setting.value.items()
    ]


def _switch(text: str) -> bool:
    if text.lower() not in _SWITCH:
        raise ValueError("write true or false")
    return _SWITCH[text.lower()]


def _of_all(inventory: Inventory) -> Mapping[str, Variable]:
    """What the group `all` sets, in the file and in group_vars/."""
    layers = group_layers(inventory, ("all",))
    return {name: variable for layer in layers for name, variable in layer.variables.items()}


def _for_templates(inventory: Inventory) -> Mapping[str, Any]:
    """The variables of `all` that are neither Cube's nor Ansible's own, and hold no template themselves."""
    return {
        name: variable.written()
        for name, variable in _of_all(inventory).items()
        if not name.startswith(("cube_", "ansible_")) and "{{" not in str(variable.written())
    }


def _of_cluster(inventory: Inventory, name: str, check: Callable[[str], Checked]) -> Checked | None:
    """What the group `all` sets of a key that is the whole cluster's; None: nothing."""
    variable = _of_all(inventory).get(name)
    return None if variable is None else Setting(name, variable.written(), variable.mark).checked(check)


def _cluster_name(inventory: Inventory, stem: str) -> str:
    if name := _of_cluster(inventory, "cube_cluster", grammar.name):
        return name
    try:
        return grammar.name(stem)
    except ValueError as error:
        raise InputError(
            f"the cluster cannot be called {shown(stem)} after its file",
            where=inventory.groups["all"].mark.source,
            why=str(error),
            cure="Rename the file, or set cube_cluster in the vars of the group 'all'.",
        ) from None


def _check_keys(inventory: Inventory) -> None:
    """No key of Cube's is misspelt, or stands where it means nothing."""
    sources = (
        *((group.name, group.variables) for group in inventory.groups.values()),
        *inventory.group_files.items(),
        *(("", host.variables) for host in inventory.hosts.values()),
        *(("", variables) for variables in inventory.host_files.values()),
    )
    for group, variables in sources:
        for name, variable in variables.items():
            if not name.startswith("cube_"):
                continue
            if name not in KEYS:
                raise InputError(
                    f"unknown key '{name}'", where=str(variable.mark), cure=grammar.nearest(name, KEYS)
                )
            if name in OF_CLUSTER and group != "all":
                raise InputError(
                    f"{name} stands in the vars of the group 'all' only", where=str(variable.mark)
                )


def _check_addresses(inventory: Inventory, nodes: Iterable[Node]) -> None:
    """No two nodes are one machine: its room would be counted twice."""
    seen: dict[tuple[str, int, object], Node] = {}
    for node in nodes:
        place = _place(node.access)
        if first := seen.get(place):
            raise InputError(
                f"'{first.name}' and '{node.name}' have the same address {place[0]}:{place[1]}",
                where=str(inventory.hosts[node.name].mark),
                why=f"'{first.name}' stands in {inventory.hosts[first.name].mark}",
                cure="One machine is one node: remove one, or correct ansible_host or ansible_port.",
            )
        seen[place] = node


def _place(access: Access) -> tuple[str, int, object]:
    return access.address.lower(), access.port or 22, access.jumps
