"""The store: versions of jobs, tasks that go only where the table lets them, and events that are true."""

import stat
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from cube.errors import CubeError, InputError, InternalError, LockedError
from cube.model.action import (
    Action,
    Checked,
    Decision,
    Effect,
    Fetch,
    Note,
    Outcome,
    Place,
    Plan,
    Quarantine,
    Refusal,
    Start,
    Stop,
    Verdict,
    Wait,
)
from cube.model.job import CheckKind, Group, HealthCheck, Job, TaskSpec
from cube.model.node import Cordon
from cube.model.observation import Cause, CpuTimes, Engine, PostMortem, Seen, Stats, Unknown
from cube.model.task import Health, Slot, State, Task, TaskEvent
from cube.store.address import StatePlace
from cube.store.replay import current, tasks_at
from cube.store.rows import Restored, Sweep
from cube.store.store import Store, open_store

SPEC = TaskSpec(image="app:1")
CHECKED = replace(SPEC, health=HealthCheck(kind=CheckKind.HTTP, port="http"))
SLOT = Slot(job="web", group="app", index=0)
OK = Outcome(verdict=Verdict.OK, container="c0ffee")


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest) -> Iterator[Store]:
    """A store that knows the job `web`, version 1; of each engine, since the promises are the same."""
    is_file = request.param == "sqlite"
    store = open_store(":memory:" if is_file else request.getfixturevalue("postgres").place())
    put(store, job())
    yield store
    store.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a state file may lie."""
    return tmp_path / "state" / "cube.db"


def job(name: str = "web", count: int = 1) -> Job:
    return Job(name=name, groups=(Group(name="app", spec=SPEC, count=count),))


def about_tasks(store: Store) -> list[TaskEvent]:
    return [event for event in store.events() if event.target is not None]


def put(store: Store, wanted: Job, *, now: float = 1.0) -> Job:
    return store.put_job(wanted, now=now, actor="ann", reason="deployed")


def answered(health: Health, failures: int = 0) -> Checked:
    return Checked(health=health, at=9.0, healthy_since=None, failures=failures)


def plan(store: Store, *actions: Action, now: float = 10.0) -> tuple[Effect, ...]:
    return store.record_plan(Plan(actions=actions), now=now, actor="ann")


def place(slot: Slot = SLOT, *, spec: TaskSpec = SPEC, node: str = "node1") -> Place:
    decision = Decision(scores={node: 0.5}, refusals=(Refusal(node="node2", reason="no memory", ever=True),))
    return Place(
        slot=slot, version=1, spec=spec, node=node, ports={"http": 20000}, decision=decision, reason="wanted"
    )


def wait(reason: str = "no node fits", *, why: str = "no memory") -> Wait:
    decision = Decision(scores={}, refusals=(Refusal(node="node1", reason=why),))
    return Wait(slot=SLOT, version=1, spec=SPEC, decision=decision, reason=reason)


def stop(task: Task, *, target: State = State.COMPLETED) -> Stop:
    return Stop(
        node="node1",
        container="c0ffee",
        container_name=task.container_name,
        grace=10.0,
        reason="scaled",
        task=task,
        target=target,
    )


def left(log: str) -> PostMortem:
    return PostMortem(
        at=1.0, container="c0ffee", exit_code=1, oom_killed=False, started_at="", finished_at=log, log=log
    )


def running(store: Store, *, spec: TaskSpec = SPEC) -> Task:
    """A task that runs since 11."""
    (effect,) = plan(store, place(spec=spec))
    store.record_outcome(effect, OK, now=11.0, actor="ann")
    (task,) = store.current_tasks()
    return task


def stopped(store: Store, task: Task) -> None:
    (effect,) = plan(store, stop(task))
    store.record_outcome(effect, OK, now=12.0, actor="ann")


def only(store: Store) -> Task:
    (task,) = store.current_tasks()
    return task


@pytest.mark.parametrize("again", [place(), wait("it was there before")], ids=["place", "wait"])
def test_a_task_that_waits_and_ends_in_the_same_plan_in_which_its_slot_is_filled_is_not_begun_p11(
    store: Store, again: Place | Wait
) -> None:
    """Seed 882002224: its event said that it was Pending, and the one before that it was Completed."""
    put(store, job())
    plan(store, wait())
    waited = only(store)
    plan(store, Note(task=waited, target=State.COMPLETED, reason="its slot is filled by another task"), again)
    sources = [(event.task == waited.id, event.source, event.target) for event in about_tasks(store)]
    fresh = State.SCHEDULED if isinstance(again, Place) else State.PENDING
    assert sources == [
        (True, None, State.PENDING),
        (True, State.PENDING, State.COMPLETED),
        (False, None, fresh),
    ]


class TestJobs:
    def test_a_job_gets_version_1_then_2(self, store: Store) -> None:
        assert put(store, job(count=2)).version == 2
        assert [version.job.version for version in store.versions("web")] == [1, 2]

    def test_an_equal_job_is_not_a_new_version(self, store: Store) -> None:
        assert put(store, job(), now=5.0) == store.job("web") == store.job("web", 1)
        assert len(store.versions("web")) == 1

    def test_the_version_that_a_job_would_get_is_known_before_it_is_put(self, store: Store) -> None:
        assert store.version_of(job()) == 1
        assert store.version_of(job(count=2)) == 2 == put(store, job(count=2)).version
        assert store.version_of(job("other")) == 1

    def test_an_old_version_put_again_is_a_new_one(self, store: Store) -> None:
        put(store, job(count=2))
        assert put(store, job(count=1)).version == 3

    def test_every_version_is_kept_as_it_was(self, store: Store) -> None:
        put(store, job(count=2))
        first = store.job("web", 1)
        assert first is not None
        assert first.groups[0].count == 1

    def test_jobs_are_the_newest_of_each_by_name(self, store: Store) -> None:
        put(store, job("api"))
        put(store, job(count=2))
        assert [(found.name, found.version) for found in store.jobs()] == [("api", 1), ("web", 2)]

    def test_a_version_tells_when_by_whom_and_why(self, store: Store) -> None:
        (version,) = store.versions("web")
        assert (version.at, version.actor, version.reason) == (1.0, "ann", "deployed")

    def test_what_is_not_known_is_none(self, store: Store) -> None:
        assert store.job("nothing") is None
        assert store.job("web", 7) is None

    def test_a_job_with_a_live_task_is_not_forgotten(self, store: Store) -> None:
        plan(store, place())
        assert not store.forget_job("web")
        assert store.job("web") is not None

    def test_a_forgotten_job_leaves_its_events_and_its_numbers(self, store: Store) -> None:
        stopped(store, running(store))
        events = store.events()
        assert store.forget_job("web")
        assert (store.jobs(), store.tasks(), store.events()) == ((), (), events)
        assert put(store, job()).version == 2


class TestPlans:
    def test_a_place_becomes_the_start_of_a_recorded_task(self, store: Store) -> None:
        (effect,) = plan(store, place())
        assert isinstance(effect, Start)
        assert effect.task == only(store)
        assert effect.task.state is State.SCHEDULED
        assert (effect.node, effect.task.ports) == ("node1", {"http": 20000})

    def test_its_event_explains_the_choice(self, store: Store) -> None:
        plan(store, place())
        (event,) = about_tasks(store)
        assert event.detail["score node1"] == "0.5"
        assert event.detail["refused node2"] == "no memory (never fits)"

    def test_a_large_fleet_does_not_make_a_large_event(self, store: Store) -> None:
        decision = Decision(
            scores={f"n{number:04}": number / 1000 for number in range(1000)},
            refusals=tuple(Refusal(node=f"r{number:04}", reason="full") for number in range(1000)),
        )
        plan(store, replace(place(), decision=decision))
        (event,) = about_tasks(store)
        assert len(event.detail) < 100
        assert event.detail["score n0999"] == "0.999"
        assert event.detail["more refusals"] == "950"

    def test_a_place_takes_the_task_that_waited(self, store: Store) -> None:
        plan(store, wait(), now=5.0)
        pending = only(store)
        (effect,) = plan(store, place())
        assert effect.task is not None
        assert (effect.task.id, effect.task.created_at) == (pending.id, 5.0)

    def test_the_same_wait_writes_nothing(self, store: Store) -> None:
        """P10."""
        plan(store, wait())
        before = (store.tasks(), store.events())
        plan(store, wait(), now=20.0)
        assert (store.tasks(), store.events()) == before

    @pytest.mark.parametrize("other", [wait("later"), wait(why="no disk")])
    def test_another_reason_or_refusal_is_told(self, store: Store, other: Wait) -> None:
        plan(store, wait())
        plan(store, other)
        assert [event.target for event in about_tasks(store)] == [State.PENDING, State.PENDING]
        assert len(store.tasks()) == 1

    def test_effects_come_in_the_order_of_the_plan(self, store: Store) -> None:
        task = running(store)
        slots = [replace(SLOT, index=index) for index in (3, 1, 2)]
        effects = plan(store, place(slots[0]), stop(task), place(slots[1]), place(slots[2]))
        assert [effect.task.slot.index if effect.task else None for effect in effects] == [3, 0, 1, 2]

    def test_a_repeated_start_of_a_scheduled_task_is_no_restart(self, store: Store) -> None:
        (effect,) = plan(store, place())
        assert effect.task is not None
        plan(store, Start(task=effect.task, reason="not found"))
        assert only(store).restarts == 0

    @pytest.mark.parametrize("state", [State.FAILED, State.RUNNING])
    def test_a_start_after_a_run_counts_as_a_restart(self, store: Store, state: State) -> None:
        task = running(store)
        plan(store, Note(task=task, target=state, reason="seen", exit_code=1))
        (effect,) = plan(store, Start(task=only(store), reason="restart"), now=30.0)
        assert effect.task is not None
        assert (effect.task.state, effect.task.restarts) == (State.SCHEDULED, 1)

    def test_a_stop_is_told_before_it_is_tried(self, store: Store) -> None:
        task = running(store)
        plan(store, stop(task))
        assert only(store).state is State.RUNNING
        assert store.events()[-1].detail == {"intent": "stop, then Completed"}

    def test_what_is_recorded_counts_not_the_callers_copy(self, store: Store) -> None:
        (effect,) = plan(store, place())
        assert effect.task is not None
        store.record_outcome(effect, OK, now=11.0, actor="ann")
        plan(
            store,
            Note(task=effect.task, target=State.RUNNING, reason="seen", checked=answered(Health.HEALTHY)),
        )
        assert only(store).container == "c0ffee"

    def test_two_actions_on_one_task_add_up(self, store: Store) -> None:
        task = running(store)
        unhealthy = Note(task=task, target=State.RUNNING, reason="check", checked=answered(Health.UNHEALTHY))
        plan(store, unhealthy, stop(task, target=State.FAILED))
        assert (only(store).health, only(store).reason) == (Health.UNHEALTHY, "scaled")
        assert store.check() == ()

    def test_an_orphan_leaves_an_event_with_its_name(self, store: Store) -> None:
        orphan = replace(stop(running(store)), task=None, container_name="cube-old-app-0-12345678")
        (effect,) = plan(store, orphan)
        store.record_outcome(effect, OK, now=12.0, actor="ann")
        told = [event for event in store.events() if not event.task and event.node]
        assert [event.detail["name"] for event in told] == ["cube-old-app-0-12345678"] * 2
        assert store.check() == ()


class TestNotes:
    def test_what_is_known_already_writes_nothing(self, store: Store) -> None:
        """P10."""
        task = running(store)
        before = (store.tasks(), store.events())
        plan(store, Note(task=task, target=State.RUNNING, reason=task.reason))
        assert (store.tasks(), store.events()) == before

    def test_a_failure_may_give_the_attempts_back(self, store: Store) -> None:
        running(store)
        for reason, left, count in (("failed", None, 1), ("failed after a long run", 0, 0)):
            (effect,) = plan(store, Start(task=only(store), reason="again"))
            store.record_outcome(effect, OK, now=11.0, actor="ann")
            plan(store, Note(task=only(store), target=State.FAILED, reason=reason, restarts=left))
            assert only(store).restarts == count

    def test_a_failed_check_is_counted_without_an_event(self, store: Store) -> None:
        task = running(store)
        before = store.events()
        plan(
            store, Note(task=task, target=State.RUNNING, reason=task.reason, checked=answered(task.health, 1))
        )
        assert only(store).check_failures == 1
        assert store.events() == before

    def test_another_health_is_an_event_and_not_another_state(self, store: Store) -> None:
        task = running(store)
        plan(
            store,
            Note(task=task, target=State.RUNNING, reason="check", checked=answered(Health.HEALTHY)),
            now=50.0,
        )
        assert only(store).changed_at == 11.0
        assert store.events()[-1].detail == {"health": "healthy"}

    def test_a_task_that_is_seen_to_run_begins_its_health(self, store: Store) -> None:
        (effect,) = plan(store, place(spec=CHECKED))
        assert effect.task is not None
        plan(store, Note(task=effect.task, target=State.RUNNING, reason="seen running", container="c1"))
        assert (only(store).health, only(store).container) == (Health.STARTING, "c1")

    def test_one_look_may_tell_that_a_task_runs_and_what_its_check_says(self, store: Store) -> None:
        (effect,) = plan(store, place(spec=CHECKED))
        assert effect.task is not None
        plan(
            store,
            Note(task=effect.task, target=State.RUNNING, reason="seen", checked=answered(Health.HEALTHY)),
        )
        assert (only(store).state, only(store).health) == (State.RUNNING, Health.HEALTHY)

    def test_a_note_of_a_task_that_nobody_recorded_is_a_bug(self, store: Store) -> None:
        stranger = replace(running(store), id="nobody")
        with pytest.raises(InternalError, match="not recorded"):
            plan(store, Note(task=stranger, target=State.FAILED, reason="seen"))

    def test_a_step_that_is_not_in_the_table_is_refused_and_undone(self, store: Store) -> None:
        task = running(store)
        plan(store, Note(task=task, target=State.COMPLETED, reason="exited with 0"))
        before = (store.tasks(), store.events())
        with pytest.raises(InternalError, match="from Completed to Running"):
            plan(store, wait("other"), Note(task=only(store), target=State.RUNNING, reason="seen"))
        assert (store.tasks(), store.events()) == before

    def test_what_was_planned_for_a_task_in_another_state_by_now_is_left_to_the_next_plan_p11(
        self, store: Store
    ) -> None:
        """Somebody deploys again, which ends what has failed, while a manager's turn is planned."""
        task = running(store)
        plan(store, Note(task=task, target=State.FAILED, reason="exited with 1"))
        failed = only(store)
        plan(store, Note(task=failed, target=State.COMPLETED, reason="deployed again"))
        before = (store.tasks(), store.events())
        assert plan(store, Start(task=failed, reason="restart 1 of 3"), stop(failed)) == ()
        assert (store.tasks(), store.events()) == before


