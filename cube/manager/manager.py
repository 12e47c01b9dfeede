"""The loop. Every command changes at most one desired fact, then settles."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from cube.errors import CubeError, InputError
from cube.manager.report import Done, Report, Step
from cube.manager.seams import Clock, Fleet
from cube.model.action import Action, Note, Plan, Start, Stop, Verdict, Wait
from cube.model.job import Job
from cube.model.node import Cluster
from cube.model.observation import Container, Observation, Seen
from cube.model.task import Health, State, Task
from cube.reconciler.reconcile import reconcile
from cube.reconciler.world import World
from cube.scheduler.algorithms import Scheduler
from cube.store.rows import Sweep
from cube.store.store import Store

TRIES = 3
"""How often one run asks for the same effect before it gives up on it."""

PAUSE = 0.5
"""Seconds before an effect that failed, or was not answered, is asked for again; doubled each time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """How one call settles: until when at most (seconds since the epoch), for whom, and who is told."""

    until: float
    actor: str
    tell: Callable[[Step], None] = lambda _step: None


class Manager:
    """One cluster, its store and its fleet. It decides nothing: `reconcile` does."""

    def __init__(
        self, cluster: Cluster, store: Store, fleet: Fleet, *, scheduler: Scheduler, clock: Clock
    ) -> None:
        self.cluster = cluster
        self.store = store
        self._fleet = fleet
        self._scheduler = scheduler
        self._clock = clock

    def deploy(self, job: Job, run: Run) -> Report:
        """Want this job, and settle. Its tasks that failed for good get a new try."""
        observed = self._look_at_own()
        self._want(replace(job, stopped=False), run, "deployed")
        self._retry(job.name, run)
        return self._settle(observed, run, job=job.name)

    def stop(self, name: str, run: Run) -> Report:
        """Want none of the job's tasks, and settle. Raises InputError for a job that is not known."""
        known = self.job(name)
        observed = self._look_at_own()
        self._want(replace(known, stopped=True), run, "stopped")
        return self._settle(observed, run, job=name)

    def remove(self, name: str, run: Run) -> Report:
        """Stop the job, then forget it; one whose tasks could not all be stopped is kept."""
        report = self.stop(name, run)
        if report.exit_code == 0:
            self.store.forget_job(name)
        return report

    def scale(self, name: str, counts: Mapping[str, int], run: Run) -> Report:
        """Want that many tasks of each named group, and settle. Raises InputError for an unknown name."""
        wanted = scaled(self.job(name), counts)
        observed = self._look_at_own()
        self._want(wanted, run, "scaled")
        return self._settle(observed, run, job=name)

    def reconcile(self, run: Run) -> Report:
        """Change nothing that is wanted, and settle."""
        started = self._clock.now()
        report = self._settle(self._look_at_own(), run)
        sweep = Sweep(started=started, finished=self._clock.now(), result=report.summary)
        self.store.put_sweep(sweep)
        return report

    def preview(self, job: Job | None = None) -> tuple[Plan, Mapping[str, Observation]]:
        """The first wave of a deploy of this job, or of a reconcile, and what it saw. Changes nothing."""
        observed = self.look()
        jobs, tasks = self.store.jobs(), self.store.current_tasks()
        if job is not None:
            known = next((found for found in jobs if found.name == job.name), None)
            wanted = replace(job, version=known.version + 1 if known else 1)
            jobs = (*(found for found in jobs if found.name != job.name), wanted)
            failed = _failed_of(job.name, tasks)
            tasks = tuple(replace(task, state=State.COMPLETED) if task in failed else task for task in tasks)
        return self._plan(observed, jobs, tasks), observed

    def look(self, names: Iterable[str] | None = None) -> Mapping[str, Observation]:
        """Ask the nodes, all of them by default, and remember their stats."""
        now = self._clock.now()
        asked = [node.name for node in self.cluster.nodes] if names is None else list(names)
        observed = self._fleet.observe(asked, now)
        self.store.put_observations(observed.values())
        return observed

    def job(self, name: str) -> Job:
        """The latest version. Raises InputError for a job that is not known."""
        job = self.store.job(name)
        if job is None:
            known = ", ".join(sorted(found.name for found in self.store.jobs())) or "none"
            raise InputError(
                f"there is no job {name!r}", where=self.cluster.name, cure=f"Known jobs: {known}."
            )
        return job

    def _look_at_own(self) -> Mapping[str, Observation]:
        """Every node, before anything is wanted. Raises CubeError for a fleet that is another store's."""
        observed = self.look()
        self._refuse_strangers(observed)
        return observed

    def _settle(self, looked: Mapping[str, Observation], run: Run, *, job: str | None = None) -> Report:
        """Turns of the loop until nothing is left to do, nothing can be done, or the time is over.

        With a `job`, nothing is waited for on behalf of the others: what they need later is left to a sweep.
        """
        observed = dict(looked)
        done: list[Done] = []
        while True:
            plan = self._plan(observed, self.store.jobs(), self.store.current_tasks())
            todo = _worth_trying(plan, done)
            news = any(not isinstance(action, Wait) for action in todo.actions)
            due = plan.due_for(job)
            is_over = not news and due is None
            if is_over or self._clock.now() >= run.until:
                self.store.record_plan(_only_records(todo), now=self._clock.now(), actor=run.actor)
                break
            if due is not None and not news:
                self._clock.sleep(max(min(due, run.until) - self._clock.now(), 0))
                # A silent node would cost every turn its whole patience: the next run asks it again.
                observed |= self.look(name for name, found in observed.items() if isinstance(found, Seen))
                continue
            wave = self._act(todo, run)
            done += wave
            self._pause_after(wave, done)
            touched = {step.effect.node for step in wave}
            observed = _spent(observed) | dict(self.look(name for name in observed if name in touched))
        return Report(
            job=job,
            plan=plan,
            done=tuple(done),
            tasks=self.store.current_tasks(),
            observed=observed,
            is_late=not is_over,
        )

    def _plan(
        self, observed: Mapping[str, Observation], jobs: tuple[Job, ...], tasks: tuple[Task, ...]
    ) -> Plan:
        world = World(
            cluster=self.cluster.name,
            owner=self.store.owner,
            now=self._clock.now(),
            nodes={node.name: node for node in self.cluster.nodes},
            jobs=jobs,
            tasks=tasks,
            observed=observed,
        )
        return reconcile(world, self._scheduler)

    def _act(self, plan: Plan, run: Run) -> list[Done]:
        """Record the intents, carry the effects out, record each outcome as it comes."""
        run.tell(plan)
        effects = self.store.record_plan(plan, now=self._clock.now(), actor=run.actor)
        done = []
        for effect, outcome in self._fleet.perform(effects):
            self.store.record_outcome(effect, outcome, now=self._clock.now(), actor=run.actor)
            done.append(Done(effect=effect, outcome=outcome))
            run.tell(done[-1])
        return done

    def _want(self, job: Job, run: Run, reason: str) -> None:
        self.store.put_job(job, now=self._clock.now(), actor=run.actor, reason=reason)

    def _retry(self, name: str, run: Run) -> None:
        """Close the record of failed tasks, so that their slots are filled anew."""
        failed = _failed_of(name, self.store.current_tasks())
        notes = [Note(task=task, target=State.COMPLETED, reason="deployed again") for task in failed]
        self.store.record_plan(Plan(actions=tuple(notes)), now=self._clock.now(), actor=run.actor)

    def _pause_after(self, wave: list[Done], done: list[Done]) -> None:
        if all(step.outcome.verdict is Verdict.OK for step in wave):
            return
        tries = max(_misses(done).values(), default=1)
        self._clock.sleep(PAUSE * 2 ** (tries - 1))

    def _refuse_strangers(self, observed: Mapping[str, Observation]) -> None:
        """Two stores that drive one fleet would undo each other's work: the second is refused."""
        for name, seen in observed.items():
            for container in seen.containers if isinstance(seen, Seen) else ():
                identity = container.identity
                if identity and identity.cluster == self.cluster.name and identity.owner != self.store.owner:
                    raise CubeError(
                        f"cluster {self.cluster.name} is driven from another store",
                        where=name,
                        why=f"container {container.name} carries its mark, {identity.owner}",
                        cure="Use its state file (--state); if that is lost, remove the containers yourself.",
                    )


