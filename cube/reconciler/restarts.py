"""How often a failed task is tried again, where, and after how long."""

import zlib

from cube.model.job import Group
from cube.model.policy import OnUnhealthy, RestartMode
from cube.model.task import Health, State, Task
from cube.reconciler.elapsed import due_at


def can_restart(task: Task, group: Group) -> bool:
    """The policy allows another attempt in the same place, now or later."""
    if task.health is Health.UNHEALTHY and group.on_unhealthy is not OnUnhealthy.RESTART:
        return False
    return task.restarts < group.restart.attempts or _waits_for_a_window(group)


def restart_due(task: Task, group: Group, now: float) -> float:
    """When the policy lets the failed task start again, in seconds since the epoch."""
    policy = group.restart
    if task.restarts >= policy.attempts:
        return due_at(task.changed_at, policy.window, now)
    return due_at(task.changed_at, _backoff(policy.delay, policy.max_delay, task.restarts, task.id), now)


def begins_a_window(task: Task, group: Group) -> bool:
    """All attempts are used, and the policy gives them back once it is due."""
    return task.restarts >= group.restart.attempts and _waits_for_a_window(group)


def can_reschedule(task: Task, group: Group) -> bool:
    """The policy allows a new task for the slot, now or later."""
    return group.reschedule.attempts is None or task.reschedules < group.reschedule.attempts


def reschedule_due(task: Task, group: Group, now: float) -> float:
    """When the policy lets a new task take the failed one's slot, in seconds since the epoch."""
    policy = group.reschedule
    return due_at(task.changed_at, _backoff(policy.delay, policy.max_delay, task.reschedules, task.id), now)


def is_given_up(task: Task, group: Group) -> bool:
    """It failed, and no policy allows another attempt."""
    return task.state is State.FAILED and not can_restart(task, group) and not can_reschedule(task, group)


def makes_way(task: Task, group: Group, now: float) -> bool:
    """It failed for good where it is, and a new task may take its slot now."""
    return (
        task.state is State.FAILED
        and not can_restart(task, group)
        and can_reschedule(task, group)
        and reschedule_due(task, group, now) <= now
    )


def _backoff(delay: float, longest: float, attempt: int, seed: str) -> float:
    """Exponential, with equal jitter: between half of min(longest, delay * 2^attempt) and all of it.

    The jitter is drawn from the task's id, so that the same world gives the same plan.
    """
    whole = min(longest, delay * 2.0 ** min(attempt, 30))
    return whole * (0.5 + 0.5 * zlib.crc32(f"{seed}/{attempt}".encode()) / 2**32)


def _waits_for_a_window(group: Group) -> bool:
    return group.restart.mode is RestartMode.DELAY and group.restart.attempts > 0
