"""Moves: a task goes to the node where somebody wants it, safely, or stays where it is."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from random import Random  # noqa: TID251 - the simulator draws from one seed
from typing import Any

import pytest

from cube.cli import why_recorded
from cube.cli.options import Output
from cube.errors import InputError
from cube.manager.manager import Manager
from cube.manager.moves import move, preview, rebalance
from cube.manager.office import Office
from cube.manager.turn import Loop, Run
from cube.model.action import EndMove, Place, Plan, Stop
from cube.model.job import JobType, Port, TaskSpec, Volume
from cube.model.move import Move
from cube.model.node import Cluster, Cordon
from cube.model.observation import Observation
from cube.model.policy import Order
from cube.model.rollout import Rollout, RolloutState
from cube.model.task import Health, Slot, State, Task
from cube.reconciler.reconcile import reconcile
from cube.reconciler.world import World
from cube.scheduler.algorithms import ALGORITHMS
from cube.simulator.clock import VirtualClock
from cube.simulator.faults import SimulatedFleet, Site
from cube.simulator.machine import Machine
from cube.store.store import Store, open_store
from tests.build import GIB, NOW, container, job, node, seen, spec, task, unknown, world

SLOT = Slot(job="web", group="main", index=0)
WISH = Move(slot=SLOT, source="node1", target="node3", reason="gains 0.100 (0.4 -> 0.5) for 1 restart of 1")
IN_PLACE = Rollout(job="web", version=1, since=NOW - 100, state=RolloutState.SUCCEEDED)
FIXED_PORT = spec(ports=(Port(name="http", container=80, host=8080),))
WRITES = spec(volumes=(Volume(source="data", target="/data"),))
NODES = ("node1", "node2", "node3")


def fleet(*tasks: Task, of: TaskSpec | None = None, wish: Move = WISH, **changes: Any) -> World:
    """Three nodes, of which the third is to get the job's first task; the first has it, or `tasks` say."""
    held = tasks or (task(spec=of or spec()),)
    looks = changes.pop("observed", {})
    rollout = changes.pop("rollout", IN_PLACE)
    cordons = changes.pop("cordons", ())
    observed: dict[str, Observation] = {
        name: seen(name, *(container(found) for found in held if found.node == name)) for name in NODES
    }
    count = len({found.slot for found in held})
    return world(
        jobs=[job(task=of, **{"count": count, **changes})],
        tasks=held,
        observed=(observed | looks).values(),
        rollouts=[rollout],
        cordons=cordons,
        moves=[wish],
    )


def arrived(of: Task, **changes: Any) -> Task:
    values: dict[str, Any] = {"id": "next-0-0000", "order": 100, "node": "node3", "changed_at": NOW - 10}
    return replace(of, **(values | changes))


def plan(given: World) -> Plan:
    return reconcile(given, ALGORITHMS["spread"])


def begun(found: Plan) -> list[tuple[str, str]]:
    return [(str(action.slot), action.node) for action in found.actions if isinstance(action, Place)]


def stopped(found: Plan) -> list[str]:
    return [action.node for action in found.actions if isinstance(action, Stop)]


def dropped(found: Plan) -> list[str]:
    ends = [action for action in found.actions if isinstance(action, EndMove)]
    assert not any(end.is_done for end in ends)
    return [end.reason for end in ends]


