"""Files of variables, `.env` and `env_file`: one `NAME=value` a line."""

import re
from collections.abc import Mapping

from cube.compose.interpolation import Lookup, interpolate
from cube.document.reader import MAX_BYTES, Mark, check_text
from cube.errors import InputError

_ENTRY = re.compile(r"[ \t]*(?:export[ \t]+)?([A-Za-z0-9_.\-]+)[ \t]*([=:]?)[ \t]*")
_SINGLE = re.compile(r"'([^']*)'[ \t]*(?:#[^\n]*)?(?:\n|$)")
_DOUBLE = re.compile(r'"((?:\\.|[^"\\])*)"[ \t]*(?:#[^\n]*)?(?:\n|$)', re.DOTALL)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_ESCAPED = {"n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\", "$": "$$"}


def variables(text: str, source: str, lookup: Lookup) -> Mapping[str, str]:
    """What the file sets. A name without a value is taken from `lookup`, and left out where that has none.

    Values see what `lookup` knows, then what stands above them; those in single quotes see nothing.
    Raises InputError with the place of what is no entry.
    """
    check_text(text, source, MAX_BYTES)
    found: dict[str, str] = {}
    position, whole = 0, text.replace("\r\n", "\n")
    while position < len(whole):
        line = whole[position:].partition("\n")[0]
        if not line.strip() or line.lstrip().startswith("#"):
            position += len(line) + 1
            continue
        try:
            position = _entry(whole, position, found, lookup)
        except ValueError as error:
            mark = Mark(source, whole.count("\n", 0, position) + 1, 1)
            raise InputError(str(error), where=str(mark)) from None
    return found


def _entry(text: str, position: int, found: dict[str, str], lookup: Lookup) -> int:
    """Read one entry; where the next begins."""
    head = _ENTRY.match(text, position)
    if head is None:
        raise ValueError("this is no variable; write NAME=value")
    name, position = head[1], head.end()
    if not head[2]:
        if text[position : position + 1] not in ("", "\n"):
            raise ValueError("this is no variable; write NAME=value")
        inherited = lookup(name)
        found |= {} if inherited is None else {name: inherited}
        return position + 1

    def known(other: str) -> str | None:
        value = lookup(other)
        return found.get(other) if value is None else value

    found[name], position = _value(text, position, known)
    return position


def _value(text: str, position: int, known: Lookup) -> tuple[str, int]:
    if quoted := _SINGLE.match(text, position):
        return quoted[1], quoted.end()
    if quoted := _DOUBLE.match(text, position):
        return interpolate(_ESCAPE.sub(_unescaped, quoted[1]), known), quoted.end()
    if text[position : position + 1] in ("'", '"'):
        raise ValueError("a quote is not closed, or something follows it")
    line = text[position:].partition("\n")[0]
    bare = re.split(r"(?:^|[ \t])#", line, maxsplit=1)[0].strip()
    return interpolate(bare, known), position + len(line) + 1


def _unescaped(found: re.Match[str]) -> str:
    return _ESCAPED.get(found[1], found[0])
