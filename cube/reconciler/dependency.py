"""Groups that wait for other groups of their job."""

from collections.abc import Iterator, Mapping

from cube.model.policy import Condition
from cube.model.task import Slot, State, Task
from cube.reconciler.buckets import Sorted
from cube.reconciler.tasks import serves
from cube.reconciler.wants import Want
from cube.reconciler.world import World


def unmet(want: Want, world: World, wants: Mapping[Slot, Want], tasks: Sorted) -> str:
    """What its group still waits for in another one of its job; empty: nothing."""
    for name, condition in want.group.depends_on.items():
        slots = [slot for slot in wants if (slot.job, slot.group) == (want.job.name, name)]
        if not all(_is_met(condition, wants[slot], tasks.holders.get(slot), world) for slot in slots):
            return f"waits for group {name} to be {condition}"
    return ""


def next_dependencies(world: World, wants: Mapping[Slot, Want], tasks: Sorted) -> Iterator[str]:
    """The jobs in which a group waits for another one that is still at work."""
    for want in tasks.unfilled:
        if unmet(want, world, wants, tasks):
            named = [tasks.holders.get(slot) for slot in wants if slot.job == want.job.name]
            if any(task is not None and serves(task, world) for task in named):
                yield want.job.name


def _is_met(condition: Condition, want: Want, holder: Task | None, world: World) -> bool:
    if holder is None or holder.spec != want.group.spec:
        return False
    if condition is Condition.COMPLETED:
        return holder.state is State.COMPLETED
    return serves(holder, world)
