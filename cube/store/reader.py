"""What a state can be asked. Nothing here changes anything that is remembered."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from cube.model.job import Job
from cube.model.maintenance import Maintenance
from cube.model.measure import Measure
from cube.model.move import Move
from cube.model.node import Cordon, Silence
from cube.model.observation import Stats
from cube.model.rollout import Rollout
from cube.model.task import Slot, Task, TaskEvent
from cube.model.token import Token
from cube.store import read
from cube.store.check import problems
from cube.store.database import Database
from cube.store.guard import Guard
from cube.store.lease import Lease
from cube.store.rows import Death, JobVersion, Look, Sweep


class Mark(NamedTuple):
    """What the state is known by: another `record` after each change, another `looks` also after a look."""

    record: object
    looks: int


class Reader:
    """The questions to what is remembered of one cluster. `path` is its file, where it is one.

    Every method raises what `Store` says.
    """

    def __init__(self, connection: Database, path: Path | None) -> None:
        self.path = path
        self._connection = connection
        self._guard = Guard(connection)
        self._changes = self._notes = 0
        self._current: tuple[Mark | None, tuple[Task, ...]] = (None, ())

    def close(self) -> None:
        """Let go of it."""
        with self._guard as connection:
            connection.close()

    @property
    def where(self) -> str:
        """What it is called in messages: its path, or its URL without a password."""
        return self._connection.where

    @property
    def owner(self) -> str:
        """The store's own id, made once: a container with another one was started from another state."""
        with self._guard as connection:
            (owner,) = connection.execute("SELECT owner FROM identity").fetchone()
        return str(owner)

    @property
    def epoch(self) -> int:
        """How often the work was taken over from a holder that died; from 1."""
        with self._guard as connection:
            return read.number(connection, "SELECT epoch FROM identity")

    def mark(self) -> Mark | None:
        """Another one whenever anything was recorded since, by whomever; None where nobody can tell."""
        with self._guard as connection:
            others = connection.mark()
            return None if others is None else Mark((others, self._changes), self._notes)

    @property
    def term(self) -> float | None:
        """Seconds after which a lease that is not renewed is another's; None where a lock keeps it."""
        return self._connection.term

    def version_of(self, job: Job) -> int:
        """The version that `put_job` would give it."""
        with self._guard as connection:
            newest = next((found.job for found in read.newest_jobs(connection, job.name)), None)
            return known_as(job, newest) or read.next_version(connection, job.name)

    def rollouts(self) -> Mapping[str, Rollout]:
        """How far the newest version of each job has come."""
        with self._guard as connection:
            return {rollout.job: rollout for rollout in read.rollouts(connection)}

    def stable_version(self, job: str) -> int | None:
        """The newest version of the job that succeeded and wanted it to run."""
        with self._guard as connection:
            return read.stable_version(connection, job)

    def rollouts_of(self, job: str) -> tuple[Rollout, ...]:
        """How far each version of the job has come, the oldest first."""
        with self._guard as connection:
            return read.rollouts(connection, job)

    def cordons(self) -> Mapping[str, Cordon]:
        """The nodes that get no new tasks."""
        with self._guard as connection:
            return {cordon.node: cordon for cordon in read.cordons(connection)}

    def moves(self) -> Mapping[Slot, Move]:
        """The slots that are to be filled on another node."""
        with self._guard as connection:
            return {move.slot: move for move in read.moves(connection)}

    def maintenances(self) -> Mapping[str, Maintenance]:
        """The jobs that proxies send no request to."""
        with self._guard as connection:
            return {found.job: found for found in read.maintenances(connection)}

    def tokens(self) -> tuple[Token, ...]:
        """Every token that requests to a manager may show, by name; expired ones, too."""
        with self._guard as connection:
            return read.tokens(connection)

    def silences(self) -> Mapping[str, Silence]:
        """How long the nodes that did not answer the last look have been silent."""
        with self._guard as connection:
            return {silence.node: silence for silence in read.silences(connection)}

    def silent(self) -> frozenset[str]:
        """The nodes that did not answer the last look at them."""
        with self._guard as connection:
            return read.silent(connection)

    def post_mortems(self, name: str) -> tuple[Death, ...]:
        """What the containers of that task (or the start of its id), or of that job, left behind."""
        with self._guard as connection:
            return read.post_mortems(connection, name)

    def jobs(self) -> tuple[Job, ...]:
        """The newest version of each job, by name."""
        with self._guard as connection:
            return tuple(found.job for found in read.newest_jobs(connection))

    def job(self, name: str, version: int | None = None) -> Job | None:
        """That version of the job, by default the newest; None where there is none."""
        found = [known.job for known in self.versions(name) if version in (None, known.job.version)]
        return found[-1] if found else None

    def versions(self, name: str) -> tuple[JobVersion, ...]:
        """Every version of the job, the oldest first."""
        with self._guard as connection:
            return read.job_versions(connection, name)

    def tasks(self, job: str | None = None) -> tuple[Task, ...]:
        """Every task, or those of one job, in the order in which they were wanted."""
        with self._guard as connection:
            return read.tasks(connection, "job = coalesce(?, job)", [job])

    def current_tasks(self) -> tuple[Task, ...]:
        """The newest task of every slot, and every older one that is live or in quarantine."""
        with self._guard as connection:
            mark, (of, tasks) = self.mark(), self._current
            if mark is None or of is None or mark.record != of.record:
                where = f"{read.LIVE} OR {read.IN_QUARANTINE} OR {read.NEWEST_OF_ITS_SLOT}"
                tasks = read.tasks(connection, where)
                self._current = (mark, tasks)
            return tasks

    def former_tasks(self) -> tuple[Task, ...]:
        """Of every slot whose newest task has no node the newest one that had: its data may be there."""
        with self._guard as connection:
            return read.tasks(connection, read.LAST_ON_A_NODE_OF_EACH_WAITING_SLOT)

    def events(
        self,
        *,
        job: str | None = None,
        task: str | None = None,
        since: float | None = None,
        after: int | None = None,
        limit: int | None = None,
    ) -> tuple[TaskEvent, ...]:
        """The events in order, at most the newest `limit`: of a job or task, since a time, after a number."""
        with self._guard as connection:
            return read.events(connection, _narrowed(job, task, since, after), limit=limit)

    def events_after(
        self,
        number: int,
        limit: int,
        *,
        job: str | None = None,
        task: str | None = None,
        since: float | None = None,
    ) -> tuple[TaskEvent, ...]:
        """The first `limit` events after that number: asked again after their last one, all of them."""
        with self._guard as connection:
            return read.first_events(connection, _narrowed(job, task, since, number), limit=limit)

    def was_told(self, job: str, words: str, *, since: float) -> bool:
        """An event of the job begins with these words, since that time."""
        return any(event.reason.startswith(words) for event in self.events(job=job, since=since))

    def looks(self) -> tuple[Look, ...]:
        """The last look at each node, by name."""
        with self._guard as connection:
            return read.looks(connection)

    def samples(self) -> Mapping[str, Stats]:
        """The newest stats of each node that ever showed some: the earlier sample for its CPU use."""
        return {look.node: look.stats for look in self.looks() if look.stats}

    def sample(self, node: str) -> Stats | None:
        """The newest stats of that node; None of one that never showed some."""
        with self._guard as connection:
            found = read.look(connection, node)
            return found.stats if found else None

    def measures(self, node: str, since: float) -> tuple[Measure, ...]:
        """What was measured of the node since then, the oldest first."""
        with self._guard as connection:
            return read.measures(connection, node, since)

    def last_sweep(self) -> Sweep | None:
        """The newest run over the fleet."""
        return next(iter(self.sweeps(1)), None)

    def sweeps(self, count: int) -> tuple[Sweep, ...]:
        """So many of the newest runs over the fleet, the newest first."""
        with self._guard as connection:
            return read.sweeps(connection, count)

    def lease(self) -> Lease | None:
        """Who holds the lock, or died holding it."""
        with self._guard as connection:
            return read.lease(connection)

    def may_act(self) -> bool:
        """Whoever has taken the lease has it still, as far as can be told without asking."""
        return self._connection.may_act()

    def backup(self, target: Path) -> None:
        """A whole and checked copy, 0600; others may go on working. Raises InputError if `target` exists."""
        with self._guard as connection:
            connection.back_up(target)

    def check(self) -> tuple[str, ...]:
        """Everything that is wrong with the state and what it holds; nothing is, where it is empty."""
        with self._guard as connection:
            return problems(connection)

    @contextmanager
    def moment(self) -> Iterator[None]:
        """All that is read inside is of one moment, whatever other processes write meanwhile."""
        with self._guard as connection:
            try:
                connection.begin_look()
                yield
            finally:
                connection.rollback()


def _narrowed(
    job: str | None, task: str | None, since: float | None, after: int | None
) -> Sequence[tuple[str, str | float | None]]:
    return [("job = ?", job), ("task = ?", task), ("at >= ?", since), ("number > ?", after)]


def known_as(job: Job, newest: Job | None) -> int:
    """The newest version, if the job differs in nothing from it; else 0."""
    return newest.version if newest and newest == replace(job, version=newest.version) else 0
