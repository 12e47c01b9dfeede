"""Recording: what a plan intends and what came of it, as changes of tasks, each with its event."""

import itertools
from typing import Any, assert_never
from uuid import uuid4

from cube.errors import InternalError
from cube.model.action import Action, Effect, Note, Outcome, Place, Start, Stop, Wait
from cube.model.job import TaskSpec
from cube.model.task import Slot, Task, TaskEvent
from cube.store import changes, read, rows
from cube.store.changes import Change
from cube.store.write import Tables

NO_SLOT = Slot(job="", group="", index=0)
"""Whose events tell of containers that belong to no recorded task."""


class Recording:
    """The changes of one transaction, which its caller began: gathered one by one, written by `write`."""

    def __init__(self, tables: Tables, *, now: float, actor: str) -> None:
        self._tables = tables
        self._connection = connection = tables.connection
        self._now = now
        self._actor = actor
        self._tasks: dict[str, Task] = {}
        self._specs: list[TaskSpec] = []
        self._events: list[TaskEvent] = []
        self._orders = itertools.count(1 + read.number(connection, 'SELECT max("order") FROM tasks'))
        self._numbers = itertools.count(1 + read.number(connection, "SELECT max(number) FROM events"))

    def intend(self, action: Action) -> Effect | None:
        """What the action intends; the effect that carries it out, None where no node is touched."""
        match action:
            case Place():
                return Start(task=self._place(action), reason=action.reason)
            case Wait():
                self._wait(action)
                return None
            case Note():
                self._change(changes.note(action, self._known(action.task), now=self._now))
                return None
            case Start():
                change = changes.start(action, self._known(action.task), now=self._now)
                self._change(change)
                return Start(task=change.after, reason=action.reason)
            case Stop():
                self._stop(action)
                return action
            case _:
                assert_never(action)

    def conclude(self, effect: Effect, outcome: Outcome) -> None:
        """What came of the effect."""
        if effect.task is None:
            self._tell_of_orphan(effect, changes.orphan_outcome(effect, outcome))
        elif isinstance(effect, Start):
            self._change(changes.start_outcome(effect, outcome, self._known(effect.task), now=self._now))
        else:
            self._change(changes.stop_outcome(effect, outcome, self._known(effect.task), now=self._now))

    def write(self) -> None:
        """Every changed task as it is now, and every event, to the tables."""
        bodies = {spec.digest: rows.text_of(spec) for spec in self._specs}
        self._tables.put(
            "specs", [{"digest": digest, "body": body} for digest, body in bodies.items()], key="digest"
        )
        self._tables.put("tasks", [rows.task_row(task) for task in self._tasks.values()], key="id")
        self._tables.put("events", [rows.event_row(event) for event in self._events], key="number")

    def _place(self, action: Place) -> Task:
        pending = read.pending_task(self._connection, action.slot)
        change = changes.place(action, pending, pending or self._fresh(action), now=self._now)
        self._change(change)
        return change.after

    def _wait(self, action: Wait) -> None:
        pending = read.pending_task(self._connection, action.slot)
        last = read.last_event(self._connection, pending.id) if pending else None
        told = last.detail if last else None
        self._change(changes.wait(action, pending, pending or self._fresh(action), told=told))

    def _stop(self, action: Stop) -> None:
        if action.task:
            self._change(changes.stop(action, self._known(action.task)))
        else:
            self._tell_of_orphan(action, changes.orphan_intent(action))

    def _fresh(self, action: Place | Wait) -> Task:
        return changes.wanted(action, identity=str(uuid4()), order=next(self._orders), now=self._now)

    def _known(self, task: Task) -> Task:
        # What is recorded counts, not the caller's copy of it: that may be older.
        known = self._tasks.get(task.id) or read.task(self._connection, task.id)
        if known is None:
            raise InternalError(f"the task {task.id} of {task.slot} is not recorded")
        return known

    def _change(self, change: Change | None) -> None:
        if change is None:
            return
        self._tasks[change.after.id] = change.after
        if change.before is None or change.before.spec != change.after.spec:
            self._specs.append(change.after.spec)
        if change.told:
            self._tell(**change.event)

    def _tell_of_orphan(self, effect: Stop, reason: str) -> None:
        detail = {"container": effect.container, "name": effect.container_name}
        about = {"task": "", "slot": NO_SLOT, "version": 0, "node": effect.node, "target": effect.target}
        self._tell(**about, source=None, reason=reason, detail=detail)

    def _tell(self, **what: Any) -> None:
        self._events.append(TaskEvent(number=next(self._numbers), at=self._now, actor=self._actor, **what))
