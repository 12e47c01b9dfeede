"""What a group demands and wishes of nodes: text to value, each with one clear refusal.

All raise ValueError with a text for a person; the schema adds where it stood.
"""

import re
from collections.abc import Callable, Mapping

from cube.document.check import shown
from cube.model import regexp
from cube.model.architecture import architecture
from cube.model.job import Constraint, Operator

_ATTRIBUTE = re.compile(
    r"node\.(name|datacenter|role|architecture|kernel|os|os_version|docker)"
    r"|label\.[A-Za-z0-9][A-Za-z0-9._/-]{0,127}"
)
_CONSTRAINT = re.compile(
    r"(\S+)\s+(<=|>=|!=|=|<|>|not-in|not in|in|regexp|version|set_contains|is_set|distinct_property)"
    r"(?:\s+(\S.*))?"
)
_VALUE = re.compile(r"[^\s,=!][^,]{0,255}")
_BOUND = re.compile(r"(>=|<=|!=|=|>|<)?\s*v?\d[0-9A-Za-z.+-]{0,63}", re.ASCII)

MAX_CHARACTERS = 1024
EVENLY = "evenly"


def constraint(text: str) -> Constraint:
    """`label.disk = ssd`, `node.datacenter in dc1, dc2`, `label.kernel version >= 5.10`, `distinct_hosts`."""
    if text == Operator.DISTINCT_HOSTS:
        return Constraint(attribute="", operator=Operator.DISTINCT_HOSTS)
    found = None if len(text) > MAX_CHARACTERS else _CONSTRAINT.fullmatch(text)
    if not found:
        raise ValueError(
            f"{shown(text)} is no constraint; write one such as 'label.disk = ssd' or 'node.name not-in a, b'"
        )
    operator = Operator(found[2].replace(" ", "-"))
    return Constraint(
        attribute=attribute(found[1]), operator=operator, values=_values((found[3] or "").strip(), operator)
    )


def wish(text: str) -> Constraint:
    """A constraint that asks something of the node alone."""
    found = constraint(text)
    if found.operator.is_of_peers:
        raise ValueError(f"{shown(text)} is no affinity; write it under 'constraints', or use 'spread'")
    return found


def attribute(text: str) -> str:
    """The name of something that nodes have."""
    if not _ATTRIBUTE.fullmatch(text):
        known = "node.name, datacenter, role, architecture, kernel, os, os_version, docker, or label.NAME"
        raise ValueError(f"{shown(text)} is no attribute of a node; write {known}")
    return text


def machine(text: str) -> str:
    """An architecture, as Docker calls it; `linux/arm64` and `aarch64` mean `arm64`."""
    if not re.fullmatch(r"(linux/)?[a-z0-9_]{2,32}(/v[0-9])?", text):
        raise ValueError(f"{shown(text)} is no architecture; write amd64, arm64, arm, 386, ppc64le, s390x...")
    return architecture(text.removeprefix("linux/").partition("/")[0])


def one_or_many(value: object) -> object:
    """A single value is a list of one."""
    return [value] if isinstance(value, str) else value


def weight(text: str) -> int:
    """How much a wish counts; below 0 it is a wish that it be not so."""
    if not re.fullmatch(r"-?[0-9]{1,3}", text) or not 1 <= abs(int(text)) <= 100:
        raise ValueError(f"write a weight from 1 to 100, or from -1 to -100, not {shown(text)}")
    return int(text)


def targets(value: object) -> object:
    """`evenly` is a table without targets."""
    return {} if value == EVENLY else value


def _values(text: str, operator: Operator) -> tuple[str, ...]:
    if operator not in _READERS:
        values: tuple[str, ...] = tuple(part.strip() for part in text.split(","))
        if operator not in (Operator.IN, Operator.NOT_IN, Operator.SET_CONTAINS):
            values = (text,)
        if not all(_VALUE.fullmatch(value) for value in values):
            raise ValueError(f"{shown(text)} is not one value, or several with ',' between them after 'in'")
        return values
    return _READERS[operator](text)


def _pattern(text: str) -> tuple[str, ...]:
    if not text:
        raise ValueError("a regular expression is missing after 'regexp'")
    return (regexp.check(text),)


def _bounds(text: str) -> tuple[str, ...]:
    bounds = tuple(part.strip() for part in text.split(","))
    if not all(_BOUND.fullmatch(bound) for bound in bounds):
        raise ValueError(f"{shown(text)} is no version; write one such as '>= 5.10, < 6'")
    return bounds


def _nothing(text: str) -> tuple[str, ...]:
    if text:
        raise ValueError(f"nothing follows 'is_set', not {shown(text)}")
    return ()


def _most(text: str) -> tuple[str, ...]:
    if text and not re.fullmatch(r"[1-9][0-9]{0,3}", text):
        raise ValueError(f"write how many tasks may share a value, from 1 to 9999, not {shown(text)}")
    return (text,) if text else ()


_READERS: Mapping[Operator, Callable[[str], tuple[str, ...]]] = {
    Operator.REGEXP: _pattern,
    Operator.VERSION: _bounds,
    Operator.IS_SET: _nothing,
    Operator.DISTINCT_PROPERTY: _most,
}