class TestOutcomes:
    @pytest.mark.parametrize(
        ("verdict", "state", "reason"),
        [
            (Verdict.OK, State.RUNNING, "started: wanted"),
            (Verdict.FAILED, State.FAILED, "cannot start: no such image"),
            (Verdict.UNKNOWN, State.SCHEDULED, "the reply to the start was lost: no such image"),
        ],
    )
    def test_of_a_start(self, store: Store, verdict: Verdict, state: State, reason: str) -> None:
        (effect,) = plan(store, place())
        outcome = Outcome(verdict=verdict, why="no such image", cure="pull it", detail={"image": "app:1"})
        store.record_outcome(effect, outcome, now=11.0, actor="ann")
        assert (only(store).state, only(store).reason) == (state, reason)
        assert store.events()[-1].detail == {"image": "app:1", "cure": "pull it"}

    def test_of_a_start_that_ended_at_once_keep_the_container_and_its_exit_code(self, store: Store) -> None:
        """`cube logs` needs the one, and a batch job's owner the other."""
        (effect,) = plan(store, place())
        outcome = Outcome(verdict=Verdict.FAILED, container="c1", why="it ended", detail={"exit_code": "4"})
        store.record_outcome(effect, outcome, now=11.0, actor="ann")
        assert (only(store).container, only(store).exit_code) == ("c1", 4)

    @pytest.mark.parametrize(
        ("verdict", "state"),
        [
            (Verdict.OK, State.COMPLETED),
            (Verdict.FAILED, State.RUNNING),
            (Verdict.UNKNOWN, State.RUNNING),
        ],
    )
    def test_of_a_stop(self, store: Store, verdict: Verdict, state: State) -> None:
        (effect,) = plan(store, stop(running(store)))
        store.record_outcome(effect, Outcome(verdict=verdict, why="it hung"), now=12.0, actor="ann")
        assert only(store).state is state

    def test_a_started_task_with_a_check_is_starting(self, store: Store) -> None:
        assert running(store, spec=CHECKED).health is Health.STARTING

    def test_both_ends_of_a_restart_that_ended_at_once_are_kept(self, store: Store) -> None:
        failed = running(store)
        (effect,) = plan(store, Start(task=failed, reason="again"))
        outcome = Outcome(
            verdict=Verdict.FAILED, why="it ended at once", post_mortem=left("first"), end=left("then")
        )
        store.record_outcome(effect, outcome, now=12.0, actor="ann")
        assert [death.found.log for death in store.post_mortems("web")] == ["first", "then"]

    def test_what_its_check_said_since_it_began_is_kept_with_what_a_container_left(
        self, store: Store
    ) -> None:
        task = running(store, spec=CHECKED)
        sick = "health check: unhealthy: it answered 500"
        for at in (60.0, 120.0):
            seen = replace(answered(Health.UNHEALTHY, 3), at=at)
            plan(store, Note(task=task, target=State.RUNNING, reason=sick, checked=seen), now=at)
            (effect,) = plan(store, Start(task=task, reason="again"), now=at)
            end = Outcome(verdict=Verdict.OK, post_mortem=left(f"{at}"))
            store.record_outcome(effect, end, now=at, actor="ann")
        deaths = store.post_mortems("web")
        assert [death.found.checks for death in deaths] == [
            (f"1970-01-01T00:0{minute}:00+00:00 http {sick}",) for minute in (1, 2)
        ]

    def test_bad_answers_of_a_check_that_were_too_few_are_kept_with_it_too(self, store: Store) -> None:
        task = running(store, spec=CHECKED)
        seen = answered(Health.HEALTHY, 2)
        plan(store, Note(task=task, target=State.RUNNING, reason=task.reason, checked=seen), now=9.0)
        (effect,) = plan(store, stop(only(store), target=State.FAILED))
        store.record_outcome(effect, Outcome(verdict=Verdict.OK, post_mortem=left("")), now=12.0, actor="ann")
        (death,) = store.post_mortems("web")
        few = "http health check: 2 bad in a row, and 3 make it unhealthy"
        assert death.found.checks[-1] == f"1970-01-01T00:00:09+00:00 {few}"

    def test_time_travel_knows_what_is_kept_in_quarantine_and_until_when_p11(self, store: Store) -> None:
        sick = running(store)
        name = sick.container_name
        (effect,) = plan(
            store, Quarantine(task=sick, container="c", container_name=name, until=99.5, reason="sick")
        )
        store.record_outcome(effect, OK, now=12.0, actor="ann")
        plan(store, place(), now=13.0)
        kept = {task.id: task.quarantined_until for task in current(tasks_at(store.events()))}
        assert kept == {task.id: task.quarantined_until for task in store.current_tasks()}
        assert set(kept.values()) == {99.5, None}


