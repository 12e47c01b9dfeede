"""One lab node with workers for it, and the small words that tests of the worker are written in."""

import io
import os
import time  # noqa: TID251 - real nodes take real time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from typing import Any

import docker

from cube.connection.dialer import Dialer
from cube.lab import lab
from cube.lab.engine import engine
from cube.lab.fleet import LabNode, LabSpec
from cube.manager.fleet import opener, trust_in
from cube.manager.tasks import converse
from cube.model.action import Outcome, Start, Stop
from cube.model.job import TaskSpec
from cube.model.node import Access, Node
from cube.model.observation import Container, Seen
from cube.model.task import Slot, State, Task
from cube.worker import sdk
from cube.worker.container import Claim
from cube.worker.terminal import Ends
from cube.worker.worker import Patience, Worker

CLAIM = Claim(cluster="worker-tests", owner="store-1", epoch=2)
SLEEP = ("sleep", "1000")


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """A lab node, its host's engine, and a way to make workers for it."""

    client: docker.DockerClient
    lab_node: LabNode
    make_worker: Callable[..., Worker]

    def run(self, *argv: str) -> bytes:
        """Run a program as root on the node, past Cube."""
        status, output = self.client.containers.get(self.lab_node.container).exec_run(list(argv))
        assert status == 0, output
        assert isinstance(output, bytes)
        return output


@contextmanager
def a_machine(folder: Path) -> Iterator[Machine]:
    """A node of its own, taken down at the end."""
    spec = LabSpec(name=f"worker-{os.getpid()}", nodes=1, inventory=folder / "lab.yml")
    with engine() as client, Dialer(trust_in(folder)) as dialer:
        try:
            up = lab.up(client, spec, cache=Path.home() / ".cache" / "cube", say=print)
            lab_node = up.nodes[0]
            access = Access(
                address=lab_node.address,
                port=lab_node.port,
                user="root",
                identity_file=str(up.key),
                host_key=lab_node.host_key,
            )
            node = Node(name=lab_node.name, access=access)

            def make_worker(claim: Claim = CLAIM, **patience: float) -> Worker:
                return Worker(node, opener(dialer, node), claim, patience=Patience(**patience))

            yield Machine(client=client, lab_node=lab_node, make_worker=make_worker)
        finally:
            lab.down(client, spec.name)


@contextmanager
def a_worker(machine: Machine) -> Iterator[Worker]:
    """A worker of the node, which is empty of containers afterwards."""
    worker = machine.make_worker()
    yield worker
    machine.run("sh", "-c", "docker ps -aq | xargs -r docker rm -fv >/dev/null")
    worker.close()


def task_of(worker: Worker, *command: str, ports: dict[str, int] | None = None, **spec: Any) -> Task:
    """A task for that worker's node."""
    return Task(
        id=token_hex(16),
        slot=Slot(job="shop", group="web", index=0),
        version=1,
        spec=TaskSpec(**{"image": "cube-busybox:1", "command": command or SLEEP, **spec}),
        state=State.SCHEDULED,
        order=1,
        created_at=1.0,
        changed_at=1.0,
        node=worker.node.name,
        ports=ports or {},
    )


def start(worker: Worker, task: Task) -> Outcome:
    """Start it, for no other reason."""
    return worker.perform(Start(task=task, reason="a test"))


def stop(worker: Worker, container: str | None, *, grace: float = 0, **more: Any) -> Outcome:
    """Stop and remove it."""
    assert container is not None
    found = {"container": container, "container_name": "c", "grace": grace, "reason": "a test"}
    return worker.perform(Stop(node=worker.node.name, **{**found, **more}))


def seen(worker: Worker) -> Seen:
    """What a look shows."""
    observation = worker.observe(time.time())
    assert isinstance(observation, Seen), observation
    return observation


def only(worker: Worker) -> Container:
    """The one container on the node."""
    (container,) = seen(worker).containers
    return container


def run_in(worker: Worker, container: str, *argv: str) -> str:
    """What a command in the container prints."""
    output = io.BytesIO()
    process = worker.execute(container, argv)
    converse(process, Ends(stdin=None, stdout=output, stderr=io.BytesIO()))
    return output.getvalue().decode()


def engine_of(worker: Worker) -> Any:
    """The node's engine, past the worker's own rules."""
    return sdk.open_client(worker.open_channel, api_version=worker.api_version(), timeout=10, stall=10)


def until(true: Callable[[], bool]) -> None:
    """Wait for it, for 20 seconds at most."""
    deadline = time.monotonic() + 20
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)
