"""Doors: what takes a thread or a channel for as long as it goes on, a manager does so often and no more."""

from threading import BoundedSemaphore

from cube.errors import CubeError

UPLOADS = 8
"""Each has a thread of those that answer requests."""

COMMANDS = 64
"""Each has two threads and a channel to its node."""

LENDERS = 64
"""Each is a command that goes on for as long as its operation does."""

FOLLOWERS = 256
"""Each has what a command has; one person follows all tasks of a job, each for itself."""


class BusyError(CubeError):
    """As much of that goes on as may; nothing was touched."""


class Doors:
    """So many may be inside at once, each for as long as its block runs; who comes then is refused."""

    def __init__(self, most: int, what: str) -> None:
        self._told = f"{most} {what} already"
        self._free = BoundedSemaphore(most)

    def __enter__(self) -> None:
        """Raises BusyError where all are taken."""
        if not self._free.acquire(blocking=False):
            raise BusyError(self._told, cure="Wait for one to end.")

    def __exit__(self, *_: object) -> None:
        self._free.release()
