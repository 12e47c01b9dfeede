"""The state at a server that speaks PostgreSQL's protocol: the same tables, and the same SQL.

Whoever works on it has a lease that runs out: no kernel knows that a process on another machine has died.
"""

import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import psycopg
from psycopg import errors
from psycopg.pq import TransactionStatus

from cube.errors import CubeError, InputError, InternalError, LockedError
from cube.store import read
from cube.store.address import Server
from cube.store.database import UnreadableError, Values
from cube.store.postgres_schema import bring_up_to_date

TERM = 15.0
"""Seconds after which a lease that is not renewed is another's to take."""

CONNECT = 10
"""Seconds for one address of the server to answer."""

STATEMENT = 60.0
"""Seconds that one statement may take; a copy of a large state reads for the longest."""

CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""It goes on while the machine sleeps: a lease does, too."""

NOW = "CAST(extract(epoch FROM clock_timestamp()) AS DOUBLE PRECISION)"
"""Leases are measured by the server's clock alone."""


class PostgresRow:
    """A row of an answer, as SQLite's are: by name, by position, or as the sequence of its values."""

    __slots__ = ("_names", "_values")

    def __init__(self, names: Sequence[str], values: Sequence[Any]) -> None:
        self._names = names
        self._values = values

    def keys(self) -> list[str]:
        """The names of its columns."""
        return list(self._names)

    def __getitem__(self, key: str | int) -> Any:
        return self._values[self._names.index(key) if isinstance(key, str) else key]

    def __iter__(self) -> Iterator[Any]:
        return iter(self._values)


class Term(NamedTuple):
    """A lease as its holder knows it: until when, by this machine's CLOCK, nobody else can have taken it."""

    token: str
    until: float


class Postgres:
    """A connection to the server, made anew when it was lost between two transactions."""

    term = TERM
    skip_locked = "FOR UPDATE SKIP LOCKED"

    def __init__(self, server: Server, *, patience: float) -> None:
        self.where = str(server)
        self._server = server
        self._patience = patience
        self._held: Term | None = None
        self._entered = False
        self._is_open = False
        self._connection = self._connect()

    def execute(self, sql: str, values: Values = ()) -> psycopg.Cursor[PostgresRow]:
        """As Database says it."""
        text, shape = _translated(sql)
        answer = self._usable().execute(text, shape(values))
        if sql == "COMMIT":
            self._is_open = self._entered = False
        return answer

    def executemany(self, sql: str, records: Iterable[Any]) -> None:
        """As Database says it."""
        text, shape = _translated(sql)
        with self._usable().cursor() as cursor:
            cursor.executemany(text, [shape(record) for record in records])

    def begin_change(self) -> None:
        """As Database says it."""
        self._begin("BEGIN ISOLATION LEVEL READ COMMITTED")
        self._entered = False
        # One row is everybody's door: numbers are given without a gap, and a lost lease is seen for certain.
        self.execute("SELECT epoch FROM identity FOR UPDATE")
        if self._held and not self._is_ours(self._held.token):
            raise self._lost()

    def mark(self) -> None:
        """As Database says it; a server would have to be asked as much as for the rows themselves."""

    def begin_look(self) -> None:
        """As Database says it."""
        self._begin("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY")

    def begin_beside(self) -> None:
        """As Database says it."""
        self._begin("BEGIN ISOLATION LEVEL READ COMMITTED")

    def now(self) -> float:
        """As Database says it."""
        (now,) = self.execute(f"SELECT {NOW}").fetchone() or (0.0,)
        return float(now)

    def rollback(self) -> None:
        """As Database says it."""
        self._is_open = False
        if self._entered:
            self._held, self._entered = None, False
        if self._connection.info.transaction_status in (TransactionStatus.INTRANS, TransactionStatus.INERROR):
            self._connection.execute("ROLLBACK")

    def explanation(self, error: BaseException) -> CubeError | None:
        """As Database says it."""
        if isinstance(error, errors.ReadOnlySqlTransaction):
            # The server became a standby: the next connection may find the one that leads now.
            self._connection.close()
        return explained(error, self._server)

    def damages(self) -> list[str]:
        """The server looks after its own tables."""
        return []

    def back_up(self, target: Path) -> None:
        """As Database says it: a copy in a file of SQLite's."""
        from cube.store.transfer import to_new_file  # noqa: PLC0415 - it opens stores of both kinds

        to_new_file(self, target)

    def admit(self) -> None:
        """As Database says it."""
        runs = self.execute(f"SELECT 1 FROM lease WHERE until > {NOW}").fetchone()  # noqa: S608 - our words
        if runs:
            cure = f"wait until it has ended; if it died, its lease is over within {self.term:.0f} s"
            raise LockedError("the state is in use", where=self.where, why=str(read.lease(self)), cure=cure)

    def enter(self) -> None:
        """As Database says it."""
        held = Term(str(uuid4()), _now() + self.term)
        self.execute(f"UPDATE lease SET token = ?, until = {NOW} + ?", [held.token, self.term])  # noqa: S608
        self._held, self._entered = held, True

    def renew(self) -> None:
        """As Database says it."""
        asked, held = _now(), self._held
        if held is None:
            raise self._lost()
        sql = f"UPDATE lease SET until = {NOW} + ? WHERE token = ?"  # noqa: S608 - our own words
        if self.execute(sql, [self.term, held.token]).rowcount != 1:
            self._held = Term(held.token, float("-inf"))
            raise self._lost()
        self._held = Term(held.token, asked + self.term)

    def leave(self) -> None:
        """As Database says it."""
        held, self._held = self._held, None
        if held is not None:
            self.execute("DELETE FROM lease WHERE token = ?", [held.token])

    def may_act(self) -> bool:
        """As Database says it: not after the lease may be over, however long this process was stopped."""
        held = self._held
        return held is not None and _now() < held.until

    def close(self) -> None:
        """As Database says it."""
        self._connection.close()

    def _is_ours(self, token: str) -> bool:
        return self.execute("SELECT 1 FROM lease WHERE token = ?", [token]).fetchone() is not None

    def _lost(self) -> LockedError:
        why = str(read.lease(self) or "another Cube worked on it since")
        cure = "nothing of this change was recorded; see what the other one did, then run the command again"
        return LockedError("the state was taken over", where=self.where, why=why, cure=cure)

    def _begin(self, sql: str) -> None:
        self._is_open = False
        self.execute(sql)
        self._is_open = True

    def _usable(self) -> "psycopg.Connection[PostgresRow]":
        # In the middle of a transaction a new connection would know nothing of its beginning.
        if self._connection.closed and not self._is_open:
            self._connection = self._connect()
        return self._connection

    def _connect(self) -> "psycopg.Connection[PostgresRow]":
        connection: psycopg.Connection[PostgresRow] = psycopg.connect(
            _with_patience(self._server.url),
            autocommit=True,
            row_factory=_rows,
            prepare_threshold=None,  # a plan that was prepared is refused once another process has migrated
            client_encoding="UTF8",
        )
        # Whoever is stopped in the middle of a transaction keeps the door shut: not for longer than a lease.
        limits = {
            "lock_timeout": self._patience,
            "statement_timeout": STATEMENT,
            "idle_in_transaction_session_timeout": self.term,
        }
        for name, seconds in limits.items():
            connection.execute("SELECT set_config(%s, %s, false)", [name, f"{1000 * seconds:.0f}ms"])
        return connection


