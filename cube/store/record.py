"""Recording: what a plan intends and what came of it, as changes of tasks and jobs, each with its event."""

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any, assert_never

from cube.errors import InternalError
from cube.model.action import (
    Action,
    Conclude,
    Effect,
    EndMove,
    Fetch,
    Forget,
    Launch,
    Note,
    Outcome,
    Place,
    Push,
    Quarantine,
    Refresh,
    Revert,
    Start,
    Stop,
    Wait,
)
from cube.model.job import Job
from cube.model.move import Move
from cube.model.observation import PostMortem
from cube.model.rollout import Rollout
from cube.model.task import Slot, State, Task, TaskEvent
from cube.store import changes, read, rows, write
from cube.store.answers import answers_of
from cube.store.changes import Change
from cube.store.database import Database
from cube.store.rows import Death, JobVersion
from cube.store.write import Tables

NO_SLOT = Slot(job="", group="", index=0)
"""Whose events tell of nodes, and of containers that belong to no recorded task."""

LAST_EVENTS = 50
"""Of a task whose container failed, that are looked through for what its check said."""


class Recording:
    """The changes of one transaction, which its caller began: gathered one by one, written by `write`."""

    def __init__(self, tables: Tables, *, now: float, actor: str, new_id: Callable[[], str]) -> None:
        self._tables = tables
        self._new_id = new_id
        self._connection = connection = tables.connection
        self._now = now
        self._actor = actor
        self._tasks: dict[str, Task] = {}
        self._before: dict[str, Task] = {}
        self._events: list[TaskEvent] = []
        self._deaths: list[Death] = []
        self._orders = _count_after(connection, 'SELECT max("order") FROM tasks')
        self._numbers = _count_after(connection, "SELECT max(number) FROM events")

    def is_current(self, action: Action) -> bool:
        """The state of the action's task is the one that it was planned for.

        Somebody who deploys again, say, may have ended it since: threads of one process share the lock.
        """
        match action:
            case Start(task=task) | Stop(task=Task() as task) | Note(task=task) | Quarantine(task=task):
                return self._recorded(task).state is task.state
            case _:
                return True

    def intend(self, action: Action) -> Effect | None:
        """What the action intends; the effect that carries it out, None where no node is touched."""
        match action:
            case Place():
                return self._start_of(self._place(action), action.reason)
            case Start():
                change = changes.start(action, self._known(action.task), now=self._now)
                self._change(change)
                return self._start_of(change.after, action.reason)
            case Stop():
                self._stop(action)
                return action
            case Quarantine():
                self._change(changes.quarantine(action, self._known(action.task)))
                return action
            case Push() | Fetch() | Refresh():
                self._intend_beside(action)
                return action
            case _:
                self._note(action)
                return None

    def _intend_beside(self, action: Push | Fetch | Refresh) -> None:
        """What changes the state of no task."""
        if isinstance(action, Push | Fetch):
            self._tell_of_image(action, changes.image_intent(action))
        else:
            self._change(changes.refresh(action, self._known(action.task)))

    def conclude(self, effect: Effect, outcome: Outcome) -> None:
        """What came of the effect. Raises InternalError where it was begun without a recorded intent."""
        if not read.is_intended(self._connection, effect.task.id if effect.task else "", _intent_of(effect)):
            raise InternalError(
                f"an effect on {effect.node} was begun without a recorded intent: {effect.reason}"
            )
        self._remember(effect, outcome)
        match effect:
            case Stop(task=None):
                self._tell_of_orphan(effect, changes.orphan_outcome(effect, outcome))
            case Stop(task=Task() as task):
                self._change(changes.stop_outcome(effect, outcome, self._known(task), now=self._now))
            case Start():
                known = self._known(effect.task)
                self._change(changes.start_outcome(effect, outcome, known, now=self._now))
            case Quarantine():
                known = self._known(effect.task)
                self._change(changes.quarantine_outcome(effect, outcome, known, now=self._now))
            case Push() | Fetch():
                self._tell_of_image(effect, changes.image_outcome(effect, outcome), outcome.detail)
            case Refresh():
                known = self._known(effect.task)
                self._change(changes.refresh_outcome(effect, outcome, known, now=self._now))

    def want(self, job: Job, reason: str, *, stable: int | None = None) -> Job:
        """A new version of the job, and its rollout, which begins."""
        job = replace(job, version=read.next_version(self._connection, job.name))
        version = JobVersion(job=job, at=self._now, actor=self._actor, reason=reason)
        self._tables.put("jobs", [rows.job_row(version)], key=("name", "version"))
        rollout = Rollout(job=job.name, version=job.version, since=self._now, stable=stable)
        self.roll(rollout, f"{reason}: version {job.version}")
        return job

    def roll(self, rollout: Rollout, reason: str) -> None:
        """How far the rollout has come now."""
        self._tables.put("rollouts", [rows.rollout_row(rollout)], key=("job", "version"))
        self.tell_of_job(rollout.job, rollout.version, reason)

    def tell_of_job(self, job: str, version: int, reason: str) -> None:
        """What happened to a whole job."""
        slot = Slot(job=job, group="", index=0)
        self._tell(task="", slot=slot, version=version, source=None, target=None, node=None, reason=reason)

    def move(self, move: Move) -> None:
        """The slot is to be filled on another node."""
        self._tables.put("moves", [rows.move_row(move)], key=("job", "group", "index"))
        self._tell_of_move(move, f"to move from {move.source} to {move.target}: {move.reason}")

    def tell_of_node(self, node: str, reason: str) -> None:
        """What happened to a node."""
        self._tell(task="", slot=NO_SLOT, version=0, source=None, target=None, node=node, reason=reason)

    def take_in(self, task: Task) -> None:
        """A task whose container runs already, made by nobody that this store remembers."""
        self._change(Change(before=None, after=replace(task, order=next(self._orders))))

    def write(self) -> None:
        """Every changed task as it is now, and every event, to the tables."""
        # All of them: where an older Cube wrote one, it knew fewer fields, and called it by another digest.
        bodies = {task.spec.digest: task.spec.canonical for task in self._tasks.values()}
        self._tables.put(
            "specs", [{"digest": digest, "body": body} for digest, body in bodies.items()], key=("digest",)
        )
        self._tables.put("tasks", [rows.task_row(task) for task in self._tasks.values()], key=("id",))
        self._tables.put("events", [rows.event_row(event) for event in self._events], key=("number",))
        write.note_deaths(self._connection, self._deaths)

    def _note(self, action: Wait | Note | Launch | Conclude | Revert | Forget | EndMove) -> None:
        match action:
            case Wait():
                self._wait(action)
            case Note():
                self._see(action)
            case Launch():
                if not read.newest_jobs(self._connection, action.job.name):
                    self.want(action.job, action.reason)
            case Conclude():
                self._conclude_rollout(action)
            case Revert():
                self._revert(action)
            case Forget():
                write.forget_job(self._connection, action.job)
            case EndMove():
                self._end(action)
            case _:
                assert_never(action)

    def _see(self, action: Note) -> None:
        known = self._known(action.task)
        self._change(changes.note(action, known, now=self._now))
        if action.node is not None and known.node is not None:
            write.rename_node(self._connection, known.node, action.node)

    def _end(self, action: EndMove) -> None:
        if write.end_move(self._connection, action.move.slot):
            self._tell_of_move(action.move, str(action))

    def _conclude_rollout(self, action: Conclude) -> None:
        known = read.rollouts(self._connection, action.job)[-1]
        if known.version == action.version and known.state != action.state:
            reason = f"the rollout of version {action.version} {action.state}: {action.reason}"
            self.roll(replace(known, state=action.state, reason=action.reason), reason)

    def _revert(self, action: Revert) -> None:
        versions = {found.job.version: found.job for found in read.job_versions(self._connection, action.job)}
        if action.version == max(versions) and action.to in versions:
            # Without a version to go back to: should this one fail, too, nothing is gone back to for ever.
            self.want(versions[action.to], f"went back to version {action.to}: {action.reason}")

    def _start_of(self, task: Task, reason: str) -> Start:
        job = read.job_version(self._connection, task.slot.job, task.version)
        of = job.parent if job else None
        parents = read.newest_jobs(self._connection, of) if of else ()
        parent = next((found.job for found in parents), None)
        return Start(task=task, reason=reason, job=job, parent=parent)

    def _place(self, action: Place) -> Task:
        pending = self._pending(action.slot)
        change = changes.place(action, pending, pending or self._fresh(action), now=self._now)
        self._change(change)
        return change.after

    def _wait(self, action: Wait) -> None:
        pending = self._pending(action.slot)
        last = read.last_event(self._connection, pending.id) if pending else None
        told = last.detail if last else None
        self._change(changes.wait(action, pending, pending or self._fresh(action), told=told))

    def _stop(self, action: Stop) -> None:
        if action.task:
            self._change(changes.stop(action, self._known(action.task)))
        else:
            self._tell_of_orphan(action, changes.orphan_intent(action))

    def _pending(self, slot: Slot) -> Task | None:
        """The slot's task that waits, unless it has just been ended."""
        found = read.pending_task(self._connection, slot)
        return found if found is None or self._known(found).state is State.PENDING else None

    def _fresh(self, action: Place | Wait) -> Task:
        return changes.wanted(action, identity=self._new_id(), order=next(self._orders), now=self._now)

    def _known(self, task: Task) -> Task:
        # What is recorded counts, not the caller's copy of it: that may be older.
        return self._tasks.get(task.id) or self._recorded(task)

    def _recorded(self, task: Task) -> Task:
        """As it is before anything of this recording is written."""
        found = self._before.get(task.id) or read.task(self._connection, task.id)
        if found is None:
            raise InternalError(f"the task {task.id} of {task.slot} is not recorded")
        self._before[task.id] = found
        return found

    def _remember(self, effect: Effect, outcome: Outcome) -> None:
        task, job = (effect.task.id, effect.task.slot.job) if effect.task else ("", "")
        before = outcome.post_mortem and self._with_answers(effect.task, outcome.post_mortem)
        for found in (before, outcome.end):
            if found is not None:
                death = Death(task=task, job=job, node=effect.node, reason=effect.reason, found=found)
                self._deaths.append(death)

    def _with_answers(self, task: Task | None, found: PostMortem) -> PostMortem:
        """With what Cube's own check said, which only the record knows, and not for as long."""
        if task is None:
            return found
        events = read.events(self._connection, [("task = ?", task.id)], limit=LAST_EVENTS)
        return replace(found, checks=(*found.checks, *answers_of(self._recorded(task), events)))

    def _change(self, change: Change | None) -> None:
        if change is None:
            return
        self._tasks[change.after.id] = change.after
        if change.told:
            self._tell(**change.event)

    def _tell_of_move(self, move: Move, reason: str) -> None:
        about = {"task": "", "slot": move.slot, "version": 0, "node": move.target}
        self._tell(**about, source=None, target=None, reason=reason)

    def _tell_of_orphan(self, effect: Stop, reason: str) -> None:
        detail = {"container": effect.container, "name": effect.container_name}
        about = {"task": "", "slot": NO_SLOT, "version": 0, "node": effect.node, "target": effect.target}
        self._tell(**about, source=None, reason=reason, detail=detail)

    def _tell_of_image(
        self, effect: Push | Fetch, reason: str, detail: Mapping[str, str] | None = None
    ) -> None:
        slot, more = Slot(job=effect.job, group="", index=0), detail or {}
        about = {"task": "", "slot": slot, "version": 0, "node": effect.node, "reason": reason}
        self._tell(**about, source=None, target=None, detail=more)

    def _tell(self, **what: Any) -> None:
        what.setdefault("detail", {})
        self._events.append(TaskEvent(number=next(self._numbers), at=self._now, actor=self._actor, **what))


def _intent_of(effect: Effect) -> str:
    """The reason of the event that tells of the effect's intent."""
    match effect:
        case Stop(task=None):
            return changes.orphan_intent(effect)
        case Push() | Fetch():
            return changes.image_intent(effect)
        case _:
            return effect.reason


def _count_after(connection: Database, sql: str) -> Iterator[int]:
    """The numbers after the one that the question answers with, which is asked when the first is needed."""
    yield from itertools.count(1 + read.number(connection, sql))
