"""What commands do through a manager that is more than one question: moves, a rebalance, a plan in a file."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from cube.cli import moves, options, settle
from cube.cli.reach import recorded
from cube.errors import CubeError, InputError
from cube.manager.manager import Manager
from cube.manager.measuring import measure
from cube.model.job import Volume
from cube.model.resources import Resources
from cube.remote.link import Link
from cube.remote.manager import RemoteManager, remote_office
from cube.remote.office import RemoteOffice
from tests.build import job, spec
from tests.stage import NAMES, run, staged
from tests.test_api import JOB, Api, api_over

HEAVY = Resources(cpu=500, memory=64 << 20)


@pytest.fixture
def api() -> Iterator[Api]:
    with staged() as stage, api_over(stage) as found:
        yield found


@pytest.fixture
def office(api: Api) -> RemoteOffice:
    return remote_office(Link(url=f"http://127.0.0.1:{api.port}", token=api.tokens["operate"]), None)


@pytest.fixture
def far(office: RemoteOffice) -> Manager:
    manager: Manager = RemoteManager(office, lock_wait=0.0)  # type: ignore[assignment] # as in `reach`
    return manager


def test_a_task_is_moved_through_a_manager_and_told_as_it_is_here(
    api: Api, office: RemoteOffice, far: Manager
) -> None:
    api.stage.manager.deploy(job(count=1, min_healthy_time=0.0), run())
    (before,) = api.stage.running().values()
    there = next(name for name in NAMES if name != before)
    report = moves.moved(office, "web/main[0]", there)(far, run())
    assert (report.exit_code, [end.move.target for end in report.moves]) == (0, [there])
    assert api.stage.running() == {"web/main[0]": there}
    with pytest.raises(InputError, match=r"is on .* already"):
        moves.moved(office, "web/main[0]", there)(far, run())
    with pytest.raises(InputError, match="no node 'nowhere'"):
        moves.moved(office, "web/main[0]", "nowhere")(far, run())


def test_a_rebalance_through_a_manager_carries_out_what_its_preview_says(
    api: Api, office: RemoteOffice, far: Manager, capsys: pytest.CaptureFixture[str]
) -> None:
    others = [name for name in NAMES if name != "node1"]
    for name in others:
        api.stage.manager.cordon(name, run())
    wanted = job(count=3, task=replace(spec(), resources=HEAVY), min_healthy_time=0.0)
    api.stage.manager.deploy(wanted, run())
    for name in others:
        api.stage.manager.uncordon(name, run())
    moves.preview(office, 1, 0.05, options.Output.JSON)
    (best,) = json.loads(capsys.readouterr().out)
    report = moves.rebalanced(office, 1, 0.05)(far, run())
    assert [(str(end.move.slot), end.move.target) for end in report.moves] == [(best["task"], best["to"])]
    assert api.stage.running()[best["task"]] == best["to"]


def test_a_drain_through_a_manager_leaves_no_data_behind_unless_it_is_told_to(api: Api, far: Manager) -> None:
    writes = spec(volumes=(Volume(source="data", target="/data"),))
    api.stage.manager.deploy(job(task=writes, min_healthy_time=0.0), run())
    home = str(api.stage.running()["web/main[0]"])
    with pytest.raises(InputError, match=rf"tasks would leave their data on {home}"):
        far.drain(home, run())
    assert api.stage.manager.store.cordons() == {}
    assert far.drain(home, run(), leave_data=True).exit_code == 0
    assert api.stage.running()["web/main[0]"] != home


def test_maintenance_through_a_manager_is_recorded_with_its_events_and_ends(api: Api, far: Manager) -> None:
    api.stage.manager.deploy(job(count=1, min_healthy_time=0.0), run())
    assert far.begin_maintenance("web", 600.0, run()).exit_code == 0
    (found,) = far.store.maintenances().values()
    assert (found.job, found.retry_after) == ("web", 600.0)
    assert api.ask("GET", "/api/v1/jobs/web/status").data["maintenance"] is True
    assert "a page answers for it" in api.ask("GET", "/job/web").text
    for _ in range(2):
        assert far.end_maintenance("web", run()).exit_code == 0
    assert far.store.maintenances() == {}
    assert api.ask("GET", "/api/v1/jobs/web/status").data["maintenance"] is False
    told = [event.reason for event in far.store.events(job="web") if "maintenance" in event.reason]
    assert told == ["maintenance begun", "maintenance ended"]
    with pytest.raises(InputError, match="there is no job 'nothing'"):
        far.begin_maintenance("nothing", 600.0, run())


def planned(office: RemoteOffice, folder: Path) -> Path:
    (folder / "web.yml").write_text(JOB)
    wanted = settle.read_job([folder / "web.yml"], [], [], office)
    assert settle.preview(office, wanted, options.Output.TABLE, folder / "web.plan") == 2
    return folder / "web.plan"


def test_a_plan_that_was_made_through_a_manager_is_carried_out_as_it_was_shown(
    api: Api, office: RemoteOffice, far: Manager, tmp_path: Path
) -> None:
    file = planned(office, tmp_path)
    office.sources.clear()
    report = settle.as_planned(file, office)(far, run())
    assert (report.exit_code, report.changed, len(api.stage.running())) == (0, 2, 2)
    with pytest.raises(CubeError, match="moved on since the plan was made"):
        settle.as_planned(file, office)(far, run())


def test_a_plan_whose_file_reads_otherwise_by_now_is_refused_before_anything_is_touched(
    api: Api, office: RemoteOffice, far: Manager, tmp_path: Path
) -> None:
    file = planned(office, tmp_path)
    data = json.loads(file.read_text())
    changed = {**data, "source": {**data["source"], "source": JOB.replace("app:1", "app:2")}}
    file.write_text(json.dumps(changed))
    with pytest.raises(InputError, match="the plan cannot be used"):
        settle.as_planned(file, office)
    file.write_text(json.dumps({**data, "source": None}))
    office.sources.clear()
    with pytest.raises(InputError, match="only a job file"):
        settle.as_planned(file, office)(far, run())
    assert api.stage.store.jobs() == ()


def test_what_was_measured_of_nodes_is_told_through_a_manager_as_it_is_here(
    api: Api, office: RemoteOffice
) -> None:
    store, at = api.stage.store, api.stage.service.clock.now()
    for ago in (120.0, 60.0, 0.0):
        seen = {name: replace(look, at=at - ago) for name, look in api.stage.service.look().items()}
        measure(store, api.stage.manager.cluster, seen, at)
    with recorded(office) as far:
        found = far.measures("node1", at - 90.0)
    assert len(found) == 2
    assert found == store.measures("node1", at - 90.0)
