"""Whether the fleet survives the loss of any one node: each in turn is supposed to be gone."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TypeVar

from cube.model.action import Wait
from cube.model.task import Slot, Task
from cube.reconciler.buckets import Sorted, sort_tasks
from cube.reconciler.filling import Filled
from cube.reconciler.placement import Room, place_all
from cube.reconciler.wants import Want, wants_of
from cube.reconciler.world import World
from cube.scheduler.algorithms import Scheduler
from cube.scheduler.fleet import make_ready
from cube.whatif.change import Change, supposed
from cube.whatif.play import Stuck, ended_of, homes_of, known_room, openings_of, stuck_of, without

Key = TypeVar("Key")


def falls(world: World, change: Change, scheduler: Scheduler) -> Iterator[tuple[str, tuple[Stuck, ...]]]:
    """Each node that answers after the change, added ones too, and what would find no room without that one.

    What would wait for room in any case does not count against a node.
    """
    settled, homes = _settle(world, change), homes_of(world)
    make_ready(len(settled.room), len(settled.wants))
    anyway = {found.slot for found in _waits(settled.placed(settled.tasks, settled.room, scheduler))}
    for name in settled.room:
        waits = _waits(settled.placed_without(name, scheduler))
        yield name, tuple(stuck_of(found, homes) for found in waits if found.slot not in anyway)


@dataclass(frozen=True, kw_only=True)
class _Settled:
    """The fleet after the change: of one node more that is lost only the slots are sorted that this changes.

    `before` and `after` are without and with the change. What is `ended` has left the `room`.
    """

    before: World
    after: World
    wants: Mapping[Slot, Want]
    tasks: Sorted
    ended: tuple[Task, ...]
    room: Room

    def placed(self, tasks: Sorted, room: Room, scheduler: Scheduler) -> Filled:
        """What waits, placed. The queue is that of the fleet as it was: who is moved keeps its turn."""
        queue = replace(self.after, tasks=self.before.tasks)
        return place_all(queue, openings_of(tasks), scheduler, room)

    def placed_without(self, node: str, scheduler: Scheduler) -> Filled:
        """As `placed`, where that node is lost, too."""
        slots = dict.fromkeys((*self._waiting, *(task.slot for task in self._on.get(node, ()))))
        near = tuple(task for slot in slots for task in self._of.get(slot, ()))
        wanted = (self.wants[slot] for slot in slots if slot in self.wants)
        tasks = sort_tasks(
            supposed(replace(self.after, tasks=near), Change(lost=frozenset({node}))),
            {want.slot: want for want in wanted if want.node != node},
        )
        ended = [*(task for task in self.ended if task.slot not in slots), *ended_of(tasks)]
        room = self.room if _ids(ended) == _ids(self.ended) else known_room(without(self.after, ended))
        return self.placed(tasks, {name: state for name, state in room.items() if name != node}, scheduler)

    @cached_property
    def _waiting(self) -> tuple[Slot, ...]:
        return tuple(want.slot for want in self.tasks.unfilled)

    @cached_property
    def _on(self) -> Mapping[str | None, Sequence[Task]]:
        return _by(self.after.tasks, lambda task: task.node)

    @cached_property
    def _of(self) -> Mapping[Slot, Sequence[Task]]:
        return _by(self.after.tasks, lambda task: task.slot)


def _ids(tasks: Iterable[Task]) -> set[str]:
    return {task.id for task in tasks}


def _by(tasks: Iterable[Task], key: Callable[[Task], Key]) -> Mapping[Key, Sequence[Task]]:
    found: dict[Key, list[Task]] = {}
    for task in tasks:
        found.setdefault(key(task), []).append(task)
    return found


def _settle(world: World, change: Change) -> _Settled:
    after = supposed(world, change)
    wants = wants_of(after)
    tasks = sort_tasks(after, wants)
    ended = ended_of(tasks)
    room = known_room(without(after, ended))
    return _Settled(before=world, after=after, wants=wants, tasks=tasks, ended=ended, room=room)


def _waits(placed: Filled) -> Iterator[Wait]:
    return (found for found in placed.actions if isinstance(found, Wait))
