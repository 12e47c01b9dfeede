"""Pinning: which image a name means is settled when a job is deployed, so that all nodes run the same."""

from collections.abc import Iterator
from dataclasses import replace

from cube.model.image import full_name, is_exact
from cube.model.job import Group, Job
from cube.model.policy import Pull
from cube.reconciler.world import World


def pinned(job: Job, world: World) -> Job:
    """The job with the ids of its images: what the operator's engine has by that name, else what nodes have.

    A name that nobody knows, or that nodes disagree on, is left for each node's engine to make out.
    """
    return replace(job, groups=tuple(_pinned(job, group, world) for group in job.groups))


def _pinned(job: Job, group: Group, world: World) -> Group:
    if is_exact(group.spec.image) or group.pull is Pull.ALWAYS:
        return group
    known = next((known.group(group.name) for known in world.jobs if known.name == job.name), None)
    before = known.spec.pinned if known is not None and known.spec.image == group.spec.image else None
    pin = _pin(job, group, world, before)
    return replace(group, spec=replace(group.spec, pinned=pin))


def _pin(job: Job, group: Group, world: World, before: str | None) -> str:
    """`before` is how the same name is pinned in the newest version; None: it is in none."""
    held = world.stock.get(full_name(group.spec.image))
    named = {held} if held is not None else set(_meant(group.spec.image, world))
    if len(named) != 1:
        return before if before and _is_anywhere(before, world) else ""
    (found,) = named
    # What was deployed when nobody knew its image yet, and runs of this very one, is what is wanted.
    return "" if before == "" and set(_running(job, group, world)) == {found} else found


def _meant(name: str, world: World) -> Iterator[str]:
    """The ids that nodes know by that name."""
    for node in world.observed:
        seen = world.seen(node)
        for image in (seen.images if seen else None) or ():
            if image.is_of(name, "") and not image.is_on_containerd:
                yield image.id


def _is_anywhere(pin: str, world: World) -> bool:
    seen = (world.seen(node) for node in world.observed)
    return any(image.id == pin for found in seen if found for image in found.images or ())


def _running(job: Job, group: Group, world: World) -> Iterator[str]:
    """The ids of the images that the group's tasks run from."""
    for task in world.newest_tasks(job.name):
        container = world.container(task)
        if task.slot.group == group.name and container is not None:
            yield container.image_id
