"""What a person reads while the loop runs."""

import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest

from cube.cli import render
from cube.cli.progress import print_plan, print_report, tell, what_begins_it
from cube.manager.report import Done, Report
from cube.model.action import Decision, Note, Outcome, Plan, Refusal, Start, Verdict, Wait
from cube.model.job import Job, JobType, Parameters, Schedule
from cube.model.rollout import Rollout, RolloutState
from cube.model.task import Health, State, Task
from tests.build import NOW, container, job, seen, spec, task, unknown

BACKUP = replace(
    job("backup"), type=JobType.PERIODIC, schedule=Schedule(cron="30 2 * * *", timezone="Europe/Berlin")
)
RESIZE = replace(job("resize"), type=JobType.PARAMETERIZED, parameters=Parameters(required=("path", "to")))


def test_what_died_at_its_start_shows_its_cure_and_its_last_lines() -> None:
    outcome = Outcome(
        verdict=Verdict.FAILED, why="exit code 3", cure="See below.", detail={"log": "no database\nbye"}
    )
    lines: list[str] = []
    tell(
        Done(effect=Start(task=task(), reason="test"), outcome=outcome),
        lambda text, _style: lines.append(text),
    )
    assert [line.strip() for line in lines] == [
        "start  web/main[0] on node1  failed: exit code 3",
        "See below.",
        "| no database",
        "| bye",
    ]


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        (
            BACKUP,
            "next run: Sat 2027-01-16 02:30 Europe/Berlin, in 18h, by the first sweep then; more: cube job",
        ),
        (RESIZE, "a run begins with: cube dispatch resize -v path=... -v to=..."),
        (replace(BACKUP, stopped=True), ""),
        (replace(BACKUP, name="backup.1", type=JobType.BATCH, parent="backup"), ""),
        (job(), ""),
    ],
)
def test_of_a_job_that_runs_nothing_itself_it_is_told_what_begins_a_run(wanted: Job, told: str) -> None:
    found = what_begins_it(wanted, NOW)
    assert found.startswith(told)
    assert bool(found) == bool(told)


def report(*tasks: Task, **changes: Any) -> Report:
    told = {"job": "web", "plan": Plan(), "done": (), "observed": {}, "is_late": False, **changes}
    return Report(tasks=tasks, **told)


def test_a_batch_that_ended_well_is_counted_as_completed(capsys: pytest.CaptureFixture[str]) -> None:
    print_report(report(task(0, state=State.COMPLETED, exit_code=0)))
    assert capsys.readouterr().out == "job web: 0 changes; 1 completed\n"
    looked = {"node1": seen("node1")}
    print_report(report(task(0), task(1, state=State.COMPLETED, exit_code=3), observed=looked))
    assert capsys.readouterr().out == "job web: 0 changes; 1 running\n"


def test_only_what_was_seen_is_counted_as_running_p12(capsys: pytest.CaptureFixture[str]) -> None:
    looked = {"node1": seen("node1"), "node2": unknown("node2")}
    tasks = [task(index, node=f"node{index + 1}") for index in range(3)]
    print_report(report(*tasks, observed=looked))
    assert "; 1 running" in capsys.readouterr().out


def test_a_failed_task_is_told_with_the_moment_of_the_next_try(capsys: pytest.CaptureFixture[str]) -> None:
    failed = task(0, state=State.FAILED)
    print_report(report(failed, plan=Plan(later={"web": NOW, "other": NOW})))
    told = capsys.readouterr().out
    assert f"the first sweep after {render.moment(NOW)} goes on with web: cube reconcile" in told
    print_report(report(failed))
    assert "goes on" not in capsys.readouterr().out


def test_a_run_out_of_sight_is_its_jobs_concern_p12() -> None:
    """Seed 930010587: its job was forgotten, and the run could not be removed any more."""
    run = task(0, job="web.20270115T0810", node="gone", state=State.SCHEDULED)
    assert report(run, observed={"node1": seen("node1")}).exit_code == 3


def test_a_plan_tells_what_has_failed_by_itself(capsys: pytest.CaptureFixture[str]) -> None:
    print_plan(Plan(actions=(Note(task=task(0), target=State.FAILED, reason="its container is gone"),)))
    assert "! failed web/main[0] on node1: its container is gone" in capsys.readouterr().out


def test_a_task_that_is_not_known_to_be_healthy_is_named_with_the_reason_p12(
    capsys: pytest.CaptureFixture[str],
) -> None:
    unsure = task(0, health=Health.STARTING, container="container-of-web-0-0000-0000")
    looked = {"node1": seen("node1", container(unsure, check="its image has no HEALTHCHECK"))}
    print_report(report(unsure, observed=looked))
    told = capsys.readouterr().out
    assert "not known to be healthy web/main[0] on node1: its image has no HEALTHCHECK" in told


def test_a_plan_tells_of_every_node_why_a_task_fits_nowhere(capsys: pytest.CaptureFixture[str]) -> None:
    refusals = (Refusal(node="node1", reason="it is drained"), Refusal(node="node2", reason="no memory"))
    decision = Decision(scores={}, refusals=refusals)
    slot = task(0).slot
    wait = Wait(slot=slot, version=1, spec=spec(), decision=decision, reason="fits on none of 2 nodes")
    print_plan(Plan(actions=(wait,)))
    told = capsys.readouterr().out
    assert "node1: it is drained" in told
    assert "node2: no memory" in told


def test_after_a_version_was_taken_back_its_last_words_are_pointed_to(
    capsys: pytest.CaptureFixture[str],
) -> None:
    back = Rollout(job="web", version=3, since=NOW, state=RolloutState.SUCCEEDED)
    print_report(
        report(task(0, container="c"), rollouts={"web": back}, asked=2, observed={"node1": seen("node1")})
    )
    told = capsys.readouterr().out
    assert "version 2 failed; what it replaced was brought back as version 3" in told
    assert "cube postmortem web" in told


@pytest.mark.parametrize(("left", "told"), [("c0ffee", True), (None, False)])
def test_only_what_had_a_container_left_last_words_p12(
    left: str | None, told: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    failed = task(0, state=State.FAILED, container=left, reason="cannot start")
    print_report(report(failed, observed={"node1": seen("node1")}))
    assert ("cube postmortem web" in capsys.readouterr().out) is told


def test_who_reads_no_more_ends_no_run() -> None:
    script = """
import sys
from cube.cli import following, render
from cube.model.action import Launch, Plan
from tests.build import job

with following.telling() as tell:
    for _ in range(3):
        tell(Plan(actions=(Launch(job=job(), reason="due"),)))
        input()
with render.whether_read_or_not():
    render.line("the end")
sys.exit(7)
"""
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as running:
        assert running.stdin is not None
        assert running.stdout is not None
        assert "run web" in running.stdout.readline()
        running.stdout.close()
        running.stdin.write("go on\n" * 3)
        running.stdin.close()
        assert running.wait(20) == 7
