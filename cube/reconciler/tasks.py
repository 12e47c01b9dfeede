"""One rule per bucket: what a single task needs, from its record and its container."""

from cube.model.action import Note, Start, Stop
from cube.model.job import Group
from cube.model.observation import Container, ContainerState
from cube.model.task import Health, State, Task
from cube.reconciler.elapsed import due_at
from cube.reconciler.restarts import begins_a_window
from cube.reconciler.wants import Want
from cube.reconciler.world import World


def stop(task: Task, world: World, reason: str) -> Stop | Note:
    """End the task: remove its container, or record that there is none to remove."""
    return _stop(task, world, reason, State.COMPLETED)


def stop_as_failed(task: Task, world: World, reason: str) -> Stop | Note:
    """Remove the container of a task that does not do its work; the policies for failed tasks follow."""
    return _stop(task, world, reason, State.FAILED)


def recover(task: Task, world: World, want: Want) -> Start | Note | None:
    """A task that should run and is not known to: believe its container, or start it.

    None where the container has ended and the engine does not say how: the next look may tell.
    """
    container = world.container(task)
    if container is None and task.state is State.RUNNING:
        return _failed(task, world, want.group, "its container is gone")
    if container is None:
        return Start(task=task, reason="no container was found where it was to start")
    if container.state is ContainerState.CREATED:
        return Start(task=task, reason="its container was created and not started")
    if container.state.is_alive:
        return Note(task=task, target=State.RUNNING, reason="seen running", container=container.id)
    if container.state is ContainerState.EXITED and container.exit_code is None:
        return None
    return _ended(task, world, container, want)


def restart(task: Task, want: Want) -> Start | Note:
    """The next attempt, in the same place; after the last one of a window first all attempts anew."""
    if begins_a_window(task, want.group):
        return Note(task=task, target=State.FAILED, reason=f"a new window begins: {task.reason}", restarts=0)
    attempt = f"restart {task.restarts + 1} of {want.group.restart.attempts}"
    return Start(task=task, reason=f"{attempt}: {task.reason}")


def serves(task: Task, world: World) -> bool:
    """Its container is alive and not frozen, and it is healthy where that is asked."""
    container = world.container(task)
    is_well = task.state is State.RUNNING and task.health in (Health.UNCHECKED, Health.HEALTHY)
    return is_well and container is not None and container.can_serve


def runs_unrecorded(task: Task, world: World) -> bool:
    """Its container lives, and nobody has recorded that it was started: the reply was lost, or came late."""
    return task.state is State.SCHEDULED and world.lives(task)


def is_of_use(task: Task, world: World) -> bool:
    """It serves, or its container lives and may well do so: none is stopped for want of a record."""
    return serves(task, world) or runs_unrecorded(task, world)


def proven_at(task: Task, group: Group, now: float) -> float:
    """When the task will have been healthy for long enough, if it stays so; seconds since the epoch."""
    since = task.changed_at if task.healthy_since is None else task.healthy_since
    return due_at(since, group.update.min_healthy_time, now)


def rested_at(task: Task, group: Group, now: float) -> float:
    """When the pause will be over that an update makes after the task has been proven."""
    since = task.changed_at if task.healthy_since is None else task.healthy_since
    return due_at(since, group.update.min_healthy_time + group.update.delay, now)


def is_proven(task: Task, group: Group, world: World) -> bool:
    """It serves, and has for long enough; or it has ended as it should."""
    if task.state is State.COMPLETED:
        return True
    return serves(task, world) and proven_at(task, group, world.now) <= world.now


def _stop(task: Task, world: World, reason: str, target: State) -> Stop | Note:
    container = world.container(task)
    if task.node is None or (container is None and not _may_have_files(task, world)):
        return Note(task=task, target=target, reason=reason)
    return Stop(
        node=task.node,
        container=container.id if container else task.container_name,
        container_name=container.name if container else task.container_name,
        grace=task.spec.stop_grace,
        reason=reason,
        task=task,
        target=target,
    )


def _may_have_files(task: Task, world: World) -> bool:
    """They come before the container: a start that broke off between the two has left them."""
    return task.spec.has_files and world.seen(task.node) is not None


def _ended(task: Task, world: World, container: Container, want: Want) -> Note:
    reason = _how_it_ended(container)
    if want.ends_by_itself and container.exit_code == 0:
        return Note(
            task=task, target=State.COMPLETED, reason=reason, container=container.id, exit_code=0, restarts=0
        )
    return _failed(task, world, want.group, reason, container)


def _failed(task: Task, world: World, group: Group, reason: str, container: Container | None = None) -> Note:
    """A task that has run for a whole window gets its attempts back."""
    ran_for = world.now - task.changed_at if task.state is State.RUNNING else 0.0
    return Note(
        task=task,
        target=State.FAILED,
        reason=reason,
        container=container.id if container else None,
        exit_code=container.exit_code if container else None,
        restarts=0 if ran_for >= group.restart.window else task.restarts,
        reschedules=0 if ran_for >= group.reschedule.window else task.reschedules,
    )


def _how_it_ended(container: Container) -> str:
    if container.oom_killed:
        return "killed: out of memory"
    if container.exit_code is None:
        return f"its container is {container.state}"
    return f"exited with {container.exit_code}"
