"""Every question to the tables, in plain SQL: a command that only reads never loads sqlite-utils."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from cube.model.codec import from_data
from cube.model.job import Job
from cube.model.maintenance import Maintenance
from cube.model.measure import Measure
from cube.model.move import Move
from cube.model.node import Cordon, Silence
from cube.model.rollout import Rollout
from cube.model.task import Slot, Task, TaskEvent
from cube.model.token import Token
from cube.store import rows
from cube.store.database import Database, Row, UnreadableError
from cube.store.lease import Lease
from cube.store.rows import Death, JobVersion, Look, Sweep

T = TypeVar("T")

TASKS = "SELECT tasks.*, specs.body FROM tasks JOIN specs ON specs.digest = tasks.spec"
LIVE = "state NOT IN ('Completed', 'Failed')"
IN_QUARANTINE = "quarantined_until IS NOT NULL"
NEWEST_OF_ITS_SLOT = """"order" = (
    SELECT max(other."order") FROM tasks AS other
    WHERE other.job = tasks.job AND other."group" = tasks."group" AND other."index" = tasks."index")"""

LAST_ON_A_NODE_OF_EACH_WAITING_SLOT = f"""id IN (
    SELECT (
        SELECT other.id FROM tasks AS other
        WHERE other.job = tasks.job AND other."group" = tasks."group" AND other."index" = tasks."index"
            AND other.node IS NOT NULL
        ORDER BY other."order" DESC LIMIT 1)
    FROM tasks WHERE node IS NULL AND {NEWEST_OF_ITS_SLOT})"""  # noqa: S608 - it is this module's own


def select(
    connection: Database, decode: Callable[[Row], T], sql: str, values: Sequence[Any] = ()
) -> tuple[T, ...]:
    """Every row of the answer, decoded. Raises UnreadableError for a row that cannot be read."""
    found = connection.execute(sql, values).fetchall()
    try:
        return tuple(decode(row) for row in found)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UnreadableError(f"a row cannot be read ({type(error).__name__}: {error})") from error


def number(connection: Database, sql: str, values: Sequence[Any] = ()) -> int:
    """The one number that the question answers with, 0 for NULL."""
    (answer,) = connection.execute(sql, values).fetchone()
    return int(answer or 0)


def job_versions(connection: Database, name: str) -> tuple[JobVersion, ...]:
    """Every version of the job, the oldest first."""
    sql = "SELECT * FROM jobs WHERE name = ? ORDER BY version"
    return select(connection, rows.job_version, sql, [name])


def job_version(connection: Database, name: str, version: int) -> Job | None:
    """The job in that version; None where it is not known, or not any more."""
    sql = "SELECT * FROM jobs WHERE name = ? AND version = ?"
    return next((found.job for found in select(connection, rows.job_version, sql, [name, version])), None)


def newest_jobs(connection: Database, name: str | None = None) -> tuple[JobVersion, ...]:
    """The newest version of each job, or of that job, by name."""
    sql = """SELECT * FROM jobs
        WHERE version = (SELECT max(version) FROM jobs AS other WHERE other.name = jobs.name)
        AND name = coalesce(?, name) ORDER BY name"""
    return select(connection, rows.job_version, sql, [name])


def next_version(connection: Database, name: str) -> int:
    """The number after every version that the job ever had: events remember those that were forgotten."""
    sql = """SELECT 1 + coalesce(max(version), 0) FROM (
        SELECT version FROM jobs WHERE name = ?1
        UNION ALL SELECT version FROM events WHERE job = ?1) AS known"""
    return number(connection, sql, [name])


def tasks(connection: Database, where: str = "true", values: Sequence[Any] = ()) -> tuple[Task, ...]:
    """The tasks for which the condition holds, in the order in which they were wanted."""
    return select(connection, rows.task_of, f'{TASKS} WHERE {where} ORDER BY "order"', values)


def task(connection: Database, identity: str) -> Task | None:
    """The task with that id."""
    return next(iter(tasks(connection, "id = ?", [identity])), None)


def pending_task(connection: Database, slot: Slot) -> Task | None:
    """The task that waits for this slot to be filled."""
    where = """job = ? AND "group" = ? AND "index" = ? AND state = 'Pending'"""
    return next(iter(tasks(connection, where, [slot.job, slot.group, slot.index])), None)


def last_event(connection: Database, identity: str) -> TaskEvent | None:
    """The newest event of that task."""
    sql = "SELECT * FROM events WHERE task = ? ORDER BY number DESC LIMIT 1"
    return next(iter(select(connection, rows.event_of, sql, [identity])), None)


def is_intended(connection: Database, identity: str, reason: str) -> bool:
    """Some event of the task, empty for none, has that reason."""
    # Of those of no task there are many, and the one that is asked for is among the newest.
    sql = "SELECT 1 FROM events WHERE task = ? AND reason = ? ORDER BY number DESC LIMIT 1"
    return connection.execute(sql, [identity, reason]).fetchone() is not None


def events(
    connection: Database, conditions: Sequence[tuple[str, Any]], *, limit: int | None
) -> tuple[TaskEvent, ...]:
    """The newest `limit` events (None: all) for which every condition with a value holds."""
    return _events(connection, conditions, order="DESC", limit=limit)[::-1]


def first_events(
    connection: Database, conditions: Sequence[tuple[str, Any]], *, limit: int
) -> tuple[TaskEvent, ...]:
    """The oldest `limit` events for which every condition with a value holds."""
    return _events(connection, conditions, order="ASC", limit=limit)


def _events(
    connection: Database, conditions: Sequence[tuple[str, Any]], *, order: str, limit: int | None
) -> tuple[TaskEvent, ...]:
    asked = [(condition, value) for condition, value in conditions if value is not None]
    where = " AND ".join(condition for condition, _ in asked) or "true"
    # The conditions are the store's own words; what people typed is in the values.
    sql = f"SELECT * FROM events WHERE {where} ORDER BY number {order}"  # noqa: S608
    values = [value for _, value in asked]
    if limit is not None:
        sql, values = f"{sql} LIMIT ?", [*values, limit]
    return select(connection, rows.event_of, sql, values)


def rollouts(connection: Database, job: str | None = None) -> tuple[Rollout, ...]:
    """Those of the newest version of each job; or every one of that job, the oldest first."""
    if job is not None:
        sql = "SELECT * FROM rollouts WHERE job = ? ORDER BY version"
        return select(connection, rows.rollout_of, sql, [job])
    newest = """SELECT * FROM rollouts WHERE version = (
        SELECT max(version) FROM jobs WHERE jobs.name = rollouts.job) ORDER BY job"""
    return select(connection, rows.rollout_of, newest)


def stable_version(connection: Database, job: str) -> int | None:
    """The newest version that succeeded and wanted the job to run."""
    sql = """SELECT jobs.* FROM rollouts
        JOIN jobs ON jobs.name = rollouts.job AND jobs.version = rollouts.version
        WHERE job = ? AND state = 'succeeded' ORDER BY rollouts.version DESC"""
    succeeded = select(connection, rows.job_version, sql, [job])
    return next((found.job.version for found in succeeded if not found.job.stopped), None)


def cordons(connection: Database) -> tuple[Cordon, ...]:
    """The nodes that get no new tasks, by name."""
    return select(connection, rows.cordon_of, "SELECT * FROM cordons ORDER BY node")


def moves(connection: Database) -> tuple[Move, ...]:
    """The slots that are to be filled on another node, in the order in which that was wanted."""
    return select(connection, rows.move_of, "SELECT * FROM moves ORDER BY rowid")


def maintenances(connection: Database) -> tuple[Maintenance, ...]:
    """The jobs that proxies send no request to, by name."""
    sql = "SELECT job, at, actor, retry_after FROM maintenances ORDER BY job"
    return select(connection, lambda row: Maintenance(**dict(row)), sql)


def tokens(connection: Database) -> tuple[Token, ...]:
    """What requests may show, by name."""
    sql = "SELECT name, role, digest, created_at, expires_at, actor FROM tokens ORDER BY name"
    return select(connection, lambda row: from_data(Token, dict(row)), sql)


def silences(connection: Database) -> tuple[Silence, ...]:
    """The nodes that did not answer the last look, by name."""
    sql = "SELECT node, at, misses, seconds FROM silences ORDER BY node"
    return select(connection, lambda row: Silence(**dict(row)), sql)


def post_mortems(connection: Database, task: str) -> tuple[Death, ...]:
    """What the task's containers left behind, or those of that job and its runs, the oldest first."""
    sql = """SELECT * FROM post_mortems WHERE substr(task, 1, length(?1)) = ?1
        OR job = ?1 OR substr(job, 1, length(?1) + 1) = ?1 || '.' ORDER BY number"""
    return select(connection, rows.death_of, sql, [task])