class TestAnEffectWithoutARecordedIntent:
    """Simulated managers record what they are about to do; whoever forgets to is stopped here."""

    def test_of_a_task_cannot_be_concluded_p9(self, store: Store) -> None:
        task = running(store)
        self.is_refused(store, stop(task))
        assert only(store) == task

    def test_on_an_orphan_cannot_be_concluded_p9(self, store: Store) -> None:
        orphan = replace(stop(running(store)), task=None)
        self.is_refused(store, orphan)
        (effect,) = plan(store, orphan)
        store.record_outcome(effect, OK, now=12.0, actor="ann")

    def test_on_an_image_cannot_be_concluded_p9(self, store: Store) -> None:
        fetch = Fetch(node="node1", image="app:1", pinned="", job="web", reason="wanted")
        self.is_refused(store, fetch)
        (effect,) = plan(store, fetch)
        store.record_outcome(effect, OK, now=12.0, actor="ann")

    def is_refused(self, store: Store, effect: Effect) -> None:
        before = store.events()
        with pytest.raises(InternalError, match="without a recorded intent"):
            store.record_outcome(effect, OK, now=12.0, actor="ann")
        assert store.events() == before


class TestTasks:
    def test_current_are_the_newest_of_a_slot_and_those_that_still_live(self, store: Store) -> None:
        first = running(store)
        plan(store, replace(place(), reason="surge"))
        stopped(store, first)
        (second,) = store.current_tasks()
        assert second.order == first.order + 1
        assert [task.id for task in store.tasks("web")] == [first.id, second.id]

    def test_an_older_task_that_lives_is_current_too(self, store: Store) -> None:
        running(store)
        plan(store, place())
        assert len(store.current_tasks()) == 2

    def test_a_failed_newest_task_is_current(self, store: Store) -> None:
        task = running(store)
        plan(store, Note(task=task, target=State.FAILED, reason="exited with 1", exit_code=1))
        assert only(store).exit_code == 1


