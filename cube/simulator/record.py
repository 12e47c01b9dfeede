"""The checker's own look at the record: what the store says of itself is what is checked."""

import json
import sqlite3
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cube.model.job import Job, TaskSpec
from cube.model.rollout import RolloutState
from cube.model.task import Health, Slot, State
from cube.store import rows
from cube.store.sqlite import File

ALONE = "?vfs=unix-none"
"""One process of the operating system plays all of a history's, and never two of them in a transaction."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """A row of `tasks`, as far as the laws ask."""

    id: str
    slot: Slot
    node: str | None
    spec: TaskSpec
    state: State
    health: Health
    ports: tuple[int, ...]


@dataclass(slots=True)
class Reading:
    """A connection that only reads."""

    connection: sqlite3.Connection

    def close(self) -> None:
        """Let go of the file."""
        self.connection.close()

    def state_of(self, task: str) -> State | None:
        """The task's state; None where there is no such task."""
        row = self._one("SELECT state FROM tasks WHERE id = ?", [task])
        return State(row[0]) if row else None

    def tasks_on(self, node: str) -> list[Recorded]:
        """The tasks that hold room on the node."""
        return self._tasks("node = ? AND state IN ('Scheduled', 'Running')", [node])

    def tasks_of(self, slot: Slot) -> list[Recorded]:
        """The tasks of the slot that are not over."""
        where = "job = ? AND \"group\" = ? AND \"index\" = ? AND state IN ('Scheduled', 'Running')"
        return self._tasks(where, [slot.job, slot.group, slot.index])

    def ended(self, slot: Slot) -> list[Recorded]:
        """The tasks of the slot that are over, and did not fail."""
        where = 'job = ? AND "group" = ? AND "index" = ? AND state = \'Completed\''
        return self._tasks(where, [slot.job, slot.group, slot.index])

    def all_on(self, node: str) -> set[str]:
        """The tasks that were last on the node, over or not, by id."""
        return {row[0] for row in self.connection.execute("SELECT id FROM tasks WHERE node = ?", [node])}

    def last_on_a_node(self, slot: Slot, *, but_not: str = "") -> Recorded | None:
        """The newest task of the slot, beside that one, that had a node; None: none had."""
        where = 'job = ? AND "group" = ? AND "index" = ? AND id <> ? AND node IS NOT NULL ORDER BY "order"'
        return next(iter(self._tasks(where, [slot.job, slot.group, slot.index, but_not])[-1:]), None)

    def live(self) -> int:
        """How many tasks are not over."""
        sql = "SELECT count(*) FROM tasks WHERE state IN ('Pending', 'Scheduled', 'Running')"
        (count,) = self._one(sql, []) or (0,)
        return int(count)

    def given(self, job: Job, group: str) -> list[Recorded]:
        """The tasks of this version of the job that run in the group."""
        where = "job = ? AND \"group\" = ? AND version = ? AND state = 'Running'"
        return self._tasks(where, [job.name, group, job.version])

    def had(self, slot: Slot, version: int, *, but_not: str) -> bool:
        """The slot has had a task of the version beside that one, over or not."""
        sql = """SELECT 1 FROM tasks
            WHERE job = ? AND "group" = ? AND "index" = ? AND version = ? AND id <> ?"""
        return self._one(sql, [slot.job, slot.group, slot.index, version, but_not]) is not None

    def is_under_way(self, job: Job) -> bool:
        """The version of the job has neither come, nor failed, nor does it pause."""
        sql = "SELECT state FROM rollouts WHERE job = ? AND version = ?"
        row = self._one(sql, [job.name, job.version])
        return row is not None and row[0] == RolloutState.RUNNING

    def job(self, name: str) -> Job | None:
        """The newest version of the job."""
        row = self._one("SELECT body FROM jobs WHERE name = ? ORDER BY version DESC LIMIT 1", [name])
        return rows.job_of(row[0]) if row else None

    def last_events(self, task: str) -> list[tuple[str, float, str]]:
        """The task's last two events, the newest first: its target, its time, and its detail."""
        sql = "SELECT target, at, detail FROM events WHERE task = ? ORDER BY number DESC LIMIT 2"
        return self.connection.execute(sql, [task]).fetchall()

    def failed_at(self, task: str) -> float | None:
        """When the task failed last; None: it never did."""
        sql = """SELECT at FROM events WHERE task = ? AND target = 'Failed' AND source <> 'Failed'
            ORDER BY number DESC LIMIT 1"""
        row = self._one(sql, [task])
        return row[0] if row else None

    def restarts(self, task: str, *, since: float) -> int:
        """How often a start of the task was intended since then because it had failed."""
        sql = """SELECT count(*) FROM events
            WHERE task = ? AND source = 'Failed' AND target = 'Scheduled' AND at >= ?"""
        (count,) = self._one(sql, [task, since]) or (0,)
        return int(count)

    def starts(self, task: str) -> int:
        """How often a start of the task was intended."""
        sql = "SELECT count(*) FROM events WHERE task = ? AND target = 'Scheduled'"
        (count,) = self._one(sql, [task]) or (0,)
        return int(count)

    def moves(self) -> dict[Slot, str]:
        """The slots that are to move, each with the node where it is to go."""
        found = self.connection.execute('SELECT job, "group", "index", target FROM moves')
        return {Slot(job=job, group=group, index=index): target for job, group, index, target in found}

    def _tasks(self, where: str, values: Iterable[Any]) -> list[Recorded]:
        sql = f"""SELECT id, job, "group", "index", node, body, state, health, ports
            FROM tasks JOIN specs ON digest = spec WHERE {where}"""  # noqa: S608 - both are this module's
        return [_recorded(row) for row in self.connection.execute(sql, list(values))]

    def _one(self, sql: str, values: list[Any]) -> Any:
        return self.connection.execute(sql, values).fetchone()


def mortal(strike: Callable[[], None]) -> type[File]:
    """Connections that call `strike` before each statement: it may end the process there."""

    class Mortal(File):
        """Of one process. It may be killed at any statement; the power never fails here."""

        def __init__(self, place: str, **options: Any) -> None:
            super().__init__(f"file:{place}{ALONE}", uri=True, **options)
            super().execute("PRAGMA synchronous = OFF")
            super().execute("PRAGMA journal_mode = MEMORY")

        def execute(self, *arguments: Any) -> sqlite3.Cursor:
            """As ever, if the process lives."""
            strike()
            return super().execute(*arguments)

        def executemany(self, *arguments: Any) -> sqlite3.Cursor:
            """As ever, if the process lives."""
            strike()
            return super().executemany(*arguments)

        def rollback(self) -> None:
            """Of a killed process the file alone takes everything back."""
            with suppress(sqlite3.ProgrammingError):
                super().rollback()

    return Mortal


def read(path: Path) -> Reading:
    """The record in that file."""
    return Reading(sqlite3.connect(f"file:{path}{ALONE}&mode=ro", uri=True, isolation_level=None))


def _recorded(row: tuple[Any, ...]) -> Recorded:
    identity, job, group, index, node, body, state, health, ports = row
    return Recorded(
        id=identity,
        slot=Slot(job=job, group=group, index=index),
        node=node,
        spec=rows.spec_of(body),
        state=State(state),
        health=Health(health),
        ports=tuple(json.loads(ports).values()),
    )
