"""The service: the loop without end, over simulated machines in real time."""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from queue import SimpleQueue

import pytest

from cube.errors import CubeError, UnreachableError
from cube.manager.clock import WallClock
from cube.manager.crew import Crew
from cube.manager.manager import Manager
from cube.manager.office import Office
from cube.manager.service import Duty, Service
from cube.manager.staff import Team
from cube.manager.turn import Run
from cube.model.action import Effect, Outcome
from cube.model.node import Cluster
from cube.model.observation import Observation
from cube.model.policy import RestartPolicy
from cube.model.task import State
from cube.simulator.machine import Machine
from cube.store.store import Store, open_store
from tests.build import job, node

NAMES = ("node1", "node2", "node3")
PATIENCE = 20.0


@dataclass
class Attended:
    """A simulated machine that tells what happens to it, and may hang."""

    machine: Machine
    told: SimpleQueue[str] = field(default_factory=SimpleQueue)
    goes: threading.Event = field(default_factory=threading.Event)
    looks: int = 0

    def observe(self, now: float) -> Observation:
        self.looks += 1
        self.goes.wait(PATIENCE)
        return self.machine.observe(now)

    def perform(self, effect: Effect) -> Outcome:
        self.goes.wait(PATIENCE)
        return self.machine.perform(effect, WallClock().now())

    def happenings(self) -> Iterator[str]:
        yield "listening"
        while (what := self.told.get()) != "end":
            yield what

    def logs(self, container: str, **_how: object) -> Iterator[tuple[str, bytes]]:
        yield "stdout", f"2026-11-21T00:00:00Z hello from {container}".encode()


@dataclass
class Stage:
    service: Service
    manager: Manager
    store: Store
    machines: Mapping[str, Attended]
    warnings: list[CubeError]
    names: list[str]

    def until(self, holds: Callable[[], object]) -> None:
        """Each event of the store may make it true."""
        pause = threading.Event()
        for _ in range(int(PATIENCE * 100)):
            if holds():
                return
            pause.wait(0.01)
        pytest.fail("it never came to hold")

    def running(self) -> dict[str, str | None]:
        return {str(t.slot): t.node for t in self.store.current_tasks() if t.state is State.RUNNING}


def run(seconds: float = PATIENCE, actor: str = "ann") -> Run:
    return Run(until=WallClock().now() + seconds, actor=actor)


@pytest.fixture
def stage() -> Iterator[Stage]:
    store = open_store(":memory:")
    names = list(NAMES)
    machines = {name: Attended(Machine(name=name, cluster="sim", owner=store.owner)) for name in NAMES}
    for machine in machines.values():
        machine.goes.set()

    def find() -> Office:
        cluster = Cluster(name="sim", nodes=tuple(node(name) for name in names))
        return Office(cluster=cluster, state=":memory:", keys=None)  # type: ignore[arg-type]

    @contextmanager
    def gather(office: Office, _epoch: int) -> Iterator[Team]:
        workers = {found.name: machines[found.name] for found in office.cluster.nodes}
        yield Team(workers, Crew(workers, WallClock()))

    warnings: list[CubeError] = []
    service = Service(store, find, gather, Duty(every=0.5, actor="service", warn=warnings.append))
    turning = threading.Thread(target=service.run)
    turning.start()
    yield Stage(service, Manager(service), store, machines, warnings, names)
    for machine in machines.values():
        machine.goes.set()
        machine.told.put("end")
    service.stop()
    turning.join(PATIENCE)
    assert not turning.is_alive()
    assert warnings == []
    store.close()


def test_a_deploy_through_the_service_settles_and_a_second_one_changes_nothing_p10_p12(stage: Stage) -> None:
    report = stage.manager.deploy(job(count=3), run())
    assert (report.exit_code, report.changed) == (0, 3)
    assert stage.manager.deploy(job(count=3), run()).done == ()


def test_what_the_engine_tells_is_acted_upon_without_waiting_for_the_next_look(stage: Stage) -> None:
    stage.manager.deploy(job(count=1, restart=RestartPolicy(delay=0.01)), run())
    (task,) = stage.store.current_tasks()
    machine = stage.machines[str(task.node)]
    machine.machine.end(str(task.container), 1)
    machine.told.put("die")
    stage.until(lambda: stage.store.current_tasks()[0].restarts == 1)


def test_a_node_that_hangs_delays_no_other_p1_p2(stage: Stage) -> None:
    """A look and an effect that do not end are waited for on their own node alone."""
    stage.manager.deploy(job(count=3, restart=RestartPolicy(delay=0.01)), run())
    sick, well = (str(task.node) for task in stage.store.current_tasks()[:2])
    stage.machines[sick].goes.clear()
    for name in (sick, well):
        (container,) = (task.container for task in stage.store.current_tasks() if task.node == name)
        stage.machines[name].machine.end(str(container), 1)
        stage.machines[name].told.put("die")

    def restarts() -> dict[str | None, int]:
        return {task.node: task.restarts for task in stage.store.current_tasks()}

    stage.until(lambda: restarts()[well] == 1)
    assert restarts()[sick] == 0
    stage.machines[sick].goes.set()
    stage.until(lambda: restarts()[sick] == 1)


def test_two_who_ask_at_once_are_each_told_of_their_own(stage: Stage) -> None:
    found = {}

    def deploy(name: str) -> None:
        found[name] = stage.manager.deploy(job(name, count=2), run(actor=name))

    asking = [threading.Thread(target=deploy, args=(name,)) for name in ("left", "right")]
    for one in asking:
        one.start()
    for one in asking:
        one.join(PATIENCE)
    assert {name: (report.job, report.changed, report.exit_code) for name, report in found.items()} == {
        "left": ("left", 2, 0),
        "right": ("right", 2, 0),
    }
    actors = {(event.slot.job, event.actor) for event in stage.store.events() if event.slot.job}
    assert actors == {("left", "left"), ("right", "right")}


def test_a_node_that_the_inventory_has_lost_is_looked_at_no_more_and_a_new_one_is(stage: Stage) -> None:
    stage.manager.deploy(job(count=3), run())
    stage.names.remove("node3")
    stage.until(lambda: len(stage.service.cluster.nodes) == 2)
    report = stage.manager.scale("web", {"main": 4}, run())
    assert {task.node for task in report.out_of_sight} == {"node3"}
    stage.names.append("node3")
    stage.until(lambda: stage.manager.scale("web", {"main": 4}, run()).exit_code == 0)


def test_who_waits_when_the_service_ends_is_told_so_p9(stage: Stage) -> None:
    told: list[CubeError] = []

    def deploy() -> None:
        try:
            with stage.service.holding.held(wait=0):
                stage.manager.deploy(job(count=1), run())
        except UnreachableError as error:
            told.append(error)

    stage.service.look()
    for machine in stage.machines.values():
        machine.goes.clear()
    asking = threading.Thread(target=deploy)
    asking.start()
    stage.until(lambda: [task for task in stage.store.current_tasks() if task.state is State.SCHEDULED])
    stage.service.stop()
    for machine in stage.machines.values():
        machine.goes.set()
    asking.join(PATIENCE)
    assert [error.what for error in told] == ["the manager ends"]
    assert [task.state for task in stage.store.current_tasks()] == [State.RUNNING], "the effect in hand ended"
