"""One history: a fleet, its faults and what people do to it, all drawn from one seed; then the checks.

First some minutes with faults, then the faults stop and the fleet must settle. What is checked comes from
the machines themselves and from a reference of what was asked for, never from the manager's own records.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from random import Random

from cube.manager.manager import Manager
from cube.manager.turn import Run
from cube.model.job import Group, Job, Port, TaskSpec
from cube.model.node import Access, Cluster, Node
from cube.model.observation import Container, ContainerState
from cube.model.policy import RestartPolicy, UpdatePolicy
from cube.model.resources import Resources
from cube.model.task import Task
from cube.scheduler.algorithms import ALGORITHMS
from cube.simulator.clock import VirtualClock
from cube.simulator.faults import ManagerKilled, SimulatedFleet, Weather
from cube.simulator.machine import Machine
from cube.store.store import Store, open_store

CLUSTER = "sim"
STEPS = 12
SWEEPS_TO_SETTLE = 4


class BrokenLawError(AssertionError):
    """An invariant does not hold; the message says which, and where."""


@dataclass(slots=True, kw_only=True)
class History:
    """A fleet under one seed. `wanted` is the reference: what a person would say they asked for."""

    seed: int
    random: Random
    clock: VirtualClock
    fleet: SimulatedFleet
    store: Store
    cluster: Cluster
    wanted: dict[str, Job] = field(default_factory=dict)

    def manager(self) -> Manager:
        """A fresh process on the same store, as after a crash."""
        return Manager(self.cluster, self.store, self.fleet, scheduler=ALGORITHMS["spread"], clock=self.clock)

    def run(self) -> Run:
        """Two minutes at most."""
        return Run(until=self.clock.now() + 120, actor="simulator")


def play(seed: int) -> None:
    """Live through the seed's history. Raises BrokenLawError where an invariant does not hold."""
    history = begin(seed)
    try:
        for _ in range(STEPS):
            step(history)
            check_always(history)
        calm_down(history)
        check_settled(history)
        stop_everything(history)
    finally:
        history.store.close()


def begin(seed: int) -> History:
    """The fleet as the seed draws it."""
    random, clock = Random(seed), VirtualClock()
    store = open_store(":memory:")
    names = [f"node{number}" for number in range(1, random.randint(1, 6) + 1)]
    machines = {name: Machine(name=name, cluster=CLUSTER, owner=store.owner) for name in names}
    weather = Weather(effects=random.choice((0.0, 0.1, 0.3)), looks=random.choice((0.0, 0.1)))
    nodes = tuple(Node(name=name, access=Access(address=name)) for name in names)
    for machine in machines.values():
        machine.add_foreign("postgres", host_ports=(5432,))
    return History(
        seed=seed,
        random=random,
        clock=clock,
        fleet=SimulatedFleet(machines=machines, clock=clock, random=random, weather=weather),
        store=store,
        cluster=Cluster(name=CLUSTER, nodes=nodes),
    )


def step(history: History) -> None:
    """Something happens to the fleet, somebody asks for something, and the manager may be killed over it."""
    happening = history.random.choice((nothing, crash_a_task, remove_by_hand, toggle_a_node, reboot_a_node))
    happening(history)
    request = history.random.choice((deploy, deploy, scale, stop, remove, sweep, sweep))
    try:
        request(history)
    except ManagerKilled:
        history.clock.sleep(30)
    history.clock.sleep(history.random.choice((1, 30, 600)))


def nothing(_history: History) -> None:
    """A quiet minute."""


def crash_a_task(history: History) -> None:
    """A process ends by itself."""
    if running := sorted(ours(history), key=lambda found: found[1].id):
        machine, container = history.random.choice(running)
        if container.state is ContainerState.RUNNING:
            machine.end(container.id, 1)


def remove_by_hand(history: History) -> None:
    """Somebody removes one of Cube's containers."""
    if held := sorted(ours(history), key=lambda found: found[1].id):
        machine, container = history.random.choice(held)
        del machine.containers[container.id]


def toggle_a_node(history: History) -> None:
    """A node goes away, or comes back."""
    history.fleet.down ^= {history.random.choice(sorted(history.fleet.machines))}


def reboot_a_node(history: History) -> None:
    """Every process on a node ends at once."""
    history.fleet.machines[history.random.choice(sorted(history.fleet.machines))].reboot()


def deploy(history: History) -> None:
    """Somebody deploys one of three jobs, maybe changed."""
    job = draw_job(history.random)
    history.wanted[job.name] = job
    history.manager().deploy(job, history.run())


def scale(history: History) -> None:
    """Somebody scales a job."""
    if not history.wanted:
        return
    name = history.random.choice(sorted(history.wanted))
    count = history.random.randint(0, 4)
    job = history.wanted[name]
    history.wanted[name] = replace(job, groups=(replace(job.groups[0], count=count),))
    history.manager().scale(name, {job.groups[0].name: count}, history.run())


def stop(history: History) -> None:
    """Somebody stops a job."""
    if history.wanted:
        name = history.random.choice(sorted(history.wanted))
        history.wanted[name] = replace(history.wanted[name], stopped=True)
        history.manager().stop(name, history.run())


def remove(history: History) -> None:
    """Somebody removes a job; where that does not succeed, it is at least stopped."""
    if history.wanted:
        name = history.random.choice(sorted(history.wanted))
        history.wanted[name] = replace(history.wanted[name], stopped=True)
        history.manager().remove(name, history.run())
        if history.store.job(name) is None:
            del history.wanted[name]


