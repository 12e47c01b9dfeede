"""The lock of a process whose threads share it: the first takes it, the last gives it back."""

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from cube.errors import LockedError
from cube.store.lock import hold
from cube.store.store import Store

PAUSE = 0.1
"""Seconds between two tries for a lock that another Cube has."""


class Holding:
    """Who holds it knows the epoch; `doubts` counts how often others may have worked in between."""

    def __init__(self, store: Store, *, command: str) -> None:
        self.doubts = 0
        self._store = store
        self._command = command
        self._alone = threading.Lock()
        self._held = ExitStack()
        self._holders = 0
        self._epoch = 0
        self._last = _last_event(store)

    @contextmanager
    def held(self, *, wait: float) -> Iterator[int]:
        """No other process works on the state meanwhile; yields the epoch.

        Raises LockedError where another one does so for longer than `wait` seconds.
        """
        epoch = self.take(wait=wait)
        try:
            yield epoch
        finally:
            self.give_back()

    def take(self, *, wait: float) -> int:
        """As `held`, until `give_back`."""
        deadline = time.monotonic() + wait
        while True:
            try:
                return self._take()
            except LockedError:
                if time.monotonic() >= deadline:
                    raise
            time.sleep(PAUSE)

    def give_back(self) -> None:
        """One holder less."""
        with self._alone:
            self._holders -= 1
            if not self._holders:
                try:
                    self._last = _last_event(self._store)
                finally:
                    self._held.close()

    def _take(self) -> int:
        with self._alone:
            if not self._holders:
                self._epoch = self._held.enter_context(hold(self._store, command=self._command))
                self.doubts += _last_event(self._store) != self._last
            self._holders += 1
            return self._epoch


def _last_event(store: Store) -> int:
    return max((event.number for event in store.events(limit=1)), default=0)
