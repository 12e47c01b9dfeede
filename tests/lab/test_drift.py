"""What a look tells of each container beside its state: what was changed by hand, and what cannot be told."""

import subprocess
from collections.abc import Iterator

import pytest

from cube.errors import UnreachableError
from cube.model.observation import ContainerState
from cube.model.resources import Resources
from cube.worker.engine import EngineError
from cube.worker.worker import Worker
from tests.lab.machine import Machine, a_machine, a_worker, only, seen, start, task_of, until

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    with a_machine(tmp_path_factory.mktemp("lab")) as machine:
        yield machine


@pytest.fixture
def worker(machine: Machine) -> Iterator[Worker]:
    with a_worker(machine) as worker:
        yield worker


def test_what_cube_made_has_not_drifted(worker: Worker) -> None:
    start(worker, task_of(worker, resources=Resources(cpu=500, memory=64 * 2**20)))
    start(worker, task_of(worker))
    assert [found.drift for found in seen(worker).containers] == ["", ""]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("update --memory 32m --memory-swap 32m", "memory limit 33554432 in place of 67108864"),
        ("update --cpu-shares 7", "CPU shares 7 in place of 512"),
        ("update --pids-limit -1", "pids limit 0 in place of 512"),
        ("update --restart always", "restart policy always"),
        ("network disconnect bridge", "cut off from every network"),
    ],
)
def test_what_somebody_changed_by_hand_is_told_at_the_next_look_p11(
    machine: Machine, worker: Worker, change: str, told: str
) -> None:
    """Fault F36."""
    container = start(worker, task_of(worker, resources=Resources(cpu=500, memory=64 * 2**20))).container
    assert container is not None
    machine.run("docker", *change.split(), container)
    assert only(worker).drift == told


def test_a_new_name_is_told(machine: Machine, worker: Worker) -> None:
    container = start(worker, task_of(worker)).container
    machine.run("docker", "rename", str(container), "mine")
    assert only(worker).drift == "renamed to mine"


def test_what_is_not_ours_never_drifts_p5(machine: Machine, worker: Worker) -> None:
    machine.run(
        "docker", "run", "-d", "--restart", "always", "--net", "none", "cube-busybox:1", "sleep", "99"
    )
    assert only(worker).drift == ""


def test_one_that_hangs_its_inspect_is_unknown_alone_p2(machine: Machine, worker: Worker) -> None:
    """Fault F38. A start holds its container's lock while containerd does not answer."""
    task = task_of(worker, "sh", "-c", "exit 3")
    stuck = start(worker, task).container
    runs = start(worker, task_of(worker)).container
    until(lambda: any(found.exit_code == 3 for found in seen(worker).containers))
    hurried = machine.make_worker(inspect=0.3)
    machine.run("docker", "update", "--restart", "always", str(runs))
    machine.run("pkill", "-STOP", "-x", "containerd")
    starting = subprocess.Popen(["docker", "exec", machine.lab_node.container, "docker", "start", str(stuck)])
    try:
        until(lambda: _hangs(hurried, str(stuck)))
        found = {container.id: container for container in seen(hurried).containers}
    finally:
        machine.run("pkill", "-CONT", "-x", "containerd")
        starting.wait(20)
        hurried.close()
    assert (found[str(stuck)].state, found[str(stuck)].exit_code) == (ContainerState.EXITED, None)
    assert found[str(runs)].drift == "restart policy always"


def _hangs(worker: Worker, container: str) -> bool:
    return {found.id: found.exit_code for found in seen(worker).containers}[container] is None


def test_any_container_can_be_inspected_by_name_or_id(machine: Machine, worker: Worker) -> None:
    machine.run("docker", "run", "-d", "--name", "foreign", "cube-busybox:1", "sleep", "99")
    found = worker.inspect("foreign")
    assert (found["Name"], found["Config"]["Cmd"]) == ("/foreign", ["sleep", "99"])
    assert worker.inspect(found["Id"])["Name"] == "/foreign"


@pytest.mark.parametrize("name", ["nobody", "../../version", "foreign/json?x=", "a b\r\nX: y", "é"])
def test_a_name_that_is_none_is_refused_and_reaches_nothing_else_p18(worker: Worker, name: str) -> None:
    with pytest.raises(EngineError):
        worker.inspect(name)


def test_a_node_that_is_lost_cannot_be_asked_p3(machine: Machine) -> None:
    hurried = machine.make_worker(listing=0.3)
    seen(hurried)
    machine.run("pkill", "-STOP", "-x", "dockerd")
    try:
        with pytest.raises(UnreachableError):
            hurried.inspect("foreign")
    finally:
        machine.run("pkill", "-CONT", "-x", "dockerd")
        hurried.close()
