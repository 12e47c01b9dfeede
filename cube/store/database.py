"""What the store needs of an engine: SQL that SQLite and PostgreSQL both understand, and a few words more.

The SQL is SQLite's, with `?`, `?1` and `:name` for values. What the two do not share is a method here.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from cube.errors import CubeError

Values = Sequence[Any] | Mapping[str, Any]


class UnreadableError(Exception):
    """A row does not hold what Cube wrote: the state is damaged."""


class Row(Protocol):
    """One row of an answer: by name, by position, or as the sequence of its values."""

    def keys(self) -> list[str]:
        """The names of its columns."""
        ...

    def __getitem__(self, key: Any, /) -> Any: ...

    def __iter__(self) -> Iterator[Any]: ...


class Answer(Protocol):
    """What a statement brought."""

    @property
    def rowcount(self) -> int:
        """How many rows a change changed."""
        ...

    def fetchone(self) -> Any:
        """The next row; None after the last."""
        ...

    def fetchall(self) -> list[Any]:
        """All rows that are left."""
        ...

    def __iter__(self) -> Iterator[Any]: ...


class Database(Protocol):
    """One connection to the tables, and the lease as far as the engine keeps it.

    Its methods raise the engine's own errors, which `explanation` turns into Cube's.
    """

    @property
    def where(self) -> str:
        """What it is called in messages."""
        ...

    @property
    def term(self) -> float | None:
        """Seconds after which a lease that is not renewed is another's to take; None: a lock keeps it."""
        ...

    def mark(self) -> object | None:
        """Another one whenever anybody else has changed anything since; None where that is not to be had."""
        ...

    def execute(self, sql: str, values: Values = ..., /) -> Answer:
        """Run one statement."""
        ...

    def executemany(self, sql: str, records: Iterable[Any], /) -> object:
        """Run one statement for each of the records."""
        ...

    def begin_change(self) -> None:
        """Begin a transaction that is the only one to change anything until it ends.

        Raises LockedError where the lease that was entered is over, CubeError where the state is another one.
        """
        ...

    def begin_look(self) -> None:
        """Begin a transaction that reads all of one moment."""
        ...

    def begin_beside(self) -> None:
        """Begin a transaction that changes nothing that was recorded: many may at once, row by row."""
        ...

    @property
    def skip_locked(self) -> str:
        """What a SELECT ends with that takes rows, past those that another transaction is taking."""
        ...

    def now(self) -> float:
        """Seconds since the epoch, by the one clock that leases are measured by."""
        ...

    def rollback(self) -> None:
        """Take everything back since the transaction began; nothing happens where none did."""
        ...

    def explanation(self, error: BaseException) -> CubeError | None:
        """The engine's error as one of Cube's; None for an error that is none of the engine's."""
        ...

    def damages(self) -> list[str]:
        """What the engine itself finds to be damaged."""
        ...

    def back_up(self, target: Path) -> None:
        """A whole copy in a new file. Raises InputError where there is one."""
        ...

    def admit(self) -> None:
        """Raises LockedError while another one's lease runs, where the engine knows that."""
        ...

    def enter(self) -> None:
        """The lease that was just written is this connection's from now on."""
        ...

    def renew(self) -> None:
        """The lease begins anew. Raises LockedError where it is somebody else's by now."""
        ...

    def leave(self) -> None:
        """Take the lease back, if it is this connection's."""
        ...

    def may_act(self) -> bool:
        """Nobody else can have entered by now; asks nobody."""
        ...

    def close(self) -> None:
        """End the connection."""
        ...
