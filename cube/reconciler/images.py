"""Images before containers: what a node lacks and the operator's engine has is pushed first, in its own wave.

Nothing of a group that runs is touched before every node that it serves on has the image of the new version.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from cube.model.action import Action, Place, Push, Start, Stop
from cube.model.image import full_name
from cube.model.job import TaskSpec
from cube.model.policy import Pull
from cube.model.task import Slot, Task
from cube.reconciler.buckets import Bucket, Sorted
from cube.reconciler.wants import Want
from cube.reconciler.world import World


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """A slot whose task needs an image that its node lacks and the operator's engine has."""

    slot: Slot
    node: str
    spec: TaskSpec


def lacks(world: World, node: str | None, spec: TaskSpec) -> bool:
    """The node is known not to have the spec's image."""
    seen = world.seen(node)
    if seen is None or seen.images is None:
        return False
    return not any(image.is_of(spec.image, spec.pinned) for image in seen.images)


def images_first(
    world: World, wants: Mapping[Slot, Want], tasks: Sorted, actions: Sequence[Action]
) -> tuple[Action, ...]:
    """The actions, but for those that wait for an image; and a push of each such image in their place."""
    if not world.stock:
        return tuple(actions)
    updates = [
        task
        for task in tasks.of(Bucket.OUTDATED)
        if task.spec != wants[task.slot].group.spec and not world.is_draining(task.node)
    ]
    needs = (*_of_starts(world, wants, actions), *_of_updates(world, wants, updates))
    waiting = {(need.slot, need.node) for need in needs}
    in_use = {task.slot.group_key for task in updates} & {need.slot.group_key for need in needs}
    leaving = {task.id for task in updates if task.slot.group_key in in_use}

    def waits(action: Action) -> bool:
        match action:
            case Place():
                return (action.slot, action.node) in waiting or action.slot.group_key in in_use
            case Start():
                return (action.task.slot, action.node) in waiting
            case Stop(task=Task() as task):
                return task.id in leaving
            case _:
                return False

    return (*_pushes(world, needs), *(action for action in actions if not waits(action)))


def _of_starts(world: World, wants: Mapping[Slot, Want], actions: Iterable[Action]) -> Iterator[Need]:
    for action in actions:
        match action:
            case Place():
                need = Need(slot=action.slot, node=action.node, spec=action.spec)
            case Start():
                need = Need(slot=action.task.slot, node=action.node, spec=action.task.spec)
            case _:
                continue
        want = wants.get(need.slot)
        if want is not None and _is_to_be_pushed(world, want, need):
            yield need


def _of_updates(world: World, wants: Mapping[Slot, Want], updates: Iterable[Task]) -> Iterator[Need]:
    """A successor mostly comes to where its predecessor is."""
    for task in updates:
        need = Need(slot=task.slot, node=task.node or "", spec=wants[task.slot].group.spec)
        if _is_to_be_pushed(world, wants[task.slot], need):
            yield need


def _is_to_be_pushed(world: World, want: Want, need: Need) -> bool:
    held = world.stock.get(full_name(need.spec.image))
    if held is None or need.spec.pinned not in ("", held) or want.group.pull is Pull.ALWAYS:
        return False
    return lacks(world, need.node, need.spec)


def _pushes(world: World, needs: Iterable[Need]) -> Iterator[Push]:
    """One for each node and image, with the first slot that needs it."""
    told: set[tuple[str, str]] = set()
    for need in needs:
        image = full_name(need.spec.image)
        if (need.node, image) not in told:
            told.add((need.node, image))
            yield Push(
                node=need.node,
                image=image,
                pinned=world.stock[image],
                job=need.slot.job,
                reason=f"{need.slot} needs it there, and the node does not have it",
            )
