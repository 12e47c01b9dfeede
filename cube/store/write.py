"""Writing to the tables, in plain SQL: sqlite-utils makes and changes them (schema.py), which is rare.

It takes 85 ms to load, and 0.3 ms of each write: a command that starts thirty tasks makes sixty.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any

from cube.model.codec import to_data
from cube.model.measure import Measure
from cube.model.node import Silence
from cube.model.observation import PostMortem
from cube.model.task import Slot
from cube.store import read, rows
from cube.store.database import Database
from cube.store.lease import Lease
from cube.store.rows import Death, Row, Sweep

SWEEPS_KEPT = 1000

FINE, COARSE = 55.0, 900.0
"""Seconds between two measures of a node at least (a sweep may come a little early), and between old ones."""

FINE_KEPT = 6 * 3600.0
"""Seconds after which only the coarse ones are left."""

DEATHS_KEPT = 10
"""Post-mortems of one task: the last of a crash loop are as good as all."""


class Tables:
    """The tables of one connection. Its caller begins and ends the transactions."""

    def __init__(self, connection: Database) -> None:
        self.connection = connection

    def put(self, table: str, records: Sequence[Row], *, key: tuple[str, ...]) -> None:
        """Insert the rows, which all have the same columns; those whose `key` is there are updated."""
        if records:
            self.connection.executemany(_upsert(table, tuple(records[0]), key), records)


@cache
def _upsert(table: str, columns: tuple[str, ...], key: tuple[str, ...]) -> str:
    """All names are this program's own; what people typed is in the rows."""
    names = ", ".join(f'"{name}"' for name in columns)
    values = ", ".join(f":{name}" for name in columns)
    others = [name for name in columns if name not in key]
    changes = ", ".join(f'"{name}" = excluded."{name}"' for name in others)
    then = f"UPDATE SET {changes}" if changes else "NOTHING"
    conflict = ", ".join(f'"{name}"' for name in key)
    return f"INSERT INTO {table} ({names}) VALUES ({values}) ON CONFLICT ({conflict}) DO {then}"  # noqa: S608


def note_looks(connection: Database, records: Sequence[Mapping[str, Any]]) -> None:
    """The last look at each of those nodes, as rows of `looks`; what a silent one had shown is kept."""
    sql = """INSERT INTO looks (node, at, seen_at, stats, cause, why)
        VALUES (:node, :at, :seen_at, :stats, :cause, :why)
        ON CONFLICT (node) DO UPDATE SET
            at = excluded.at,
            seen_at = coalesce(excluded.seen_at, looks.seen_at),
            stats = coalesce(excluded.stats, looks.stats),
            cause = excluded.cause,
            why = excluded.why"""
    connection.executemany(sql, records)


def note_measures(connection: Database, measures: Iterable[Measure]) -> None:
    """What was measured of nodes, unless a measure of the node is younger than a minute.

    The first of each quarter of an hour is not a fine one: it outlives those that follow it.
    """
    sql = """INSERT INTO measures (node, at, fine, body)
        SELECT :node, :at, CASE WHEN EXISTS (
            SELECT 1 FROM measures AS known WHERE known.node = :node AND known.at >= :quarter
        ) THEN 1 ELSE 0 END, :body
        WHERE NOT EXISTS (SELECT 1 FROM measures AS known WHERE known.node = :node AND known.at > :recent)"""
    connection.executemany(
        sql,
        [
            {**rows.measure_row(each), "quarter": each.at // COARSE * COARSE, "recent": each.at - FINE}
            for each in measures
        ],
    )


def forget_measures(connection: Database, *, now: float, keep: float) -> None:
    """Those older than `keep` seconds, and fine ones after some hours."""
    sql = "DELETE FROM measures WHERE fine = ? AND at < ?"
    connection.executemany(sql, [(0, now - keep), (1, now - min(keep, FINE_KEPT))])


def note_sweep(connection: Database, sweep: Sweep) -> None:
    """That a run over the fleet ended; the newest thousand are kept."""
    number = 1 + read.number(connection, "SELECT max(number) FROM sweeps")
    sql = """INSERT INTO sweeps (number, started, finished, result)
        VALUES (:number, :started, :finished, :result)"""
    connection.execute(sql, {"number": number, **to_data(sweep)})
    connection.execute("DELETE FROM sweeps WHERE number <= ?", [number - SWEEPS_KEPT])


def note_silences(connection: Database, silences: Iterable[Silence], of: Iterable[str]) -> None:
    """Which of those nodes did not answer."""
    connection.executemany("DELETE FROM silences WHERE node = ?", [(node,) for node in of])
    sql = "INSERT INTO silences (node, at, misses, seconds) VALUES (:node, :at, :misses, :seconds)"
    connection.executemany(sql, [to_data(silence) for silence in silences])


def note_deaths(connection: Database, deaths: Iterable[Death]) -> None:
    """What containers left behind; of each task the newest few are kept."""
    older = """DELETE FROM post_mortems WHERE task = ?1 AND number NOT IN (
        SELECT number FROM post_mortems WHERE task = ?1 ORDER BY number DESC LIMIT ?2)"""
    for death in deaths:
        known = read.post_mortems_of_task(connection, death.task)
        # One end may be told twice: by the start that ended at once, and by what is done about it next.
        if not any(_is_same_end(death.found, other.found) for other in known):
            number = 1 + read.number(connection, "SELECT max(number) FROM post_mortems")
            row = {"number": number, **rows.death_row(death)}
            Tables(connection).put("post_mortems", [row], key=("number",))
            connection.execute(older, [death.task, DEATHS_KEPT])


def _is_same_end(one: PostMortem, other: PostMortem) -> bool:
    ends = {(found.container, found.finished_at) for found in (one, other)}
    return len(ends) == 1 and bool(one.finished_at)


def forget_job(connection: Database, name: str) -> bool:
    """Remove the job, its versions and its tasks; False, and nothing is done, while a task of it is live."""
    if read.tasks(connection, f"job = ? AND {read.LIVE}", [name]):
        return False
    connection.execute("DELETE FROM tasks WHERE job = ?", [name])
    connection.execute("DELETE FROM rollouts WHERE job = ?", [name])
    connection.execute("DELETE FROM moves WHERE job = ?", [name])
    connection.execute("DELETE FROM maintenances WHERE job = ?", [name])
    connection.execute("DELETE FROM jobs WHERE name = ?", [name])
    connection.execute("DELETE FROM specs WHERE digest NOT IN (SELECT spec FROM tasks)")
    return True


def end_move(connection: Database, slot: Slot) -> bool:
    """The slot is to move no more; False: it was not."""
    sql = 'DELETE FROM moves WHERE job = ? AND "group" = ? AND "index" = ?'
    return connection.execute(sql, [slot.job, slot.group, slot.index]).rowcount > 0


def rename_node(connection: Database, old: str, new: str) -> None:
    """A cordon stays with its node, whatever that is called, unless a newer word was said of the new name."""
    sql = """UPDATE cordons SET node = ?1
        WHERE node = ?2 AND NOT EXISTS (SELECT 1 FROM cordons WHERE node = ?1)"""
    connection.execute(sql, [new, old])
    connection.execute("DELETE FROM cordons WHERE node = ?", [old])


def note_lease(connection: Database, lease: Lease) -> None:
    """Who holds the lock."""
    Tables(connection).put("lease", [{"id": 1, **to_data(lease)}], key=("id",))
