"""Rebuilding a store from what the fleet's containers carry. Nothing on the fleet is touched."""

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

from cube.errors import CubeError, InputError
from cube.manager.crew import THREADS
from cube.model.job import Group, Job, JobType, TaskSpec
from cube.model.labels import devices_of, identity_of, job_of, parent_of, spec_of
from cube.model.observation import QUARANTINED, Container, Identity, Observation, Seen
from cube.model.policy import ReschedulePolicy, RestartPolicy
from cube.model.task import State, Task
from cube.store.rows import Restored
from cube.store.store import Store
from cube.worker.worker import Worker


@dataclass(frozen=True, slots=True, kw_only=True)
class Relic:
    """A container of the cluster, with all that it tells of the task that it was made for.

    `job` None: an older Cube made it, which did not write the job on it. `parent` is what that is a run of.
    """

    node: str
    container: str
    name: str
    is_alive: bool
    created_at: float
    identity: Identity
    spec: TaskSpec
    job: Job | None
    parent: Job | None
    ports: Mapping[str, int]
    devices: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What would be restored, and what a person should know of it first."""

    restored: Restored
    notes: tuple[str, ...]


def refuse_a_store_in_use(store: Store) -> None:
    """Raises InputError for a store that knows jobs: what it knows is worth more than what labels tell."""
    if jobs := store.jobs():
        raise InputError(
            "the state is not lost",
            where=store.where,
            why=f"it knows {len(jobs)} jobs",
            cure="To take the fleet over with another state, name a new file: --state FILE.",
        )


def gather(
    workers: Mapping[str, Worker], observed: Mapping[str, Observation], cluster: str
) -> tuple[Relic, ...]:
    """Every container of the cluster on the nodes that answered, each looked at in full.

    Raises CubeError where one cannot be read: a store without it would take it for a leftover.
    """
    ours = [
        (name, found)
        for name, seen in sorted(observed.items())
        for found in (seen.containers if isinstance(seen, Seen) else ())
        if found.identity is not None and found.identity.cluster == cluster
    ]
    with ThreadPoolExecutor(max_workers=THREADS) as pool:
        return tuple(pool.map(lambda each: _relic(workers[each[0]], *each), ours))


def chosen_owner(relics: Iterable[Relic], owner: str | None) -> str:
    """The store that made the containers. Raises InputError where there is none, or several and no choice."""
    found = sorted({relic.identity.owner for relic in relics})
    if not found:
        raise InputError("no container of this cluster was found", cure="There is nothing to recover.")
    if owner is None and len(found) > 1:
        cure = "Choose one with --owner ID; the containers of the others are left as they are."
        raise InputError("several stores have made containers here", why=", ".join(found), cure=cure)
    if owner is not None and owner not in found:
        raise InputError(f"no container here was made by {owner}", why=f"found: {', '.join(found)}")
    return owner or found[0]


def restored(relics: Iterable[Relic], owner: str, *, now: float, is_partial: bool = False) -> Finding:
    """The jobs, in their newest version seen, and the tasks of that owner. Pure.

    `is_partial`: some nodes did not answer, so a group may have more tasks than were seen.
    """
    mine = sorted((relic for relic in relics if relic.identity.owner == owner), key=_age)
    kept = [relic for relic in mine if not relic.name.endswith(QUARANTINED)]
    notes = [f"{relic.name}: in quarantine; the next sweep removes it" for relic in mine if relic not in kept]
    jobs: list[Job] = []
    for name in sorted({relic.identity.slot.job for relic in kept}):
        of_job = [relic for relic in kept if relic.identity.slot.job == name]
        job = _newest(of_job)
        if not any(relic.job for relic in of_job):
            notes.append(f"job {name}: an older Cube made its containers; deploy its file again")
        counted = _counted(job, of_job, is_partial=is_partial)
        notes += _differences(job, counted)
        jobs.append(counted)
    parents = _parents(jobs, [relic for relic in kept if relic.parent])
    notes += [f"job {job.name}: as it was when its last run began" for job in parents]
    notes += _orphans((*jobs, *parents))
    return Finding(
        restored=Restored(
            owner=owner,
            epoch=max((relic.identity.epoch for relic in mine), default=1),
            jobs=(*jobs, *parents),
            tasks=tuple(_task(relic, now) for relic in kept),
        ),
        notes=tuple(notes),
    )


def _relic(worker: Worker, node: str, container: Container) -> Relic:
    inspected = worker.inspect(container.id)
    labels = inspected["Config"].get("Labels") or {}
    try:
        identity = identity_of(labels)
        assert identity is not None, "its listing had an identity"
        spec = spec_of(labels)
        job, parent, devices = job_of(labels), parent_of(labels), devices_of(labels)
    except (AssertionError, AttributeError, KeyError, TypeError, ValueError) as error:
        why = f"its labels cannot be read: {error}"
        cure = "A newer Cube may have made it: recover with that one, or remove the container."
        raise CubeError(
            f"container {container.name} cannot be taken in", where=node, why=why, cure=cure
        ) from error
    return Relic(
        node=node,
        container=container.id,
        name=container.name,
        is_alive=container.state.is_alive,
        created_at=container.created_at,
        identity=identity,
        spec=spec,
        job=job,
        parent=parent,
        ports=ports_of(spec, inspected),
        devices=devices,
    )


def ports_of(spec: TaskSpec, inspected: Mapping[str, Any]) -> Mapping[str, int]:
    """The port on the node of each of the spec's ports, as the inspected container was asked for them."""
    bindings = {
        key: iter(bound or ()) for key, bound in (inspected["HostConfig"].get("PortBindings") or {}).items()
    }
    found = {
        port.name: next(bindings.get(f"{port.container}/{port.protocol}", iter(())), None)
        for port in spec.ports
    }
    return {name: int(bound["HostPort"]) for name, bound in found.items() if bound is not None}


