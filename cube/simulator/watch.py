"""The laws about single effects of one command: what it may do, given what it has seen.

What is right is judged by the machines, by what people asked for, and by the record; the numbers are those of
RELIABILITY.md, section 8.5. Durations are judged only while no clock has jumped.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from cube.model.action import Effect, Outcome, Start, Stop, Verdict
from cube.model.job import Group, Job, JobType
from cube.model.observation import Container, Observation, Seen
from cube.model.policy import Condition, OnDisconnect, Order
from cube.model.task import Health, Slot, State
from cube.simulator.history import History
from cube.simulator.laws import GAP, must, ours, parent_of, place_of, places_of, runs, slot_of, spec_of
from cube.simulator.machine import Machine
from cube.simulator.record import Recorded

PLAN_KEEPS = 60.0
"""Seconds after which an effect must not begin that was planned before."""

LOOK = 6.0
"""Seconds that a look takes at most, which ends before a plan is made."""

MOVES = 2
"""Tasks of silent nodes that may be on their way elsewhere at a time; a tenth of all, if that is more."""

PREEMPTED = "preempted by "
"""What is said of a task that gives way."""

ROUNDING = 0.01


@dataclass(slots=True, kw_only=True)
class Watch:
    """What one command has seen, and which of its effects have an outcome that is not known."""

    history: History
    epoch: int
    seen: dict[str, Observation] = field(default_factory=dict)
    unsure: set[str] = field(default_factory=set)
    open: dict[str, set[State]] = field(default_factory=dict)
    looked_at: float = 0.0
    moved: int = 0
    preempted: Counter[tuple[str, str]] = field(default_factory=Counter)

    def looked(self, observed: Mapping[str, Observation]) -> None:
        """What an unknown outcome left open was not guessed, and has been looked at now."""
        self.nothing_is_guessed()
        self.seen.update(observed)
        self.unsure -= observed.keys()
        self.looked_at, self.moved = self.history.engine.time, 0
        self.preempted.clear()
        for name, found in observed.items():
            if isinstance(found, Seen):
                self.history.answered[name] = self.history.engine.time

    def begins(self, effect: Effect) -> None:
        """Every law about an effect that is about to happen."""
        node, machines = effect.node, self.history.site.machines
        is_seen = isinstance(self.seen.get(node), Seen)
        must(is_seen, f"P3 unknown is not absent: {node} was not seen: {effect.reason}")
        must(node not in self.unsure, f"P3, 9 no blind repeat on {node}: {effect.reason}")
        newest = machines[node].epoch if node in machines else 0
        must(self.epoch >= newest, f"18 an effect of epoch {self.epoch} after one of {newest} on {node}")
        age = self.history.engine.time - self.looked_at
        must(
            self.history.has_jumped or age <= PLAN_KEEPS + LOOK,
            f"P4 a plan of {age:.0f}s ago: {effect.reason}",
        )
        moves = self.history.reading.moves().keys() - self.history.moving
        must(len(moves) <= 1, f"P8 one move at a time: {sorted(map(str, moves))}")
        self._has_an_intent(effect)
        if isinstance(effect, Start):
            self._may_start(effect)
        elif isinstance(effect, Stop):
            self._may_stop(effect)

    def ended(self, effect: Effect, outcome: Outcome) -> None:
        """An outcome that is unknown leaves open what happened."""
        if outcome.verdict is not Verdict.UNKNOWN:
            return
        self.unsure.add(effect.node)
        if effect.task is not None:
            guesses = {State.RUNNING} if isinstance(effect, Start) else {State.COMPLETED, State.FAILED}
            self.open[effect.task.id] = guesses - {self.history.reading.state_of(effect.task.id)}

    def nothing_is_guessed(self) -> None:
        """P3: before a look nothing is recorded that an unknown outcome did not say."""
        for task, guesses in self.open.items():
            state = self.history.reading.state_of(task)
            must(state not in guesses, f"P3 unknown is unknown: {task} is recorded as {state}")
        self.open.clear()

    def _has_an_intent(self, effect: Effect) -> None:
        """P9, 8: what is to happen is written down before it does."""
        if effect.task is None:
            return
        events = self.history.reading.last_events(effect.task.id)
        must(bool(events), f"8 intent before effect: nothing is recorded of {effect.reason}")
        target, _, detail = events[0]
        is_meant = target == State.SCHEDULED.value if isinstance(effect, Start) else "intent" in detail
        must(is_meant, f"8 intent before effect: {target} before {effect.reason}")

    def _may_start(self, effect: Start) -> None:
        job = self.history.reading.job(effect.task.slot.job)
        group = job.group(effect.task.slot.group) if job else None
        self._has_room(effect)
        if job is None or group is None:
            return
        self._is_not_too_soon(effect, group)
        if self.history.reading.starts(effect.task.id) == 1:
            self._leaves_silent_nodes_their_time(effect, group)
            what = f"{effect.task.slot} of version {effect.task.version}"
            must(
                effect.task.spec == group.spec,
                f"1 only what is wanted is begun: {what}, {job.version} is wanted",
            )
            self._finds_what_it_depends_on(effect, job, group)
            self._goes_where_it_is_to_go(effect)
            if job.type_of(group) is not JobType.SYSTEM:  # Its slots belong to nodes, and so does its data.
                self._goes_where_its_data_is(effect)
            self._is_the_only_run(effect, job)

    def _has_room(self, effect: Start) -> None:
        """P13, 5: what is recorded on the node fits into it, and each host port has one owner."""
        machine = self.history.site.machines.get(effect.node)
        if machine is None:
            return
        tasks = self.history.reading.tasks_on(effect.node)
        cpu = sum(task.spec.resources.cpu for task in tasks)
        memory = sum(task.spec.resources.memory for task in tasks)
        is_within = cpu <= machine.cpus * 1000 and memory <= machine.memory
        must(is_within, f"P13 never over-committed: {cpu}m, {memory} bytes on {effect.node}")
        owners = Counter(port for task in tasks for port in task.ports)
        must(max(owners.values(), default=1) == 1, f"P13 one owner per port on {effect.node}: {owners}")

    def _leaves_silent_nodes_their_time(self, effect: Start, group: Group) -> None:
        """P8, 7, 17: no task is moved off a node that may come back, while we are cut off, or in a herd."""
        silent = {name for name, found in self.seen.items() if not isinstance(found, Seen)}
        here = [
            task
            for task in self.history.reading.tasks_of(effect.task.slot)
            if task.id != effect.task.id and task.spec == effect.task.spec and task.node in silent
        ]
        if not here:
            return
        what = f"{effect.task.slot} of silent {here[0].node} is started on {effect.node}"
        is_cut_off = len(silent) == len(self.seen) or (len(silent) > 2 and len(silent) * 2 > len(self.seen))
        must(not is_cut_off, f"P8 brakes: {what}")
        must(group.disconnect.then is not OnDisconnect.KEEP, f"P8 it was to be kept: {what}")
        self.moved += 1
        most = max(MOVES, self.history.reading.live() // 10)
        must(self.moved <= most, f"17 {self.moved} tasks move at a time: {what}")
        waited = self.history.engine.time - max(self.history.last_answer(task.node or "") for task in here)
        is_long = waited >= group.disconnect.lost_after - ROUNDING
        must(self.history.has_jumped or is_long, f"P8 after {waited:.0f}s of silence: {what}")

    def _is_not_too_soon(self, effect: Start, group: Group) -> None:
        """P8, 17: the k-th restart waits for at least half of `delay` * 2^(k-1), as far as `max_delay`."""
        events = self.history.reading.last_events(effect.task.id)
        failed_at = self.history.reading.failed_at(effect.task.id)
        was_failed = len(events) > 1 and events[1][0] == State.FAILED.value
        if self.history.has_jumped or failed_at is None or not was_failed:
            return
        policy, waited = group.restart, events[0][1] - failed_at
        wait = min(policy.max_delay, policy.delay * 2.0 ** max(effect.task.restarts - 1, 0)) / 2
        what = f"{effect.reason} of {effect.task.slot} after {waited:.1f}s"
        must(waited >= wait - ROUNDING, f"P8 backoff: {what}")

    def _finds_what_it_depends_on(self, effect: Start, job: Job, group: Group) -> None:
        """A task is begun only when every group that its own waits for is there; or it takes a slot over."""
        if len(self.history.reading.tasks_of(effect.task.slot)) > 1:
            return
        alive = {
            slot_of(found)
            for look in self.seen.values()
            for found in containers(look)
            if found.identity is not None and runs(found)
        }
        for name, condition in group.depends_on.items():
            other = job.group(name)
            if condition is Condition.HEALTHY and other is not None:
                up = sum((slot.job, slot.group) == (job.name, name) for slot in alive)
                most = other.count if job.type is JobType.SERVICE else 1  # Closed and silent nodes have none.
                what = f"{effect.task.slot} begins while {up} of {most} of {name} run"
                must(up >= most, f"depends_on: {what}")

    def _goes_where_it_is_to_go(self, effect: Start) -> None:
        """A slot that moves gets its new task on that node and nowhere else."""
        target = self.history.reading.moves().get(effect.task.slot, effect.node)
        must(target == effect.node, f"{effect.task.slot} begins on {effect.node}, and is to move to {target}")

    def _goes_where_its_data_is(self, effect: Start) -> None:
        """What the slot's last task has written is not left behind, unless somebody gave it up."""
        task = effect.task
        home = self.history.home(task.slot, task.spec, before=task.id)
        is_free = home in (None, effect.node, *self.history.given_up) or task.slot in self.history.moving
        must(is_free, f"{task.slot} begins anew on {effect.node}, and its data is on {home}")

    def _is_the_only_run(self, effect: Start, job: Job) -> None:
        """A run begins while another one is there only where its schedule allows it."""
        parent = self.history.reading.job(job.parent) if job.parent else None
        if parent is None or parent.schedule is None or not parent.schedule.prohibit_overlap:
            return
        others = [
            found.name
            for look in self.seen.values()
            for found in containers(look)
            if found.identity is not None
            and runs(found)
            and parent_of(slot_of(found).job) == parent.name
            and slot_of(found).job != job.name
        ]
        must(not others, f"prohibit_overlap: {effect.task.slot} begins beside {others}")

    def _may_stop(self, effect: Stop) -> None:
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
        must(
            not (is_expected and is_current) or is_sick or bool(held),
            f"P7 no move without cause: {found.name} on {effect.node} is stopped: {effect.reason}",
        )
        same = [(where, other) for where, other in held if slot_of(other) == slot]
        is_a_choice = is_current or any(runs(other) for _, other in same)  # else it is in an update's way
        if is_expected and same and is_a_choice and not is_sick and not is_to_leave:
            self._has_a_proven_successor(effect, same)

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
        return job is None or job.type is JobType.SYSTEM or job.priority > above.priority - GAP

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


def containers(observation: Observation) -> Sequence[Container]:
    """What was seen; nothing where nobody answered."""
    return observation.containers if isinstance(observation, Seen) else ()
