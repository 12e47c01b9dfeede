"""A stage for the service: simulated machines in real time, which may hang and tell what happens."""

import socket
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Any

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
from cube.model.task import State
from cube.simulator.machine import Machine
from cube.store.address import StatePlace
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
    alone: threading.Lock = field(default_factory=threading.Lock)
    looks: int = 0
    programs: list["Program"] = field(default_factory=list)

    def observe(self, now: float) -> Observation:
        self.looks += 1
        self.goes.wait(PATIENCE)
        with self.alone:
            return self.machine.observe(now)

    def perform(self, effect: Effect) -> Outcome:
        self.goes.wait(PATIENCE)
        with self.alone:
            return self.machine.perform(effect, WallClock().now())

    def happenings(self) -> Iterator[str]:
        yield "listening"
        while (what := self.told.get()) != "end":
            yield what

    def logs(self, container: str, **_how: object) -> Iterator[tuple[str, bytes]]:
        yield "stdout", f"2026-11-21T00:00:00Z hello from {container}".encode()

    def execute(
        self, container: str, argv: Sequence[str], *, tty: bool = False, has_input: bool = False
    ) -> "Program":
        del container, tty, has_input
        return Program(self, argv)


@dataclass
class Program:
    """A command on a simulated machine: `cat` copies its input, `false` ends with 7, others say nothing."""

    machine: Attended
    argv: Sequence[str]
    heard: SimpleQueue[bytes | None] = field(default_factory=SimpleQueue)
    sizes: list[tuple[int, int]] = field(default_factory=list)
    is_left: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.machine.programs.append(self)

    def output(self) -> Iterator[tuple[str, bytes]]:
        if self.argv[0] == "false":
            yield "stdout", b"out"
            yield "stderr", b"err"
            return
        while (data := self.heard.get()) is not None:
            if self.argv[0] == "cat":
                yield "stdout", data
        if self.is_left.is_set():
            raise UnreachableError("the connection to the command was lost")

    def send(self, data: bytes) -> None:
        self.heard.put(data)

    def end_input(self) -> None:
        self.heard.put(None)

    def resize(self, rows: int, columns: int) -> None:
        self.sizes.append((rows, columns))

    def exit_status(self) -> int:
        return 7 if self.argv[0] == "false" else 0

    def close(self) -> None:
        self.is_left.set()
        self.heard.put(None)


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
def staged(
    among: Sequence[str] = NAMES, state: StatePlace = ":memory:", every: float = 0.5
) -> Iterator[Stage]:
    """A service under way over simulated machines; at its end it must have warned of nothing."""
    store = open_store(state)
    names = list(among)
    machines = {name: Attended(Machine(name=name, cluster="sim", owner=store.owner)) for name in among}
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
    service = Service(store, find, gather, Duty(every=every, actor="service", warn=warnings.append))
    turning = threading.Thread(target=service.run)
    turning.start()
    try:
        yield Stage(service, Manager(service), store, machines, warnings, names)
    finally:
        for machine in machines.values():
            machine.goes.set()
            machine.told.put("end")
        service.stop()
        turning.join(PATIENCE)
    assert not turning.is_alive()
    assert warnings == [], warnings
    store.close()


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port
