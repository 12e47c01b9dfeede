"""The one function that decides: what is wanted, recorded and seen, to a plan of one wave."""

from collections import Counter
from collections.abc import Iterator, Mapping

from cube.model.action import Action, Note, Plan, Stop
from cube.model.observation import ContainerState, Seen, Unknown
from cube.model.task import Slot, Task
from cube.reconciler.buckets import Bucket, Sorted, sort_tasks
from cube.reconciler.placement import place_unfilled
from cube.reconciler.rollout import replace_outdated
from cube.reconciler.tasks import (
    CHECK_AGAIN,
    can_restart,
    check_health,
    is_awaited,
    recover,
    restart,
    restart_due,
    stop,
)
from cube.reconciler.world import Want, World, wants_of
from cube.scheduler.algorithms import Scheduler

ORPHAN_GRACE = 10.0
"""Seconds to stop in, for a container whose task nobody remembers."""


def reconcile(world: World, scheduler: Scheduler) -> Plan:
    """The actions of the next wave, none of which waits for another, each with its reason.

    Pure and deterministic: the same world gives the same plan. Nothing is done about a node that is unknown.
    """
    wants = wants_of(world.jobs)
    tasks = sort_tasks(world, wants)
    replaced, held = replace_outdated(world, wants, tasks)
    actions: tuple[Action, ...] = (
        *remove_orphans(world, wants, tasks),
        *end_extra(world, wants, tasks),
        *replaced,
        *(recover(task, world, wants[task.slot]) for task in tasks.buckets[Bucket.MISSING]),
        *restart_failed(world, wants, tasks),
        *(note for task in tasks.buckets[Bucket.KEPT] if (note := check_health(task, world))),
        *place_unfilled(world, tasks.unfilled, tasks.buckets[Bucket.PENDING], scheduler),
    )
    return Plan(
        actions=actions, due=next_due(world, wants, tasks), held=held, warnings=tuple(warnings(world))
    )


def remove_orphans(world: World, wants: Mapping[Slot, Want], tasks: Sorted) -> tuple[Stop, ...]:
    """Containers of this store that no recorded task accounts for: a late effect, or a leftover."""
    done = {task.id for task in tasks.buckets[Bucket.FINISHED] if task.slot not in wants}
    kept = [task for task in world.tasks if task.id not in done]
    accounted = {(task.node, found.id) for task in kept if (found := world.container(task)) is not None}
    return tuple(
        Stop(
            node=name,
            container=found.id,
            container_name=found.name,
            grace=ORPHAN_GRACE,
            reason="no task accounts for it",
        )
        for name in world.observed
        if (seen := world.seen(name)) is not None
        for found in seen.containers
        if world.is_ours(found) and (name, found.id) not in accounted
    )


def end_extra(world: World, wants: Mapping[Slot, Want], tasks: Sorted) -> tuple[Stop | Note, ...]:
    """Tasks that nobody wants: the job was stopped, scaled down or removed, or the slot is filled twice."""
    jobs = {job.name: job for job in world.jobs}

    def reason(task: Task) -> str:
        job = jobs.get(task.slot.job)
        if job is None:
            return "its job was removed"
        if job.stopped:
            return "its job was stopped"
        return "its slot is filled by another task" if task.slot in wants else "scaled down"

    return tuple(stop(task, world, reason(task)) for task in tasks.buckets[Bucket.EXTRA])


def restart_failed(world: World, wants: Mapping[Slot, Want], tasks: Sorted) -> tuple[Action, ...]:
    """The failed tasks whose policy allows another attempt now."""
    return tuple(
        restart(task, wants[task.slot])
        for task in tasks.buckets[Bucket.FAILED]
        if can_restart(task, wants[task.slot]) and restart_due(task, wants[task.slot]) <= world.now
    )


def next_due(world: World, wants: Mapping[Slot, Want], tasks: Sorted) -> Mapping[str, float]:
    """When time alone will change the plan: each job's next restart, or check of a starting task."""
    restarts = [
        (task.slot.job, restart_due(task, wants[task.slot]))
        for task in tasks.buckets[Bucket.FAILED]
        if can_restart(task, wants[task.slot])
    ]
    again = world.now + CHECK_AGAIN
    checks = [(task.slot.job, again) for task in tasks.buckets[Bucket.KEPT] if is_awaited(task, world)]
    due: dict[str, float] = {}
    for job, at in (*restarts, *checks):
        due[job] = min(at, due.get(job, at))
    return due


def warnings(world: World) -> Iterator[str]:
    """What a person should know and Cube will not mend by itself."""
    held = Counter(task.node for task in world.tasks if task.node and not task.state.is_terminal)
    for name, found in world.observed.items():
        if isinstance(found, Unknown):
            left = f"; its {held[name]} tasks are left as they are" if held[name] else ""
            yield f"{name}: unknown: {found.cause}, {found.why}{left}"
        elif _has_strangers(found, world):
            yield f"{name}: has containers of this cluster that another store made; they are not touched"
    for task in world.tasks:
        container = world.container(task)
        if container is not None and container.state is ContainerState.PAUSED:
            yield f"{task.slot} on {task.node}: paused by hand; go on with: docker unpause {container.name}"
    for name in sorted(set(held) - set(world.observed)):
        yield f"{name}: not in the inventory; its {held[name]} tasks are left as they are"


def _has_strangers(seen: Seen, world: World) -> bool:
    identities = [found.identity for found in seen.containers if found.identity is not None]
    return any(found.cluster == world.cluster and found.owner != world.owner for found in identities)
