"""Pinning: which image a name means is settled when a job is deployed, so that all nodes run the same."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from cube.model.image import Image, full_name, is_exact, with_digest
from cube.model.job import Group, Job, TaskSpec
from cube.model.policy import Pull
from cube.model.task import Task
from cube.reconciler.world import World

NOTHING_TOLD: Mapping[str, str] = {}


def pinned(job: Job, world: World, told: Mapping[str, str] = NOTHING_TOLD) -> Job:
    """The job with what its images' names mean: to the operator's engine, else to nodes, else to a registry.

    `told` are the digests that registries have told of the names that are `unsettled`. A name of which they
    told nothing means what it meant in the newest version; a new one is left for each node's engine to make
    out, and so is one that nodes disagree on.
    """
    return replace(job, groups=tuple(_pinned(job, group, world, told) for group in job.groups))


def unsettled(job: Job, world: World) -> tuple[str, ...]:
    """The names of which only a registry can tell what they mean, each once."""
    names = (group.spec.image for group in job.groups if _is_unsettled(job, group, world))
    return tuple(dict.fromkeys(names))


def _is_unsettled(job: Job, group: Group, world: World) -> bool:
    name = group.spec.image
    if is_exact(name) or group.pull is Pull.NEVER or _runs_unsettled(job, group, world):
        return False
    known = _pinned(job, group, world, NOTHING_TOLD).spec
    is_told_by_nodes = bool(known.pinned) or (is_exact(known.image) and bool(_meant(name, world)))
    return group.pull is Pull.ALWAYS or not is_told_by_nodes


def _pinned(job: Job, group: Group, world: World, told: Mapping[str, str]) -> Group:
    name, newest = group.spec.image, _newest(job, group, world)
    if is_exact(name):
        return group
    before = newest.image if newest is not None and newest.image.startswith(with_digest(name, "")) else ""
    exact = with_digest(name, told[name]) if name in told else before
    if group.pull is Pull.ALWAYS:
        return replace(group, spec=replace(group.spec, image=exact or name))
    pin = _pin(job, group, world, _pin_before(job, group, world, newest))
    if exact and (not pin or _all_are(_meant(name, world), exact)):
        return replace(group, spec=replace(group.spec, image=exact))
    return replace(group, spec=replace(group.spec, pinned=pin))


def _pin(job: Job, group: Group, world: World, before: str | None) -> str:
    """`before` is how the same name was pinned; None: it is new."""
    held = world.stock.get(full_name(group.spec.image))
    named = {held} if held is not None else _agreed(_meant(group.spec.image, world))
    if not named:
        held_by = (*_running(job, group, world), *_out_of_sight(job, group, world))
        kept, pins = before or "", {task.spec.pinned for task in held_by}
        return kept if kept in pins or _is_anywhere(kept, world) else ""
    found = before if before and before in named else min(named)
    # What was deployed when nobody knew its image yet, and runs from no other one that is seen, is wanted.
    is_known = before != "" or not any(_running(job, group, world))
    return found if is_known or _run_from_others(found, job, group, world) else ""


def _agreed(images: list[Image]) -> frozenset[str]:
    """The ids that are those of all these images; none where they are different ones."""
    return frozenset.intersection(*(image.pinnable for image in images)) if images else frozenset()


def _pin_before(job: Job, group: Group, world: World, newest: TaskSpec | None) -> str | None:
    """How the name is pinned in the newest version; if that has another, in all that still runs under it."""
    if newest is not None and newest.image == group.spec.image:
        return newest.pinned
    pins = {task.spec.pinned for task in _running(job, group, world)}
    return pins.pop() if len(pins) == 1 else None


def _newest(job: Job, group: Group, world: World) -> TaskSpec | None:
    """What the group's tasks are in the newest version of the job."""
    known = next((known.group(group.name) for known in world.jobs if known.name == job.name), None)
    return None if known is None else known.spec


def _meant(name: str, world: World) -> list[Image]:
    """What nodes know by that name, and others by an id."""
    looks = [seen for node in world.observed if (seen := world.seen(node)) is not None]
    return [
        image
        for seen in looks
        for image in seen.images or ()
        if image.is_of(name, "") and not image.is_unpinned
    ]


def _all_are(images: list[Image], exact: str) -> bool:
    return bool(images) and all(image.is_of(exact, "") for image in images)


def _is_anywhere(pin: str, world: World) -> bool:
    seen = (world.seen(node) for node in world.observed)
    return any(pin in image.ids for found in seen if found for image in found.images or ())


def _runs_unsettled(job: Job, group: Group, world: World) -> bool:
    """Its tasks run under that very name, left open: settled now, they would be replaced for nothing."""
    return any(not task.spec.pinned for task in _running(job, group, world))


def _run_from_others(pin: str, job: Job, group: Group, world: World) -> bool:
    """Tasks under the group's name for its image are seen to run from one that is not of that id."""
    for task in _running(job, group, world):
        container, seen = world.container(task), world.seen(task.node)
        if container is not None and seen is not None:
            own = next((image for image in seen.images or () if image.id == container.image_id), None)
            known = {container.image_id} if own is None else own.ids
            if pin not in known and (own is None or not own.is_unpinned):
                return True
    return False


def _running(job: Job, group: Group, world: World) -> Iterator[Task]:
    """The tasks that run under the group's name for its image, or may, on nodes that nobody sees now."""
    for task in world.newest_tasks(job.name):
        if _is_so_named(task, group) and (_is_unseen(task, world) or world.container(task) is not None):
            yield task


def _out_of_sight(job: Job, group: Group, world: World) -> Iterator[Task]:
    """The tasks that may run on nodes that nobody sees now, whoever has taken their slots meanwhile."""
    mine = (task for task in world.tasks if task.slot.job == job.name and _is_so_named(task, group))
    return (task for task in mine if _is_unseen(task, world))


def _is_so_named(task: Task, group: Group) -> bool:
    return task.slot.group == group.name and task.spec.image == group.spec.image


def _is_unseen(task: Task, world: World) -> bool:
    return task.node is not None and not task.state.is_terminal and world.seen(task.node) is None
