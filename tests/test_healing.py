"""Healing: restarts, new tasks elsewhere, sick tasks, silent nodes; and the brakes on all of it."""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cube.model.action import Note, Place, Plan, Quarantine, Start, Stop
from cube.model.job import CheckKind, HealthCheck, Job, JobType
from cube.model.node import Silence
from cube.model.observation import QUARANTINED, Container, ContainerState, Observation
from cube.model.policy import (
    Condition,
    DisconnectPolicy,
    OnDisconnect,
    OnUnhealthy,
    QuarantinePolicy,
    ReschedulePolicy,
    RestartMode,
    RestartPolicy,
)
from cube.model.resources import Resources
from cube.model.rollout import Rollout, RolloutState
from cube.model.task import Health, Slot, State, Task
from cube.reconciler.homes import forgotten
from cube.reconciler.reconcile import reconcile
from cube.reconciler.restarts import restart_due
from cube.reconciler.silence import GAP, is_cut_off, listen, news
from cube.reconciler.world import World
from cube.scheduler.algorithms import ALGORITHMS
from tests.build import GIB, NOW, container, job, moved, node, seen, spec, task, unknown, world

CHECKED = spec(health=HealthCheck(kind=CheckKind.TCP, port="http"))
NEVER = ReschedulePolicy(attempts=0)


def plan(given_world: World) -> Plan:
    return reconcile(given_world, ALGORITHMS["spread"])


def places(found: Plan) -> list[tuple[str, str]]:
    return [(str(action.slot), action.node) for action in found.actions if isinstance(action, Place)]


def exited(of: Task) -> Container:
    return container(of, ContainerState.EXITED, exit_code=1)


class TestARestart:
    def failed(self, **changes: Any) -> Task:
        return task(**{"state": State.FAILED, "changed_at": NOW - 1000, **changes})

    @given(st.integers(0, 40), st.text("0123456789abcdef", min_size=8, max_size=8))
    def test_waits_longer_each_time_and_never_all_at_once_p8(self, restarts: int, identity: str) -> None:
        (group,) = job(restart=RestartPolicy(attempts=50, delay=5.0, max_delay=300.0)).groups
        waits = restart_due(self.failed(restarts=restarts, id=identity), group, NOW) - (NOW - 1000)
        whole = min(300.0, 5.0 * 2**restarts)
        assert whole / 2 <= waits <= whole

    def test_of_a_herd_comes_in_steps_p8(self) -> None:
        herd = [replace(self.failed(id=f"task-{index:04}"), slot=task(index).slot) for index in range(20)]
        looks = [seen("node1", *map(exited, herd))]
        found = plan(world(jobs=[job(count=20)], tasks=herd, observed=looks))
        assert len([action for action in found.actions if isinstance(action, Start)]) == 5

    def test_in_mode_delay_begins_anew_when_the_window_is_over(self) -> None:
        policy = RestartPolicy(attempts=2, window=600.0, mode=RestartMode.DELAY)
        spent = self.failed(restarts=2, changed_at=NOW - 600)
        (note,) = plan(world(jobs=[job(restart=policy)], tasks=[spent], observed=[seen("node1")])).actions
        assert isinstance(note, Note)
        assert (note.target, note.restarts) == (State.FAILED, 0)
        waiting = moved(spent, changed_at=NOW - 599)
        assert (
            plan(world(jobs=[job(restart=policy)], tasks=[waiting], observed=[seen("node1")])).actions == ()
        )


