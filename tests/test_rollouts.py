"""Rollouts, decision by decision: what begins, what is held, and how each ends."""

from dataclasses import replace
from typing import Any

import pytest

from cube.model.action import Conclude, Note, Place, Plan, Revert, Stop, Wait
from cube.model.job import CheckKind, Group, HealthCheck, Job, JobType, Port, TaskSpec, Volume
from cube.model.node import Cordon
from cube.model.observation import Container, ContainerState, Observation
from cube.model.policy import Condition, Order, ReschedulePolicy, RestartPolicy
from cube.model.resources import Resources
from cube.model.rollout import Rollout, RolloutState
from cube.model.task import Health, Slot, State, Task
from cube.reconciler.reconcile import reconcile
from cube.reconciler.world import World
from cube.scheduler.algorithms import ALGORITHMS
from tests.build import GIB, NOW, container, foreign, job, moved, seen, spec, task, unknown, world

CHECK = HealthCheck(kind=CheckKind.TCP, port="http")
NEW = spec("app:2")
CHECKED = spec("app:2", health=CHECK)
FIXED_PORT = spec("app:2", ports=(Port(name="http", container=80, host=8080),))
WRITES = spec("app:2", volumes=(Volume(source="data", target="/data"),))
CACHES = spec("app:2", volumes=(Volume(source="data", target="/data", sticky=False),))
READS = spec("app:2", volumes=(Volume(source="data", target="/data", read_only=True),))
TIGHT = 200 * 2**20

RUNNING = Rollout(job="web", version=2, since=NOW - 50, stable=1)
PAUSED = replace(RUNNING, state=RolloutState.PAUSED)
FAILED = replace(RUNNING, state=RolloutState.FAILED, reason="it is sick")
SUCCEEDED = replace(RUNNING, state=RolloutState.SUCCEEDED)


def plan(given: World) -> Plan:
    return reconcile(given, ALGORITHMS["spread"])


def begun(found: Plan) -> list[str]:
    return [str(action.slot) for action in found.actions if isinstance(action, Place)]


def stopped(found: Plan) -> list[str]:
    return [action.container_name for action in found.actions if isinstance(action, Stop)]


def ends(found: Plan) -> list[tuple[RolloutState, str]]:
    return [(action.state, action.reason) for action in found.actions if isinstance(action, Conclude)]


def successor(of: Task, **changes: Any) -> Task:
    values: dict[str, Any] = {"spec": NEW, "version": 2, "changed_at": NOW - 10}
    index = of.slot.index
    return replace(of, **{"id": f"next-{index}-0000", "order": 100 + index, **values, **changes})


def update(*tasks: Task, to: TaskSpec = NEW, rollout: Rollout = RUNNING, **changes: Any) -> World:
    """Version 2 of a job is wanted, of which these tasks are there, each with its container running."""
    count = len({found.slot for found in tasks})
    return world(jobs=[job(count=count, task=to, version=2, **changes)], tasks=tasks, rollouts=[rollout])


def exited(of: Task) -> Container:
    return container(of, ContainerState.EXITED, exit_code=1)


class TestTheOrder:
    def test_is_start_first_by_itself_so_that_the_old_task_serves_on_p19(self) -> None:
        found = plan(update(task()))
        assert (begun(found), stopped(found)) == (["web/main[0]"], [])

    @pytest.mark.parametrize("wanted", [FIXED_PORT, WRITES, CACHES])
    def test_is_stop_first_by_itself_where_both_would_clash(self, wanted: TaskSpec) -> None:
        found = plan(update(task(), to=wanted))
        assert (begun(found), stopped(found)) == ([], [task().container_name])

    def test_is_start_first_beside_a_volume_that_is_only_read(self) -> None:
        assert begun(plan(update(task(), to=READS))) == ["web/main[0]"]

    def test_is_stop_first_by_itself_where_there_is_no_room_for_both(self) -> None:
        given = replace(update(task()), observed={"node1": seen("node1", container(task()), memory=TIGHT)})
        assert stopped(plan(given)) == [task().container_name]

    def test_start_first_that_was_asked_for_waits_for_room(self) -> None:
        given = update(task(), order=Order.START_FIRST)
        found = plan(replace(given, observed={"node1": seen("node1", container(task()), memory=TIGHT)}))
        assert found.changes == ()
        assert "version 2 fits nowhere" in str(found.held[0])


