"""What a copy of a volume lacks that was made while it was written to: told from lists, by no content."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from cube.errors import CubeError

LISTED = r"%P\0%y %m %U %G %s %T@ %C@ %i %l\0"
"""How GNU find prints an entry: its path below the volume's folder, then its facts, its kind first."""

Listing = Mapping[bytes, bytes]
"""What is in a volume: the facts of each entry by its path. The folder's own path is empty."""

_SIZE, _INODE = 4, 7


@dataclass(frozen=True, slots=True, kw_only=True)
class Delta:
    """The entries of a copy that are to be removed, first, and those to be copied anew; as paths, in order.

    Of a folder that is in `gone` everything goes. `size`: the bytes of the files in `stale`.
    """

    gone: tuple[bytes, ...]
    stale: tuple[bytes, ...]
    size: int


def read_listing(pieces: Iterable[bytes]) -> Listing:
    """What find has printed. Raises CubeError where that is not whole."""
    *words, end = b"".join(pieces).split(b"\0")
    if end or not words or len(words) % 2:
        raise CubeError("the list of a volume's files is not whole", why=f"it ends with {end[-100:]!r}")
    return dict(zip(words[::2], words[1::2], strict=True))


def content_of(listing: Listing) -> tuple[int, int]:
    """How many files it lists, and their bytes; one with several names counts once."""
    files = {
        facts[_INODE]: int(facts[_SIZE]) for facts in map(bytes.split, listing.values()) if facts[0] == b"f"
    }
    return len(files), sum(files.values())


def delta(before: Listing, now: Listing, copied: Listing) -> Delta:
    """What makes the copy what is there `now`. `before` is of the moment when the copy was begun.

    An entry whose facts are still the same was the same all the while: whatever changes a file or its
    attributes sets the time of its last change, which nobody can set back. All names of one file have the
    same facts, so they are copied together. A folder in which anything is made anew gets its times back.
    """
    gone = {path for path, facts in copied.items() if _kind(now.get(path)) != _kind(facts)}
    changed = {path for path, facts in now.items() if before.get(path) != facts or path not in copied}
    stale = changed | gone
    touched = stale | {_folder(path) for path in stale}
    kept = sorted(path for path in touched if path in now)
    return Delta(
        gone=tuple(sorted(path for path in gone if not _is_below(path, gone))),
        stale=tuple(kept),
        size=content_of({path: now[path] for path in kept})[1],
    )


def _kind(facts: bytes | None) -> bytes:
    return b"" if facts is None else facts[:1]


def _folder(path: bytes) -> bytes:
    return path.rpartition(b"/")[0]


def _is_below(path: bytes, others: set[bytes]) -> bool:
    while path := _folder(path):
        if path in others:
            return True
    return False
