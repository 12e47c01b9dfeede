"""System, periodic and parameterized jobs: which tasks they want, and when."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from cube.errors import InputError
from cube.manager.wanted import dispatched, scaled
from cube.model.action import Forget, Launch, Place, Plan, Stop
from cube.model.job import Constraint, Job, JobType, Operator, Parameters, Schedule
from cube.model.node import Cordon
from cube.model.policy import Condition
from cube.model.rollout import Rollout, RolloutState
from cube.model.task import Slot, State
from cube.reconciler.periodic import RUNS_KEPT, next_runs, run_of
from cube.reconciler.reconcile import reconcile
from cube.reconciler.world import World
from cube.scheduler.algorithms import ALGORITHMS
from cube.view.fleet import wanted_of
from tests.build import NOW, container, job, node, seen, task, unknown, world


def plan(given: World) -> Plan:
    return reconcile(given, ALGORITHMS["spread"])


def places(found: Plan) -> list[tuple[str, str]]:
    return [(str(action.slot), action.node) for action in found.actions if isinstance(action, Place)]


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


class TestASystemJob:
    agent = job("agent", type=JobType.SYSTEM)

    def test_has_one_task_on_every_node(self) -> None:
        looks = [seen("node1"), seen("node2"), seen("node3")]
        assert places(plan(world(jobs=[self.agent], observed=looks))) == [
            ("agent/main[0]", "node1"),
            ("agent/main[1]", "node2"),
            ("agent/main[2]", "node3"),
        ]

    def test_follows_a_node_that_joins_and_touches_no_other_p7(self) -> None:
        held = [task(0, job="agent"), task(1, job="agent", node="node3")]
        looks = [seen("node0"), seen("node1", container(held[0])), seen("node3", container(held[1]))]
        found = plan(world(jobs=[self.agent], tasks=held, observed=looks))
        assert places(found) == [("agent/main[2]", "node0")]
        assert not [action for action in found.actions if isinstance(action, Stop)]

    def test_is_only_where_its_constraints_allow(self) -> None:
        on_ssd = Constraint(attribute="label.disk", operator=Operator.EQUAL, values=("ssd",))
        nodes = [node("node1"), node("node2", labels={"disk": "ssd"})]
        wanted = job("agent", type=JobType.SYSTEM, constraints=(on_ssd,))
        found = plan(world(jobs=[wanted], nodes=nodes, observed=[seen("node1"), seen("node2")]))
        assert places(found) == [("agent/main[0]", "node2")]

    def test_cannot_be_scaled_p17(self) -> None:
        with pytest.raises(InputError, match="one task on each node"):
            scaled(self.agent, {"main": 5})

    def test_waits_for_no_node_that_is_silent_p2(self) -> None:
        found = plan(world(jobs=[self.agent], observed=[seen("node1"), unknown("node2")]))
        assert places(found) == [("agent/main[0]", "node1")]

    def test_leaves_a_drained_node_after_all_others(self) -> None:
        drain = Cordon(node="node1", at=NOW, actor="ann", draining=True)
        agent, guest = task(0, job="agent"), task(0)
        looks = [seen("node1", container(agent), container(guest)), seen("node2")]
        given = world(jobs=[self.agent, job()], tasks=[agent, guest], observed=looks, cordons=[drain])
        assert [action.container_name for action in plan(given).actions if isinstance(action, Stop)] == []
        alone = replace(given, tasks=(agent,), observed={"node1": seen("node1", container(agent))})
        (stop,) = (action for action in plan(alone).actions if isinstance(action, Stop))
        assert (stop.task, stop.reason) == (agent, "node1 is drained")


class TestASystemGroup:
    """Beside services of its job."""

    both = replace(
        job("shop", 2),
        groups=(*job("shop", 2).groups, replace(job().groups[0], name="agent", type=JobType.SYSTEM)),
    )

    def test_has_one_task_on_every_node_and_the_others_are_as_many_as_they_are(self) -> None:
        looks = [seen("node1"), seen("node2"), seen("node3")]
        found = dict(places(plan(world(jobs=[self.both], observed=looks))))
        assert sorted(found) == [
            *(f"shop/agent[{index}]" for index in range(3)),
            "shop/main[0]",
            "shop/main[1]",
        ]
        assert {found[f"shop/agent[{index}]"] for index in range(3)} == {"node1", "node2", "node3"}

    def test_cannot_be_scaled_and_the_others_can_p17(self) -> None:
        with pytest.raises(InputError, match=r"shop/agent cannot be scaled: it has one task on each node"):
            scaled(self.both, {"agent": 5})
        assert scaled(self.both, {"main": 5}).groups[0].count == 5

    def test_is_told_as_wanted_wherever_it_is(self) -> None:
        agents = {Slot(job="shop", group="agent", index=index) for index in range(3)}
        assert wanted_of(self.both, agents) == 2 + 3
        assert wanted_of(replace(self.both, stopped=True), agents) == 0


class TestABatchJob:
    hello = job("hello", type=JobType.BATCH)

    @pytest.mark.parametrize(
        ("code", "begun"),
        [
            (0, []),  # ended well
            (3, [("hello/main[0]", "node1")]),  # failed for good, and deployed again
            (None, [("hello/main[0]", "node1")]),  # stopped on purpose, drained, or its node was forgotten
        ],
    )
    def test_is_done_only_by_tasks_that_ended_well_p12(
        self, code: int | None, begun: list[tuple[str, str]]
    ) -> None:
        ended = task(job="hello", state=State.COMPLETED, exit_code=code)
        assert places(plan(world(jobs=[self.hello], tasks=[ended], observed=[seen("node1")]))) == begun

    def test_that_failed_and_is_tried_again_is_not_what_others_wait_for_p12(self) -> None:
        migrate, web = (replace(job().groups[0], name=name) for name in ("migrate", "web"))
        migrate = replace(migrate, type=JobType.BATCH)
        web = replace(web, depends_on={"migrate": Condition.COMPLETED})
        wanted = replace(job(), groups=(migrate, web))
        failed = task(state=State.COMPLETED, exit_code=1)
        failed = replace(failed, slot=replace(failed.slot, group="migrate"))
        found = plan(world(jobs=[wanted], tasks=[failed], observed=[seen("node1")]))
        assert places(found) == [("web/migrate[0]", "node1")]


class TestTheCalendar:
    def test_is_that_of_the_time_zone_also_when_its_clocks_change(self) -> None:
        """On 2026-10-25 Berlin's clocks go back from 3 to 2: two in the morning is still once a day."""
        schedule = Schedule(cron="0 2 * * *", timezone="Europe/Berlin")
        runs = next_runs(schedule, at("2026-10-23T12:00"), 4)
        assert [datetime.fromtimestamp(run, UTC).strftime("%d %H:%M") for run in runs] == [
            "24 00:00",
            "25 00:00",
            "26 01:00",
            "27 01:00",
        ]


