"""The laws about a stop: nobody who serves is stopped without a cause, given what its command has seen."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from cube.model.action import Stop
from cube.model.image import full_name
from cube.model.job import Job, JobType
from cube.model.observation import Container, Observation, Seen
from cube.model.policy import Order
from cube.model.task import Health, Slot, State
from cube.simulator.history import History
from cube.simulator.laws import (
    GAP,
    ROUNDING,
    containers,
    is_of_nodes,
    must,
    ours,
    over_promised,
    place_of,
    places_of,
    runs,
    slot_of,
    spec_of,
)
from cube.simulator.machine import Machine
from cube.simulator.record import Recorded

PREEMPTED = "preempted by "
"""What is said of a task that gives way."""


@dataclass(slots=True)
class Stops:
    """The stops of one command: `seen` is what it has seen, `preempted` who has given way since, by group."""

    history: History
    seen: Mapping[str, Observation]
    preempted: Counter[tuple[str, str]] = field(default_factory=Counter)

    def begins(self, effect: Stop) -> None:
        """P7, 6: no task that serves is stopped where it is wanted, as it is wanted, alone in its slot."""
        machines, wanted = self.history.site.machines, self.history.wanted
        machine = machines.get(effect.node)
        found = machine.containers.get(effect.container) if machine else None
        if machine is None or found is None or not runs(found) or found.drift:
            return
        if not any(known.id == found.id and runs(known) for known in containers(self.seen[effect.node])):
            return  # It began to run after the look: a late effect, and the plan could not know.
        job, slot = wanted.get(slot_of(found).job), slot_of(found)
        if effect.task is not None and effect.reason.startswith(PREEMPTED):
            self._may_preempt(effect, effect.task.slot, machine)
            return
        if slot.job in self.history.doubtful or effect.task is None:
            return
        place = place_of(found, machine, wanted)
        is_expected = job is not None and place in set(places_of(job, machines))
        held = [
            (where, other)
            for where, other in ours(machines)
            if other.id != found.id and not other.is_cut_off and place_of(other, where, wanted) == place
        ]
        spec = machine.specs[found.id]
        is_sick = spec.health is not None and effect.target is State.FAILED
        is_to_leave = effect.node in self.history.drained or self._is_to_move_first(effect, slot, job)
        is_current = job is not None and spec_of(job, slot.group) == spec and not is_to_leave
        has_a_cause = is_sick or bool(held) or self._has_lost_its_room(effect, machine)
        must(
            not (is_expected and is_current) or has_a_cause,
            f"P7 no move without cause: {found.name} on {effect.node} is stopped: {effect.reason}",
        )
        if not is_to_leave and not is_current and is_expected and job is not None:
            self._comes_after_its_image(effect, spec.image)
        same = [(where, other) for where, other in held if slot_of(other) == slot]
        is_a_choice = is_current or any(runs(other) for _, other in same)  # else it is in an update's way
        if is_expected and same and is_a_choice and not is_sick and not is_to_leave:
            self._has_a_proven_successor(effect, same)
        elif is_expected and not same and not is_sick and not is_to_leave and self._comes_second(effect):
            self._has_a_proven_successor(effect, [])

    def _has_lost_its_room(self, effect: Stop, machine: Machine) -> bool:
        """P13: nobody has recorded that it runs, and its node's room is promised to others."""
        tasks = self.history.reading.tasks_on(effect.node)
        ports = (port for task in tasks for port in task.ports)
        is_unrecorded = effect.task is not None and effect.task.state is State.SCHEDULED
        return is_unrecorded and bool(over_promised(machine, [task.spec for task in tasks], ports))

    def _comes_after_its_image(self, effect: Stop, before: str) -> None:
        """P19: a task is stopped for one of another image only where the node was seen with that."""
        assert effect.task is not None, "it is recorded"
        job = self.history.reading.job(effect.task.slot.job)
        after = spec_of(job, effect.task.slot.group) if job is not None else None
        seen = self.seen.get(effect.node)
        if after is None or after.image == before or not isinstance(seen, Seen):
            return
        is_told = any(full_name(after.image) in image.names for image in seen.images or ())
        is_there = is_told or any(found.image == after.image for found in seen.containers)
        must(is_there, f"P19 {effect.container_name} is stopped for {after.image}, which is not there")

    def _comes_second(self, effect: Stop) -> bool:
        """Its job wants it to serve until the task of the new version has taken over."""
        assert effect.task is not None, "it is recorded"
        slot = effect.task.slot
        job = self.history.reading.job(slot.job)
        group = job.group(slot.group) if job is not None else None
        if job is None or group is None or job.stopped or slot.index >= group.count:
            return False
        is_asked = job.type_of(group) is JobType.SERVICE and group.update.order is Order.START_FIRST
        return is_asked and effect.task.spec != group.spec

    def _is_to_move_first(self, effect: Stop, slot: Slot, job: Job | None) -> bool:
        """Somebody wants it on another node; its job wants no two at a time, or it does not serve yet."""
        group = job.group(slot.group) if job is not None else None
        is_first = group is not None and group.update.order is Order.STOP_FIRST
        is_free = is_first or not self._did_serve(effect)
        return is_free and self.history.reading.moves().get(slot, effect.node) != effect.node

    def _may_preempt(self, effect: Stop, slot: Slot, machine: Machine) -> None:
        """A task gives way to what matters more by far, which then fits; of a group few at a time."""
        name, _, rest = effect.reason.removeprefix(PREEMPTED).partition("/")
        above, below = self.history.reading.job(name), self.history.reading.job(slot.job)
        group = below.group(slot.group) if below is not None else None
        spec = spec_of(above, rest.partition("[")[0]) if above is not None else None
        must(self.history.preempts, f"preemption: nobody wants it: {effect.reason}")
        if above is None or below is None or group is None or spec is None:
            return
        must(not is_of_nodes(below, group.name), f"preemption: {slot} belongs to its node: {effect.reason}")
        must(above.priority >= below.priority + GAP, f"preemption: {slot} matters too much: {effect.reason}")
        staying = [task for task in self.history.reading.tasks_on(machine.name) if self._stays(task, above)]
        cpu = sum(task.spec.resources.cpu for task in staying) + spec.resources.cpu
        memory = sum(task.spec.resources.memory for task in staying) + spec.resources.memory
        is_of_use = cpu <= machine.cpus * 1000 and memory <= machine.memory
        must(is_of_use, f"preemption: {slot} goes in vain: {effect.reason}")
        self.preempted[(slot.job, slot.group)] += 1
        gone = self.preempted[(slot.job, slot.group)]
        must(
            gone <= group.update.max_parallel or not self._did_serve(effect),
            f"P19 {gone} of {slot.job}/{slot.group} give way at a time",
        )

    def _stays(self, task: Recorded, above: Job) -> bool:
        job = self.history.reading.job(task.slot.job)
        is_bound = job is None or is_of_nodes(job, task.slot.group)
        return job is None or is_bound or job.priority > above.priority - GAP

    def _did_serve(self, effect: Stop) -> bool:
        own = self._recorded(effect)
        return own is not None and own.health in (Health.UNCHECKED, Health.HEALTHY)

    def _has_a_proven_successor(self, effect: Stop, held: Sequence[tuple[Machine, Container]]) -> None:
        """P19: who serves is stopped for another only when that one has served for long enough."""
        assert effect.task is not None, "a container of no recorded task is nobody's predecessor"
        own = self._recorded(effect)
        job = self.history.reading.job(effect.task.slot.job)
        group = job.group(effect.task.slot.group) if job else None
        if group is None or own is None or self.history.has_jumped:
            return
        if own.state is not State.RUNNING or own.health not in (Health.UNCHECKED, Health.HEALTHY):
            return
        now = self.history.engine.time
        proven = [
            other
            for machine, other in held
            if runs(other)
            and self._was_well(machine, other)
            and now - machine.started.get(other.id, 0.0) >= group.update.min_healthy_time - ROUNDING
        ]
        what = f"{effect.container_name} is stopped: {effect.reason}"
        must(bool(proven), f"P19 nobody serves in its place: {what}")

    def _was_well(self, machine: Machine, container: Container) -> bool:
        """When it was seen last, its check was answered well, where it has one."""
        if machine.specs[container.id].health is None:
            return True
        seen = self.seen.get(machine.name)
        return seen is not None and any(
            found.id == container.id and found.health is Health.HEALTHY for found in containers(seen)
        )

    def _recorded(self, effect: Stop) -> Recorded | None:
        assert effect.task is not None, "asked for recorded tasks alone"
        tasks = self.history.reading.tasks_of(effect.task.slot)
        return next((task for task in tasks if task.id == effect.task.id), None)
