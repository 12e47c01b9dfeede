"""What is told weeks later: `cube postmortem`, whatever a job or a slot is called, and `cube status --at`."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from cube.cli import past
from cube.cli.options import Output
from cube.cli.story import tell_deaths
from cube.errors import InputError
from cube.manager.office import Office
from cube.model.action import Decision, Outcome, Place, Plan, Stop, Verdict
from cube.model.job import JobType, Schedule
from cube.model.node import Cluster
from cube.model.observation import PostMortem
from cube.model.task import Slot
from cube.store.store import Store, open_store
from tests.build import job, spec

LAST_WORDS = PostMortem(
    at=11.0, container="c0ffee", exit_code=1, oom_killed=False, started_at="", finished_at="", log="no disk"
)


@pytest.fixture
def office(tmp_path: Path) -> Office:
    return Office(cluster=Cluster(name="lab", nodes=()), state=tmp_path / "lab.db", keys=tmp_path)


@pytest.fixture
def store(office: Office, tmp_path: Path) -> Iterator[Store]:
    made = open_store(tmp_path / "lab.db")
    yield made
    made.close()


def dies(store: Store, name: str) -> None:
    """A task of that job is placed, and removed with its last words."""
    store.put_job(job(name), now=9.0, actor="ann", reason="deployed")
    slot = Slot(job=name, group="main", index=0)
    begin = Place(
        slot=slot, version=1, spec=spec(), node="node1", ports={}, decision=Decision(scores={}), reason=""
    )
    (start,) = store.record_plan(Plan(actions=(begin,)), now=10.0, actor="ann")
    store.record_outcome(start, Outcome(verdict=Verdict.OK), now=10.0, actor="ann")
    (task,) = store.tasks(name)
    end = Stop(node="node1", container="c0ffee", container_name="c", grace=1.0, reason="", task=task)
    (stop,) = store.record_plan(Plan(actions=(end,)), now=11.0, actor="ann")
    store.record_outcome(stop, Outcome(verdict=Verdict.OK, post_mortem=LAST_WORDS), now=11.0, actor="ann")


@pytest.mark.parametrize("name", ["web", "web/main", "web/main[0]"])
@pytest.mark.parametrize("is_removed", [False, True])
def test_a_task_is_found_by_each_of_its_names_also_after_its_job_was_removed(
    office: Office, store: Store, name: str, is_removed: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    dies(store, "web")
    if is_removed:
        assert store.forget_job("web")
    tell_deaths(office, name, 10, Output.TABLE)
    told = capsys.readouterr().out
    assert "web/main[0] on node1" in told
    assert "no disk" in told


def test_a_job_that_was_removed_since_is_told_as_it_was_then_p11(
    office: Office, store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    dies(store, "web")
    assert store.forget_job("web")
    past.show(office, "web", 10.5, Output.JSON)
    (task,) = json.loads(capsys.readouterr().out)
    assert (task["task"], task["state"], task["node"]) == ("web/main[0]", "Running", "node1")
    past.show(office, None, 10.5, Output.JSON)
    (told,) = json.loads(capsys.readouterr().out)
    assert (told["job"], told["type"], told["running"]) == ("web", "removed since", "1")


def test_a_periodic_job_tells_of_its_runs(
    office: Office, store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    nightly = job("report", type=JobType.PERIODIC, schedule=Schedule(cron="0 3 * * *"))
    store.put_job(nightly, now=9.0, actor="ann", reason="deployed")
    tell_deaths(office, "report", 10, Output.TABLE)
    assert "none of its containers has ended badly" in capsys.readouterr().out
    dies(store, "report.20261121T0300")
    dies(store, "reporter")
    tell_deaths(office, "report", 10, Output.TABLE)
    told = capsys.readouterr().out
    assert "report.20261121T0300" in told
    assert "reporter" not in told


def test_a_name_that_nothing_ever_had_is_refused_p17(office: Office, store: Store) -> None:
    for name in ("nosuch", "web/nosuch", ""):
        with pytest.raises(InputError, match="no job and no task is called"):
            tell_deaths(office, name, 10, Output.TABLE)
