"""Copying a volume from node to node: while its task runs, and what has changed once it is stopped."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from cube.errors import CubeError, InputError, UnreachableError
from cube.manager.seams import Attended, Packer
from cube.manager.volumes import named, refuse_another, tree_of
from cube.model.volume import Tree
from cube.volume.delta import Listing, content_of, delta

Hand = TypeVar("Hand")
Told = TypeVar("Told")

Say = Callable[[str], None]
"""Hears what was done beside the loop's own steps."""

Finish = Callable[[], str]
"""Makes the copy what the volume is, now that nobody writes to it; what was done, in words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """The volume of that name goes from one node to another; `where` says so of what fails."""

    name: str
    where: str
    source: Attended
    target: Attended


@contextmanager
def copying(way: Way, say: Say) -> Iterator[Finish]:
    """Copy the volume while its task runs; what is yielded finishes that once the task is stopped.

    The copy is marked as half to the end of the block, and where that raises for good. On nodes that have not
    the programs for it, all is copied at the finish. Raises CubeError.
    """
    with ExitStack() as block:
        with named(way.where):
            try:
                packer = block.enter_context(way.source.volumes.packing(way.name))
                unpacker = block.enter_context(way.target.volumes.unpacking(way.name))
            except (InputError, UnreachableError):
                raise
            except CubeError as error:
                say(f"{way.name} is copied once its task is stopped, not before: {error}")
                finish = partial(_copy_all, way)
            else:
                before = _copy_hot(way, packer, unpacker, say)
                finish = partial(_copy_rest, way, packer, unpacker, before)
        yield finish


def _copy_hot(way: Way, packer: Packer, unpacker: Packer, say: Say) -> Listing:
    """Copy it as it is; what was in it when that was begun."""
    before = packer.listed(is_quiet=False)
    unpacker.unpack(packer.packed())
    files, size = content_of(before)
    say(f"copied {way.name} while its task runs: {files} files, {size} bytes")
    return before


def _copy_all(way: Way) -> str:
    with (
        named(way.where),
        way.source.volumes.read(way.name) as pieces,
        way.target.volumes.filled(way.name, pieces, None),
    ):
        tree = _compared(way)
    return f"copied and compared {way.name}: {tree.files} files, {tree.size} bytes"


def _copy_rest(way: Way, packer: Packer, unpacker: Packer, before: Listing) -> str:
    """Remove and copy what is another by now, and compare all of it: on the nodes, where they agree."""
    both = (packer, unpacker)
    with named(way.where):
        now, copied = _at_once(lambda each: each.listed(is_quiet=True), both)
        rest = delta(before, now, copied)
        unpacker.remove(rest.gone)
        unpacker.unpack(packer.packed_only(rest.stale))
        if len(set(_at_once(Packer.digest, both))) > 1:
            _compared(way)  # other versions of tar may pack the same in another way
    files, size = content_of(now)
    changes = f"{len(rest.stale)} entries with {rest.size} bytes, {len(rest.gone)} removed"
    return f"copied and compared {way.name}: {files} files, {size} bytes; after the stop {changes}"


def _compared(way: Way) -> Tree:
    """What is in both, read through this machine. Raises CubeError where that is not the same."""
    there, here = _at_once(lambda worker: tree_of(worker, way.name), (way.target, way.source))
    refuse_another(there, here)
    return here


def _at_once(ask: Callable[[Hand], Told], hands: Sequence[Hand]) -> list[Told]:
    with ThreadPoolExecutor(max_workers=len(hands)) as pool:
        return list(pool.map(ask, hands))
