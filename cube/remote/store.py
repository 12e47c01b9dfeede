"""What a manager remembers, in the shape of the store: commands that print ask it the same questions."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple
from urllib.parse import quote

from cube.model.codec import from_data
from cube.model.job import Job
from cube.model.maintenance import Maintenance
from cube.model.measure import Measure
from cube.model.move import Move
from cube.model.node import Cordon, Silence
from cube.model.observation import Stats
from cube.model.rollout import Rollout
from cube.model.task import Slot, Task, TaskEvent
from cube.model.token import Token
from cube.model.volume import LeftVolume
from cube.remote.link import Link
from cube.store.rows import Death, JobVersion, Look, Sweep

PAGE = 10_000
"""Events that one answer brings."""


class RemoteLeftVolumes(NamedTuple):
    """Those that a manager remembers."""

    found: tuple[LeftVolume, ...]

    def all(self) -> Mapping[tuple[str, str], LeftVolume]:
        """As LeftVolumes.all."""
        return {(left.node, left.volume): left for left in self.found}


class RemoteStore:
    """The questions of `Store` that change nothing; each is one request."""

    def __init__(self, link: Link) -> None:
        self._link = link

    def close(self) -> None:
        """Nothing is open between two questions."""

    @contextmanager
    def moment(self) -> Iterator[None]:
        """Each answer is of its own moment."""
        yield

    @property
    def owner(self) -> str:
        """The store's own id."""
        return str(self._record("identity")["owner"])

    def jobs(self) -> tuple[Job, ...]:
        """The newest version of each job, by name."""
        return self._many(Job, "jobs")

    def job(self, name: str, version: int | None = None) -> Job | None:
        """That version of the job, by default the newest; None where there is none."""
        found = [known.job for known in self.versions(name) if version in (None, known.job.version)]
        return found[-1] if found else None

    def versions(self, name: str) -> tuple[JobVersion, ...]:
        """Every version of the job, the oldest first."""
        return self._many(JobVersion, "versions", name=name)

    def rollouts(self) -> Mapping[str, Rollout]:
        """How far the newest version of each job has come."""
        return {rollout.job: rollout for rollout in self._many(Rollout, "rollouts")}

    def rollouts_of(self, job: str) -> tuple[Rollout, ...]:
        """How far each version of the job has come, the oldest first."""
        return self._many(Rollout, "rollouts-of", name=job)

    def stable_version(self, job: str) -> int | None:
        """The newest version of the job that succeeded and wanted it to run."""
        found: int | None = self._record("stable-version", name=job)
        return found

    def tasks(self, job: str | None = None) -> tuple[Task, ...]:
        """Every task, or those of one job, in the order in which they were wanted."""
        return self._many(Task, "tasks", name=job)

    def current_tasks(self) -> tuple[Task, ...]:
        """The newest task of every slot, and every older one that is live or in quarantine."""
        return self._many(Task, "current-tasks")

    def former_tasks(self) -> tuple[Task, ...]:
        """As Store.former_tasks."""
        return self._many(Task, "former-tasks")

    def events(
        self,
        *,
        job: str | None = None,
        task: str | None = None,
        since: float | None = None,
        after: int | None = None,
        limit: int | None = None,
    ) -> tuple[TaskEvent, ...]:
        """The events in order, at most the newest `limit`; all of them come a page at a time."""
        narrowed = {"name": job, "task": task, "since": since}
        if limit is not None:
            return self._many(TaskEvent, "events", after=after, limit=limit, **narrowed)
        found: list[TaskEvent] = []
        while len(page := self._many(TaskEvent, "events-after", after=after, limit=PAGE, **narrowed)) == PAGE:
            found.extend(page)
            after = page[-1].number
        return (*found, *page)

    def post_mortems(self, name: str) -> tuple[Death, ...]:
        """What the containers of that task, or of that job, left behind."""
        return self._many(Death, "post-mortems", name=name)

    def cordons(self) -> Mapping[str, Cordon]:
        """The nodes that get no new tasks."""
        return {cordon.node: cordon for cordon in self._many(Cordon, "cordons")}

    def silences(self) -> Mapping[str, Silence]:
        """How long the nodes that did not answer the last look have been silent."""
        return {silence.node: silence for silence in self._many(Silence, "silences")}

    def moves(self) -> Mapping[Slot, Move]:
        """The slots that are to be filled on another node."""
        return {move.slot: move for move in self._many(Move, "moves")}

    def maintenances(self) -> Mapping[str, Maintenance]:
        """The jobs that proxies send no request to."""
        return {found.job: found for found in self._many(Maintenance, "maintenances")}

    @property
    def left(self) -> "RemoteLeftVolumes":
        """Volumes that tasks have left on a node."""
        return RemoteLeftVolumes(self._many(LeftVolume, "left-volumes"))

    def looks(self) -> tuple[Look, ...]:
        """The last look at each node, by name."""
        return self._many(Look, "looks")

    def samples(self) -> Mapping[str, Stats]:
        """Of each node the stats of the look before the last."""
        return {name: from_data(Stats, found) for name, found in self._record("samples").items()}

    def sample(self, node: str) -> Stats | None:
        """As Store.sample."""
        return next((look.stats for look in self.looks() if look.node == node), None)

    def measures(self, node: str, since: float) -> tuple[Measure, ...]:
        """What was measured of the node since then, the oldest first."""
        return self._many(Measure, "measures", name=node, since=since)

    def tokens(self) -> tuple[Token, ...]:
        """Every token, by name, without its hash."""
        return tuple(from_data(Token, {**found, "digest": ""}) for found in self._link.get("/tokens"))

    def revoke_token(self, name: str, **_by: object) -> bool:
        """As Store.revoke_token; the manager tells who showed it which token."""
        is_known = any(token.name == name for token in self.tokens())
        if is_known:
            self._link.delete(f"/tokens/{quote(name, safe='')}")
        return is_known

    def sweeps(self, count: int) -> tuple[Sweep, ...]:
        """So many of the newest runs over the fleet, the newest first."""
        return self._many(Sweep, "sweeps", limit=count)

    def _record(self, question: str, **query: object) -> Any:
        return self._link.get(f"/record/{question}", **query)["answer"]

    def _many(self, kind: Any, question: str, **query: object) -> tuple[Any, ...]:
        return tuple(from_data(kind, item) for item in self._record(question, **query))
