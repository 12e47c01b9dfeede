"""Homes: the nodes that keep what slots' tasks have written. The next task of such a slot goes there."""

from collections.abc import Iterable, Mapping, Sequence

from cube.model.action import Refusal
from cube.model.job import TaskSpec
from cube.model.task import Slot, Task
from cube.reconciler.world import World
from cube.scheduler.filters import refusals_of
from cube.scheduler.state import NodeState, Request


def home_of(slot: Slot, spec: TaskSpec, world: World) -> str | None:
    """The node where the slot's last task wrote to a volume that this spec has, too; None: there is none.

    Nor is there one where a look shows that the volume is gone, or somebody has given up what is in it. A
    node that is silent, or not in the inventory, may still have it.
    """
    last = world.last_on_a_node.get(slot) if spec.data else None
    if last is None or last.node is None:
        return None
    names = spec.data & last.spec.data
    is_given_up = was_forgotten(last) or world.may_lose_data(last.node)
    return last.node if names and not is_given_up and _may_be_on(last.node, names, world) else None


def homes_by_volume(tasks: Iterable[Task]) -> Mapping[str, frozenset[str]]:
    """Of each volume's name the nodes where slots have their data in one that is called so."""
    last = {task.slot: task for task in sorted(tasks, key=lambda task: task.order) if task.node is not None}
    found: dict[str, frozenset[str]] = {}
    for task in last.values():
        for name in task.spec.data:
            found[name] = found.get(name, frozenset()) | {str(task.node)}
    return found


def forgotten(node: str) -> str:
    """What is recorded of a task when its node is forgotten, with its containers and its data."""
    return f"node {node} was forgotten; its containers, if it is still there, are left to run"


def was_forgotten(task: Task) -> bool:
    """Nobody waits for its node any more."""
    return task.node is not None and task.reason == forgotten(task.node)


def why_it_waits(request: Request, room: Mapping[str, NodeState], absent: Sequence[Refusal]) -> str:
    """Why the one node that has the request's data cannot take it; of one that is away, how to give that up.

    `absent` says of the nodes that did not answer why they take nothing.
    """
    home = str(request.home)
    what, anew = f"its data is on {home}, which", "to begin anew without it: cube node"
    if home in room:
        here = "; ".join(found.reason for found in refusals_of(request, room[home]))
        return f"{what} cannot take it: {here}"
    if silent := [found.found for found in absent if found.node == home]:
        return f"{what} does not answer: {silent[0]}; {anew} drain {home} --leave-data"
    return f"{what} is not in the inventory; {anew} forget {home}"


def _may_be_on(node: str, names: Iterable[str], world: World) -> bool:
    seen = world.seen(node)
    return seen is None or seen.volumes is None or not set(names).isdisjoint(seen.volumes)
