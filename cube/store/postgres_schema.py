"""The tables at a server: those of schema.py, in PostgreSQL's words; a test holds the two together."""

from collections.abc import Sequence
from uuid import uuid4

from cube.errors import InputError
from cube.store.database import Database

MARK = "Cube"

DOOR = 0x43756265
"""The number of the lock under which tables are made: the letters "Cube"."""

# Names are compared by their bytes, as SQLite does, whatever the language of the server.
TABLES = (
    "CREATE TABLE schema_version (mark TEXT NOT NULL, version BIGINT NOT NULL)",
    """CREATE TABLE identity (
        id BIGINT PRIMARY KEY CHECK (id = 1),
        owner TEXT COLLATE "C" NOT NULL,
        epoch BIGINT NOT NULL
    )""",
    """CREATE TABLE lease (
        id BIGINT PRIMARY KEY CHECK (id = 1),
        who TEXT COLLATE "C" NOT NULL,
        host TEXT COLLATE "C" NOT NULL,
        pid BIGINT NOT NULL,
        started TEXT COLLATE "C" NOT NULL,
        since DOUBLE PRECISION NOT NULL,
        command TEXT COLLATE "C" NOT NULL,
        token TEXT COLLATE "C",
        until DOUBLE PRECISION
    )""",
    """CREATE TABLE jobs (
        name TEXT COLLATE "C" NOT NULL,
        version BIGINT NOT NULL,
        at DOUBLE PRECISION NOT NULL,
        actor TEXT COLLATE "C" NOT NULL,
        reason TEXT COLLATE "C" NOT NULL,
        body TEXT COLLATE "C" NOT NULL,
        PRIMARY KEY (name, version)
    )""",
    'CREATE TABLE specs (digest TEXT COLLATE "C" PRIMARY KEY, body TEXT COLLATE "C" NOT NULL)',
    """CREATE TABLE tasks (
        id TEXT COLLATE "C" PRIMARY KEY,
        job TEXT COLLATE "C" NOT NULL,
        "group" TEXT COLLATE "C" NOT NULL,
        "index" BIGINT NOT NULL,
        version BIGINT NOT NULL,
        spec TEXT COLLATE "C" NOT NULL REFERENCES specs (digest),
        state TEXT COLLATE "C" NOT NULL,
        "order" BIGINT NOT NULL UNIQUE,
        created_at DOUBLE PRECISION NOT NULL,
        changed_at DOUBLE PRECISION NOT NULL,
        node TEXT COLLATE "C",
        container TEXT COLLATE "C",
        ports TEXT COLLATE "C" NOT NULL,
        health TEXT COLLATE "C" NOT NULL,
        check_failures BIGINT NOT NULL,
        restarts BIGINT NOT NULL,
        exit_code BIGINT,
        reason TEXT COLLATE "C" NOT NULL,
        healthy_since DOUBLE PRECISION,
        checked_at DOUBLE PRECISION NOT NULL DEFAULT 0.0,
        check_successes BIGINT NOT NULL DEFAULT 0,
        reschedules BIGINT NOT NULL DEFAULT 0,
        failed_on TEXT COLLATE "C" NOT NULL DEFAULT '[]',
        quarantined_until DOUBLE PRECISION,
        FOREIGN KEY (job, version) REFERENCES jobs (name, version)
    )""",
    'CREATE INDEX tasks_of_a_slot ON tasks (job, "group", "index", "order")',
    "CREATE INDEX tasks_of_a_spec ON tasks (spec)",
    """CREATE UNIQUE INDEX one_pending_task_per_slot ON tasks (job, "group", "index")
        WHERE state = 'Pending'""",
    """CREATE TABLE rollouts (
        job TEXT COLLATE "C" NOT NULL,
        version BIGINT NOT NULL,
        since DOUBLE PRECISION NOT NULL,
        state TEXT COLLATE "C" NOT NULL,
        promoted BIGINT NOT NULL,
        stable BIGINT,
        reason TEXT COLLATE "C" NOT NULL,
        PRIMARY KEY (job, version)
    )""",
    """CREATE TABLE events (
        number BIGINT PRIMARY KEY,
        at DOUBLE PRECISION NOT NULL,
        task TEXT COLLATE "C" NOT NULL,
        job TEXT COLLATE "C" NOT NULL,
        "group" TEXT COLLATE "C" NOT NULL,
        "index" BIGINT NOT NULL,
        version BIGINT NOT NULL,
        source TEXT COLLATE "C",
        target TEXT COLLATE "C" NOT NULL,
        node TEXT COLLATE "C",
        reason TEXT COLLATE "C" NOT NULL,
        actor TEXT COLLATE "C" NOT NULL,
        detail TEXT COLLATE "C" NOT NULL
    )""",
    "CREATE INDEX events_of_a_task ON events (task)",
    "CREATE INDEX events_of_a_job ON events (job)",
    """CREATE FUNCTION an_event_is_final() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION 'an event is final'; END $$""",
    """CREATE TRIGGER events_stay BEFORE UPDATE OR DELETE ON events
        FOR EACH ROW EXECUTE FUNCTION an_event_is_final()""",
    """CREATE TRIGGER all_events_stay BEFORE TRUNCATE ON events
        FOR EACH STATEMENT EXECUTE FUNCTION an_event_is_final()""",
    """CREATE TABLE post_mortems (
        number BIGINT PRIMARY KEY,
        task TEXT COLLATE "C" NOT NULL,
        job TEXT COLLATE "C" NOT NULL,
        at DOUBLE PRECISION NOT NULL,
        node TEXT COLLATE "C" NOT NULL,
        reason TEXT COLLATE "C" NOT NULL,
        body TEXT COLLATE "C" NOT NULL
    )""",
    "CREATE INDEX post_mortems_of_a_task ON post_mortems (task)",
    """CREATE TABLE cordons (
        node TEXT COLLATE "C" PRIMARY KEY,
        at DOUBLE PRECISION NOT NULL,
        actor TEXT COLLATE "C" NOT NULL,
        draining BIGINT NOT NULL,
        deadline DOUBLE PRECISION
    )""",
    """CREATE TABLE silences (
        node TEXT COLLATE "C" PRIMARY KEY,
        at DOUBLE PRECISION NOT NULL,
        misses BIGINT NOT NULL,
        seconds DOUBLE PRECISION NOT NULL
    )""",
    """CREATE TABLE looks (
        node TEXT COLLATE "C" PRIMARY KEY,
        at DOUBLE PRECISION NOT NULL,
        seen_at DOUBLE PRECISION,
        stats TEXT COLLATE "C",
        cause TEXT COLLATE "C",
        why TEXT COLLATE "C" NOT NULL
    )""",
    """CREATE TABLE sweeps (
        number BIGINT PRIMARY KEY,
        started DOUBLE PRECISION NOT NULL,
        finished DOUBLE PRECISION NOT NULL,
        result TEXT COLLATE "C" NOT NULL
    )""",
)