class TestAMove:
    def test_begins_beside_the_old_task_on_that_node_with_price_and_gain_p19(self) -> None:
        found = plan(fleet())
        assert (begun(found), stopped(found), dropped(found)) == ([("web/main[0]", "node3")], [], [])
        (place,) = (action for action in found.actions if isinstance(action, Place))
        assert place.reason.startswith(f"moves to node3: {WISH.reason}: ")

    def test_begins_beside_it_with_a_fixed_port_too_for_that_is_another_nodes(self) -> None:
        assert begun(plan(fleet(of=FIXED_PORT))) == [("web/main[0]", "node3")]

    @pytest.mark.parametrize("changes", [{"order": Order.STOP_FIRST}, {"of": WRITES}])
    def test_is_stop_first_where_no_two_may_run_and_the_next_one_goes_there(
        self, changes: dict[str, Any]
    ) -> None:
        found = plan(fleet(**changes))
        assert (begun(found), stopped(found)) == ([], ["node1"])
        between = fleet(task(spec=changes.get("of", spec()), state=State.COMPLETED), **changes)
        empty = {"node1": seen("node1")}
        assert begun(plan(replace(between, observed={**between.observed, **empty}))) == [
            ("web/main[0]", "node3")
        ]

    def test_lets_the_old_task_serve_until_the_new_one_is_proven_p19(self) -> None:
        young = fleet(task(), arrived(task(), changed_at=NOW - 1))
        assert (stopped(plan(young)), plan(young).due_for("web")) == ([], NOW + 1)
        assert stopped(plan(fleet(task(), arrived(task())))) == ["node1"]

    def test_goes_on_where_the_new_one_runs_and_nobody_has_recorded_that_p7(self) -> None:
        """Seed 911001818: the manager was killed for an hour in the midst, and the old node was lost."""
        new = arrived(task(), state=State.SCHEDULED, changed_at=NOW - 4000)
        found = plan(fleet(task(), new, observed={"node1": unknown("node1")}))
        assert (dropped(found), stopped(found)) == ([], [])

    def test_is_done_once_the_new_one_is_alone_and_proven(self) -> None:
        alone = fleet(arrived(task()))
        assert plan(alone).actions == (EndMove(move=WISH, is_done=True, reason=WISH.reason),)
        young = fleet(arrived(task(), changed_at=NOW - 1))
        assert (plan(young).actions, plan(young).due_for("web")) == ((), NOW + 1)

    def test_waits_while_as_many_are_under_way_as_the_update_policy_allows_p19(self) -> None:
        other = task(1, node="node2", changed_at=NOW - 1)
        assert begun(plan(fleet(task(), other))) == []
        assert begun(plan(fleet(task(), other, max_parallel=2))) == [("web/main[0]", "node3")]

    def test_waits_while_its_slot_is_to_be_empty_and_so_does_the_slot_p9(self) -> None:
        vacated = {WISH.slot: "its data moves to node3"}
        found = plan(replace(fleet(), vacated=vacated))
        assert [(action.node, action.reason) for action in found.actions if isinstance(action, Stop)] == [
            ("node1", "its data moves to node3")
        ]
        between = replace(fleet(task(state=State.COMPLETED)), vacated=vacated)
        empty = {"node1": seen("node1")}
        assert plan(replace(between, observed={**between.observed, **empty})).actions == ()

    def test_waits_for_a_silent_old_node_once_the_new_one_runs_p3(self) -> None:
        away = fleet(task(), arrived(task()), observed={"node1": unknown("node1")})
        assert plan(away).actions == ()


