"""An inventory as `ansible-inventory` shows it: `--list` as data, `--graph` as lines."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from cube.document.reader import Mark
from cube.inventory.inventory import Inventory, host_layers, resolve
from cube.inventory.value import Variable


def as_list(inventory: Inventory) -> dict[str, Any]:
    """What `ansible-inventory --list` prints, as data; dates are still dates."""
    hostvars = {
        host: {key: variable.value() for key, variable in variables.items()}
        for host, variables in resolve(inventory).items()
        if variables
    }
    groups = {name: _group(inventory, name) for name in inventory.groups}
    return {
        "_meta": {"hostvars": hostvars, "profile": "inventory_legacy"},
        **{name: body for name, body in groups.items() if body},
    }


def as_graph(inventory: Inventory, top: str = "all") -> Iterator[str]:
    """The lines of `ansible-inventory --graph`, from one group down."""
    yield f"@{top}:"
    yield from _branch(inventory, top, 1)


def _group(inventory: Inventory, name: str) -> dict[str, list[str]]:
    group = inventory.groups[name]
    body = {"children": list(group.children), "hosts": list(group.hosts) if name != "all" else []}
    return {key: names for key, names in body.items() if names}


def _branch(inventory: Inventory, name: str, depth: int) -> Iterator[str]:
    group = inventory.groups[name]
    stem = "  |" * depth + "--"
    for child in group.children:
        yield f"{stem}@{child}:"
        yield from _branch(inventory, child, depth + 1)
    if name != "all":
        yield from (stem + host for host in group.hosts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """A variable of a host: what holds, who sets it and where; and what it overrides, the strongest first."""

    name: str
    value: Any
    owner: str
    mark: Mark
    overridden: tuple[tuple[str, Mark], ...]


def explain(inventory: Inventory, host: str) -> list[Explained]:
    """Every variable of a host by name, as it was written."""
    history: dict[str, list[tuple[str, Variable]]] = {}
    for layer in host_layers(inventory, inventory.hosts[host]):
        for name, variable in layer.variables.items():
            history.setdefault(name, []).insert(0, (layer.owner, variable))
    return [_explained(name, history[name]) for name in sorted(history)]


def _explained(name: str, strongest_first: list[tuple[str, Variable]]) -> Explained:
    (owner, variable), *others = strongest_first
    return Explained(
        name=name,
        value=variable.written(),
        owner=owner,
        mark=variable.mark,
        overridden=tuple((other, loser.mark) for other, loser in others),
    )