FIRST_VERSION = 2
"""How many of schema.py's migrations those tables have in them."""

MOVES = (
    # What SQLite counts by itself, and the order of the moves is told by.
    """CREATE TABLE moves (
        rowid BIGINT GENERATED ALWAYS AS IDENTITY,
        job TEXT COLLATE "C" NOT NULL,
        "group" TEXT COLLATE "C" NOT NULL,
        "index" BIGINT NOT NULL,
        source TEXT COLLATE "C" NOT NULL,
        target TEXT COLLATE "C" NOT NULL,
        reason TEXT COLLATE "C" NOT NULL,
        PRIMARY KEY (job, "group", "index")
    )""",
)

TOKENS = (
    """CREATE TABLE tokens (
        name TEXT COLLATE "C" PRIMARY KEY,
        role TEXT COLLATE "C" NOT NULL,
        digest TEXT COLLATE "C" NOT NULL UNIQUE,
        created_at DOUBLE PRECISION NOT NULL,
        expires_at DOUBLE PRECISION NOT NULL,
        actor TEXT COLLATE "C" NOT NULL
    )""",
)

DEVICES = ("""ALTER TABLE tasks ADD COLUMN devices TEXT COLLATE "C" NOT NULL DEFAULT '{}'""",)

MAINTENANCES = (
    """CREATE TABLE maintenances (
        job TEXT COLLATE "C" PRIMARY KEY,
        at DOUBLE PRECISION NOT NULL,
        actor TEXT COLLATE "C" NOT NULL,
        retry_after DOUBLE PRECISION NOT NULL
    )""",
)

