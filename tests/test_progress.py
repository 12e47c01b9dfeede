"""What a person reads while the loop runs."""

from dataclasses import replace

import pytest

from cube.cli.progress import tell, what_begins_it
from cube.manager.report import Done
from cube.model.action import Outcome, Start, Verdict
from cube.model.job import Job, JobType, Parameters, Schedule
from tests.build import NOW, job, task

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
