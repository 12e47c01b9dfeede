"""Laws of the store, tried with random histories: what is recorded is what the events add up to."""

from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from cube.model.action import (
    Checked,
    Decision,
    Effect,
    Note,
    Outcome,
    Place,
    Plan,
    Refusal,
    Start,
    Stop,
    Verdict,
    Wait,
)
from cube.model.job import CheckKind, Group, HealthCheck, Job, TaskSpec
from cube.model.move import Move
from cube.model.task import TRANSITIONS, Health, Slot, State, Task, TaskEvent
from cube.store.address import StatePlace
from cube.store.store import Store, open_store
from cube.store.transfer import IN_ORDER, LEFT_BEHIND, TABLES
from tests.postgres import Cluster

JOBS = ("api", "web")
SPECS = (
    TaskSpec(image="app:1"),
    TaskSpec(image="app:2", health=HealthCheck(kind=CheckKind.TCP, port="http")),
)
slots = st.builds(Slot, job=st.sampled_from(JOBS), group=st.just("app"), index=st.integers(0, 2))
verdicts = st.sampled_from(Verdict)


def replayed(events: tuple[TaskEvent, ...]) -> Mapping[str, State]:
    """The states that the events add up to, each step checked against the one before it and the table."""
    states: dict[str, State] = {}
    for event in events:
        if event.target is None:
            continue  # It tells of a job.
        assert states.get(event.task) == event.source
        assert event.source == event.target or event.target in TRANSITIONS[event.source]
        states[event.task] = event.target
    return states


