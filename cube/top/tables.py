"""What each view shows, as rows of words. Pure."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from cube.model.task import Health, State, Task, TaskEvent
from cube.view.fleet import ClusterView, JobView, NodeView
from cube.view.words import age, cores, size

BAR = 10
"""Columns of a bar."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """`key` is what it is about: a node's or job's name, a task's id, an event's number."""

    key: str
    cells: tuple[str, ...]


COLUMNS: Mapping[str, tuple[str, ...]] = {
    "nodes": ("NODE", "STATE", "CPU", "MEMORY", "DISK", "LOAD", "TASKS", "OTHERS", "WHY"),
    "jobs": ("JOB", "TYPE", "VERSION", "ROLLOUT", "RUNNING", "HEALTHY", "FAILED", "WAITING", "REASON"),
    "tasks": ("TASK", "STATE", "HEALTH", "NODE", "VERSION", "RESTARTS", "AGE", "REASON"),
    "events": ("AGE", "WHAT", "CHANGE", "NODE", "REASON", "BY"),
}


def rows(look: ClusterView, view: str, query: str = "") -> tuple[Row, ...]:
    """The view's rows in which every word of the query stands."""
    words = query.lower().split()
    found = ROWS[view](look)
    return tuple(row for row in found if all(word in " ".join(row.cells).lower() for word in words))


def summary(look: ClusterView) -> str:
    """The cluster in one line."""
    ready = sum(node.state == "ready" for node in look.nodes)
    running, wanted = sum(job.running for job in look.jobs), sum(job.wanted for job in look.jobs)
    failed = sum(job.failed for job in look.jobs)
    words = [look.cluster, f"{ready}/{len(look.nodes)} nodes ready", f"{running}/{wanted} tasks running"]
    words += [f"{len(look.silent)} UNKNOWN"] if look.silent else []
    return "   ".join([*words, *([f"{failed} FAILED"] if failed else [])])


def _nodes(look: ClusterView) -> Iterator[Row]:
    for node in look.nodes:
        cells = (node.name, node.state, *_amounts(node), str(node.tasks), str(node.others), node.why)
        yield Row(key=node.name, cells=cells)


def _amounts(node: NodeView) -> tuple[str, str, str, str]:
    if node.capacity is None or node.used is None:
        return ("-", "-", "-", "-")
    cpu = _bar(node.promised.cpu, node.used.cpu, node.capacity.cpu, cores)
    memory = _bar(node.promised.memory, node.used.memory, node.capacity.memory, size)
    disk = _bar(node.promised.disk, node.used.disk, node.capacity.disk, size)
    return (cpu, memory, disk, f"{node.load or 0.0:.2f}")


def _bar(promised: float, used: float, whole: float, words: Callable[[float], str]) -> str:
    """Promised to tasks as a full block, in use beyond that as a light one."""
    full, light = (min(round(BAR * amount / whole), BAR) if whole else 0 for amount in (promised, used))
    drawn = "█" * full + "▒" * max(light - full, 0)
    return f"{drawn:·<{BAR}} {words(promised)}/{words(whole)}"


def _jobs(look: ClusterView) -> Iterator[Row]:
    for job in look.jobs:
        yield Row(key=job.name, cells=_of_job(job))


def _of_job(job: JobView) -> tuple[str, ...]:
    rollout = "stopped" if job.stopped else job.rollout or "-"
    numbers = (f"{job.running}/{job.wanted}", str(job.healthy), str(job.failed), str(job.pending))
    return (job.name, job.type, str(job.version), rollout, *numbers, job.reason)


def _tasks(look: ClusterView) -> Iterator[Row]:
    """What went wrong first; what was taken away on purpose not at all."""
    order = (State.FAILED, State.PENDING, State.SCHEDULED, State.RUNNING, State.COMPLETED)
    for task in sorted(look.tasks, key=lambda task: order.index(task.state)):
        if task.state is not State.COMPLETED or task.exit_code == 0:
            yield Row(key=task.id, cells=_of_task(task, look))


def _of_task(task: Task, look: ClusterView) -> tuple[str, ...]:
    is_unknown = task.node in look.silent and not task.state.is_terminal
    health = "-" if task.health is Health.UNCHECKED else task.health
    state = "unknown" if is_unknown else task.state
    numbers = (str(task.version), str(task.restarts), age(look.at - task.changed_at))
    return (str(task.slot), state, health, task.node or "-", *numbers, task.reason)


def _events(look: ClusterView) -> Iterator[Row]:
    for event in look.events:
        yield Row(key=str(event.number), cells=of_event(event, look.at))


def of_event(event: TaskEvent, now: float) -> tuple[str, ...]:
    """An event's cells."""
    what = str(event.slot) if event.slot.group else event.slot.job or "-"
    change = f"{event.source or 'new'} -> {event.target}" if event.target else "-"
    return (age(now - event.at), what, change, event.node or "-", event.reason, event.actor)


ROWS: Mapping[str, Callable[[ClusterView], Iterator[Row]]] = {
    "nodes": _nodes,
    "jobs": _jobs,
    "tasks": _tasks,
    "events": _events,
}
