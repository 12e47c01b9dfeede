"""Health checks of a real task: each kind follows it, and one that hangs harms nobody else."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from cube.lab import faults
from cube.model.job import CheckKind, HealthCheck, Port
from cube.model.observation import ContainerState
from cube.model.task import Health, Task
from cube.worker.worker import Worker
from tests.lab.machine import Machine, a_machine, a_worker, only, run_in, seen, start, task_of, until

pytestmark = pytest.mark.lab

HTTP = (Port(name="http", container=8080),)
READY = ("test", "-e", "/tmp/ready")


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    with a_machine(tmp_path_factory.mktemp("lab")) as machine:
        yield machine


@pytest.fixture
def worker(machine: Machine) -> Iterator[Worker]:
    with a_worker(machine) as worker:
        yield worker


def demo(worker: Worker, port: int = 20080, **how: Any) -> Task:
    health = HealthCheck(**{"kind": CheckKind.HTTP, "port": "http", "path": "/health", **how})
    task = task_of(worker, image="cube-demo:1", ports={"http": port}, health=health)
    return replace(task, spec=replace(task.spec, command=None, ports=HTTP))


def sleeper(worker: Worker, **how: Any) -> Task:
    return task_of(worker, health=HealthCheck(**{"kind": CheckKind.EXEC, "command": READY, **how}))


def is_now(worker: Worker, health: Health) -> None:
    until(lambda: only(worker).health is health)


def test_http_follows_the_task(worker: Worker) -> None:
    container = start(worker, demo(worker, interval=1.0)).container
    is_now(worker, Health.HEALTHY)
    assert container is not None
    run_in(worker, container, "wget", "-qO-", "http://127.0.0.1:8080/unhealthy")
    is_now(worker, Health.UNHEALTHY)


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ({"body": "ok"}, Health.HEALTHY),
        ({"body": "database"}, Health.UNHEALTHY),
        ({"status": (503, 503)}, Health.UNHEALTHY),
        ({"path": "/no/such/page", "status": (404, 404)}, Health.HEALTHY),
        ({"headers": {"X-From": "cube"}}, Health.HEALTHY),
    ],
)
def test_http_asks_for_what_the_job_wants(worker: Worker, how: dict[str, Any], expected: Health) -> None:
    start(worker, demo(worker, **how))
    until(lambda: bool(run_in(worker, only(worker).id, "wget", "-qO-", "http://127.0.0.1:8080/health")))
    assert only(worker).health is expected


@pytest.mark.parametrize("kind", [CheckKind.HTTP, CheckKind.TCP])
def test_a_task_where_nobody_listens_is_unhealthy(worker: Worker, kind: CheckKind) -> None:
    task = task_of(worker, ports={"http": 20080}, health=HealthCheck(kind=kind, port="http"))
    start(worker, replace(task, spec=replace(task.spec, ports=HTTP)))
    assert only(worker).health is Health.UNHEALTHY


def test_a_command_follows_the_task(worker: Worker) -> None:
    container = start(worker, sleeper(worker)).container
    assert container is not None
    assert only(worker).health is Health.UNHEALTHY
    run_in(worker, container, "touch", "/tmp/ready")
    assert only(worker).health is Health.HEALTHY


def test_a_program_that_is_not_in_the_image_is_unhealthy(worker: Worker) -> None:
    start(worker, sleeper(worker, command=("/no/such/program",)))
    assert only(worker).health is Health.UNHEALTHY


def test_a_command_that_hangs_is_there_once_however_often_it_is_asked_p1(
    machine: Machine, worker: Worker
) -> None:
    """Also when each look is of another process, as cron's are: every worker here is a new one."""
    start(worker, sleeper(worker, command=("sleep", "777"), timeout=0.2))
    for _ in range(3):
        fresh = machine.make_worker()
        assert only(fresh).health is Health.UNHEALTHY
        fresh.close()
    assert machine.run("sh", "-c", "pgrep -fcx 'sleep 777'").strip() == b"1"


def test_a_check_that_hangs_harms_no_other_task_p2(worker: Worker) -> None:
    hanging = start(worker, sleeper(worker, command=("sleep", "777"), timeout=0.5)).container
    slow = start(worker, demo(worker, 20081, timeout=0.5)).container
    well = start(worker, demo(worker, 20082)).container
    assert slow is not None
    assert well is not None
    until(lambda: bool(run_in(worker, slow, "wget", "-qO-", "http://127.0.0.1:8080/slow?seconds=600")))
    until(lambda: bool(run_in(worker, well, "wget", "-qO-", "http://127.0.0.1:8080/health")))
    health = {found.id: found.health for found in seen(worker).containers}
    assert health == {hanging: Health.UNHEALTHY, slow: Health.UNHEALTHY, well: Health.HEALTHY}


def with_own_check(machine: Machine) -> str:
    """An image with a HEALTHCHECK, made on the node."""
    check = "HEALTHCHECK --interval=1s --timeout=1s --retries=1 CMD test -e /tmp/ready"
    script = (
        'docker commit --change "$1" $(docker create cube-busybox:1 true) own:1 && docker rm $(docker ps -aq)'
    )
    machine.run("sh", "-ec", script, "sh", check)
    return "own:1"


def test_the_images_own_check_follows_the_task(machine: Machine, worker: Worker) -> None:
    task = task_of(worker, image=with_own_check(machine), health=HealthCheck(kind=CheckKind.IMAGE))
    container = start(worker, task).container
    assert container is not None
    is_now(worker, Health.UNHEALTHY)
    run_in(worker, container, "touch", "/tmp/ready")
    is_now(worker, Health.HEALTHY)


def test_the_engine_is_not_believed_once_it_has_stopped_to_ask_p3(machine: Machine, worker: Worker) -> None:
    """Fault F23: under live-restore the last word stands for ever. A paused engine's clock stands as well."""
    task = task_of(worker, image=with_own_check(machine), health=HealthCheck(kind=CheckKind.IMAGE))
    start(worker, task)
    is_now(worker, Health.UNHEALTHY)
    machine.run("sh", "-c", "echo '{\"live-restore\": true}' >/etc/docker/daemon.json; pkill -HUP -x dockerd")
    try:
        faults.stop_engine(machine.client, machine.lab_node)
        faults.start_engine(machine.client, machine.lab_node)
        is_now(worker, Health.UNCHECKED)
        assert only(worker).state is ContainerState.RUNNING
    finally:
        machine.run("sh", "-c", "rm /etc/docker/daemon.json; pkill -HUP -x dockerd")


def test_a_check_of_another_kind_spares_the_images_own(machine: Machine, worker: Worker) -> None:
    start(worker, replace(sleeper(worker), spec=replace(sleeper(worker).spec, image=with_own_check(machine))))
    health = machine.run("docker", "inspect", "--format", "{{json .State.Health}}", only(worker).id)
    assert health.strip() == b"null"
