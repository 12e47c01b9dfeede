"""What the loop decides, one situation at a time."""

from dataclasses import replace

from cube.model.action import Note, Place, Plan, Start, Stop, Wait
from cube.model.job import (
    CheckKind,
    Constraint,
    HealthCheck,
    JobType,
    Operator,
    Port,
    SecretUse,
    TaskSpec,
)
from cube.model.node import Cordon
from cube.model.observation import Container, ContainerState
from cube.model.policy import Order, ReschedulePolicy, RestartPolicy
from cube.model.resources import Resources
from cube.model.task import Health, State, Task
from cube.reconciler.reconcile import reconcile
from cube.reconciler.tasks import serves
from cube.reconciler.world import World
from cube.scheduler.algorithms import ALGORITHMS
from tests.build import GIB, NOW, container, foreign, job, moved, node, seen, spec, task, unknown, world


def plan(given: World) -> Plan:
    return reconcile(given, ALGORITHMS["spread"])


def places(given: World) -> list[tuple[str, str]]:
    return [(str(found.slot), found.node) for found in plan(given).actions if isinstance(found, Place)]


def stops(given: World) -> list[str]:
    return [found.container_name for found in plan(given).actions if isinstance(found, Stop)]


def renamed(of: Task) -> Container:
    return replace(container(of), id="another-id", name="other")


class TestANewJob:
    def test_is_spread_over_the_nodes(self) -> None:
        given = world(jobs=[job(count=4)])
        assert [name for _, name in places(given)] == ["node1", "node2", "node1", "node2"]

    def test_gets_no_action_on_a_node_that_is_unknown_p3(self) -> None:
        given = world(jobs=[job(count=2)], observed=[seen("node1"), unknown("node2")])
        assert places(given) == [("web/main[0]", "node1"), ("web/main[1]", "node1")]

    def test_waits_with_a_reason_for_every_node_when_it_fits_nowhere(self) -> None:
        big = TaskSpec(image="app:1", resources=Resources(cpu=100, memory=64 * GIB))
        (wait,) = plan(world(jobs=[job(task=big)], observed=[seen("node1"), unknown("node2")])).actions
        assert isinstance(wait, Wait)
        assert [(found.node, found.reason) for found in wait.decision.refusals] == [
            ("node1", "memory: 65536MiB asked, 8192MiB of 8192MiB free"),
            ("node2", "unknown: timed out"),
        ]
        assert wait.decision.refusals[0].ever

    def test_that_fits_nowhere_does_not_hold_up_those_behind_it(self) -> None:
        big = TaskSpec(image="app:1", resources=Resources(memory=64 * GIB))
        given = world(jobs=[job("big", task=big, priority=90), job("small", priority=10)])
        assert places(given) == [("small/main[0]", "node1")]

    def test_of_higher_priority_is_placed_first(self) -> None:
        half = TaskSpec(image="app:1", resources=Resources(cpu=3000))
        jobs = [job("a", task=half, priority=10), job("b", task=half, priority=90)]
        assert places(world(jobs=jobs, observed=[seen("node1")])) == [("b/main[0]", "node1")]

    def test_of_equal_priority_is_placed_first_in_first_out(self) -> None:
        half = TaskSpec(image="app:1", resources=Resources(cpu=3000))
        waiting = [
            task(job="a", node=None, state=State.PENDING, spec=half, order=7),
            task(job="b", node=None, state=State.PENDING, spec=half, order=3),
        ]
        jobs = [job("a", task=half), job("b", task=half)]
        assert places(world(jobs=jobs, tasks=waiting, observed=[seen("node1")])) == [("b/main[0]", "node1")]

    def test_gets_host_ports_that_nobody_holds_p13(self) -> None:
        ported = spec(ports=(Port(name="http", container=80, host_range=(20000, 20010)),))
        given = world(
            jobs=[job(count=2, task=ported)], observed=[seen("node1", foreign(host_ports=(20000,)))]
        )
        chosen = [found.ports["http"] for found in plan(given).actions if isinstance(found, Place)]
        assert chosen == [20001, 20002]

    def test_never_counts_room_that_the_same_plan_frees_p13(self) -> None:
        half = TaskSpec(image="app:1", resources=Resources(cpu=3000))
        leaving = task(job="old", spec=half)
        given = world(jobs=[job("old", task=half, stopped=True), job("new", task=half)], tasks=[leaving])
        assert stops(given) == [leaving.container_name]
        assert places(given) == []


