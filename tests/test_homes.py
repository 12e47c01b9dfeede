"""Homes: a slot's next task begins where the last one has left its data, or waits and says where that is."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from random import Random  # noqa: TID251 - the simulator draws from one seed
from typing import Any

import pytest

from cube.errors import InputError
from cube.manager.manager import Manager
from cube.manager.turn import Loop, Run
from cube.model.action import Note, Place, Wait
from cube.model.job import JobType, TaskSpec, Volume
from cube.model.move import Move
from cube.model.node import Access, Cluster, Cordon, Node, Silence
from cube.model.policy import OnUnhealthy
from cube.model.rollout import Rollout, RolloutState
from cube.model.task import Health, State, Task
from cube.reconciler.reconcile import reconcile
from cube.reconciler.world import World
from cube.scheduler.algorithms import ALGORITHMS
from cube.simulator.clock import VirtualClock
from cube.simulator.faults import SimulatedFleet, Site
from cube.simulator.machine import Machine
from cube.store.store import Store, open_store
from cube.whatif.change import Change
from cube.whatif.play import play
from tests.build import NOW, container, job, seen, spec, task, unknown, world

NODES = ("node1", "node2", "node3")
DATA = Volume(source="data", target="/data")
WRITES = spec(volumes=(DATA,))
READS = spec(volumes=(replace(DATA, read_only=True),))
CACHES = spec(volumes=(replace(DATA, sticky=False),))
ENDED = task(node="node2", state=State.COMPLETED, spec=WRITES)
LONG_SILENT = Silence(node="node2", at=NOW, misses=9, seconds=1e6)
LEFT = Cordon(node="node2", at=NOW - 5, actor="ann", draining=True, leave_data=True)


def fleet(*tasks: Task, of: TaskSpec = WRITES, **changes: Any) -> World:
    """Three nodes that have the volume, and a job with one task of that spec."""
    looks = {
        name: replace(
            seen(name, *(container(found) for found in tasks if found.node == name and is_live(found))),
            volumes=("data",),
        )
        for name in NODES
    } | changes.pop("observed", {})
    given = {"observed": looks.values(), "jobs": [job(task=of)], "tasks": tasks}
    return world(**(given | changes))


def is_live(found: Task) -> bool:
    return found.state is State.RUNNING


def placed(given: World, scheduler: str = "spread") -> list[str]:
    actions = reconcile(given, ALGORITHMS[scheduler]).actions
    return [action.node for action in actions if isinstance(action, Place)]


def waiting(given: World) -> str:
    (wait,) = (found for found in reconcile(given, ALGORITHMS["spread"]).actions if isinstance(found, Wait))
    return wait.reason


class TestTheNextTask:
    @pytest.mark.parametrize("scheduler", ["tight", "spread", "roundrobin", "random"])
    def test_begins_where_the_last_one_has_left_its_data_whoever_chooses(self, scheduler: str) -> None:
        assert placed(fleet(ENDED), scheduler) == ["node2"]

    def test_of_another_version_does_so_too_if_it_has_the_volume(self) -> None:
        assert placed(fleet(ENDED, of=replace(WRITES, image="app:2"))) == ["node2"]

    @pytest.mark.parametrize(
        ("before", "of"),
        [
            (WRITES, spec()),
            (WRITES, replace(WRITES, volumes=(replace(DATA, source="other"),))),
            (WRITES, READS),
            (WRITES, CACHES),
            (CACHES, CACHES),
            (spec(), WRITES),
        ],
    )
    def test_goes_where_it_is_best_where_it_does_not_need_what_was_written(
        self, before: TaskSpec, of: TaskSpec
    ) -> None:
        assert placed(fleet(replace(ENDED, spec=before), of=of)) == ["node1"]

    def test_of_a_new_slot_is_free(self) -> None:
        given = fleet(replace(ENDED, state=State.RUNNING), jobs=[job(task=WRITES, count=3)])
        assert sorted(placed(given)) == ["node1", "node3"]

    def test_of_a_system_job_stays_with_its_node(self) -> None:
        given = fleet(ENDED, jobs=[job(task=WRITES, type=JobType.SYSTEM)])
        assert sorted(placed(given)) == ["node1", "node2", "node3"]

    def test_goes_where_somebody_has_moved_the_slot(self) -> None:
        wish = Move(slot=ENDED.slot, source="node2", target="node3", reason="its data is there")
        done = Rollout(job="web", version=1, since=NOW - 100, state=RolloutState.SUCCEEDED)
        assert placed(fleet(ENDED, moves=[wish], rollouts=[done])) == ["node3"]

    def test_is_free_where_a_look_shows_that_the_volume_is_gone(self) -> None:
        gone = {"node2": replace(seen("node2"), volumes=())}
        assert placed(fleet(ENDED, observed=gone)) == ["node1"]
        untold = {"node2": replace(seen("node2"), volumes=None)}
        assert placed(fleet(ENDED, observed=untold)) == ["node2"]

    def test_finds_its_home_behind_a_task_that_waited_and_never_had_a_node(self) -> None:
        waits = task(node=None, state=State.PENDING, spec=WRITES, order=9, id="waits-0000")
        assert placed(fleet(waits, former=[ENDED])) == ["node2"]

    def test_follows_its_node_to_a_new_name(self) -> None:
        other = task(job="other", node="old", id="other-0-0000")
        looks = {"node3": replace(seen("node3", container(other)), volumes=("data",))}
        given = fleet(
            other, former=[replace(ENDED, node="old")], jobs=[job(task=WRITES), job("other")], observed=looks
        )
        assert placed(given) == ["node3"]
        notes = [found for found in reconcile(given, ALGORITHMS["spread"]).actions if isinstance(found, Note)]
        assert [(note.task.node, note.node) for note in notes] == [("old", "node3")] * 2


class TestItWaits:
    def test_for_a_silent_node_and_is_not_begun_anew_elsewhere(self) -> None:
        given = fleet(
            replace(ENDED, state=State.RUNNING),
            observed={"node2": unknown("node2")},
            silences=[LONG_SILENT],
        )
        assert waiting(given) == (
            "node2 is lost: its data is on node2, which does not answer: timed out; "
            "to begin anew without it: cube node drain node2 --leave-data"
        )
        (warning,) = reconcile(given, ALGORITHMS["spread"]).warnings
        assert warning.endswith("its 1 tasks are left as they are")
        assert placed(replace(given, cordons={"node2": LEFT})) == ["node1"]

    def test_for_a_node_without_room_and_says_what_is_missing(self) -> None:
        full = {"node2": replace(seen("node2", cpus=0), volumes=("data",))}
        assert waiting(fleet(ENDED, observed=full)).startswith(
            "its data is on node2, which cannot take it: cpu: 100m"
        )

    def test_for_a_node_that_is_drained_unless_its_data_may_be_left(self) -> None:
        kept = replace(LEFT, leave_data=False)
        assert waiting(fleet(ENDED, cordons=[kept])).startswith(
            "its data is on node2, which cannot take it: it is drained"
        )
        assert placed(fleet(ENDED, cordons=[LEFT])) == ["node1"]

    def test_for_a_node_that_is_not_in_the_inventory(self) -> None:
        looks = [replace(seen(name), volumes=()) for name in ("node1", "node3")]
        found = waiting(world(jobs=[job(task=WRITES)], tasks=[ENDED], observed=looks))
        assert found == (
            "its data is on node2, which is not in the inventory; "
            "to begin anew without it: cube node forget node2"
        )

    def test_in_a_supposed_fleet_too(self) -> None:
        given = fleet(replace(ENDED, state=State.RUNNING))
        found = play(given, Change(lost=frozenset({"node2"})), ALGORITHMS["spread"])
        assert ([str(stuck.slot) for stuck in found.stuck], found.moves) == (["web/main[0]"], ())


def test_a_sick_task_with_data_is_not_kept_beside_the_one_that_writes_on() -> None:
    sick = task(node="node2", spec=WRITES, health=Health.UNHEALTHY)
    given = fleet(sick, jobs=[job(task=WRITES, on_unhealthy=OnUnhealthy.QUARANTINE)])
    (action,) = reconcile(given, ALGORITHMS["spread"]).actions
    assert type(action).__name__ == "Stop"


RUN = Run(until=float("inf"), actor="ann")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with closing(open_store(tmp_path / "cube.db")) as opened:
        yield opened


@pytest.fixture
def loop(store: Store) -> Loop:
    site = Site(machines={name: Machine(name=name, cluster="sim", owner=store.owner) for name in NODES})
    fleet = SimulatedFleet(site=site, clock=VirtualClock(), random=Random(1))
    return Loop(of_nodes(*NODES), store, fleet, scheduler=ALGORITHMS["spread"], clock=fleet.clock)


def of_nodes(*names: str) -> Cluster:
    return Cluster(name="sim", nodes=tuple(Node(name=name, access=Access(address=name)) for name in names))


def home(store: Store) -> str | None:
    (found,) = (found for found in store.current_tasks() if found.state is State.RUNNING)
    return found.node


class TestAJob:
    DB = job("db", task=WRITES)

    def test_that_was_stopped_waits_for_its_node_until_that_is_back_p10(self, loop: Loop) -> None:
        manager, store = Manager(loop), loop.store
        manager.deploy(self.DB, RUN)
        node = str(home(store))
        manager.stop("db", RUN)
        manager.cordon(node, RUN)
        for _ in range(2):  # Who waits and is stopped has no node, and leaves its home as it was.
            assert manager.deploy(self.DB, RUN).exit_code == 1
            manager.stop("db", RUN)
        manager.uncordon(node, RUN)
        assert manager.deploy(self.DB, RUN).exit_code == 0
        assert home(store) == node

    def test_begins_anew_elsewhere_once_its_node_is_forgotten(self, loop: Loop) -> None:
        manager, store = Manager(loop), loop.store
        manager.deploy(self.DB, RUN)
        node = str(home(store))
        manager.stop("db", RUN)
        loop.cluster = of_nodes(*(name for name in NODES if name != node))
        assert manager.deploy(self.DB, RUN).exit_code == 1
        manager.forget_node(node, RUN)
        assert home(store) not in (None, node)
        with pytest.raises(InputError, match="no task is recorded on a node"):
            manager.forget_node("node9", RUN)

    def test_gets_its_slots_back_where_they_were_after_it_was_scaled_down(self, loop: Loop) -> None:
        manager, store = Manager(loop), loop.store
        manager.deploy(job("db", 3, task=WRITES), RUN)
        before = {found.slot: found.node for found in store.current_tasks()}
        manager.scale("db", {"main": 1}, RUN)
        manager.deploy(job("other", 3), RUN)
        manager.scale("db", {"main": 3}, RUN)
        after = {found.slot: found.node for found in store.current_tasks() if found.slot.job == "db"}
        assert after == before
