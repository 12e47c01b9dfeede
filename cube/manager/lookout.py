"""Lookout: two threads at one node. One looks, whenever it is due or asked to; one listens to the engine.

Each node has its own, so that one that hangs delays no other.
"""

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from math import inf

from cube.errors import CubeError
from cube.manager.seams import Attended, Clock
from cube.model.observation import Observation

LISTEN_AGAIN = 5.0
"""Seconds before a node that could not be listened to is tried again; looks go on meanwhile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """What a look found. `began` is the count at its beginning: what was done later, it may have missed."""

    node: str
    began: int
    found: Observation


class Lookout:
    """Looks at a node until it is closed, and tells of each look. `count` numbers what the service does."""

    def __init__(
        self,
        worker: Attended,
        clock: Clock,
        *,
        count: Callable[[], int],
        tell: Callable[[Sight], None],
    ) -> None:
        self._every = inf
        self._worker = worker
        self._clock = clock
        self._count = count
        self._tell = tell
        self.looks = self.streams = 0
        self.seconds = 0.0
        self._asked = threading.Event()
        self._closed = threading.Event()
        self._listens = threading.Event()

    @property
    def connections(self) -> int:
        """How often its worker has connected to the node."""
        return self._worker.connections

    def begin(self, name: str) -> None:
        """Start both threads. They end by themselves soon after `close`, whatever the node does."""
        for what in (self._look_on, self._listen_on):
            threading.Thread(target=what, args=(name,), name=f"cube-lookout-{name}", daemon=True).start()

    def look_soon(self) -> None:
        """Look again at once, or as soon as the look under way has ended."""
        self._asked.set()

    def attend(self, every: float, *, listens: bool) -> None:
        """Pause for that many seconds at most between two looks, and listen to the engine or not.

        A stream that is open then ends with the next word of it.
        """
        if every < self._every:
            self._asked.set()
        self._every = every
        if listens:
            self._listens.set()
        else:
            self._listens.clear()

    def close(self) -> None:
        """Look no more."""
        for each in (self._closed, self._asked, self._listens):
            each.set()

    def _look_on(self, name: str) -> None:
        while not self._closed.is_set():
            self._asked.clear()
            began = self._count()
            started = time.monotonic()
            found = self._worker.observe(self._clock.now())
            self.looks += 1
            self.seconds += time.monotonic() - started
            if not self._closed.is_set():
                self._tell(Sight(node=name, began=began, found=found))
                self._asked.wait(None if self._every == inf else self._every)

    def _listen_on(self, _name: str) -> None:
        while self._is_to_listen():
            with suppress(CubeError):
                self.streams += 1
                for _ in self._worker.happenings():
                    self._asked.set()
                    if not self._listens.is_set():
                        break
            self._asked.set()  # a stream that ends is news of its own
            self._closed.wait(LISTEN_AGAIN)

    def _is_to_listen(self) -> bool:
        self._listens.wait()
        return not self._closed.is_set()
