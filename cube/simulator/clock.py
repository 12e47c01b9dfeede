"""Time that passes only when somebody sleeps."""

from dataclasses import dataclass


@dataclass(slots=True)
class VirtualClock:
    """Seconds since the epoch, moved on by `sleep` alone."""

    time: float = 1_800_000_000.0

    def now(self) -> float:
        """The virtual time."""
        return self.time

    def sleep(self, seconds: float) -> None:
        """Move the time on, at once."""
        self.time += seconds
