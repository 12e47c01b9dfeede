"""Time travel: what the events add up to is what the store holds, now and at any moment before (P11)."""

from dataclasses import replace
from datetime import datetime

import pytest
from hypothesis import settings
from hypothesis.stateful import invariant

from cube.cli.moment import moment
from cube.errors import InputError
from cube.model.task import Slot, State, Task
from cube.simulator.history import begun
from cube.simulator.play import draw_profile, step
from cube.store.replay import PastTask, current, tasks_at
from tests.test_store_laws import Histories

NOON = 1_800_000_000.0


def as_told(task: Task | PastTask) -> tuple[object, ...]:
    """What time travel shows of a task."""
    return (
        task.slot,
        task.version,
        task.state,
        task.node,
        task.container,
        dict(task.ports),
        task.health,
        task.restarts,
        task.reschedules,
        task.exit_code,
        task.quarantined_until,
        task.changed_at,
    )


class Replays(Histories):
    """Every random history of the store, replayed after each of its steps."""

    @invariant()
    def the_replay_of_all_events_is_what_is_recorded_p11(self) -> None:
        replayed = {task.id: as_told(task) for task in tasks_at(self.store.events())}
        assert {task.id: as_told(task) for task in self.store.tasks()}.items() <= replayed.items()


TestReplays = Replays.TestCase
TestReplays.settings = settings(max_examples=25, stateful_step_count=25)


@pytest.mark.parametrize("seed", range(40))
def test_a_fleet_under_faults_is_replayed_as_it_was_at_each_moment_p11(seed: int) -> None:
    """The whole manager writes the events here: rollouts, restarts, health checks, lost replies."""
    past: list[tuple[int, dict[str, tuple[object, ...]]]] = []
    with begun(seed, draw_profile) as history:
        for _ in range(8):
            step(history)
            store = history.open()
            events = store.events()
            past.append((len(events), {task.id: as_told(task) for task in store.current_tasks()}))
            store.close()
    for count, recorded in past:
        replayed = {task.id: as_told(task) for task in tasks_at(events[:count])}
        assert {name: replayed[name] for name in recorded} == recorded


def test_what_is_current_is_the_newest_of_each_slot_and_what_still_lives() -> None:
    first = PastTask(
        id="a",
        slot=Slot(job="web", group="main", index=0),
        version=1,
        state=State.COMPLETED,
        order=1,
        created_at=NOON,
        changed_at=NOON,
    )
    second = replace(first, id="b", state=State.RUNNING, order=2)
    third = replace(first, id="c", state=State.FAILED, order=3)
    assert [task.id for task in current((first, second, third))] == ["b", "c"]
    sick = replace(first, state=State.FAILED, quarantined_until=NOON)
    assert [task.id for task in current((sick, second, third))] == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1h", NOON - 3600),
        ("90s ago", NOON - 90),
        ("2027-01-15T08:00:00Z", NOON),
        ("2027-01-15 09:00+01:00", NOON),
        ("2027-01-15 08:00 UTC", NOON),
    ],
)
def test_a_moment_is_a_time_with_its_zone_or_how_long_ago(text: str, seconds: float) -> None:
    assert moment(text, "--at", now=NOON) == seconds


def test_a_time_without_a_zone_is_that_of_the_operator_s_clock() -> None:
    local = datetime.fromtimestamp(NOON).strftime("%Y-%m-%d %H:%M:%S")  # noqa: DTZ006 - it is meant
    assert moment(local, "--at", now=NOON + 5) == NOON


@pytest.mark.parametrize("text", ["yesterday", "", "25:00", "2027-13-01", "-1h", "9999-99-99 00:00"])
def test_what_is_no_moment_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(InputError, match="2026-11-20 14:00"):
        moment(text, "--at", now=NOON)