class TestANewTaskElsewhere:
    spent = task(state=State.FAILED, restarts=2, changed_at=NOW - 60, reason="exited with 1")
    looks = (seen("node1", exited(spent)), seen("node2"))

    def test_takes_the_slot_when_the_restarts_are_used_and_avoids_the_node(self) -> None:
        found = plan(world(jobs=[job()], tasks=[self.spent], observed=self.looks))
        (place,) = (action for action in found.actions if isinstance(action, Place))
        assert (place.node, place.reschedules, place.failed_on) == ("node2", 1, ("node1",))
        assert place.reason.startswith("exited with 1 on node1: ")
        assert [action.reason for action in found.actions if isinstance(action, Stop)] == [
            "moved: exited with 1"
        ]

    def test_comes_back_to_the_node_only_if_no_other_can_have_it(self) -> None:
        found = plan(world(jobs=[job()], tasks=[self.spent], observed=self.looks[:1]))
        assert places(found) == [("web/main[0]", "node1")]

    def test_waits_longer_after_each_one_p8(self) -> None:
        again = moved(self.spent, reschedules=5, changed_at=NOW - 400)
        assert plan(world(jobs=[job()], tasks=[again], observed=self.looks)).actions == ()

    def test_is_not_made_when_the_policy_allows_no_more_p8(self) -> None:
        assert plan(world(jobs=[job(reschedule=NEVER)], tasks=[self.spent], observed=self.looks)) == Plan()

    def test_of_a_task_that_had_run_well_counts_from_the_beginning(self) -> None:
        ran = task(changed_at=NOW - 7200, reschedules=4, restarts=2)
        (note,) = plan(world(jobs=[job()], tasks=[ran], observed=[seen("node1", exited(ran))])).actions
        assert isinstance(note, Note)
        assert (note.restarts, note.reschedules) == (0, 0)