class TestASettledJob:
    def test_needs_nothing_p10(self) -> None:
        given = world(jobs=[job(count=2)], tasks=[task(0), task(1, node="node2")])
        assert plan(given) == Plan()

    def test_keeps_its_tasks_where_they_are_although_another_node_is_emptier_p7(self) -> None:
        tasks = [task(0), task(1)]
        given = world(
            jobs=[job(count=2)],
            tasks=tasks,
            observed=[seen("node1", *map(container, tasks)), seen("node2")],
        )
        assert plan(given).actions == ()

    def test_leaves_foreign_containers_alone_p5(self) -> None:
        stranger = container(task(9, job="web"), cluster="another")
        given = world(observed=[seen("node1", foreign(), stranger)])
        assert plan(given).actions == ()

    def test_leaves_containers_of_another_store_alone_and_says_so_p5(self) -> None:
        given = world(observed=[seen("node1", container(task(), owner="owner-2"))])
        assert plan(given).actions == ()
        assert "another store" in plan(given).warnings[0]


def test_a_cordon_of_a_node_that_the_inventory_does_not_have_is_told_p12() -> None:
    """Its name may be another by now: an empty node cannot be known by its containers."""
    closed = {"gone": Cordon(node="gone", at=NOW, actor="ann", draining=True)}
    (warning,) = plan(replace(world(observed=[seen("node1")]), cordons=closed)).warnings
    assert "gone: closed for new tasks, and not in the inventory" in warning
    assert "cube node uncordon gone" in warning


class TestAPausedTask:
    """Nobody is served by a frozen container, however well its last check went."""

    def test_is_replaced_as_one_that_was_changed_by_hand_p7(self) -> None:
        held = task(health=Health.HEALTHY)
        frozen = replace(container(held, ContainerState.PAUSED), drift="paused")
        found = plan(world(jobs=[job()], tasks=[held], observed=[seen("node1", frozen)]))
        assert [type(action) for action in found.changes] == [Stop]
        assert found.changes[0].reason == "changed by hand: paused"

    def test_does_not_serve_while_an_update_counts_who_does_p19(self) -> None:
        held = task(health=Health.HEALTHY)
        frozen = container(held, ContainerState.PAUSED)
        assert not serves(held, world(tasks=[held], observed=[seen("node1", frozen)]))


class TestATaskOnAnUnknownNode:
    def test_is_neither_moved_nor_stopped_p3(self) -> None:
        lost = [task(0), task(1, node="node2")]
        for wanted in (job(count=2), job(count=2, stopped=True), job(count=2, task=spec("app:2"))):
            given = world(jobs=[wanted], tasks=lost, observed=[unknown("node1"), unknown("node2")])
            assert plan(given).actions == ()

    def test_is_named_in_a_warning_p12(self) -> None:
        given = world(jobs=[job()], tasks=[task()], observed=[unknown("node1")])
        assert plan(given).warnings == (
            "node1: unknown: timed out, port 22; its 1 tasks are left as they are",
        )

    def test_still_holds_its_room_and_its_slot_p13(self) -> None:
        given = world(jobs=[job(count=1)], tasks=[task()], observed=[unknown("node1"), seen("node2")])
        assert places(given) == []

    def test_is_kept_when_its_node_leaves_the_inventory(self) -> None:
        given = world(jobs=[job()], tasks=[task(node="gone")], observed=[seen("node1")])
        assert plan(given).actions == ()
        assert "not in the inventory" in plan(given).warnings[0]


