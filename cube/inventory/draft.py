"""An inventory while it is being read, and the rules by which it becomes one: Ansible's, step by step."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from cube.document.reader import Mark
from cube.errors import InputError
from cube.inventory.inventory import Group, Host, Inventory
from cube.inventory.value import Data, Variable

MAX_HOSTS = 100_000


@dataclass(slots=True)
class DraftGroup:
    """A group so far. `children` maps each to where it was named."""

    mark: Mark
    priority: int = 1
    children: dict[str, Mark] = field(default_factory=dict)
    hosts: dict[str, None] = field(default_factory=dict)
    variables: dict[str, Variable] = field(default_factory=dict)


@dataclass(slots=True)
class DraftHost:
    """A host so far."""

    mark: Mark
    variables: dict[str, Variable] = field(default_factory=dict)


class Draft:
    """What has been read so far of one source; `finish` makes the inventory of it."""

    def __init__(self, source: str) -> None:
        self.source = source
        whole = Mark(source)
        self.groups = {
            "all": DraftGroup(whole, children={"ungrouped": whole}),
            "ungrouped": DraftGroup(whole),
        }
        self.hosts: dict[str, DraftHost] = {}

    def add_group(self, name: str, mark: Mark) -> None:
        """Know a group of that name."""
        if name not in self.groups:
            self.groups[name] = DraftGroup(mark)

    def add_child(self, parent: str, child: str, mark: Mark) -> None:
        """Put one known group into another."""
        self.groups[parent].children.setdefault(child, mark)

    def add_host(self, name: str, group: str, mark: Mark, *, port: int | None = None) -> None:
        """Put a host into a known group. The port of its first mention counts."""
        if name not in self.hosts:
            self.hosts[name] = DraftHost(mark)
            if len(self.hosts) > MAX_HOSTS:
                raise InputError(f"there are more than {MAX_HOSTS} hosts", where=str(mark))
            if port is not None:
                self.hosts[name].variables["ansible_port"] = Variable(Data(port), mark)
        self.groups[group].hosts.setdefault(name)

    def set_group(self, name: str, key: str, variable: Variable) -> None:
        """Set a group's variable, or its priority."""
        if key == "ansible_group_priority":
            self.groups[name].priority = _priority(variable)
        else:
            self.groups[name].variables[key] = variable

    def set_host(self, name: str, variables: Mapping[str, Variable]) -> None:
        """Set a host's variables. Where a group has the host's name they go to the group, as with Ansible."""
        if name not in self.groups:
            self.hosts[name].variables.update(variables)
            return
        for key, variable in variables.items():
            self.set_group(name, key, variable)

    def finish(self) -> Inventory:
        """The inventory. Raises InputError where groups contain each other, or there is no host at all."""
        if not self.hosts:
            raise InputError(
                "the inventory names no host",
                where=self.source,
                cure="Add hosts. An empty inventory never means that no nodes are wanted.",
            )
        self._adopt_orphans()
        depths = _depths(self.groups)
        groups_of = self._groups_of_hosts(depths)
        return Inventory(
            groups={name: _group(name, draft, depths[name]) for name, draft in self.groups.items()},
            hosts={
                name: Host(name=name, mark=draft.mark, groups=groups_of[name], variables=draft.variables)
                for name, draft in self.hosts.items()
            },
            warnings=tuple(
                f"{self.hosts[name].mark}: '{name}' is also a group, which gets the host's variables"
                for name in self.hosts
                if name in self.groups
            ),
        )

    def _adopt_orphans(self) -> None:
        """A group that is in no other is in `all`."""
        nested = {child for draft in self.groups.values() for child in draft.children}
        for name, draft in self.groups.items():
            if name != "all" and name not in nested:
                self.groups["all"].children.setdefault(name, draft.mark)

    def _groups_of_hosts(self, depths: Mapping[str, int]) -> dict[str, tuple[str, ...]]:
        """The groups of every host by strength; puts the hosts of no group into `ungrouped`."""
        parents = _parents(self.groups)
        above = _ancestors(parents, sorted(depths, key=depths.__getitem__))
        direct: dict[str, list[str]] = {name: [] for name in self.hosts}
        for name, draft in self.groups.items():
            for host in draft.hosts:
                direct[host].append(name)
        ranks = {
            name: (name != "all", depths[name], self.groups[name].priority, name) for name in self.groups
        }
        ordered: dict[tuple[str, ...], tuple[str, ...]] = {}
        for host, own in direct.items():
            names = self._grouped(host, tuple(own))
            if names not in ordered:
                everything = set(names).union({"all"}, *(above[name] for name in names))
                ordered[names] = tuple(sorted(everything, key=ranks.__getitem__))
            direct[host] = list(ordered[names])
        return {host: tuple(names) for host, names in direct.items()}

    def _grouped(self, host: str, own: tuple[str, ...]) -> tuple[str, ...]:
        real = tuple(name for name in own if name not in ("all", "ungrouped"))
        if real:
            self.groups["ungrouped"].hosts.pop(host, None)
            return real
        self.groups["ungrouped"].hosts.setdefault(host)
        return ("ungrouped",)


def _group(name: str, draft: DraftGroup, depth: int) -> Group:
    return Group(
        name=name,
        mark=draft.mark,
        depth=depth,
        priority=draft.priority,
        children=tuple(draft.children),
        hosts=tuple(draft.hosts),
        variables=draft.variables,
    )


def _priority(variable: Variable) -> int:
    try:
        return int(variable.value())
    except (ValueError, TypeError):
        raise InputError("ansible_group_priority must be a whole number", where=str(variable.mark)) from None


def _parents(groups: Mapping[str, DraftGroup]) -> dict[str, list[str]]:
    parents: dict[str, list[str]] = {name: [] for name in groups}
    for name, draft in groups.items():
        for child in draft.children:
            parents[child].append(name)
    return parents


def _depths(groups: Mapping[str, DraftGroup]) -> dict[str, int]:
    """The longest way from `all` to every group. Raises InputError where groups contain each other."""
    waiting = {name: len(parents) for name, parents in _parents(groups).items()}
    depths = dict.fromkeys(groups, 0)
    ready = [name for name, count in waiting.items() if count == 0]
    for name in ready:
        for child in groups[name].children:
            depths[child] = max(depths[child], depths[name] + 1)
            waiting[child] -= 1
            if waiting[child] == 0:
                ready.append(child)
    if stuck := {name for name, count in waiting.items() if count > 0}:
        raise _cycle(groups, stuck)
    return depths


def _cycle(groups: Mapping[str, DraftGroup], stuck: set[str]) -> InputError:
    # Every stuck group has a stuck parent, so a walk upwards must come back to where it was.
    parents = {
        name: min(parent for parent in above if parent in stuck)
        for name, above in _parents(groups).items()
        if name in stuck
    }
    way = [min(stuck)]
    while parents[way[-1]] not in way:
        way.append(parents[way[-1]])
    circle = [*way[way.index(parents[way[-1]]) :], parents[way[-1]]][::-1]
    return InputError(
        "groups contain each other",
        where=str(groups[circle[0]].children[circle[1]]),
        why=" > ".join(circle),
        cure="Remove one of them from the children of another.",
    )


def _ancestors(parents: Mapping[str, list[str]], topmost_first: Iterable[str]) -> dict[str, frozenset[str]]:
    above: dict[str, frozenset[str]] = {}
    for name in topmost_first:
        above[name] = frozenset(parents[name]).union(*(above[parent] for parent in parents[name]))
    return above
