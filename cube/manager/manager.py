"""The manager: each of its calls changes at most one desired fact, then lets the loop settle."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from cube.errors import CubeError, InputError
from cube.manager import hooks
from cube.manager.left_behind import refuse_data_left
from cube.manager.measuring import measure
from cube.manager.report import Report
from cube.manager.templates import refuse_stale_files
from cube.manager.turn import Concern, Run, Settling
from cube.model.action import Note, Plan
from cube.model.job import Job, JobType
from cube.model.maintenance import Maintenance
from cube.model.node import Cluster, Cordon
from cube.model.observation import Observation
from cube.model.rollout import Rollout, RolloutState
from cube.model.task import State, Task
from cube.reconciler.homes import forgotten
from cube.reconciler.periodic import run_of
from cube.reconciler.pins import pinned
from cube.reconciler.world import World
from cube.scheduler.algorithms import ALGORITHMS, DEFAULT_ALGORITHM
from cube.store.rows import Sweep
from cube.whatif.needs import Need, needs

PATIENCE = 30.0
"""Seconds for which a sweep waits for what time alone will change; the next one goes on with the rest."""


class Manager:
    """One cluster and its store, over the loop that works on it."""

    def __init__(self, loop: Settling) -> None:
        self.loop = loop
        self.store = loop.store
        self._clock = loop.clock

    @property
    def cluster(self) -> Cluster:
        """The environment that it manages."""
        return self.loop.cluster

    def deploy(self, job: Job, run: Run, *, expected: Sequence[str] | None = None) -> Report:
        """Want this job, and settle. Its tasks that failed for good get a new try.

        `expected` is the fingerprint of a plan that was looked at before. Raises CubeError where the fleet
        has moved on since, or the job's hook refuses: then nothing is changed. A job keeps its type:
        InputError.
        """
        self._refuse_another_type(job)
        observed = self._look_as_planned(job, expected)
        job = replace(job, stopped=False)
        self._refuse_what_no_proxy_can(job, observed)
        if job.hooks.before:
            version = self.store.version_of(self._pinned(job, observed))
            hooks.run_before(replace(job, version=version), self.cluster.name)
            observed = self._look_as_planned(job, expected)
        wanted = self._want(self._pinned(job, observed), run, "deployed")
        self._retry(job.name, run)
        succeeded = False
        try:
            report = self.loop.settle(observed, run, Concern(job=job.name))
            succeeded = report.exit_code == 0
        finally:
            hooks.run_after(wanted, self.cluster.name, succeeded=succeeded)
        return report

    def stop(self, name: str, run: Run) -> Report:
        """Want none of the job's tasks, and settle. Raises InputError for a job that is not known."""
        known = self.job(name)
        observed = self.loop.look_before_a_change()
        for job in (known, *self._runs_of(name)):
            self._want(replace(job, stopped=True), run, "stopped")
        return self.loop.settle(observed, run, Concern(job=name))

    def want(self, job: Job, run: Run) -> Job:
        """Want this job, and leave it to whoever turns the loop to settle. InputError as of deploy."""
        self._refuse_another_type(job)
        self.loop.look_before_a_change()
        wanted = self._want(replace(job, stopped=False), run, "deployed")
        self._retry(job.name, run)
        return wanted

    def want_none(self, name: str, run: Run) -> None:
        """Want none of the job's tasks, and leave it to whoever turns the loop to settle."""
        known = self.job(name)
        self.loop.look_before_a_change()
        self._want(replace(known, stopped=True), run, "stopped")

    def remove(self, name: str, run: Run) -> Report:
        """Stop the job, then forget it; one whose tasks could not all be stopped is kept."""
        report = self.stop(name, run)
        if report.exit_code != 0:
            kept = f"job {name} is kept until all its tasks are known to have ended: cube remove {name}"
            return replace(report, plan=replace(report.plan, warnings=(*report.plan.warnings, kept)))
        # Its runs first: who is killed in between must find it again to finish.
        for job in (*(found.name for found in self._runs_of(name)), name):
            self.store.forget_job(job)
        return report

    def scale(self, name: str, counts: Mapping[str, int], run: Run) -> Report:
        """Want that many tasks of each named group, and settle. Raises InputError for an unknown name."""
        wanted = scaled(self.job(name), counts)
        observed = self.loop.look_before_a_change()
        self._want(wanted, run, "scaled")
        return self.loop.settle(observed, run, Concern(job=name))

    def rollback(self, name: str, version: int | None, run: Run) -> Report:
        """Want the job as it was in that version, by default in the last one that had succeeded before.

        Raises InputError where there is no such version.
        """
        current = self.job(name)
        to = version if version is not None else self._version_before(current)
        earlier = self.store.job(name, to)
        if earlier is None:
            known = ", ".join(str(found.job.version) for found in self.store.versions(name))
            raise InputError(f"job {name} has no version {to}", cure=f"Its versions: {known}.")
        observed = self.loop.look_before_a_change()
        self._want(replace(earlier, stopped=False), run, f"rolled back to version {to}")
        self._retry(name, run)
        return self.loop.settle(observed, run, Concern(job=name))

    def promote(self, name: str, run: Run) -> Report:
        """Let the new version take the place of every old task, and settle."""
        rollout = self._rollout_under_way(name)
        return self._roll(replace(rollout, promoted=True), run, f"version {rollout.version} promoted")

    def pause(self, name: str, run: Run) -> Report:
        """Replace no further task of an older version, until somebody resumes the rollout; and settle."""
        rollout = self._rollout_under_way(name)
        paused = replace(rollout, state=RolloutState.PAUSED)
        return self._roll(paused, run, f"the rollout of version {rollout.version} paused")

    def resume(self, name: str, run: Run) -> Report:
        """Go on with a rollout that was paused, and settle. Raises InputError where it was not."""
        rollout = self.store.rollouts().get(self.job(name).name)
        if rollout is None or rollout.state is not RolloutState.PAUSED:
            raise InputError(f"the rollout of job {name} is not paused", where=self.cluster.name)
        resumed = replace(rollout, state=RolloutState.RUNNING)
        return self._roll(resumed, run, f"the rollout of version {rollout.version} resumed")

    def begin_maintenance(self, name: str, retry_after: float, run: Run) -> Report:
        """Have proxies answer requests for the job by a page, and settle. Its tasks are left as they are.

        `retry_after` in seconds: when those who ask are told to come back.
        """
        job = self.job(name)
        observed = self.loop.look_before_a_change()
        begun = Maintenance(job=name, at=self._clock.now(), actor=run.actor, retry_after=retry_after)
        self.store.put_maintenance(begun, job.version)
        return self.loop.settle(observed, run, Concern(job=name))

    def end_maintenance(self, name: str, run: Run) -> Report:
        """Have the job's tasks answer requests again, and settle."""
        job = self.job(name)
        observed = self.loop.look_before_a_change()
        self.store.end_maintenance(name, job.version, now=self._clock.now(), actor=run.actor)
        return self.loop.settle(observed, run, Concern(job=name))

    def dispatch(self, name: str, values: Mapping[str, str], run: Run) -> Report:
        """Begin a run of a parameterized job with those values, and settle it.

        Raises InputError for a job of another type, and for values that it does not name or that are missing.
        """
        wanted = dispatched(self.job(name), values, now=self._clock.now())
        observed = self.loop.look_before_a_change()
        job = self.store.put_run(wanted, now=self._clock.now(), actor=run.actor, reason="dispatched")
        return self.loop.settle(observed, run, Concern(job=job.name))

    def cordon(self, node: str, run: Run) -> None:
        """Keep new tasks away from the node. Raises InputError for a node that is not in the inventory."""
        self.refuse_unknown(node)
        self.store.put_cordon(Cordon(node=node, at=self._clock.now(), actor=run.actor))

    def uncordon(self, node: str, run: Run) -> bool:
        """Let the node have new tasks again, also one that has left; False: nobody had kept them away."""
        if node not in self.store.cordons():
            self.refuse_unknown(node)
        return self.store.lift_cordon(node, now=self._clock.now(), actor=run.actor)

    def drain(
        self, node: str, run: Run, *, deadline: float | None = None, leave_data: bool = False
    ) -> Report:
        """Move every task of the node elsewhere, and settle; what is left at `deadline` is stopped.

        `deadline` in seconds from now; None: a task without a place elsewhere stays. Raises InputError where
        one would leave there what it has written, unless `leave_data` says that it may begin anew.
        """
        self.refuse_unknown(node)
        if not leave_data:
            refuse_data_left(self.store, node)
        observed = self.loop.look_before_a_change()
        now = self._clock.now()
        until = None if deadline is None else now + deadline
        cordon = Cordon(
            node=node, at=now, actor=run.actor, draining=True, deadline=until, leave_data=leave_data
        )
        self.store.put_cordon(cordon)
        return self.loop.settle(observed, run, Concern())

    def forget_node(self, node: str, run: Run) -> Report:
        """Take the tasks of a node that has left the inventory for ended, their data for lost, and settle.

        Raises InputError for a node that is in the inventory, or whose tasks have all ended as they should
        and have left no data there.
        """
        tasks = [
            task
            for task in (*self.store.current_tasks(), *self.store.former_tasks())
            if task.node == node and (task.state is not State.COMPLETED or task.spec.data)
        ]
        if self.cluster.node(node) is not None:
            cure = f"Take it out of the inventory first, or move its tasks: cube node drain {node}"
            raise InputError(f"node {node} is in the inventory", where=self.cluster.name, cure=cure)
        if not tasks:
            raise InputError(f"no task is recorded on a node {node}", where=self.cluster.name)
        observed = self.loop.look_before_a_change()
        self._note(tasks, forgotten(node), run)
        self.store.lift_cordon(node, now=self._clock.now(), actor=run.actor)
        return self.loop.settle(observed, run, Concern())

    def reconcile(self, run: Run) -> Report:
        """Change nothing that is wanted, and settle."""
        started = self._clock.now()
        report = self.loop.settle(self.loop.look_before_a_change(), run, self.patience())
        sweep = Sweep(started=started, finished=self._clock.now(), result=report.summary)
        self.store.put_sweep(sweep)
        measure(self.store, self.cluster, report.observed, sweep.finished)
        return report

    def patience(self) -> Concern:
        """What a sweep waits for that begins now."""
        return Concern(until=self._clock.now() + PATIENCE)

    def preview(self, job: Job | None = None) -> tuple[Plan, Mapping[str, Observation]]:
        """The first wave of a deploy of this job, or of a reconcile, and what it saw. Changes nothing.

        Raises InputError as the deploy would.
        """
        if job is not None:
            self._refuse_another_type(job)
        observed = self.loop.look()
        if job is not None:
            self._refuse_what_no_proxy_can(job, observed)
        return self._preview(job, observed), observed

    def look(self, names: Iterable[str] | None = None) -> Mapping[str, Observation]:
        """Ask the nodes, all of them by default, and remember their stats."""
        return self.loop.look(names)

    def job(self, name: str) -> Job:
        """The latest version. Raises InputError for a job that is not known."""
        job = self.store.job(name)
        if job is None:
            known = ", ".join(sorted(found.name for found in self.store.jobs())) or "none"
            raise InputError(
                f"there is no job {name!r}", where=self.cluster.name, cure=f"Known jobs: {known}."
            )
        return job

    def refuse_unknown(self, node: str) -> None:
        """Raises InputError for a node that is not in the inventory."""
        if self.cluster.node(node) is None:
            known = ", ".join(found.name for found in self.cluster.nodes)
            raise InputError(
                f"there is no node {node!r}", where=self.cluster.name, cure=f"Known nodes: {known}."
            )

    def needs(self, job: Job | None, observed: Mapping[str, Observation]) -> tuple[Need, ...]:
        """How many nodes all services need once this job is deployed, and how many they could do with."""
        tightest = ALGORITHMS[DEFAULT_ALGORITHM]
        return needs(self._once_deployed(job, observed), self.loop.scheduler, tightest)

    def _preview(self, job: Job | None, observed: Mapping[str, Observation]) -> Plan:
        return self.loop.plan(self._once_deployed(job, observed))

    def _once_deployed(self, job: Job | None, observed: Mapping[str, Observation]) -> World:
        """The world in which that job has just become what is wanted."""
        world = self.loop.world(observed)
        if job is None:
            return world
        job = pinned(job, world)
        known = next((found for found in world.jobs if found.name == job.name), None)
        wanted = replace(job, version=known.version + 1 if known else 1)
        rollout = Rollout(
            job=job.name, version=wanted.version, since=world.now, stable=self.store.stable_version(job.name)
        )
        failed = _failed_of(job.name, world.tasks)
        return replace(
            world,
            jobs=(*(found for found in world.jobs if found.name != job.name), wanted),
            rollouts={**world.rollouts, job.name: rollout},
            tasks=tuple(
                replace(task, state=State.COMPLETED) if task in failed else task for task in world.tasks
            ),
        )

    def _look_as_planned(self, job: Job, expected: Sequence[str] | None) -> Mapping[str, Observation]:
        """Every node. Raises CubeError where the expected plan, if any, would not be made from them again."""
        observed = self.loop.look_before_a_change()
        if expected is None:
            return observed
        found = self._preview(job, observed).fingerprint
        if tuple(expected) != found:
            gone, new = set(expected) - set(found), set(found) - set(expected)
            why = "; ".join(
                [*(f"no longer: {what}" for what in sorted(gone)), *(f"now: {what}" for what in sorted(new))]
            )
            raise CubeError(
                "the fleet has moved on since the plan was made",
                where=self.cluster.name,
                why=why,
                cure="Plan again, look, and deploy that plan.",
            )
        return observed

    def _refuse_another_type(self, job: Job) -> None:
        """What its slots mean would change under the tasks that are in them."""
        known = self.store.job(job.name)
        if known is not None and known.type is not job.type:
            raise InputError(
                f"job {job.name} is of type {known.type} and cannot become {job.type}",
                where=self.cluster.name,
                cure=f"Give it another name, or remove the old one first: cube remove {job.name}",
            )

    def _refuse_what_no_proxy_can(self, job: Job, observed: Mapping[str, Observation]) -> None:
        """The proxies that run find this job in their templates, which may refuse what it asks of them."""
        if any(group.ingress is not None for group in job.groups):
            before, after = self.loop.world(observed), self._once_deployed(job, observed)
            refuse_stale_files(self.cluster, before, after)

    def _pinned(self, job: Job, observed: Mapping[str, Observation]) -> Job:
        return pinned(job, self.loop.world(observed))

    def _want(self, job: Job, run: Run, reason: str) -> Job:
        return self.store.put_job(job, now=self._clock.now(), actor=run.actor, reason=reason)

    def _runs_of(self, name: str) -> list[Job]:
        return [job for job in self.store.jobs() if job.parent == name]

    def _roll(self, rollout: Rollout, run: Run, reason: str) -> Report:
        observed = self.loop.look_before_a_change()
        now = self._clock.now()
        self.store.put_rollout(replace(rollout, since=now), now=now, actor=run.actor, reason=reason)
        return self.loop.settle(observed, run, Concern(job=rollout.job))

    def _rollout_under_way(self, name: str) -> Rollout:
        rollout = self.store.rollouts().get(self.job(name).name)
        if rollout is None or rollout.state is not RolloutState.RUNNING:
            why = "" if rollout is None else f"that of version {rollout.version}: {rollout.state}"
            cure = f"Go on with it: cube resume {name}" if why.endswith(RolloutState.PAUSED) else ""
            what = f"no rollout of job {name} is under way"
            raise InputError(what, where=self.cluster.name, why=why, cure=cure)
        return rollout

    def _version_before(self, current: Job) -> int:
        """The newest version that succeeded and is not what is wanted now."""
        good = {
            found.version
            for found in self.store.rollouts_of(current.name)
            if found.state is RolloutState.SUCCEEDED and found.version < current.version
        }
        versions = [found.job for found in self.store.versions(current.name) if found.job.version in good]
        others = [job.version for job in versions if not job.stopped and job.groups != current.groups]
        if not others:
            raise InputError(
                f"job {current.name} has no earlier version that had succeeded",
                cure=f"See what there is: cube history {current.name}",
            )
        return max(others)

    def _retry(self, name: str, run: Run) -> None:
        """Close the record of failed tasks, so that their slots are filled anew."""
        self._note(_failed_of(name, self.store.current_tasks()), "deployed again", run)

    def _note(self, tasks: Iterable[Task], reason: str, run: Run) -> None:
        notes = [Note(task=task, target=State.COMPLETED, reason=reason) for task in tasks]
        self.store.record_plan(Plan(actions=tuple(notes)), now=self._clock.now(), actor=run.actor)


