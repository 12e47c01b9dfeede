"""The manager: what it claims when it has settled, against the simulated fleet."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from random import Random  # noqa: TID251 - the simulator draws from one seed

import pytest

from cube.errors import CubeError, InputError
from cube.manager.manager import Manager
from cube.manager.seams import Fleet
from cube.manager.turn import Loop, Run
from cube.model.action import Effect, Outcome, Place
from cube.model.job import CheckKind, HealthCheck, Hooks, JobType, Port, TaskSpec
from cube.model.node import Cluster
from cube.model.observation import Observation, Seen
from cube.model.policy import RestartPolicy
from cube.model.task import Health, Slot, State
from cube.model.transit import Transit
from cube.scheduler.algorithms import ALGORITHMS
from cube.simulator.clock import VirtualClock
from cube.simulator.faults import SimulatedFleet, Site
from cube.simulator.machine import Machine
from cube.store.store import Store, open_store
from tests.build import job, node, spec, unknown

NAMES = ("node1", "node2")
RUN = Run(until=float("inf"), actor="ann")


def ends_at_once_if_asked(wanted: TaskSpec) -> int | None:
    return 1 if wanted.command == ("fail",) else None


@pytest.fixture
def store() -> Iterator[Store]:
    made = open_store(":memory:")
    yield made
    made.close()


@pytest.fixture
def manager(store: Store) -> Manager:
    machines = {
        name: Machine(name=name, cluster="sim", owner=store.owner, program=ends_at_once_if_asked)
        for name in NAMES
    }
    clock = VirtualClock()
    fleet = SimulatedFleet(site=Site(machines=machines), clock=clock, random=Random(1))
    cluster = Cluster(name="sim", nodes=tuple(node(name) for name in NAMES))
    return Manager(Loop(cluster, store, fleet, scheduler=ALGORITHMS["spread"], clock=clock))


def test_a_deploy_that_settled_claims_success_and_a_second_one_changes_nothing(manager: Manager) -> None:
    """P10, P12."""
    assert manager.deploy(job(count=2), RUN).exit_code == 0
    assert manager.deploy(job(count=2), RUN).done == ()


def test_a_job_keeps_its_type_until_it_is_removed(manager: Manager, store: Store) -> None:
    """P7: what its slots mean would change under the tasks that serve in them."""
    manager.deploy(job(count=2), RUN)
    system = replace(job(), type=JobType.SYSTEM)
    for ask in (manager.preview, lambda wanted: manager.deploy(wanted, RUN)):
        with pytest.raises(InputError, match="web is of type service and cannot become system"):
            ask(system)
    assert [found.version for found in store.jobs()] == [1]
    manager.remove("web", RUN)
    assert manager.deploy(system, RUN).exit_code == 0


def test_a_plan_is_refused_once_somebody_else_has_deployed_though_its_first_wave_is_the_same(
    manager: Manager, store: Store
) -> None:
    """P12: it would take back what nobody has shown."""
    manager.deploy(job(), RUN)
    mine = job(task=spec("app:2"))
    planned = manager.preview(mine)[0].fingerprint
    manager.deploy(job(task=spec("app:3")), RUN)
    with pytest.raises(CubeError, match="the fleet has moved on since the plan was made"):
        manager.deploy(mine, RUN, expected=planned)
    assert [found.version for found in store.jobs()] == [2]


def test_a_plan_is_compared_once_more_after_the_hook_that_comes_before_it(
    manager: Manager, store: Store, tmp_path: Path
) -> None:
    """P12: a hook may take minutes."""
    mine = replace(job(), hooks=Hooks(before=("touch", str(tmp_path / "ran"))))
    planned = manager.preview(mine)[0].fingerprint
    assert isinstance(manager.loop, Loop)
    manager.loop.fleet = LosesANode(manager.loop.fleet, once=tmp_path / "ran")
    with pytest.raises(CubeError, match="the fleet has moved on"):
        manager.deploy(mine, RUN, expected=planned)
    assert store.jobs() == ()


def test_a_stop_claims_nothing_about_a_node_that_left_the_inventory(manager: Manager, store: Store) -> None:
    """P3, P12: its task may run on."""
    manager.deploy(job(count=2), RUN)
    assert isinstance(manager.loop, Loop)
    manager.loop.cluster = replace(manager.cluster, nodes=manager.cluster.nodes[:1])
    report = manager.remove("web", RUN)
    assert report.exit_code == 3
    assert report.summary == "1 change, 1 on nodes that are not in the inventory"
    assert [(task.node, task.state) for task in report.out_of_sight] == [("node2", State.RUNNING)]
    assert store.job("web") is not None
    assert any("cube remove web" in warning for warning in report.plan.warnings)


def test_a_node_that_is_forgotten_leaves_no_failed_task_behind(manager: Manager, store: Store) -> None:
    """P20, seed 142: its job could never be removed."""
    failing = job(task=spec(command=("fail",)), restart=RestartPolicy(attempts=0))
    manager.deploy(failing, RUN)
    (failed,) = [task for task in store.current_tasks() if task.state is State.FAILED]
    assert isinstance(manager.loop, Loop)
    manager.loop.cluster = Cluster(
        name="sim", nodes=tuple(node(name) for name in NAMES if name != failed.node)
    )
    manager.stop("web", RUN)
    manager.forget_node(failed.node or "", RUN)
    manager.remove("web", RUN)
    assert store.jobs() == ()


def test_a_deploy_waits_for_no_other_job(manager: Manager, store: Store) -> None:
    """P2: a job that fails again and again has its own restarts, and a sweep waits for near ones only."""
    patient = RestartPolicy(attempts=3, delay=150.0, max_delay=150.0)
    soon = replace(RUN, until=manager.look()["node1"].at + 10)
    manager.deploy(job("bad", task=spec(command=("fail",)), restart=patient), soon)
    report = manager.deploy(job("good"), RUN)
    assert (report.exit_code, report.is_late) == (0, False)
    (bad,) = (task for task in store.current_tasks() if task.slot.job == "bad")
    assert (bad.state, bad.restarts) == (State.FAILED, 0)
    assert manager.reconcile(RUN).exit_code == 1
    (bad,) = (task for task in store.current_tasks() if task.slot.job == "bad")
    assert bad.restarts == 0


def test_a_node_that_does_not_answer_is_asked_once_in_a_run(manager: Manager, store: Store) -> None:
    """P1, P2: while others are waited for, a dead node would cost its patience in every turn."""
    assert isinstance(manager.loop, Loop)
    fleet = manager.loop.fleet
    assert isinstance(fleet, SimulatedFleet)
    fleet.site.down.add("node2")
    begun = manager._clock.now()
    policy = RestartPolicy(attempts=2, delay=5.0)
    report = manager.deploy(job(task=spec(command=("fail",)), restart=policy), RUN)
    (first,) = report.unknown
    assert [task.restarts for task in store.current_tasks()] == [2]
    assert first.at == begun


def test_a_node_that_has_left_can_be_uncordoned_as_long_as_it_is_cordoned(manager: Manager) -> None:
    manager.cordon("node1", RUN)
    assert isinstance(manager.loop, Loop)
    manager.loop.cluster = replace(manager.cluster, nodes=manager.cluster.nodes[1:])
    assert manager.uncordon("node1", RUN)
    with pytest.raises(InputError, match="there is no node 'node1'"):
        manager.uncordon("node1", RUN)


class LosesANode:
    """As the fleet under it; the first node does not answer any more once that file is there."""

    def __init__(self, under: Fleet, *, once: Path) -> None:
        self.under, self.once = under, once

    def observe(self, names: Iterable[str], now: float) -> Mapping[str, Observation]:
        return {
            name: unknown(name) if self.once.exists() and name == NAMES[0] else found
            for name, found in self.under.observe(names, now).items()
        }

    def perform(self, effects: Iterable[Effect], until: float) -> Iterator[tuple[Effect, Outcome | Transit]]:
        return self.under.perform(effects, until)

    def digest(self, image: str, node: str) -> str:
        return self.under.digest(image, node)

    def stock(self) -> Mapping[str, str]:
        return self.under.stock()


def unchecked(found: Observation) -> Observation:
    assert isinstance(found, Seen)
    held = (replace(container, health=Health.UNCHECKED) for container in found.containers)
    return replace(found, containers=tuple(held))


class Unasked:
    """A fleet whose checks cannot be asked: sshd forbids the way to its tasks."""

    def __init__(self, under: Fleet) -> None:
        self.under = under

    def observe(self, names: Iterable[str], now: float) -> Mapping[str, Observation]:
        return {name: unchecked(found) for name, found in self.under.observe(names, now).items()}

    def perform(self, effects: Iterable[Effect], until: float) -> Iterator[tuple[Effect, Outcome | Transit]]:
        return self.under.perform(effects, until)

    def digest(self, image: str, node: str) -> str:
        return self.under.digest(image, node)

    def stock(self) -> Mapping[str, str]:
        return self.under.stock()


class Registered(Unasked):
    """A fleet whose registry tells what a name means, and remembers who asked."""

    def __init__(self, under: Fleet) -> None:
        super().__init__(under)
        self.asked: list[tuple[str, str]] = []

    def digest(self, image: str, node: str) -> str:
        self.asked.append((image, node))
        return "sha256:told"


def test_what_is_held_to_its_plan_is_what_is_deployed_and_a_registry_is_asked_once(manager: Manager) -> None:
    assert isinstance(manager.loop, Loop)
    manager.loop.fleet = fleet = Registered(manager.loop.fleet)
    wanted = job(task=spec("shop/web:7"))
    plan, _ = manager.preview(wanted)
    fleet.asked.clear()
    manager.deploy(wanted, Run(until=manager._clock.now() + 60, actor="ann"), expected=plan.fingerprint)
    assert fleet.asked == [("shop/web:7", NAMES[0])]
    assert manager.job("web").groups[0].spec.image == "shop/web:7@sha256:told"


def test_health_that_cannot_be_asked_is_unknown_after_its_grace_and_waited_for_no_longer(
    manager: Manager,
) -> None:
    """P1, P12: every run would last as long as it may."""
    assert isinstance(manager.loop, Loop)
    manager.loop.fleet = Unasked(manager.loop.fleet)
    check = HealthCheck(kind=CheckKind.TCP, port="http", grace=20.0)
    begun = manager._clock.now()
    wanted = job(task=spec(ports=(Port(name="http", container=80),), health=check))
    report = manager.deploy(wanted, Run(until=begun + 600, actor="ann"))
    assert (report.exit_code, report.summary) == (3, "1 change, 1 not known to be healthy")
    assert 20 <= manager._clock.now() - begun < 25
    assert not report.is_late


def test_a_run_that_has_nothing_left_to_do_is_never_late(manager: Manager) -> None:
    """P12."""
    manager.deploy(job(), RUN)
    report = manager.reconcile(replace(RUN, until=0.0))
    assert (report.exit_code, report.is_late) == (0, False)
    assert manager.deploy(job(count=2), replace(RUN, until=0.0)).is_late


def test_a_plan_shows_the_new_try_that_a_deploy_would_make(manager: Manager) -> None:
    """P12: what deploy would do first, of a job that failed for good, too."""
    hopeless = job("bad", task=spec(command=("fail",)), restart=RestartPolicy(attempts=0))
    manager.deploy(hopeless, RUN)
    plan, _ = manager.preview(hopeless)
    assert [change.slot for change in plan.changes if isinstance(change, Place)] == [
        Slot(job="bad", group="main", index=0)
    ]
    assert manager.preview()[0].changes == (), "a sweep makes none"


def test_a_cordon_follows_an_empty_node_that_is_called_otherwise_now_p7(
    manager: Manager, store: Store
) -> None:
    manager.reconcile(RUN)
    manager.cordon("node1", RUN)
    loop = manager.loop
    assert isinstance(loop, Loop)
    assert isinstance(loop.fleet, SimulatedFleet)
    machines = loop.fleet.site.machines
    machines["web1"] = machines.pop("node1")
    loop.cluster = Cluster(name="sim", nodes=(node("web1"), node("node2")))
    done = manager.deploy(job(count=4), RUN).done
    assert {step.effect.node for step in done} == {"node2"}
    assert list(store.cordons()) == ["web1"]
    assert manager.uncordon("web1", RUN)