class TestTheRoomOfATaskThatIsStoppedForItsSuccessor:
    def test_is_that_successors_whoever_else_waits_p19(self) -> None:
        gone = task(state=State.COMPLETED, changed_at=NOW - 1)
        waiting = task(job="api", node=None, state=State.PENDING, order=0)
        given = world(
            jobs=[job("api", priority=100), job(task=NEW, version=2)],
            tasks=[waiting, gone],
            observed=[seen("node1", memory=TIGHT)],
            rollouts=[RUNNING],
        )
        assert begun(plan(given)) == ["web/main[0]"]

    def test_is_so_too_where_its_node_was_silent_and_another_one_waited_in_its_place_p19(self) -> None:
        """Seed 885000467: the slot's newest task was the one that had waited, and was given up long ago."""
        gone = task(state=State.COMPLETED, changed_at=NOW - 1)
        in_its_place = task(id="w", node=None, state=State.COMPLETED, order=9, changed_at=RUNNING.since - 1)
        waiting = task(job="api", node=None, state=State.PENDING, order=0)
        given = world(
            jobs=[job("api", priority=100), job(task=NEW, version=2)],
            tasks=[waiting, in_its_place],
            former=[gone],
            observed=[seen("node1", memory=TIGHT)],
            rollouts=[RUNNING],
        )
        assert begun(plan(given)) == ["web/main[0]"]

    def test_is_nobodys_own_once_the_job_was_deployed_anew(self) -> None:
        gone = task(state=State.COMPLETED, changed_at=RUNNING.since - 1)
        waiting = task(job="api", node=None, state=State.PENDING, order=0)
        given = world(
            jobs=[job("api", priority=100), job(task=NEW, version=2)],
            tasks=[waiting, gone],
            observed=[seen("node1", memory=TIGHT)],
            rollouts=[RUNNING],
        )
        assert begun(plan(given)) == ["api/main[0]"]

    def test_is_counted_once_for_all_that_are_stopped_in_one_wave_p19(self) -> None:
        larger = replace(WRITES, resources=Resources(cpu=100, memory=GIB // 4))
        given = update(task(0), task(1), to=larger, max_parallel=2)
        room_for_one_larger = seen("node1", container(task(0)), container(task(1)), memory=3 * GIB // 8)
        found = plan(replace(given, observed={"node1": room_for_one_larger}))
        assert stopped(found) == [task(0).container_name]

    def test_is_not_counted_where_another_task_of_the_wave_goes_p13(self) -> None:
        larger = replace(WRITES, resources=Resources(cpu=100, memory=GIB // 4))
        given = update(task(), to=larger)
        new = job("api")
        room_for_one_larger = seen("node1", container(task()), memory=GIB // 4)
        found = plan(replace(given, jobs=(*given.jobs, new), observed={"node1": room_for_one_larger}))
        assert (begun(found), stopped(found)) == (["api/main[0]"], [])


class TestAnOldTaskBesideItsSuccessor:
    def test_serves_on_until_that_is_healthy_p19(self) -> None:
        new = successor(task(), spec=CHECKED, health=Health.STARTING)
        assert plan(update(task(), new, to=CHECKED)).changes == ()

    def test_serves_on_until_that_has_stayed_healthy_for_long_enough_p19(self) -> None:
        found = plan(update(task(), successor(task(), healthy_since=NOW - 1)))
        assert found.changes == ()
        assert found.due == {"web": NOW + 1}

    def test_goes_once_that_is_proven(self) -> None:
        assert stopped(plan(update(task(), successor(task())))) == [task().container_name]

    def test_goes_at_once_when_it_does_not_serve_itself(self) -> None:
        new = successor(task(), changed_at=NOW)
        given = replace(
            update(task(), new), observed={"node1": seen("node1", exited(task()), container(new))}
        )
        assert stopped(plan(given)) == [task().container_name]

    def test_takes_the_slot_back_when_the_rollout_failed_p19(self) -> None:
        new = successor(task(), state=State.FAILED, restarts=2)
        given = update(task(), new, rollout=FAILED)
        found = plan(replace(given, observed={"node1": seen("node1", container(task()), exited(new))}))
        assert (stopped(found), begun(found)) == ([new.container_name], [])

    def test_stays_while_the_rollout_is_paused(self) -> None:
        assert plan(update(task(), successor(task()), rollout=PAUSED)).changes == ()


class TestAFailedRolloutWithAChangedContainer:
    def test_ends_the_changed_one_and_not_its_successor_p7(self) -> None:
        """Seeds 13003 and 13294: both tasks of the slot were stopped by one plan."""
        changed, fresh = task(), successor(task(), spec=spec(), version=1)
        looks = {"node1": seen("node1", container(changed, drift="memory"), container(fresh))}
        given = update(changed, fresh, to=spec(), rollout=FAILED)
        found = plan(replace(given, observed=looks))
        assert stopped(found) == [changed.container_name]


class TestWhereItGoes:
    def test_is_spread_as_if_the_old_task_had_left_already(self) -> None:
        tasks = [
            successor(task(0, node="node1"), node="node1"),
            successor(task(1, node="node2"), node="node2"),
            task(2, node="node3"),
        ]
        found = plan(update(*tasks))
        assert [action.node for action in found.actions if isinstance(action, Place)] == ["node3"]


class TestHowManyBegin:
    def test_is_one_at_a_time(self) -> None:
        found = plan(update(task(0), task(1), task(2)))
        assert begun(found) == ["web/main[0]"]
        assert [str(held) for held in found.held] == ["web/main: 2 still to be replaced: 1 at a time"]

    def test_is_as_many_as_the_job_allows(self) -> None:
        assert len(begun(plan(update(task(0), task(1), task(2), max_parallel=2)))) == 2

    def test_is_none_while_one_is_not_proven_p19(self) -> None:
        new = successor(task(0), changed_at=NOW - 1)
        assert begun(plan(update(task(0), new, task(1)))) == []

    def test_is_none_until_the_pause_after_one_that_is_proven_is_over(self) -> None:
        """It has been proven for 8 seconds."""
        tasks = (successor(task(0)), task(1), task(2))
        young = plan(update(*tasks, delay=30.0))
        assert (begun(young), young.due_for("web")) == ([], NOW + 22)
        assert "1 at a time, 30s apart" in str(young.held[0])
        assert begun(plan(update(*tasks, delay=30.0, max_parallel=2))) == ["web/main[1]"]
        assert begun(plan(update(*tasks, delay=5.0))) == ["web/main[1]"]

    def test_is_as_ever_where_the_new_version_is_in_place_and_a_node_is_drained(self) -> None:
        drain = Cordon(node="node1", at=NOW, actor="ann", draining=True)
        given = update(successor(task(0)), successor(task(1, node="node2")), rollout=SUCCEEDED, delay=30.0)
        assert begun(plan(replace(given, cordons={"node1": drain}))) == ["web/main[0]"]

    def test_is_none_while_one_keeps_failing_p19(self) -> None:
        new = successor(task(0), state=State.FAILED, restarts=1, changed_at=NOW)
        given = update(task(0), new, task(1))
        held = [container(task(0)), container(task(1)), exited(new)]
        assert plan(replace(given, observed={"node1": seen("node1", *held)})).changes == ()

    @pytest.mark.parametrize(
        ("rollout", "why"),
        [(PAUSED, "cube resume web"), (FAILED, "the rollout of version 2 failed: it is sick")],
    )
    def test_is_none_while_the_rollout_is_held_and_the_plan_says_why(
        self, rollout: Rollout, why: str
    ) -> None:
        found = plan(update(task(), rollout=rollout))
        assert found.changes == ()
        assert why in str(found.held[0])
        assert found.held[0].waits_for_a_person

    def test_an_old_task_that_crashes_meanwhile_is_restarted_as_it_was(self) -> None:
        crashed = task(state=State.FAILED, changed_at=NOW - 60)
        given = replace(update(crashed, rollout=PAUSED), observed={"node1": seen("node1", exited(crashed))})
        (start,) = plan(given).changes
        assert start.reason.startswith("restart 1 of 2")


class TestCanaries:
    def test_begin_alone(self) -> None:
        found = plan(update(task(0), task(1), task(2), canary=1, max_parallel=3))
        assert begun(found) == ["web/main[0]"]

    def test_follow_each_other_once_each_is_proven(self) -> None:
        old = (task(0), task(1), task(2))
        assert begun(plan(update(*old, canary=2, max_parallel=1))) == ["web/main[0]"]
        assert begun(plan(update(*old, successor(task(0)), canary=2, max_parallel=1))) == ["web/main[1]"]
        unproven = successor(task(0), changed_at=NOW)
        assert begun(plan(update(*old, unproven, canary=2, max_parallel=1, min_healthy_time=5))) == []

    def test_run_beside_the_old_tasks_until_somebody_promotes_them(self) -> None:
        found = plan(update(task(0), successor(task(0)), task(1), canary=1))
        assert found.changes == ()
        assert [str(held) for held in found.held] == [
            "web/main: 2 still to be replaced: a canary comes first; go on with: cube promote web"
        ]
        assert found.held[0].waits_for_a_person

    def test_make_way_for_the_rest_when_they_were_promoted(self) -> None:
        promoted = replace(RUNNING, promoted=True)
        found = plan(update(task(0), successor(task(0)), task(1), canary=1, rollout=promoted))
        assert stopped(found) == [task(0).container_name]
        assert begun(found) == ["web/main[1]"]

    def test_come_alone_also_where_a_drain_would_have_others_replaced(self) -> None:
        """What leaves a drained node comes elsewhere as the new version, which somebody has to promote."""
        drained = Cordon(node="node1", at=NOW - 5, actor="ann", draining=True)
        old = (task(0), task(1))
        looks = [
            seen("node1", *map(container, old)),
            seen("node2", container(successor(old[0], node="node2"))),
        ]
        given = update(*old, successor(old[0], node="node2"), canary=1, max_parallel=2)
        found = plan(replace(given, cordons={"node1": drained}, observed={look.node: look for look in looks}))
        assert found.changes == ()
        assert "go on with: cube promote web" in str(found.held[0])

    def test_are_none_in_a_first_version(self) -> None:
        first = Rollout(job="web", version=1, since=NOW)
        given = world(jobs=[job(count=3, canary=1)], rollouts=[first])
        assert len(begun(plan(given))) == 3


class TestTheEnd:
    def test_is_success_when_everything_is_proven(self) -> None:
        new = task(spec=NEW, version=2)
        assert ends(plan(update(new))) == [(RolloutState.SUCCEEDED, "everything is in place")]

    def test_is_not_yet_while_a_task_is_young(self) -> None:
        young = task(spec=NEW, version=2, changed_at=NOW - 1)
        assert ends(plan(update(young))) == []

    def test_of_a_first_version_comes_as_soon_as_it_serves(self) -> None:
        first = replace(RUNNING, version=1, stable=None)
        given = world(jobs=[job()], tasks=[task(changed_at=NOW)], rollouts=[first])
        assert [state for state, _ in ends(plan(given))] == [RolloutState.SUCCEEDED]

    def test_is_success_although_a_node_is_silent_which_is_put_right_later_p2(self) -> None:
        given = update(task(0, spec=NEW, version=2), task(1, node="node2"))
        looks: dict[str, Observation] = {
            "node1": seen("node1", container(task(0, spec=NEW))),
            "node2": unknown("node2"),
        }
        assert [state for state, _ in ends(plan(replace(given, observed=looks)))] == [RolloutState.SUCCEEDED]

    def test_is_said_once(self) -> None:
        assert plan(update(task(spec=NEW, version=2), rollout=SUCCEEDED)) == Plan()

    def test_is_failure_when_a_new_task_has_used_its_attempts(self) -> None:
        new = successor(task(), state=State.FAILED, restarts=2, reason="exited with 1")
        given = replace(
            update(task(), new), observed={"node1": seen("node1", container(task()), exited(new))}
        )
        assert ends(plan(given)) == [(RolloutState.FAILED, "web/main[0] failed: exited with 1")]

    @pytest.mark.parametrize(
        ("began", "proven", "gives_up"),
        [(NOW - 700, False, True), (NOW - 700, True, False), (NOW - 500, False, False)],
    )
    def test_is_failure_when_a_task_crashes_on_and_none_was_newly_proven_for_long(
        self, began: float, proven: bool, gives_up: bool
    ) -> None:
        """With attempts left for days: `progress_deadline` is of the rollout, not of one attempt."""
        dies = successor(task(0), state=State.FAILED, restarts=20, reason="exited with 1", created_at=began)
        other = successor(task(1), changed_at=NOW - 60) if proven else task(1)
        given = update(dies, other, rollout=replace(RUNNING, since=began), restart=RestartPolicy(attempts=50))
        looks = {"node1": seen("node1", exited(dies), container(other))}
        why = "web/main[0] crashes on and on, and none was newly proven within 600s: exited with 1"
        expected = [(RolloutState.FAILED, why)] if gives_up else []
        assert ends(plan(replace(given, observed=looks))) == expected

    def test_is_failure_when_a_new_task_is_unhealthy(self) -> None:
        new = successor(task(), spec=CHECKED, health=Health.UNHEALTHY)
        assert ends(plan(update(task(), new, to=CHECKED))) == [
            (RolloutState.FAILED, "web/main[0] is unhealthy")
        ]

    def test_is_failure_when_a_new_task_is_not_healthy_in_time(self) -> None:
        new = successor(task(), spec=CHECKED, health=Health.STARTING, changed_at=NOW - 301)
        assert ends(plan(update(task(), new, to=CHECKED))) == [
            (RolloutState.FAILED, "web/main[0] was not healthy within 300s")
        ]

    def test_is_not_failure_when_an_old_task_crashes(self) -> None:
        crashed = task(0, state=State.FAILED, restarts=2)
        given = update(crashed, task(1))
        held = [exited(crashed), container(task(1))]
        assert ends(plan(replace(given, observed={"node1": seen("node1", *held)}))) == []


class TestAFailedRollout:
    def test_that_is_taken_back_begins_no_further_task_of_its_version_p19(self) -> None:
        """Seed 31699."""
        given = update(task(state=State.COMPLETED), auto_revert=True, rollout=FAILED)
        assert begun(plan(replace(given, observed={"node1": seen("node1")}))) == []

    def test_is_taken_back_where_the_job_asks_for_it_p19(self) -> None:
        found = plan(update(task(), rollout=FAILED, auto_revert=True))
        assert [action for action in found.actions if isinstance(action, Revert)] == [
            Revert(job="web", version=2, to=1, reason="version 2 failed: it is sick")
        ]

    @pytest.mark.parametrize(
        ("rollout", "asked"), [(FAILED, False), (replace(FAILED, stable=None), True), (RUNNING, True)]
    )
    def test_is_left_where_it_is_not_asked_or_there_is_nothing_to_go_back_to(
        self, rollout: Rollout, *, asked: bool
    ) -> None:
        found = plan(update(task(), rollout=rollout, auto_revert=asked))
        assert not [action for action in found.actions if isinstance(action, Revert)]


class TestAnOldTaskThatStays:
    def test_is_restarted_when_it_crashes_and_is_no_canary_p19(self) -> None:
        """Nobody has promoted the new version yet: no crash may spread it."""
        canary, old = successor(task(0)), task(1)
        given = update(canary, old, canary=1)
        crashed = replace(given, observed={"node1": seen("node1", container(canary), exited(old))})
        (note,) = [action for action in plan(crashed).actions if isinstance(action, Note)]
        assert (note.task.slot.index, note.target) == (1, State.FAILED)
        assert begun(plan(crashed)) == []

    def test_has_its_health_looked_after_p12(self) -> None:
        """Seed 42465: it waited for room that its successor did not find, and nobody asked it any more."""
        old = task(spec=spec(health=CHECK), health=Health.HEALTHY, check_failures=2)
        sick = replace(container(old), health=Health.UNHEALTHY)
        given = replace(
            update(old, to=FIXED_PORT), observed={"node1": seen("node1", sick, foreign(host_ports=(8080,)))}
        )
        notes = [action.checked for action in plan(given).actions if isinstance(action, Note)]
        assert [checked.health for checked in notes if checked] == [Health.UNHEALTHY]


class TestDependencies:
    def jobs(self, condition: Condition, kind: JobType | None = None) -> list[Job]:
        first = Group(name="db", spec=spec("db:1"), type=kind)
        second = Group(name="main", spec=spec("app:1"), depends_on={"db": condition})
        return [Job(name="web", groups=(first, second), version=1)]

    def test_a_group_waits_for_the_one_it_depends_on(self) -> None:
        found = plan(world(jobs=self.jobs(Condition.HEALTHY)))
        assert begun(found) == ["web/db[0]"]
        waits = [(str(action.slot), action.reason) for action in found.actions if isinstance(action, Wait)]
        assert waits == [("web/main[0]", "waits for group db to be healthy")]

    def test_and_goes_on_when_that_serves(self) -> None:
        database = moved(task(spec=spec("db:1")), slot=replace(task().slot, group="db"))
        assert begun(plan(world(jobs=self.jobs(Condition.HEALTHY), tasks=[database]))) == ["web/main[0]"]

    def test_and_not_before_a_migration_has_ended_well(self) -> None:
        migration = moved(task(spec=spec("db:1")), slot=replace(task().slot, group="db"))
        jobs = self.jobs(Condition.COMPLETED, JobType.BATCH)
        waiting = plan(world(jobs=jobs, tasks=[migration]))
        assert begun(waiting) == []
        assert waiting.due == {"web": NOW + 1}
        done = moved(migration, state=State.COMPLETED, exit_code=0)
        assert begun(plan(world(jobs=jobs, tasks=[done], observed=[seen("node1")]))) == ["web/main[0]"]

    def test_an_update_of_both_waits_for_the_first_to_be_new(self) -> None:
        tasks = [moved(task(id="db-0000-0000"), slot=replace(task().slot, group="db")), task()]
        jobs = [
            replace(found, groups=tuple(replace(group, spec=spec("app:2")) for group in found.groups))
            for found in self.jobs(Condition.HEALTHY)
        ]
        assert begun(plan(world(jobs=jobs, tasks=tasks))) == ["web/db[0]"]

    def test_an_old_task_that_waits_for_the_first_is_restarted_when_it_crashes_p19(self) -> None:
        """Seed 41577."""
        old = task(0, spec=spec("app:0"))
        given = world(jobs=self.jobs(Condition.HEALTHY), tasks=[old], observed=[seen("node1", exited(old))])
        notes = [action.target for action in plan(given).actions if isinstance(action, Note)]
        assert notes == [State.FAILED]

    def test_nobody_waits_for_a_group_that_fits_nowhere(self) -> None:
        """Seed 41577: a deploy looked once a second until its time was over."""
        first = replace(self.jobs(Condition.HEALTHY)[0].groups[0], count=2)
        (wanted,) = self.jobs(Condition.HEALTHY)
        database = moved(task(spec=spec("db:1")), slot=replace(task().slot, group="db"))
        given = world(
            jobs=[replace(wanted, groups=(first, wanted.groups[1]))],
            tasks=[
                database,
                moved(task(1, node=None, state=State.PENDING), slot=Slot(job="web", group="db", index=1)),
            ],
            observed=[seen("node1", container(database), memory=TIGHT)],
        )
        assert plan(given).due == {}

    def test_nor_for_one_of_which_a_task_is_on_a_silent_node_p2(self) -> None:
        """Seed 4893: every sweep looked at the fleet once a second until its time was over."""
        first = replace(self.jobs(Condition.HEALTHY)[0].groups[0], count=2)
        (wanted,) = self.jobs(Condition.HEALTHY)
        databases = [
            moved(task(index, node=node, spec=spec("db:1")), slot=Slot(job="web", group="db", index=index))
            for index, node in enumerate(("node1", "node2"))
        ]
        given = world(
            jobs=[replace(wanted, groups=(first, wanted.groups[1]))],
            tasks=databases,
            observed=[seen("node1", container(databases[0])), unknown("node2")],
        )
        assert plan(given).due == {}

    def test_nor_for_one_whose_new_version_fits_nowhere_p2(self) -> None:
        """Seed 850009883."""
        (wanted,) = self.jobs(Condition.HEALTHY)
        base, main = wanted.groups
        large = replace(base, spec=replace(base.spec, resources=Resources(cpu=100_000)))
        database = moved(task(spec=spec("db:1")), slot=Slot(job="web", group="db", index=0))
        given = world(
            jobs=[replace(wanted, groups=(large, main))],
            tasks=[database],
            observed=[seen("node1", container(database))],
        )
        assert plan(given).due == {}

    def test_nor_for_one_of_which_a_task_has_failed_for_good_p2(self) -> None:
        """Seed 820000922: so it was, too, where another group that was waited for did serve."""
        base, main = self.jobs(Condition.HEALTHY)[0].groups
        never, nowhere = RestartPolicy(attempts=0), ReschedulePolicy(attempts=0)
        first = replace(base, name="migrate", type=JobType.BATCH, restart=never, reschedule=nowhere)
        both = {"db": Condition.HEALTHY, "migrate": Condition.COMPLETED}
        database = moved(task(spec=spec("db:1")), slot=Slot(job="web", group="db", index=0))
        failed = task(1, spec=spec("db:1"), state=State.FAILED, exit_code=1)
        migration = moved(failed, slot=Slot(job="web", group="migrate", index=0))
        given = world(
            jobs=[Job(name="web", groups=(base, first, replace(main, depends_on=both)), version=1)],
            tasks=[database, migration],
            observed=[seen("node1", container(database))],
        )
        assert plan(given).due == {}


class TestADrain:
    cordon = Cordon(node="node1", at=NOW - 5, actor="ann", draining=True)

    def drained(self, *tasks: Task, cordon: Cordon | None = None, **changes: Any) -> World:
        looks = [seen("node1", *map(container, tasks)), seen("node2")]
        wanted = job(count=len(tasks), **changes)
        return world(jobs=[wanted], tasks=tasks, observed=looks, cordons=[cordon or self.cordon])

    def test_starts_a_successor_elsewhere_first_p19(self) -> None:
        found = plan(self.drained(task(0), task(1)))
        assert [(action.node, str(action.slot)) for action in found.actions if isinstance(action, Place)] == [
            ("node2", "web/main[0]")
        ]
        assert stopped(found) == []

    def test_honours_the_limits_of_updates(self) -> None:
        assert len(begun(plan(self.drained(task(0), task(1), max_parallel=2)))) == 2

    def test_goes_on_after_a_failed_rollout_and_stops_no_successor_that_is_starting_p7(self) -> None:
        """Seed 7703760: each one was stopped at once for the old task, and a further one started."""
        checked = spec(health=HealthCheck(kind=CheckKind.TCP, port="http"))
        old = task(0, spec=checked, health=Health.HEALTHY, healthy_since=NOW - 90)
        new = task(0, id="new", node="node2", order=9, spec=checked, health=Health.STARTING)
        looks = [seen("node1", container(old)), seen("node2", container(new))]
        given = replace(self.drained(old, new), observed={found.node: found for found in looks})
        failed = Rollout(job="web", version=1, since=NOW - 100, state=RolloutState.FAILED)
        found = plan(replace(given, jobs=(job(task=checked),), rollouts={"web": failed}))
        assert found.changes == ()

    def test_says_what_cannot_move(self) -> None:
        given = replace(self.drained(task(0)), observed={"node1": seen("node1", container(task(0)))})
        found = plan(given)
        assert found.changes == ()
        assert str(found.held[0]) == (
            "web/main: 1 still to be replaced: version 1 fits nowhere: node1: it is drained"
        )

    def test_says_that_a_system_task_leaves_last(self) -> None:
        agent, guest = task(0, job="agent"), task(0)
        given = self.drained(guest)
        looks = {"node1": seen("node1", container(agent), container(guest))}
        jobs = (*given.jobs, job("agent", type=JobType.SYSTEM))
        found = plan(replace(given, jobs=jobs, tasks=(agent, guest), observed=looks))
        assert "agent/main: 1 still to be replaced: it leaves node1 after all others" in map(str, found.held)

    def test_stops_what_is_left_when_its_deadline_is_over(self) -> None:
        over = replace(self.cordon, deadline=NOW - 1)
        given = self.drained(task(0), cordon=over)
        found = plan(replace(given, observed={"node1": seen("node1", container(task(0)))}))
        assert stopped(found) == [task(0).container_name]

    def test_lets_a_batch_task_end_by_itself(self) -> None:
        found = plan(self.drained(task(0), type=JobType.BATCH))
        assert found.changes == ()
        assert "each runs until it has ended" in str(found.held[0])

    def test_a_cordon_alone_moves_nothing_and_keeps_new_tasks_away_p7(self) -> None:
        closed = replace(self.cordon, draining=False)
        given = self.drained(task(0), cordon=closed)
        (grown,) = (replace(found, groups=(replace(found.groups[0], count=2),)) for found in given.jobs)
        found = plan(replace(given, jobs=(grown,)))
        assert [(action.node, str(action.slot)) for action in found.actions if isinstance(action, Place)] == [
            ("node2", "web/main[1]")
        ]
        assert stopped(found) == []