class TestAPeriodicJob:
    schedule = Schedule(cron="0 * * * *")
    wanted = job("backup", type=JobType.PERIODIC, schedule=schedule)
    noon = at("2026-11-20T12:00")

    def launches(self, now: float, since: float, *runs: Job, **changes: Any) -> list[Launch]:
        parent = replace(self.wanted, schedule=replace(self.schedule, **changes))
        begun = Rollout(job="backup", version=1, since=since, state=RolloutState.SUCCEEDED)
        given = world(jobs=[parent, *runs], rollouts=[begun], now=now, tasks=self.tasks)
        return [action for action in plan(given).actions if isinstance(action, Launch)]

    @property
    def tasks(self) -> list[Any]:
        return []

    def test_wants_no_task_itself(self) -> None:
        assert places(plan(world(jobs=[self.wanted]))) == []

    def test_begins_a_run_when_one_is_due(self) -> None:
        (launch,) = self.launches(self.noon, self.noon - 60)
        assert (launch.job.name, launch.job.type, launch.job.parent) == (
            "backup.20261120T1200",
            JobType.BATCH,
            "backup",
        )
        assert launch.reason == "due at 2026-11-20 12:00 UTC"

    def test_begins_none_before_nor_for_a_time_before_it_was_deployed(self) -> None:
        assert self.launches(self.noon - 1, self.noon - 60) == []
        assert self.launches(self.noon + 1800, self.noon + 60) == []

    def test_makes_up_for_missed_runs_once_and_says_so(self) -> None:
        (launch,) = self.launches(self.noon + 100, self.noon - 3 * 3600 - 60)
        assert launch.job.launched == self.noon
        assert launch.reason.endswith("3 earlier runs were missed and are not made up for")

    def test_says_of_a_run_that_was_missed_how_late_it_is_caught_up(self) -> None:
        (launch,) = self.launches(self.noon + 1800, self.noon - 60)
        assert launch.reason == (
            "due at 2026-11-20 12:00 UTC; it was missed then, and is caught up 30 minutes later"
        )

    def test_begins_no_second_run_of_one_time_p4(self) -> None:
        run = replace(run_of(self.wanted, "20261120T1200", self.noon), version=1)
        assert self.launches(self.noon + 60, self.noon - 60, run, prohibit_overlap=False) == []

    def test_begins_none_while_another_is_under_way_unless_that_is_allowed(self) -> None:
        run = replace(run_of(self.wanted, "20261120T1100", self.noon - 3600), version=1)
        assert self.launches(self.noon, self.noon - 7200, run) == []
        assert len(self.launches(self.noon, self.noon - 7200, run, prohibit_overlap=False)) == 1

    def test_says_when_to_look_again(self) -> None:
        begun = Rollout(job="backup", version=1, since=self.noon, state=RolloutState.SUCCEEDED)
        found = plan(world(jobs=[self.wanted], rollouts=[begun], now=self.noon + 1))
        assert (found.wake, found.due) == (self.noon + 3600, {})


