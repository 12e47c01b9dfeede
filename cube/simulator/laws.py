"""What must hold, checked from outside: on the machines themselves, and on what people asked for.

Nothing here asks the product what it thinks: the numbers are those of RELIABILITY.md, section 8.5.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from cube.model.job import Group, Job, JobType, TaskSpec
from cube.model.observation import Container, ContainerState, Observation, Seen
from cube.model.policy import Condition, Order
from cube.model.task import Slot, State, Task
from cube.simulator.machine import Machine
from cube.store.store import Store

FOREIGN = "postgres"

GAP = 10
"""By how much a job must matter less for its tasks to give way."""

ROUNDING = 0.01
"""Seconds by which a duration that was measured may fall short of the one that was asked for."""

Place = tuple[str, str, int | str]
"""A job, a group, and an index; or, of a system group, a node."""

Homes = Mapping[Slot, str]
"""The nodes that keep what slots' tasks have written: these go nowhere else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """A fleet in which nothing is left to do: the machines that answer, what is wanted, and what is recorded.

    `homes`: of slots, the nodes that keep their data. `kept` are the places whose tasks are on silent nodes,
    and are to have no second one; `held` the jobs of which a person has to say how they go on.
    """

    machines: Mapping[str, Machine]
    wanted: Mapping[str, Job]
    tasks: Sequence[Task]
    homes: Homes
    kept: Collection[Place] = field(default=())
    held: Collection[str] = field(default=())

    @property
    def waiting(self) -> list[Task]:
        """The tasks that have no place."""
        return [task for task in self.tasks if task.state is State.PENDING]


class BrokenLawError(AssertionError):
    """An invariant does not hold; the message says which, and where."""


def must(law: bool, text: str) -> None:  # noqa: FBT001 - it is the law's truth, not a switch
    """Raises BrokenLawError."""
    if not law:
        raise BrokenLawError(text)


def runs(container: Container) -> bool:
    """Its process lives, and it is not in quarantine."""
    return container.state is ContainerState.RUNNING and not container.is_cut_off


def containers(observation: Observation) -> Sequence[Container]:
    """What was seen; nothing where nobody answered."""
    return observation.containers if isinstance(observation, Seen) else ()


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
    serving = [(machine, found) for machine, found in ours(machines) if not found.is_cut_off]
    held = Counter((machine.name, found.identity.task) for machine, found in serving if found.identity)
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
        ports = (port for task in mine for port in task.ports.values())
        too_much = over_promised(machines[name], [task.spec for task in mine], ports)
        must(not too_much, too_much)


def over_promised(machine: Machine, specs: Collection[TaskSpec], ports: Iterable[int]) -> str:
    """What tasks of these specs, with these host ports, hold beyond what the machine has; empty: nothing."""
    cpu = sum(spec.resources.cpu for spec in specs)
    memory = sum(spec.resources.memory for spec in specs)
    if cpu > machine.cpus * 1000 or memory > machine.memory:
        return f"P13 never over-committed: {cpu}m of cpu, {memory} bytes on {machine.name}"
    owners = Counter(ports)
    if max(owners.values(), default=1) > 1:
        return f"P13 one owner per port on {machine.name}: {owners}"
    return ""


def the_record_adds_up(store: Store) -> None:
    """P11, 10, 11, 21: transitions, events without gaps, each task as its events say, a whole file."""
    problems = store.check()
    must(not problems, f"P11 events are true: {problems}")


def what_waits_fits_nowhere(fleet: Settled) -> None:
    """12, 14: a slot without a task has none because there is no room, not because it was forgotten."""
    for waiting in (task for task in fleet.waiting if _may_go_anywhere(task.slot, fleet)):
        fit = _at_home(fleet, waiting.slot)
        free = [machine.name for machine in fit if has_room(machine, waiting.spec, fleet.tasks)]
        must(not free, f"14 converges: {waiting.slot} waits, and fits on {free}")


def no_move_is_left(machines: Mapping[str, Machine], tasks: Sequence[Task], moves: Iterable[Slot]) -> None:
    """14: what was to move has moved, or stays; but nobody ends what is on a machine that is away."""
    for slot in moves:
        nodes = [task.node for task in tasks if task.slot == slot and not task.state.is_terminal]
        must(not set(nodes) <= set(machines), f"14 converges: {slot} is still to move, and is on {nodes}")


def what_waits_has_nothing_lesser_in_its_way(fleet: Settled) -> None:
    """Where tasks may have to give way: what waits would not fit if all went that matter less by far."""
    for waiting in (task for task in fleet.waiting if _may_go_anywhere(task.slot, fleet)):
        above = fleet.wanted[waiting.slot.job].priority
        staying = [task for task in fleet.tasks if not gives_way(task, above, fleet.wanted)]
        fit = _at_home(fleet, waiting.slot)
        free = [machine.name for machine in fit if has_room(machine, waiting.spec, staying)]
        must(not free, f"preemption: {waiting.slot} waits, and what matters less is on {free}")


def _at_home(fleet: Settled, slot: Slot) -> list[Machine]:
    return [machine for name, machine in fleet.machines.items() if fleet.homes.get(slot) in (None, name)]


def gives_way(task: Task, above: int, wanted: Mapping[str, Job]) -> bool:
    """It matters less by far than what has that priority."""
    job = wanted.get(parent_of(task.slot.job))
    is_lesser = job is not None and not is_of_nodes(job, task.slot.group) and job.priority + GAP <= above
    return is_lesser and task.quarantined_until is None


def _may_go_anywhere(slot: Slot, fleet: Settled) -> bool:
    """It waits for no certain node, and for no other group."""
    job = fleet.wanted.get(slot.job)
    group = job.group(slot.group) if job else None
    if job is None or group is None or is_of_nodes(job, group.name):
        return False
    return not waits_for_others(job, group, fleet)


def waits_for_others(job: Job, group: Group, fleet: Settled) -> bool:
    """One of them is not as this one needs it: healthy, or completed."""
    up = Counter(
        slot_of(found).group
        for machine, found in ours(fleet.machines)
        if runs(found)
        and slot_of(found).job == job.name
        and machine.specs[found.id] == spec_of(job, slot_of(found).group)
    )
    done = Counter(
        task.slot.group
        for task in fleet.tasks
        if task.slot.job == job.name
        and (task.state, task.exit_code) == (State.COMPLETED, 0)
        and as_written(task.spec) == spec_of(job, task.slot.group)
    )
    there = {Condition.HEALTHY: up, Condition.COMPLETED: done}
    needed = ((job.group(name), condition) for name, condition in group.depends_on.items())
    return any(
        there[condition][other.name] < _size(job, other, fleet) for other, condition in needed if other
    )


def _size(job: Job, group: Group, fleet: Settled) -> int:
    """How many tasks the group is to have; of a system group one on each node, dead ones with a task too."""
    if not is_of_nodes(job, group.name):
        return group.count
    mine = (task for task in fleet.tasks if task.slot.group_key == (job.name, group.name))
    return len(
        {*fleet.machines, *(task.node for task in mine if task.node and task.state is not State.COMPLETED)}
    )


def as_written(spec: TaskSpec) -> TaskSpec:
    """The spec before it was settled which image its name means."""
    return replace(spec, pinned="")


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


def nothing_is_remembered(store: Store, nodes: Collection[str]) -> None:
    """24: once every job was removed and every node answers, only the past is left in the record.

    And what was said of a node that has another name now, and had no task by which to know it again.
    """
    tasks = [task.id for task in (*store.current_tasks(), *store.former_tasks())]
    of_jobs = [*(job.name for job in store.jobs()), *store.rollouts(), *store.maintenances(), *store.moves()]
    closed = [name for name in store.cordons() if name in nodes]
    left = [*tasks, *map(str, of_jobs), *closed, *store.silences()]
    must(not left, f"24 {left} left in the record")


def is_as_wanted(fleet: Settled) -> None:
    """P4, P6, 1, 3: exactly the tasks that were asked for, of the spec that was asked for, and nothing else.

    Where there is no room for a new version, the old one serves on: P19.
    """
    machines, wanted = fleet.machines, fleet.wanted
    expected = {
        place for job in wanted.values() if job.name not in fleet.held for place in places_of(job, machines)
    }
    running = {place_of(found, machine, wanted) for machine, found in ours(machines) if runs(found)}
    _none_runs_twice(fleet)
    _is_waited_for(expected - running - set(fleet.kept), fleet)
    for machine, found in ours(machines):
        if found.is_cut_off:
            continue  # It is kept for its time, however long that is.
        if is_work(found, wanted):
            continue  # It begins and ends by itself.
        if slot_of(found).job in fleet.held:
            continue
        what = f"{found.name} on {machine.name}"
        must(place_of(found, machine, wanted) in expected, f"P6 no orphan: {what}")
        must(runs(found), f"P6 no orphan: {what} is {found.state}")
        _is_of_the_version(machine, found, fleet)


def _none_runs_twice(fleet: Settled) -> None:
    """P4: one container fills a place; one of each version where a person has to say how its job goes on."""
    filled: Counter[tuple[Place, int | None]] = Counter()
    for machine, found in ours(fleet.machines):
        if not runs(found) or found.identity is None:
            continue
        version = found.identity.version if slot_of(found).job in fleet.held else None
        filled[place_of(found, machine, fleet.wanted), version] += 1
    twice = [str(place) for (place, _version), count in filled.items() if count > 1]
    must(not twice, f"P4 at most one: {twice} run twice")


def work_is_done(machines: Mapping[str, Machine], tasks: Iterable[Task]) -> None:
    """P12: a task that is said to have ended well has."""
    for task in tasks:
        machine = machines.get(task.node or "")
        if machine is not None and task.state is State.COMPLETED and task.exit_code == 0:
            must(0 in machine.exits.get(task.id, []), f"P12 {task.slot} is said to have ended well")


def is_work(container: Container, wanted: Mapping[str, Job]) -> bool:
    """Of a job, or a run of one, that is wanted and ends by itself, or of a group that does."""
    slot = slot_of(container)
    job = wanted.get(parent_of(slot.job))
    return job is not None and not job.stopped and not stays(job, slot.group)


def stays(job: Job, group: str) -> bool:
    """The group's tasks are to run until somebody ends them."""
    return _kind_of(job, group) in (JobType.SERVICE, JobType.SYSTEM)