MEASURES = (
    """CREATE TABLE measures (
        node TEXT COLLATE "C" NOT NULL,
        at DOUBLE PRECISION NOT NULL,
        fine BIGINT NOT NULL,
        body TEXT COLLATE "C" NOT NULL,
        PRIMARY KEY (node, at)
    )""",
    "CREATE INDEX measures_by_age ON measures (fine, at)",
)

LEAVE_DATA = ("ALTER TABLE cordons ADD COLUMN leave_data BIGINT NOT NULL DEFAULT 0",)

SHARES = (
    """CREATE TABLE managers (
        name TEXT COLLATE "C" PRIMARY KEY,
        until DOUBLE PRECISION NOT NULL
    )""",
    """CREATE TABLE shares (
        node TEXT COLLATE "C" PRIMARY KEY,
        manager TEXT COLLATE "C" NOT NULL,
        until DOUBLE PRECISION NOT NULL
    )""",
    "ALTER TABLE looks ADD COLUMN news BIGINT NOT NULL DEFAULT 0",
)

LEFT_VOLUMES = (
    """CREATE TABLE left_volumes (
        node TEXT COLLATE "C" NOT NULL,
        volume TEXT COLLATE "C" NOT NULL,
        job TEXT COLLATE "C" NOT NULL,
        version BIGINT NOT NULL,
        until DOUBLE PRECISION NOT NULL,
        PRIMARY KEY (node, volume)
    )""",
)

NOTICES = ("CREATE TABLE notices (event BIGINT PRIMARY KEY)",)

MIGRATIONS: tuple[Sequence[str], ...] = (
    MOVES, TOKENS, DEVICES, MAINTENANCES, MEASURES, LEAVE_DATA, SHARES, LEFT_VOLUMES, NOTICES,
)  # fmt: skip
"""What each later one of schema.py's is here. Released ones are never edited."""

NEWEST = FIRST_VERSION + len(MIGRATIONS)


def bring_up_to_date(database: Database, *, create: bool) -> None:
    """Bring the state to the newest version, in one transaction; any number of processes may at once.

    Raises InputError where there is none (and none is to be made), for another program's tables, and for a
    state that a newer Cube wrote.
    """
    if version_of(database) == NEWEST:
        return
    database.execute("BEGIN")
    try:
        database.execute("SELECT pg_advisory_xact_lock(?)", [DOOR])
        _step(database, version_of(database), create=create)
        database.execute("COMMIT")
    except BaseException:
        database.rollback()
        raise


def _step(database: Database, version: int, *, create: bool) -> None:
    if not version:
        _refuse_to_begin(database, create=create)
        for statement in TABLES:
            database.execute(statement)
        database.execute("INSERT INTO identity VALUES (1, ?, 1)", [str(uuid4())])
        database.execute("INSERT INTO schema_version VALUES (?, ?)", [MARK, FIRST_VERSION])
    for migration in MIGRATIONS[max(version - FIRST_VERSION, 0) :]:
        for statement in migration:
            database.execute(statement)
    database.execute("UPDATE schema_version SET version = ?", [NEWEST])


def _refuse_to_begin(database: Database, *, create: bool) -> None:
    if not create:
        raise InputError("there is no state there", where=database.where)
    (encoding,) = database.execute("SELECT current_setting('server_encoding')").fetchone()
    if encoding != "UTF8":
        why, cure = f"its encoding is {encoding}", "make one with ENCODING 'UTF8'"
        raise InputError("the database cannot hold a state", where=database.where, why=why, cure=cure)
    others = (
        "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace"
    )
    if used := database.execute(others).fetchone():
        why = f"it has another program's table, {used[0]}"
        cure = "name a database or a schema of Cube's own: ?options=-csearch_path%3DNAME"
        raise InputError("the database is refused", where=database.where, why=why, cure=cure)


def version_of(database: Database) -> int:
    """Which version the state has, 0 where there is none. Raises InputError for a newer Cube's."""
    (table,) = database.execute("SELECT to_regclass('schema_version')").fetchone()
    if table is None:
        return 0
    mark, version = database.execute("SELECT mark, version FROM schema_version").fetchone()
    if mark != MARK:
        raise InputError("the database is refused", where=database.where, why="it does not carry Cube's mark")
    if version > NEWEST:
        why = f"its schema is version {version}, this Cube knows {NEWEST}"
        raise InputError(
            "the state was written by a newer Cube", where=database.where, why=why, cure="update Cube"
        )
    return int(version)
