"""Host patterns of an inventory: `web[01:20]`, `db-[a:f].example`, `rack[1:9:2]`, and a `:port`."""

import re
import string
from collections.abc import Sequence

from cube.document.reader import Mark
from cube.errors import InputError

MAX_NAMES = 100_000

_BRACKETED = re.compile(r"\[(.+)\]:([0-9]{1,9})")
_WITH_PORT = re.compile(r"((?:[^:\[\]]|\[[^\]]*\])*):([0-9]{1,9})")
_RANGE = re.compile(r"\[([^\[\]]*)\]")


def expand(pattern: str, mark: Mark) -> tuple[list[str], int | None]:
    """The names that the pattern stands for, and its port. Raises InputError for a range that is none."""
    port = None
    if found := _BRACKETED.fullmatch(pattern) or _WITH_PORT.fullmatch(pattern):
        pattern, port = found[1], int(found[2])
    names = [pattern]
    while "[" in names[0]:
        names = [name for each in names for name in _expand_first(each, mark)]
        if len(names) > MAX_NAMES:
            raise InputError(f"the range stands for more than {MAX_NAMES} hosts", where=str(mark))
    return names, port


def _expand_first(name: str, mark: Mark) -> list[str]:
    found = _RANGE.search(name)
    bounds = found[1].split(":") if found else []
    if not found or len(bounds) not in (2, 3):
        raise _bad("a range is written [first:last] or [first:last:step]", mark)
    head, tail = name[: found.start()], name[found.end() :]
    step = bounds[2] if len(bounds) == 3 else "1"
    if not _is_number(step) or int(step) == 0:
        raise _bad("the step of a range is a whole number from 1", mark)
    return [head + middle + tail for middle in _sequence(bounds[0] or "0", bounds[1], int(step), mark)]


def _sequence(first: str, last: str, step: int, mark: Mark) -> Sequence[str]:
    letters = string.ascii_letters
    if len(first) == len(last) == 1 and first in letters and last in letters:
        members: Sequence[str] = letters[letters.index(first) : letters.index(last) + 1 : step]
    elif _is_number(first) and _is_number(last):
        members = _numbers(first, last, step, mark)
    else:
        raise _bad("a range goes from number to number, or from letter to letter", mark)
    if not members:
        raise _bad("the range ends before it begins", mark)
    return members


def _numbers(first: str, last: str, step: int, mark: Mark) -> list[str]:
    width = len(first) if first.startswith("0") and len(first) > 1 else 0
    if width and width != len(last):
        raise _bad("a range with leading zeros needs as many digits at its end", mark)
    numbers = range(int(first), int(last) + 1, step)
    if len(numbers) > MAX_NAMES:
        raise _bad(f"the range stands for more than {MAX_NAMES} hosts", mark)
    return [str(number).zfill(width) for number in numbers]


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 10


def _bad(why: str, mark: Mark) -> InputError:
    return InputError(
        "this range cannot be expanded", where=str(mark), why=why, cure="As in web[01:20] or db[a:f]."
    )
