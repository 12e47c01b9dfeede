"""What a task's check said last before its container failed, as the record tells. Pure."""

from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import takewhile

from cube.model.job import CheckKind, HealthCheck
from cube.model.task import Health, State, Task, TaskEvent

ANSWERS = (Health.HEALTHY, Health.UNHEALTHY)


def answers_of(task: Task, events: Sequence[TaskEvent]) -> tuple[str, ...]:
    """When, by which kind of check, and what was wrong; the newest at the end. `events` are the task's own.

    Of the image's own check nothing: the container itself tells that.
    """
    check = task.spec.health
    if check is None or check.kind is CheckKind.IMAGE:
        return ()
    told = [event for event in _of_this_run(events) if event.detail.get("health") in ANSWERS]
    found = [_line(event.at, check, event.reason) for event in told]
    if task.check_failures and task.health is not Health.UNHEALTHY:
        few = f"health check: {task.check_failures} bad in a row, and {check.failures} make it unhealthy"
        found.append(_line(task.checked_at, check, few))
    return tuple(found)


def _of_this_run(events: Sequence[TaskEvent]) -> Sequence[TaskEvent]:
    """Those since its process began, the oldest first."""
    return tuple(takewhile(lambda event: not _begins(event), reversed(events)))[::-1]


def _begins(event: TaskEvent) -> bool:
    return event.target is State.RUNNING and event.source is not State.RUNNING


def _line(at: float, check: HealthCheck, what: str) -> str:
    return f"{datetime.fromtimestamp(at, UTC).isoformat(timespec='seconds')} {check.kind} {what}"
