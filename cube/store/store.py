"""The store: what is remembered, in one database; every change is one transaction with its event."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

from cube.errors import InputError
from cube.model.action import Effect, Outcome, Plan
from cube.model.codec import to_data
from cube.model.job import Job
from cube.model.maintenance import Maintenance
from cube.model.measure import Measure
from cube.model.move import Move
from cube.model.node import Cordon, Silence
from cube.model.observation import Observation
from cube.model.precondition import Precondition
from cube.model.rollout import Rollout, RolloutState
from cube.model.token import Token
from cube.store import read, rows, transfer, write
from cube.store.address import Server, StatePlace
from cube.store.database import Database
from cube.store.lease import Lease
from cube.store.left import LeftVolumes
from cube.store.reader import Reader, known_as
from cube.store.record import Recording
from cube.store.rows import JobVersion, Restored, Sweep
from cube.store.shares import Shares
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
        cure = "Install it beside Cube: pip install 'cube[postgresql]'"
        raise InputError("psycopg is missing", where=str(place), why=str(error), cure=cure) from error
    return open_server(place, create=create, patience=patience)


class Store(Reader):
    """What is remembered of one cluster: jobs, tasks and every event; safe to share between threads.

    Every method raises LockedError where another process keeps the state locked for too long, InputError
    where it is damaged or gone, CubeError where the disk is full or a server does not answer; then nothing
    was changed.
    """

    def __init__(self, connection: Database, path: Path | None, *, new_id: Callable[[], str]) -> None:
        super().__init__(connection, path)
        self._new_id = new_id
        self._tables = write.Tables(connection)

    def put_job(
        self, job: Job, *, now: float, actor: str, reason: str, given: Precondition | None = None
    ) -> Job:
        """The job with its version: a new one if it differs from the newest, else the newest as it is.

        A new version begins a rollout; where the last one of the same failed, it begins again. Raises
        ChangedError where what is `given` does not hold.
        """
        with self._recording(now, actor) as recording:
            self._refuse_other(job.name, given)
            connection = self._connection
            newest = next((found.job for found in read.newest_jobs(connection, job.name)), None)
            if newest is None or not known_as(job, newest):
                return recording.want(job, reason, stable=read.stable_version(connection, job.name))
            last = next(iter(read.rollouts(connection, job.name)[-1:]), None)
            if last is not None and last.state is RolloutState.FAILED:
                again = replace(last, state=RolloutState.RUNNING, since=now, reason="")
                recording.roll(again, f"{reason} again: version {last.version}")
            return newest

    def put_run(self, job: Job, *, now: float, actor: str, reason: str) -> Job:
        """A run of a parameterized job, its name made different from all others by a number."""
        with self._recording(now, actor) as recording:
            number = 1
            while read.next_version(self._connection, f"{job.name}.{number}") > 1:
                number += 1
            return recording.want(replace(job, name=f"{job.name}.{number}"), reason)

    def put_rollout(
        self, rollout: Rollout, *, now: float, actor: str, reason: str, given: Precondition | None = None
    ) -> None:
        """Somebody promoted, paused or resumed the rollout. Raises ChangedError as `put_job`."""
        with self._recording(now, actor) as recording:
            self._refuse_other(rollout.job, given)
            recording.roll(rollout, reason)

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

    def carry_cordon(self, node: str, to: str, *, now: float) -> None:
        """The node is called otherwise now, and stays cordoned, or as a newer word has it of the new name."""
        with self._recording(now, LOOK) as recording:
            write.rename_node(self._connection, node, to)
            recording.tell_of_node(to, f"stays cordoned: it was called {node}")

    def put_move(self, move: Move, *, now: float, actor: str) -> None:
        """Want the slot on another node; an earlier wish for it is over."""
        with self._recording(now, actor) as recording:
            recording.move(move)

    def put_maintenance(
        self, maintenance: Maintenance, version: int, *, given: Precondition | None = None
    ) -> None:
        """Have requests for the job, which is in that version, answered by a page.

        Raises ChangedError as `put_job`.
        """
        with self._recording(maintenance.at, maintenance.actor) as recording:
            self._refuse_other(maintenance.job, given)
            self._tables.put("maintenances", [to_data(maintenance)], key=("job",))
            recording.tell_of_job(maintenance.job, version, "maintenance begun")

    def end_maintenance(
        self, job: str, version: int, *, now: float, actor: str, given: Precondition | None = None
    ) -> None:
        """Have requests for the job answered by its tasks again. Raises ChangedError as `put_job`."""
        with self._recording(now, actor) as recording:
            self._refuse_other(job, given)
            sql = "DELETE FROM maintenances WHERE job = ?"
            if self._connection.execute(sql, [job]).rowcount:
                recording.tell_of_job(job, version, "maintenance ended")

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

    def forget_job(self, name: str) -> bool:
        """Remove the job, its versions and its tasks; False, and nothing is done, while a task of it is live.

        Its events stay, and no version number that they tell of is used again.
        """
        with self._change() as connection:
            return write.forget_job(connection, name)

    def record_plan(self, plan: Plan, *, now: float, actor: str) -> tuple[Effect, ...]:
        """Record what the plan intends, or nothing of it; the effects to carry out, in the plan's order.

        A Place becomes the Start of its recorded task. A Wait or Note that says nothing new writes nothing.
        What is about a task that is in another state by now is left to the next plan. Raises InternalError
        where a step is not in the table of transitions.
        """
        if not plan.actions:
            return ()
        with self._recording(now, actor) as recording:
            current = [action for action in plan.actions if recording.is_current(action)]
            effects = [recording.intend(action) for action in current]
        return tuple(effect for effect in effects if effect)

    def record_outcome(self, effect: Effect, outcome: Outcome, *, now: float, actor: str) -> None:
        """Record what came of an effect that `record_plan` returned."""
        with self._recording(now, actor) as recording:
            recording.conclude(effect, outcome)

    def put_observations(self, observations: Iterable[Observation]) -> None:
        """Remember the last look at each of these nodes; what one that did not answer had shown is kept."""
        with self._note() as connection:
            write.note_looks(connection, [rows.look_row(seen) for seen in observations])

    def put_silences(
        self,
        silences: Iterable[Silence],
        news: Iterable[tuple[str, str]],
        *,
        of: Iterable[str],
        now: float,
    ) -> None:
        """Remember which of those nodes did not answer, in place of what was known of them before.

        `news` is what the look shows that is worth an event: a node, empty for the fleet, and what happened.
        """
        with self._recording(now, LOOK) as recording:
            write.note_silences(self._connection, silences, of)
            for node, what in news:
                recording.tell_of_node(node, what)

    def put_measures(self, measures: Iterable[Measure], *, now: float, keep: float) -> None:
        """Remember what was measured of nodes, at most once a minute of each, for `keep` seconds.

        After some hours one in a quarter of an hour is left.
        """
        with self._note() as connection:
            write.note_measures(connection, measures)
            write.forget_measures(connection, now=now, keep=keep)

    def put_sweep(self, sweep: Sweep) -> None:
        """Remember that a run over the fleet ended; the newest thousand are kept."""
        with self._note() as connection:
            write.note_sweep(connection, sweep)

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

    @property
    def shares(self) -> Shares:
        """Who looks after which nodes."""
        return Shares(self._guard)

    @property
    def left(self) -> LeftVolumes:
        """The volumes that tasks have left, and until when each is kept."""
        return LeftVolumes(self._guard, self._recording)

    def drop_lease(self) -> None:
        """Take the lease back, when the work has ended."""
        with self._guard as connection:
            try:
                connection.leave()
            finally:
                connection.rollback()

    def pour_into(self, other: "Store") -> None:
        """All that is remembered, and the identity, into an empty store. Raises InputError."""
        with self.moment(), other._change() as target:  # noqa: SLF001 - the other one is a store, too
            transfer.pour(self._connection, target)

    def _refuse_other(self, job: str, given: Precondition | None) -> None:
        """Within the transaction that is to change the job: nobody comes in between."""
        if given is not None:
            newest = next(iter(read.newest_jobs(self._connection, job)), None)
            given.refuse_other(job, newest.job.version if newest else None)

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
