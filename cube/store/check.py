"""What `cube state check` looks at: the engine's own check, and the promises that the tables must hold."""

from cube.store.database import Database

LAWS = {
    "the events are not numbered without a gap": """
        SELECT format('%s events, the last has the number %s', count(*), max(number))
        FROM events HAVING count(*) <> coalesce(max(number), 0)""",
    "a task is not what its last event says": """
        SELECT format('task %s is %s, its last event says %s', id, state, coalesce(said, 'nothing'))
        FROM (SELECT id, state,
            (SELECT target FROM events WHERE task = tasks.id ORDER BY number DESC LIMIT 1) AS said
            FROM tasks) AS ended
        WHERE state <> coalesce(said, '')""",
    "an event does not begin where the one before it ended": """
        SELECT format('event %s of task %s begins at %s', number, task, coalesce(source, 'nothing'))
        FROM (SELECT number, task, source, lag(target) OVER (PARTITION BY task ORDER BY number) AS ended
            FROM events WHERE task <> '') AS steps
        WHERE coalesce(source, '') <> coalesce(ended, '')""",
    "a task is bound to no node": """
        SELECT format('task %s is %s', id, state) FROM tasks
        WHERE node IS NULL AND state IN ('Scheduled', 'Running')""",
}
"""A law's name, and a query that finds what breaks it."""


def problems(connection: Database) -> tuple[str, ...]:
    """Everything that is wrong; empty where nothing is."""
    return (*connection.damages(), *_broken_laws(connection))


def _broken_laws(connection: Database) -> list[str]:
    return [f"{law}: {row[0]}" for law, query in LAWS.items() for row in connection.execute(query)]
