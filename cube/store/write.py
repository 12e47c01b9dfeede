"""Writing to the tables: what happened through sqlite-utils, what every run notes in plain SQL.

sqlite-utils takes 85 ms to load: a run that only looks, or finds nothing to do, is spared it.
"""

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from cube.store import read
from cube.store.lease import Lease
from cube.store.rows import Row, Sweep

SWEEPS_KEPT = 1000


class Tables:
    """The tables of one connection. Its caller begins and ends the transactions."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        self._database: Any = None

    def put(self, table: str, records: Sequence[Row], *, key: str | tuple[str, ...]) -> None:
        """Insert the rows into the table; those whose `key` is there are updated."""
        if not records:
            return
        if self._database is None:
            from sqlite_utils import Database  # noqa: PLC0415 - see the top of this file

            # One for the connection's life: each new one tries out, by a table of its own, what SQLite can.
            self._database = Database(self.connection, execute_plugins=False)
        self._database.table(table).upsert_all(records, pk=key)


def note_looks(connection: sqlite3.Connection, records: Sequence[Mapping[str, Any]]) -> None:
    """The last look at each of those nodes, as rows of `looks`; what a silent one had shown is kept."""
    sql = """INSERT INTO looks (node, at, seen_at, stats, cause, why)
        VALUES (:node, :at, :seen_at, :stats, :cause, :why)
        ON CONFLICT (node) DO UPDATE SET
            at = excluded.at,
            seen_at = coalesce(excluded.seen_at, seen_at),
            stats = coalesce(excluded.stats, stats),
            cause = excluded.cause,
            why = excluded.why"""
    connection.executemany(sql, records)


def note_sweep(connection: sqlite3.Connection, sweep: Sweep) -> None:
    """That a run over the fleet ended; the newest thousand are kept."""
    number = 1 + read.number(connection, "SELECT max(number) FROM sweeps")
    sql = """INSERT INTO sweeps (number, started, finished, result)
        VALUES (:number, :started, :finished, :result)"""
    connection.execute(sql, {"number": number, **asdict(sweep)})
    connection.execute("DELETE FROM sweeps WHERE number <= ?", [number - SWEEPS_KEPT])


def note_lease(connection: sqlite3.Connection, lease: Lease) -> None:
    """Who holds the lock."""
    sql = """REPLACE INTO lease (id, who, host, pid, started, since, command)
        VALUES (1, :who, :host, :pid, :started, :since, :command)"""
    connection.execute(sql, asdict(lease))
