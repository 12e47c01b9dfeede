"""The backups that jobs ask for, made beside the loop: they take minutes, and change no task.

Whoever sweeps makes those that are due, once it has let go of the lock; what came of each is an event of its
job.
"""

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from cube.errors import CubeError
from cube.manager.leftovers import Cleared, clear_left
from cube.manager.office import Office
from cube.manager.session import at_hand, recorded
from cube.manager.shelves import open_shelf, place_of
from cube.manager.volumes import Backed, back_up, held, needed
from cube.model.volume import StoredVolume
from cube.reconciler.backups import WantedBackup, is_due, wanted_backups
from cube.reconciler.periodic import last_run
from cube.store.store import Store
from cube.volume.archive import archives_on
from cube.volume.shelf import Shelf
from cube.worker.worker import Worker

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


class Keeper:
    """Keeps what is due. What its shelf has is asked for again only when the next time for it has come."""

    def __init__(self) -> None:
        self._settled: dict[WantedBackup, float] = {}

    def due(self, store: Store, now: float) -> Iterator[WantedBackup]:
        """What is to be kept now, unless its shelf has it, but for what failed just before."""
        jobs = [job for job in store.jobs() if any(group.backups for group in job.groups)]
        for wanted in wanted_backups(jobs, store.current_tasks()) if jobs else ():
            at = last_run(wanted.backup.schedule, now)
            if at is not None and self._settled.get(wanted) != at and not _failed_lately(store, wanted, now):
                yield wanted

    def turn(self, place: Office, now: float) -> Iterator[Made | Cleared]:
        """Keep what is due, and remove what tasks have left and whose time is over; what came of each."""
        yield from self.keep_due(place, now)
        yield from clear_left(place, now)

    def keep_due(self, place: Office, now: float) -> Iterator[Made]:
        """Keep what is due; what came of each, as it ends. Nothing where another Cube does so just now."""
        with recorded(place) as store:
            for order in sorted({_order(wanted) for wanted in self.due(store, now)}):
                for made in self._keep_on_shelf(place, store, order, now):
                    wanted = made.wanted
                    store.tell_of_job(wanted.job, wanted.version, now=time.time(), actor=BY, reason=str(made))
                    yield made

    def _keep_on_shelf(
        self, place: Office, store: Store, order: tuple[str, int], now: float
    ) -> Iterator[Made]:
        folder, last = order
        try:
            with open_shelf(place.keys, place_of(place.cluster, folder)) as shelf, shelf.alone() as is_alone:
                lacking = self._lacking(store, shelf, order, now) if is_alone else []
                if lacking:
                    with at_hand(place) as (_, workers):
                        yield from _keep(workers, shelf, lacking, last or None)
        except CubeError as error:
            yield from (_failed(wanted, error) for wanted in self._due_for(store, order, now))

    def _lacking(self, store: Store, shelf: Shelf, order: tuple[str, int], now: float) -> list[WantedBackup]:
        """What is due there: what another Cube has kept until it let go of the shelf is due no more."""
        newest = {(found.volume, found.node): found.at for found in archives_on(shelf)}  # the oldest is first
        rollouts, lacking = store.rollouts(), list[WantedBackup]()
        for wanted in self._due_for(store, order, now):
            if is_due(wanted, newest.get((wanted.volume, wanted.node)), rollouts[wanted.job].since, now):
                lacking.append(wanted)
            elif (at := last_run(wanted.backup.schedule, now)) is not None:
                self._settled[wanted] = at
        return lacking

    def _due_for(self, store: Store, order: tuple[str, int], now: float) -> list[WantedBackup]:
        return [wanted for wanted in self.due(store, now) if _order(wanted) == order]


@contextmanager
def keeping(find: Callable[[], Office], warn: Callable[[CubeError], None]) -> Iterator[None]:
    """While the block runs what is due is kept, and what tasks have left goes, in a thread beside it.

    A backup that is under way at its end ends with the process, and the next Cube begins it anew.
    """
    is_over, keeper = threading.Event(), Keeper()

    def run() -> None:
        while not is_over.wait(PAUSE):
            try:
                for each in keeper.turn(find(), time.time()):
                    if each.is_failed:
                        warn(CubeError(str(each)))
            except CubeError as error:
                warn(error)

    threading.Thread(target=run, name="cube-keeper", daemon=True).start()
    try:
        yield
    finally:
        is_over.set()


def _order(wanted: WantedBackup) -> tuple[str, int]:
    """Where it is to be kept, and how many of it; 0: all."""
    return wanted.backup.folder, wanted.backup.keep or 0


def _keep(
    workers: Mapping[str, Worker], shelf: Shelf, mine: Sequence[WantedBackup], last: int | None
) -> Iterator[Made]:
    by_place = {(wanted.volume, wanted.node): wanted for wanted in mine}
    found = held(workers, sorted({wanted.node for wanted in mine}))
    volumes = list[StoredVolume]()
    for wanted in mine:
        try:
            volumes += needed(found, wanted.volume, wanted.node)
        except CubeError as error:
            yield _failed(wanted, error)
    for backed in back_up(workers, volumes, shelf, time.time, last=last) if volumes else ():
        yield _made(by_place[backed.volume.name, backed.volume.node], backed)


def _made(wanted: WantedBackup, backed: Backed) -> Made:
    if backed.kept is None:
        assert backed.error is not None, "it was kept, or it says why not"
        return _failed(wanted, backed.error)
    tree = backed.kept.tree
    what = f"{tree.files} files, {tree.size} bytes in {backed.seconds:.1f} s"
    return Made(wanted=wanted, what=f"{what}, in {backed.kept.where}")


def _failed(wanted: WantedBackup, error: CubeError) -> Made:
    return Made(
        wanted=wanted, what="; ".join(line.strip() for line in str(error).splitlines()), is_failed=True
    )


def _failed_lately(store: Store, wanted: WantedBackup, now: float) -> bool:
    return store.was_told(wanted.job, f"{wanted}{FAILED}", since=now - AGAIN)