class TestATaskThatIsNoLongerWanted:
    def test_is_stopped_when_its_job_is_stopped_p20(self) -> None:
        gone = task()
        assert stops(world(jobs=[job(stopped=True)], tasks=[gone])) == [gone.container_name]

    def test_is_stopped_when_its_job_is_removed(self) -> None:
        gone = task()
        assert stops(world(tasks=[gone])) == [gone.container_name]

    def test_of_the_highest_index_goes_when_the_job_is_scaled_down(self) -> None:
        tasks = [task(0), task(1), task(2)]
        assert stops(world(jobs=[job(count=2)], tasks=tasks)) == [tasks[2].container_name]

    def test_is_only_recorded_as_ended_when_its_container_is_gone_already(self) -> None:
        (note,) = plan(world(jobs=[job(stopped=True)], tasks=[task()], observed=[seen("node1")])).actions
        assert isinstance(note, Note)
        assert note.target is State.COMPLETED

    def test_waiting_for_a_place_waits_no_longer(self) -> None:
        waiting = task(node=None, state=State.PENDING)
        (note,) = plan(world(jobs=[job(stopped=True)], tasks=[waiting])).actions
        assert isinstance(note, Note)
        assert note.target is State.COMPLETED

    def test_leaves_no_second_container_behind_when_a_slot_was_filled_twice_p4(self) -> None:
        tasks = [task(0, id="older-0000", order=1), task(0, id="newer-0000", order=2)]
        assert stops(world(jobs=[job(count=1)], tasks=tasks)) == [tasks[1].container_name]


class TestAnOrphan:
    def test_of_this_store_is_removed_p6(self) -> None:
        late = container(task(5))
        assert stops(world(jobs=[], observed=[seen("node1", late)])) == [late.name]

    def test_of_an_ended_service_task_is_removed_p6(self) -> None:
        ended = task(state=State.COMPLETED)
        given = world(jobs=[job(stopped=True)], tasks=[ended], observed=[seen("node1", container(ended))])
        assert stops(given) == [ended.container_name]

    def test_that_a_newer_try_of_its_slot_left_behind_is_removed_p6(self) -> None:
        """Seed 32252: the last task of a slot is not always the one that fills it."""
        kept, given_up = task(), task(id="newer-0-0000", state=State.COMPLETED, order=9)
        ended = container(given_up, ContainerState.EXITED, exit_code=1)
        given = world(jobs=[job()], tasks=[kept, given_up], observed=[seen("node1", container(kept), ended)])
        assert stops(given) == [given_up.container_name]

    def test_on_another_node_than_the_recorded_one_is_removed_p4(self) -> None:
        kept = task(node="node1")
        given = world(
            jobs=[job()],
            tasks=[kept],
            observed=[seen("node1", container(kept)), seen("node2", container(kept))],
        )
        assert [found.node for found in plan(given).actions if isinstance(found, Stop)] == ["node2"]


class TestASecondContainerOfOneTask:
    """As after `docker rename` and a restart by hand: the engine's guard against doubles is the name."""

    def test_is_removed_p4(self) -> None:
        kept = task()
        given = world(jobs=[job()], tasks=[kept], observed=[seen("node1", renamed(kept), container(kept))])
        assert stops(given) == ["other"]

    def test_is_removed_although_it_has_the_name_when_the_other_one_is_recorded_p4(self) -> None:
        """Seed 20475: a late start, after the sick one was cut off and so had given up its name."""
        sick = task(state=State.FAILED, quarantined_until=NOW + 60, container="the sick one")
        held, late = replace(renamed(sick), id="the sick one"), container(sick)
        given = world(jobs=[job()], tasks=[sick], observed=[seen("node1", held, late)])
        assert stops(given) == [late.name]

    def test_is_kept_instead_where_the_one_with_the_name_has_ended(self) -> None:
        kept = task()
        ended = container(kept, ContainerState.EXITED, exit_code=1)
        given = world(jobs=[job()], tasks=[kept], observed=[seen("node1", ended, renamed(kept))])
        assert stops(given) == [kept.container_name]


