"""The service: the loop without end, over simulated machines in real time."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import pytest

from cube.errors import CubeError, UnreachableError
from cube.manager.picture import Picture
from cube.manager.report import Done, Step
from cube.manager.upkeep import remember
from cube.model.action import Plan
from cube.model.observation import Observation
from cube.model.policy import RestartPolicy
from cube.model.task import State
from cube.model.transit import Transit
from cube.store.store import open_store
from tests.build import NOW, job, seen, spec, unknown
from tests.stage import PATIENCE, Stage, run, staged


@pytest.fixture
def stage() -> Iterator[Stage]:
    with staged() as found:
        yield found


def test_a_deploy_through_the_service_settles_and_a_second_one_changes_nothing_p10_p12(stage: Stage) -> None:
    report = stage.manager.deploy(job(count=3), run())
    assert (report.exit_code, report.changed) == (0, 3)
    assert stage.manager.deploy(job(count=3), run()).done == ()


def test_what_the_engine_tells_is_acted_upon_without_waiting_for_the_next_look() -> None:
    with staged(every=3600.0) as stage:
        stage.manager.deploy(job(count=1, restart=RestartPolicy(delay=0.01)), run())
        (task,) = stage.store.current_tasks()
        machine = stage.machines[str(task.node)]
        machine.machine.end(str(task.container), 1)
        machine.told.put("die")
        stage.until(lambda: stage.store.current_tasks()[0].restarts == 1)


@pytest.mark.parametrize("code", [0, 1])
def test_a_service_that_ends_has_failed_and_leaves_a_post_mortem_whatever_it_ends_with(
    stage: Stage, code: int
) -> None:
    stage.manager.deploy(job(count=1, restart=RestartPolicy(delay=0.01)), run())
    (task,) = stage.store.current_tasks()
    machine = stage.machines[str(task.node)]
    machine.machine.end(str(task.container), code)
    machine.told.put("die")
    stage.until(lambda: stage.store.post_mortems("web"))
    (death,) = stage.store.post_mortems("web")
    assert (death.task, death.found.exit_code) == (task.id, code)
    assert f"exited with {code}" in [event.reason for event in stage.store.events(job="web")]


def test_a_fleet_that_is_settled_is_planned_for_again_once_something_has_changed(tmp_path: Path) -> None:
    """Also where another Cube has changed what is wanted, of which the service is not told."""
    with staged(state=tmp_path / "state.db") as stage, closing(open_store(tmp_path / "state.db")) as other:
        stage.manager.deploy(job(count=3, min_healthy_time=0.0), run())

        def turns_in(sweeps: int) -> int:
            before, begun = stage.service.turning.turns, len(stage.store.sweeps(1000))
            stage.until(lambda: len(stage.store.sweeps(1000)) >= begun + sweeps)
            return stage.service.turning.turns - before

        turns_in(3)  # of what was done last is heard with the next look
        assert turns_in(4) == 0
        other.put_job(job("mail", count=1, min_healthy_time=0.0), now=NOW, actor="ann", reason="deploy")
        stage.until(lambda: len(stage.running()) == 4)


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


def test_no_turn_comes_between_what_is_asked_for_and_the_one_who_asks(stage: Stage) -> None:
    """Else the first steps would be told to nobody, and recorded as the service's own."""
    told: list[Step] = []
    begun = stage.service.turning.turns

    def linger() -> None:
        stage.service.wake()
        threading.Event().wait(1.0)

    asked = replace(run(), tell=told.append, recorded=linger)
    report = stage.manager.deploy(job(count=2, min_healthy_time=0.0), asked)
    assert stage.service.turning.turns > begun
    assert (report.exit_code, report.changed) == (0, 2)
    assert [step.effect.node for step in told if isinstance(step, Done)] == [
        step.effect.node for step in report.done
    ]
    assert isinstance(told[0], Plan)
    assert {event.actor for event in stage.store.events() if event.slot.job} == {"ann"}


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


@dataclass
class Pictured:
    """What one manager sees."""

    observed: Mapping[str, Observation]

    def taken(self) -> Mapping[str, Observation]:
        return self.observed


def test_two_managers_at_one_state_count_what_both_missed_once_p3() -> None:
    """Both look every 10 s, 4 s apart; where all are missed, the count begins anew at once."""
    gone = Pictured({"node1": unknown("node1"), "node2": seen("node2"), "node3": seen("node3")})
    blind = Pictured({name: unknown(name) for name in gone.observed})
    with closing(open_store(":memory:")) as store:
        for at in (0.0, 4.0, 10.0, 14.0, 20.0, 24.0):
            remember(store, cast("Picture", gone), NOW + at, every=10.0)
        silence = store.silences()["node1"]
        assert (silence.misses, silence.seconds, silence.at) == (3, 20.0, NOW + 20)
        remember(store, cast("Picture", blind), NOW + 24.5, every=10.0)
        assert store.silences()["node1"].misses == 0


def test_how_far_an_image_is_is_told_to_whom_it_concerns_and_recorded_nowhere(stage: Stage) -> None:
    stage.manager.deploy(job(count=1, min_healthy_time=0.0), run())
    for each in stage.machines.values():
        each.machine.registry = frozenset({"shop/web:7"})
    steps: list[Step] = []
    wanted = job(count=1, task=spec("shop/web:7"), min_healthy_time=0.0)
    report = stage.manager.deploy(wanted, replace(run(), tell=steps.append))
    assert report.exit_code == 0
    (node,) = stage.running().values()
    transit = Transit(node=str(node), image="shop/web:7", job="web", layers=1)
    first = next(at for at, step in enumerate(steps) if isinstance(step, Done))
    assert steps.index(transit) < first, "it was heard of before it had come"
    told = [event.reason for event in stage.store.events(job="web") if "shop/web:7" in event.reason]
    assert [reason.partition(":")[0] for reason in told] == ["to be fetched", "fetched"]
