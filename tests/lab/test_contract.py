"""The fake machine of the simulator and a real node answer alike, so that the fake cannot drift.

Every case runs twice: against `cube.simulator.machine.Machine`, and through the real worker over SSH.
"""

import time  # noqa: TID251 - real nodes take real time
from collections.abc import Callable, Iterator
from pathlib import Path
from secrets import token_hex
from typing import Protocol

import pytest

from cube.lab.fleet import Lab
from cube.manager.fleet import open_workers
from cube.model.action import Effect, Outcome, Quarantine, Start, Stop, Verdict
from cube.model.job import CheckKind, HealthCheck, Port, TaskSpec
from cube.model.node import Access, Cluster, Node
from cube.model.observation import QUARANTINED, Container, ContainerState, Seen
from cube.model.resources import Resources
from cube.model.task import Health, Slot, State, Task
from cube.simulator.machine import Machine
from cube.worker.worker import Worker

pytestmark = pytest.mark.lab

CLUSTER, OWNER = "contract", "store-1"
IMAGE = "cube-busybox:1"
STAYS = ("sleep", "1000")


class Hand(Protocol):
    """What the manager can do with one node, and what a test may do behind its back."""

    name: str

    def observe(self) -> Seen: ...

    def perform(self, effect: Effect) -> Outcome: ...


class FakeHand:
    def __init__(self) -> None:
        self.name = "node1"
        self.machine = Machine(
            name=self.name,
            cluster=CLUSTER,
            owner=OWNER,
            images=frozenset({IMAGE}),
            program=_fake_program,
            answers=lambda spec: spec.health is not None and spec.health.command == ("true",),
        )

    def observe(self) -> Seen:
        return self.machine.observe(0.0)

    def perform(self, effect: Effect) -> Outcome:
        return self.machine.perform(effect, 0.0)


class RealHand:
    def __init__(self, worker: Worker) -> None:
        self.name = worker.node.name
        self._worker = worker

    def observe(self) -> Seen:
        found = self._worker.observe(time.time())
        assert isinstance(found, Seen)
        return found

    def perform(self, effect: Effect) -> Outcome:
        return self._worker.perform(effect)


def _fake_program(spec: TaskSpec) -> int | None:
    if spec.command and spec.command[0] == "sh":
        return int(spec.command[-1].removeprefix("exit "))
    return None


@pytest.fixture(params=["fake", "real"])
def hand(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Hand]:
    if request.param == "fake":
        yield FakeHand()
        return
    lab: Lab = request.getfixturevalue("lab")
    request.getfixturevalue("node")
    with open_workers(_cluster(lab), owner=OWNER, epoch=1, state_dir=tmp_path) as workers:
        yield RealHand(workers["node1"])


def _cluster(lab: Lab) -> Cluster:
    found = lab.nodes[0]
    access = Access(
        address=found.address,
        port=found.port,
        user="root",
        identity_file=str(lab.key),
        host_key=found.host_key,
    )
    return Cluster(name=CLUSTER, nodes=(Node(name=found.name, access=access),))


def a_task(hand: Hand, command: tuple[str, ...] = STAYS, **changes: object) -> Task:
    spec = TaskSpec(
        image=str(changes.pop("image", IMAGE)),
        command=command,
        resources=Resources(cpu=100, memory=32 * 2**20),
        ports=(Port(name="http", container=80, host=20123),) if changes.get("ports") else (),
        health=changes.pop("health", None),  # type: ignore[arg-type] # a table of defaults
        stop_grace=0.0,
    )
    values: dict[str, object] = {
        "id": token_hex(16),
        "slot": Slot(job="contract", group="main", index=0),
        "version": 1,
        "spec": spec,
        "state": State.SCHEDULED,
        "order": 1,
        "created_at": 0.0,
        "changed_at": 0.0,
        "node": hand.name,
    }
    return Task(**(values | changes))  # type: ignore[arg-type] # a table of defaults


def start(hand: Hand, task: Task) -> Outcome:
    return hand.perform(Start(task=task, reason="test"))


def stop(hand: Hand, container: Container, task: Task | None = None, target: State = State.FAILED) -> Outcome:
    """With a task: because it is sick, where nothing else is said."""
    return hand.perform(
        Stop(
            task=task,
            target=target if task else State.COMPLETED,
            node=hand.name,
            container=container.id,
            container_name=container.name,
            grace=0.0,
            reason="test",
        )
    )


