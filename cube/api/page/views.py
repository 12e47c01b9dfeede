"""What each page shows: its parts, and the values that they are drawn from."""

import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from cube.api.access import Caller
from cube.api.answers import operation_view
from cube.api.desk import Desk, NotFoundError, known_job, known_node, known_task
from cube.api.page.bars import job_bar, node_bars
from cube.api.page.board import Board
from cube.api.page.chart import Frame, charts
from cube.api.page.draw import draw
from cube.api.page.matrix import matrix
from cube.manager.operations import Operation
from cube.model.difference import differences
from cube.model.task import Task, TaskEvent
from cube.model.token import Role
from cube.store.changes import decision_of
from cube.store.rows import JobVersion
from cube.view.fleet import ClusterView
from cube.view.usage import RECENT, usages

MOST_TASKS = 200
MOST_EVENTS = 60
OPERATIONS = 5
TROUBLES = 5
MANY = 40
"""Nodes from which on each is drawn small."""


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """One page: which kind, of what (`key`: a name or an id), and which tasks of it (`query`: words)."""

    name: str
    key: str = ""
    query: str = ""

    @property
    def parts(self) -> tuple[str, ...]:
        """What it is made of, from top to bottom; each is drawn anew when it changes."""
        return PARTS[self.name]


PARTS: Mapping[str, tuple[str, ...]] = {
    "fleet": ("summary", "operations", "fleet", "jobs", "tasks", "timeline"),
    "node": ("operations", "node", "tasks", "timeline"),
    "job": ("operations", "job", "tasks", "versions", "timeline"),
    "task": ("operations", "task", "why", "deaths", "timeline"),
}


def values(desk: Desk, it: ClusterView, view: View, who: Caller) -> Mapping[str, Any]:
    """All that the view's parts and its frame are drawn from. Raises NotFoundError."""
    asked = tuple(reversed(desk.operations.all()[-OPERATIONS:]))
    common = {
        "it": it, "view": view, "who": who, "may_act": who.role.may(Role.OPERATE),
        "operations": tuple((operation_view(found), _troubles(found)) for found in asked),
        "bars": {node.name: node_bars(node) for node in it.nodes},
        "is_dense": len(it.nodes) > MANY,
    }  # fmt: skip
    return {**common, **VALUES[view.name](desk, it, view)}


def drawn(view: View, found: Mapping[str, Any]) -> Mapping[str, str]:
    """Each part of the view as HTML."""
    return {part: draw(f"part_{part}.html", found) for part in view.parts}


class Drawings:
    """Each view as it was drawn of the board's last snapshot: once for all who look at it."""

    def __init__(self, desk: Desk, board: Board) -> None:
        self._desk = desk
        self._board = board
        self._alone = threading.Lock()
        self._of: ClusterView | None = None
        self._known: dict[tuple[View, bool], Mapping[str, str]] = {}

    def now(self, view: View, who: Caller) -> Mapping[str, str]:
        """The view's parts. Nothing where what it shows is gone: the page keeps what it showed last."""
        with self._alone:
            it, key = self._board.now(), (view, who.role.may(Role.OPERATE))
            if it is not self._of:
                self._of, self._known = it, {}
            if key not in self._known:
                with suppress(NotFoundError):
                    self._known[key] = drawn(view, values(self._desk, it, view, who))
            return self._known.get(key, {})


def _fleet(_desk: Desk, it: ClusterView, view: View) -> Mapping[str, Any]:
    return {
        "title": it.cluster,
        "job_bars": _job_bars(it),
        **_tasks(it.tasks, view.query),
        "events": it.events[:MOST_EVENTS],
    }


def _node(desk: Desk, it: ClusterView, view: View) -> Mapping[str, Any]:
    known_node(desk, view.key)
    frame = Frame(since=it.at - RECENT, until=it.at)
    measured = desk.manager.store.measures(view.key, frame.since)
    return {
        "charts": charts(measured, frame),
        "usage": next(iter(usages(measured[-2:])), None),
        "title": view.key,
        "node": next((node for node in it.nodes if node.name == view.key), None),
        **_tasks((task for task in it.tasks if task.node == view.key), view.query),
        "events": _some(event for event in it.events if event.node == view.key),
    }


def _job(desk: Desk, it: ClusterView, view: View) -> Mapping[str, Any]:
    wanted, store = known_job(desk, view.key), desk.manager.store
    versions = store.versions(view.key)
    return {
        "title": view.key,
        "job": next((job for job in it.jobs if job.name == view.key), None),
        "groups": wanted.groups,
        "job_bars": _job_bars(it),
        "versions": tuple(reversed(versions)),
        "changes": _changes(versions),
        "ends": {found.version: found for found in store.rollouts_of(view.key)},
        **_tasks((task for task in it.tasks if task.slot.job == view.key), view.query),
        "events": tuple(reversed(store.events(job=view.key, limit=MOST_EVENTS))),
    }


def _task(desk: Desk, _it: ClusterView, view: View) -> Mapping[str, Any]:
    task, store = known_task(desk, view.key), desk.manager.store
    events = store.events(task=view.key)
    decided = [(event, found) for event in events if (found := decision_of(event)) is not None]
    return {
        "title": str(task.slot),
        "task": task,
        "decided": decided[-1][0] if decided else None,
        "matrix": matrix(decided[-1][1], task.node) if decided else None,
        "deaths": store.post_mortems(view.key),
        "events": tuple(reversed(events))[:MOST_EVENTS],
    }


VALUES: Mapping[str, Callable[[Desk, ClusterView, View], Mapping[str, Any]]] = {
    "fleet": _fleet,
    "node": _node,
    "job": _job,
    "task": _task,
}


def _troubles(found: Operation) -> tuple[str, ...]:
    """Why it did not end well, in as many lines as a page can show."""
    return found.report.troubles[:TROUBLES] if found.report is not None and found.exit_code else ()


def _tasks(tasks: Iterable[Task], query: str) -> Mapping[str, Any]:
    """Those in which every word of the query stands, as many as a page can show."""
    words = query.lower().split()
    found = [task for task in tasks if all(word in _text_of(task) for word in words)]
    return {"tasks": found[:MOST_TASKS], "more_tasks": max(len(found) - MOST_TASKS, 0)}


def _text_of(task: Task) -> str:
    return f"{task.slot} {task.node} {task.state} {task.health} {task.id} {task.reason}".lower()


def _some(events: Iterable[TaskEvent]) -> tuple[TaskEvent, ...]:
    return tuple(events)[:MOST_EVENTS]


def _job_bars(it: ClusterView) -> Mapping[str, Any]:
    mine: dict[str, list[Task]] = {}
    for task in it.tasks:
        mine.setdefault(task.slot.job, []).append(task)
    return {job.name: job_bar(job, mine.get(job.name, ()), it.silent) for job in it.jobs}


def _changes(versions: tuple[JobVersion, ...]) -> Mapping[int, list[str]]:
    """What each version changed of the one before."""
    pairs = pairwise(versions)
    return {
        later.job.version: [str(each) for each in differences(earlier.job, later.job)]
        for earlier, later in pairs
    }
