"""How model values are shown."""

from dataclasses import replace

import pytest

from cube.cli import render, rows
from cube.cli.lateness import lateness
from cube.cli.options import Output
from cube.model.job import Job, JobType, Schedule
from cube.model.node import Cordon
from cube.model.observation import CpuTimes
from cube.model.rollout import Rollout, RolloutState
from cube.model.task import State
from cube.store.rows import JobVersion, Sweep
from tests.build import CLUSTER, container, foreign, job, node, seen, stats, task, unknown


def test_busy_cpu_is_that_between_two_looks() -> None:
    found = seen("node1")
    earlier = replace(stats(), cpu=CpuTimes(total=0, idle=0))
    now = replace(found, stats=replace(found.stats, cpu=CpuTimes(total=200, idle=150)))
    assert (
        rows.of_node(node("node1"), now, replace(earlier, cpu=CpuTimes(total=100, idle=90)), CLUSTER)["cpu"]
        == "40%"
    )


def test_busy_cpu_at_the_first_look_is_that_since_the_boot() -> None:
    found = seen("node1")
    assert rows.of_node(node("node1"), found, None, CLUSTER)["cpu"] == "10%"


def test_busy_cpu_after_a_reboot_is_not_compared_with_the_time_before() -> None:
    before = replace(stats(), boot_id="another", cpu=CpuTimes(total=10_000, idle=0))
    assert rows.of_node(node("node1"), seen("node1"), before, CLUSTER)["cpu"] == "10%"


def test_a_node_counts_its_own_tasks_and_the_others() -> None:
    row = rows.of_node(node("node1"), seen("node1", container(task()), foreign()), None, CLUSTER)
    assert (row["tasks"], row["other"], row["state"]) == (1, 1, "ready")


def test_a_silent_node_shows_its_cause_and_no_figures_p12() -> None:
    row = rows.of_node(node("node1"), unknown("node1"), None, CLUSTER)
    assert (row["state"], row["engine"], "cpu" in row) == ("unknown", "timed out", False)


def test_a_task_on_a_silent_node_is_unknown_p12() -> None:
    assert rows.of_task(task(), silent={"node1"})["state"] == "unknown"
    assert rows.of_task(task(), silent=set())["state"] == "Running"


def test_a_job_counts_only_what_is_known_to_run_p12() -> None:
    tasks = [task(0), task(1, node="node2")]
    assert rows.of_job(_three(), tasks, silent={"node2"})["running"] == "1/3, 1 unknown"


def test_a_run_whose_job_is_not_known_is_shown_all_the_same_p12() -> None:
    run = replace(job("resize.1"), type=JobType.BATCH, parent="resize")
    assert [row["job"] for row in rows.of_jobs([run], [task(job=run.name)], silent=())] == ["resize.1"]


def test_a_sick_task_that_is_kept_and_was_replaced_makes_no_job_a_failed_one_p12() -> None:
    sick = task(0, state=State.FAILED, quarantined_until=1.0)
    well = task(0, id="well", order=9)
    assert rows.of_job(job(), [sick, well], silent=())["state"] is State.RUNNING
    assert rows.of_job(job(), [sick], silent=())["state"] is State.FAILED


def test_a_system_job_wants_as_many_tasks_as_there_are_nodes_for_it() -> None:
    agent = job("agent", type=JobType.SYSTEM)
    tasks = [task(0, job="agent"), task(1, job="agent", node="node2", state=State.FAILED)]
    assert rows.of_job(agent, tasks, silent=())["running"] == "1/2"
    gone = task(2, job="agent", node="node3", state=State.COMPLETED)
    assert rows.of_job(agent, [*tasks, gone], silent=())["running"] == "1/2"