class TestAScheduledTask:
    def test_found_running_is_believed_p3(self) -> None:
        (note,) = plan(world(jobs=[job()], tasks=[task(state=State.SCHEDULED)])).actions
        assert isinstance(note, Note)
        assert (note.target, note.reason) == (State.RUNNING, "seen running")

    def test_without_a_container_is_started_again_under_the_same_name_p4(self) -> None:
        scheduled = task(state=State.SCHEDULED)
        (start,) = plan(world(jobs=[job()], tasks=[scheduled], observed=[seen("node1")])).actions
        assert isinstance(start, Start)
        assert start.task == scheduled

    def test_without_a_container_leaves_no_files_where_it_is_wanted_no_more_p15(self) -> None:
        """They come before the container: who broke off between the two has left them."""
        begun = task(state=State.SCHEDULED, spec=spec(secrets=(SecretUse(name="key", target="/key"),)))
        given = world(jobs=[job(stopped=True)], tasks=[begun], observed=[seen("node1")])
        (stop,) = plan(given).actions
        assert isinstance(stop, Stop)
        assert (stop.container, stop.target) == (begun.container_name, State.COMPLETED)
        bare = replace(begun, spec=spec())
        (note,) = plan(world(jobs=[job(stopped=True)], tasks=[bare], observed=[seen("node1")])).actions
        assert isinstance(note, Note), "where there are no files there is nothing to ask for"

    def test_with_a_container_that_never_ran_is_started(self) -> None:
        scheduled = task(state=State.SCHEDULED)
        held = container(scheduled, ContainerState.CREATED)
        (start,) = plan(world(jobs=[job()], tasks=[scheduled], observed=[seen("node1", held)])).actions
        assert isinstance(start, Start)


class TestATaskThatEnded:
    def ended(self, exit_code: int, kind: JobType = JobType.SERVICE, **changes: bool) -> Note:
        running = task()
        held = container(running, ContainerState.EXITED, exit_code=exit_code, **changes)
        (note,) = plan(world(jobs=[job(type=kind)], tasks=[running], observed=[seen("node1", held)])).actions
        assert isinstance(note, Note)
        return note

    def test_of_a_batch_job_with_success_is_completed(self) -> None:
        assert self.ended(0, JobType.BATCH).target is State.COMPLETED

    def test_of_a_batch_job_with_an_error_failed(self) -> None:
        note = self.ended(3, JobType.BATCH)
        assert (note.target, note.reason, note.exit_code) == (State.FAILED, "exited with 3", 3)

    def test_of_a_service_failed_whatever_its_exit_code(self) -> None:
        assert self.ended(0).target is State.FAILED

    def test_for_want_of_memory_says_so(self) -> None:
        assert self.ended(137, oom_killed=True).reason == "killed: out of memory"

    def test_by_somebody_s_hand_failed(self) -> None:
        (note,) = plan(world(jobs=[job()], tasks=[task()], observed=[seen("node1")])).actions
        assert isinstance(note, Note)
        assert (note.target, note.reason) == (State.FAILED, "its container is gone")

    def test_in_a_way_that_its_engine_does_not_tell_is_left_for_the_next_look_p3(self) -> None:
        held = container(task(), ContainerState.EXITED, exit_code=None)
        given = world(jobs=[job(type=JobType.BATCH)], tasks=[task()], observed=[seen("node1", held)])
        assert plan(given).actions == ()

    def test_keeps_its_container_when_it_completed_for_its_logs(self) -> None:
        done = task(state=State.COMPLETED, exit_code=0)
        held = container(done, ContainerState.EXITED, exit_code=0)
        given = world(jobs=[job(type=JobType.BATCH)], tasks=[done], observed=[seen("node1", held)])
        assert plan(given) == Plan()


