"""A task's files from templates: what they are to be, what is on its node, and how the two are compared."""

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,254}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """What the files of a running task are to be now: `texts`, in the order of its templates.

    `services` are the names of those whose addresses they list, as the templates ask for them. `error`: they
    cannot be rendered, and why.
    """

    texts: tuple[str, ...]
    services: frozenset[str] = frozenset()
    error: str = ""

    @property
    def hashes(self) -> tuple[str, ...]:
        """One for each file."""
        return tuple(map(hash_of, self.texts))


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivered:
    """A task's files as a look at its node found them: `hashes`, empty for one that is not there.

    `told` is the mark of those that its process has begun with, or was told of last; empty: somebody was
    about to tell it, for the `tries`th time; None: nobody noted it. `told_at` is when, by the node's clock.
    """

    hashes: tuple[str, ...]
    told: str | None
    told_at: float = 0.0
    tries: int = 0

    @property
    def is_told(self) -> bool:
        """Its process knows what is there; so it does where an older Cube started it, which noted nothing."""
        return self.told is None or self.told == mark_of(self.hashes)


def variables_in(text: str) -> Mapping[str, str]:
    """The variables of a file of lines `NAME=value`. A value is what follows, quotes and all.

    Spaces around a line, empty lines, and those that begin with `#` say nothing. Raises ValueError.
    """
    found = dict[str, str]()
    for number, line in enumerate(map(str.strip, text.splitlines()), 1):
        name, is_said, value = line.partition("=")
        if not line or line.startswith("#"):
            continue
        if not is_said or not _VARIABLE.fullmatch(name):
            raise ValueError(f"line {number} is not of the form NAME=value")
        found[name] = value
    return found


def hash_of(text: str) -> str:
    """What tells a file from others, as `sha256sum` prints it."""
    return hashlib.sha256(text.encode()).hexdigest()


def mark_of(hashes: Iterable[str]) -> str:
    """What tells all files of a task together from others."""
    return hash_of("\n".join(hashes))
