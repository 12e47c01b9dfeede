"""Time that passes only when somebody sleeps."""

from dataclasses import dataclass

from cube.simulator.engine import START, Engine


@dataclass(slots=True)
class VirtualClock:
    """Seconds since the epoch, moved on by `sleep` alone."""

    time: float = START

    def now(self) -> float:
        """The virtual time."""
        return self.time

    def sleep(self, seconds: float) -> None:
        """Move the time on, at once."""
        self.time += seconds


@dataclass(slots=True)
class WatchedClock:
    """A process's clock on the engine's time, which may be set wrong by `offset` seconds."""

    engine: Engine
    offset: float = 0.0

    def now(self) -> float:
        """What the machine's clock shows."""
        return self.engine.time + self.offset

    def sleep(self, seconds: float) -> None:
        """Let the others go on meanwhile."""
        self.engine.sleep(seconds)
