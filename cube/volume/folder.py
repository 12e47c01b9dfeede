"""A shelf on this machine's disk."""

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from cube.errors import CubeError
from cube.volume.shelf import PART, SUM, Draft, TakenError, siblings
from cube.volume.tree import CHUNK


class Folder:
    """A folder of this machine. A file that is being written is locked by who writes it."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def where(self, name: str) -> str:
        """Its path."""
        return str(self._path / name)

    def sizes(self) -> dict[str, int]:
        """The files by name, in bytes; none where there is no such folder yet."""
        found = dict[str, int]()
        with _told(self._path), suppress(FileNotFoundError), os.scandir(self._path) as entries:
            for entry in entries:
                with suppress(FileNotFoundError):  # another thread, or another Cube, may be removing it
                    if entry.is_file():
                        found[entry.name] = entry.stat().st_size
        return found

    def read(self, name: str) -> Iterator[bytes]:
        """The file's bytes, a piece at a time."""
        path = self._path / name
        with _told(path), path.open("rb") as file:
            while piece := file.read(CHUNK):
                yield piece

    @contextmanager
    def drafting(self, name: str) -> Iterator[Draft]:
        """As every shelf; it is on the disk once the block has ended."""
        path = self._path / name
        part = self._path / (name + PART)
        with _told(path):
            self._path.mkdir(parents=True, exist_ok=True)
            with _held(self._path):
                self._clear_away(siblings(name))
                file = _begun(path, part)
        try:
            draft = Draft(lambda piece: _write(file, piece, path))
            yield draft
            with _told(path):
                os.fsync(file)
                _write_down(self._path / (name + SUM), draft.line(name))
                part.rename(path)
                _settle(self._path)
        finally:
            os.close(file)
            part.unlink(missing_ok=True)

    def remove(self, name: str) -> None:
        """One that is gone already is done."""
        path = self._path / name
        with _told(path):
            path.unlink(missing_ok=True)

    @contextmanager
    def alone(self) -> Iterator[bool]:
        """Whether nobody else keeps anything there, while the block runs."""
        with _told(self._path):
            self._path.mkdir(parents=True, exist_ok=True)
            file = (self._path / ".lock").open("a")
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
            else:
                yield True

    def _clear_away(self, beginning: str) -> None:
        """Remove what killed processes left; one that lives holds its own."""
        for part in self._path.iterdir():
            if part.name.startswith(beginning) and part.name.endswith(PART):
                with suppress(OSError), part.open("rb") as file:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    part.unlink()


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    """Nobody else begins an archive there meanwhile, or clears away what has begun and is not locked yet."""
    file = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
    finally:
        os.close(file)


def _begun(path: Path, part: Path) -> int:
    """The file that is to be that archive, locked. Raises TakenError."""
    if part.exists() or path.exists():  # in this order: the one becomes the other
        raise TakenError("there is an archive of that name", where=str(path))
    file = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return file


def _write(file: int, piece: bytes, path: Path) -> None:
    rest = memoryview(piece)
    with _told(path):
        while rest:
            rest = rest[os.write(file, rest) :]


def _write_down(path: Path, text: str) -> None:
    with path.open("w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _settle(folder: Path) -> None:
    """A power cut must not take back what the folder lists."""
    file = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """What this machine's disk refuses is not the node's fault."""
    try:
        yield
    except OSError as error:
        cure = "Make room, or name another folder." if error.errno == errno.ENOSPC else ""
        raise CubeError(
            "the archive cannot be read or written",
            where=str(path),
            why=error.strerror or str(error),
            cure=cure,
        ) from error
