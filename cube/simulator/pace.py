"""The law about the pace of an update: `delay` seconds must pass before the next slots are replaced."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from cube.model.action import Effect, Start, Stop
from cube.model.job import Group, Job
from cube.model.observation import Observation, Seen
from cube.model.task import Health, Slot, State
from cube.simulator.history import History
from cube.simulator.laws import ROUNDING, containers, must, runs
from cube.simulator.record import Recorded
from cube.simulator.stops import PREEMPTED


@dataclass(slots=True)
class Pace:
    """The replacements of one command: `seen` is what it has seen, `begun` the slots replaced since then.

    A slot is being replaced until its new task has run for `min_healthy_time`, and rests for `delay` more:
    at most `max_parallel` may do either. Neither counts what is no part of the update: a slot on a node that
    is silent or to be empty, one that moves, fails or was changed by hand, and tasks of an earlier version.
    """

    history: History
    seen: Mapping[str, Observation]
    begun: set[Slot] = field(default_factory=set)

    def begins(self, effect: Effect) -> None:
        """P19: no task that serves is replaced before those who came last have had their pause."""
        if self.history.has_jumped or effect.task is None or not isinstance(effect, Start | Stop):
            return
        slot, reading = effect.task.slot, self.history.reading
        job = reading.job(slot.job)
        group = job.group(slot.group) if job is not None else None
        if job is None or group is None or not group.update.delay or not reading.is_under_way(job):
            return
        replaces = (
            self._fills(effect, job, group)
            if isinstance(effect, Start)
            else self._empties(effect, job, group)
        )
        if not replaces:
            return
        self.begun.add(slot)
        busy = {
            *(begun for begun in self.begun if begun.group_key == slot.group_key),
            *self._resting(job, group),
        }
        most, delay = group.update.max_parallel, group.update.delay
        what = f"{slot} is replaced: {effect.reason}"
        must(len(busy) <= most, f"P19 {len(busy)} of {group.name} within {delay:g}s, {most} may: {what}")

    def _fills(self, start: Start, job: Job, group: Group) -> bool:
        """The slot gets its first task of the version, beside one that serves."""
        slot, new = start.task.slot, start.task
        if new.spec != group.spec or self.history.reading.had(slot, job.version, but_not=new.id):
            return False
        others = [task for task in self.history.reading.tasks_of(slot) if task.id != new.id]
        return any(task.spec != group.spec and self._is_replaceable(task) for task in others)

    def _empties(self, stop: Stop, job: Job, group: Group) -> bool:
        """The slot loses its only task, which serves, for one that comes later."""
        assert stop.task is not None, "asked for recorded tasks alone"
        tasks = self.history.reading.tasks_of(stop.task.slot)
        is_wanted = not job.stopped and (not job.is_counted(group) or stop.task.slot.index < group.count)
        is_of_update = stop.target is not State.FAILED and not stop.reason.startswith(PREEMPTED)
        is_alone = [task.id for task in tasks] == [stop.task.id]
        is_older = is_wanted and is_of_update and is_alone and tasks[0].spec != group.spec
        return is_older and self._is_replaceable(tasks[0])

    def _is_replaceable(self, task: Recorded) -> bool:
        """It serves, and nobody wants it elsewhere."""
        is_well = task.state is State.RUNNING and task.health in (Health.UNCHECKED, Health.HEALTHY)
        return is_well and self._stays(task) and self._age(task) is not None

    def _resting(self, job: Job, group: Group) -> Iterator[Slot]:
        """The slots whose new task has not run for long enough."""
        needed = group.update.min_healthy_time + group.update.delay
        ages: dict[Slot, list[float]] = {}
        for task in self.history.reading.given(job, group.name):
            age = self._age(task)
            if task.spec == group.spec and age is not None and self._stays(task):
                ages.setdefault(task.slot, []).append(age)
        yield from (slot for slot, found in ages.items() if max(found) < needed - ROUNDING)

    def _stays(self, task: Recorded) -> bool:
        is_to_move = task.slot in {*self.history.reading.moves(), *self.history.moving}
        return task.node not in self.history.drained and not is_to_move

    def _age(self, task: Recorded) -> float | None:
        """For how long its process has run; None where that was not seen to run well, as it was made."""
        node = task.node or ""
        machine, look = self.history.site.machines.get(node), self.seen.get(node)
        if machine is None or not isinstance(look, Seen):
            return None
        for found in containers(look):
            if found.identity is not None and found.identity.task == task.id and runs(found):
                is_well = found.health is not Health.UNHEALTHY and not found.drift
                since = machine.started.get(found.id)
                return self.history.engine.time - since if is_well and since is not None else None
        return None