def is_of_nodes(job: Job, group: str) -> bool:
    """Each node is to have one task of the group."""
    return _kind_of(job, group) is JobType.SYSTEM


def _kind_of(job: Job, group: str) -> JobType:
    found = job.group(group)
    return job.type_of(found) if found else job.type


def parent_of(job: str) -> str:
    """A run is called after its job."""
    return job.partition(".")[0]


def _is_waited_for(missing: Collection[Place], fleet: Settled) -> None:
    """Each slot has a task of its own that waits; of a system group as many wait as nodes have none.

    Those nodes have no room for it, unless it waits for other groups.
    """
    slots = {(task.slot.job, task.slot.group, task.slot.index) for task in fleet.waiting}
    lost = sorted(str(place) for place in missing if isinstance(place[2], int) and place not in slots)
    must(not lost, f"14 converges: {lost} do not run, and do not wait")
    waiting = Counter(task.slot.group_key for task in fleet.waiting)
    without = [(job, group, node) for job, group, node in missing if isinstance(node, str)]
    for (name, key), count in sorted(Counter((job, group) for job, group, _node in without).items()):
        waits = waiting[(name, key)]
        must(count <= waits, f"14 converges: {count} nodes have no {name}/{key}, and {waits} wait")
    for name, key, node in sorted(without):
        job = fleet.wanted[name]
        group = job.group(key)
        assert group is not None, "its place is one of the job's"
        is_due = not waits_for_others(job, group, fleet)
        has_none = is_due and has_room(fleet.machines[node], group.spec, fleet.tasks)
        must(not has_none, f"14 converges: {node} has no {name}/{key}, and room for it")


