"""Where the terminal's picture comes from: looks at the fleet, and a hand on it."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Protocol

from cube.errors import CubeError
from cube.manager.manager import Manager
from cube.manager.seams import Hand
from cube.manager.tasks import Extract, Following, LogLine
from cube.manager.turn import Run
from cube.model.task import Task, TaskEvent
from cube.view.fleet import ClusterView, Recorded, job_views, node_views

EVENTS = 300
LINES = 500
"""Lines of a log that are shown from before."""

TIMEOUT = 600.0
PATIENCE = 10.0
"""Seconds that an act waits for another Cube that is at work."""


class Log(Protocol):
    """What a task writes."""

    def __iter__(self) -> Iterator[LogLine | CubeError]:
        """As it comes; waits for it, and raises CubeError."""
        ...

    def close(self) -> None:
        """Leave it, from any thread."""
        ...


class Work(Protocol):
    """How one comes to change the fleet."""

    def __call__(self, *, command: str, wait: float) -> AbstractContextManager[Manager]:
        """A manager that may. Raises LockedError where another one works on it for longer than that."""
        ...


class Source(Protocol):
    """What the terminal asks. Each call may take as long as a look at the fleet, and raises CubeError."""

    def look(self) -> ClusterView:
        """ClusterView at every node."""
        ...

    def history(self, task: Task) -> tuple[TaskEvent, ...]:
        """What happened to a task, from the first on."""
        ...

    def logs(self, task: Task) -> Log:
        """What a task writes, from a little before on; nobody is asked for it yet."""
        ...

    def drain(self, node: str) -> str:
        """Move every task of a node elsewhere; how that ended, in a few words."""
        ...

    def cordon(self, node: str) -> str:
        """Keep new tasks away from a node."""
        ...

    def uncordon(self, node: str) -> str:
        """Let a node have new tasks again."""
        ...


class FleetSource:
    """The source over what commands have: a manager that looks, a hand on each node, and a way to work."""

    def __init__(self, manager: Manager, workers: Mapping[str, Hand], work: Work, actor: str) -> None:
        self._manager = manager
        self._workers = workers
        self._work = work
        self._actor = actor
        self._alone = threading.Lock()

    def look(self) -> ClusterView:
        """As Source; one at a time."""
        with self._alone:
            manager, store = self._manager, self._manager.store
            recorded = Recorded(samples=store.samples(), cordons=store.cordons())
            observed = manager.look([node.name for node in manager.cluster.nodes])
            tasks = store.current_tasks()
            nodes = node_views(manager.cluster, observed, tasks, recorded)
            silent = {node.name for node in nodes if node.state == "unknown"}
            return ClusterView(
                cluster=manager.cluster.name,
                at=time.time(),
                nodes=nodes,
                jobs=job_views(store.jobs(), tasks, store.rollouts(), silent, store.maintenances()),
                tasks=tasks,
                events=tuple(reversed(store.events(limit=EVENTS))),
            )

    def history(self, task: Task) -> tuple[TaskEvent, ...]:
        """As Source."""
        return self._manager.store.events(task=task.id)

    def logs(self, task: Task) -> Log:
        """As Source."""
        return Following(self._workers, (task,), Extract(tail=LINES))

    def drain(self, node: str) -> str:
        """As Source; under the lock."""
        return self._act(f"drain {node}", lambda manager, run: manager.drain(node, run).summary)

    def cordon(self, node: str) -> str:
        """As Source."""

        def ask(manager: Manager, run: Run) -> str:
            manager.cordon(node, run)
            return "gets no new tasks"

        return self._act(f"cordon {node}", ask)

    def uncordon(self, node: str) -> str:
        """As Source."""

        def ask(manager: Manager, run: Run) -> str:
            manager.uncordon(node, run)
            return "gets new tasks again"

        return self._act(f"uncordon {node}", ask)

    def _act(self, what: str, ask: Callable[[Manager, Run], str]) -> str:
        with self._work(command=f"top: {what}", wait=PATIENCE) as manager:
            return ask(manager, Run(until=time.time() + TIMEOUT, actor=self._actor))