FORGED = """INSERT INTO events
    SELECT {number}, at, task, job, "group", "index", 1, {source}, 'Running', node, '', '', '{{}}'
    FROM events WHERE task <> '' LIMIT 1"""


class TestEvents:
    def test_can_be_asked_for_by_what_time_and_number(self, store: Store) -> None:
        task = running(store)
        put(store, job("api"))
        plan(store, place(Slot(job="api", group="app", index=0)), now=20.0)
        assert [event.number for event in store.events()] == [1, 2, 3, 4, 5]
        assert [event.number for event in store.events(job="web")] == [1, 2, 3]
        assert [event.number for event in store.events(task=task.id)] == [2, 3]
        assert [event.number for event in store.events(since=20.0)] == [5]
        assert [event.number for event in store.events(after=1, limit=1)] == [5]

    @pytest.mark.parametrize("statement", ["DELETE FROM events", "UPDATE events SET reason = ''"])
    def test_are_final(self, store: Store, statement: str) -> None:
        """P11."""
        running(store)
        with pytest.raises(CubeError, match="an event is final"), store._change() as connection:
            connection.execute(statement)
        assert len(about_tasks(store)) == 2

    @pytest.mark.parametrize(
        ("statement", "law"),
        [
            ("UPDATE tasks SET state = 'Failed'", "not what its last event says"),
            ("UPDATE tasks SET node = NULL", "bound to no node"),
            (FORGED.format(number=9, source="'Running'"), "without a gap"),
            (FORGED.format(number=4, source="'Failed'"), "does not begin"),
        ],
    )
    def test_a_check_finds_what_no_longer_adds_up(self, store: Store, statement: str, law: str) -> None:
        running(store)
        with store._change() as connection:
            connection.execute(statement)
        assert any(law in problem for problem in store.check())


