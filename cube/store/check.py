"""What `cube store check` looks at: SQLite's own check, and the promises that the tables must hold."""

import sqlite3

LAWS = {
    "the events are not numbered without a gap": """
        SELECT printf('%d events, the last has the number %d', count(*), max(number))
        FROM events HAVING count(*) <> coalesce(max(number), 0)""",
    "a task is not what its last event says": """
        SELECT printf('task %s is %s, its last event says %s', id, state, coalesce(said, 'nothing'))
        FROM (SELECT id, state, (
            SELECT target FROM events WHERE task = tasks.id ORDER BY number DESC LIMIT 1) AS said FROM tasks)
        WHERE state IS NOT said""",
    "an event does not begin where the one before it ended": """
        SELECT printf('event %d of task %s begins at %s', number, task, coalesce(source, 'nothing'))
        FROM (SELECT number, task, source, lag(target) OVER (PARTITION BY task ORDER BY number) AS ended
            FROM events WHERE task <> '')
        WHERE source IS NOT ended""",
    "a task is bound to no node": """
        SELECT printf('task %s is %s', id, state) FROM tasks
        WHERE node IS NULL AND state IN ('Scheduled', 'Running')""",
}
"""A law's name, and a query that finds what breaks it."""


def problems(connection: sqlite3.Connection) -> tuple[str, ...]:
    """Everything that is wrong; empty where nothing is."""
    return (*_damages(connection), *_broken_laws(connection))


def _damages(connection: sqlite3.Connection) -> list[str]:
    answers = [row[0] for row in connection.execute("PRAGMA integrity_check(20)")]
    dangling = [row[0] for row in connection.execute("PRAGMA foreign_key_check")]
    return [
        *(f"damaged: {answer}" for answer in answers if answer != "ok"),
        *(f"a row of {table} refers to one that is not there" for table in dangling),
    ]


def _broken_laws(connection: sqlite3.Connection) -> list[str]:
    return [f"{law}: {row[0]}" for law, query in LAWS.items() for row in connection.execute(query)]
