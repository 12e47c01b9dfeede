"""Volumes over the fleet: what is where, kept in archives, put back, and removed."""

import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

from cube.errors import CubeError, InputError
from cube.manager.crew import THREADS
from cube.manager.seams import Attended, Hand
from cube.model.task import Task
from cube.model.volume import StoredVolume, Tree
from cube.store.store import Store
from cube.volume.archive import Archive, Kept, checked, forget_older, free_name, keep, still_same
from cube.volume.shelf import Shelf, TakenError
from cube.volume.tree import read_tree

BY_HAND = "volume"
"""By whom the events are of what somebody does to a volume by hand."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """The volumes of those nodes that answered, and why the others did not."""

    volumes: tuple[StoredVolume, ...]
    errors: Mapping[str, CubeError]

    @property
    def exit_code(self) -> int:
        """3 where a node could not be reached, 1 where its engine refused, else 0."""
        return max((error.exit_code for error in self.errors.values()), default=0)

    def named(self, name: str) -> tuple[StoredVolume, ...]:
        """That volume, on each node that has it."""
        return tuple(volume for volume in self.volumes if volume.name == name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Backed:
    """What came of the backup of one node's volume, and how long it took; `gone` are older archives of it."""

    volume: StoredVolume
    seconds: float
    kept: Kept | None = None
    gone: tuple[Archive, ...] = ()
    error: CubeError | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """An archive that is in its volume again, and how long that took."""

    tree: Tree
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What a volume is to hold: a tar, also one as gzip, of so many bytes, and what is in it."""

    pieces: Iterator[bytes]
    size: int
    tree: Tree


def held(workers: Mapping[str, Hand], nodes: Sequence[str]) -> Held:
    """The volumes of all of those nodes, asked at once."""

    def ask(node: str) -> tuple[StoredVolume, ...] | CubeError:
        try:
            return workers[node].volumes.all()
        except CubeError as error:
            return error

    with ThreadPoolExecutor(max_workers=THREADS) as pool:
        answers = dict(zip(nodes, pool.map(ask, nodes), strict=True))
    return Held(
        volumes=tuple(volume for found in answers.values() if isinstance(found, tuple) for volume in found),
        errors={node: found for node, found in answers.items() if isinstance(found, CubeError)},
    )


def needed(found: Held, name: str, node: str | None) -> tuple[StoredVolume, ...]:
    """The volume on that node; by default on each that has it. Raises CubeError where none is known to."""
    volumes = tuple(volume for volume in found.named(name) if node in (None, volume.node))
    if volumes:
        return volumes
    if found.errors:
        raise next(iter(found.errors.values()))
    has = ", ".join(volume.node for volume in found.named(name)) or "no node"
    raise InputError(
        f"there is no volume {name!r}", where=node or "", cure=f"It is on: {has}. See: cube volume ls"
    )


def remove(worker: Hand, store: Store, volume: StoredVolume) -> None:
    """Remove it with all that is in it. Raises InputError where something uses it, CubeError."""
    refuse_used(volume, store.current_tasks(), volume.uses)
    worker.volumes.remove(volume.name)
    _left_no_more(store, volume.node, volume.name, "was removed by hand")


def back_up(
    workers: Mapping[str, Hand],
    volumes: Sequence[StoredVolume],
    shelf: Shelf,
    now: Callable[[], float],
    *,
    last: int | None,
) -> Generator[Backed, None, None]:
    """Keep each of them in an archive of its own, nodes at once; what came of each, as it ends.

    Of each volume of each node the `last` archives stay; None: all.
    """
    pool = ThreadPoolExecutor(max_workers=THREADS)
    keep_one = partial(_back_up, shelf=shelf, last=last)
    keeping = [pool.submit(keep_one, workers[volume.node], volume, now()) for volume in volumes]
    try:
        for done in as_completed(keeping):
            yield done.result()
    finally:
        for future in keeping:
            future.cancel()
        for volume in volumes:
            workers[volume.node].close()  # ends what is under way
        pool.shutdown()


def _back_up(worker: Hand, volume: StoredVolume, now: float, *, shelf: Shelf, last: int | None) -> Backed:
    started = time.monotonic()
    try:
        kept = back_up_one(worker, volume, shelf, now)
        gone = forget_older(shelf, kept.name, last) if last else ()
    except CubeError as error:
        return Backed(volume=volume, seconds=time.monotonic() - started, error=error)
    return Backed(volume=volume, seconds=time.monotonic() - started, kept=kept, gone=gone)


def back_up_one(worker: Hand, volume: StoredVolume, shelf: Shelf, now: float) -> Kept:
    """Keep it in an archive. Raises CubeError: then there is none."""
    if volume.is_half:
        raise _half(volume)
    while True:
        name = free_name(shelf, volume.name, volume.node, now)
        try:
            return keep(partial(worker.volumes.read, volume.name), shelf, name)
        except TakenError:
            now += 1  # it was free a moment ago


def restore(fill: Callable[[Content], None], archive: tuple[Shelf, str]) -> Restored:
    """Fill a volume from the archive of that name on that shelf.

    Raises InputError where the archive is not what its checksum says, and what `fill` raises.
    """
    started = time.monotonic()
    shelf, file = archive
    tree = checked(shelf, file)
    fill(Content(pieces=still_same(shelf, file), size=shelf.sizes()[file], tree=tree))
    return Restored(tree=tree, seconds=time.monotonic() - started)


def fill(
    worker: Attended, store: Store, place: tuple[str, str], content: Content, *, may_replace: bool
) -> None:
    """Have that node's volume of that name, a new one if need be, hold this; it is read back and compared.

    What a restore that was cut short has left there is removed first; `may_replace`: also what is in it else.
    Raises InputError where something that runs uses the volume, or it is not empty; CubeError.
    """
    node, name = place
    found = next((volume for volume in worker.volumes.all() if volume.name == name), None)
    volume = found or StoredVolume(node=node, name=name, cluster="", size=None)
    refuse_used(volume, store.current_tasks(), volume.users)
    if found is not None:
        empty(worker, found, may_replace=may_replace)
    _left_no_more(store, node, name, "is being restored")
    with named(f"{node}: {name}"), worker.volumes.filled(name, content.pieces, content.size):
        refuse_another(tree_of(worker, name), content.tree)
        refuse_used(volume, store.current_tasks(), ())  # a manager goes on to start tasks meanwhile


def _left_no_more(store: Store, node: str, name: str, why: str) -> None:
    if (left := store.left.all().get((node, name))) is not None:
        store.left.end(left, f"{name} on {node} {why}", now=time.time(), actor=BY_HAND)


def tree_of(worker: Hand, name: str) -> Tree:
    """What is in the volume, all of it read. Raises CubeError."""
    with worker.volumes.read(name) as pieces:
        return read_tree(pieces)


def refuse_used(volume: StoredVolume, tasks: Sequence[Task], uses: Sequence[object]) -> None:
    """Raises InputError where one of those containers has it, or a task that is to run there."""
    slots = [
        str(task.slot)
        for task in tasks
        if task.node == volume.node
        and not task.state.is_terminal
        and any(mounted.source == volume.name for mounted in task.spec.volumes)
    ]
    users = sorted({*map(str, uses), *slots})
    if users:
        raise InputError(
            f"volume {volume.name} is in use",
            where=volume.node,
            why=f"by {', '.join(users)}",
            cure="Stop that first: cube stop JOB; a container that is not Cube's: docker rm",
        )


@contextmanager
def named(where: str) -> Iterator[None]:
    """What fails within says where, if it does not yet."""
    try:
        yield
    except CubeError as error:
        error.where = error.where or where
        raise


def refuse_another(found: Tree, wanted: Tree) -> None:
    """Raises CubeError where what was read back is not what was written."""
    if found != wanted:
        raise CubeError(
            "the volume does not hold what was written to it",
            why=f"{found.files} files of {found.size} bytes in place of {wanted.files} of {wanted.size}"
            if (found.files, found.size) != (wanted.files, wanted.size)
            else "their contents or attributes differ",
            cure="Something else may write to it: docker ps -a. Then do it again, with --replace.",
        )


def empty(worker: Attended, volume: StoredVolume, *, may_replace: bool = False) -> None:
    """Have nothing in it: what a copy that was cut short has left goes, and else what somebody says may go.

    Raises InputError where something else is in it.
    """
    if volume.is_half or may_replace:
        refuse_used(volume, (), volume.uses)
        worker.volumes.renew(volume.name)
        cure = "Its driver keeps what is in it: remove that yourself."
    else:
        cure = "Keep what is in it: cube volume backup. To have it removed first, give --replace."
    if not worker.volumes.is_empty(volume.name):
        raise InputError(f"volume {volume.name} is not empty", where=volume.node, cure=cure)


def _half(volume: StoredVolume) -> InputError:
    return InputError(
        f"volume {volume.name} is not whole",
        where=volume.node,
        why="it is being restored, or that was cut short",
        cure="Restore it again: cube volume restore, or remove it: cube volume rm",
    )