def open_server(server: Server, *, create: bool, patience: float) -> Postgres:
    """A connection to the state there, brought to the newest schema; as `open_store` says it."""
    try:
        database = Postgres(server, patience=patience)
        try:
            bring_up_to_date(database, create=create)
        except BaseException:
            database.close()
            raise
    except (psycopg.Error, ValueError) as error:
        raise explained(error, server) or error from error
    return database


def explained(error: BaseException, server: Server) -> CubeError | None:
    """What psycopg raised, as Cube's, without a password; None for what it did not."""
    where, why = str(server), _without_secrets(str(error).strip(), server)
    match error:
        case UnreadableError():
            cure = "put a copy of the state in its place (`cube state copy`); what runs is left as it is"
            return InputError("the state is damaged", where=where, why=why, cure=cure)
        case errors.LockNotAvailable() | errors.DeadlockDetected() | errors.SerializationFailure():
            cure = "another process is writing to it; try again when that has ended"
            return LockedError("the state is busy", where=where, why=why, cure=cure)
        case (
            errors.InsufficientPrivilege()
            | errors.InvalidCatalogName()
            | psycopg.ProgrammingError(sqlstate=None)
        ):
            cure = "see that the URL is right, and that its user may create tables in its schema"
            return InputError("the state cannot be used", where=where, why=why, cure=cure)
        case psycopg.OperationalError() | errors.ReadOnlySqlTransaction() | psycopg.InterfaceError():
            cure = (
                "nothing of this change is known to be recorded; see that the server is well, then try again"
            )
            return CubeError("the state's server cannot do it", where=where, why=why, cure=cure)
        case psycopg.Error():
            return InternalError("the state's server refused a statement", where=where, why=why)
        case _:
            return None


def _without_secrets(text: str, server: Server) -> str:
    for secret in server.passwords:
        text = text.replace(secret, "***")
    return text.replace(server.url, str(server))


def _with_patience(url: str) -> str:
    """The URL with limits for the network, where it names none itself."""
    limits = {"connect_timeout": CONNECT, "tcp_user_timeout": int(1000 * TERM), "keepalives_idle": 10}
    known = psycopg.conninfo.conninfo_to_dict(url)
    return psycopg.conninfo.make_conninfo(url, **{name: n for name, n in limits.items() if name not in known})


def _rows(cursor: psycopg.Cursor[Any]) -> Callable[[Sequence[Any]], PostgresRow]:
    names = tuple(column.name for column in cursor.description or ())
    return lambda values: PostgresRow(names, values)


WORD = re.compile(r"""'(?:[^']|'')*'|"[^"]*"|\?(\d+)|\?|(?<!:):([a-z_]+)|%""")
"""In SQL: what is quoted, what stands for a value, and what psycopg would take for one."""


@cache
def _translated(sql: str) -> tuple[Any, Callable[[Values], Any]]:
    """The statement with psycopg's marks for values, and what brings values into their shape."""
    is_numbered = False

    def mark(found: re.Match[str]) -> str:
        nonlocal is_numbered
        number, name = found.groups()
        if number:
            is_numbered = True
            return f"%(p{number})s"
        if name:
            return f"%({name})s"
        return "%s" if found[0] == "?" else found[0].replace("%", "%%")

    text = WORD.sub(mark, sql)
    return text, _numbered if is_numbered else _as_they_are


def _numbered(values: Values) -> Mapping[str, Any]:
    return {f"p{number}": _storable(value) for number, value in enumerate(values, 1)}


def _as_they_are(values: Values) -> Any:
    if isinstance(values, Mapping):
        return {name: _storable(value) for name, value in values.items()}
    return [_storable(value) for value in values]


def _storable(value: Any) -> Any:
    # A text cannot hold a zero byte there; it has a picture of its own.
    return value.replace("\x00", "\u2400") if isinstance(value, str) and "\x00" in value else value


def _now() -> float:
    return time.clock_gettime(CLOCK)
