"""Which of a node's devices a new task gets: none that another task may still hold."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from cube.model.action import Action, Place
from cube.model.node import Node
from cube.model.task import Task
from cube.reconciler.world import World

Devices = Mapping[str, tuple[str, ...]]
"""By kind, what each is called on its node."""


def free_devices(node: Node, tasks: Iterable[Task]) -> Devices:
    """Those that none of the tasks has that hold room on the node."""
    if not node.devices:
        return {}
    here = [task for task in tasks if task.node == node.name and task.holds_room]
    taken = {(kind, name) for task in here for kind, names in task.devices.items() for name in names}
    return {
        kind: tuple(name for name in names if (kind, name) not in taken)
        for kind, names in node.devices.items()
    }


def with_devices(actions: Iterable[Action], world: World) -> Iterator[Action]:
    """The actions, each new task with the first of the devices that are free on its node."""
    free: dict[str, Devices] = {}
    for action in actions:
        if not isinstance(action, Place) or not action.spec.devices:
            yield action
            continue
        node = world.nodes[action.node]
        left = free.get(node.name) or free_devices(node, world.tasks)
        given = {kind: left[kind][:count] for kind, count in action.spec.devices.items()}
        free[node.name] = {kind: names[len(given.get(kind, ())) :] for kind, names in left.items()}
        yield replace(action, devices=given)