class TestASickTask:
    sick = task(spec=CHECKED, health=Health.UNHEALTHY, check_failures=3)

    def act(self, **changes: Any) -> Plan:
        held = container(self.sick, health=Health.UNHEALTHY)
        return plan(
            world(jobs=[job(task=CHECKED, **changes)], tasks=[self.sick], observed=[seen("node1", held)])
        )

    @pytest.mark.parametrize("then", [OnUnhealthy.RESTART, OnUnhealthy.REPLACE])
    def test_is_ended_as_failed(self, then: OnUnhealthy) -> None:
        (stop,) = self.act(on_unhealthy=then).actions
        assert isinstance(stop, Stop)
        assert (stop.target, stop.reason) == (State.FAILED, "unhealthy: 3 failed checks in a row")

    def test_is_told_with_what_its_check_found_p12(self) -> None:
        held = container(self.sick, health=Health.UNHEALTHY, check="status 503")
        (stop,) = plan(
            world(jobs=[job(task=CHECKED)], tasks=[self.sick], observed=[seen("node1", held)])
        ).actions
        assert isinstance(stop, Stop)
        assert stop.reason == "unhealthy: 3 failed checks in a row: status 503"

    def test_is_left_alone_when_it_is_well_again(self) -> None:
        held = container(self.sick, health=Health.HEALTHY)
        (note,) = plan(
            world(jobs=[job(task=CHECKED)], tasks=[self.sick], observed=[seen("node1", held)])
        ).actions
        assert isinstance(note, Note)

    def test_is_then_restarted_in_its_place(self) -> None:
        failed = moved(self.sick, state=State.FAILED)
        found = plan(world(jobs=[job(task=CHECKED)], tasks=[failed], observed=[seen("node1")]))
        assert [type(action) for action in found.actions] == [Start]

    def test_is_then_replaced_where_the_job_says_so(self) -> None:
        failed = moved(self.sick, state=State.FAILED)
        wanted = job(task=CHECKED, on_unhealthy=OnUnhealthy.REPLACE)
        found = plan(world(jobs=[wanted], tasks=[failed], observed=[seen("node1"), seen("node2")]))
        assert places(found) == [("web/main[0]", "node2")]

    def test_is_cut_off_and_kept_where_the_job_says_so(self) -> None:
        (cut,) = self.act(on_unhealthy=OnUnhealthy.QUARANTINE).actions
        assert isinstance(cut, Quarantine)
        assert cut.until == NOW + 3600

    def test_is_not_kept_beyond_the_memory_that_is_allowed(self) -> None:
        small = QuarantinePolicy(memory=GIB // 16)
        (stop,) = self.act(on_unhealthy=OnUnhealthy.QUARANTINE, quarantine=small).actions
        assert isinstance(stop, Stop)


class TestATaskThatWasCutOffLate:
    def test_is_replaced_for_it_serves_nobody_p3(self) -> None:
        """Seed 6601210: the reply was lost, the task well again, and then the effect came about."""
        late = replace(container(task()), name=f"{task().container_name}{QUARANTINED}")
        found = plan(world(jobs=[job()], tasks=[task()], observed=[seen("node1", late)]))
        assert [action.container for action in found.actions if isinstance(action, Stop)] == [late.id]


class TestATaskInQuarantine:
    kept = task(state=State.FAILED, health=Health.UNHEALTHY, quarantined_until=NOW + 100, changed_at=NOW - 60)
    wanted = job(on_unhealthy=OnUnhealthy.QUARANTINE)

    def plan(self, wanted: Job, *tasks: Task, **changes: Any) -> Plan:
        """Long after the job was deployed."""
        since = Rollout(job="web", version=1, since=NOW - 1000, state=RolloutState.SUCCEEDED)
        return plan(world(jobs=[wanted], tasks=tasks, rollouts=[since], **changes))

    def test_is_left_alone_and_its_slot_filled(self) -> None:
        found = plan(world(jobs=[self.wanted], tasks=[self.kept]))
        assert places(found) == [("web/main[0]", "node1")]
        assert not [action for action in found.actions if isinstance(action, Stop)]
        assert "in quarantine" in found.warnings[0]

    def test_is_replaced_no_sooner_and_no_oftener_than_any_that_failed_p8(self) -> None:
        """Else a service that is always sick would fill the fleet with what is kept of it."""
        early = moved(self.kept, changed_at=NOW - 10)
        spent = moved(self.kept, reschedules=2)
        twice = job(on_unhealthy=OnUnhealthy.QUARANTINE, reschedule=ReschedulePolicy(attempts=2))
        assert places(self.plan(self.wanted, early)) == []
        assert places(self.plan(twice, spent)) == []
        assert places(self.plan(twice, moved(spent, reschedules=1))) != []

    def test_does_not_hold_up_a_new_version_nor_another_try(self) -> None:
        spent = moved(self.kept, changed_at=NOW - 10)
        newer = replace(job(task=spec("app:2"), on_unhealthy=OnUnhealthy.QUARANTINE), version=2)
        again = Rollout(job="web", version=1, since=NOW - 5)
        assert places(self.plan(newer, spent)) != []
        assert places(plan(world(jobs=[self.wanted], tasks=[spent], rollouts=[again]))) != []
        closed = moved(spent, state=State.COMPLETED)
        found = self.plan(self.wanted, closed)
        assert places(found) != []
        assert not [action for action in found.actions if isinstance(action, Stop)]

    def test_that_was_given_up_stays_failed_when_it_is_kept_no_longer(self) -> None:
        given_up = job(on_unhealthy=OnUnhealthy.QUARANTINE, reschedule=NEVER)
        over = moved(self.kept, quarantined_until=NOW)
        (stop,) = self.plan(given_up, over).actions
        assert isinstance(stop, Stop)
        assert stop.target is State.FAILED
        (note,) = self.plan(given_up, over, observed=[seen("node1")]).actions
        assert isinstance(note, Note)
        assert note.target is State.FAILED

    def test_whose_container_is_gone_is_ended_once(self) -> None:
        """Seed 4401027: the second plan asked for what the first had recorded."""
        closed = moved(self.kept, state=State.COMPLETED)
        stopped = replace(self.wanted, stopped=True)
        assert self.plan(stopped, closed, observed=[seen("node1")]).actions == ()
        (stop,) = self.plan(stopped, closed).actions
        assert isinstance(stop, Stop)

    def test_hands_its_count_on_though_older_ones_are_kept_too(self) -> None:
        older = moved(self.kept, id="older", changed_at=NOW - 90)
        newer = moved(self.kept, id="newer", order=2, reschedules=1, quarantined_until=None)
        found = self.plan(self.wanted, older, newer, observed=[seen("node1")])
        (place,) = (action for action in found.actions if isinstance(action, Place))
        assert place.reschedules == 2

    def test_keeps_its_room_p13(self) -> None:
        big = spec()
        kept = moved(self.kept, spec=replace(big, resources=replace(big.resources, memory=7 * GIB)))
        other = job("api", task=kept.spec)
        found = plan(world(jobs=[self.wanted, other], tasks=[kept]))
        assert ("api/main[0]", "node1") not in places(found)

    @pytest.mark.parametrize("change", [{"quarantined_until": NOW}, {}])
    def test_is_removed_when_its_time_is_over_or_its_job_stopped(self, change: dict[str, float]) -> None:
        wanted = self.wanted if change else replace(self.wanted, stopped=True)
        found = plan(world(jobs=[wanted], tasks=[replace(self.kept, **change)]))  # type: ignore[arg-type]
        assert [action.container_name for action in found.actions if isinstance(action, Stop)] == [
            self.kept.container_name
        ]


class TestASilentNode:
    there, other, gone = task(0), task(1, node="node2"), task(2, node="node3")
    long = Silence(node="node3", at=NOW, misses=5, seconds=300.0)

    def fleet(self, *silences: Silence, **changes: Any) -> World:
        looks: list[Observation] = [
            seen("node1", container(self.there)),
            seen("node2", container(self.other)),
            unknown("node3"),
        ]
        tasks = [self.there, self.other, self.gone]
        return world(jobs=[job(count=3, **changes)], tasks=tasks, observed=looks, silences=silences)

    def test_loses_its_tasks_after_a_long_silence_and_three_looks(self) -> None:
        assert [slot for slot, _ in places(plan(self.fleet(self.long)))] == ["web/main[2]"]

    @pytest.mark.parametrize("change", [{"misses": 2}, {"seconds": 299.0}])
    def test_keeps_them_before_p3(self, change: dict[str, Any]) -> None:
        assert plan(self.fleet(replace(self.long, **change))).actions == ()

    def test_is_told_with_what_becomes_of_its_tasks_p12(self) -> None:
        kept = job("kept", disconnect=DisconnectPolicy(then=OnDisconnect.KEEP))
        fleet = self.fleet(self.long)
        beside = task(0, job="kept", node="node3")
        both = replace(fleet, jobs=(*fleet.jobs, kept), tasks=(*fleet.tasks, beside))
        (told,) = plan(both).warnings
        assert "of its 2 tasks 1 are replaced elsewhere; the others are left" in told
        (told,) = plan(self.fleet(replace(self.long, misses=2))).warnings
        assert "its 1 tasks are left as they are" in told

    def test_keeps_them_where_the_job_says_so(self) -> None:
        keep = DisconnectPolicy(then=OnDisconnect.KEEP)
        assert plan(self.fleet(self.long, disconnect=keep)).actions == ()

    def test_keeps_them_while_most_nodes_are_silent_p8(self) -> None:
        looks: list[Observation] = [seen("node0"), *(unknown(f"node{number}") for number in range(1, 6))]
        silent = [Silence(node=f"node{number}", at=NOW, misses=9, seconds=900.0) for number in range(1, 6)]
        given_world = world(jobs=[job()], tasks=[self.there], observed=looks, silences=silent)
        found = plan(given_world)
        assert found.actions == ()
        assert "cut off" in found.warnings[0]

    def test_has_its_tasks_moved_a_few_at_a_time_p8(self) -> None:
        gone = [task(index, node="node3") for index in range(9)]
        looks: list[Observation] = [seen("node1"), seen("node2"), unknown("node3")]
        found = plan(world(jobs=[job(count=9)], tasks=gone, observed=looks, silences=[self.long]))
        assert len(places(found)) == 2

    def test_has_others_moved_past_those_that_fit_nowhere_or_wait_for_them_p8(self) -> None:
        """Seeds 632 and 869: the few that may move at a time were ones that could not."""
        base = job(count=3).groups[0]
        main = replace(base, name="app", depends_on={"main": Condition.HEALTHY})
        wanted = replace(job(), groups=(main, base))
        of_app = [
            replace(
                task(index, node="node3", id=f"app-{index}"), slot=Slot(job="web", group="app", index=index)
            )
            for index in range(3)
        ]
        of_base = [task(index, node="node3") for index in range(3)]
        looks: list[Observation] = [seen("node1"), seen("node2"), unknown("node3")]
        found = plan(world(jobs=[wanted], tasks=[*of_app, *of_base], observed=looks, silences=[self.long]))
        assert [slot for slot, _ in places(found)] == ["web/main[0]", "web/main[1]"]

    def test_that_is_back_with_its_task_alive_keeps_it_and_the_newer_copy_goes_p4(self) -> None:
        copy = moved(task(2, node="node1", id="copy-0000-0000"), order=50)
        tasks = [self.there, self.other, self.gone, copy]
        found = plan(world(jobs=[job(count=3)], tasks=tasks))
        assert [action.container_name for action in found.actions if isinstance(action, Stop)] == [
            copy.container_name
        ]

    def test_that_is_back_with_its_task_dead_keeps_the_copy_p4(self) -> None:
        copy = moved(task(2, node="node1", id="copy-0000-0000"), order=50)
        looks = [seen("node1", container(copy)), seen("node3", exited(self.gone))]
        (wanted,) = (replace(found, groups=(replace(found.groups[0], count=3),)) for found in [job()])
        found = plan(world(jobs=[wanted], tasks=[self.gone, copy], observed=looks))
        stops = [action.container_name for action in found.actions if isinstance(action, Stop)]
        assert stops == [self.gone.container_name]

    def test_that_is_back_with_an_old_version_gets_the_new_one(self) -> None:
        """nomad#14925: an update while the node was away must reach the copy that returns."""
        found = plan(world(jobs=[job(task=spec("app:2"), version=2)], tasks=[task()]))
        assert places(found) == [("web/main[0]", "node1")]

    def test_that_is_back_with_a_task_to_be_replaced_is_not_held_up_by_the_one_that_waits_p19(self) -> None:
        """Seed 2000737: the new one waited for the room that the old one kept for it to be proven."""
        waiting = task(node=None, id="new-0-0000", state=State.PENDING, order=50, spec=spec("app:2"))
        look = seen("node1", container(task()), memory=GIB // 8)
        found = plan(
            world(jobs=[job(task=spec("app:2"), version=2)], tasks=[task(), waiting], observed=[look])
        )
        assert [found.container_name for found in found.actions if isinstance(found, Stop)] == [
            task().container_name
        ]

    def test_keeps_its_system_task(self) -> None:
        found = plan(self.fleet(self.long, type=JobType.SYSTEM))
        assert places(found) == []


class TestListening:
    looks: Mapping[str, Observation] = MappingProxyType(
        {"node1": seen("node1"), "node2": seen("node2"), "node3": unknown("node3")}
    )

    def test_counts_the_looks_and_the_time_between_them(self) -> None:
        first = listen({}, self.looks, NOW)
        second = listen(first, self.looks, NOW + 60)
        assert second == {"node3": Silence(node="node3", at=NOW + 60, misses=2, seconds=60.0)}

    def test_a_time_in_which_nobody_looked_counts_little_p3(self) -> None:
        first = listen({}, self.looks, NOW)
        assert listen(first, self.looks, NOW + 86400)["node3"].seconds == GAP

    def test_a_clock_that_was_set_back_counts_nothing(self) -> None:
        first = listen({}, self.looks, NOW)
        assert listen(first, self.looks, NOW - 3600)["node3"].seconds == 0.0

    def test_a_node_that_answers_is_silent_no_more(self) -> None:
        assert listen(listen({}, self.looks, NOW), {"node3": seen("node3")}, NOW + 1) == {}

    def test_while_we_are_cut_off_every_count_begins_anew_p8(self) -> None:
        first = listen({}, self.looks, NOW)
        blind = {name: unknown(name) for name in self.looks}
        assert {found.misses for found in listen(first, blind, NOW + 60).values()} == {0}

    @pytest.mark.parametrize(
        ("silent", "of", "blind"),
        [
            (0, 3, False),
            (1, 3, False),
            (2, 3, False),
            (3, 3, True),
            (2, 4, False),
            (3, 5, True),
            (3, 6, False),
            (1, 1, True),
        ],
    )
    def test_we_are_cut_off_when_all_or_most_and_more_than_two_are_silent(
        self, silent: int, of: int, *, blind: bool
    ) -> None:
        looks = {f"n{index}": unknown("n") if index < silent else seen("n") for index in range(of)}
        assert is_cut_off(looks) is blind


class TestANodeThatIsRenamed:
    def test_keeps_its_tasks_under_the_new_name(self) -> None:
        old = task(node="before")
        (note,) = plan(world(jobs=[job()], tasks=[old], observed=[seen("after", container(old))])).actions
        assert isinstance(note, Note)
        assert (note.node, note.reason) == ("after", "before is called after now")

    def test_gets_nothing_back_that_was_given_up_under_the_old_one_p3(self) -> None:
        gone = task(node="before", state=State.COMPLETED, reason=forgotten("before"))
        given = world(jobs=[job()], tasks=[gone], observed=[seen("after", container(gone))])
        notes = [note for note in plan(given).actions if isinstance(note, Note)]
        assert not [note for note in notes if note.task.id == gone.id]

    @pytest.mark.parametrize("come_to", [ContainerState.CREATED, ContainerState.RUNNING])
    def test_has_no_task_whose_room_became_another_s_before_it_was_known_p13(
        self, come_to: ContainerState
    ) -> None:
        """Seeds 77352 and 1795359298713630: nobody knew that it would come, nor that it had."""
        large = replace(spec(), resources=Resources(cpu=3000))
        late = task(node="before", spec=large, state=State.SCHEDULED)
        other = task(job="api", node="after", spec=large)
        given = [job(task=large), job("api", task=large)]
        shown = seen("after", container(late, come_to), container(other))
        name, end = plan(world(jobs=given, tasks=[late, other], observed=[shown])).actions
        assert isinstance(name, Note)
        assert isinstance(end, Stop)
        assert (end.task and end.task.id, end.node) == (late.id, "after")
        assert end.reason.startswith("its room was promised to another")

    def test_begins_what_was_to_begin_there_where_it_still_has_room(self) -> None:
        late = task(node="before", state=State.SCHEDULED)
        shown = seen("after", container(late, ContainerState.CREATED))
        _, start = plan(world(jobs=[job()], tasks=[late], observed=[shown])).actions
        assert isinstance(start, Start)

    def test_is_not_one_that_is_still_in_the_inventory(self) -> None:
        """A second container of the task is a leftover there."""
        mine = task(node="node1")
        looks = [seen("node1", container(mine)), seen("node2", container(mine))]
        (stop,) = plan(world(jobs=[job()], tasks=[mine], observed=looks)).actions
        assert isinstance(stop, Stop)
        assert stop.node == "node2"


class TestATaskThatSomebodyChanged:
    def test_is_replaced_as_in_an_update_and_the_event_says_what_was_changed(self) -> None:
        held = container(task(), drift="memory is 64MiB, not 128MiB")
        found = plan(
            world(jobs=[job()], tasks=[task()], observed=[seen("node1", held)], nodes=[node("node1")])
        )
        (place,) = (action for action in found.actions if isinstance(action, Place))
        assert place.reason.startswith("changed by hand: memory is 64MiB, not 128MiB: ")

    def test_waits_until_the_others_of_its_group_are_proven_and_says_until_when(self) -> None:
        young = task(1, changed_at=NOW - 0.5)
        node1 = seen("node1", container(task(), drift="memory is 64MiB, not 128MiB"), container(young))
        over = Rollout(job="web", version=1, since=NOW - 50, state=RolloutState.SUCCEEDED)
        given = world(jobs=[job(count=2)], tasks=[task(), young], observed=[node1], rollouts=[over])
        found = plan(given)
        assert (found.changes, found.due) == ((), {"web": NOW + 1.5})


class TestNewsOfALook:
    def told(self, known: Mapping[str, Silence], looks: Mapping[str, Observation]) -> list[tuple[str, str]]:
        return list(news(known, listen(known, looks, NOW), looks))

    def test_is_a_silence_that_begins_and_one_that_ends_and_nothing_in_between_p11(self) -> None:
        looks: dict[str, Observation] = {"node1": seen("node1"), "node2": unknown("node2")}
        known = listen({}, looks, NOW - 60)
        assert self.told({}, looks) == [("node2", "does not answer: timed out, port 22")]
        assert self.told(known, looks) == []
        assert self.told(known, {"node2": seen("node2")}) == [
            ("node2", "answers again; it was silent in 1 looks")
        ]

    def test_is_once_that_we_are_cut_off_p8(self) -> None:
        blind: dict[str, Observation] = {name: unknown(name) for name in ("node1", "node2")}
        told = self.told({}, blind)
        assert told[-1] == ("", "2 of 2 nodes are silent: it may be we who are cut off")
        assert self.told(listen({}, blind, NOW), blind) == []