def _is_of_the_version(machine: Machine, found: Container, fleet: Settled) -> None:
    job = fleet.wanted[slot_of(found).job]
    group = job.group(slot_of(found).group)
    assert group is not None, "the group is one of the job's: the container fills a place of it"
    assert found.identity is not None, "it is Cube's"
    is_current = machine.specs[found.id] == group.spec
    if is_current and not found.drift:
        return
    if not is_current and waits_for_others(job, group, fleet):
        return  # What it waits for has no room while it serves.
    old = "" if group.update.order is Order.START_FIRST else found.identity.task
    is_bound = is_of_nodes(job, group.name) or slot_of(found) in fleet.homes
    where = [machine] if is_bound else fleet.machines.values()
    free = [other.name for other in where if has_room(other, group.spec, fleet.tasks, instead_of=old)]
    what = f"is left changed by hand: {found.drift}" if is_current else "is of an old version"
    must(not free, f"14 converges: {found.name} {what}, and its successor fits on {free}")


def places_of(job: Job, machines: Mapping[str, Machine]) -> Iterator[Place]:
    """Where the job wants a task, were there room for all of them: a slot, or of a system group a node."""
    for group in () if job.stopped else job.groups:
        if job.type_of(group) is JobType.SYSTEM:
            yield from ((job.name, group.name, name) for name in machines)
        elif job.type_of(group) is JobType.SERVICE:
            yield from ((job.name, group.name, index) for index in range(group.count))


def place_of(container: Container, machine: Machine, wanted: Mapping[str, Job]) -> Place:
    """Which of these places the container fills."""
    slot, job = slot_of(container), wanted.get(slot_of(container).job)
    has_a_node = job is not None and is_of_nodes(job, slot.group)
    return slot.job, slot.group, machine.name if has_a_node else slot.index


def spec_of(job: Job, group: str) -> TaskSpec | None:
    """What is wanted in the group's containers."""
    found = job.group(group)
    return found.spec if found else None
