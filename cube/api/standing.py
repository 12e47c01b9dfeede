"""What the record says of all tasks and jobs, read once for all who ask until it changes."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass

from cube.model.task import Task
from cube.store.reader import Mark
from cube.store.store import Store
from cube.view.fleet import JobView, job_views


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """The newest task of every slot and every live one, those of each node, and how far each job is.

    `silent` are the nodes that did not answer the last look: what runs there is not known.
    """

    tasks: tuple[Task, ...]
    silent: frozenset[str]
    of_node: Mapping[str, tuple[Task, ...]]
    jobs: tuple[JobView, ...]


class Standings:
    """The standing now. Safe to share between threads."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._alone = threading.Lock()
        self._mark: Mark | None = None
        self._last: Standing | None = None

    def now(self) -> Standing:
        """As it is recorded, with all that was recorded before the call."""
        with self._alone:
            mark = self._store.mark()
            if self._last is None or mark is None or mark != self._mark:
                self._last, self._mark = self._read(mark), mark
            return self._last

    def _read(self, mark: Mark | None) -> Standing:
        """A look alone changes nothing, unless a node has fallen silent with it, or answers again."""
        silent, last, before = self._store.silent(), self._last, self._mark
        is_same = mark is not None and before is not None and mark.record == before.record
        return last if last and is_same and last.silent == silent else _standing(self._store, silent)


def _standing(store: Store, silent: frozenset[str]) -> Standing:
    tasks = store.current_tasks()
    of_node: dict[str, list[Task]] = {}
    for task in tasks:
        if task.node is not None:
            of_node.setdefault(task.node, []).append(task)
    return Standing(
        tasks=tasks,
        silent=silent,
        of_node={node: tuple(mine) for node, mine in of_node.items()},
        jobs=job_views(store.jobs(), tasks, store.rollouts(), silent, store.maintenances()),
    )
