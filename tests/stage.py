"""A stage for the service: simulated machines in real time, which may hang and tell what happens."""

import gzip
import socket
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest

from cube.errors import CubeError, UnreachableError
from cube.image.own import OwnEngine
from cube.image.shelf import Cargo, Shelf
from cube.manager.clock import WallClock
from cube.manager.crew import Crew
from cube.manager.loans import Lent, Loans
from cube.manager.manager import Manager
from cube.manager.office import Office
from cube.manager.seams import Packer
from cube.manager.service import Duty, Service
from cube.manager.staff import Team
from cube.manager.turn import Run
from cube.model.action import Effect, Fetch, Outcome, Push, Verdict
from cube.model.node import Cluster
from cube.model.observation import Observation
from cube.model.task import State
from cube.model.transit import Told, Transit
from cube.model.volume import StoredVolume
from cube.simulator.machine import Machine
from cube.store.address import StatePlace
from cube.store.store import Store, open_store
from cube.vault.vault import Vault
from cube.worker import delivery
from cube.worker.delivery import Delivered
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
class Kept:
    """The volumes of a simulated machine: what is in each, by name."""

    node: str
    content: dict[str, bytes] = field(default_factory=dict)
    half: set[str] = field(default_factory=set)

    def all(self) -> tuple[StoredVolume, ...]:
        return tuple(
            StoredVolume(node=self.node, name=name, cluster="sim", size=len(found), is_half=name in self.half)
            for name, found in sorted(self.content.items())
        )

    def remove(self, name: str) -> None:
        del self.content[name]

    @contextmanager
    def read(self, name: str) -> Iterator[Iterator[bytes]]:
        yield iter((self.content[name],))

    def renew(self, name: str) -> None:
        self.content[name] = b""
        self.half.discard(name)

    def is_empty(self, name: str) -> bool:
        return not self.content[name]

    @contextmanager
    def filled(self, name: str, pieces: Iterator[bytes], size: int | None) -> Iterator[None]:
        self.content[name] = b""
        self.half.add(name)
        sent = b"".join(pieces)
        assert size in (None, len(sent))
        self.content[name] = gzip.decompress(sent) if sent.startswith(b"\x1f\x8b") else sent
        yield
        self.half.discard(name)

    def packing(self, name: str) -> AbstractContextManager[Packer]:
        raise CubeError(f"there is no tar here for {name}", where=self.node)

    unpacking = packing


@dataclass
class Attended:
    """A simulated machine that tells what happens to it, and may hang; what it fetches, `comes`."""

    machine: Machine
    told: SimpleQueue[str] = field(default_factory=SimpleQueue)
    goes: threading.Event = field(default_factory=threading.Event)
    comes: threading.Event = field(default_factory=threading.Event)
    alone: threading.Lock = field(default_factory=threading.Lock)
    looks: int = 0
    connections: int = 1
    programs: list["Program"] = field(default_factory=list)
    logged: list["Log"] = field(default_factory=list)
    is_silent: bool = False
    removed: list[str] = field(default_factory=list)
    images: list[str] = field(default_factory=list)
    volumes: Kept = field(init=False)
    shelf: Shelf | None = None

    def __post_init__(self) -> None:
        self.volumes = Kept(self.machine.name)

    def push(self, cargo: Cargo, told: Callable[[int, int], None]) -> Delivered:
        if cargo.recipe.name in self.images:
            return Delivered(sent=0, layers=0, seconds=0.0, is_new=False)
        pack = cargo.pack()
        size = pack.parcel(0).size
        told(size, size)
        self.images.append(pack.name)
        return Delivered(sent=size, layers=len(pack.layers), seconds=0.0)

    def remove_image(self, name: str) -> None:
        self.removed.append(name)

    def close(self) -> None:
        """Nothing is open."""

    def observe(self, now: float) -> Observation:
        self.looks += 1
        self.goes.wait(PATIENCE)
        with self.alone:
            return self.machine.observe(now)

    def perform(self, effect: Effect, told: Told) -> Outcome:
        self.goes.wait(PATIENCE)
        if isinstance(effect, Fetch):
            told(Transit(node=effect.node, image=effect.image, job=effect.job, layers=1))
            self.comes.wait(PATIENCE)
        if isinstance(effect, Push):
            outcome = delivery.perform(effect, self.shelf, self.push, told)
            if outcome.verdict is not Verdict.OK:
                return outcome
        with self.alone:
            return self.machine.perform(effect, WallClock().now())

    def digest(self, _image: str) -> str:
        return ""

    def happenings(self) -> Iterator[str]:
        yield "listening"
        while (what := self.told.get()) != "end":
            yield what

    def logs(self, container: str, *, follow: bool = False, **_how: object) -> "Log":
        line = f"2026-11-21T00:00:00Z hello from {container}".encode()
        self.logged.append(Log(line, goes_on=follow and self.is_silent))
        return self.logged[-1]

    def execute(
        self, container: str, argv: Sequence[str], *, tty: bool = False, has_input: bool = False
    ) -> "Program":
        del container, tty, has_input
        return Program(self, argv)


@dataclass
class Log:
    """What a simulated container writes: one line, and where it goes on nothing more until it is left."""

    line: bytes
    goes_on: bool
    is_left: threading.Event = field(default_factory=threading.Event)

    def __iter__(self) -> Iterator[tuple[str, bytes]]:
        yield "stdout", self.line
        if self.goes_on:
            self.is_left.wait()
            raise UnreachableError("the connection to the log was lost")

    def close(self) -> None:
        self.is_left.set()


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
    among: Sequence[str] = NAMES,
    state: StatePlace = ":memory:",
    every: float = 0.5,
    machines: Mapping[str, Attended] | None = None,
    vault: Vault | None = None,
) -> Iterator[Stage]:
    """A service under way over simulated machines; at its end it must have warned of nothing."""
    store = open_store(state)
    names = list(among)
    machines = machines or {
        name: Attended(Machine(name=name, cluster="sim", owner=store.owner)) for name in among
    }
    for machine in machines.values():
        machine.goes.set()
        machine.comes.set()

    def find() -> Office:
        cluster = Cluster(name="sim", nodes=tuple(node(name) for name in names))
        return Office(cluster=cluster, state=":memory:", keys=Path(), vault=vault or Vault())

    loans = Loans()

    @contextmanager
    def gather(office: Office, _epoch: int) -> Iterator[Team]:
        workers = {found.name: machines[found.name] for found in office.cluster.nodes}
        with Shelf(Lent(loans, OwnEngine("/nowhere"))) as shelf:
            for worker in workers.values():
                worker.shelf = shelf
            yield Team(workers, Crew(workers, WallClock(), partial(loans.stock, dict)))

    warnings: list[CubeError] = []
    service = Service(store, find, gather, Duty(every=every, actor="service", warn=warnings.append), loans)
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
