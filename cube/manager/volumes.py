"""Volumes over the fleet: what is where, kept in archives, put back, and removed."""

import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cube.errors import CubeError, InputError
from cube.manager.crew import THREADS
from cube.model.task import Task
from cube.model.volume import StoredVolume, Tree
from cube.store.store import Store
from cube.volume.archive import Kept, checked, forget_older, keep, path_of, still_same
from cube.volume.tree import read_tree
from cube.worker.worker import Worker


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
class Shelf:
    """Where archives are kept, and how many of each node's volume at most; `last` None: all."""

    folder: Path
    last: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Backed:
    """What came of the backup of one node's volume, and how long it took; `gone` are older archives of it."""

    volume: StoredVolume
    seconds: float
    kept: Kept | None = None
    gone: tuple[Path, ...] = ()
    error: CubeError | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """An archive that is in its volume again, and how long that took."""

    tree: Tree
    seconds: float


def held(workers: Mapping[str, Worker], nodes: Sequence[str]) -> Held:
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


def remove(worker: Worker, store: Store, volume: StoredVolume) -> None:
    """Remove it with all that is in it. Raises InputError where something uses it, CubeError."""
    refuse_used(volume, store.current_tasks(), volume.uses)
    worker.volumes.remove(volume.name)


def back_up(
    workers: Mapping[str, Worker], volumes: Sequence[StoredVolume], shelf: Shelf, now: Callable[[], float]
) -> Generator[Backed, None, None]:
    """Keep each of them in an archive of its own, nodes at once; what came of each, as it ends."""
    pool = ThreadPoolExecutor(max_workers=THREADS)
    keeping = [pool.submit(_back_up, workers[volume.node], volume, shelf, now()) for volume in volumes]
    try:
        for done in as_completed(keeping):
            yield done.result()
    finally:
        for future in keeping:
            future.cancel()
        for volume in volumes:
            workers[volume.node].close()  # ends what is under way
        pool.shutdown()


def _back_up(worker: Worker, volume: StoredVolume, shelf: Shelf, now: float) -> Backed:
    started = time.monotonic()
    try:
        kept = back_up_one(worker, volume, shelf.folder, now)
        gone = forget_older(kept.path, shelf.last) if shelf.last else ()
    except CubeError as error:
        return Backed(volume=volume, seconds=time.monotonic() - started, error=error)
    return Backed(volume=volume, seconds=time.monotonic() - started, kept=kept, gone=gone)


def back_up_one(worker: Worker, volume: StoredVolume, folder: Path, now: float) -> Kept:
    """Keep it in an archive. Raises CubeError: then there is none."""
    if volume.is_half:
        raise _half(volume)
    with worker.volumes.read(volume.name) as pieces:
        return keep(pieces, path_of(folder, volume.name, volume.node, now))


def restore(worker: Worker, store: Store, name: str, path: Path, *, may_replace: bool) -> Restored:
    """Fill the volume from the archive; what a restore that was cut short has left there is removed first.

    `may_replace`: also what is in it else. Raises InputError where the archive is not what its checksum says,
    something that runs uses the volume, or it is not empty; CubeError.
    """
    started = time.monotonic()
    tree = checked(path)
    volume = next((found for found in worker.volumes.all() if found.name == name), None)
    if volume is not None:
        refuse_used(volume, store.current_tasks(), volume.users)
        empty(worker, volume, may_replace=may_replace)
    with (
        named(f"{worker.node.name}: {name}"),
        worker.volumes.filled(name, still_same(path), path.stat().st_size),
    ):
        refuse_another(tree_of(worker, name), tree)
    return Restored(tree=tree, seconds=time.monotonic() - started)


def tree_of(worker: Worker, name: str) -> Tree:
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


def empty(worker: Worker, volume: StoredVolume, *, may_replace: bool = False) -> None:
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
