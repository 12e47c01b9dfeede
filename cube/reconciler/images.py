"""Images before containers: what a node lacks is brought there first, in a wave of its own.

What the operator's engine has is pushed, whatever it is for. The rest is its registry's: for an update a node
fetches it first; for a new task it does when that starts, whose failing is the restart policy's business.
Nothing of a group that runs is touched before every node that it serves on has the image of the new version;
and nothing on a node that has not told in time which images it has, for that is no sign that it has this one.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from cube.model.action import Action, Fetch, Held, Place, Push, Start, Stop
from cube.model.image import Image, full_name
from cube.model.job import TaskSpec
from cube.model.policy import Pull
from cube.model.task import GroupKey, Slot, Task
from cube.reconciler.buckets import Bucket, Sorted
from cube.reconciler.wants import Want
from cube.reconciler.world import World


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """A slot whose task needs an image that its node lacks, or may lack: `why`.

    `is_here`: the operator's engine has it.
    """

    slot: Slot
    node: str
    spec: TaskSpec
    is_here: bool
    why: str


def lacks(world: World, node: str | None, spec: TaskSpec) -> bool:
    """The node is known not to have the spec's image."""
    told = _told(world, node)
    return told is not None and not any(image.may_be_of(spec.image, spec.pinned) for image in told)


def _is_unsure(world: World, node: str, spec: TaskSpec) -> bool:
    """Nobody knows whether what the node has by that name is the spec's image: a push of it would tell."""
    told = _told(world, node)
    return told is not None and not any(image.is_of(spec.image, spec.pinned) for image in told)


def _told(world: World, node: str | None) -> tuple[Image, ...] | None:
    """The images of a node that has told which it has."""
    seen = world.seen(node)
    return seen.images if seen is not None else None


def images_first(
    world: World, wants: Mapping[Slot, Want], tasks: Sorted, actions: Sequence[Action]
) -> tuple[Action, ...]:
    """The actions, but for those that wait for an image; and what brings each such image in their place."""
    updates = _updates(world, wants, tasks)
    needs = tuple(_needs(world, wants, updates, actions))
    waiting = {(need.slot, need.node) for need in needs}
    in_use = {task.slot.group_key for task in updates} & {need.slot.group_key for need in needs}
    leaving = {task.id for task in updates if task.slot.group_key in in_use or _is_untold(task, world, wants)}

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

    return (*_brought(world, needs), *(action for action in actions if not waits(action)))


def untold(
    world: World, wants: Mapping[Slot, Want], tasks: Sorted, actions: Iterable[Action]
) -> tuple[Held, ...]:
    """What would be stopped, but that its node has not told which images it has; one for a group and node."""
    ending = {action.task.id for action in actions if isinstance(action, Stop) and action.task is not None}
    found = Counter(
        (task.slot.group_key, task.node)
        for task in _updates(world, wants, tasks)
        if task.id in ending and _is_untold(task, world, wants)
    )
    return tuple(
        Held(job=job, group=group, count=count, reason=f"{node} has not told in time which images it has")
        for ((job, group), node), count in found.items()
    )


def _updates(world: World, wants: Mapping[Slot, Want], tasks: Sorted) -> list[Task]:
    """The tasks of older versions that nothing but the newer one drives out."""
    return [
        task
        for task in tasks.of(Bucket.OUTDATED)
        if task.spec != wants[task.slot].group.spec and not world.is_draining(task.node)
    ]


def _is_untold(task: Task, world: World, wants: Mapping[Slot, Want]) -> bool:
    """Its node answers, and nobody knows whether it has what the task's successor is to run from."""
    seen, group = world.seen(task.node), wants[task.slot].group
    if seen is None or seen.images is not None or group.pull is Pull.ALWAYS:
        return False
    return (task.spec.image, task.spec.pinned) != (group.spec.image, group.spec.pinned)


def _needs(
    world: World, wants: Mapping[Slot, Want], updates: Sequence[Task], actions: Sequence[Action]
) -> Iterator[Need]:
    """Of new tasks what can be pushed; of an update also what is to be fetched, once it takes a step."""
    moving = set(_moving(actions, updates))
    if world.stock:
        yield from (need for need in _of_starts(world, wants, actions) if need.is_here)
    asked = (task for task in updates if world.stock or task.slot.group_key in moving)
    for need in _of_updates(world, wants, asked):
        may_be_fetched = need.slot.group_key in moving and _has_registry(wants[need.slot], need)
        if need.is_here or may_be_fetched:
            yield need


def _moving(actions: Iterable[Action], updates: Sequence[Task]) -> Iterator[GroupKey]:
    """The groups whose update takes a step now: one that has failed, or is held, needs no image."""
    outdated = {task.id for task in updates}
    filled = {task.slot for task in updates}
    for action in actions:
        match action:
            case Place() if action.slot in filled:
                yield action.slot.group_key
            case Stop(task=Task() as task) if task.id in outdated:
                yield task.slot.group_key


def _of_starts(world: World, wants: Mapping[Slot, Want], actions: Iterable[Action]) -> Iterator[Need]:
    for action in actions:
        match action:
            case Place():
                yield from _need(world, wants, action.slot, action.node, action.spec)
            case Start():
                yield from _need(world, wants, action.task.slot, action.node, action.task.spec)


def _of_updates(world: World, wants: Mapping[Slot, Want], updates: Iterable[Task]) -> Iterator[Need]:
    """One of each group on each node: a successor mostly comes to where its predecessor is."""
    first: dict[tuple[GroupKey, str | None], Task] = {}
    for task in updates:
        first.setdefault((task.slot.group_key, task.node), task)
    for task in first.values():
        yield from _need(world, wants, task.slot, task.node or "", wants[task.slot].group.spec)


def _need(world: World, wants: Mapping[Slot, Want], slot: Slot, node: str, spec: TaskSpec) -> Iterator[Need]:
    """None where the node has the image, or may have it, or where the registry is asked before each start."""
    want = wants.get(slot)
    if want is None or want.group.pull is Pull.ALWAYS:
        return
    held = world.stock.get(full_name(spec.image))
    is_here = held is not None and spec.pinned in ("", held)
    if lacks(world, node, spec):
        why = "the node does not have it"
    elif is_here and _is_unsure(world, node, spec):
        why = "the node has one of that name, of which nobody knows whether it is this one"
    else:
        return
    yield Need(slot=slot, node=node, spec=spec, is_here=is_here, why=why)


def _has_registry(want: Want, need: Need) -> bool:
    """A registry knows names, and no ids."""
    return want.group.pull is Pull.MISSING and not need.spec.image.startswith("sha256:")


def _brought(world: World, needs: Iterable[Need]) -> Iterator[Push | Fetch]:
    """One for each node and image, with the first slot that needs it."""
    told: set[tuple[str, str]] = set()
    for need in needs:
        image, job = full_name(need.spec.image), need.slot.job
        if (need.node, image) in told:
            continue
        told.add((need.node, image))
        reason = f"{need.slot} needs it there, and {need.why}"
        if need.is_here:
            yield Push(node=need.node, image=image, pinned=world.stock[image], job=job, reason=reason)
        else:
            pinned = need.spec.pinned
            yield Fetch(node=need.node, image=need.spec.image, pinned=pinned, job=job, reason=reason)
