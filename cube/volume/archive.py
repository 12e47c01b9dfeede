"""Archives of volumes: by what names they go, how one is written, checked and read, and which ones go."""

import hashlib
import re
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count

from cube.errors import CubeError, InputError, UnreachableError
from cube.model.volume import Tree
from cube.volume.shelf import PART, SUM, Shelf
from cube.volume.tree import Digest, packed, read_tree, unpacked

_NAME = re.compile(r"(?P<volume>[^@/]+)@(?P<node>[^@/]+)@(?P<at>\d{8}T\d{6}Z)\.tar\.gz")
_AT = "%Y%m%dT%H%M%SZ"


@dataclass(frozen=True, slots=True, kw_only=True)
class Archive:
    """An archive on a shelf: of which volume of which node, and when it was begun (seconds since the epoch).

    `where` is what a person types to name it, `size` in bytes, as it lies there.
    """

    name: str
    where: str
    volume: str
    node: str
    at: float
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """An archive that was just written: its SHA-256, and what is in it."""

    name: str
    where: str
    sha256: str
    size: int
    tree: Tree


def name_of(volume: str, node: str, at: float) -> str:
    """What the archive of that volume, begun at that time, is called."""
    return f"{volume}@{node}@{datetime.fromtimestamp(at, UTC):{_AT}}.tar.gz"


def free_name(shelf: Shelf, volume: str, node: str, at: float) -> str:
    """The same, of the first second from then on that no archive has. Raises CubeError."""
    taken = shelf.sizes().keys()
    names = (name_of(volume, node, at + later) for later in count())
    return next(name for name in names if not {name, name + PART} & taken)


def begun(name: str) -> float | None:
    """When the archive of that name was begun; None where that is no archive's."""
    match = _NAME.fullmatch(name)
    with suppress(ValueError):
        return match and datetime.strptime(match["at"], _AT).replace(tzinfo=UTC).timestamp()
    return None


def archives_on(shelf: Shelf) -> tuple[Archive, ...]:
    """Those that are whole, the oldest first. Raises CubeError where the shelf cannot be seen."""
    sizes = shelf.sizes()
    found = (
        Archive(
            name=name,
            where=shelf.where(name),
            volume=match["volume"],
            node=match["node"],
            at=at,
            size=size,
        )
        for name, size in sizes.items()
        if (match := _NAME.fullmatch(name)) and (at := begun(name)) is not None and name + SUM in sizes
    )
    return tuple(sorted(found, key=lambda each: (each.at, each.name)))


def keep(read: Callable[[], AbstractContextManager[Iterable[bytes]]], shelf: Shelf, name: str) -> Kept:
    """Put the tar that is read there as gzip, under that name once it is known to be whole.

    Raises CubeError where it is not, or cannot be written: then nothing is left of it.
    """
    with shelf.drafting(name) as draft, read() as pieces:
        tree = read_tree(packed(pieces, draft.write))
    return Kept(name=name, where=shelf.where(name), sha256=draft.sha256, size=draft.size, tree=tree)


def forget_older(shelf: Shelf, name: str, keep: int) -> tuple[Archive, ...]:
    """Leave only the `keep` newest archives of the same volume of the same node, that one among them.

    Those that are gone. Raises CubeError.
    """
    archives = archives_on(shelf)
    newest = next(found for found in archives if found.name == name)
    mine = [found for found in archives if (found.volume, found.node) == (newest.volume, newest.node)]
    old = tuple(mine[: mine.index(newest) + 1][:-keep])
    for each in old:
        shelf.remove(each.name)
        shelf.remove(each.name + SUM)
    return old


def checked(shelf: Shelf, name: str) -> Tree:
    """What the archive holds, all of it read. Raises InputError where it is not what its checksum says."""
    digest = hashlib.sha256()
    wanted = _wanted_sum(shelf, name)
    try:
        tree = read_tree(unpacked(_summed(shelf.read(name), digest)))
    except CubeError as error:
        if error.where:
            raise
        raise InputError(error.what, where=shelf.where(name), why=error.why, cure=error.cure) from error
    if digest.hexdigest() != wanted:
        raise _altered(shelf, name)
    return tree


def still_same(shelf: Shelf, name: str) -> Generator[bytes, None, None]:
    """The archive's bytes, but InputError in place of the last piece where its checksum has changed."""
    digest, before = hashlib.sha256(), b""
    for piece in _summed(shelf.read(name), digest):
        if before:
            yield before
        before = piece
    if digest.hexdigest() != _wanted_sum(shelf, name):
        raise _altered(shelf, name)
    yield before


def _summed(pieces: Iterable[bytes], digest: Digest) -> Iterator[bytes]:
    for piece in pieces:
        digest.update(piece)
        yield piece


def _wanted_sum(shelf: Shelf, name: str) -> str:
    beside = name + SUM
    try:
        text = b"".join(shelf.read(beside)).decode()
    except UnreachableError:
        raise
    except (CubeError, UnicodeDecodeError) as error:
        cure = f"If you trust the file, make it there: sha256sum {name} > {beside}"
        raise InputError(
            "the archive's checksum cannot be read", where=shelf.where(beside), cure=cure
        ) from error
    return text.split(" ")[0].strip()


def _altered(shelf: Shelf, name: str) -> InputError:
    return InputError(
        "the archive does not have the bytes that its checksum names",
        where=shelf.where(name),
        cure="It was changed or damaged since it was made: take another one. See: cube volume ls",
    )
