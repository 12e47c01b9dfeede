"""Archives of volumes in files: written beside their place and put there once whole, each with its SHA-256.

The checksum is in a file of its own, as `sha256sum` writes and checks it.
"""

import errno
import fcntl
import glob
import hashlib
import os
import re
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from cube.errors import CubeError, InputError
from cube.model.volume import Tree
from cube.volume.tree import CHUNK, Digest, packed, read_tree, unpacked

ENDING, SUM, PART = ".tar.gz", ".sha256", ".part"

_NAME = re.compile(r"(?P<volume>[^@]+)@(?P<node>[^@]+)@(?P<at>\d{8}T\d{6}Z)\.tar\.gz")
_AT = "%Y%m%dT%H%M%SZ"


@dataclass(frozen=True, slots=True, kw_only=True)
class Archive:
    """An archive in a file: of which volume of which node, and when it was begun (seconds since the epoch).

    `size` in bytes, as it is on the disk.
    """

    path: Path
    volume: str
    node: str
    at: float
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """An archive that was just written: its SHA-256, and what is in it."""

    path: Path
    sha256: str
    size: int
    tree: Tree


def path_of(folder: Path, volume: str, node: str, at: float) -> Path:
    """Where the archive of that volume, begun at that time, belongs."""
    return folder / f"{volume}@{node}@{datetime.fromtimestamp(at, UTC):{_AT}}{ENDING}"


def archives_in(folder: Path) -> tuple[Archive, ...]:
    """Those in the folder that are whole, the oldest first."""
    found = (_archive_at(path) for path in folder.glob(f"*{ENDING}"))
    return tuple(sorted((each for each in found if each), key=lambda each: (each.at, each.path.name)))


def _archive_at(path: Path) -> Archive | None:
    """None for what is none; another thread, or another Cube, may be removing it."""
    match = _NAME.fullmatch(path.name)
    if match is None or not _sum_of(path).exists():
        return None
    with suppress(FileNotFoundError):
        at = datetime.strptime(match["at"], _AT).replace(tzinfo=UTC).timestamp()
        return Archive(path=path, volume=match["volume"], node=match["node"], at=at, size=path.stat().st_size)
    return None


def keep(pieces: Iterable[bytes], path: Path) -> Kept:
    """Write the tar there as gzip, for its owner alone to read, once it is known to be whole.

    Raises CubeError where it is not, or cannot be written: then nothing is left of it.
    """
    part = path.with_name(path.name + PART)
    digest = hashlib.sha256()
    with _told(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        _clear_away(path)
        file = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    try:
        tree = read_tree(packed(pieces, partial(_write, file, digest, path)))
        with _told(path):
            os.fsync(file)
            size = os.fstat(file).st_size
            _write_down(_sum_of(path), f"{digest.hexdigest()}  {path.name}\n")
            part.rename(path)  # last: what has no checksum is no archive, and one without its archive is none
            _settle(path.parent)
    finally:
        os.close(file)
        part.unlink(missing_ok=True)
    return Kept(path=path, sha256=digest.hexdigest(), size=size, tree=tree)


def forget_older(path: Path, keep: int) -> tuple[Path, ...]:
    """Leave only the `keep` newest archives of the same volume of the same node, that one among them.

    Those that are gone. Raises CubeError.
    """
    archives = archives_in(path.parent)
    newest = next(found for found in archives if found.path == path)
    mine = [found for found in archives if (found.volume, found.node) == (newest.volume, newest.node)]
    old = tuple(found.path for found in mine[: mine.index(newest) + 1][:-keep])
    for each in old:
        with _told(each):
            each.unlink(missing_ok=True)
            _sum_of(each).unlink(missing_ok=True)
    return old


def checked(path: Path) -> Tree:
    """What the archive holds, all of it read. Raises InputError where it is not what its checksum says."""
    digest = hashlib.sha256()
    wanted = _wanted_sum(path)
    try:
        tree = read_tree(unpacked(_summed(pieces_of(path), digest)))
    except CubeError as error:
        raise InputError(error.what, where=str(path), why=error.why, cure=error.cure) from error
    if digest.hexdigest() != wanted:
        raise _altered(path)
    return tree


def pieces_of(path: Path) -> Iterator[bytes]:
    """The archive's bytes, a piece at a time. Raises CubeError where it cannot be read."""
    with _told(path), path.open("rb") as file:
        while piece := file.read(CHUNK):
            yield piece


def still_same(path: Path) -> Generator[bytes, None, None]:
    """As `pieces_of`, but raises InputError in place of the last piece where its checksum has changed."""
    digest, before = hashlib.sha256(), b""
    for piece in _summed(pieces_of(path), digest):
        if before:
            yield before
        before = piece
    if digest.hexdigest() != _wanted_sum(path):
        raise _altered(path)
    yield before


def _clear_away(path: Path) -> None:
    """Remove what killed processes left of archives of the same volume; one that lives holds its own."""
    volume_and_node, _, _ = path.name.rpartition("@")
    for part in path.parent.glob(f"{glob.escape(volume_and_node)}@*{PART}"):
        with suppress(OSError), part.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            part.unlink()


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


def _write(file: int, digest: Digest, path: Path, piece: bytes) -> None:
    digest.update(piece)
    rest = memoryview(piece)
    with _told(path):
        while rest:
            rest = rest[os.write(file, rest) :]


def _summed(pieces: Iterable[bytes], digest: Digest) -> Iterator[bytes]:
    for piece in pieces:
        digest.update(piece)
        yield piece


def _wanted_sum(path: Path) -> str:
    beside = _sum_of(path)
    try:
        text = beside.read_text()
    except (OSError, ValueError) as error:
        cure = f"If you trust the file: cd {path.parent} && sha256sum {path.name} > {beside.name}"
        raise InputError("the archive's checksum cannot be read", where=str(beside), cure=cure) from error
    return text.split(" ")[0].strip()


def _sum_of(path: Path) -> Path:
    return path.with_name(path.name + SUM)


def _altered(path: Path) -> InputError:
    cure = f"It was changed or damaged since it was made: take another one. See: ls {path.parent}"
    return InputError(
        "the archive does not have the bytes that its checksum names", where=str(path), cure=cure
    )


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
