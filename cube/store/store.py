"""The store: what is remembered, in one database; every change is one transaction with its event."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

from cube.errors import InputError
from cube.model.action import Effect, Outcome, Plan
from cube.model.codec import to_data
from cube.model.job import Job
from cube.model.maintenance import Maintenance
from cube.model.measure import Measure
from cube.model.move import Move
from cube.model.node import Cordon, Silence
from cube.model.observation import Observation, Stats
from cube.model.rollout import Rollout, RolloutState
from cube.model.task import Slot, Task, TaskEvent
from cube.model.token import Token
from cube.store import read, rows, transfer, write
from cube.store.address import Server, StatePlace
from cube.store.check import problems
from cube.store.database import Database
from cube.store.guard import Guard
from cube.store.lease import Lease
from cube.store.record import Recording
from cube.store.rows import Death, JobVersion, Look, Restored, Sweep
from cube.store.sqlite import Durable, File, open_file

PATIENCE = 5.0
"""Seconds to wait for another process's transaction; none of Cube's takes longer than milliseconds."""

LOOK = "look"
"""By whom the events are that a look alone brings about."""


def random_id() -> str:
    """An id that nothing else has."""
    return str(uuid4())


def open_store(
    place: StatePlace,
    *,
    create: bool = True,
    patience: float = PATIENCE,
    new_id: Callable[[], str] = random_id,
    factory: type[File] = Durable,
) -> "Store":
    """The store at that place, made and brought to the newest schema where needed; close it after use.

    `new_id` makes the ids of tasks, `factory` the connection to a file. Raises InputError where the state is
    missing (and not to be created), unsafe, damaged, not Cube's or written by a newer Cube; LockedError where
    another process keeps it locked for `patience` seconds; CubeError where a server does not answer.
    """
    if isinstance(place, Server):
        return Store(_at_server(place, create=create, patience=patience), None, new_id=new_id)
    file = open_file(place, create=create, patience=patience, factory=factory)
    return Store(file, file.path, new_id=new_id)


def _at_server(place: Server, *, create: bool, patience: float) -> Database:
    try:
        from cube.store.postgres import open_server  # noqa: PLC0415 - it takes 60 ms to load, and few have one
    except ImportError as error:
        cure = "Install it beside Cube: pip install 'psycopg[binary]'"
        raise InputError("psycopg is missing", where=str(place), why=str(error), cure=cure) from error
    return open_server(place, create=create, patience=patience)


class Mark(NamedTuple):
    """What the state is known by: another `record` after each change, another `looks` also after a look."""

    record: object
    looks: int


class Store:
    """What is remembered of one cluster: jobs, tasks and every event; safe to share between threads.

    Every method raises LockedError where another process keeps the state locked for too long, InputError
    where it is damaged or gone, CubeError where the disk is full or a server does not answer; then nothing
    was changed. `path` is its file, where it is one.
    """

    def __init__(self, connection: Database, path: Path | None, *, new_id: Callable[[], str]) -> None:
        self.path = path
        self._new_id = new_id
        self._connection = connection
        self._tables = write.Tables(connection)
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

    def put_job(self, job: Job, *, now: float, actor: str, reason: str) -> Job:
        """The job with its version: a new one if it differs from the newest, else the newest as it is.

        A new version begins a rollout; where the last one of the same failed, it begins again.
        """
        with self._recording(now, actor) as recording:
            connection = self._connection
            newest = next((found.job for found in read.newest_jobs(connection, job.name)), None)
            if newest is None or not _known_as(job, newest):
                return recording.want(job, reason, stable=read.stable_version(connection, job.name))
            last = next(iter(read.rollouts(connection, job.name)[-1:]), None)
            if last is not None and last.state is RolloutState.FAILED:
                again = replace(last, state=RolloutState.RUNNING, since=now, reason="")
                recording.roll(again, f"{reason} again: version {last.version}")
            return newest

    def version_of(self, job: Job) -> int:
        """The version that `put_job` would give it."""
        with self._guard as connection:
            newest = next((found.job for found in read.newest_jobs(connection, job.name)), None)
            return _known_as(job, newest) or read.next_version(connection, job.name)

    def put_run(self, job: Job, *, now: float, actor: str, reason: str) -> Job:
        """A run of a parameterized job, its name made different from all others by a number."""
        with self._recording(now, actor) as recording:
            number = 1
            while read.next_version(self._connection, f"{job.name}.{number}") > 1:
                number += 1
            return recording.want(replace(job, name=f"{job.name}.{number}"), reason)

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

    def put_rollout(self, rollout: Rollout, *, now: float, actor: str, reason: str) -> None:
        """Somebody promoted, paused or resumed the rollout."""
        with self._recording(now, actor) as recording:
            recording.roll(rollout, reason)

    def cordons(self) -> Mapping[str, Cordon]:
        """The nodes that get no new tasks."""
        with self._guard as connection:
            return {cordon.node: cordon for cordon in read.cordons(connection)}

    def put_cordon(self, cordon: Cordon) -> None:
        """Keep new tasks away from the node."""
        with self._recording(cordon.at, cordon.actor) as recording:
            self._tables.put("cordons", [rows.cordon_row(cordon)], key=("node",))
            recording.tell_of_node(cordon.node, "drained" if cordon.draining else "cordoned")

    def lift_cordon(self, node: str, *, now: float, actor: str) -> bool:
        """Let the node have new tasks again; False: nobody had kept them away."""
        with self._recording(now, actor) as recording:
            if node not in [found.node for found in read.cordons(self._connection)]:
                return False
            self._connection.execute("DELETE FROM cordons WHERE node = ?", [node])
            recording.tell_of_node(node, "uncordoned")
            return True

    def moves(self) -> Mapping[Slot, Move]:
        """The slots that are to be filled on another node."""
        with self._guard as connection:
            return {move.slot: move for move in read.moves(connection)}

    def put_move(self, move: Move, *, now: float, actor: str) -> None:
        """Want the slot on another node; an earlier wish for it is over."""
        with self._recording(now, actor) as recording:
            recording.move(move)

    def maintenances(self) -> Mapping[str, Maintenance]:
        """The jobs that proxies send no request to."""
        with self._guard as connection:
            return {found.job: found for found in read.maintenances(connection)}

    def put_maintenance(self, maintenance: Maintenance, version: int) -> None:
        """Have requests for the job, which is in that version, answered by a page."""
        with self._recording(maintenance.at, maintenance.actor) as recording:
            self._tables.put("maintenances", [to_data(maintenance)], key=("job",))
            recording.tell_of_job(maintenance.job, version, "maintenance begun")

    def end_maintenance(self, job: str, version: int, *, now: float, actor: str) -> None:
        """Have requests for the job answered by its tasks again."""
        with self._recording(now, actor) as recording:
            sql = "DELETE FROM maintenances WHERE job = ?"
            if self._connection.execute(sql, [job]).rowcount:
                recording.tell_of_job(job, version, "maintenance ended")

    def tokens(self) -> tuple[Token, ...]:
        """Every token that requests to a manager may show, by name; expired ones, too."""
        with self._guard as connection:
            return read.tokens(connection)

    def put_token(self, token: Token) -> None:
        """Let requests show that token. Raises InputError where another one has its name."""
        with self._recording(token.created_at, token.actor) as recording:
            if token.name in [found.name for found in read.tokens(self._connection)]:
                cure = f"Revoke it first: cube token revoke {token.name}"
                raise InputError(f"there is a token {token.name} already", cure=cure)
            self._tables.put("tokens", [to_data(token)], key=("name",))
            recording.tell_of_node("", f"token {token.name} made, with the role {token.role}")

    def revoke_token(self, name: str, *, now: float, actor: str) -> bool:
        """Let no request show it any more; False: there is none of that name."""
        with self._recording(now, actor) as recording:
            if name not in [found.name for found in read.tokens(self._connection)]:
                return False
            self._connection.execute("DELETE FROM tokens WHERE name = ?", [name])
            recording.tell_of_node("", f"token {name} revoked")
            return True

    def silences(self) -> Mapping[str, Silence]:
        """How long the nodes that did not answer the last look have been silent."""
        with self._guard as connection:
            return {silence.node: silence for silence in read.silences(connection)}

    def post_mortems(self, name: str) -> tuple[Death, ...]:
        """What the containers of that task (or the start of its id), or of that job, left behind."""
        with self._guard as connection:
            return read.post_mortems(connection, name)

    def tell_of_job(self, job: str, version: int, *, now: float, actor: str, reason: str) -> None:
        """An event about a whole job."""
        with self._recording(now, actor) as recording:
            recording.tell_of_job(job, version, reason)

    def tell_of_node(self, node: str, reason: str, *, now: float, actor: str) -> None:
        """An event about a node; without a name about the manager itself."""
        with self._recording(now, actor) as recording:
            recording.tell_of_node(node, reason)

    def restore(self, found: Restored, *, now: float, actor: str) -> None:
        """What a fleet's labels tell, into a state that knows no job yet.

        The owner and an epoch above all others are taken over with it, so that every container is this
        store's from now on. Raises InputError where the state is in use already.
        """
        with self._recording(now, actor) as recording:
            if read.newest_jobs(self._connection):
                why, cure = "it knows jobs already", "name another one with --state, or move this one away"
                raise InputError("the state is not empty", where=self.where, why=why, cure=cure)
            self._connection.execute(
                "UPDATE identity SET owner = ?, epoch = ?", [found.owner, found.epoch + 1]
            )
            for job in found.jobs:
                version = JobVersion(job=job, at=now, actor=actor, reason="recovered from labels")
                self._tables.put("jobs", [rows.job_row(version)], key=("name", "version"))
                done = Rollout(job=job.name, version=job.version, since=now, state=RolloutState.SUCCEEDED)
                recording.roll(done, f"recovered from labels: version {job.version}")
            for task in found.tasks:
                recording.take_in(task)

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

    def forget_job(self, name: str) -> bool:
        """Remove the job, its versions and its tasks; False, and nothing is done, while a task of it is live.

        Its events stay, and no version number that they tell of is used again.
        """
        with self._change() as connection:
            return write.forget_job(connection, name)

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

    def record_plan(self, plan: Plan, *, now: float, actor: str) -> tuple[Effect, ...]:
        """Record what the plan intends, all of it or nothing; the effects to carry out, in the plan's order.

        A Place becomes the Start of its recorded task. A Wait or Note that says nothing new writes nothing.
        Raises InternalError where a step is not in the table of transitions.
        """
        if not plan.actions:
            return ()
        with self._recording(now, actor) as recording:
            effects = [recording.intend(action) for action in plan.actions]
        return tuple(effect for effect in effects if effect)

    def record_outcome(self, effect: Effect, outcome: Outcome, *, now: float, actor: str) -> None:
        """Record what came of an effect that `record_plan` returned."""
        with self._recording(now, actor) as recording:
            recording.conclude(effect, outcome)

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
        conditions = [("job = ?", job), ("task = ?", task), ("at >= ?", since), ("number > ?", after)]
        with self._guard as connection:
            return read.events(connection, conditions, limit=limit)

    def put_observations(self, observations: Iterable[Observation]) -> None:
        """Remember the last look at each of these nodes; what one that did not answer had shown is kept."""
        with self._note() as connection:
            write.note_looks(connection, [rows.look_row(seen) for seen in observations])

    def put_silences(
        self, silences: Iterable[Silence], news: Iterable[tuple[str, str]], *, now: float
    ) -> None:
        """Remember the nodes that did not answer a look at all of them, in place of those known before.

        `news` is what the look shows that is worth an event: a node, empty for the fleet, and what happened.
        """
        with self._recording(now, LOOK) as recording:
            write.note_silences(self._connection, silences)
            for node, what in news:
                recording.tell_of_node(node, what)

    def looks(self) -> tuple[Look, ...]:
        """The last look at each node, by name."""
        with self._guard as connection:
            return read.looks(connection)

    def silent(self) -> frozenset[str]:
        """The nodes that did not answer the last look at them."""
        with self._guard as connection:
            return read.silent(connection)

    def samples(self) -> Mapping[str, Stats]:
        """The newest stats of each node that ever showed some: the earlier sample for its CPU use."""
        return {look.node: look.stats for look in self.looks() if look.stats}

    def put_measures(self, measures: Iterable[Measure], *, now: float, keep: float) -> None:
        """Remember what was measured of nodes, at most once a minute of each, for `keep` seconds.

        After some hours one in a quarter of an hour is left.
        """
        with self._note() as connection:
            write.note_measures(connection, measures)
            write.forget_measures(connection, now=now, keep=keep)

    def measures(self, node: str, since: float) -> tuple[Measure, ...]:
        """What was measured of the node since then, the oldest first."""
        with self._guard as connection:
            return read.measures(connection, node, since)

    def put_sweep(self, sweep: Sweep) -> None:
        """Remember that a run over the fleet ended; the newest thousand are kept."""
        with self._note() as connection:
            write.note_sweep(connection, sweep)

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

    def take_lease(self, lease: Lease) -> int:
        """Write who works on the state now; the epoch, one higher if the last one died.

        At a file the caller holds the lock. Raises LockedError where a server knows somebody else at work.
        """
        with self._change() as connection:
            connection.admit()
            died = read.lease(connection) is not None
            connection.execute("UPDATE identity SET epoch = epoch + ?", [int(died)])
            write.note_lease(connection, lease)
            connection.enter()
            return read.number(connection, "SELECT epoch FROM identity")

    def renew_lease(self) -> None:
        """Say that the holder lives. Raises LockedError where somebody took over from it."""
        with self._guard as connection:
            connection.renew()

    def drop_lease(self) -> None:
        """Take the lease back, when the work has ended."""
        with self._guard as connection:
            try:
                connection.leave()
            finally:
                connection.rollback()

    def may_act(self) -> bool:
        """Whoever has taken the lease has it still, as far as can be told without asking."""
        return self._connection.may_act()

    def backup(self, target: Path) -> None:
        """A whole and checked copy, 0600; others may go on working. Raises InputError if `target` exists."""
        with self._guard as connection:
            connection.back_up(target)

    def pour_into(self, other: "Store") -> None:
        """All that is remembered, and the identity, into an empty store. Raises InputError."""
        with self.moment(), other._change() as target:  # noqa: SLF001 - the other one is a store, too
            transfer.pour(self._connection, target)

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

    @contextmanager
    def _recording(self, now: float, actor: str) -> Iterator[Recording]:
        with self._change():
            recording = Recording(self._tables, now=now, actor=actor, new_id=self._new_id)
            yield recording
            recording.write()

    @contextmanager
    def _change(self) -> Iterator[Database]:
        with self._note() as connection:
            try:
                yield connection
            finally:
                self._changes += 1

    @contextmanager
    def _note(self) -> Iterator[Database]:
        """A change of what was looked at, and of no task."""
        with self._guard as connection:
            try:
                connection.begin_change()
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                connection.rollback()
                raise
            finally:
                self._notes += 1


def _known_as(job: Job, newest: Job | None) -> int:
    """The newest version, if the job differs in nothing from it; else 0."""
    return newest.version if newest and newest == replace(job, version=newest.version) else 0
