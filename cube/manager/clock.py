"""The wall clock."""

import time


class WallClock:
    """Time as the machine tells it."""

    def now(self) -> float:
        """Seconds since the epoch."""
        return time.time()

    def sleep(self, seconds: float) -> None:
        """Come back after that long."""
        time.sleep(seconds)