def sweep(history: History) -> None:
    """Cron."""
    history.manager().reconcile(history.run())


def draw_job(random: Random) -> Job:
    """A service of one group, with or without a port."""
    ports = (Port(name="http", container=80, host=random.choice((None, 8080))),)
    spec = TaskSpec(
        image=random.choice(("app:1", "app:2")),
        resources=Resources(cpu=random.choice((100, 1500)), memory=64 * 2**20),
        ports=random.choice(((), ports)),
    )
    group = Group(
        name="main",
        spec=spec,
        count=random.randint(0, 5),
        restart=RestartPolicy(attempts=1000, delay=1.0),
        update=UpdatePolicy(max_parallel=random.randint(1, 3)),
    )
    return Job(name=random.choice(("web", "api", "queue")), groups=(group,))


def calm_down(history: History) -> None:
    """The faults stop, all nodes come back, and a few sweeps pass."""
    history.fleet.weather = Weather()
    history.fleet.down.clear()
    while history.fleet.late:
        history.fleet.observe((), history.clock.now())
    for _ in range(SWEEPS_TO_SETTLE):
        history.clock.sleep(60)
        sweep(history)


def stop_everything(history: History) -> None:
    """P20: after the last stop nothing of Cube's is left."""
    for name in sorted(history.wanted):
        history.manager().stop(name, history.run())
    left = [container.name for _, container in ours(history)]
    must(history, not left, f"P20 clean stop: {left} left behind")


def check_always(history: History) -> None:
    """What holds at every moment, faults or not."""
    names = Counter(
        (machine.name, container.identity.task) for machine, container in ours(history) if container.identity
    )
    must(history, max(names.values(), default=1) == 1, "P4 at most one: two containers of one task on a node")
    for machine in history.fleet.machines.values():
        foreign = [found.name for found in machine.containers.values() if found.identity is None]
        must(history, foreign == ["postgres"], f"P5 hands off: foreign on {machine.name} is now {foreign}")
    check_room(history)


def check_room(history: History) -> None:
    """P13: what is recorded on a node fits into it."""
    for name, machine in history.fleet.machines.items():
        held = held_on(history, name)
        cpu = sum(task.spec.resources.cpu for task in held)
        ports = Counter(port for task in held for port in task.ports.values())
        must(history, cpu <= machine.cpus * 1000, f"P13 never over-committed: {cpu}m of cpu on {name}")
        must(history, max(ports.values(), default=1) == 1, f"P13 one owner per port on {name}: {ports}")


def check_settled(history: History) -> None:
    """What holds once the faults have stopped."""
    expected = Counter({name: wanted_count(job) for name, job in history.wanted.items() if wanted_count(job)})
    running = Counter(found.identity.slot for _, found in ours(history) if found.identity and runs(found))
    must(history, max(running.values(), default=1) == 1, f"P4 at most one: {running}")
    waiting = Counter(
        task.slot.job for task in history.store.current_tasks() if task.state.value == "Pending"
    )
    jobs = Counter(slot.job for slot in running)
    must(history, jobs + waiting == expected, f"wanted {expected}, running {jobs}, pending {waiting}")
    for _, found in ours(history):
        assert found.identity is not None
        must(history, runs(found), f"P6 no orphan: {found.name} is {found.state}")
        wanted = history.wanted[found.identity.slot.job].groups[0].spec
        is_current = found.image == wanted.image or not would_fit(history, wanted, instead_of=found)
        must(history, is_current, f"{found.name} runs {found.image}")
    before = sum(machine.mutations for machine in history.fleet.machines.values())
    sweep(history)
    after = sum(machine.mutations for machine in history.fleet.machines.values())
    must(history, before == after, f"P10 idempotent: {after - before} calls changed a settled fleet")


def would_fit(history: History, spec: TaskSpec, *, instead_of: Container) -> bool:
    """A task of that spec would have room somewhere without the old one; else the old one serves on (P19)."""
    assert instead_of.identity is not None
    fixed = {port.host for port in spec.ports}
    for name, machine in history.fleet.machines.items():
        held = [task for task in held_on(history, name) if task.id != instead_of.identity.task]
        free = machine.cpus * 1000 - sum(task.spec.resources.cpu for task in held)
        taken = {port for task in held for port in task.ports.values()}
        if free >= spec.resources.cpu and not fixed & taken:
            return True
    return False


def held_on(history: History, node: str) -> list[Task]:
    """The tasks that are recorded to take room there."""
    return [
        task for task in history.store.current_tasks() if task.node == node and not task.state.is_terminal
    ]


def wanted_count(job: Job) -> int:
    """How many tasks the reference wants of it."""
    return 0 if job.stopped else job.groups[0].count


def runs(container: Container) -> bool:
    """Its process lives."""
    return container.state is ContainerState.RUNNING


def ours(history: History) -> Iterator[tuple[Machine, Container]]:
    """Every container of Cube's, on whatever machine."""
    for machine in history.fleet.machines.values():
        for container in list(machine.containers.values()):
            if container.identity is not None:
                yield machine, container


def must(history: History, law: bool, text: str) -> None:  # noqa: FBT001 - it is the law's truth, not a switch
    """Raises BrokenLawError, with the command that replays it."""
    if not law:
        raise BrokenLawError(
            f"seed {history.seed}: {text}\n  replay: python -m cube.simulator 1 {history.seed}"
        )
