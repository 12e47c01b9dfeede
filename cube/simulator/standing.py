"""What endings ask of the machines and of the record, and who counts those that serve meanwhile."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cube.manager.manager import Manager
from cube.manager.report import Report
from cube.manager.turn import Loop, Run
from cube.model.action import Effect, Outcome
from cube.model.job import Job, JobType, TaskSpec
from cube.model.observation import Container, Observation
from cube.model.rollout import RolloutState
from cube.model.task import State, Task
from cube.simulator.commands import Ask, Observer
from cube.simulator.faults import SimulatedFleet
from cube.simulator.history import History
from cube.simulator.laws import must, ours, runs, slot_of, spec_of
from cube.simulator.machine import Machine
from cube.simulator.watch import Watch


@dataclass(slots=True, kw_only=True)
class Serving:
    """Counts the group's tasks that run, after each effect, which the laws are asked about as ever."""

    watch: Watch
    name: str
    floor: int

    def looked(self, observed: Mapping[str, Observation]) -> None:
        """What was seen is what the next effects are judged by."""
        self.watch.looked(observed)

    def begins(self, effect: Effect) -> None:
        """It has not happened yet. Raises BrokenLawError where it must not."""
        self.watch.begins(effect)

    def ended(self, effect: Effect, outcome: Outcome) -> None:
        """Raises BrokenLawError where too few are left."""
        self.watch.ended(effect, outcome)
        running = {slot_of(found) for _, found in ours(self.watch.history.site.machines) if runs(found)}
        left = sum((slot.job, slot.group) == (self.name, "main") for slot in running)
        must(left >= self.floor, f"P19 safe rollout: {left} of {self.name} serve, {self.floor} must")


def while_serving(job: Job, floor: int, act: Ask) -> Ask:
    """The same, in which at least `floor` of the job's first group serve after each effect."""

    def ask(manager: Manager, run: Run) -> Report | bool | None:
        assert isinstance(manager.loop, Loop)
        fleet = manager.loop.fleet
        assert isinstance(fleet, SimulatedFleet)
        assert isinstance(fleet.witness, Observer)
        fleet.witness = Serving(watch=fleet.witness.watch, name=job.name, floor=floor)
        return act(manager, run)

    return ask


def a_service(history: History) -> Job | None:
    """One that has all of its tasks."""
    waiting = {task.slot.job for task in tasks_of(history) if task.state is State.PENDING}
    dead = {
        slot_of(found).job
        for machine, found in ours(history.site.machines)
        if machine.name in history.site.down
    }
    jobs = [
        job
        for name, job in sorted(history.wanted.items())
        if job.type is JobType.SERVICE and job.groups[0].count and name not in waiting | dead
    ]
    return history.random.choice(jobs) if jobs else None


def is_in_place(history: History, job: Job) -> bool:
    """Its rollout is over: else it is not moved, and may have no canary."""
    store = history.open()
    rollout = store.rollouts().get(job.name)
    history.put_back(store)
    return rollout is not None and rollout.state is RolloutState.SUCCEEDED


def tasks_of(history: History) -> Sequence[Task]:
    """What is recorded."""
    store = history.open()
    tasks = store.current_tasks()
    history.put_back(store)
    return tasks


def all_that_runs(history: History) -> list[tuple[Machine, Container]]:
    """The tasks of services and system jobs that run on machines that answer."""
    return [
        (machine, found)
        for machine, found in ours(history.site.machines)
        if runs(found)
        and machine.name not in history.site.down
        and type_of(history, found) in (JobType.SERVICE, JobType.SYSTEM)
    ]


def type_of(history: History, found: Container) -> JobType | None:
    """How long the container's task is meant to live; None: nobody wants it."""
    slot = slot_of(found)
    job = history.wanted.get(slot.job)
    group = job.group(slot.group) if job is not None else None
    return job.type_of(group) if job is not None and group is not None else None


def wanted_spec(history: History, found: Container) -> TaskSpec | None:
    """What is wanted in its place."""
    slot = slot_of(found)
    return spec_of(history.wanted[slot.job], slot.group)


def task_of(found: Container) -> str:
    """The id of its task."""
    return found.identity.task if found.identity else ""


def containers_of(history: History, job: Job, *, but_not: TaskSpec) -> list[Container]:
    """Those of the job's first group that run, and are of another spec."""
    return [
        found
        for machine, found in ours(history.site.machines)
        if runs(found)
        and slot_of(found).group_key == (job.name, job.groups[0].name)
        and machine.specs[found.id] != but_not
    ]
