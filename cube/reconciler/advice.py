"""What a person should know, and Cube will not mend by itself."""

from collections import Counter
from collections.abc import Iterator

from cube.model.observation import Seen, Unknown
from cube.model.task import Task
from cube.reconciler.buckets import Bucket, Sorted
from cube.reconciler.homes import home_of
from cube.reconciler.ingresses import clashes
from cube.reconciler.silence import is_cut_off
from cube.reconciler.world import World

SCARCE = 0.1
"""Of a disk: with less left than this share somebody should know."""


def warnings(world: World, tasks: Sorted) -> Iterator[str]:
    """A sentence each, without an end."""
    if is_cut_off(world.observed) and len(world.observed) > 1:
        yield "most nodes are silent: it may be this machine that is cut off, so nothing is moved elsewhere"
    yield from _about_nodes(world, tasks)
    yield from clashes(world.jobs)
    for task in tasks.of(Bucket.QUARANTINED):
        yield f"{task.slot} on {task.node}: in quarantine; look at it with: cube exec {task.id[:8]} -- sh"


def _about_nodes(world: World, tasks: Sorted) -> Iterator[str]:
    held = Counter(task.node for task in world.tasks if task.node and not task.state.is_terminal)
    lost = Counter(task.node for task in tasks.of(Bucket.LOST) if not _waits_for_its_data(task, world))
    for name, found in world.observed.items():
        if isinstance(found, Unknown):
            left = _what_becomes_of(held[name], lost[name])
            yield f"{name}: unknown: {found.cause}, {found.why}{left}"
        else:
            yield from _about_disk(found)
        if isinstance(found, Seen) and _has_strangers(found, world):
            yield f"{name}: has containers of this cluster that another store made; they are not touched"
    for name in sorted(set(held) - set(world.observed)):
        cure = f"if it is gone for good: cube node forget {name}"
        yield f"{name}: not in the inventory; its {held[name]} tasks are left as they are; {cure}"
    for name in sorted(set(world.cordons) - set(world.observed) - set(held)):
        # Without a container of ours nothing says which node of the inventory it may be by now.
        cure = f"under another name: cordon that; gone for good: cube node uncordon {name}"
        yield f"{name}: closed for new tasks, and not in the inventory; {cure}"


def _about_disk(seen: Seen) -> Iterator[str]:
    stats = seen.stats
    if stats.disk_free < stats.disk_total * SCARCE:
        left = f"{stats.disk_free / 2**30:.1f}GiB of {stats.disk_total / 2**30:.1f}GiB are left"
        yield f"{seen.node}: the disk of its engine is almost full: {left}; see: cube image prune --plan"


def _what_becomes_of(held: int, lost: int) -> str:
    """Of the tasks on a silent node, of which some are lost."""
    if not held:
        return ""
    if not lost:
        return f"; its {held} tasks are left as they are"
    return f"; of its {held} tasks {lost} are replaced elsewhere" + "; the others are left" * (lost < held)


def _waits_for_its_data(task: Task, world: World) -> bool:
    return home_of(task.slot, task.spec, world) is not None


def _has_strangers(seen: Seen, world: World) -> bool:
    identities = [found.identity for found in seen.containers if found.identity is not None]
    return any(found.cluster == world.cluster and found.owner != world.owner for found in identities)
