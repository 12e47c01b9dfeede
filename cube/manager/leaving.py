"""What leaves a node that is drained: where each task could go, and what it has written there."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from cube.manager.left_behind import services_on
from cube.manager.manager import Manager
from cube.manager.seams import Hand
from cube.model.task import Task
from cube.model.volume import StoredVolume
from cube.reconciler.placement import Room, room_of, why_nowhere
from cube.reconciler.wants import Want, wants_of
from cube.scheduler.filters import refusals_of

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
        """About how long its data would take to follow it; most of that time it still serves."""
        return None if self.size is None else self.size / PACE


def copying(leavers: Iterable[Leaver]) -> float | None:
    """The seconds of all of them, one after another; None where those of one are not known."""
    seconds = [leaver.seconds for leaver in leavers]
    known = [each for each in seconds if each is not None]
    return sum(known) if len(known) == len(seconds) else None


def leavers(manager: Manager, workers: Mapping[str, Hand], node: str) -> tuple[Leaver, ...]:
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


def _leaver(task: Task, want: Want, others: Room, held: Mapping[str, StoredVolume]) -> Leaver:
    asked = replace(want, home=None).request()
    nodes = tuple(name for name, state in others.items() if not refusals_of(asked, state))
    names = tuple(sorted(task.spec.data))
    sizes = [held[name].size if name in held else 0 for name in names]
    known = [size for size in sizes if size is not None]
    return Leaver(
        task=task,
        nodes=nodes,
        why="" if nodes else why_nowhere(task, want, others),
        volumes=names,
        size=sum(known) if len(known) == len(sizes) else None,
    )