def post_mortems_of_task(connection: Database, task: str) -> tuple[Death, ...]:
    """What the containers of the task with exactly that id left behind, the oldest first."""
    sql = "SELECT * FROM post_mortems WHERE task = ? ORDER BY number"
    return select(connection, rows.death_of, sql, [task])


def looks(connection: Database) -> tuple[Look, ...]:
    """The last look at each node, by name."""
    return select(connection, rows.look_of, "SELECT * FROM looks ORDER BY node")


def look(connection: Database, node: str) -> Look | None:
    """The last look at that node."""
    return next(iter(select(connection, rows.look_of, "SELECT * FROM looks WHERE node = ?", [node])), None)


def silent(connection: Database) -> frozenset[str]:
    """The nodes that did not answer the last look at them."""
    return frozenset(select(connection, lambda row: row[0], "SELECT node FROM looks WHERE cause IS NOT NULL"))


def measures(connection: Database, node: str, since: float) -> tuple[Measure, ...]:
    """What was measured of the node since then, the oldest first."""
    sql = "SELECT * FROM measures WHERE node = ? AND at >= ? ORDER BY at"
    return select(connection, rows.measure_of, sql, [node, since])


def sweeps(connection: Database, count: int) -> tuple[Sweep, ...]:
    """So many of the newest sweeps, the newest first."""
    sql = "SELECT started, finished, result FROM sweeps ORDER BY number DESC LIMIT ?"
    return select(connection, lambda row: Sweep(**dict(row)), sql, [count])


def lease(connection: Database) -> Lease | None:
    """What the holder of the lock wrote, if it did not take it back."""
    sql = "SELECT who, host, pid, started, since, command FROM lease"
    return next(iter(select(connection, lambda row: Lease(**dict(row)), sql)), None)