def _failed_of(job: str, tasks: Iterable[Task]) -> list[Task]:
    return [task for task in tasks if task.slot.job == job and task.state is State.FAILED]


def _spent(observed: Mapping[str, Observation]) -> dict[str, Observation]:
    """The same looks, their checks marked as counted: a failure planned from twice would count twice."""
    return {
        name: replace(seen, containers=tuple(map(_counted, seen.containers)))
        if isinstance(seen, Seen)
        else seen
        for name, seen in observed.items()
    }


def _counted(container: Container) -> Container:
    return container if container.health is Health.UNCHECKED else replace(container, health=Health.STARTING)


def scaled(job: Job, counts: Mapping[str, int]) -> Job:
    """The job with those counts. Raises InputError for a group that it does not have."""
    for name in counts:
        if job.group(name) is None:
            known = ", ".join(group.name for group in job.groups)
            raise InputError(f"job {job.name} has no group {name!r}", cure=f"Its groups: {known}.")
    groups = tuple(replace(group, count=counts.get(group.name, group.count)) for group in job.groups)
    return replace(job, groups=groups)


def _worth_trying(plan: Plan, done: list[Done]) -> Plan:
    """The plan without the effects that this run has asked for in vain too often."""
    misses = _misses(done)
    keep = tuple(action for action in plan.actions if misses[_target(action)] < TRIES)
    return replace(plan, actions=keep)


def _misses(done: list[Done]) -> Counter[str]:
    """How often each target's effect was in vain; a start that failed is the restart policy's business."""
    return Counter(
        _target(step.effect)
        for step in done
        if step.outcome.verdict is Verdict.UNKNOWN
        or (step.outcome.verdict is Verdict.FAILED and isinstance(step.effect, Stop))
    )


def _target(action: Action) -> str:
    """What an effect is counted by; a Place makes a task that nothing has been tried on."""
    match action:
        case Start():
            return f"start {action.task.id}"
        case Stop():
            return f"stop {action.container}"
        case _:
            return ""


def _only_records(plan: Plan) -> Plan:
    return replace(plan, actions=tuple(found for found in plan.actions if isinstance(found, Note | Wait)))
