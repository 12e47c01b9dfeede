"""Model values as rows of a table; what JSON shows beyond the columns is the value itself."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from cube.cli import render
from cube.cli.reach import Place
from cube.model.action import Note
from cube.model.codec import to_data
from cube.model.difference import differences
from cube.model.job import Job, Schedule
from cube.model.node import Cordon, Node
from cube.model.observation import Container, CpuTimes, Observation, Seen, Stats, Unknown
from cube.model.rollout import Rollout, RolloutState
from cube.model.task import Health, State, Task, TaskEvent
from cube.store.changes import DECISION, decision_of
from cube.store.replay import PastTask
from cube.store.rows import Death, JobVersion
from cube.view.fleet import wanted_of

Row = dict[str, Any]

JOB = ("job", "type", "version", "state", "running", "nodes")
TASK = ("task", "version", "state", "health", "node", "ports", "restarts", "age", "reason")
CONTAINER = ("node", "container", "task", "image", "state", "health", "ports", "age")
NODE = ("node", "state", "datacenter", "cpus", "cpu", "load", "memory", "disk", "engine", "tasks", "other")
VERSION = ("version", "at", "rollout", "by", "reason")
RUN = ("run", "utc", "in")
EVENT = ("at", "task", "change", "node", "reason", "by")


AnyTask = Task | PastTask
"""A task as it is, or as it was."""

AT_BOOT = CpuTimes(total=0, idle=0)
"""The first sample of a node that was not seen since it was switched on: as vmstat, its mean since then."""


def is_of_interest(task: AnyTask) -> bool:
    """Not one that was taken away on purpose, or replaced."""
    is_there = task.state is not State.COMPLETED or task.quarantined_until is not None
    return is_there or task.exit_code == 0


def as_seen(tasks: Iterable[Task], notes: Mapping[str, Note]) -> tuple[Task, ...]:
    """The tasks as the next sweep would record them."""
    return tuple(
        replace(
            task,
            state=note.target,
            reason=note.reason,
            health=note.checked.health if note.checked else task.health,
        )
        if (note := notes.get(task.id))
        else task
        for task in tasks
    )


def notes_of_a_look(place: Place) -> Mapping[str, Note]:
    """What a sweep would record of each task now, by its id; what it would do is not done."""
    from cube.cli.reach import looking_on

    with looking_on(place) as manager:
        plan, _ = manager.preview()
    render.warn(plan.warnings)
    return {action.task.id: action for action in plan.actions if isinstance(action, Note)}


def of_job(job: Job, tasks: Iterable[AnyTask], silent: Collection[str]) -> Row:
    """A job with how many of its tasks run, and where; on `silent` nodes nobody knows."""
    mine = [task for task in tasks if task.slot.job == job.name]
    unknown = [task for task in mine if task.node in silent and not task.state.is_terminal]
    running = [task for task in mine if task.state is State.RUNNING and task not in unknown]
    ended = sum(task.state is State.COMPLETED and task.exit_code == 0 for task in mine)
    wanted = wanted_of(job, {task.slot for task in mine if task.state is not State.COMPLETED})
    rest = ((ended, "completed"), (len(unknown), "unknown"))
    return {
        "job": job.name,
        "parent": job.parent,
        "type": job.type,
        "version": job.version,
        "state": _job_state(job, {task.state for task in mine if not _is_replaced(task, mine)}),
        "running": None
        if job.type.is_template
        else ", ".join([f"{len(running)}/{wanted}", *(f"{count} {what}" for count, what in rest if count)]),
        "nodes": " ".join(sorted({str(task.node) for task in running})) or None,
        "groups": to_data(job.groups),
    }


def of_jobs(jobs: Sequence[Job], tasks: Sequence[AnyTask], silent: Collection[str]) -> Sequence[Row]:
    """Every job; under one that has runs those that are under way, and the ended ones in one row.

    A run whose job is not known stands for itself.
    """
    rows = []
    known = {job.name for job in jobs}
    for job in jobs:
        if job.parent not in known:
            rows += [of_job(job, tasks, silent), *_of_runs(job, jobs, tasks, silent)]
    return rows


def _of_runs(
    parent: Job, jobs: Sequence[Job], tasks: Sequence[AnyTask], silent: Collection[str]
) -> Iterator[Row]:
    runs = [job for job in jobs if job.parent == parent.name]
    states = {run.name: [task.state for task in tasks if task.slot.job == run.name] for run in runs}
    ended = [run for run in runs if states[run.name] and all(state.is_terminal for state in states[run.name])]
    for run in runs:
        if run not in ended:
            row = of_job(run, tasks, silent)
            yield {**row, "job": f"  {run.name}"}
    if ended:
        failed = sum(State.FAILED in states[run.name] for run in ended)
        newest = max(ended, key=lambda run: run.launched or 0.0)
        yield {
            "job": f"  {len(ended)} ended run" + "s" * (len(ended) > 1),
            "state": State.FAILED if failed else State.COMPLETED,
            "running": f"{len(ended) - failed} completed" + (f", {failed} failed" if failed else ""),
            "nodes": f"the last: {newest.name}",
        }


def of_task(task: AnyTask, silent: Collection[str], now: float | None = None) -> Row:
    """A task, with the time since its state last changed; on a `silent` node its state is not known.

    `now` in seconds since the epoch; None: this moment.
    """
    is_unknown = task.node in silent and not task.state.is_terminal
    return {
        **to_data(task),
        "task": str(task.slot),
        "state": "unknown" if is_unknown else task.state,
        "recorded": task.state,
        "health": _health(task.health),
        "ports": _words(f"{name}={port}" for name, port in task.ports.items()),
        "age": render.age(task.changed_at, now),
    }


def of_containers(found: Mapping[str, Observation], cluster: str, *, every: bool) -> Sequence[Row]:
    """The cluster's containers on each node that answered, or every one."""
    return [
        _of_container(name, container, cluster)
        for name, seen in found.items()
        if isinstance(seen, Seen)
        for container in seen.containers
        if every or _is_of(container, cluster)
    ]


