"""Groups that wait for other groups of their job."""

from collections.abc import Iterable, Iterator, Mapping

from cube.model.policy import Condition
from cube.model.task import Slot, State, Task
from cube.reconciler.tasks import serves
from cube.reconciler.wants import Want
from cube.reconciler.world import World


def unmet(want: Want, world: World, wants: Mapping[Slot, Want], holders: Mapping[Slot, Task]) -> str:
    """What its group still waits for in another one of its job; empty: nothing."""
    for name, condition in want.group.depends_on.items():
        slots = [slot for slot in wants if slot.group_key == (want.job.name, name)]
        if not all(_is_met(condition, wants[slot], holders.get(slot), world) for slot in slots):
            return f"waits for group {name} to be {condition}"
    return ""


def next_dependencies(
    world: World, wants: Mapping[Slot, Want], unfilled: Iterable[Want], holders: Mapping[Slot, Task]
) -> Iterator[str]:
    """The jobs in which a group waits for another one that is at work.

    Not for one that fits nowhere, or whose new version does; nor for one of which a task has failed, or is on
    a node that does not answer.
    """
    for want in unfilled:
        if unmet(want, world, wants, holders):
            names = {(want.job.name, name) for name in want.group.depends_on}
            found = [holders.get(slot) for slot in wants if slot.group_key in names]
            there = [task for task in found if task is not None and _is_at_work(task, wants, world)]
            if len(there) == len(found) and any(serves(task, world) for task in there):
                yield want.job.name


def _is_at_work(task: Task, wants: Mapping[Slot, Want], world: World) -> bool:
    """Or done. When one that has failed is tried again, or an old one exchanged, is known by itself."""
    if task.spec != wants[task.slot].group.spec:
        return False
    if task.state is State.COMPLETED:
        return True
    return task.state is not State.FAILED and world.seen(task.node) is not None


def _is_met(condition: Condition, want: Want, holder: Task | None, world: World) -> bool:
    if holder is None or holder.spec != want.group.spec:
        return False
    if condition is Condition.COMPLETED:
        return holder.state is State.COMPLETED
    return serves(holder, world)
