"""The time of one run: it begins with the wall clock's, and no setting of that clock moves it."""

import time

STEADY = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""Goes on while the machine sleeps, as a Mac's CLOCK_MONOTONIC does: a plan grows old in a closed laptop."""


class RunClock:
    """Seconds since the epoch. Deadlines and waits of a run hold though somebody sets the machine's clock."""

    def __init__(self) -> None:
        self._began = time.time() - time.clock_gettime(STEADY)

    def now(self) -> float:
        """The wall clock's time at the beginning of the run, and what has passed since."""
        return self._began + time.clock_gettime(STEADY)

    def sleep(self, seconds: float) -> None:
        """Come back after that long."""
        time.sleep(seconds)


class WallClock:
    """Seconds since the epoch as the machine has them, for what runs longer than a clock goes right."""

    def now(self) -> float:
        """The wall clock's time."""
        return time.time()

    def sleep(self, seconds: float) -> None:
        """Come back after that long."""
        time.sleep(seconds)
