"""Time that passes only when somebody sleeps."""

from dataclasses import dataclass, replace

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
    """A machine's clock on the engine's time, which may be set wrong by `offset` seconds."""

    engine: Engine
    offset: float = 0.0

    def now(self) -> float:
        """What the machine's clock shows."""
        return self.engine.time + self.offset

    def of_a_run(self) -> "WatchedClock":
        """A clock that begins as this one is set, and is not moved with it any more."""
        return replace(self)

    def sleep(self, seconds: float) -> None:
        """Let the others go on meanwhile."""
        self.engine.sleep(seconds)
