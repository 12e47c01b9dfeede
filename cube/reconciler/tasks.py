"""One rule per bucket: what a single task needs, from its record and its container."""

from cube.model.action import Note, Start, Stop
from cube.model.job import JobType
from cube.model.observation import Container, ContainerState
from cube.model.task import Health, State, Task
from cube.reconciler.world import Want, World

CHECK_AGAIN = 0.5
"""Seconds until a starting task is looked at again."""


def stop(task: Task, world: World, reason: str) -> Stop | Note:
    """End the task: remove its container, or record that there is none to remove."""
    container = world.container(task)
    if task.node is None or container is None:
        return Note(task=task, target=State.COMPLETED, reason=reason)
    return Stop(
        node=task.node,
        container=container.id,
        container_name=container.name,
        grace=task.spec.stop_grace,
        reason=reason,
        task=task,
    )


def recover(task: Task, world: World, want: Want) -> Start | Note:
    """A task that should run and is not known to: believe its container, or start it."""
    container = world.container(task)
    if container is None and task.state is State.RUNNING:
        restarts = _restarts_that_count(task, world, want)
        return Note(task=task, target=State.FAILED, reason="its container is gone", restarts=restarts)
    if container is None:
        return Start(task=task, reason="no container was found where it was to start")
    if container.state is ContainerState.CREATED:
        return Start(task=task, reason="its container was created and not started")
    if container.state.is_alive:
        return Note(task=task, target=State.RUNNING, reason="seen running", container=container.id)
    return _ended(task, world, container, want)


def _ended(task: Task, world: World, container: Container, want: Want) -> Note:
    succeeded = want.job.type is JobType.BATCH and container.exit_code == 0
    return Note(
        task=task,
        target=State.COMPLETED if succeeded else State.FAILED,
        reason=_how_it_ended(container),
        container=container.id,
        exit_code=container.exit_code,
        restarts=_restarts_that_count(task, world, want),
    )


def _restarts_that_count(task: Task, world: World, want: Want) -> int:
    """Those so far; 0 for a task that has run for a whole window, which gets its attempts back."""
    has_run_well = task.state is State.RUNNING and world.now - task.changed_at >= want.group.restart.window
    return 0 if has_run_well else task.restarts


def _how_it_ended(container: Container) -> str:
    if container.oom_killed:
        return "killed: out of memory"
    if container.exit_code is None:
        return f"its container is {container.state}"
    return f"exited with {container.exit_code}"


def can_restart(task: Task, want: Want) -> bool:
    """The policy still allows an attempt."""
    return task.restarts < want.group.restart.attempts


def restart_due(task: Task, want: Want) -> float:
    """When the policy lets the failed task start again, in seconds since the epoch."""
    return task.changed_at + want.group.restart.delay


def restart(task: Task, want: Want) -> Start:
    """The next attempt, in the same place."""
    attempt = f"restart {task.restarts + 1} of {want.group.restart.attempts}"
    return Start(task=task, reason=f"{attempt}: {task.reason}")


def check_health(task: Task, world: World) -> Note | None:
    """What the last check changes on a running task; None: nothing."""
    check, container = task.spec.health, world.container(task)
    if check is None or container is None or container.health in (Health.UNCHECKED, Health.STARTING):
        return None
    if container.health is Health.HEALTHY:
        is_news = task.health is not Health.HEALTHY or task.check_failures > 0
        return _health_note(task, Health.HEALTHY, 0) if is_news else None
    if is_starting(task) and world.now - task.changed_at < check.grace:
        return None
    failures = task.check_failures + 1
    if task.health is Health.UNHEALTHY:
        return None
    return _health_note(task, Health.UNHEALTHY if failures >= check.failures else task.health, failures)


def is_starting(task: Task) -> bool:
    """Running, and its check has not answered well yet."""
    return task.state is State.RUNNING and task.health is Health.STARTING


def is_awaited(task: Task, world: World) -> bool:
    """Starting, and the next look may tell more; after its grace not where nobody can ask its check."""
    check, container = task.spec.health, world.container(task)
    if check is None or container is None or not is_starting(task):
        return False
    return world.now - task.changed_at < check.grace or container.health is not Health.UNCHECKED


def serves(task: Task, world: World) -> bool:
    """Its container is alive, and it is healthy where that is asked."""
    container = world.container(task)
    is_well = task.state is State.RUNNING and task.health in (Health.UNCHECKED, Health.HEALTHY)
    return is_well and container is not None and container.state.is_alive


def _health_note(task: Task, health: Health, failures: int) -> Note:
    reason = task.reason if health is task.health else f"health check: {health}"
    return Note(task=task, target=State.RUNNING, reason=reason, health=health, check_failures=failures)