class TestAFailedTask:
    policy = RestartPolicy(attempts=2, delay=10.0)

    def test_is_restarted_once_its_delay_is_over(self) -> None:
        failed = task(state=State.FAILED, changed_at=NOW - 10, reason="exited with 1")
        given = world(jobs=[job(restart=self.policy)], tasks=[failed], observed=[seen("node1")])
        (start,) = plan(given).actions
        assert isinstance(start, Start)
        assert start.reason == "restart 1 of 2: exited with 1"

    def test_is_not_restarted_before_and_the_plan_says_when_p8(self) -> None:
        failed = task(state=State.FAILED, changed_at=NOW - 3)
        given = plan(world(jobs=[job(restart=self.policy)], tasks=[failed], observed=[seen("node1")]))
        assert given.actions == ()
        assert NOW - 3 + 5 <= given.due["web"] <= NOW - 3 + 10

    def test_stays_failed_after_the_last_attempt_p8(self) -> None:
        failed = task(state=State.FAILED, restarts=2)
        wanted = job(restart=self.policy, reschedule=ReschedulePolicy(attempts=0))
        assert plan(world(jobs=[wanted], tasks=[failed], observed=[seen("node1")])) == Plan()

    def test_that_had_run_for_a_whole_window_gets_its_attempts_back(self) -> None:
        policy = RestartPolicy(attempts=2, window=100.0)
        long, short = (task(restarts=2, changed_at=NOW - ran) for ran in (100, 99))
        for ran, left in ((long, 0), (short, 2)):
            given = world(jobs=[job(restart=policy)], tasks=[ran], observed=[seen("node1")])
            (note,) = plan(given).actions
            assert isinstance(note, Note)
            assert (note.target, note.restarts) == (State.FAILED, left)


class TestAnUpdate:
    def test_replaces_one_at_a_time_p19(self) -> None:
        tasks = [task(0), task(1), task(2)]
        wanted = job(count=3, task=spec("app:2"), version=2, order=Order.STOP_FIRST)
        given = world(jobs=[wanted], tasks=tasks)
        assert stops(given) == [tasks[0].container_name]
        assert [str(held) for held in plan(given).held] == ["web/main: 2 still to be replaced: 1 at a time"]

    def test_waits_for_the_slot_that_is_out_of_service_p19(self) -> None:
        tasks = [task(0, state=State.COMPLETED), task(1), task(2)]
        wanted = job(count=3, task=spec("app:2"), version=2)
        given = world(jobs=[wanted], tasks=tasks, observed=[seen("node1", *map(container, tasks[1:]))])
        assert stops(given) == []
        assert places(given) == [("web/main[0]", "node1")]

    def test_waits_for_the_new_task_to_be_healthy_p19(self) -> None:
        checked = spec("app:2", health=HealthCheck(kind=CheckKind.HTTP, port="http"))
        tasks = [task(0, spec=checked, health=Health.STARTING), task(1)]
        given = world(jobs=[job(count=2, task=checked, version=2)], tasks=tasks)
        assert stops(given) == []

    def test_replaces_what_does_not_serve_at_once(self) -> None:
        tasks = [task(0, state=State.FAILED), task(1)]
        wanted = job(count=2, task=spec("app:2"), version=2)
        held = [container(tasks[0], ContainerState.EXITED, exit_code=1), container(tasks[1])]
        given = world(jobs=[wanted], tasks=tasks, observed=[seen("node1", *held)])
        assert stops(given) == [tasks[0].container_name]

    def test_keeps_the_old_version_serving_when_the_new_one_fits_nowhere_p19(self) -> None:
        huge = TaskSpec(image="app:2", resources=Resources(cpu=64_000))
        given = world(jobs=[job(count=1, task=huge, version=2)], tasks=[task()])
        assert stops(given) == []
        assert "version 2 fits nowhere" in str(plan(given).held[0])

    def test_is_not_held_up_by_a_slot_that_never_had_room(self) -> None:
        tasks = [task(0), task(1, node=None, state=State.PENDING, spec=spec("app:2"))]
        wanted = job(count=2, task=spec("app:2"), version=2, order=Order.STOP_FIRST)
        given = world(jobs=[wanted], tasks=tasks)
        assert stops(given) == [tasks[0].container_name]

    def test_is_not_held_up_by_a_node_that_is_unknown_p2(self) -> None:
        tasks = [task(0, node="node2"), task(1)]
        given = world(
            jobs=[job(count=2, task=spec("app:2"), version=2, order=Order.STOP_FIRST)],
            tasks=tasks,
            observed=[seen("node1", container(tasks[1])), unknown("node2")],
        )
        assert stops(given) == [tasks[1].container_name]

    def test_of_the_demands_on_a_node_moves_the_task(self) -> None:
        on_ssd = Constraint(attribute="label.disk", operator=Operator.EQUAL, values=("ssd",))
        tasks = [task(0)]
        given = world(
            jobs=[job(count=1, constraints=(on_ssd,), version=2)],
            tasks=tasks,
            nodes=[node("node1"), node("node2", labels={"disk": "ssd"})],
            observed=[seen("node1", container(tasks[0])), seen("node2")],
        )
        assert places(given) == [("web/main[0]", "node2")]

    def test_of_the_count_alone_touches_no_running_task_p7(self) -> None:
        given = world(jobs=[job(count=2, version=2)], tasks=[task(0)])
        assert stops(given) == []
        assert places(given) == [("web/main[1]", "node1")]


