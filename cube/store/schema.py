"""The tables, as an ordered list of migrations: the state's version is how many of them it has seen."""

import sqlite3
from collections.abc import Callable, Sequence
from typing import Any
from uuid import uuid4

from cube.errors import InputError
from cube.store.trouble import damaged

APPLICATION_ID = 0x43756265
"""What `file` and SQLite show: the letters "Cube"."""

Migration = Callable[[sqlite3.Connection], None]

FIRST_TABLES = (
    """CREATE TABLE identity (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        owner TEXT NOT NULL,
        epoch INTEGER NOT NULL
    ) STRICT""",
    """CREATE TABLE lease (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        who TEXT NOT NULL,
        host TEXT NOT NULL,
        pid INTEGER NOT NULL,
        started TEXT NOT NULL,
        since REAL NOT NULL,
        command TEXT NOT NULL
    ) STRICT""",
    """CREATE TABLE jobs (
        name TEXT NOT NULL,
        version INTEGER NOT NULL,
        at REAL NOT NULL,
        actor TEXT NOT NULL,
        reason TEXT NOT NULL,
        body TEXT NOT NULL,
        PRIMARY KEY (name, version)
    ) STRICT""",
    "CREATE TABLE specs (digest TEXT PRIMARY KEY, body TEXT NOT NULL) STRICT",
    """CREATE TABLE tasks (
        id TEXT PRIMARY KEY,
        job TEXT NOT NULL,
        "group" TEXT NOT NULL,
        "index" INTEGER NOT NULL,
        version INTEGER NOT NULL,
        spec TEXT NOT NULL REFERENCES specs (digest),
        state TEXT NOT NULL,
        "order" INTEGER NOT NULL UNIQUE,
        created_at REAL NOT NULL,
        changed_at REAL NOT NULL,
        node TEXT,
        container TEXT,
        ports TEXT NOT NULL,
        health TEXT NOT NULL,
        check_failures INTEGER NOT NULL,
        restarts INTEGER NOT NULL,
        exit_code INTEGER,
        reason TEXT NOT NULL,
        FOREIGN KEY (job, version) REFERENCES jobs (name, version)
    ) STRICT""",
    'CREATE INDEX tasks_of_a_slot ON tasks (job, "group", "index", "order")',
    """CREATE UNIQUE INDEX one_pending_task_per_slot ON tasks (job, "group", "index")
        WHERE state = 'Pending'""",
    """CREATE TABLE events (
        number INTEGER PRIMARY KEY,
        at REAL NOT NULL,
        task TEXT NOT NULL,
        job TEXT NOT NULL,
        "group" TEXT NOT NULL,
        "index" INTEGER NOT NULL,
        version INTEGER NOT NULL,
        source TEXT,
        target TEXT NOT NULL,
        node TEXT,
        reason TEXT NOT NULL,
        actor TEXT NOT NULL,
        detail TEXT NOT NULL
    ) STRICT""",
    "CREATE INDEX events_of_a_task ON events (task)",
    "CREATE INDEX events_of_a_job ON events (job)",
    """CREATE TRIGGER events_do_not_change BEFORE UPDATE ON events
        BEGIN SELECT RAISE (ABORT, 'an event is final'); END""",
    """CREATE TRIGGER events_do_not_vanish BEFORE DELETE ON events
        BEGIN SELECT RAISE (ABORT, 'an event is final'); END""",
    """CREATE TABLE looks (
        node TEXT PRIMARY KEY,
        at REAL NOT NULL,
        seen_at REAL,
        stats TEXT,
        cause TEXT,
        why TEXT NOT NULL
    ) STRICT""",
    """CREATE TABLE sweeps (
        number INTEGER PRIMARY KEY,
        started REAL NOT NULL,
        finished REAL NOT NULL,
        result TEXT NOT NULL
    ) STRICT""",
)


def _first(connection: sqlite3.Connection) -> None:
    for statement in FIRST_TABLES:
        connection.execute(statement)
    connection.execute("INSERT INTO identity VALUES (1, ?, 1)", [str(uuid4())])
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")