def of_node(
    node: Node, found: Observation, earlier: Stats | None, cluster: str, cordon: Cordon | None = None
) -> Row:
    """A node as it was seen; one that did not answer has its cause where its engine would be."""
    row: Row = {"node": node.name, "datacenter": node.datacenter, "labels": dict(node.labels)}
    if isinstance(found, Unknown):
        row |= {"state": "unknown", "engine": found.cause, "why": found.why, "cure": found.cure}
    else:
        ours = [held for held in found.containers if _is_of(held, cluster)]
        row |= {
            "state": _node_state(node, cordon),
            "engine": found.engine.version,
            "tasks": sum(held.state.is_alive for held in ours),
            "other": len(found.containers) - len(ours),
        }
    return row | (_of_stats(found.stats, earlier) if found.stats else {})


def of_event(event: TaskEvent) -> Row:
    """An event, its time as the operator's clock shows it; a removed orphan's has no task."""
    decision = decision_of(event)
    return {
        **to_data(event),
        "decision": to_data(decision),
        "detail": {name: text for name, text in event.detail.items() if name != DECISION},
        "at": render.moment(event.at),
        "time": event.at,
        "task": str(event.slot) if event.slot.group else event.slot.job or None,
        "id": event.task,
        "change": f"{event.source or 'new'} -> {event.target}" if event.target else None,
        "by": event.actor,
    }


