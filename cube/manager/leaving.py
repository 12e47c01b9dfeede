"""What leaves a node that is drained: where each task could go, and what it has written there."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from cube.errors import InputError
from cube.manager.manager import Manager
from cube.model.job import Job, JobType
from cube.model.task import Task
from cube.model.volume import StoredVolume
from cube.reconciler.placement import Room, room_of, why_nowhere
from cube.reconciler.wants import Want, wants_of
from cube.scheduler.filters import refusals_of
from cube.worker.worker import Worker

PACE = 20_000_000
"""Bytes a second that `cube move --with-data` was seen to copy and compare (docs/volumes.md)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaver:
    """A task that would have to go: the nodes that would take it now; of none, why.

    `volumes` are those that it writes to; `size` of them in bytes, None where the engine did not tell.
    """

    task: Task
    nodes: tuple[str, ...]
    why: str
    volumes: tuple[str, ...]
    size: int | None

    @property
    def seconds(self) -> float | None:
        """About how long its data would take to follow it, while it does not serve."""
        return None if self.size is None else self.size / PACE


def leavers(manager: Manager, workers: Mapping[str, Worker], node: str) -> tuple[Leaver, ...]:
    """What a drain of that node would move, as it is now. Changes nothing.

    Raises InputError for a node that is not known, CubeError where it does not answer.
    """
    manager.refuse_unknown(node)
    held = {volume.name: volume for volume in workers[node].volumes.all()}
    world = manager.loop.world(manager.loop.look())
    wants, room = wants_of(world), room_of(world)
    others = {name: state for name, state in room.items() if name != node}
    tasks = services_on(node, world.tasks, world.jobs)
    return tuple(_leaver(task, wants[task.slot], others, held) for task in tasks if task.slot in wants)


def services_on(node: str, tasks: Iterable[Task], jobs: Sequence[Job]) -> Iterator[Task]:
    """Tasks that a drain moves: those of batch jobs end there, and those of system jobs belong there."""
    types = {(job.name, group.name): job.type_of(group) for job in jobs for group in job.groups}
    for task in tasks:
        is_service = types.get(task.slot.group_key) is JobType.SERVICE
        if is_service and task.node == node and not task.state.is_terminal:
            yield task


def refuse_data_left(manager: Manager, node: str) -> None:
    """Raises InputError where a task would leave there what it has written, and begin anew with nothing."""
    store = manager.store
    leaving = {
        str(task.slot): names
        for task in services_on(node, store.current_tasks(), store.jobs())
        if (names := written_by(task))
    }
    if leaving:
        told = "; ".join(f"{slot} writes to {', '.join(names)}" for slot, names in leaving.items())
        raise InputError(
            f"tasks would leave their data on {node}",
            why=told,
            cure=f"Move it along: cube move '{next(iter(leaving))}' NODE --with-data (sizes: cube node drain "
            f"{node} --plan). To have them begin anew elsewhere, with nothing: --leave-data",
        )


def written_by(task: Task) -> tuple[str, ...]:
    """The volumes with a name that the task may write to."""
    return tuple(volume.source for volume in task.spec.volumes if not volume.read_only and volume.is_named)


def _leaver(task: Task, want: Want, others: Room, held: Mapping[str, StoredVolume]) -> Leaver:
    nodes = tuple(name for name, state in others.items() if not refusals_of(want.request(), state))
    names = written_by(task)
    sizes = [held[name].size if name in held else 0 for name in names]
    known = [size for size in sizes if size is not None]
    return Leaver(
        task=task,
        nodes=nodes,
        why="" if nodes else why_nowhere(task, want, others),
        volumes=names,
        size=sum(known) if len(known) == len(sizes) else None,
    )