def _rollouts_and_silences(connection: sqlite3.Connection) -> None:
    from sqlite_utils import Database  # noqa: PLC0415 - it takes 85 ms to load, and a new state is rare

    database = Database(connection, execute_plugins=False)
    _add_to_tasks(database.table("tasks"))
    _create_rollouts(database)
    _create_nodes(database)
    _create_post_mortems(database)
    # Whatever was wanted before there were rollouts has had its time.
    connection.execute(
        """INSERT INTO rollouts SELECT name, version, at, 'succeeded', 1, NULL, '' FROM jobs
        WHERE version = (SELECT max(version) FROM jobs AS other WHERE other.name = jobs.name)"""
    )


def _create_rollouts(database: Any) -> None:
    database.table("rollouts").create(
        {
            "job": str,
            "version": int,
            "since": float,
            "state": str,
            "promoted": int,
            "stable": int,
            "reason": str,
        },
        pk=("job", "version"),
        not_null={"since", "state", "promoted", "reason"},
        strict=True,
    )


def _create_nodes(database: Any) -> None:
    database.table("cordons").create(
        {"node": str, "at": float, "actor": str, "draining": int, "deadline": float},
        pk="node",
        not_null={"at", "actor", "draining"},
        strict=True,
    )
    database.table("silences").create(
        {"node": str, "at": float, "misses": int, "seconds": float},
        pk="node",
        not_null={"at", "misses", "seconds"},
        strict=True,
    )


def _create_post_mortems(database: Any) -> None:
    database.table("post_mortems").create(
        {"number": int, "task": str, "job": str, "at": float, "node": str, "reason": str, "body": str},
        pk="number",
        not_null={"task", "job", "at", "node", "reason", "body"},
        strict=True,
    )
    database.execute("CREATE INDEX post_mortems_of_a_task ON post_mortems (task)")


def _add_to_tasks(tasks: Any) -> None:
    tasks.add_column("healthy_since", float)
    tasks.add_column("checked_at", float, not_null_default=0.0)
    tasks.add_column("check_successes", int, not_null_default=0)
    tasks.add_column("reschedules", int, not_null_default=0)
    tasks.add_column("failed_on", str, not_null_default="[]")
    tasks.add_column("quarantined_until", float)


def _moves(connection: sqlite3.Connection) -> None:
    connection.execute(
        """CREATE TABLE moves (
            job TEXT NOT NULL,
            "group" TEXT NOT NULL,
            "index" INTEGER NOT NULL,
            source TEXT NOT NULL,
            target TEXT NOT NULL,
            reason TEXT NOT NULL,
            PRIMARY KEY (job, "group", "index")
        ) STRICT"""
    )


def _tokens(connection: sqlite3.Connection) -> None:
    connection.execute(
        """CREATE TABLE tokens (
            name TEXT PRIMARY KEY,
            role TEXT NOT NULL,
            digest TEXT NOT NULL UNIQUE,
            created_at REAL NOT NULL,
            expires_at REAL NOT NULL,
            actor TEXT NOT NULL
        ) STRICT"""
    )


def _devices(connection: sqlite3.Connection) -> None:
    connection.execute("ALTER TABLE tasks ADD COLUMN devices TEXT NOT NULL DEFAULT '{}'")


def _maintenances(connection: sqlite3.Connection) -> None:
    connection.execute(
        """CREATE TABLE maintenances (
            job TEXT PRIMARY KEY,
            at REAL NOT NULL,
            actor TEXT NOT NULL,
            retry_after REAL NOT NULL
        ) STRICT"""
    )


def _measures(connection: sqlite3.Connection) -> None:
    connection.execute(
        """CREATE TABLE measures (
            node TEXT NOT NULL,
            at REAL NOT NULL,
            fine INTEGER NOT NULL,
            body TEXT NOT NULL,
            PRIMARY KEY (node, at)
        ) STRICT"""
    )
    connection.execute("CREATE INDEX measures_by_age ON measures (fine, at)")