def test_a_task_of_an_older_cube_whose_specs_had_fewer_fields_goes_on_p11(store: Store) -> None:
    """The digest of the same spec is another one now, and the row that a task refers to must be there."""
    task = running(store)
    with store._change() as connection:
        connection.execute("INSERT INTO specs (digest, body) SELECT 'of-an-older-one', body FROM specs")
        connection.execute("UPDATE tasks SET spec = 'of-an-older-one'")
        connection.execute("DELETE FROM specs WHERE digest <> 'of-an-older-one'")
    plan(store, Note(task=task, target=State.RUNNING, reason="seen"))
    assert (only(store).spec, only(store).reason) == (SPEC, "seen")


def test_a_node_that_is_renamed_keeps_the_newest_word_about_it(store: Store) -> None:
    """Seed 20212: the drain of the old name came back over the cordon of the new one."""
    task = running(store)
    store.put_cordon(Cordon(node="node1", at=1.0, actor="ann", draining=True))
    store.put_cordon(Cordon(node="node1x", at=2.0, actor="ann"))
    plan(store, Note(task=task, target=State.RUNNING, reason="node1 is called node1x now", node="node1x"))
    assert [(name, cordon.draining) for name, cordon in store.cordons().items()] == [("node1x", False)]


def stats(at: float) -> Stats:
    return Stats(
        at=at,
        boot_id="b",
        machine_id="m",
        uptime=1.0,
        clock=at,
        cpus=2,
        cpu=CpuTimes(total=10, idle=5),
        load=(0.1, 0.2, 0.3),
        memory_total=1,
        memory_available=1,
        disk_total=1,
        disk_free=1,
        pressure={"cpu": 0.5},
    )


