"""What must hold, checked from outside: on the machines themselves, and on what people asked for.

Nothing here asks the product what it thinks: the numbers are those of RELIABILITY.md, section 8.5.
"""

import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from pathlib import Path

from cube.model.action import Effect, Outcome, Start, Stop, Verdict
from cube.model.job import Job, JobType, TaskSpec
from cube.model.observation import Container, ContainerState, Observation, Seen
from cube.model.task import Slot, State, Task
from cube.simulator.machine import QUARANTINED, Machine
from cube.store.store import Store

FOREIGN = "postgres"


Reading = sqlite3.Connection
"""The checker's own look at the record: what the store says of itself is what is checked."""

Place = tuple[str, str, int | str]
"""A job, a group, and an index; or, of a system job, a node."""


class BrokenLawError(AssertionError):
    """An invariant does not hold; the message says which, and where."""


def read(path: Path) -> Reading:
    """A connection that only reads."""
    return sqlite3.connect(f"file:{path}?mode=ro", uri=True, isolation_level=None)


def must(law: bool, text: str) -> None:  # noqa: FBT001 - it is the law's truth, not a switch
    """Raises BrokenLawError."""
    if not law:
        raise BrokenLawError(text)


def runs(container: Container) -> bool:
    """Its process lives, and it is not in quarantine."""
    return container.state is ContainerState.RUNNING and not container.name.endswith(QUARANTINED)


def ours(machines: Mapping[str, Machine]) -> Iterator[tuple[Machine, Container]]:
    """Every container of Cube's, on whatever machine."""
    for machine in machines.values():
        for container in list(machine.containers.values()):
            if container.identity is not None:
                yield machine, container


def slot_of(container: Container) -> Slot:
    """Which slot it fills."""
    assert container.identity is not None
    return container.identity.slot


def one_container_of_a_task_on_a_node(machines: Mapping[str, Machine]) -> None:
    """P4, 1: a container's name is its task's, so that it cannot be made twice."""
    held = Counter((machine.name, found.identity.task) for machine, found in ours(machines) if found.identity)
    twice = [key for key, count in held.items() if count > 1]
    must(not twice, f"P4 at most one: two containers of one task: {twice}")


def foreign_is_untouched(machines: Mapping[str, Machine]) -> None:
    """P5, 4: what is not Cube's is as it was."""
    for machine in machines.values():
        foreign = [found.name for found in machine.containers.values() if found.identity is None]
        must(foreign == [FOREIGN], f"P5 hands off: foreign on {machine.name} is now {foreign}")


def nothing_is_promised_twice(machines: Mapping[str, Machine], tasks: Iterable[Task]) -> None:
    """P13, 5: what is recorded on a node fits into it, and each host port has one owner."""
    held: dict[str, list[Task]] = {}
    for task in tasks:
        if task.node is not None and not task.state.is_terminal:
            held.setdefault(task.node, []).append(task)
    for name, mine in held.items():
        if name not in machines:
            continue
        cpu = sum(task.spec.resources.cpu for task in mine)
        memory = sum(task.spec.resources.memory for task in mine)
        must(cpu <= machines[name].cpus * 1000, f"P13 never over-committed: {cpu}m of cpu on {name}")
        must(memory <= machines[name].memory, f"P13 never over-committed: {memory} bytes on {name}")
        ports = Counter(port for task in mine for port in task.ports.values())
        must(max(ports.values(), default=1) == 1, f"P13 one owner per port on {name}: {ports}")


def the_record_adds_up(store: Store) -> None:
    """P11, 10, 11, 21: transitions, events without gaps, each task as its events say, a whole file."""
    problems = store.check()
    must(not problems, f"P11 events are true: {problems}")


def what_waits_fits_nowhere(
    machines: Mapping[str, Machine], tasks: Sequence[Task], wanted: Mapping[str, Job]
) -> None:
    """12, 14: a slot without a task has none because there is no room, not because it was forgotten."""
    anywhere = {job.name for job in wanted.values() if job.type is not JobType.SYSTEM}
    for waiting in (task for task in tasks if task.state is State.PENDING and task.slot.job in anywhere):
        free = [machine.name for machine in machines.values() if has_room(machine, waiting.spec, tasks)]
        must(not free, f"14 converges: {waiting.slot} waits, and fits on {free}")