def quarantine(hand: Hand, task: Task, container: str) -> Outcome:
    return hand.perform(
        Quarantine(
            task=task, container=container, container_name=task.container_name, until=9e9, reason="test"
        )
    )


def ours(hand: Hand) -> list[Container]:
    return [found for found in hand.observe().containers if found.identity is not None]


def test_a_started_task_is_seen_running_with_its_identity(hand: Hand) -> None:
    task = a_task(hand)
    outcome = start(hand, task)
    (found,) = ours(hand)
    assert outcome.verdict is Verdict.OK
    assert (found.id, found.name, found.state) == (
        outcome.container,
        task.container_name,
        ContainerState.RUNNING,
    )
    assert found.identity is not None
    assert (found.identity.task, found.identity.slot, found.identity.owner) == (task.id, task.slot, OWNER)
    assert found.identity.digest == task.spec.digest
    assert found.drift == ""
    assert found.exit_code is None


def test_starting_it_twice_makes_one_container_p4(hand: Hand) -> None:
    task = a_task(hand)
    first, second = start(hand, task), start(hand, task)
    assert (first.verdict, second.verdict) == (Verdict.OK, Verdict.OK)
    assert first.container == second.container
    assert len(ours(hand)) == 1


def test_a_missing_image_fails_and_leaves_nothing_behind(hand: Hand) -> None:
    outcome = start(hand, a_task(hand, image="not-there:1"))
    assert outcome.verdict is Verdict.FAILED
    assert outcome.why.startswith("image not-there:1 is not on node node1")
    assert ours(hand) == []


def test_a_program_that_ends_is_seen_exited_with_its_code(hand: Hand) -> None:
    start(hand, a_task(hand, ("sh", "-c", "exit 3")))
    (found,) = _eventually(lambda: [held for held in ours(hand) if held.exit_code is not None])
    assert (found.state, found.exit_code, found.oom_killed) == (ContainerState.EXITED, 3, False)


def test_an_ended_task_can_be_started_again_in_the_same_container(hand: Hand) -> None:
    task = a_task(hand, ("sh", "-c", "exit 0"))
    start(hand, task)
    _eventually(lambda: [held for held in ours(hand) if held.exit_code is not None])
    start(hand, task)
    assert len(ours(hand)) == 1


def test_a_host_port_that_is_taken_is_a_failure_that_names_it(hand: Hand) -> None:
    start(hand, a_task(hand, ports={"http": 20123}))
    outcome = start(hand, a_task(hand, ports={"http": 20123}))
    assert outcome.verdict is Verdict.FAILED
    assert "20123" in outcome.why


def test_a_running_task_shows_the_host_ports_that_it_holds(hand: Hand) -> None:
    start(hand, a_task(hand, ports={"http": 20123}))
    assert [found.host_ports for found in ours(hand)] == [(20123,)]


def test_a_stopped_container_is_gone_p20(hand: Hand) -> None:
    start(hand, a_task(hand))
    (found,) = ours(hand)
    assert stop(hand, found).verdict is Verdict.OK
    assert ours(hand) == []


def test_stopping_what_is_gone_already_is_done(hand: Hand) -> None:
    start(hand, a_task(hand))
    (found,) = ours(hand)
    stop(hand, found)
    assert stop(hand, found).verdict is Verdict.OK


def test_an_ended_container_can_be_removed(hand: Hand) -> None:
    start(hand, a_task(hand, ("sh", "-c", "exit 1")))
    (found,) = _eventually(lambda: [held for held in ours(hand) if held.exit_code is not None])
    stop(hand, found)
    assert ours(hand) == []


def test_two_tasks_of_one_slot_have_containers_of_their_own(hand: Hand) -> None:
    start(hand, a_task(hand))
    start(hand, a_task(hand))
    assert len({found.name for found in ours(hand)}) == 2


def test_a_quarantined_container_runs_on_under_another_name_and_off_every_port(hand: Hand) -> None:
    task = a_task(hand, ports={"http": 20123})
    outcome = quarantine(hand, task, start(hand, task).container or "")
    (found,) = ours(hand)
    assert outcome.verdict is Verdict.OK
    assert (found.name, found.state) == (f"{task.container_name}{QUARANTINED}", ContainerState.RUNNING)
    assert (found.host_ports, found.address) == ((), "")