class Histories(RuleBasedStateMachine):
    """A store on disk beside a model of it: the jobs by name, the tasks by id, and the effects under way."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = TemporaryDirectory()
        self.kept_at = self.new_place()
        self.store = open_store(self.kept_at)
        self.now = 0.0
        self.jobs: dict[str, list[int]] = {name: [] for name in JOBS}
        self.states: dict[str, tuple[str, State]] = {}
        self.numbers = 0
        self.under_way: list[Effect] = []
        for name in JOBS:
            self.deploy(name, 1)

    def new_place(self) -> StatePlace:
        """Where there is nothing yet."""
        return Path(self.folder.name) / "cube.db"

    def teardown(self) -> None:
        self.store.close()
        self.folder.cleanup()

    def later(self) -> float:
        self.now += 1.0
        return self.now

    def record(self, *actions: Place | Wait | Start | Stop | Note) -> None:
        self.under_way += self.store.record_plan(Plan(actions=actions), now=self.later(), actor="law")

    def tasks(self, *states: State) -> list[Task]:
        return [task for task in self.store.tasks() if task.state in states]

    @rule(name=st.sampled_from(JOBS), count=st.integers(1, 2))
    def deploy(self, name: str, count: int) -> None:
        before = self.store.job(name)
        job = Job(name=name, groups=(Group(name="app", spec=SPECS[0], count=count),))
        put = self.store.put_job(job, now=self.later(), actor="law", reason="")
        is_new = before is None or before.groups != job.groups
        if is_new:
            self.jobs[name].append(put.version)
        assert put == replace(job, version=self.jobs[name][-1])

    @rule(slot=slots, spec=st.sampled_from(SPECS))
    def place(self, slot: Slot, spec: TaskSpec) -> None:
        version = self.jobs[slot.job][-1]
        decision = Decision(scores={"node1": 1.0})
        self.record(
            Place(
                slot=slot,
                version=version,
                spec=spec,
                node="node1",
                ports={},
                decision=decision,
                reason="wanted",
            )
        )
        effect = self.under_way[-1]
        assert effect.task is not None
        assert (effect.task.state, effect.task.spec, effect.task.slot) == (State.SCHEDULED, spec, slot)
        self.states[effect.task.id] = (slot.job, State.SCHEDULED)

    @rule(slot=slots, reason=st.sampled_from(["full", "no node"]))
    def wait(self, slot: Slot, reason: str) -> None:
        decision = Decision(scores={}, refusals=(Refusal(node="node1", reason=reason),))
        action = Wait(slot=slot, version=1, spec=SPECS[0], decision=decision, reason=reason)
        action = replace(action, version=self.jobs[slot.job][-1])
        self.record(action)
        waiting = [task for task in self.tasks(State.PENDING) if task.slot == slot]
        assert len(waiting) == 1
        self.states[waiting[0].id] = (slot.job, State.PENDING)
        before = self.store.events()
        self.record(action)
        assert self.store.events() == before

    @precondition(lambda self: self.under_way)
    @rule(data=st.data(), verdict=verdicts)
    def outcome(self, data: st.DataObject, verdict: Verdict) -> None:
        effect = self.under_way.pop(data.draw(st.integers(0, len(self.under_way) - 1)))
        assert effect.task is not None
        job, state = self.states[effect.task.id]
        wanted = State.SCHEDULED if isinstance(effect, Start) else State.RUNNING
        if state is not wanted:
            return  # Something else was seen of the task meanwhile; the manager waits for its effects.
        self.store.record_outcome(effect, Outcome(verdict=verdict, why="?"), now=self.later(), actor="law")
        ended = State.RUNNING if isinstance(effect, Start) else State.COMPLETED
        failed = State.FAILED if isinstance(effect, Start) else state
        self.states[effect.task.id] = (
            job,
            {Verdict.OK: ended, Verdict.FAILED: failed}.get(verdict, state),
        )

    @rule(data=st.data(), state=st.sampled_from(State), health=st.sampled_from(Health))
    def note(self, data: st.DataObject, state: State, health: Health) -> None:
        # What waits has no node: it can only be closed.
        ends = state is State.COMPLETED
        tasks = [task for task in self.store.tasks() if ends or task.node]
        if tasks := [task for task in tasks if state in TRANSITIONS[task.state]]:
            task = data.draw(st.sampled_from(tasks))
            self.record(
                Note(
                    task=task,
                    target=state,
                    reason="seen",
                    checked=Checked(health=health, at=1.0, healthy_since=None),
                )
            )
            self.states[task.id] = (task.slot.job, state)

    @rule(data=st.data())
    def restart(self, data: st.DataObject) -> None:
        if tasks := self.tasks(State.FAILED, State.RUNNING, State.SCHEDULED):
            task = data.draw(st.sampled_from(tasks))
            self.record(Start(task=task, reason="again"))
            self.states[task.id] = (task.slot.job, State.SCHEDULED)

    @rule(data=st.data())
    def stop(self, data: st.DataObject) -> None:
        if tasks := self.tasks(State.RUNNING):
            task = data.draw(st.sampled_from(tasks))
            name = task.container_name
            self.record(
                Stop(node="node1", container="c", container_name=name, grace=1.0, reason="scaled", task=task)
            )

    @rule(name=st.sampled_from(JOBS))
    def forget(self, name: str) -> None:
        mine = [state for job, state in self.states.values() if job == name]
        is_live = any(not state.is_terminal for state in mine)
        assert self.store.forget_job(name) == (not is_live)
        if not is_live:
            self.states = {key: found for key, found in self.states.items() if found[0] != name}
            self.under_way = [
                effect for effect in self.under_way if effect.task and effect.task.slot.job != name
            ]
            assert self.store.job(name) is None
            told = [event.version for event in self.store.events(job=name)]
            self.jobs[name].clear()
            self.deploy(name, 1)
            assert all(version < self.jobs[name][-1] for version in told)

    @rule()
    def reopen(self) -> None:
        self.store.close()
        self.store = open_store(self.kept_at)

    @invariant()
    def the_tasks_are_as_the_model_says(self) -> None:
        found = {task.id: (task.slot.job, task.state) for task in self.store.tasks()}
        assert found == self.states

    @invariant()
    def the_events_are_true(self) -> None:
        """P11: gapless, growing, each beginning where the last ended, and adding up to the tasks."""
        events = self.store.events()
        assert [event.number for event in events] == list(range(1, len(events) + 1))
        assert len(events) >= self.numbers
        self.numbers = len(events)
        states = replayed(events)
        assert {task.id: task.state for task in self.store.tasks()}.items() <= states.items()
        assert self.store.check() == ()

    @invariant()
    def versions_only_grow(self) -> None:
        for name, versions in self.jobs.items():
            assert versions == sorted(set(versions))
            newest = self.store.job(name)
            assert newest is None or newest.version == versions[-1]


TestHistories = Histories.TestCase
TestHistories.settings = settings(max_examples=40, stateful_step_count=25)


class HistoriesAtAServer(Histories):
    """The same at a server; each ends as it is after it was copied to a file and back."""

    def __init__(self, postgres: Cluster) -> None:
        self.postgres = postgres
        super().__init__()

    def new_place(self) -> StatePlace:
        return self.postgres.place()

    def teardown(self) -> None:
        stores = [self.store, open_store(Path(self.folder.name) / "copy.db"), open_store(self.new_place())]
        stores[0].put_move(move("b"), now=self.now, actor="ann")
        stores[0].put_move(move("a"), now=self.now, actor="ann")
        for one, other in pairwise(stores):
            one.pour_into(other)
        first, *copies = map(everything, stores)
        assert copies == [first, first]
        for store in stores[1:]:
            assert store.check() == ()
            store.close()
        super().teardown()


def move(group: str) -> Move:
    return Move(slot=Slot(job="web", group=group, index=0), source="n1", target="n2", reason="it gains")


def everything(store: Store) -> dict[str, list[dict[str, Any]]]:
    """All rows of all tables, by the names of their columns; those of one engine alone left out."""
    orders = {table: f" ORDER BY {IN_ORDER[table]}" if table in IN_ORDER else "" for table in TABLES}
    found = {
        table: [dict(row) for row in store._connection.execute(f"SELECT * FROM {table}{order}")]
        for table, order in orders.items()
    }
    for row in found["moves"]:
        row.pop("rowid", None)
    found = {
        table: rows if table in IN_ORDER else sorted(rows, key=lambda row: repr(sorted(row.items())))
        for table, rows in found.items()
    }
    return {**found, "identity": [{"owner": store.owner, "epoch": store.epoch}]}


def test_a_copy_forgets_no_table_that_a_new_state_has() -> None:
    """The comparisons above go by the list that a copy goes by: here it is held against the state itself."""
    with TemporaryDirectory() as folder, closing(open_store(Path(folder) / "new.db")) as store:
        found = store._connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        tables = sorted(row["name"] for row in found)
    assert sorted((*TABLES, *LEFT_BEHIND, "identity")) == tables


def test_the_same_holds_at_a_server_and_nothing_is_lost_on_the_way_there_and_back(postgres: Cluster) -> None:
    few = settings(max_examples=8, stateful_step_count=20)
    run_state_machine_as_test(lambda: HistoriesAtAServer(postgres), settings=few)  # type: ignore[arg-type]
