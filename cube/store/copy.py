"""Copies of the state, made by SQLite itself: a copied file of a live database may be half of each change."""

import os
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

from cube.errors import CubeError, InputError, LockedError
from cube.store.trouble import Explained


def to_new_file(connection: sqlite3.Connection, target: Path) -> None:
    """A whole copy, 0600, at a path where nothing is yet. Raises InputError where something is."""
    refuse_existing(target)
    _write(connection, target)


def refuse_existing(target: Path) -> None:
    """Raises InputError where there is something at that path."""
    if os.path.lexists(target):
        raise InputError(
            "the backup is refused", where=str(target), why="there is a file already", cure="name another"
        )


def before_migration(place: Path | str, version: int) -> None:
    """A copy beside the state, as `NAME.vVERSION`; that of an attempt that did not end is replaced."""
    if isinstance(place, Path):
        # The caller's transaction keeps writers out; its own connection could not copy while it is open.
        with closing(sqlite3.connect(place)) as reader:
            _write(reader, place.with_name(f"{place.name}.v{version}"))


def _write(connection: sqlite3.Connection, target: Path) -> None:
    # Under another name first: what bears the target's name is always a whole copy.
    part = target.with_name(f".{target.name}.part")
    try:
        part.unlink(missing_ok=True)
        os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600))
        with Explained(str(target)):
            _copy(connection, part)
        part.replace(target)
    except OSError as error:
        why = error.strerror or str(error)
        raise CubeError("the state cannot be copied", where=str(target), why=why) from error
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


def _copy(connection: sqlite3.Connection, target: Path) -> None:
    with closing(sqlite3.connect(target)) as copied:
        connection.backup(copied, progress=_refuse_to_wait)
        (answer,) = copied.execute("PRAGMA quick_check(1)").fetchone()
    if answer != "ok":
        raise CubeError(
            "the copy is not whole", where=str(target), why=answer, cure="`cube state check` tells more"
        )


def _refuse_to_wait(status: int, _remaining: int, _total: int) -> None:
    # SQLite has waited for as long as it may; Python would go on for ever.
    if status in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        raise LockedError(
            "the state file is busy", why="another process writes to it", cure="try again later"
        )
