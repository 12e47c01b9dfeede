"""An archive of a volume as it goes by: whether it is whole, and what it holds. Nothing of it is kept."""

import hashlib
import io
import tarfile
from collections.abc import Callable, Iterable, Iterator
from typing import IO, Protocol

from cube.errors import CubeError
from cube.model.volume import Tree

FOLDER = "data"
"""Where in its archive a volume's content is."""

CHUNK = 1 << 18
"""Bytes of a file that are in memory at a time."""

LEVEL = 2
"""Of compression, as for images."""

END = 2 * tarfile.BLOCKSIZE
"""Bytes of nothing that a whole archive ends with."""

_AS_GZIP = 31


class Digest(Protocol):
    """What hashlib makes; it has no name for it."""

    def update(self, data: bytes, /) -> None:
        """More of what is digested."""
        ...


def read_tree(pieces: Iterable[bytes]) -> Tree:
    """What the archive holds; every piece of it is read. Raises CubeError where it is not whole.

    An engine that cannot read a file to its end leaves out the rest of the volume, and says nothing.
    """
    plain = _Plain(iter(pieces))
    digest, files, size = hashlib.sha256(), 0, 0
    try:
        with tarfile.open(fileobj=plain, mode="r|", bufsize=CHUNK) as tar:
            for entry in tar:
                tar.members = []  # type: ignore[attr-defined] # it would keep a million of them
                _refuse_stranger(entry.name)
                digest.update(_facts(entry))
                if content := tar.extractfile(entry) if entry.isreg() else None:
                    files += 1
                    size += _digested(content, digest)
    except (tarfile.TarError, EOFError) as error:
        raise _not_whole(str(error)) from error
    plain.drain()
    if plain.end != bytes(END):
        raise _not_whole("its end is missing")
    return Tree(digest=digest.hexdigest(), files=files, size=size)


def holds_anything(pieces: Iterable[bytes]) -> bool:
    """It has more than the volume's own folder. Only its beginning is read."""
    try:
        with tarfile.open(fileobj=_Plain(iter(pieces)), mode="r|") as tar:
            return any(entry.name.strip("/") != FOLDER for entry in tar)
    except (tarfile.TarError, EOFError) as error:
        raise _not_whole(str(error)) from error


def packed(pieces: Iterable[bytes], write: Callable[[bytes], None]) -> Iterator[bytes]:
    """The same pieces; as they go by they are compressed as gzip, and that is written."""
    from isal import isal_zlib  # noqa: PLC0415 - of all commands only those that keep volumes need it

    compress = isal_zlib.compressobj(LEVEL, wbits=_AS_GZIP)
    for piece in pieces:
        write(compress.compress(piece))
        yield piece
    write(compress.flush())


class _Plain(io.RawIOBase):
    """The archive's bytes as a file that is read once; `end` are the last ones that were."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._rest = b""
        self.end = b""

    def read(self, size: int = -1) -> bytes:
        while not self._rest:
            found = next(self._pieces, None)
            if found is None:
                return b""
            self._rest = found
        taken, self._rest = self._rest[:size], self._rest[size:]
        self.end = (self.end + taken[-END:])[-END:]
        return taken

    def drain(self) -> None:
        """Read what follows the archive: its padding, and the end of its compression."""
        while self.read(CHUNK):
            pass


def unpacked(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Without compression. Raises CubeError where it is cut short, or no gzip."""
    from isal import isal_zlib  # noqa: PLC0415 - as in `packed`

    broken: type[Exception] = isal_zlib.error  # type: ignore[assignment] # its stubs take the class for one
    unpacking = isal_zlib.decompressobj(wbits=_AS_GZIP)
    try:
        for piece in pieces:
            rest, more = piece, True
            while rest or more:
                if unpacking.eof and rest:  # a gzip file may be several, one after the other
                    unpacking = isal_zlib.decompressobj(wbits=_AS_GZIP)
                plain = unpacking.decompress(rest, CHUNK)
                yield plain
                rest = unpacking.unused_data if unpacking.eof else unpacking.unconsumed_tail
                more = len(plain) == CHUNK and not unpacking.eof  # it may hold some back
    except broken as error:
        raise _not_whole(f"it is no gzip, or broken: {error}") from error
    if not unpacking.eof:
        raise _not_whole("it is cut short")


def _facts(entry: tarfile.TarInfo) -> bytes:
    attributes = sorted((key, value) for key, value in entry.pax_headers.items() if "xattr" in key)
    device = (entry.devmajor, entry.devminor)
    facts = (entry.name, entry.type, entry.mode, entry.uid, entry.gid, int(entry.mtime), entry.size)
    return repr((*facts, entry.linkname, device, attributes)).encode("utf-8", "surrogateescape")


def _digested(content: IO[bytes], digest: Digest) -> int:
    size = 0
    while chunk := content.read(CHUNK):
        digest.update(chunk)
        size += len(chunk)
    return size


def _refuse_stranger(name: str) -> None:
    """What lies elsewhere would not get into the volume."""
    parts = name.split("/")
    if parts[0] != FOLDER or ".." in parts:
        raise CubeError(
            "this is no archive of a volume",
            why=f"it holds {name!r}, and of a volume everything is in {FOLDER}/",
            cure=f"Pack it so: tar czf FILE --transform 's,^[.],{FOLDER},' -C FOLDER .",
        )


def _not_whole(why: str) -> CubeError:
    cure = "If the volume was written to meanwhile, do it again, or stop its task first."
    return CubeError("the archive is not whole", why=why, cure=cure)