def has_room(machine: Machine, spec: TaskSpec, tasks: Sequence[Task], *, instead_of: str = "") -> bool:
    """A task of that spec fits on the machine, once the task `instead_of` has gone."""
    held = [task for task in tasks if task.node == machine.name and task.state is not State.COMPLETED]
    mine = [task for task in held if task.id != instead_of]
    cpu = machine.cpus * 1000 - sum(task.spec.resources.cpu for task in mine)
    memory = machine.memory - sum(task.spec.resources.memory for task in mine)
    taken = {port for task in mine for port in task.ports.values()}
    fixed = {port.host for port in spec.ports}
    return spec.resources.cpu <= cpu and spec.resources.memory <= memory and not fixed & taken


def nothing_is_left(machines: Mapping[str, Machine]) -> None:
    """P20, 13: after the last stop."""
    left = [container.name for _, container in ours(machines)]
    must(not left, f"P20 clean stop: {left} left behind")


def is_as_wanted(machines: Mapping[str, Machine], wanted: Mapping[str, Job], tasks: Sequence[Task]) -> None:
    """P4, P6, 1, 3: exactly the tasks that were asked for, of the spec that was asked for, and nothing else.

    Where there is no room for a new version, the old one serves on: P19.
    """
    waiting = [str(task.slot) for task in tasks if task.state is State.PENDING]
    running = Counter(place_of(found, machine, wanted) for machine, found in ours(machines) if runs(found))
    expected = {place for job in wanted.values() for place in places_of(job, machines)}
    twice = [str(place) for place, count in running.items() if count > 1]
    must(not twice, f"P4 at most one: {twice} run twice")
    missing = sorted(map(str, expected - set(running)))
    must(len(missing) <= len(waiting), f"14 converges: {missing} do not run, {waiting} wait")
    for machine, found in ours(machines):
        if found.name.endswith(QUARANTINED):
            continue  # It is kept for its time, however long that is.
        what = f"{found.name} on {machine.name}"
        must(place_of(found, machine, wanted) in expected, f"P6 no orphan: {what}")
        must(runs(found), f"P6 no orphan: {what} is {found.state}")
        _is_of_the_version(machine, found, machines, wanted[slot_of(found).job], tasks)


def _is_of_the_version(
    machine: Machine, found: Container, machines: Mapping[str, Machine], job: Job, tasks: Sequence[Task]
) -> None:
    spec = spec_of(job, slot_of(found).group)
    assert spec is not None, "the group is one of the job's: the container fills a place of it"
    assert found.identity is not None, "it is Cube's"
    if machine.specs[found.id] == spec:
        must(not found.drift, f"14 converges: {found.name} is left changed by hand: {found.drift}")
        return
    where = [machine] if job.type is JobType.SYSTEM else list(machines.values())
    free = [other.name for other in where if has_room(other, spec, tasks, instead_of=found.identity.task)]
    must(not free, f"14 converges: {found.name} is of an old version, and the new one fits on {free}")


def places_of(job: Job, machines: Mapping[str, Machine]) -> Iterator[Place]:
    """Where the job wants a task, were there room for all of them: a slot, or of a system job a node."""
    for group in () if job.stopped else job.groups:
        if job.type is JobType.SYSTEM:
            yield from ((job.name, group.name, name) for name in machines)
        else:
            yield from ((job.name, group.name, index) for index in range(group.count))


def place_of(container: Container, machine: Machine, wanted: Mapping[str, Job]) -> Place:
    """Which of these places the container fills."""
    slot, job = slot_of(container), wanted.get(slot_of(container).job)
    is_system = job is not None and job.type is JobType.SYSTEM
    return slot.job, slot.group, machine.name if is_system else slot.index


def spec_of(job: Job, group: str) -> TaskSpec | None:
    """What is wanted in the group's containers."""
    found = job.group(group)
    return found.spec if found else None


def _containers(observation: Observation) -> Sequence[Container]:
    return observation.containers if isinstance(observation, Seen) else ()