def of_versions(versions: Sequence[JobVersion], rollouts: Iterable[Rollout]) -> Sequence[Row]:
    """A job's versions in order, each with its rollout and with what it changed of the one before."""
    ends = {rollout.version: rollout for rollout in rollouts}
    before = [None, *(found.job for found in versions)]
    return [
        {
            "version": found.job.version,
            "at": render.moment(found.at),
            "time": found.at,
            "rollout": (end := ends.get(found.job.version)) and _end_of(end, versions),
            "why": end.reason if end else "",
            "by": found.actor,
            "reason": found.reason,
            "changes": [str(change) for change in differences(earlier, found.job)] if earlier else [],
            "job": to_data(found.job),
        }
        for earlier, found in zip(before, versions, strict=False)
    ]


def _end_of(rollout: Rollout, versions: Sequence[JobVersion]) -> str:
    """How a rollout ended; one that had not when a newer version came never will."""
    is_open = rollout.state in (RolloutState.RUNNING, RolloutState.PAUSED)
    return "replaced" if is_open and rollout.version < versions[-1].job.version else rollout.state


def of_run(at: float, schedule: Schedule, now: float) -> Row:
    """When a periodic job will run, by its schedule's clock and by UTC, and how far away that is."""
    zone = datetime.fromtimestamp(at, ZoneInfo(schedule.timezone))
    return {
        "run": f"{zone:%a %Y-%m-%d %H:%M} {schedule.timezone}",
        "utc": f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M} UTC",
        "in": render.age(now, at),
        "time": at,
    }


def of_death(death: Death, slot: str | None) -> Row:
    """What a container left behind, with the slot of its task where that is still known."""
    return {
        **to_data(death.found),
        "task": death.task,
        "slot": slot,
        "node": death.node,
        "reason": death.reason,
    }


def names(jobs: Iterable[Job]) -> str:
    """The jobs' names, or that there is none."""
    return ", ".join(job.name for job in jobs) or "none"


def _is_replaced(task: AnyTask, tasks: Iterable[AnyTask]) -> bool:
    """It is only kept for somebody to look at: another one has its slot."""
    is_kept = task.quarantined_until is not None
    return is_kept and any(found.slot == task.slot and found.order > task.order for found in tasks)


def _job_state(job: Job, states: set[State]) -> str:
    if job.stopped:
        return "stopping" if State.RUNNING in states else "stopped"
    if job.type.is_template:
        return "waiting"
    return worst(states)


def worst(states: Collection[State]) -> State:
    """The state that matters most of those; of none Pending."""
    order = (State.FAILED, State.PENDING, State.SCHEDULED, State.RUNNING, State.COMPLETED)
    return next((state for state in order if state in states), State.PENDING)


def _node_state(node: Node, cordon: Cordon | None) -> str:
    if cordon is not None:
        return "draining" if cordon.draining else "cordoned"
    return "ready" if node.schedulable else "cordoned"


def _of_container(node: str, found: Container, cluster: str) -> Row:
    identity = found.identity if _is_of(found, cluster) else None
    return {
        **to_data(found),
        "node": node,
        "container": found.name,
        "task": str(identity.slot) if identity else None,
        "health": _health(found.health),
        "ports": _words(str(port) for port in found.host_ports),
        "age": render.age(found.created_at),
    }


def _of_stats(stats: Stats, earlier: Stats | None) -> Row:
    is_same_boot = earlier is not None and earlier.boot_id == stats.boot_id
    busy = stats.cpu.busy_since(earlier.cpu if earlier and is_same_boot else AT_BOOT)
    used = stats.memory_total - stats.memory_available
    return {
        "cpus": stats.cpus,
        "cpu": render.percent(busy),
        "load": f"{stats.load[0]:.2f}",
        "memory": f"{render.size(used)}/{render.size(stats.memory_total)}",
        "disk": f"{render.size(stats.disk_total - stats.disk_free)}/{render.size(stats.disk_total)}",
        "stats": to_data(stats),
    }


def _is_of(container: Container, cluster: str) -> bool:
    return container.identity is not None and container.identity.cluster == cluster


def _health(health: Health) -> str | None:
    return None if health is Health.UNCHECKED else health


def _words(words: Iterable[str]) -> str | None:
    return " ".join(words) or None
