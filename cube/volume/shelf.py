"""Shelves: where archives lie, each with its SHA-256 in a file beside it, as `sha256sum` writes it."""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Protocol

from cube.errors import CubeError

SUM, PART = ".sha256", ".part"
"""What follows an archive's name in that of its checksum, and of one that is not whole."""


class TakenError(CubeError):
    """There is an archive of that name, or somebody is writing one."""


class Draft:
    """An archive that is being written: how many bytes of it so far, and their SHA-256."""

    def __init__(self, write: Callable[[bytes], None]) -> None:
        self._write = write
        self._digest = hashlib.sha256()
        self.size = 0

    @property
    def sha256(self) -> str:
        """Of what was written so far."""
        return self._digest.hexdigest()

    def write(self, piece: bytes) -> None:
        """More of it."""
        self._write(piece)
        self._digest.update(piece)
        self.size += len(piece)

    def line(self, name: str) -> str:
        """What the file beside it says."""
        return f"{self.sha256}  {name}\n"


class Shelf(Protocol):
    """A folder of files, here or elsewhere. Each call raises CubeError where it cannot be used."""

    def where(self, name: str) -> str:
        """What a person types to name that file."""
        ...

    def sizes(self) -> dict[str, int]:
        """The files by name, in bytes; none where there is no such folder yet."""
        ...

    def read(self, name: str) -> Iterator[bytes]:
        """The file's bytes, a piece at a time."""
        ...

    def drafting(self, name: str) -> AbstractContextManager[Draft]:
        """Write that file, for its owner alone to read, under another name until the block has ended well.

        Then its checksum is written, and after that it gets its name: what has no checksum is no archive, and
        one without its archive is none. Where the block raises, nothing is left of it. What killed processes
        have left of archives of the same volume and node goes. Raises TakenError where that can be told.
        """
        ...

    def remove(self, name: str) -> None:
        """One that is gone already is done."""
        ...

    def alone(self) -> AbstractContextManager[bool]:
        """Whether nobody else keeps anything there; for as long as the block runs, where that can be had."""
        ...


def siblings(name: str) -> str:
    """What the names of all archives of the same volume of the same node begin with."""
    return f"{name.rpartition('@')[0]}@"
