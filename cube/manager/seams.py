"""What the loop needs of the world outside; the simulator has its own of each."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Protocol

from cube.model.action import Effect, Outcome
from cube.model.observation import Observation


class Clock(Protocol):
    """Time as the loop sees it."""

    def now(self) -> float:
        """Seconds since the epoch."""
        ...

    def sleep(self, seconds: float) -> None:
        """Come back after that long."""
        ...


class Worker(Protocol):
    """The manager's hand on one node. No call raises for what a node does; each ends by a deadline."""

    def observe(self, now: float) -> Observation:
        """Look at the node once."""
        ...

    def perform(self, effect: Effect) -> Outcome:
        """Carry out one effect; safe to repeat."""
        ...


class Process(Protocol):
    """A command that runs in a container. Every call raises CubeError where the node is lost."""

    def output(self) -> Iterator[tuple[str, bytes]]:
        """What it writes, each piece with its stream, until it closes its output."""
        ...

    def send(self, data: bytes) -> None:
        """Let it read that."""
        ...

    def end_input(self) -> None:
        """Let it read that there is no more."""
        ...

    def resize(self, rows: int, columns: int) -> None:
        """Its terminal has another size."""
        ...

    def exit_status(self) -> int:
        """How it ended, once its output has."""
        ...

    def close(self) -> None:
        """Leave it; whoever waits for its output hears that it is lost. The command may go on."""
        ...


class Hand(Protocol):
    """A hand on single containers of one node."""

    def logs(
        self, container: str, *, follow: bool = False, tail: int | None = None, since: float | None = None
    ) -> Iterator[tuple[str, bytes]]:
        """The container's lines with their stream. Raises CubeError where the node is lost."""
        ...

    def execute(
        self, container: str, argv: Sequence[str], *, tty: bool = False, has_input: bool = False
    ) -> Process:
        """Run a command in the container, with `tty` at a terminal. Raises CubeError where it cannot."""
        ...


class Attended(Worker, Hand, Protocol):
    """A worker that also tells when something happens on its node."""

    def happenings(self) -> Iterator[str]:
        """Once as soon as it listens, then whenever something has happened to a container; what it was.

        Raises CubeError where the node is lost.
        """
        ...


class Fleet(Protocol):
    """All workers of a cluster at once."""

    def observe(self, names: Iterable[str], now: float) -> Mapping[str, Observation]:
        """Look at each of those nodes; every name gets an answer, in the order asked."""
        ...

    def perform(self, effects: Iterable[Effect], until: float) -> Iterator[tuple[Effect, Outcome]]:
        """Carry the effects out, nodes in parallel; each with its outcome as it comes.

        One that has not begun at `until` (seconds since the epoch) is STALE and not tried.
        """
        ...

    def stock(self) -> Mapping[str, str]:
        """The ids of the images that the operator's engine has, by full name.

        Empty for one whose id no other engine would know it by.
        """
        ...
