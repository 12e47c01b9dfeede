"""What the answers of health checks change on running tasks, and what is done about sick ones."""

from cube.model.action import Checked, Note, Quarantine, Stop
from cube.model.job import HealthCheck
from cube.model.observation import Container
from cube.model.policy import OnUnhealthy
from cube.model.task import Health, State, Task
from cube.reconciler.elapsed import due_at, is_within
from cube.reconciler.tasks import stop_as_failed
from cube.reconciler.wants import Want
from cube.reconciler.world import World

CHECK_AGAIN = 0.5
"""Seconds until a starting task is looked at again."""


def check_health(task: Task, world: World) -> Note | None:
    """What the last check changes on a running task; None: nothing."""
    check, container = task.spec.health, world.container(task)
    if check is None or container is None or container.health in (Health.UNCHECKED, Health.STARTING):
        return None
    checked = _answered_well(task, check, world.now)
    if container.health is not Health.HEALTHY:
        checked = _answered_badly(task, check, world.now)
    if checked is None:
        return None
    why = f": {container.check}" if container.check and checked.health is Health.UNHEALTHY else ""
    reason = task.reason if checked.health is task.health else f"health check: {checked.health}{why}"
    return Note(task=task, target=State.RUNNING, reason=reason, checked=checked)


def is_sick(task: Task, world: World) -> bool:
    """It is unhealthy, and this look does not say that it is well again."""
    container = world.container(task)
    is_well_again = container is not None and container.health is Health.HEALTHY
    return task.health is Health.UNHEALTHY and not is_well_again


def heal(task: Task, world: World, want: Want, quarantined: int) -> Stop | Note | Quarantine:
    """What the job wants for a task that is unhealthy.

    `quarantined` is the memory, in bytes, of the group's tasks that are kept on the node already.
    """
    container = world.container(task)
    why = f": {container.check}" if container is not None and container.check else ""
    reason = f"{Health.UNHEALTHY}: {task.check_failures} failed checks in a row{why}"
    fits = quarantined + task.spec.resources.memory <= want.group.quarantine.memory
    is_to_be_kept = want.group.on_unhealthy is OnUnhealthy.QUARANTINE and not task.spec.data
    if not is_to_be_kept or container is None or not fits:
        return stop_as_failed(task, world, reason)
    return Quarantine(
        task=task,
        container=container.id,
        container_name=container.name,
        until=world.now + want.group.quarantine.keep,
        reason=f"{reason}; kept for {want.group.quarantine.keep:.0f}s",
    )


def next_check(task: Task, world: World) -> float | None:
    """When a further answer may change the task's health; None: no answer is waited for."""
    check, container = task.spec.health, world.container(task)
    if check is None or container is None or task.state is not State.RUNNING:
        return None
    if task.health is Health.STARTING:
        return world.now + CHECK_AGAIN if _may_become_healthy(task, check, container, world.now) else None
    is_failing = task.health is Health.HEALTHY and task.check_failures > 0
    return (
        max(due_at(task.checked_at, check.interval, world.now), world.now + CHECK_AGAIN)
        if is_failing
        else None
    )


def _may_become_healthy(task: Task, check: HealthCheck, container: Container, now: float) -> bool:
    """After its grace not where nobody can ask its check."""
    return is_within(task.changed_at, check.grace, now) or container.health is not Health.UNCHECKED


def _answered_well(task: Task, check: HealthCheck, now: float) -> Checked | None:
    if task.health is Health.HEALTHY and task.check_failures == 0:
        return None
    if task.check_successes > 0 and not _is_due(task, check, now):
        return None
    successes = task.check_successes + 1
    if task.health is Health.HEALTHY or successes >= check.successes:
        since = task.healthy_since if task.health is Health.HEALTHY else now
        return Checked(health=Health.HEALTHY, at=now, healthy_since=since)
    return Checked(health=task.health, at=now, healthy_since=None, successes=successes)


def _answered_badly(task: Task, check: HealthCheck, now: float) -> Checked | None:
    is_new = task.health is Health.STARTING and is_within(task.changed_at, check.grace, now)
    if is_new or task.health is Health.UNHEALTHY or not _is_due(task, check, now):
        return None
    failures = task.check_failures + 1
    if failures >= check.failures:
        return Checked(health=Health.UNHEALTHY, at=now, healthy_since=None, failures=failures)
    return Checked(health=task.health, at=now, healthy_since=task.healthy_since, failures=failures)


def _is_due(task: Task, check: HealthCheck, now: float) -> bool:
    """Answers count at most once in an interval."""
    return not is_within(task.checked_at, check.interval, now)
