"""Time travel: the tasks as the events up to some moment add up to them. Pure."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from cube.model.task import Health, Slot, State, TaskEvent


@dataclass(frozen=True, slots=True, kw_only=True)
class PastTask:
    """A task as its events tell of it; the fields mean what they mean in Task."""

    id: str
    slot: Slot
    version: int
    state: State
    order: int
    created_at: float
    changed_at: float
    node: str | None = None
    container: str | None = None
    ports: Mapping[str, int] = field(default_factory=dict)
    devices: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    health: Health = Health.UNCHECKED
    restarts: int = 0
    reschedules: int = 0
    quarantined_until: float | None = None
    exit_code: int | None = None
    reason: str = ""


def tasks_at(events: Iterable[TaskEvent]) -> tuple[PastTask, ...]:
    """The tasks that these events, all from the first on, add up to, in the order of their making."""
    tasks: dict[str, PastTask] = {}
    for event in events:
        if event.task and event.target is not None:
            tasks[event.task] = _after(tasks.get(event.task), event, event.target, len(tasks) + 1)
    return tuple(tasks.values())


def current(tasks: Iterable[PastTask]) -> tuple[PastTask, ...]:
    """The newest task of every slot, and every older one that had not ended, or was in quarantine."""
    found = tuple(tasks)
    newest = {task.slot: task.id for task in sorted(found, key=lambda task: task.order)}
    return tuple(task for task in found if newest[task.slot] == task.id or _is_kept(task))


def _is_kept(task: PastTask) -> bool:
    return not task.state.is_terminal or task.quarantined_until is not None


def _after(before: PastTask | None, event: TaskEvent, state: State, order: int) -> PastTask:
    known = before or PastTask(
        id=event.task,
        slot=event.slot,
        version=event.version,
        state=state,
        order=order,
        created_at=event.at,
        changed_at=event.at,
    )
    return replace(
        known,
        version=event.version,
        state=state,
        changed_at=known.changed_at if known.state is state else event.at,
        node=event.node,
        reason=event.reason,
        **_told(event.detail),
    )


def _told(detail: Mapping[str, str]) -> Mapping[str, Any]:
    """The fields that the event says to have changed beside the state."""
    read: Mapping[str, Callable[[str], Any]] = {
        "health": Health,
        "container": lambda text: text or None,
        "exit_code": lambda text: int(text) if text else None,
        "restarts": int,
        "reschedules": int,
        "ports": _ports,
        "devices": _devices,
        "quarantined_until": lambda text: float(text) if text else None,
    }
    return {name: decode(detail[name]) for name, decode in read.items() if name in detail}


def _devices(text: str) -> Mapping[str, tuple[str, ...]]:
    pairs = (word.partition("=") for word in text.split())
    return {kind: tuple(names.split(",")) for kind, _, names in pairs}


def _ports(text: str) -> Mapping[str, int]:
    pairs = (word.partition("=") for word in text.split())
    return {name: int(port) for name, _, port in pairs}
