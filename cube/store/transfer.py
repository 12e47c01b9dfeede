"""A whole state from one engine to another: every row of every table, in one transaction."""

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from cube.errors import CubeError, InputError
from cube.store import copy, read
from cube.store.database import Database
from cube.store.sqlite import Durable, open_file

TABLES = (
    "jobs", "specs", "tasks", "rollouts", "events", "post_mortems", "cordons", "silences", "looks", "sweeps",
    "moves", "tokens", "maintenances", "measures", "left_volumes",
)  # fmt: skip
"""What is copied row by row, each after those that it refers to; the identity is told by its own words."""

LEFT_BEHIND = ("lease", "managers", "shares", "notices")
"""What those need who work there now: who holds the lock, looks after a node, or tells of an event."""

IN_ORDER = {"moves": "rowid"}
"""Tables that are read in the order in which they were filled, and by what that is told."""

AT_ONCE = 1000
"""Rows that are held in memory and handed over together."""


def pour(source: Database, target: Database) -> None:
    """All that the source holds into an empty target, whose transaction the caller began; its identity, too.

    Raises InputError where the target is in use already.
    """
    if read.newest_jobs(target) or read.number(target, "SELECT max(number) FROM events"):
        why, cure = (
            "it holds something already",
            "name a new one; a state that is there is never written over",
        )
        raise InputError("the state is not empty", where=target.where, why=why, cure=cure)
    owner, epoch = source.execute("SELECT owner, epoch FROM identity").fetchone()
    target.execute("UPDATE identity SET owner = ?, epoch = ?", [owner, epoch])
    for table in TABLES:
        _pour_table(table, source, target)


def to_new_file(source: Database, target: Path) -> None:
    """A whole copy in a file of SQLite's, 0600, at a path where nothing is yet. Raises InputError."""
    copy.refuse_existing(target)
    part = target.with_name(f".{target.name}.part")
    try:
        part.unlink(missing_ok=True)
        part.touch(mode=0o600)
        _fill(source, part)
        part.replace(target)
    except OSError as error:
        why = error.strerror or str(error)
        raise CubeError("the state cannot be copied", where=str(target), why=why) from error


def _fill(source: Database, path: Path) -> None:
    file = open_file(path, create=False, patience=0.0, factory=Durable)
    try:
        source.begin_look()
        file.begin_change()
        pour(source, file)
        file.execute("COMMIT")
    finally:
        source.rollback()
        file.close()


def _pour_table(table: str, source: Database, target: Database) -> None:
    order = f" ORDER BY {IN_ORDER[table]}" if table in IN_ORDER else ""
    rows = source.execute(f"SELECT * FROM {table}{order}")  # noqa: S608 - all of it are our own words
    for batch in _batches(rows):
        columns = [name for name in batch[0].keys() if name != IN_ORDER.get(table)]  # noqa: SIM118 - no mapping
        names, marks = ", ".join(f'"{name}"' for name in columns), ", ".join("?" for _ in columns)
        insert = f"INSERT INTO {table} ({names}) VALUES ({marks})"  # noqa: S608 - as above
        target.executemany(insert, [[row[name] for name in columns] for row in batch])


def _batches(rows: Iterable[Any]) -> Iterator[list[Any]]:
    rest = iter(rows)
    while batch := list(islice(rest, AT_ONCE)):
        yield batch
