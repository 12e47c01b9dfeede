"""Vacancies: slots that are kept empty for a while, and that nothing but this process knows of."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from cube.errors import InputError
from cube.model.task import Slot


class Vacancies:
    """Slots whose data is on its way, and why each that is to be empty meanwhile is. Threads may share it.

    Nothing of it is recorded: where this process dies, whoever sweeps next fills them again.
    """

    def __init__(self) -> None:
        self.now: Mapping[Slot, str] = {}
        self._claimed: set[Slot] = set()
        self._alone = threading.Lock()

    @contextmanager
    def claimed(self, slot: Slot) -> Iterator[None]:
        """Nobody else moves what the slot's task has written while the block runs. Raises InputError."""
        with self._alone:
            self.refuse_claimed(slot)
            self._claimed.add(slot)
        try:
            yield
        finally:
            self._claimed.discard(slot)

    def refuse_claimed(self, slot: Slot) -> None:
        """Raises InputError where its data is on its way."""
        if slot in self._claimed:
            cure = "Wait until that has ended."
            raise InputError(f"{slot} is being moved with its data already", cure=cure, field="task")

    @contextmanager
    def emptied(self, slot: Slot, why: str) -> Iterator[None]:
        """The slot is to have no task while the block runs, whatever else is recorded of it."""
        with self._alone:
            self.now = {**self.now, slot: why}
        try:
            yield
        finally:
            with self._alone:
                self.now = {other: reason for other, reason in self.now.items() if other != slot}
