"""What is asked for, as it would be wanted: refused where that cannot be, and nothing is touched.

What changes something begins with one of these; who is to answer at once asks it before.
"""

from collections.abc import Mapping
from dataclasses import replace

from cube.errors import InputError
from cube.manager.turn import Settling
from cube.model.job import Job, JobType
from cube.model.rollout import Rollout, RolloutState
from cube.model.task import State, Task
from cube.reconciler.periodic import run_of


def scaled(job: Job, counts: Mapping[str, int], within: str = "counts.") -> Job:
    """The job with those counts. Raises InputError for a stopped one, and for a group that is not there.

    `within` is what the names of the groups' fields begin with.
    """
    _refuse_stopped(job, "scaled")
    for name in counts:
        group = job.group(name)
        if group is not None and not job.is_counted(group):
            cure = "Say with its constraints which nodes are meant."
            what = f"{job.name}/{name} cannot be scaled"
            raise InputError(what, why="it has one task on each node", cure=cure, field=f"{within}{name}")
        if group is None:
            known = ", ".join(group.name for group in job.groups)
            what, cure = f"job {job.name} has no group {name!r}", f"Its groups: {known}."
            raise InputError(what, cure=cure, field=f"{within}{name}")
    groups = tuple(replace(group, count=counts.get(group.name, group.count)) for group in job.groups)
    return replace(job, groups=groups)


def dispatched(job: Job, values: Mapping[str, str], *, now: float) -> Job:
    """A run of the parameterized job: its tasks get the values as CUBE_PARAM_NAME.

    Raises InputError for a job of another type, and for values that it does not name or that are missing.
    """
    if job.type is not JobType.PARAMETERIZED or job.parameters is None:
        raise InputError(
            f"job {job.name} cannot be dispatched",
            why=f"it is of type {job.type}",
            cure="Only a parameterized job can: see docs/jobs.md.",
        )
    _refuse_stopped(job, "dispatched")
    known = (*job.parameters.required, *job.parameters.optional)
    missing = [name for name in job.parameters.required if name not in values]
    strange = [name for name in values if name not in known]
    if missing or strange:
        why = f"missing: {', '.join(missing)}" if missing else f"not a parameter: {', '.join(strange)}"
        cure = f"Its parameters: {', '.join(known) or 'none'}."
        field = f"values.{(missing or strange)[0]}"
        raise InputError(f"job {job.name} cannot be dispatched", why=why, cure=cure, field=field)
    variables = {f"CUBE_PARAM_{name.upper()}": value for name, value in values.items()}
    groups = tuple(
        replace(group, spec=replace(group.spec, env={**group.spec.env, **variables})) for group in job.groups
    )
    return replace(run_of(job, job.name, now), name=job.name, groups=groups)


def scaled_by_path(jobs: Mapping[str, Job], counts: Mapping[str, int], where: str) -> tuple[Job, ...]:
    """Those of the jobs that get other counts, which are told by `job/group`, or by a job of one group.

    `where` is where somebody has written them. Raises InputError for a name that means none, or several.
    """
    changed: dict[str, Job] = {}
    for path, count in counts.items():
        name, _, group = path.partition("/")
        field = f"scale.{path}"
        if name not in jobs:
            cure = f"Known jobs: {', '.join(jobs) or 'none'}."
            raise InputError(f"there is no job {name!r}", where=where, cure=cure, field=field)
        job = changed.get(name, jobs[name])
        if not group and len(job.groups) > 1:
            cure = f"Say which: {', '.join(f'{name}/{found.name}={count}' for found in job.groups)}."
            raise InputError(f"job {name} has several groups", where=where, cure=cure, field=field)
        changed[name] = scaled(job, {group or job.groups[0].name: count}, f"scale.{name}/")
    return tuple(changed.values())


def earlier(loop: Settling, job: Job, version: int | None) -> Job:
    """The job as it was in that version, by default in the last one that had succeeded before.

    Raises InputError where there is no such version.
    """
    to = version if version is not None else _version_before(loop, job)
    found = loop.store.job(job.name, to)
    if found is None:
        known = ", ".join(str(each.job.version) for each in loop.store.versions(job.name))
        cure = f"Its versions: {known}."
        raise InputError(f"job {job.name} has no version {to}", cure=cure, field="version")
    return found


def rollout_under_way(loop: Settling, job: Job) -> Rollout:
    """How far the job's newest version has come. Raises InputError where that is not going on."""
    rollout = loop.store.rollouts().get(job.name)
    if rollout is None or rollout.state is not RolloutState.RUNNING:
        why = "" if rollout is None else f"that of version {rollout.version}: {rollout.state}"
        cure = f"Go on with it: cube resume {job.name}" if why.endswith(RolloutState.PAUSED) else ""
        what = f"no rollout of job {job.name} is under way"
        raise InputError(what, where=loop.cluster.name, why=why, cure=cure)
    return rollout


def paused_rollout(loop: Settling, job: Job) -> Rollout:
    """How far the job's newest version has come. Raises InputError where nobody has paused it."""
    rollout = loop.store.rollouts().get(job.name)
    if rollout is None or rollout.state is not RolloutState.PAUSED:
        raise InputError(f"the rollout of job {job.name} is not paused", where=loop.cluster.name)
    return rollout


def refuse_unserved(loop: Settling, job: Job) -> None:
    """Raises InputError for a job that takes no requests through a proxy."""
    if all(group.ingress is None for group in job.groups):
        cure = "Say which requests are for it: `ingress:` in a group of the job file."
        raise InputError(f"no proxy sends requests to job {job.name}", where=loop.cluster.name, cure=cure)


def refuse_another_type(loop: Settling, job: Job) -> None:
    """Raises InputError where the job's type would change, and with it what slots mean that are filled."""
    known = loop.store.job(job.name)
    if known is not None and known.type is not job.type:
        raise InputError(
            f"job {job.name} is of type {known.type} and cannot become {job.type}",
            where=loop.cluster.name,
            cure=f"Give it another name, or remove the old one first: cube remove {job.name}",
        )


def left_on(loop: Settling, node: str) -> tuple[Task, ...]:
    """What is recorded of a node that has left the inventory: its tasks, and those with data there.

    Raises InputError for a node that is in the inventory, and where nothing is.
    """
    store, where = loop.store, loop.cluster.name
    if loop.cluster.node(node) is not None:
        cure = f"Take it out of the inventory first, or move its tasks: cube node drain {node}"
        raise InputError(f"node {node} is in the inventory", where=where, cure=cure)
    tasks = tuple(
        task
        for task in (*store.current_tasks(), *store.former_tasks())
        if task.node == node and (task.state is not State.COMPLETED or task.spec.data)
    )
    if not tasks:
        raise InputError(f"no task is recorded on a node {node}", where=where)
    return tasks


def _version_before(loop: Settling, current: Job) -> int:
    """The newest version that succeeded and is not what is wanted now."""
    good = {
        found.version
        for found in loop.store.rollouts_of(current.name)
        if found.state is RolloutState.SUCCEEDED and found.version < current.version
    }
    versions = [found.job for found in loop.store.versions(current.name) if found.job.version in good]
    others = [job.version for job in versions if not job.stopped and job.groups != current.groups]
    if not others:
        raise InputError(
            f"job {current.name} has no earlier version that had succeeded",
            cure=f"See what there is: cube history {current.name}",
            field="version",
        )
    return max(others)


def _refuse_stopped(job: Job, what: str) -> None:
    if job.stopped:
        raise InputError(
            f"job {job.name} cannot be {what}",
            why="it is stopped",
            cure="Begin it again: deploy its file, or cube rollback " + job.name,
        )