def _leave_data(connection: sqlite3.Connection) -> None:
    connection.execute("ALTER TABLE cordons ADD COLUMN leave_data INTEGER NOT NULL DEFAULT 0")


def _shares(connection: sqlite3.Connection) -> None:
    connection.execute("CREATE TABLE managers (name TEXT PRIMARY KEY, until REAL NOT NULL) STRICT")
    connection.execute(
        "CREATE TABLE shares (node TEXT PRIMARY KEY, manager TEXT NOT NULL, until REAL NOT NULL) STRICT"
    )
    connection.execute("ALTER TABLE looks ADD COLUMN news INTEGER NOT NULL DEFAULT 0")


def _left_volumes(connection: sqlite3.Connection) -> None:
    connection.execute(
        """CREATE TABLE left_volumes (
            node TEXT NOT NULL,
            volume TEXT NOT NULL,
            job TEXT NOT NULL,
            version INTEGER NOT NULL,
            until REAL NOT NULL,
            PRIMARY KEY (node, volume)
        ) STRICT"""
    )


def _notices(connection: sqlite3.Connection) -> None:
    connection.execute("CREATE TABLE notices (event INTEGER PRIMARY KEY) STRICT")


MIGRATIONS: tuple[Migration, ...] = (
    _first, _rollouts_and_silences, _moves, _tokens, _devices, _maintenances, _measures, _leave_data, _shares,
    _left_volumes, _notices,
)  # fmt: skip
"""Released ones are never edited: a change of the schema is one more function at the end."""


def migrate(
    connection: sqlite3.Connection,
    *,
    where: str,
    save: Callable[[int], None],
    migrations: Sequence[Migration] = MIGRATIONS,
) -> None:
    """Bring the state to the newest version, each step in one transaction; a state in use is saved first.

    `save(version)` keeps a copy of the state as it is. Raises InputError for what is not a state of
    Cube's, or was written by a newer Cube. Two processes may migrate at once: each step happens once.
    """
    is_new = version_of(connection, where=where, newest=len(migrations)) == 0
    while (version := version_of(connection, where=where, newest=len(migrations))) < len(migrations):
        connection.execute("BEGIN IMMEDIATE")
        try:
            _step(connection, version, _save_nothing if is_new else save, migrations)
        except BaseException:
            connection.rollback()
            raise
        connection.execute("COMMIT")


def _save_nothing(_version: int) -> None:
    """A state that is being made holds nothing that could be lost."""


def _step(
    connection: sqlite3.Connection,
    version: int,
    save: Callable[[int], None],
    migrations: Sequence[Migration],
) -> None:
    if _pragma(connection, "user_version") != version:
        return  # Another process was quicker, between our look and our lock.
    if version:
        save(version)
    migrations[version](connection)
    connection.execute(f"PRAGMA user_version = {version + 1}")


def version_of(connection: sqlite3.Connection, *, where: str, newest: int = len(MIGRATIONS)) -> int:
    """How many migrations the state has seen, 0 for an empty file.

    Raises InputError for a database that is not Cube's, or was written by a newer Cube.
    """
    # First the tables, then the version: another process may make both in between.
    is_used = connection.execute("SELECT 1 FROM sqlite_master").fetchone()
    version, application = _pragma(connection, "user_version"), _pragma(connection, "application_id")
    if version > newest:
        why = f"its schema is version {version}, this Cube knows {newest}"
        raise InputError("the state was written by a newer Cube", where=where, why=why, cure="update Cube")
    if version and application != APPLICATION_ID:
        raise damaged(where, "it does not carry Cube's mark")
    if is_used and not version:
        cure = "name Cube's own file with --state"
        raise InputError(
            "the state file is refused", where=where, why="it is another program's database", cure=cure
        )
    return version


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    value: int = connection.execute(f"PRAGMA {name}").fetchone()[0]
    return value
