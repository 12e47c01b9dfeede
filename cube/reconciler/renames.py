"""Nodes that have another name in the inventory now: what is recorded of them follows."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from cube.model.action import Note
from cube.model.observation import Observation, Stats
from cube.model.task import Task
from cube.reconciler.homes import was_forgotten
from cube.reconciler.placement import room_of
from cube.reconciler.tasks import runs_unrecorded
from cube.reconciler.world import World


def cordons_that_follow(
    cordons: Iterable[str], known: Mapping[str, Stats], observed: Mapping[str, Observation]
) -> Mapping[str, str]:
    """By the name of a cordoned node that has left the inventory, what its machine is called there now.

    `known` are the newest stats of every node that ever showed some. A node has that machine where it shows
    stats for the first time, with the machine's id: of clones, which may share one, nothing is told.
    """
    gone = {name: known[name].machine_id for name in cordons if name not in observed and name in known}
    ids = {name: found.stats.machine_id for name, found in observed.items() if found.stats is not None}
    sharing = Counter(ids.values())
    new = {each: name for name, each in ids.items() if each and sharing[each] == 1 and name not in known}
    return {old: new[machine] for old, machine in gone.items() if machine in new}


def under_new_names(world: World) -> tuple[World, tuple[Note, ...]]:
    """The same world with every recorded node under its present name, and a note for each task that moves so.

    A node has a new name where it is not in the inventory, and a container of one of its tasks was seen on
    one that is.
    """
    names = dict(_new_names(world))
    if not names:
        return world, ()
    tasks = tuple(_renamed(task, names) for task in world.tasks)
    former = tuple(_renamed(task, names) for task in world.former)
    cordons = {
        names.get(name, name): replace(cordon, node=names.get(name, name))
        for name, cordon in sorted(world.cordons.items(), key=lambda each: each[1].at)
    }
    notes = tuple(
        Note(task=old, target=old.state, reason=f"{old.node} is called {new.node} now", node=new.node)
        for old, new in zip((*world.tasks, *world.former), (*tasks, *former), strict=True)
        if old.node != new.node
    )
    return replace(world, tasks=tasks, former=former, cordons=cordons), notes


def crowded_out(world: World, renames: Iterable[Note]) -> frozenset[str]:
    """The ids of tasks under new names whose room others have been promised, and that nobody knew to run.

    Before a container of theirs told what their node is called now, nobody could know that they hold any.
    Those that do not run go first, then those that were started so late that nobody has recorded it.
    """
    moved = {note.task.id for note in renames}
    if not moved:
        return frozenset()
    mine = [task for task in world.tasks if task.id in moved]
    idle = _without_room(world, [task for task in mine if not world.lives(task)])
    others = replace(world, tasks=tuple(task for task in world.tasks if task.id not in idle))
    return idle | _without_room(others, [task for task in mine if runs_unrecorded(task, world)])


def _without_room(world: World, tasks: Sequence[Task]) -> frozenset[str]:
    """The ids of those on nodes of which more is promised than there is."""
    if not tasks:
        return frozenset()
    room = room_of(world)
    ports = Counter((task.node, port) for task in world.tasks for port in task.ports.values())
    full = {name for name, state in room.items() if state.free.is_overdrawn}
    return frozenset(
        task.id
        for task in tasks
        if task.node in full or any(ports[task.node, port] > 1 for port in task.ports.values())
    )


def _new_names(world: World) -> Iterator[tuple[str, str]]:
    for task in world.tasks:
        if task.node is not None and task.node not in world.nodes:
            for name in world.whereabouts(task)[:1]:
                yield task.node, name


def _renamed(task: Task, names: Mapping[str, str]) -> Task:
    """The task under its node's present name; what was given up with the old one stays with that."""
    if task.node is None or was_forgotten(task):
        return task
    return replace(task, node=names.get(task.node, task.node))
