"""Shares: which manager looks after which nodes, where several look after one fleet.

Each has a fair part of the nodes, by leases that run out: what a dead one had is taken by those who live.
A manager that was stopped and goes on may look beside the one that has its nodes by now; only looks are
shared, and who acts is the lock's to say. Of several that could tell people of an event one does, too.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from cube.store import read
from cube.store.database import Database
from cube.store.guard import Guard

REMEMBERED = 100_000
"""Of how many events it is known whether somebody was to tell of them: no manager is that late."""


class Told(NamedTuple):
    """What is told of a node by whoever looks after it.

    `at` is the last look, by that manager's clock, `news` how often there was anything new.
    """

    at: float
    news: int
    is_silent: bool


class Shares:
    """The shares of one state. Every method raises what `Store` says."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard

    def renew(self, manager: str, nodes: Collection[str], *, term: float) -> frozenset[str]:
        """The manager lives, and looks after these of those nodes for `term` seconds from now on.

        What is more than its fair part it gives back; what it lacks it takes from what nobody has.
        """
        with self._change() as connection:
            now = connection.now()
            fair = fair_part(len(nodes), _living(connection, manager, now, now + term), manager)
            held = _extended(connection, manager, now + term)
            kept = [node for node in held if node in nodes][:fair]
            _give_back(connection, set(held) - set(kept))
            free = _free(connection, sorted(nodes), fair - len(kept), now)
            _take(connection, manager, free, now + term)
            return frozenset((*kept, *free))

    def leave(self, manager: str) -> None:
        """The manager ends: the others may take what it had."""
        with self._change() as connection:
            connection.execute("DELETE FROM shares WHERE manager = ?", [manager])
            connection.execute("DELETE FROM managers WHERE name = ?", [manager])

    def held(self) -> Mapping[str, str]:
        """The manager of each node that one looks after."""
        with self._guard as connection:
            sql = "SELECT node, manager FROM shares WHERE until > ? ORDER BY node"
            return dict(read.select(connection, tuple, sql, [connection.now()]))

    def tell(self, nodes: Iterable[str]) -> None:
        """There is something new on these nodes: whoever else needs to know looks there."""
        with self._change() as connection:
            sql = "UPDATE looks SET news = news + 1 WHERE node = ?"
            connection.executemany(sql, [(node,) for node in sorted(nodes)])

    def told(self) -> Mapping[str, Told]:
        """What is told of each node that was ever looked at."""
        with self._guard as connection:
            sql = "SELECT node, at, news, cause IS NOT NULL FROM looks"
            return dict(read.select(connection, lambda row: (row[0], Told(row[1], row[2], row[3])), sql))

    def take_notice(self, event: int) -> bool:
        """Whether the caller is the one manager that tells people of that event: the first that asks."""
        with self._change() as connection:
            connection.execute("DELETE FROM notices WHERE event <= ?", [event - REMEMBERED])
            sql = "INSERT INTO notices (event) VALUES (?) ON CONFLICT (event) DO NOTHING"
            return connection.execute(sql, [event]).rowcount == 1

    @contextmanager
    def _change(self) -> Iterator[Database]:
        with self._guard as connection:
            try:
                connection.begin_beside()
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                connection.rollback()
                raise


def fair_part(count: int, managers: Sequence[str], manager: str) -> int:
    """How many of so many nodes are that manager's: no two of them differ by more than one."""
    return count // len(managers) + (sorted(managers).index(manager) < count % len(managers))


def _living(connection: Database, manager: str, now: float, until: float) -> tuple[str, ...]:
    sql = """INSERT INTO managers (name, until) VALUES (?, ?)
        ON CONFLICT (name) DO UPDATE SET until = excluded.until"""
    connection.execute(sql, [manager, until])
    connection.execute("DELETE FROM managers WHERE until <= ?", [now])
    return read.select(connection, lambda row: str(row[0]), "SELECT name FROM managers")


def _extended(connection: Database, manager: str, until: float) -> tuple[str, ...]:
    """What it has; whoever is late has it still where nobody was quicker."""
    connection.execute("UPDATE shares SET until = ? WHERE manager = ?", [until, manager])
    sql = "SELECT node FROM shares WHERE manager = ? ORDER BY node"
    return read.select(connection, lambda row: str(row[0]), sql, [manager])


def _give_back(connection: Database, nodes: Iterable[str]) -> None:
    connection.executemany("DELETE FROM shares WHERE node = ?", [(node,) for node in sorted(nodes)])


def _free(connection: Database, nodes: Sequence[str], count: int, now: float) -> tuple[str, ...]:
    """So many of the nodes that nobody has, and that nobody else is taking at this moment."""
    if count <= 0:
        return ()
    known = set(read.select(connection, lambda row: row[0], "SELECT node FROM shares"))
    new = "INSERT INTO shares (node, manager, until) VALUES (?, '', 0) ON CONFLICT (node) DO NOTHING"
    connection.executemany(new, [(node,) for node in nodes if node not in known])
    marks = ", ".join("?" * len(nodes))
    sql = f"SELECT node FROM shares WHERE until <= ? AND node IN ({marks}) ORDER BY node LIMIT ?"  # noqa: S608
    values = [now, *nodes, count]
    return read.select(connection, lambda row: str(row[0]), f"{sql} {connection.skip_locked}", values)


def _take(connection: Database, manager: str, nodes: Iterable[str], until: float) -> None:
    sql = "UPDATE shares SET manager = ?, until = ? WHERE node = ?"
    connection.executemany(sql, [(manager, until, node) for node in nodes])