class TestAMoveIsDropped:
    @pytest.mark.parametrize(
        ("changes", "why"),
        [
            ({"observed": {"node3": unknown("node3")}}, "node3 does not answer"),
            ({"observed": {"node1": unknown("node1")}}, "node1 does not answer"),
            ({"cordons": [Cordon(node="node3", at=NOW, actor="me")]}, "it is cordoned"),
            ({"cordons": [Cordon(node="node3", at=NOW, actor="me", draining=True)]}, "node3 is drained"),
            ({"observed": {"node3": seen("node3", memory=GIB // 16)}}, "memory: 128MiB asked"),
            ({"wish": replace(WISH, target="node4")}, "node4 does not answer"),
            ({"rollout": replace(IN_PLACE, state=RolloutState.RUNNING)}, "version 1 is not in place"),
            ({"stopped": True}, "nobody wants it any more"),
            ({"type": JobType.SYSTEM}, "it belongs to node1"),
        ],
    )
    def test_with_the_reason_and_the_old_task_stays_p7(self, changes: dict[str, Any], why: str) -> None:
        found = plan(fleet(**changes))
        (reason,) = dropped(found)
        assert reason.startswith(why)
        assert not [slot for slot, _ in begun(found) if slot == "web/main[0]"]
        assert stopped(found) == (["node1"] if "stopped" in changes else [])

    @pytest.mark.parametrize(
        ("fate", "why"),
        [
            ({"state": State.FAILED, "restarts": 2, "reason": "exited with 1"}, "failed: exited with 1"),
            ({"health": Health.UNHEALTHY}, "is unhealthy"),
        ],
    )
    def test_when_the_new_task_does_not_come_up_and_that_one_goes_p19(
        self, fate: dict[str, Any], why: str
    ) -> None:
        sick = fleet(task(), arrived(task(), **fate))
        found = plan(sick)
        assert dropped(found) == [f"its task there {why}"]
        assert stopped(found) == ["node3"]

    def test_when_its_node_was_let_down_after_a_stop_and_the_slot_is_filled_elsewhere(self) -> None:
        between = fleet(
            task(state=State.COMPLETED),
            order=Order.STOP_FIRST,
            observed={"node1": seen("node1"), "node3": unknown("node3")},
        )
        found = plan(between)
        assert dropped(found) == ["node3 does not answer"]
        assert [slot for slot, _ in begun(found)] == ["web/main[0]"]


RUN = Run(until=float("inf"), actor="ann")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with closing(open_store(tmp_path / "test.db")) as made:
        yield made


@pytest.fixture
def loop(store: Store) -> Loop:
    """Three machines, two of which are in the inventory."""
    machines = {
        name: Machine(name=name, cluster="sim", owner=store.owner, images=frozenset({"app:1"}))
        for name in NODES
    }
    clock = VirtualClock()
    fleet = SimulatedFleet(site=Site(machines=machines), clock=clock, random=Random(1))
    return Loop(of_nodes(*NODES[:2]), store, fleet, scheduler=ALGORITHMS["spread"], clock=clock)


@pytest.fixture
def manager(loop: Loop) -> Manager:
    """Two nodes had four tasks of one job, and then a third node came."""
    made = Manager(loop)
    made.deploy(job(count=4), RUN)
    loop.cluster = of_nodes(*NODES)
    loop.clock.sleep(60)
    return made


def of_nodes(*names: str) -> Cluster:
    return Cluster(name="sim", nodes=tuple(node(name) for name in names))


def homes(store: Store) -> list[str]:
    return sorted(str(found.node) for found in store.current_tasks() if found.state is State.RUNNING)


class TestARebalance:
    def test_does_what_its_plan_says_one_move_at_a_time_p8(self, manager: Manager, store: Store) -> None:
        planned = preview(manager, max_moves=10, min_gain=0.05)
        report = rebalance(manager, RUN, max_moves=10, min_gain=0.05)
        assert [end.move for end in report.moves] == [found.wish for found in planned]
        assert (report.exit_code, report.summary) == (0, "2 changes, 1 moved")
        assert homes(store) == ["node1", "node2", "node2", "node3"]
        assert store.moves() == {}

    def test_does_nothing_the_second_time_p10(self, manager: Manager) -> None:
        rebalance(manager, RUN, max_moves=10, min_gain=0.05)
        again = rebalance(manager, RUN, max_moves=10, min_gain=0.05)
        assert (again.done, again.moves, again.exit_code) == ((), (), 0)

    def test_moves_no_more_than_it_may_and_nothing_for_less(self, manager: Manager) -> None:
        assert rebalance(manager, RUN, max_moves=10, min_gain=0.9).moves == ()
        assert len(rebalance(manager, RUN, max_moves=1, min_gain=0.01).moves) == 1

    def test_first_ends_a_move_that_somebody_left_in_the_midst(self, manager: Manager, store: Store) -> None:
        store.put_move(replace(WISH, source=str(store.current_tasks()[0].node)), now=0.0, actor="bob")
        report = rebalance(manager, RUN, max_moves=1, min_gain=0.05)
        assert homes(store) == ["node1", "node2", "node2", "node3"]
        assert (report.exit_code, report.moves, store.moves()) == (0, (), {})

    def test_is_refused_for_a_scheduler_that_takes_turns(self, manager: Manager, loop: Loop) -> None:
        loop.scheduler = ALGORITHMS["random"]
        with pytest.raises(InputError, match="takes turns"):
            rebalance(manager, RUN, max_moves=1, min_gain=0.0)


class TestAMoveByHand:
    def test_is_made_and_told_by_why(
        self, manager: Manager, store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert move(manager, "web/main[0]", "node3", RUN).exit_code == 0
        assert "node3" in homes(store)
        place = Office(cluster=manager.cluster, state=tmp_path / "test.db", keys=tmp_path, scheduler="spread")
        why_recorded.tell(place, "web/main[0]", None, 4e9, Output.TABLE)
        told = capsys.readouterr().out
        assert "moves to node3: ann wants it there" in told
        assert "moved web/main[0] from node1 to node3: ann wants it there" in told

    def test_that_finds_no_room_exits_with_1_and_changes_nothing(
        self, manager: Manager, store: Store
    ) -> None:
        before = store.current_tasks()
        manager.cordon("node3", RUN)
        report = move(manager, "web/main[0]", "node3", RUN)
        assert (report.exit_code, report.summary) == (1, "0 changes, 1 not moved")
        assert store.current_tasks() == before

    @pytest.mark.parametrize(
        ("name", "there", "why"),
        [
            ("web/main[0]", "node9", "there is no node"),
            ("web/main[9]", "node3", "no task with a container"),
            ("web", "node3", "names 4 tasks"),
            ("web/main[0]", "node1", "is on node1 already"),
            ("each", "node3", "it is a system task"),
            ("db", "node3", "it writes to a volume"),
        ],
    )
    def test_of_what_cannot_be_moved_is_refused(
        self, manager: Manager, loop: Loop, name: str, there: str, why: str
    ) -> None:
        loop.cluster = of_nodes("node2")
        manager.deploy(job("each", type=JobType.SYSTEM), RUN)
        manager.deploy(job("db", task=WRITES), RUN)
        loop.cluster = of_nodes(*NODES)
        with pytest.raises(InputError, match=why):
            move(manager, name, there, RUN)
        assert loop.store.moves() == {}


class TestADrain:
    def test_is_refused_where_a_service_would_leave_behind_what_it_has_written(
        self, manager: Manager, loop: Loop
    ) -> None:
        loop.cluster = of_nodes("node2")
        manager.deploy(job("db", task=WRITES), RUN)
        with pytest.raises(
            InputError, match=r"tasks would leave their data on node2: db/main\[0\] writes to data"
        ):
            manager.drain("node2", RUN)
        assert loop.store.cordons() == {}
        manager.drain("node2", RUN, leave_data=True)
        assert loop.store.cordons()["node2"].leave_data

    def test_is_not_refused_for_a_task_that_belongs_there_or_only_reads(
        self, manager: Manager, loop: Loop
    ) -> None:
        loop.cluster = of_nodes("node2")
        reads = spec(volumes=(Volume(source="data", target="/data", read_only=True),))
        manager.deploy(job("each", type=JobType.SYSTEM, task=WRITES), RUN)
        manager.deploy(job("reader", task=reads), RUN)
        manager.drain("node2", RUN)


def test_a_job_that_is_forgotten_takes_its_moves_along_p20(manager: Manager, store: Store) -> None:
    store.put_move(WISH, now=0.0, actor="ann")
    manager.remove("web", RUN)
    assert store.moves() == {}
    assert store.check() == ()