class TestARun:
    parent = job("backup", type=JobType.PERIODIC, schedule=Schedule(cron="0 * * * *", deadline=600.0))
    run = replace(run_of(parent, "20270115T0800", NOW - 700), version=1)

    def test_is_placed_as_a_batch_job(self) -> None:
        assert places(plan(world(jobs=[self.run]))) == [("backup.20270115T0800/main[0]", "node1")]

    def test_is_stopped_when_it_takes_longer_than_its_schedule_allows(self) -> None:
        mine = task(job=self.run.name)
        begun = Rollout(job=self.run.name, version=1, since=NOW - 601, state=RolloutState.SUCCEEDED)
        found = plan(world(jobs=[self.run], tasks=[mine], rollouts=[begun]))
        assert [action.reason for action in found.actions if isinstance(action, Stop)] == [
            "its run has taken longer than the schedule allows"
        ]

    def test_that_was_stopped_so_is_not_begun_again_when_the_clock_is_set_back(self) -> None:
        """Seed 7704914."""
        stopped = task(job=self.run.name, state=State.COMPLETED, changed_at=NOW + 100)
        begun = Rollout(job=self.run.name, version=1, since=NOW - 550, state=RolloutState.SUCCEEDED)
        found = plan(world(jobs=[self.run], tasks=[stopped], rollouts=[begun], observed=[seen("node1")]))
        assert places(found) == []

    def test_is_forgotten_with_its_containers_when_newer_ones_are_enough(self) -> None:
        runs = [
            replace(run_of(self.parent, f"run{index}", NOW - 100 + index), version=1) for index in range(7)
        ]
        done = [task(job=run.name, id=f"done-{run.name}", state=State.COMPLETED, exit_code=0) for run in runs]
        given = world(jobs=runs, tasks=done)
        first = [action.container_name for action in plan(given).actions if isinstance(action, Stop)]
        assert first == [found.container_name for found in done[: 7 - RUNS_KEPT]]
        left = world(jobs=runs, tasks=done, observed=[seen("node1", *map(container, done[2:]))])
        assert [action.job for action in plan(left).actions if isinstance(action, Forget)] == [
            run.name for run in runs[:2]
        ]


class TestADispatch:
    resize = job(
        "resize", type=JobType.PARAMETERIZED, parameters=Parameters(required=("input",), optional=("size",))
    )

    def test_hands_the_values_to_every_group_as_variables(self) -> None:
        run = dispatched(self.resize, {"input": "a.png"}, now=NOW)
        assert run.groups[0].spec.env == {"CUBE_PARAM_INPUT": "a.png"}
        assert (run.type, run.parent) == (JobType.BATCH, "resize")

    @pytest.mark.parametrize(
        ("values", "why"),
        [({}, "missing: input"), ({"input": "a", "colour": "b"}, "not a parameter: colour")],
    )
    def test_refuses_values_that_are_missing_or_unknown_p17(self, values: dict[str, str], why: str) -> None:
        with pytest.raises(InputError, match=why):
            dispatched(self.resize, values, now=NOW)

    def test_of_a_stopped_job_is_refused_and_so_is_its_scaling_p12(self) -> None:
        stopped = replace(self.resize, stopped=True)
        with pytest.raises(InputError, match="cannot be dispatched: it is stopped"):
            dispatched(stopped, {"input": "a"}, now=NOW)
        with pytest.raises(InputError, match="cannot be scaled: it is stopped"):
            scaled(stopped, {"main": 2})

    def test_refuses_a_job_of_another_type_p17(self) -> None:
        with pytest.raises(InputError, match="it is of type service"):
            dispatched(job(), {}, now=NOW)


def test_a_slot_of_a_system_job_is_its_nodes_for_as_long_as_the_task_lives() -> None:
    mine = task(3, job="agent", node="node2")
    found = plan(
        world(
            jobs=[job("agent", type=JobType.SYSTEM)],
            tasks=[mine],
            observed=[seen("node1"), seen("node2", container(mine))],
        )
    )
    assert [action.slot for action in found.actions if isinstance(action, Place)] == [
        Slot(job="agent", group="main", index=0)
    ]