@dataclass(slots=True, kw_only=True)
class Watch:
    """The laws about single effects of one command: what it may do, given what it has seen.

    `wanted` is what people asked for, `doubtful` the jobs of which that is not known now, `drained` the nodes
    that they want empty.
    """

    machines: Mapping[str, Machine]
    wanted: Mapping[str, Job]
    doubtful: AbstractSet[str]
    drained: frozenset[str]
    database: Reading
    seen: dict[str, Observation] = field(default_factory=dict)
    unsure: set[str] = field(default_factory=set)
    epochs: dict[str, int] = field(default_factory=dict)

    def looked(self, observed: Mapping[str, Observation]) -> None:
        """What an unknown outcome left open has been looked at."""
        self.seen.update(observed)
        self.unsure -= observed.keys()

    def begins(self, effect: Effect, epoch: int) -> None:
        """Every law about an effect that is about to happen."""
        node = effect.node
        must(
            isinstance(self.seen.get(node), Seen),
            f"P3 unknown is not absent: {node} was not seen: {effect.reason}",
        )
        must(node not in self.unsure, f"P3, 9 no blind repeat on {node}: {effect.reason}")
        newest = self.machines[node].epoch if node in self.machines else 0
        must(epoch >= newest, f"18 an effect of epoch {epoch} after one of {newest} on {node}")
        self._has_an_intent(effect)
        if isinstance(effect, Start):
            self._is_no_move_while_cut_off(effect)
        elif isinstance(effect, Stop):
            self._has_a_cause(effect)

    def ended(self, effect: Effect, outcome: Outcome) -> None:
        """An outcome that is unknown leaves open what happened."""
        if outcome.verdict is Verdict.UNKNOWN:
            self.unsure.add(effect.node)

    def _has_an_intent(self, effect: Effect) -> None:
        """P9, 8: what is to happen is written down before it does."""
        if effect.task is None:
            return
        sql = "SELECT target, detail FROM events WHERE task = ? ORDER BY number DESC LIMIT 1"
        row = self.database.execute(sql, [effect.task.id]).fetchone()
        must(row is not None, f"8 intent before effect: nothing is recorded of {effect.reason}")
        is_meant = row[0] == State.SCHEDULED.value if isinstance(effect, Start) else "intent" in row[1]
        must(is_meant, f"8 intent before effect: {row} before {effect.reason}")

    def _is_no_move_while_cut_off(self, effect: Start) -> None:
        """P8, 7: while most of the fleet is silent, no task of a silent node is started elsewhere."""
        silent = {name for name, found in self.seen.items() if not isinstance(found, Seen)}
        if not (len(silent) == len(self.seen) or (len(silent) > 2 and len(silent) * 2 > len(self.seen))):
            return
        sql = """SELECT node FROM tasks WHERE job = ? AND "group" = ? AND "index" = ? AND id <> ?
            AND spec = ? AND state IN ('Running', 'Scheduled')"""
        slot, task = effect.task.slot, effect.task
        rows = self.database.execute(sql, [slot.job, slot.group, slot.index, task.id, task.spec.digest])
        moved = [row[0] for row in rows if row[0] in silent]
        must(not moved, f"P8 brakes: {slot} of silent {moved} is started on {effect.node}")

    def _has_a_cause(self, effect: Stop) -> None:
        """P7, 6: no task that serves is stopped where it is wanted, as it is wanted, alone in its slot."""
        machine = self.machines.get(effect.node)
        found = machine.containers.get(effect.container) if machine else None
        if machine is None or found is None or not runs(found) or found.drift:
            return
        if not any(known.id == found.id and runs(known) for known in _containers(self.seen[effect.node])):
            return  # It began to run after the look: a late effect, and the plan could not know.
        if slot_of(found).job in self.doubtful:
            return
        job, slot = self.wanted.get(slot_of(found).job), slot_of(found)
        expected = set(places_of(job, self.machines)) if job else set()
        place = place_of(found, machine, self.wanted)
        held = [other for where, other in ours(self.machines) if place_of(other, where, self.wanted) == place]
        others = [other for other in held if other.id != found.id]
        spec = machine.specs[found.id]
        is_sick = spec.health is not None and effect.target is State.FAILED
        is_current = job is not None and spec_of(job, slot.group) == spec and effect.node not in self.drained
        is_wanted = is_current and place in expected
        must(
            not is_wanted or is_sick or bool(others) or effect.task is None,
            f"P7 no move without cause: {found.name} on {effect.node} is stopped: {effect.reason}",
        )
