"""The backups that jobs ask for, made beside the loop: they take minutes, and change nothing on a node.

Whoever sweeps makes those that are due, once it has let go of the lock; what came of each is an event of its
job.
"""

import fcntl
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cube.errors import CubeError
from cube.manager.office import Office
from cube.manager.session import at_hand, recorded
from cube.manager.volumes import Backed, Shelf, back_up, held, needed
from cube.model.job import Backup
from cube.model.volume import StoredVolume
from cube.reconciler.backups import WantedBackup, is_due, wanted_backups
from cube.store.store import Store
from cube.volume.archive import archives_in
from cube.worker.worker import Worker

FOLDER = Path("backups")
"""Where archives are kept, for each cluster in a folder of its own; so is it in any that is named."""

AGAIN = 600.0
"""Seconds after which one that failed is tried again."""

PAUSE = 30.0
"""Seconds between two looks of a service at what is due."""

FAILED = " failed: "
"""What the event says of one that did not come about."""

BY = "backup"
"""By whom the events are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """What came of one backup: where it is and how large, or why it is not."""

    wanted: WantedBackup
    what: str
    is_failed: bool = False

    def __str__(self) -> str:
        return f"{self.wanted}{FAILED if self.is_failed else ': '}{self.what}"


def folder_of(place: Office, folder: Path | None) -> Path:
    """Where the cluster's archives are kept."""
    return (FOLDER if folder is None else folder) / place.cluster.name


def shelf_of(place: Office, backup: Backup) -> Shelf:
    """Where a job wants its archives, and how many."""
    return Shelf(folder=folder_of(place, Path(backup.folder) if backup.folder else None), last=backup.keep)


def due(place: Office, store: Store, now: float) -> tuple[WantedBackup, ...]:
    """What is to be kept now, but for what failed just before."""
    jobs = [job for job in store.jobs() if any(group.backups for group in job.groups)]
    if not jobs:
        return ()
    rollouts = store.rollouts()
    return tuple(
        wanted
        for wanted in wanted_backups(jobs, store.current_tasks())
        if is_due(wanted, _newest(place, wanted), rollouts[wanted.job].since, now)
        and not _failed_lately(store, wanted, now)
    )


def keep_due(place: Office, now: float) -> Iterator[Made]:
    """Keep what is due; what came of each, as it ends. Nothing where another Cube does so just now."""
    with recorded(place) as store:
        if not due(place, store, now):
            return
    with at_hand(place) as (store, workers):
        for shelf in sorted({shelf_of(place, wanted.backup) for wanted in due(place, store, now)}, key=str):
            for made in _on_shelf(place, store, workers, shelf, now):
                wanted = made.wanted
                store.tell_of_job(wanted.job, wanted.version, now=time.time(), actor=BY, reason=str(made))
                yield made


@contextmanager
def keeping(find: Callable[[], Office], warn: Callable[[CubeError], None]) -> Iterator[None]:
    """While the block runs what is due is kept, in a thread beside it.

    One that is under way at its end ends with the process, and the next Cube begins it anew.
    """
    is_over = threading.Event()

    def run() -> None:
        while not is_over.wait(PAUSE):
            try:
                for made in keep_due(find(), time.time()):
                    if made.is_failed:
                        warn(CubeError(str(made)))
            except CubeError as error:
                warn(error)

    threading.Thread(target=run, name="cube-keeper", daemon=True).start()
    try:
        yield
    finally:
        is_over.set()


def _on_shelf(
    place: Office, store: Store, workers: Mapping[str, Worker], shelf: Shelf, now: float
) -> Iterator[Made]:
    """Alone there: what another Cube has kept until it let go of the folder is due no more."""

    def mine() -> list[WantedBackup]:
        return [wanted for wanted in due(place, store, now) if shelf_of(place, wanted.backup) == shelf]

    try:
        with _alone(shelf.folder) as is_alone:
            yield from _keep(workers, shelf, mine() if is_alone else [])
    except OSError as error:
        why = f"{shelf.folder}: {error.strerror}"
        yield from (Made(wanted=wanted, what=why, is_failed=True) for wanted in mine())


def _keep(workers: Mapping[str, Worker], shelf: Shelf, mine: Sequence[WantedBackup]) -> Iterator[Made]:
    by_place = {(wanted.volume, wanted.node): wanted for wanted in mine}
    found = held(workers, sorted({wanted.node for wanted in mine}))
    volumes = list[StoredVolume]()
    for wanted in mine:
        try:
            volumes += needed(found, wanted.volume, wanted.node)
        except CubeError as error:
            yield _failed(wanted, error)
    for backed in back_up(workers, volumes, shelf, time.time) if volumes else ():
        yield _made(by_place[backed.volume.name, backed.volume.node], backed)


def _made(wanted: WantedBackup, backed: Backed) -> Made:
    if backed.kept is None:
        assert backed.error is not None, "it was kept, or it says why not"
        return _failed(wanted, backed.error)
    tree = backed.kept.tree
    what = f"{tree.files} files, {tree.size} bytes in {backed.seconds:.1f} s"
    return Made(wanted=wanted, what=f"{what}, in {backed.kept.path}")


def _failed(wanted: WantedBackup, error: CubeError) -> Made:
    return Made(
        wanted=wanted, what="; ".join(line.strip() for line in str(error).splitlines()), is_failed=True
    )


def _newest(place: Office, wanted: WantedBackup) -> float | None:
    archives = archives_in(shelf_of(place, wanted.backup).folder)
    mine = [found.at for found in archives if (found.volume, found.node) == (wanted.volume, wanted.node)]
    return mine[-1] if mine else None


def _failed_lately(store: Store, wanted: WantedBackup, now: float) -> bool:
    events = store.events(job=wanted.job, since=now - AGAIN)
    return any(event.reason.startswith(f"{wanted}{FAILED}") for event in events)


@contextmanager
def _alone(folder: Path) -> Iterator[bool]:
    """No other Cube keeps anything there meanwhile; False: one does."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
