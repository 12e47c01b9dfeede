"""Bars: what is drawn of a node and of a job, in hundredths of the width. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass

from cube.model.resources import Resources
from cube.model.task import Health, State, Task
from cube.view.fleet import JobView, NodeView
from cube.view.words import cores, size


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One resource of a node: `promised` to tasks, `kept` back by the inventory, `used` by everybody now.

    `by_tasks` is the part of `used` that tasks of Cube's have.
    """

    name: str
    promised: float
    kept: float
    used: float
    by_tasks: float
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A piece of a job's bar: `kind` is its colour, `start` and `width` where it lies."""

    kind: str
    count: int
    start: float
    width: float


def node_bars(node: NodeView) -> tuple[Bar, ...]:
    """CPU, memory and disk of a node; none where nothing is known of it."""
    if node.capacity is None or node.used is None:
        return ()
    bars = []
    for name, words in (("cpu", cores), ("memory", size), ("disk", size)):
        whole = getattr(node.capacity, name)
        whose = (node.promised, node.reserved, node.used, node.used_by_tasks or Resources())
        amounts = [getattr(found, name) for found in whose]
        promised, kept, used, by_tasks = (_share(amount, whole) for amount in amounts)
        text = f"{words(amounts[0])} of {words(whole)} promised, {words(amounts[2])} used"
        text += f", {words(amounts[3])} of it by tasks" if node.used_by_tasks and name != "disk" else ""
        bars.append(Bar(name=name, promised=promised, kept=kept, used=used, by_tasks=by_tasks, text=text))
    return tuple(bars)


def job_bar(job: JobView, tasks: Iterable[Task], silent: frozenset[str]) -> tuple[Part, ...]:
    """A job's tasks by how they are; what is still wanted beside them is missing."""
    counts = dict.fromkeys(("new", "old", "sick", "waits", "failed", "unknown"), 0)
    for task in tasks:
        kind = _kind(task, job.version, silent)
        if kind in counts:
            counts[kind] += 1
    counts["missing"] = max(job.wanted - sum(counts.values()), 0)
    whole, start, parts = max(sum(counts.values()), 1), 0.0, []
    for kind, count in counts.items():
        if count:
            width = 100 * count / whole
            parts.append(Part(kind=kind, count=count, start=round(start, 2), width=round(width, 2)))
            start += width
    return tuple(parts)


def _kind(task: Task, version: int, silent: frozenset[str]) -> str:
    if task.state is State.RUNNING and task.node in silent:
        return "unknown"
    if task.state is State.RUNNING:
        if task.health not in (Health.HEALTHY, Health.UNCHECKED):
            return "sick"
        return "new" if task.version == version else "old"
    return {State.FAILED: "failed", State.PENDING: "waits", State.SCHEDULED: "waits"}.get(task.state, "ended")


def _share(amount: float, whole: float) -> float:
    return round(min(max(100 * amount / whole, 0.0), 100.0), 1) if whole else 0.0