class TestLooks:
    def test_the_last_stats_of_each_node_are_kept(self, store: Store) -> None:
        engine = Engine(version="20.10", api_version="1.41")
        store.put_observations(
            Seen(node="node1", at=at, stats=stats(at), engine=engine, containers=()) for at in (5.0, 6.0)
        )
        assert store.samples() == {"node1": stats(6.0)}

    def test_what_a_silent_node_had_shown_is_kept(self, store: Store) -> None:
        """P3."""
        engine = Engine(version="20.10", api_version="1.41")
        store.put_observations([Seen(node="node1", at=5.0, stats=stats(5.0), engine=engine, containers=())])
        store.put_observations([Unknown(node="node1", at=9.0, cause=Cause.TIMEOUT, why="slow", cure="wait")])
        (look,) = store.looks()
        assert (look.at, look.seen_at, look.cause, look.why) == (9.0, 5.0, Cause.TIMEOUT, "slow")
        assert store.samples() == {"node1": stats(5.0)}

    def test_nothing_looked_at_is_none(self, store: Store) -> None:
        assert store.looks() == ()
        assert store.last_sweep() is None

    def test_the_last_sweep_is_remembered(self, store: Store) -> None:
        for number in range(3):
            sweep = Sweep(started=number, finished=number + 0.5, result="nothing to do")
            store.put_sweep(sweep)
        assert store.last_sweep() == sweep