def scaled(job: Job, counts: Mapping[str, int]) -> Job:
    """The job with those counts. Raises InputError for a stopped one, and for a group that is not there."""
    _refuse_stopped(job, "scaled")
    if job.type is JobType.SYSTEM:
        cure = "Say with its constraints which nodes are meant."
        raise InputError(f"job {job.name} cannot be scaled", why="it has one task on each node", cure=cure)
    for name in counts:
        if job.group(name) is None:
            known = ", ".join(group.name for group in job.groups)
            raise InputError(f"job {job.name} has no group {name!r}", cure=f"Its groups: {known}.")
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
        raise InputError(f"job {job.name} cannot be dispatched", why=why, cure=cure)
    variables = {f"CUBE_PARAM_{name.upper()}": value for name, value in values.items()}
    groups = tuple(
        replace(group, spec=replace(group.spec, env={**group.spec.env, **variables})) for group in job.groups
    )
    return replace(run_of(job, job.name, now), name=job.name, groups=groups)


def _refuse_stopped(job: Job, what: str) -> None:
    if job.stopped:
        raise InputError(
            f"job {job.name} cannot be {what}",
            why="it is stopped",
            cure="Begin it again: deploy its file, or cube rollback " + job.name,
        )


def _failed_of(job: str, tasks: Iterable[Task]) -> list[Task]:
    return [task for task in tasks if task.slot.job == job and task.state is State.FAILED]