def test_what_failed_and_was_replaced_is_not_shown_and_what_ended_well_is_p12() -> None:
    assert not rows.is_of_interest(task(state=State.COMPLETED, exit_code=4))
    assert not rows.is_of_interest(task(state=State.COMPLETED))
    assert rows.is_of_interest(task(state=State.COMPLETED, exit_code=0))
    assert rows.is_of_interest(task(state=State.COMPLETED, quarantined_until=1.0))


def test_a_job_shows_the_worst_of_its_states() -> None:
    tasks = [task(0), task(1, state=State.FAILED)]
    assert rows.of_job(_three(), tasks, silent=set())["state"] == "Failed"


def test_ended_runs_are_folded_under_their_job() -> None:
    parent = replace(job("nightly"), type=JobType.PERIODIC)
    runs = [replace(job(f"nightly.{n}"), parent="nightly", launched=float(n)) for n in range(3)]
    tasks = [
        task(job="nightly.0", state=State.COMPLETED, exit_code=0),
        task(job="nightly.1", state=State.FAILED, exit_code=1),
        task(job="nightly.2"),
    ]
    shown = rows.of_jobs([parent, *runs], tasks, silent=set())
    assert [row["job"] for row in shown] == ["nightly", "  nightly.2", "  2 ended runs"]
    assert shown[2]["running"] == "1 completed, 1 failed"


@pytest.mark.parametrize(("draining", "state"), [(False, "cordoned"), (True, "draining")])
def test_a_node_that_gets_no_new_tasks_says_so(draining: bool, state: str) -> None:
    cordon = Cordon(node="node1", at=0.0, actor="ann", draining=draining)
    assert rows.of_node(node("node1"), seen("node1"), None, CLUSTER, cordon)["state"] == state


def test_a_run_is_shown_by_its_schedule_s_clock_and_by_utc() -> None:
    row = rows.of_run(
        1_800_000_000.0, Schedule(cron="* * * * *", timezone="Europe/Berlin"), 1_800_000_000.0 - 90
    )
    assert row["run"] == "Fri 2027-01-15 09:00 Europe/Berlin"
    assert (row["utc"], row["in"]) == ("2027-01-15 08:00 UTC", "2m")


@pytest.mark.parametrize(
    ("gaps", "since", "is_late"),
    [([60] * 5, 300, False), ([60] * 5, 700, True), ([3600] * 5, 7000, False), ([60], 9000, False)],
)
def test_a_sweep_is_late_by_the_habit_of_those_before_it(gaps: list[int], since: int, is_late: bool) -> None:
    starts = [float(sum(gaps[:count])) for count in range(len(gaps) + 1)]
    sweeps = [Sweep(started=start, finished=start + 1, result="") for start in reversed(starts)]
    assert bool(lateness(sweeps, starts[-1] + since)) == is_late


def _three() -> Job:
    return job(count=3)


def test_on_a_narrow_terminal_only_words_are_folded(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(render, "is_live", lambda: True)
    monkeypatch.setenv("COLUMNS", "30")
    reason = "its check has not answered well for a very long time"
    render.table(
        [{"task": "web/main[0]", "node": "node1", "reason": reason}], ("task", "node", "reason"), Output.TABLE
    )
    first, *others = capsys.readouterr().out.splitlines()[1:]
    assert first.split()[:2] == ["web/main[0]", "node1"]
    assert others, "the reason goes on below"
    assert " ".join([*first.split()[2:], *" ".join(others).split()]) == reason


def test_a_rollout_that_a_newer_version_came_before_is_told_as_replaced_p12() -> None:
    versions = [
        JobVersion(job=job(version=number), at=1.0, actor="ann", reason="deployed") for number in (1, 2, 3)
    ]
    states = (RolloutState.SUCCEEDED, RolloutState.RUNNING, RolloutState.RUNNING)
    rollouts = [
        Rollout(job="web", version=number, since=1.0, state=state) for number, state in enumerate(states, 1)
    ]
    assert [row["rollout"] for row in rows.of_versions(versions, rollouts)] == [
        "succeeded",
        "replaced",
        "running",
    ]
