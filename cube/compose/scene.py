"""What is known where one key of one service is put into a job's words, and what comes of it."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from cube.compose.project import Project
from cube.compose.tree import Finding, StrangeError, entries_of, made, text_of
from cube.document.reader import Document, Mark, Scalar, Table


class Put(NamedTuple):
    """An entry of the group: its path there, and its value."""

    path: tuple[str, ...]
    value: Document


class Lost(NamedTuple):
    """What Cube cannot do; the file is refused, unless its `x-cube` says to ignore that key."""

    finding: Finding


class Odd(NamedTuple):
    """What Cube does in another way."""

    finding: Finding


Told = Put | Lost | Odd
Say = Callable[["Scene", Document], Iterator[Told]]
"""How the value of one key is said in a job file. Raises StrangeError for what is no such value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """One service of a project. `groups` maps services to groups; `ending` are those that end at last."""

    project: Project
    service: str
    mark: Mark
    written: Table
    groups: Mapping[str, str]
    ending: frozenset[str]

    @property
    def ends(self) -> bool:
        """The service is to end by itself."""
        return self.service in self.ending

    def at(self, *path: str) -> Document | None:
        """What is written at that path of the service, or nothing. Raises StrangeError."""
        found: Document | None = self.written
        for key in path:
            found = entries_of(found).get(key)
        return found


def alone(say: Callable[[Document], Iterator[Told]]) -> Say:
    """What needs no scene."""
    return lambda _scene, document: say(document)


def lost(document: Document, what: str, key: str) -> Lost:
    """Found at that place."""
    return Lost(Finding(document.mark, what, key))


def odd(document: Document, what: str, key: str = "") -> Odd:
    """Found at that place."""
    return Odd(Finding(document.mark, what, key))


def put(path: str, value: Document) -> Put:
    """`path` with dots between its steps."""
    return Put(tuple(path.split(".")), value)


def in_words(document: Document, say: Callable[[str], str]) -> Scalar:
    """The value as a job file writes it. Raises StrangeError."""
    try:
        return made(say(text_of(document)), document.mark)
    except ValueError as error:
        raise StrangeError(document.mark, str(error)) from None
