"""The state in one SQLite file, or in memory."""

import os
import sqlite3
from pathlib import Path
from typing import Any, Literal

from cube.errors import CubeError
from cube.store import copy
from cube.store.place import prepare
from cube.store.schema import migrate
from cube.store.trouble import Explained, damaged, explained

SMALL = 2**20
"""Bytes up to which a whole file is checked when it is opened: that takes a few milliseconds."""


class File(sqlite3.Connection):
    """A connection to the file; whoever holds its lock, the kernel knows (lock.py)."""

    where = ":memory:"
    term: float | None = None
    skip_locked = ""
    path: Path | None = None
    _file: tuple[int, int] | None = None

    def bind(self, path: Path) -> None:
        """It is the file that is at that path now."""
        self.where, self.path, self._file = str(path), path, _file_at(path)

    def mark(self) -> object:
        """As Database says it."""
        (version,) = self.execute("PRAGMA data_version").fetchone()
        return version

    def begin_change(self) -> None:
        """As Database says it."""
        # IMMEDIATE: a transaction that reads before it writes would else fail at once, whatever the patience.
        self.execute("BEGIN IMMEDIATE")
        # SQLite goes on writing to a file that was deleted, and the change is gone with it.
        if _file_at(self.path) != self._file:
            why = "it was deleted or replaced while it was in use"
            cure = "nothing of this change was recorded; see who did it, then run the command again"
            raise CubeError("the state file is another one", where=self.where, why=why, cure=cure)

    def begin_look(self) -> None:
        """As Database says it."""
        self.execute("BEGIN")

    def begin_beside(self) -> None:
        """As Database says it; here one at a time may change anything."""
        self.begin_change()

    def now(self) -> float:
        """As Database says it."""
        (now,) = self.execute("SELECT (julianday('now') - 2440587.5) * 86400.0").fetchone()
        return float(now)

    def explanation(self, error: BaseException) -> CubeError | None:
        """As Database says it."""
        return explained(error, self.where)

    def damages(self) -> list[str]:
        """As Database says it."""
        answers = [row[0] for row in self.execute("PRAGMA integrity_check(20)")]
        dangling = [row[0] for row in self.execute("PRAGMA foreign_key_check")]
        return [
            *(f"damaged: {answer}" for answer in answers if answer != "ok"),
            *(f"a row of {table} refers to one that is not there" for table in dangling),
        ]

    def back_up(self, target: Path) -> None:
        """As Database says it."""
        copy.to_new_file(self, target)

    def admit(self) -> None:
        """Who comes here holds the kernel's lock."""

    def enter(self) -> None:
        """As `admit`."""

    def renew(self) -> None:
        """As `admit`: it does not run out."""

    def leave(self) -> None:
        """As Database says it; the kernel's lock is given back after it."""
        self.begin_change()
        self.execute("DELETE FROM lease")
        self.execute("COMMIT")

    def may_act(self) -> bool:
        """As `admit`: one that is stopped keeps the lock."""
        return True


class Durable(File):
    """After a power cut, too, a change that was reported is there. It costs 0.1 ms more than FULL."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.execute("PRAGMA synchronous = EXTRA")


def open_file(
    path: Path | Literal[":memory:"], *, create: bool, patience: float, factory: type[File]
) -> File:
    """The connection to that file, brought to the newest schema; as `open_store` says it."""
    place = ":memory:" if path == ":memory:" else prepare(Path(path), create=create)
    with Explained(str(place)):
        connection = sqlite3.connect(
            place, timeout=patience, isolation_level=None, check_same_thread=False, factory=factory
        )
        try:
            _set_up(connection, place)
        except BaseException:
            connection.close()
            raise
    if isinstance(place, Path):
        connection.bind(place)
    return connection


def _set_up(connection: sqlite3.Connection, place: Path | str) -> None:
    connection.row_factory = sqlite3.Row
    connection.execute("PRAGMA foreign_keys = ON")
    _inspect(connection, str(place))
    migrate(connection, where=str(place), save=lambda version: copy.before_migration(place, version))


def _inspect(connection: sqlite3.Connection, where: str) -> None:
    if _pragma(connection, "page_count") * _pragma(connection, "page_size") > SMALL:
        return
    answer = _pragma(connection, "quick_check(1)")
    if answer != "ok":
        raise damaged(where, answer)


def _pragma(connection: sqlite3.Connection, name: str) -> Any:
    return connection.execute(f"PRAGMA {name}").fetchone()[0]


def _file_at(path: Path | None) -> tuple[int, int] | None:
    if path is None:
        return None
    try:
        status = os.stat(path)  # noqa: PTH116 - before and after every change: pathlib takes five times as long
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino
