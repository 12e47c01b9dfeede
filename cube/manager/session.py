"""A manager put together for one command: its state file, its lock, its workers."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from cube.manager.clock import WallClock
from cube.manager.crew import Crew
from cube.manager.fleet import open_workers
from cube.manager.manager import Manager
from cube.manager.office import Office
from cube.scheduler.algorithms import ALGORITHMS
from cube.store.lock import hold
from cube.store.store import Store, open_store
from cube.worker.worker import Worker


@contextmanager
def at_work(office: Office, *, command: str, wait: float) -> Iterator[Manager]:
    """A manager that may change the fleet: alone with the state until it has ended.

    Raises LockedError where another one works on it for longer than `wait` seconds.
    """
    with (
        recorded(office) as store,
        hold(store, command=command, wait=wait) as epoch,
        _manager(office, store, epoch) as manager,
    ):
        yield manager


@contextmanager
def looking_on(office: Office) -> Iterator[Manager]:
    """A manager that only looks; any number of them may, whoever is at work."""
    with recorded(office) as store, _manager(office, store, store.epoch) as manager:
        yield manager


@contextmanager
def at_hand(office: Office) -> Iterator[tuple[Store, Mapping[str, Worker]]]:
    """The store and the workers themselves, for a hand on single tasks."""
    with (
        recorded(office) as store,
        open_workers(office.cluster, owner=store.owner, epoch=store.epoch, state_dir=office.keys) as workers,
    ):
        yield store, workers


@contextmanager
def recorded(office: Office) -> Iterator[Store]:
    """What is remembered, without asking any node."""
    store = open_store(office.state)
    try:
        yield store
    finally:
        store.close()


@contextmanager
def _manager(office: Office, store: Store, epoch: int) -> Iterator[Manager]:
    with open_workers(office.cluster, owner=store.owner, epoch=epoch, state_dir=office.keys) as workers:
        scheduler = ALGORITHMS[office.scheduler]
        yield Manager(
            office.cluster, store, Crew(workers, WallClock()), scheduler=scheduler, clock=WallClock()
        )
