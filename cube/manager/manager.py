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
from cube.manager.wanted import (
    dispatched,
    earlier,
    left_on,
    paused_rollout,
    refuse_another_type,
    refuse_unserved,
    rollout_under_way,
    scaled,
)
from cube.model.action import Note, Plan
from cube.model.job import Job
from cube.model.maintenance import Maintenance
from cube.model.node import Cluster, Cordon
from cube.model.observation import Observation, Seen
from cube.model.rollout import Rollout, RolloutState
from cube.model.task import State, Task
from cube.reconciler.homes import forgotten
from cube.reconciler.pins import pinned, unsettled
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
        refuse_another_type(self.loop, job)
        job = replace(job, stopped=False)
        observed, settled = self._look_as_planned(job, expected)
        self._refuse_what_no_proxy_can(settled, observed)
        if job.hooks.before:
            hooks.run_before(replace(settled, version=self.store.version_of(settled)), self.cluster.name)
            observed, settled = self._look_as_planned(job, expected)
        with self.loop.change() as settle:
            wanted = self._want(settled, run, "deployed")
            self._retry(job.name, run)
            succeeded = False
            try:
                report = settle(observed, run, Concern(job=job.name))
                succeeded = report.exit_code == 0
            finally:
                hooks.run_after(wanted, self.cluster.name, succeeded=succeeded)
        return report

    def stop(self, name: str, run: Run) -> Report:
        """Want none of the job's tasks, and settle. Raises InputError for a job that is not known."""
        known = self.job(name)
        observed = self.loop.look_before_a_change()
        with self.loop.change() as settle:
            self._want(replace(known, stopped=True), run, "stopped")
            for job in self._runs_of(name):
                self._want(replace(job, stopped=True), replace(run, given=None), "stopped")
            return settle(observed, run, Concern(job=name))

    def want(self, job: Job, run: Run) -> Job:
        """Want this job, and leave it to whoever turns the loop to settle. InputError as of deploy."""
        refuse_another_type(self.loop, job)
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
        with self.loop.change() as settle:
            self._want(wanted, run, "scaled")
            return settle(observed, run, Concern(job=name))

    def rollback(self, name: str, version: int | None, run: Run) -> Report:
        """Want the job as it was in that version, by default in the last one that had succeeded before.

        Raises InputError where there is no such version.
        """
        wanted = earlier(self.loop, self.job(name), version)
        observed = self.loop.look_before_a_change()
        with self.loop.change() as settle:
            self._want(replace(wanted, stopped=False), run, f"rolled back to version {wanted.version}")
            self._retry(name, run)
            return settle(observed, run, Concern(job=name))

    def promote(self, name: str, run: Run) -> Report:
        """Let the new version take the place of every old task, and settle."""
        rollout = rollout_under_way(self.loop, self.job(name))
        return self._roll(replace(rollout, promoted=True), run, f"version {rollout.version} promoted")

    def pause(self, name: str, run: Run) -> Report:
        """Replace no further task of an older version, until somebody resumes the rollout; and settle."""
        rollout = rollout_under_way(self.loop, self.job(name))
        paused = replace(rollout, state=RolloutState.PAUSED)
        return self._roll(paused, run, f"the rollout of version {rollout.version} paused")

    def resume(self, name: str, run: Run) -> Report:
        """Go on with a rollout that was paused, and settle. Raises InputError where it was not."""
        rollout = paused_rollout(self.loop, self.job(name))
        resumed = replace(rollout, state=RolloutState.RUNNING)
        return self._roll(resumed, run, f"the rollout of version {rollout.version} resumed")

    def begin_maintenance(self, name: str, retry_after: float, run: Run) -> Report:
        """Have proxies answer requests for the job by a page, and settle. Its tasks are left as they are.

        `retry_after` in seconds: when those who ask are told to come back. Raises InputError for a job that
        takes no requests through a proxy.
        """
        job = self.job(name)
        refuse_unserved(self.loop, job)
        observed = self.loop.look_before_a_change()
        begun = Maintenance(job=name, at=self._clock.now(), actor=run.actor, retry_after=retry_after)
        with self.loop.change() as settle:
            self.store.put_maintenance(begun, job.version, given=run.given)
            run.recorded()
            return settle(observed, run, Concern(job=name))

    def end_maintenance(self, name: str, run: Run) -> Report:
        """Have the job's tasks answer requests again, and settle."""
        job = self.job(name)
        observed = self.loop.look_before_a_change()
        now = self._clock.now()
        with self.loop.change() as settle:
            self.store.end_maintenance(name, job.version, now=now, actor=run.actor, given=run.given)
            run.recorded()
            return settle(observed, run, Concern(job=name))

    def dispatch(self, name: str, values: Mapping[str, str], run: Run) -> Report:
        """Begin a run of a parameterized job with those values, and settle it.

        Raises InputError for a job of another type, and for values that it does not name or that are missing.
        """
        wanted = dispatched(self.job(name), values, now=self._clock.now())
        observed = self.loop.look_before_a_change()
        with self.loop.change() as settle:
            job = self.store.put_run(wanted, now=self._clock.now(), actor=run.actor, reason="dispatched")
            return settle(observed, run, Concern(job=job.name))

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
        with self.loop.change() as settle:
            self.store.put_cordon(cordon)
            return settle(observed, run, Concern())

    def forget_node(self, node: str, run: Run) -> Report:
        """Take the tasks of a node that has left the inventory for ended, their data for lost, and settle.

        Raises InputError for a node that is in the inventory, or whose tasks have all ended as they should
        and have left no data there.
        """
        tasks = left_on(self.loop, node)
        observed = self.loop.look_before_a_change()
        with self.loop.change() as settle:
            self._note(tasks, forgotten(node), run)
            self.store.lift_cordon(node, now=self._clock.now(), actor=run.actor)
            return settle(observed, run, Concern())

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
            refuse_another_type(self.loop, job)
        observed = self.loop.look()
        if job is not None:
            job = self._settled(job, observed)
            self._refuse_what_no_proxy_can(job, observed)
        return self.loop.plan(self._once_deployed(job, observed)), observed

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
                f"there is no node {node!r}",
                where=self.cluster.name,
                cure=f"Known nodes: {known}.",
                field="node",
            )

    def needs(self, job: Job | None, observed: Mapping[str, Observation]) -> tuple[Need, ...]:
        """How many nodes all services need once this job is deployed, and how many they could do with."""
        tightest = ALGORITHMS[DEFAULT_ALGORITHM]
        return needs(self._once_deployed(job, observed), self.loop.scheduler, tightest)

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

    def _look_as_planned(
        self, job: Job, expected: Sequence[str] | None
    ) -> tuple[Mapping[str, Observation], Job]:
        """Every node, and the job with what its images mean: what is compared is what will be deployed.

        Raises CubeError where the expected plan, if any, would not be made from them again.
        """
        observed = self.loop.look_before_a_change()
        settled = self._settled(job, observed)
        if expected is None:
            return observed, settled
        found = self.loop.plan(self._once_deployed(settled, observed)).fingerprint
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
        return observed, settled

    def _refuse_what_no_proxy_can(self, job: Job, observed: Mapping[str, Observation]) -> None:
        """The proxies that run find this job in their templates, which may refuse what it asks of them."""
        if any(group.ingress is not None for group in job.groups):
            before, after = self.loop.world(observed), self._once_deployed(job, observed)
            refuse_stale_files(self.cluster, before, after)

    def _settled(self, job: Job, observed: Mapping[str, Observation]) -> Job:
        """The job with what its images mean now; a registry is asked by the first node that answered."""
        world = self.loop.world(observed)
        node = next((name for name, found in observed.items() if isinstance(found, Seen)), None)
        if node is None:
            return pinned(job, world)
        told = {image: self.loop.digest(image, node) for image in unsettled(job, world)}
        return pinned(job, world, {image: digest for image, digest in told.items() if digest})

    def _want(self, job: Job, run: Run, reason: str) -> Job:
        now = self._clock.now()
        wanted = self.store.put_job(job, now=now, actor=run.actor, reason=reason, given=run.given)
        run.recorded()
        return wanted

    def _runs_of(self, name: str) -> list[Job]:
        return [job for job in self.store.jobs() if job.parent == name]

    def _roll(self, rollout: Rollout, run: Run, reason: str) -> Report:
        observed = self.loop.look_before_a_change()
        now = self._clock.now()
        rollout = replace(rollout, since=now)
        with self.loop.change() as settle:
            self.store.put_rollout(rollout, now=now, actor=run.actor, reason=reason, given=run.given)
            run.recorded()
            return settle(observed, run, Concern(job=rollout.job))

    def _retry(self, name: str, run: Run) -> None:
        """Close the record of failed tasks, so that their slots are filled anew."""
        self._note(_failed_of(name, self.store.current_tasks()), "deployed again", run)

    def _note(self, tasks: Iterable[Task], reason: str, run: Run) -> None:
        notes = [Note(task=task, target=State.COMPLETED, reason=reason) for task in tasks]
        self.store.record_plan(Plan(actions=tuple(notes)), now=self._clock.now(), actor=run.actor)


def _failed_of(job: str, tasks: Iterable[Task]) -> list[Task]:
    return [task for task in tasks if task.slot.job == job and task.state is State.FAILED]
