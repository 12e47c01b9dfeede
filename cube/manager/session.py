"""A manager put together for one command: its state file, its lock, its workers."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from functools import partial

from cube.image.own import OwnEngine
from cube.image.shelf import Source
from cube.manager.clock import RunClock, WallClock
from cube.manager.crew import Crew
from cube.manager.fleet import open_workers
from cube.manager.loans import Lent, Loans
from cube.manager.manager import Manager
from cube.manager.office import Office
from cube.manager.recover import Finding, chosen_owner, gather, refuse_a_store_in_use, restored
from cube.manager.served import served_by
from cube.manager.service import Duty, Service
from cube.manager.staff import Team
from cube.manager.stock import OwnStock
from cube.manager.turn import Loop, world_of
from cube.model.observation import Observation, Unknown
from cube.scheduler.algorithms import ALGORITHMS
from cube.store.lock import hold
from cube.store.rows import Restored
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


class Watch:
    """Work on one state again and again: alone during each, over connections that stay open between them."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._opened = ExitStack()
        self._of: tuple[Office, int] | None = None
        self._manager: Manager | None = None

    @contextmanager
    def at_work(self, office: Office, *, command: str, wait: float) -> Iterator[Manager]:
        """A manager as `at_work` gives one, for this office as it is now. Raises LockedError."""
        with hold(self._store, command=command, wait=wait) as epoch:
            yield self._manager_of(office, epoch)

    def close(self) -> None:
        """End the connections."""
        self._opened.close()

    def _manager_of(self, office: Office, epoch: int) -> Manager:
        """The one from before, unless the inventory has changed or somebody died holding the lock."""
        if self._manager is None or self._of != (office, epoch):
            self.close()
            self._manager = self._opened.enter_context(_manager(office, self._store, epoch))
            self._of = (office, epoch)
        return self._manager


@contextmanager
def watching(office: Office) -> Iterator[Watch]:
    """The watch over the office's state."""
    with recorded(office) as store, closing(Watch(store)) as watch:
        yield watch


class Recovery:
    """A fleet that was looked at, and the empty store that is to remember it."""

    def __init__(
        self,
        store: Store,
        workers: Mapping[str, Worker],
        observed: Mapping[str, Observation],
        cluster: str,
    ) -> None:
        self.observed = observed
        self._store = store
        self._relics = gather(workers, observed, cluster)

    def find(self, owner: str | None, *, now: float) -> Finding:
        """What would be restored. Raises InputError where nothing can be, or several stores were at work."""
        is_partial = any(isinstance(found, Unknown) for found in self.observed.values())
        return restored(self._relics, chosen_owner(self._relics, owner), now=now, is_partial=is_partial)

    def restore(self, found: Restored, *, now: float, actor: str) -> None:
        """Fill the store. Raises InputError for one that knows jobs already."""
        self._store.restore(found, now=now, actor=actor)


@contextmanager
def recovering(office: Office, *, wait: float) -> Iterator[Recovery]:
    """Every node looked at, alone with the state. Raises LockedError, and InputError for a state in use."""
    with (
        recorded(office) as store,
        hold(store, command="recover", wait=wait) as epoch,
        _workers(office, store, epoch) as workers,
    ):
        refuse_a_store_in_use(store)
        clock = RunClock()
        observed = Crew(workers, clock).observe(workers, clock.now())
        yield Recovery(store, workers, observed, office.cluster.name)


@contextmanager
def serving(find: Callable[[], Office], duty: Duty) -> Iterator[Service]:
    """A service over the state of the office that `find` gives, and gives again as the inventory changes."""
    with recorded(find()) as store:
        loans = Loans()
        yield Service(store, find, partial(_team, store, loans), duty, loans)


@contextmanager
def _team(store: Store, loans: Loans, office: Office, epoch: int) -> Iterator[Team]:
    engine = OwnEngine(office.engine)
    stock = partial(loans.stock, OwnStock(engine))
    with _workers(office, store, epoch, Lent(loans, engine)) as workers:
        yield Team(workers, Crew(workers, WallClock(), stock, store.may_act))


@contextmanager
def looking_on(office: Office) -> Iterator[Manager]:
    """A manager that only looks; any number of them may, whoever is at work."""
    with looking_on_by_hand(office) as (manager, _):
        yield manager


@contextmanager
def looking_on_by_hand(office: Office) -> Iterator[tuple[Manager, Mapping[str, Worker]]]:
    """A manager that only looks, and its workers, for a hand on single tasks."""
    with recorded(office) as store, _workers(office, store, store.epoch) as workers:
        yield _manager_over(office, store, workers), workers


@contextmanager
def at_work_by_hand(
    office: Office, *, command: str, wait: float
) -> Iterator[tuple[Manager, Mapping[str, Worker]]]:
    """A manager that may change the fleet, and its workers, for what the loop itself never does."""
    with (
        recorded(office) as store,
        hold(store, command=command, wait=wait) as epoch,
        _workers(office, store, epoch) as workers,
    ):
        yield _manager_over(office, store, workers), workers


@contextmanager
def at_hand(office: Office) -> Iterator[tuple[Store, Mapping[str, Worker]]]:
    """The store and the workers themselves, for a hand on single tasks."""
    with (
        recorded(office) as store,
        _workers(office, store, store.epoch) as workers,
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


def _workers(
    office: Office, store: Store, epoch: int, images: Source | None = None
) -> AbstractContextManager[Mapping[str, Worker]]:
    """`images`: who has those that are pushed; None: the operator's engine."""
    return open_workers(
        office.cluster,
        owner=store.owner,
        epoch=epoch,
        state_dir=office.keys,
        images=images or OwnEngine(office.engine),
        secret=office.vault.get,
        serving=lambda: served_by(office.cluster, world_of(office.cluster, store, {}, WallClock().now(), {})),
    )


@contextmanager
def _manager(office: Office, store: Store, epoch: int) -> Iterator[Manager]:
    with _workers(office, store, epoch) as workers:
        yield _manager_over(office, store, workers)


def _manager_over(office: Office, store: Store, workers: Mapping[str, Worker]) -> Manager:
    clock, scheduler = RunClock(), ALGORITHMS[office.scheduler]
    crew = Crew(workers, clock, OwnStock(OwnEngine(office.engine)), store.may_act)
    loop = Loop(office.cluster, store, crew, scheduler=scheduler, clock=clock, workers=workers)
    return Manager(loop)
