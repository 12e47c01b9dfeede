"""The feed: events as they are recorded, by whomever, for any number of listeners."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress

from cube.errors import CubeError
from cube.model.task import TaskEvent
from cube.store.store import Store

PAUSE = 0.25
"""Seconds between two looks into the store: a command beside the manager records there, too."""

STALE = 5.0
"""Seconds after which what was heard last is taken for old."""

KEPT = 4096
"""Events that a listener may be behind before the store is asked for it alone."""


class Feed:
    """One task asks the store; all listeners are given what it found."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._kept: deque[TaskEvent] = deque(maxlen=KEPT)
        self._more = asyncio.Event()
        self._heard = time.monotonic()
        self.last = max((event.number for event in store.events(limit=1)), default=0)

    @property
    def is_fresh(self) -> bool:
        """The store has answered in the last seconds."""
        return time.monotonic() - self._heard < STALE

    async def run(self) -> None:
        """Ask for ever; a store that does not answer is asked again."""
        while True:
            with suppress(CubeError):
                self._tell(await asyncio.to_thread(self._store.events, after=self.last))
            await asyncio.sleep(PAUSE)

    def _tell(self, found: Sequence[TaskEvent]) -> None:
        self._heard = time.monotonic()
        if found:
            self._kept.extend(found)
            self.last = found[-1].number
            more, self._more = self._more, asyncio.Event()
            more.set()

    async def after(self, number: int) -> AsyncIterator[TaskEvent]:
        """Every event after that number, then each further one as it comes."""
        while True:
            more = self._more
            for event in await self._since(number):
                number = event.number
                yield event
            await more.wait()

    async def _since(self, number: int) -> list[TaskEvent]:
        if self._kept and self._kept[0].number <= number + 1:
            return [event for event in self._kept if event.number > number]
        if number >= self.last:
            return []
        return list(await asyncio.to_thread(self._store.events, after=number))
