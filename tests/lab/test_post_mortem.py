"""Post-mortems and quarantine on a real engine: what is destroyed is told of first, what is sick is kept."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from cube.model.action import Outcome, Quarantine, Verdict
from cube.model.job import Port
from cube.model.observation import Container, ContainerState, PostMortem
from cube.model.task import State, Task
from cube.worker.worker import Worker
from tests.lab.machine import (
    CLAIM,
    SLEEP,
    Machine,
    a_machine,
    a_worker,
    only,
    run_in,
    seen,
    start,
    stop,
    task_of,
    until,
)

pytestmark = pytest.mark.lab

DIES_LATER = ("sh", "-c", "echo last words; sleep 0.5; exit 4")
HTTP = (Port(name="http", container=80),)


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    with a_machine(tmp_path_factory.mktemp("lab")) as machine:
        yield machine


@pytest.fixture
def worker(machine: Machine) -> Iterator[Worker]:
    with a_worker(machine) as worker:
        yield worker


def has_died(worker: Worker, task: Task) -> Container:
    start(worker, task)
    until(lambda: any(found.exit_code is not None for found in seen(worker).containers))
    return next(found for found in seen(worker).containers if found.exit_code is not None)


def taken(outcome: Outcome) -> PostMortem:
    assert outcome.post_mortem is not None
    return outcome.post_mortem


def quarantine(worker: Worker, task: Task, container: str | None) -> Outcome:
    assert container is not None
    return worker.perform(
        Quarantine(
            task=task, container=container, container_name=task.container_name, until=1.0, reason="a test"
        )
    )


def test_a_dead_task_is_told_of_before_it_is_started_again(worker: Worker) -> None:
    task = task_of(worker, *DIES_LATER)
    died = has_died(worker, task)
    outcome = start(worker, task)
    found = taken(outcome)
    assert (found.container, found.exit_code, found.oom_killed) == (died.id, 4, False)
    stamp, _, words = found.log.partition(" ")
    assert (stamp[:2], words) == ("20", "last words")
    assert found.started_at < found.finished_at
    assert outcome.verdict is Verdict.OK


def test_a_dead_task_is_told_of_before_it_is_removed(worker: Worker) -> None:
    died = has_died(worker, task_of(worker, *DIES_LATER))
    outcome = stop(worker, died.id)
    assert (outcome.verdict, taken(outcome).exit_code) == (Verdict.OK, 4)
    assert seen(worker).containers == ()


def test_it_is_told_of_also_when_the_effect_fails(worker: Worker) -> None:
    dead = task_of(worker, *DIES_LATER, ports={"http": 20080})
    dead = replace(dead, spec=replace(dead.spec, ports=HTTP))
    has_died(worker, dead)
    start(worker, replace(task_of(worker, ports={"http": 20080}), spec=replace(dead.spec, command=SLEEP)))
    outcome = start(worker, dead)
    assert (outcome.verdict, taken(outcome).exit_code) == (Verdict.FAILED, 4)


def test_it_is_told_of_also_when_the_answer_is_lost_p3(machine: Machine, worker: Worker) -> None:
    task = task_of(worker, "sh", "-c", "echo I am ill; sleep 1000")
    container = start(worker, task).container
    until(lambda: bool(list(worker.logs(container or ""))))
    hurried = machine.make_worker(act=1)
    machine.run("pkill", "-STOP", "-x", "containerd")
    try:
        outcome = stop(hurried, container, task=task, target=State.FAILED)
    finally:
        machine.run("pkill", "-CONT", "-x", "containerd")
        hurried.close()
    assert outcome.verdict is Verdict.UNKNOWN
    assert taken(outcome).log.endswith(" I am ill")


def test_a_task_that_died_at_once_is_told_of_at_once(worker: Worker) -> None:
    task = task_of(worker, "/bin/sh", "-c", "echo last words; exit 3")
    outcome = start(worker, task)
    until(lambda: only(worker).exit_code == 3)
    if outcome.verdict is Verdict.OK:  # the engine looked before it was over
        outcome = stop(worker, only(worker).id)
    assert taken(outcome).exit_code == 3
    assert taken(outcome).log.endswith(" last words")


def test_an_unhealthy_task_is_told_of_before_it_is_removed(worker: Worker) -> None:
    task = task_of(worker, "sh", "-c", "echo I am ill; sleep 1000")
    container = start(worker, task).container
    until(lambda: bool(list(worker.logs(container or ""))))
    found = taken(stop(worker, container, task=task, target=State.FAILED))
    assert (found.exit_code, found.finished_at) == (None, "")
    assert found.log.endswith(" I am ill")


def test_what_ended_well_or_is_simply_stopped_leaves_nothing(worker: Worker) -> None:
    assert stop(worker, has_died(worker, task_of(worker, "true")).id).post_mortem is None
    assert stop(worker, start(worker, task_of(worker)).container).post_mortem is None


def test_a_container_that_keeps_no_log_is_removed_all_the_same(machine: Machine, worker: Worker) -> None:
    made = machine.run(
        *("docker", "create", "--log-driver", "none", "--label", f"cube.cluster={CLAIM.cluster}"),
        *("cube-busybox:1", "sh", "-c", "exit 4"),
    )
    container = made.decode().strip()
    machine.run("sh", "-c", 'docker start -a "$1" || true', "sh", container)
    outcome = stop(worker, container)
    assert (outcome.verdict, taken(outcome).exit_code) == (Verdict.OK, 4)
    assert "does not support reading" in taken(outcome).log


def test_a_task_in_quarantine_runs_on_alone_and_its_port_is_free(machine: Machine, worker: Worker) -> None:
    task = task_of(worker, "sh", "-c", "echo I am ill; sleep 1000", ports={"http": 20080})
    task = replace(task, spec=replace(task.spec, ports=HTTP))
    container = start(worker, task).container
    outcome = quarantine(worker, task, container)
    assert (outcome.verdict, outcome.container) == (Verdict.OK, container)
    assert taken(outcome).log.endswith(" I am ill")
    away = only(worker)
    assert (away.id, away.name) == (container, f"{task.container_name}-quarantined")
    assert (away.state, away.host_ports, away.address) == (ContainerState.RUNNING, (), "")
    assert away.identity is not None
    assert away.identity.task == task.id
    assert run_in(worker, away.id, "ls", "/sys/class/net").split() == ["lo"]
    next_one = replace(task_of(worker, ports={"http": 20080}), spec=replace(task.spec, command=SLEEP))
    assert start(worker, next_one).verdict is Verdict.OK


def test_a_quarantine_may_be_repeated_p10(worker: Worker) -> None:
    task = task_of(worker)
    container = start(worker, task).container
    first, second = quarantine(worker, task, container), quarantine(worker, task, container)
    assert (first.verdict, second.verdict) == (Verdict.OK, Verdict.OK)
    assert only(worker).name == f"{task.container_name}-quarantined"


def test_what_is_in_quarantine_can_be_removed(worker: Worker) -> None:
    task = task_of(worker)
    container = start(worker, task).container
    quarantine(worker, task, container)
    assert stop(worker, container).verdict is Verdict.OK
    assert seen(worker).containers == ()


def test_what_is_gone_cannot_be_put_in_quarantine(worker: Worker) -> None:
    task = task_of(worker)
    outcome = quarantine(worker, task, "0" * 64)
    assert (outcome.verdict, outcome.why) == (Verdict.FAILED, "it is gone")


@pytest.mark.parametrize(
    ("claim", "why"), [({"cluster": "another"}, "another"), ({"epoch": 1}, "taken over")]
)
def test_what_is_not_ours_is_not_put_in_quarantine_p5(
    machine: Machine, worker: Worker, claim: dict[str, Any], why: str
) -> None:
    task = task_of(worker)
    container = start(worker, task).container
    other = machine.make_worker(replace(CLAIM, **claim))
    outcome = quarantine(other, task, container)
    other.close()
    assert outcome.verdict is Verdict.FAILED
    assert why in outcome.why
    assert (only(worker).name, bool(only(worker).address)) == (task.container_name, True)
