"""The board: all that the page shows, taken from the service at one moment, for everybody who looks."""

import threading
import time
from collections.abc import Iterable

from cube.api.desk import Desk
from cube.api.nodes import views
from cube.model.task import State, Task
from cube.view.fleet import ClusterView

KEEPS = 0.5
"""Seconds for which a board serves; longer where it took long to take: looking never loads the loop."""

EVENTS = 200


class Board:
    """Taken anew when somebody looks and the last one is too old. Safe to share between threads."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._alone = threading.Lock()
        self._last: ClusterView | None = None
        self._good_until = 0.0

    def now(self) -> ClusterView:
        """The cluster as it is, or was a moment ago."""
        with self._alone:
            began = time.monotonic()
            if self._last is None or began >= self._good_until:
                self._last = _taken(self._desk)
                ended = time.monotonic()
                self._good_until = ended + max(KEEPS, 4 * (ended - began))
            return self._last


def _taken(desk: Desk) -> ClusterView:
    """The tasks of interest, what went wrong first, and the newest events."""
    standing = desk.standings.now()
    return ClusterView(
        cluster=desk.manager.cluster.name,
        at=time.time(),
        nodes=views(desk),
        jobs=standing.jobs,
        tasks=_of_interest(standing.tasks),
        events=tuple(reversed(desk.manager.store.events(limit=EVENTS))),
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
