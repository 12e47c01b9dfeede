"""What an inventory says, printed: its nodes, its groups as a tree, or where a host's variables come from."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cube.cli import options, render
from cube.cli.load import load_cluster, load_inventory
from cube.errors import InputError
from cube.inventory.grammar import nearest
from cube.inventory.listing import as_graph, as_list, explain
from cube.inventory.pattern import select
from cube.model.node import Access, Cluster, Node

_SECRET = ("pass", "secret", "token")


def nodes(path: Path, pattern: str, output: options.Output) -> None:
    """Print the nodes that the pattern names, as Cube takes them."""
    cluster = load_cluster(path)
    rows = [_row(cluster, node) for node in select(cluster, pattern)]
    render.table(rows, ("node", "address", "via", "datacenter", "role", "groups", "labels"), output)


def graph(path: Path, pattern: str) -> None:
    """Print that group as a tree."""
    read = load_inventory(path)
    if pattern not in read.groups:
        raise InputError(
            f"no group is called '{pattern}'", where=str(path), cure=nearest(pattern, read.groups)
        )
    for line in as_graph(read, pattern):
        render.line(line)


def ansible_json(path: Path) -> str:
    """What `ansible-inventory --list` prints for the same file."""
    data = as_list(load_inventory(path))
    return json.dumps(data, indent=4, sort_keys=True, default=lambda moment: moment.isoformat())


def origins(path: Path, host: str, output: options.Output) -> None:
    """Print where each of the host's variables comes from."""
    read = load_inventory(path)
    if host not in read.hosts:
        raise InputError(f"no host is called '{host}'", where=str(path), cure=nearest(host, read.hosts))
    rows = [
        {
            "variable": each.name,
            "value": "(hidden)" if any(word in each.name for word in _SECRET) else _short(each.value),
            "from": each.owner,
            "at": str(each.mark),
            "instead of": ", ".join(f"{owner} ({mark})" for owner, mark in each.overridden) or None,
        }
        for each in explain(read, host)
    ]
    render.table(rows, ("variable", "value", "from", "at", "instead of"), output)


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _row(cluster: Cluster, node: Node) -> Mapping[str, str | None]:
    groups = [name for name, hosts in cluster.groups.items() if name != "all" and node.name in hosts]
    return {
        "node": node.name if node.schedulable else f"{node.name} (not schedulable)",
        "address": _address(node.access),
        "via": ", ".join(hop.address for hop in node.access.jumps) or None,
        "datacenter": node.datacenter,
        "role": node.role,
        "groups": ", ".join(groups),
        "labels": ", ".join(f"{name}={value}" for name, value in node.labels.items()) or None,
    }


def _address(access: Access) -> str:
    place = f"[{access.address}]" if ":" in access.address else access.address
    return f"{access.user}@" * bool(access.user) + place + f":{access.port}" * bool(access.port)