class TestHealth:
    check = HealthCheck(kind=CheckKind.HTTP, port="http", failures=2, grace=30.0)

    def note(self, answer: Health, **changes: object) -> Note | None:
        running = moved(task(spec=spec(health=self.check)), **changes)
        held = container(running, health=answer)
        wanted = job(task=running.spec)
        actions = plan(world(jobs=[wanted], tasks=[running], observed=[seen("node1", held)])).actions
        assert all(isinstance(found, Note) for found in actions)
        return next((found for found in actions if isinstance(found, Note)), None)

    def test_is_healthy_after_one_good_answer(self) -> None:
        note = self.note(Health.HEALTHY, health=Health.STARTING)
        assert note is not None
        assert note.checked is not None
        assert (note.checked.health, note.checked.healthy_since) == (Health.HEALTHY, NOW)

    def test_failures_during_the_grace_after_the_start_do_not_count(self) -> None:
        assert self.note(Health.UNHEALTHY, health=Health.STARTING, changed_at=NOW - 5) is None

    def test_failures_are_counted_until_there_are_enough(self) -> None:
        first = self.note(Health.UNHEALTHY, health=Health.HEALTHY)
        second = self.note(Health.UNHEALTHY, health=Health.HEALTHY, check_failures=1)
        assert first is not None
        assert second is not None
        assert first.checked is not None
        assert second.checked is not None
        assert (first.checked.health, first.checked.failures) == (Health.HEALTHY, 1)
        assert (second.checked.health, second.checked.failures) == (Health.UNHEALTHY, 2)

    def test_counts_at_most_one_answer_in_an_interval(self) -> None:
        assert self.note(Health.UNHEALTHY, health=Health.HEALTHY, checked_at=NOW - 9) is None
        assert self.note(Health.UNHEALTHY, health=Health.HEALTHY, checked_at=NOW - 10) is not None

    def test_a_clock_that_was_set_back_does_not_stop_the_counting(self) -> None:
        assert self.note(Health.UNHEALTHY, health=Health.HEALTHY, checked_at=NOW + 3600) is not None

    def test_a_good_answer_ends_a_row_of_bad_ones(self) -> None:
        since = NOW - 500
        note = self.note(
            Health.HEALTHY, health=Health.HEALTHY, check_failures=1, healthy_since=since, checked_at=NOW - 1
        )
        assert note is not None
        assert note.checked is not None
        assert (note.checked.failures, note.checked.healthy_since) == (0, since)

    def test_that_nobody_asked_for_says_nothing_p3(self) -> None:
        assert self.note(Health.UNCHECKED, health=Health.HEALTHY) is None
