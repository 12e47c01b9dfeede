"""What the loop needs of the world outside; the simulator has its own of each."""

from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from cube.model.action import Effect, Outcome
from cube.model.observation import Observation
from cube.model.transit import Told, Transit
from cube.model.volume import StoredVolume
from cube.volume.delta import Listing


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

    def perform(self, effect: Effect, told: Told) -> Outcome:
        """Carry out one effect; safe to repeat. `told` hears how far an image is that has to come first."""
        ...

    def digest(self, image: str) -> str:
        """What the image's registry has by its name now, asked by the node; empty where it does not tell."""
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


class Volumes(Protocol):
    """The volumes of one node's engine. Every call raises CubeError where the node is lost, or it refuses."""

    def all(self) -> tuple[StoredVolume, ...]:
        """Every volume, by name."""
        ...

    def remove(self, name: str) -> None:
        """Remove it with all that is in it."""
        ...

    def read(self, name: str) -> AbstractContextManager[Iterator[bytes]]:
        """Its content as a tar, a piece at a time. It must be there."""
        ...


class Packer(Protocol):
    """A node's own programs at one of its volumes. Every call raises CubeError where the node is lost."""

    def listed(self, *, is_quiet: bool) -> Listing:
        """What is in the volume. Where that is not quiet something may vanish meanwhile."""
        ...

    def packed(self) -> Generator[bytes, None, None]:
        """All of it as a tar, a piece at a time, while files change and vanish."""
        ...

    def packed_only(self, paths: Iterable[bytes]) -> Generator[bytes, None, None]:
        """Those entries as a tar, and of folders nothing that is in them."""
        ...

    def unpack(self, pieces: Generator[bytes, None, None]) -> None:
        """Put what is in the tar into the volume, in place of what has the same path, and close that."""
        ...

    def remove(self, paths: Iterable[bytes]) -> None:
        """Remove those entries, and all that is in them."""
        ...

    def digest(self) -> str:
        """A sum of all that is in it, made there."""
        ...


class Fillable(Volumes, Protocol):
    """The same, where one may also put something into them."""

    def renew(self, name: str) -> None:
        """Remove all that is in it."""
        ...

    def is_empty(self, name: str) -> bool:
        """Nothing is in it."""
        ...

    def filled(self, name: str, pieces: Iterator[bytes], size: int | None) -> AbstractContextManager[None]:
        """Fill it, or a new one, from a tar, also one as gzip, of so many bytes (None: nobody knows).

        It is marked as half from before the first byte to the end of the block; where that raises, for good.
        """
        ...

    def packing(self, name: str) -> AbstractContextManager[Packer]:
        """The node's own programs, to read it. Raises CubeError where the node has not those they must be.

        For who alone may change the fleet: what runs so for another one has been left behind.
        """
        ...

    def unpacking(self, name: str) -> AbstractContextManager[Packer]:
        """The node's own programs, to fill it, or a new one, marked as by `filled`. Raises as `packing`."""
        ...


class Lines(Protocol):
    """What a container writes. Every line raises CubeError where the node is lost."""

    def __iter__(self) -> Iterator[tuple[str, bytes]]:
        """Each line with its stream."""
        ...

    def close(self) -> None:
        """Leave them; whoever waits for the next one hears that they are lost."""
        ...


class Hand(Protocol):
    """A hand on single containers, volumes and images of one node."""

    @property
    def volumes(self) -> Volumes:
        """Its volumes."""
        ...

    def remove_image(self, name: str) -> None:
        """Take the name from its image, and remove an image that has no other; by an id, the image.

        Raises CubeError where a container was made from it, or the node is lost.
        """
        ...

    def close(self) -> None:
        """End what is under way."""
        ...

    def logs(
        self, container: str, *, follow: bool = False, tail: int | None = None, since: float | None = None
    ) -> Lines:
        """The container's lines with their stream. Raises CubeError where the node is lost."""
        ...

    def execute(
        self, container: str, argv: Sequence[str], *, tty: bool = False, has_input: bool = False
    ) -> Process:
        """Run a command in the container, with `tty` at a terminal. Raises CubeError where it cannot."""
        ...


class Attended(Worker, Hand, Protocol):
    """A worker that also tells when something happens on its node."""

    @property
    def volumes(self) -> Fillable:
        """Its volumes."""
        ...

    @property
    def connections(self) -> int:
        """How often it has connected to the node."""
        ...

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

    def perform(self, effects: Iterable[Effect], until: float) -> Iterator[tuple[Effect, Outcome | Transit]]:
        """Carry the effects out, nodes in parallel; each with its outcome as it comes.

        Before that, of one that waits for its image, any number of times how far that is.

        One that has not begun at `until` (seconds since the epoch) is STALE and not tried.
        """
        ...

    def digest(self, image: str, node: str) -> str:
        """What the image's registry has by its name now, asked by that node; empty where it does not tell."""
        ...

    def stock(self) -> Mapping[str, str]:
        """The ids of the images that the operator's engine has, by full name.

        Empty for one whose id no other engine would know it by.
        """
        ...
