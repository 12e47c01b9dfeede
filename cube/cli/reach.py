"""Where a command works: on a state of its own, or through a manager that is somewhere else."""

import os
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import cast

from cube.cli import office as own
from cube.errors import InputError
from cube.manager.manager import Manager
from cube.manager.office import Office
from cube.manager.seams import Hand
from cube.remote.office import RemoteOffice
from cube.store.store import Store, open_store

Place = Office | RemoteOffice

GLANCE = 5.0
"""Seconds that a manager has for an answer which is asked for again anyway."""


def office(inventory: Path | None, state: str | None, scheduler: str | None = None) -> Place:
    """Where the command works: at the manager that was named, else on the state of the inventory.

    Raises InputError for what cannot be used, and where both were named.
    """
    named = own.manager_named()
    if not named:
        return own.office(inventory, state, scheduler)
    if inventory is not None or state is not None:
        what = "-i" if inventory is not None else "--state"
        raise InputError(
            f"{what} and a manager exclude each other",
            why=f"the manager {named} has its own",
            cure=f"Leave {what} out, or the manager (--manager, $CUBE_MANAGER).",
        )
    from cube.cli.contexts import link_of
    from cube.remote.manager import remote_office

    return remote_office(link_of(named, os.environ), scheduler, own.own_engine(os.environ))


def keys_of(place: Place) -> Path:
    """The folder of this machine's pinned host keys."""
    return place.keys if isinstance(place, Office) else own.FOLDER.absolute()


@contextmanager
def recorded(place: Place) -> Iterator[Store]:
    """What is remembered, without asking any node."""
    if isinstance(place, Office):
        with closing(open_store(place.state)) as store:
            yield store
    else:
        from cube.remote.store import RemoteStore

        yield cast("Store", RemoteStore(place.link))


@contextmanager
def at_work(place: Place, *, command: str, wait: float) -> Iterator[Manager]:
    """A manager that may change the fleet. Raises LockedError after `wait` seconds."""
    if isinstance(place, Office):
        from cube.manager import session

        with session.at_work(place, command=command, wait=wait) as manager:
            yield manager
    else:
        from cube.remote.manager import RemoteManager

        yield cast("Manager", RemoteManager(place, lock_wait=wait))


@contextmanager
def looking_on(place: Place) -> Iterator[Manager]:
    """A manager that only looks."""
    if isinstance(place, Office):
        from cube.manager import session

        with session.looking_on(place) as manager:
            yield manager
    else:
        from cube.remote.manager import RemoteManager

        yield cast("Manager", RemoteManager(place, lock_wait=0.0))


@contextmanager
def looking_on_by_hand(place: Place) -> Iterator[tuple[Manager, Mapping[str, Hand]]]:
    """A manager that only looks, and a hand on each node."""
    if isinstance(place, Office):
        from cube.manager import session

        with session.looking_on_by_hand(place) as (manager, workers):
            yield manager, workers
    else:
        from cube.remote.hand import hands
        from cube.remote.manager import RemoteManager

        yield cast("Manager", RemoteManager(place, lock_wait=0.0)), hands(place, lock_wait=0.0)


@contextmanager
def looking_on_for_long(place: Place) -> Iterator[tuple[Manager, Mapping[str, Hand]]]:
    """As `looking_on_by_hand`, for one who looks again and again, and is to hear soon where it is in vain."""
    with looking_on_by_hand(place) as (manager, hands):
        yield manager if isinstance(place, Office) else _glancing(place), hands


def _glancing(place: RemoteOffice) -> Manager:
    from cube.remote.manager import RemoteManager

    link = replace(place.link, patience=GLANCE)
    return cast("Manager", RemoteManager(replace(place, link=link), lock_wait=0.0))


@contextmanager
def at_hand(place: Place) -> Iterator[tuple[Store, Mapping[str, Hand]]]:
    """The store, and a hand on each node."""
    if isinstance(place, Office):
        from cube.manager import session

        with session.at_hand(place) as (store, workers):
            yield store, workers
    else:
        from cube.remote.hand import hands
        from cube.remote.store import RemoteStore

        yield cast("Store", RemoteStore(place.link)), hands(place, lock_wait=0.0)


@contextmanager
def at_work_by_hand(
    place: Place, *, command: str, wait: float
) -> Iterator[tuple[Manager, Mapping[str, Hand]]]:
    """A manager that may change the fleet, and a hand on each node. Raises LockedError.

    A manager elsewhere takes the lock for each thing that is asked of it.
    """
    if isinstance(place, Office):
        from cube.manager import session

        with session.at_work_by_hand(place, command=command, wait=wait) as (manager, workers):
            yield manager, workers
    else:
        from cube.remote.hand import hands
        from cube.remote.manager import RemoteManager

        yield cast("Manager", RemoteManager(place, lock_wait=wait)), hands(place, lock_wait=wait)