def _age(relic: Relic) -> tuple[float, str]:
    return relic.created_at, relic.name


def _newest(relics: Sequence[Relic]) -> Job:
    """The job in the newest version that a container of it carries."""
    newest = max(relics, key=_version)
    if newest.job is not None:
        return replace(newest.job, version=newest.identity.version, stopped=False)
    return _guessed(relics, newest.identity)


def _guessed(relics: Sequence[Relic], newest: Identity) -> Job:
    """A job whose containers carry only their specs: what has ended is neither restarted nor replaced."""
    specs = {relic.identity.slot.group: relic.spec for relic in sorted(relics, key=_version)}
    groups = tuple(
        Group(
            name=name,
            spec=spec,
            restart=RestartPolicy(attempts=0),
            reschedule=ReschedulePolicy(attempts=0),
        )
        for name, spec in sorted(specs.items())
    )
    kind = JobType.SERVICE if any(relic.is_alive for relic in relics) else JobType.BATCH
    return Job(name=newest.slot.job, type=kind, groups=groups, version=newest.version)


def _version(relic: Relic) -> int:
    return relic.identity.version


def _counted(job: Job, relics: Sequence[Relic], *, is_partial: bool) -> Job:
    """With as many tasks of each group as were seen: a job may have been scaled since they were started."""
    seen = {
        group.name: 1
        + max((r.identity.slot.index for r in relics if r.identity.slot.group == group.name), default=-1)
        for group in job.groups
    }
    return replace(
        job,
        groups=tuple(
            replace(group, count=max(seen[group.name], group.count if is_partial else 0))
            if job.is_counted(group)
            else group
            for group in job.groups
        ),
    )


def _differences(job: Job, counted: Job) -> list[str]:
    return [
        f"{job.name}/{group.name}: {now.count} tasks, as many as were seen; its containers say {group.count}"
        for group, now in zip(job.groups, counted.groups, strict=True)
        if group.count != now.count
    ]


def _parents(jobs: Sequence[Job], relics: Iterable[Relic]) -> list[Job]:
    """The jobs whose runs were seen, in the newest version that a container carries.

    Where none does, for an older Cube made them all, a periodic one is rebuilt: its run has all that it says.
    """
    found = {}
    for run in sorted(jobs, key=lambda job: job.launched or 0.0):
        if run.parent is not None and run.schedule is not None:
            found[run.parent] = replace(
                run, name=run.parent, type=JobType.PERIODIC, parent=None, launched=None, version=1
            )
    carried = sorted((relic.parent for relic in relics if relic.parent), key=lambda job: job.version)
    return list((found | {job.name: job for job in carried}).values())


def _orphans(jobs: Sequence[Job]) -> list[str]:
    known = {job.name for job in jobs}
    return [
        f"job {job.name}: what it is a run of, {job.parent}, is not known; deploy that job's file again"
        for job in jobs
        if job.parent not in (None, *known)
    ]


def _task(relic: Relic, now: float) -> Task:
    """Scheduled: the next turn of the loop looks at its container and believes that."""
    return Task(
        id=relic.identity.task,
        slot=relic.identity.slot,
        version=relic.identity.version,
        spec=relic.spec,
        state=State.SCHEDULED,
        order=0,
        created_at=relic.created_at,
        changed_at=now,
        node=relic.node,
        container=relic.container,
        ports=relic.ports,
        devices=relic.devices,
        reason="recovered from its container's labels",
    )
