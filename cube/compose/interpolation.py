"""Variables in texts, as the Compose specification has them: `$NAME`, `${NAME:-default}`, `$$`..."""

import re
from collections.abc import Callable

from cube.document.check import shown

Lookup = Callable[[str], str | None]
"""The value of a variable, None where it is not set."""

MAX_DEPTH = 20
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_INSIDE = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(:-|-|:\?|\?|:\+|\+|$)(.*)", re.DOTALL)


def interpolate(text: str, lookup: Lookup, *, depth: int = 0) -> str:
    """The text with every variable replaced; one that is not set stands for nothing.

    Raises ValueError for a `$` that begins no variable, and for `${NAME:?message}` without a value.
    """
    if depth > MAX_DEPTH:
        raise ValueError(f"variables are nested deeper than {MAX_DEPTH} levels")
    pieces: list[str] = []
    rest = text
    while "$" in rest:
        before, _, rest = rest.partition("$")
        value, rest = _variable(rest, lookup, depth)
        pieces += (before, value)
    return "".join((*pieces, rest))


def _variable(rest: str, lookup: Lookup, depth: int) -> tuple[str, str]:
    """The value of what stands after a `$`, and what follows it."""
    if rest.startswith("$"):
        return "$", rest[1:]
    if rest.startswith("{"):
        end = _closing(rest)
        return _braced(rest[1:end], lookup, depth), rest[end + 1 :]
    if found := _NAME.match(rest):
        return lookup(found[0]) or "", rest[found.end() :]
    raise ValueError(f"{shown('$' + rest)} is no variable; write $$ for a dollar sign")


def _closing(rest: str) -> int:
    """Where the brace ends with which the text begins."""
    depth = 0
    for position, sign in enumerate(rest):
        opens = sign == "{" and (position == 0 or rest[position - 1] == "$")
        depth += opens - (sign == "}")
        if depth == 0:
            return position
    raise ValueError(f"{shown('$' + rest)} has no closing brace; write $$ for a dollar sign")


def _braced(inside: str, lookup: Lookup, depth: int) -> str:
    found = _INSIDE.fullmatch(inside)
    if found is None or (not found[2] and found[3]):
        raise ValueError(f"{shown('${' + inside + '}')} is no variable; write $$ for a dollar sign")
    name, operator, other = found[1], found[2], found[3]
    value = lookup(name)
    is_there = bool(value) if operator.startswith(":") else value is not None
    match operator.removeprefix(":"):
        case "-":
            return value or "" if is_there else interpolate(other, lookup, depth=depth + 1)
        case "+":
            return interpolate(other, lookup, depth=depth + 1) if is_there else ""
        case "?" if not is_there:
            message = interpolate(other, lookup, depth=depth + 1)
            raise ValueError(f"the variable {name} is needed: {message or 'it has no value'}")
    return value or ""