def test_the_host_port_of_a_quarantined_task_is_free_for_its_successor(hand: Hand) -> None:
    task = a_task(hand, ports={"http": 20123})
    quarantine(hand, task, start(hand, task).container or "")
    assert start(hand, a_task(hand, ports={"http": 20123})).verdict is Verdict.OK


def test_a_task_can_be_put_in_quarantine_twice(hand: Hand) -> None:
    task = a_task(hand)
    container = start(hand, task).container or ""
    assert [quarantine(hand, task, container).verdict for _ in range(2)] == [Verdict.OK, Verdict.OK]


def test_what_is_gone_cannot_be_put_in_quarantine(hand: Hand) -> None:
    outcome = quarantine(hand, a_task(hand), "0123456789ab")
    assert (outcome.verdict, outcome.why) == (Verdict.FAILED, "it is gone")


def test_a_quarantined_container_can_be_removed_p20(hand: Hand) -> None:
    task = a_task(hand)
    quarantine(hand, task, start(hand, task).container or "")
    (found,) = ours(hand)
    assert stop(hand, found).verdict is Verdict.OK
    assert ours(hand) == []


def test_a_container_that_ended_badly_leaves_a_post_mortem_when_it_is_removed(hand: Hand) -> None:
    start(hand, a_task(hand, ("sh", "-c", "exit 3")))
    (found,) = _eventually(lambda: [held for held in ours(hand) if held.exit_code is not None])
    left = stop(hand, found).post_mortem
    assert left is not None
    assert (left.container, left.exit_code, left.oom_killed) == (found.id, 3, False)


@pytest.mark.parametrize("code", [0, 3])
def test_a_container_that_ended_leaves_a_post_mortem_when_it_is_started_again(hand: Hand, code: int) -> None:
    task = a_task(hand, ("sh", "-c", f"exit {code}"))
    start(hand, task)
    _eventually(lambda: [held for held in ours(hand) if held.exit_code is not None])
    left = start(hand, task).post_mortem
    assert left is not None
    assert left.exit_code == code


def test_a_container_that_ended_well_leaves_a_post_mortem_where_its_task_had_failed_by_that(
    hand: Hand,
) -> None:
    task = a_task(hand, ("sh", "-c", "exit 0"), state=State.FAILED)
    start(hand, task)
    (found,) = _eventually(lambda: [held for held in ours(hand) if held.exit_code is not None])
    left = stop(hand, found, task, target=State.COMPLETED).post_mortem
    assert left is not None
    assert left.exit_code == 0


def test_a_container_that_ended_well_and_whose_task_is_done_leaves_none(hand: Hand) -> None:
    task = a_task(hand, ("sh", "-c", "exit 0"), state=State.COMPLETED)
    start(hand, task)
    (found,) = _eventually(lambda: [held for held in ours(hand) if held.exit_code is not None])
    assert stop(hand, found, task, target=State.COMPLETED).post_mortem is None


def test_a_sick_container_leaves_a_post_mortem_without_an_exit_code(hand: Hand) -> None:
    task = a_task(hand)
    start(hand, task)
    (found,) = ours(hand)
    left = stop(hand, found, task).post_mortem
    assert left is not None
    assert left.exit_code is None


def test_a_container_that_is_no_longer_wanted_leaves_no_post_mortem(hand: Hand) -> None:
    start(hand, a_task(hand))
    (found,) = ours(hand)
    assert stop(hand, found).post_mortem is None


@pytest.mark.parametrize(("command", "health"), [("true", Health.HEALTHY), ("false", Health.UNHEALTHY)])
def test_a_look_brings_back_what_the_check_says(hand: Hand, command: str, health: Health) -> None:
    check = HealthCheck(kind=CheckKind.EXEC, command=(command,), interval=0.1)
    start(hand, a_task(hand, health=check))
    assert [found.health for found in ours(hand)] == [health]


def test_a_task_without_a_check_is_not_asked(hand: Hand) -> None:
    start(hand, a_task(hand))
    assert [found.health for found in ours(hand)] == [Health.UNCHECKED]


def _eventually(look: Callable[[], list[Container]]) -> list[Container]:
    """What the look finds, once it finds something; the real engine needs a moment to notice an end."""
    deadline = time.monotonic() + 5
    while not (found := look()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return found
