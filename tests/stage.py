"""A stage for the service: simulated machines in real time, which may hang and tell what happens."""

import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Any

import pytest

from cube.errors import CubeError
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
from cube.model.task import State
from cube.simulator.machine import Machine
from cube.store.store import Store, open_store
from tests.build import node

NAMES = ("node1", "node2", "node3")
PATIENCE = 20.0

TASK = "266592cd-960d-4091-981c-8c25c44b1018"
BOOK_EVENT: dict[str, Any] = {
    "ID": TASK, "State": 2, "Timestamp": "2026-11-21T10:00:00Z",
    "Task": {
        "ID": TASK, "Name": "test-chapter-9.1", "State": 1, "Image": "app:1", "Cpu": 0.1,
        "Memory": 33554432, "Disk": 0, "ExposedPorts": {"7777/tcp": {}},
        "PortBindings": {"7777/tcp": "7777"}, "RestartPolicy": "always", "HealthCheck": "/health",
    },
}  # fmt: skip
"""What a client of the book sends."""


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


@contextmanager
def staged() -> Iterator[Stage]:
    """A service under way over three simulated machines; at its end it must have warned of nothing."""
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


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port