class TestEpoch:
    def test_owner_is_made_once(self, place: StatePlace) -> None:
        first = open_store(place)
        owner = first.owner
        first.close()
        again = open_store(place)
        assert again.owner == owner
        again.close()

    def test_an_owner_that_another_process_recovers_is_seen_by_one_that_stays(
        self, place: StatePlace
    ) -> None:
        """P5: it would else take the recovered containers for those of a stranger."""
        staying, other = open_store(place), open_store(place)
        before = staying.owner
        other.restore(Restored(owner="the-lost-one", epoch=4, jobs=(), tasks=()), now=1.0, actor="ann")
        assert (before != "the-lost-one", staying.owner) == (True, "the-lost-one")
        staying.close()
        other.close()


class TestBackup:
    def test_is_whole_and_private_and_opens(self, place: StatePlace, tmp_path: Path) -> None:
        store, target = open_store(place), tmp_path / "copy.db"
        put(store, job())
        running(store)
        store.backup(target)
        copied = open_store(target)
        assert (copied.owner, copied.events(), copied.tasks()) == (store.owner, store.events(), store.tasks())
        assert stat.S_IMODE(target.stat().st_mode) == 0o600
        copied.close()
        store.close()

    def test_never_writes_over_a_file(self, store: Store, tmp_path: Path) -> None:
        target = tmp_path / "precious"
        target.write_text("mine")
        with pytest.raises(InputError, match="there is a file already"):
            store.backup(target)
        assert target.read_text() == "mine"

    def test_to_a_place_that_is_not_there_says_so(self, store: Store, tmp_path: Path) -> None:
        with pytest.raises(CubeError, match="No such file"):
            store.backup(tmp_path / "missing" / "copy.db")


def test_a_busy_state_is_a_lock_error_after_the_patience(place: StatePlace) -> None:
    """P1, P12: bounded, and nothing was written."""
    store, other = open_store(place), open_store(place, patience=0.1)
    with store._change(), pytest.raises(LockedError, match="busy"):
        put(other, job())
    assert other.jobs() == ()
    store.close()
    other.close()


def test_a_backup_of_a_busy_file_ends_too(path: Path, tmp_path: Path) -> None:
    """P1: Python's own backup would wait for ever."""
    store, other = open_store(path), open_store(path, patience=0.1)
    store._connection.execute("BEGIN EXCLUSIVE")
    with pytest.raises(LockedError, match="busy"):
        other.backup(tmp_path / "copy.db")
    store._connection.rollback()
    assert not (tmp_path / "copy.db").exists()
    store.close()
    other.close()
