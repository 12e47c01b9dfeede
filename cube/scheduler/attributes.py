"""What a node is called by in constraints, and how a constraint compares it."""

import re
from collections.abc import Callable, Mapping
from operator import ge, gt, le, lt

from cube.model import regexp
from cube.model.architecture import ARCHITECTURE
from cube.model.job import Constraint, Operator
from cube.model.node import Node
from cube.model.software import DOCKER, KERNEL, OS, OS_VERSION

Compare = Callable[[str | float | tuple[object, ...], str | float | tuple[object, ...]], bool]

_NUMBER = re.compile(r"-?\d{1,15}(?:\.\d{1,15})?", re.ASCII)
_BOUND = re.compile(r"(>=|<=|!=|=|>|<)?\s*v?(\S+)")
_PART = re.compile(r"\d{1,18}|[a-z]+", re.ASCII)


def attribute(node: Node, name: str) -> str | None:
    """A node's attribute by the name that constraints use; None where it is not set."""
    if name.startswith("label."):
        return node.labels.get(name.removeprefix("label."))
    known = {
        "node.name": node.name,
        "node.datacenter": node.datacenter,
        "node.role": node.role,
        ARCHITECTURE: node.architecture or None,
        KERNEL: node.kernel or None,
        OS: node.os or None,
        OS_VERSION: node.os_version or None,
        DOCKER: node.docker or None,
    }
    return known.get(name)


SEEN = (ARCHITECTURE, KERNEL, OS, OS_VERSION, DOCKER)
"""What nobody declares: only a look tells."""


def holds(constraint: Constraint, found: str | None) -> bool:
    """An attribute that is not set equals nothing, differs from everything, and is in no order with anything.

    What is asked of other tasks always holds here.
    """
    if constraint.operator in _FOR_UNSET:
        return _FOR_UNSET[constraint.operator](constraint.values, found)
    return found is not None and _FOR_SET[constraint.operator](constraint.values, found)


def _contains(values: tuple[str, ...], found: str) -> bool:
    return set(values) <= {part.strip() for part in found.split(",")}


def _ordered(compare: Callable[..., bool]) -> Callable[[tuple[str, ...], str], bool]:
    def test(values: tuple[str, ...], found: str) -> bool:
        (bound,) = values
        if _NUMBER.fullmatch(found) and _NUMBER.fullmatch(bound):
            return compare(float(found), float(bound))
        return compare(found, bound)

    return test


def _is_version(values: tuple[str, ...], found: str) -> bool:
    return all(_is_within(found, bound) for bound in values)


def _is_within(found: str, bound: str) -> bool:
    parts = _BOUND.fullmatch(bound.strip())
    if parts is None:
        return False
    here, there = _version(found.removeprefix("v")), _version(parts[2])
    return _COMPARE[parts[1] or "="](here, there)


def _version(text: str) -> tuple[tuple[int, int, str], ...]:
    """`1.10.0-rc1` so that it can be compared: numbers as numbers, zeros at the end not at all.

    A word is less than nothing, for it is a release before: 1.0-rc1 < 1.0.
    """
    main, _, before = text.lower().partition("-")
    numbers = [(1, int(part), "") if part.isdigit() else (0, 0, part) for part in _PART.findall(main)]
    while numbers and numbers[-1] == (1, 0, ""):
        numbers.pop()
    words = [(1, int(part), "") if part.isdigit() else (0, 0, part) for part in _PART.findall(before)]
    return (*numbers, *([(0, 0, ""), *words] if words else [(0, 1, "")]))


_COMPARE: Mapping[str, Callable[..., bool]] = {
    "=": lambda here, there: here == there,
    "!=": lambda here, there: here != there,
    "<": lt, "<=": le, ">": gt, ">=": ge,
}  # fmt: skip

_FOR_UNSET: Mapping[Operator, Callable[[tuple[str, ...], str | None], bool]] = {
    Operator.NOT_EQUAL: lambda values, found: found not in values,
    Operator.NOT_IN: lambda values, found: found not in values,
    Operator.DISTINCT_HOSTS: lambda _values, _found: True,
    Operator.DISTINCT_PROPERTY: lambda _values, _found: True,
}

_FOR_SET: Mapping[Operator, Callable[[tuple[str, ...], str], bool]] = {
    Operator.EQUAL: lambda values, found: found in values,
    Operator.IN: lambda values, found: found in values,
    Operator.LESS: _ordered(lt),
    Operator.AT_MOST: _ordered(le),
    Operator.MORE: _ordered(gt),
    Operator.AT_LEAST: _ordered(ge),
    Operator.REGEXP: lambda values, found: all(regexp.found(value, found) for value in values),
    Operator.VERSION: _is_version,
    Operator.SET_CONTAINS: _contains,
    Operator.IS_SET: lambda _values, _found: True,
}
