"""Patterns that choose nodes, as Ansible's: `web:&dc1`, `web:!web3`, `web*`, `a,b`, `web[0:2]`, `~web.`."""

import fnmatch
import re
import warnings

from cube.errors import InputError
from cube.inventory.grammar import nearest
from cube.model.node import Cluster, Node

_PARTS = re.compile(r"(?:[^\s:\[\]]|\[[^\]]*\])+")
_SUBSCRIPT = re.compile(r"(.+)\[(?:(-?[0-9]{1,9})|([0-9]{1,9}):([0-9]{0,9}))\]")


def select(cluster: Cluster, pattern: str) -> tuple[Node, ...]:
    """The nodes that the pattern names, in the order of the inventory.

    Parts are joined by `,` or `:`; `&` keeps what is in both, `!` takes away, after all others.
    Raises InputError where a part names nothing that exists, or nothing is left.
    """
    parts = _split(pattern)
    chosen: set[str] = set()
    for part in [part for part in parts if part[0] not in "&!"] or ["all"]:
        chosen |= _matches(cluster, part)
    for part in parts:
        if part[0] == "&":
            chosen &= _matches(cluster, part[1:])
    for part in parts:
        if part[0] == "!":
            chosen -= _matches(cluster, part[1:])
    if not chosen:
        raise InputError(
            f"the pattern '{pattern}' leaves no node", cure="`cube inventory --graph` shows what there is."
        )
    return tuple(node for node in cluster.nodes if node.name in chosen)


def _split(pattern: str) -> list[str]:
    separated = pattern.split(",") if "," in pattern or pattern.startswith("~") else _PARTS.findall(pattern)
    parts = [part.strip() for part in separated if part.strip(" &!:")]
    if not parts:
        raise InputError("the pattern is empty", cure="Name nodes or groups, or write 'all'.")
    return parts


def _matches(cluster: Cluster, part: str) -> set[str]:
    """The names of the nodes that one part stands for."""
    names = {node.name for node in cluster.nodes}
    if part in names:
        return {part}
    found = _SUBSCRIPT.fullmatch(part) if part[0] != "~" else None
    if not found:
        return set(_named(cluster, part))
    chosen = _named(cluster, found[1])
    if found[2]:
        index = int(found[2])
        return {chosen[index]} if -len(chosen) <= index < len(chosen) else set()
    last = int(found[4]) if found[4] else len(chosen) - 1
    return set(chosen[int(found[3]) : last + 1])


def _named(cluster: Cluster, word: str) -> list[str]:
    """In the order of the inventory. A word without wildcards must be the name of something."""
    expression = _expression(word)
    groups = [name for name in cluster.groups if expression.match(name)]
    members = {host for name in groups for host in cluster.groups[name]}
    hosts = [node.name for node in cluster.nodes if node.name in members or expression.match(node.name)]
    is_wild = word[0] == "~" or any(character in word for character in "*?[")
    if not hosts and not groups and not is_wild and word != "all":
        known = [
            *(name for name in cluster.groups if name != "ungrouped"),
            *(node.name for node in cluster.nodes),
        ]
        raise InputError(f"no node and no group is called '{word}'", cure=nearest(word, known))
    return hosts


def _expression(word: str) -> re.Pattern[str]:
    try:
        with warnings.catch_warnings():
            # What Python may come to mean by `[[` some day is nothing to tell an operator.
            warnings.simplefilter("ignore", FutureWarning)
            return re.compile(word[1:] if word[0] == "~" else fnmatch.translate(word))
    except re.error as error:
        raise InputError(f"'{word}' is no regular expression", why=str(error)) from None
