"""The board: all that the page shows, taken from the service at one moment, for everybody who looks."""

import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass

from cube.api.answers import OperationView, operation_view
from cube.api.desk import Desk
from cube.api.nodes import views
from cube.model.job import Job
from cube.model.rollout import Rollout
from cube.model.task import State, Task, TaskEvent
from cube.view.fleet import JobView, NodeView, job_views

KEEPS = 0.5
"""Seconds for which a board serves; longer where it took long to take: looking never loads the loop."""

EVENTS = 200
OPERATIONS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The cluster at one moment: the `tasks` of interest, what went wrong first, and the newest `events`."""

    cluster: str
    at: float
    nodes: tuple[NodeView, ...]
    jobs: tuple[JobView, ...]
    wanted: tuple[Job, ...]
    rollouts: tuple[Rollout, ...]
    tasks: tuple[Task, ...]
    events: tuple[TaskEvent, ...]
    operations: tuple[OperationView, ...]

    @property
    def silent(self) -> frozenset[str]:
        """The nodes that do not answer: what is on them is not known."""
        return frozenset(node.name for node in self.nodes if node.state == "unknown")


class Board:
    """Taken anew when somebody looks and the last one is too old. Safe to share between threads."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._alone = threading.Lock()
        self._last: Snapshot | None = None
        self._good_until = 0.0

    def now(self) -> Snapshot:
        """The cluster as it is, or was a moment ago."""
        with self._alone:
            began = time.monotonic()
            if self._last is None or began >= self._good_until:
                self._last = _taken(self._desk)
                ended = time.monotonic()
                self._good_until = ended + max(KEEPS, 4 * (ended - began))
            return self._last


def _taken(desk: Desk) -> Snapshot:
    store = desk.manager.store
    tasks, jobs, rollouts = store.current_tasks(), store.jobs(), store.rollouts()
    nodes = views(desk)
    silent = {node.name for node in nodes if node.state == "unknown"}
    return Snapshot(
        cluster=desk.manager.cluster.name,
        at=time.time(),
        nodes=nodes,
        jobs=job_views(jobs, tasks, rollouts, silent),
        wanted=jobs,
        rollouts=tuple(rollouts.values()),
        tasks=_of_interest(tasks),
        events=tuple(reversed(store.events(limit=EVENTS))),
        operations=tuple(map(operation_view, reversed(desk.operations.all()[-OPERATIONS:]))),
    )


def _of_interest(tasks: Iterable[Task]) -> tuple[Task, ...]:
    """Without those that were taken away on purpose; what went wrong first, then what is under way."""
    order = (State.FAILED, State.PENDING, State.SCHEDULED, State.RUNNING, State.COMPLETED)
    kept = [task for task in tasks if task.state is not State.COMPLETED or task.exit_code == 0]
    return tuple(
        sorted(
            kept, key=lambda task: (order.index(task.state), task.slot.job, task.slot.group, task.slot.index)
        )
    )
