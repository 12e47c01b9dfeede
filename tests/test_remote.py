"""What commands do through a manager that is more than one question: moves, a rebalance, a plan in a file."""

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from cube.api import stream
from cube.cli import backups, leaving, moves, options, relived, settle, stored, volumes
from cube.cli.main import app
from cube.cli.reach import recorded
from cube.errors import CubeError, InputError, InternalError, UnreachableError
from cube.manager.manager import Manager
from cube.manager.measuring import measure
from cube.manager.office import Office
from cube.manager.report import Step
from cube.manager.volumes import Content
from cube.model.ingress import Ingress
from cube.model.job import Volume
from cube.model.resources import Resources
from cube.model.transit import Transit
from cube.remote import store as remote_store
from cube.remote.hand import RemoteVolumes, hands
from cube.remote.manager import RemoteManager, remote_office
from cube.remote.office import RemoteOffice
from cube.vault.vault import Vault
from cube.volume.archive import checked
from cube.volume.folder import Folder
from tests.build import job, spec
from tests.stage import NAMES, Kept, run, staged
from tests.test_api import JOB, Api, api_over

HEAVY = Resources(cpu=500, memory=64 << 20)


@pytest.fixture
def api() -> Iterator[Api]:
    with staged() as stage, api_over(stage) as found:
        yield found


@pytest.fixture
def office(api: Api) -> RemoteOffice:
    return remote_office(api.link, None, "/nowhere")


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


def test_what_a_drain_would_move_is_told_through_a_manager_with_its_data(
    api: Api, office: RemoteOffice, capsys: pytest.CaptureFixture[str]
) -> None:
    writes = spec(volumes=(Volume(source="web-data", target="/data"),))
    api.stage.manager.deploy(job(task=writes, min_healthy_time=0.0), run())
    home = str(api.stage.running()["web/main[0]"])
    api.stage.machines[home].volumes.content["web-data"] = a_tar()
    assert leaving.preview(office, home, options.Output.JSON) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["task"], row["volumes"], row["bytes"]) == ("web/main[0]", "web-data", len(a_tar()))
    assert sorted(row["nodes"]) == sorted(set(NAMES) - {home})
    assert row["seconds"] == len(a_tar()) / 20_000_000
    assert leaving.preview(office, next(iter(row["nodes"])), options.Output.TABLE) == 0
    assert "no task would have to move" in capsys.readouterr().out
    assert api.stage.store.cordons() == {}


def test_tokens_are_made_listed_and_revoked_through_a_manager_by_who_may_p18(api: Api) -> None:
    def asked(*words: str, role: str = "admin") -> Result:
        far = {"CUBE_MANAGER": f"http://127.0.0.1:{api.port}", "CUBE_TOKEN": api.tokens[role]}
        return CliRunner().invoke(app, ["token", *words], env=far)

    made = asked("create", "ci", "--role", "read", "--expires", "1h")
    bearer = {"Authorization": f"Bearer {made.stdout.strip()}"}
    api.stage.until(lambda: api.ask("GET", "/api/v1/jobs", role="", **bearer).status == 200)
    (row,) = (found for found in json.loads(asked("ls", "-o", "json").stdout) if found["name"] == "ci")
    assert (row["role"], row["by"]) == ("read", "token admin")
    assert made.stdout.strip() not in asked("ls").stdout
    assert "may not do that" in str(asked("create", "more", "--role", "admin", role="operate").exception)
    assert asked("revoke", "ci").stdout == "token ci is revoked\n"
    assert "there is no token 'ci'" in str(asked("revoke", "ci").exception)


def test_p12_a_bug_in_a_manager_ends_a_command_as_a_bug_here_does(
    api: Api, far: Manager, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_asked: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(Manager, "uncordon", fail)
    with pytest.raises(InternalError, match="bug in Cube: ZeroDivisionError") as bug:
        far.uncordon("node1", run())
    assert bug.value.exit_code == 70
    assert api.stage.manager.store.cordons() == {}


def test_maintenance_through_a_manager_is_recorded_with_its_events_and_ends(api: Api, far: Manager) -> None:
    site = job(count=1, min_healthy_time=0.0, ingress=Ingress(port="http"))
    api.stage.manager.deploy(site, run())
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


def test_a_log_that_says_nothing_for_long_is_followed_through_a_manager_all_the_same(
    api: Api, office: RemoteOffice, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An empty line says that the manager is there; whoever leaves the log hears that it is lost."""
    monkeypatch.setattr(stream, "PULSE", 0.1)
    api.stage.manager.deploy(job(count=1, min_healthy_time=0.0), run())
    (task,) = api.stage.store.current_tasks()
    api.stage.machines[str(task.node)].is_silent = True
    path, hand = f"/tasks/{task.id}/logs", hands(office, lock_wait=0.0)[str(task.node)]
    raw = api.link.lines(path, follow=True)
    assert [next(raw)[:1], next(raw), next(raw)] == [b"{", b"\n", b"\n"]
    followed = hand.logs(str(task.container), follow=True)
    coming = iter(followed)
    assert b"hello from" in next(coming)[1]
    followed.close()
    with pytest.raises(UnreachableError, match="it was left"):
        next(coming)
    with pytest.raises(InputError, match="no task has the container"):
        hand.logs("0" * 64)


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


def test_template_files_are_read_here_and_sent_to_a_manager_with_the_job(
    api: Api, office: RemoteOffice, far: Manager, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where the state is: what is missing or wrong is refused by its place, and the text is the job's."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "templates").mkdir()
    file, template = Path("web.yml"), Path("templates/who.j2")
    file.write_text("job: web\ngroups: {main: {image: 'app:1', templates: {/who: who.j2}}}\n")
    with pytest.raises(InputError, match=r"templates/who\.j2"):
        settle.read_job([file], [], [], office)
    template.write_text("on {{ node.nam }}\n")
    with pytest.raises(InputError, match=r"templates/who\.j2:1:"):
        settle.read_job([file], [], [], office)
    template.write_text("on {{ node.name }}\n")
    wanted = settle.read_job([file], [], [], office)
    assert wanted.groups[0].spec.templates[0].text == "on {{ node.name }}\n"
    assert settle.preview(office, wanted, options.Output.JSON, Path("web.plan")) == 2
    template.unlink()
    office.sources.clear()
    assert settle.as_planned(Path("web.plan"), office)(far, run()).exit_code == 0
    (deployed,), (group,) = api.stage.store.jobs()[0].groups, wanted.groups
    assert deployed.spec.templates == group.spec.templates


def test_who_asks_for_a_secret_as_a_variable_is_warned_through_a_manager_as_here(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In the same words, and once: by `plan` and `deploy`, which read the job so."""
    file, vault = tmp_path / "web.yml", Vault(sealed=lambda: {"db": "s3cret"}, key=lambda: b"k")
    file.write_text(f"{JOB}    secrets: {{db: {{env: PASSWORD}}}}\n")
    with staged(vault=vault) as stage, api_over(stage) as api:
        told = []
        for place in (
            remote_office(api.link, None, "/nowhere"),
            Office(cluster=stage.service.cluster, state=":memory:", keys=tmp_path, vault=vault),
        ):
            read = settle.read_job([file], [], [], place)
            told.append((read.groups[0].spec.secrets, capsys.readouterr().err))
    assert told[0] == told[1]
    assert told[0][1].count("the secret db becomes the variable PASSWORD") == 1


def test_a_history_is_played_again_through_a_manager_as_it_is_here_p12(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """However many answers it takes to bring it here."""
    monkeypatch.setattr(remote_store, "PAGE", 3)
    state = tmp_path / "sim.db"
    with staged(state=state) as stage, api_over(stage) as api:
        for wanted in (job(count=3, min_healthy_time=0.0), job("gone", min_healthy_time=0.0)):
            stage.manager.deploy(wanted, run())
        stage.manager.remove("gone", run())
        here = Office(cluster=stage.service.cluster, state=state, keys=tmp_path, scheduler="spread")
        far = remote_office(api.link, "spread", "/nowhere")
        with recorded(here) as own, recorded(far) as told:
            assert len(own.events()) > 9
            assert told.events() == own.events()
            assert told.events(after=own.events()[4].number) == own.events()[5:]
            assert told.events(job="web") == own.events(job="web")
        accounts = []
        for place in (here, far):
            relived.show(place, "spread,tight", None, None, options.Output.JSON)
            out, err = capsys.readouterr()
            rows = [{name: row[name] for name in LASTING} for row in json.loads(out)]
            accounts.append((rows, err))
        assert accounts[0] == accounts[1]
        assert (accounts[0][0][0]["placed"], "1 task of forgotten jobs" in accounts[0][1]) == (3, True)
        asked = {"CUBE_MANAGER": api.link.url, "CUBE_TOKEN": api.tokens["read"]}
        result = CliRunner().invoke(app, ["simulate", "--replay", "--scheduler", "tight"], env=asked)
    assert (result.exit_code, "tight: nodes with a task" in result.stdout) == (0, True), result


LASTING = ("scheduler", "placed", "waited", "never", "elsewhere", "nodes_most")
"""What of a played history another second does not change."""


def a_tar() -> bytes:
    """What an engine gives of a volume with one file in it."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        folder = tarfile.TarInfo("data")
        folder.type = tarfile.DIRTYPE
        tar.addfile(folder)
        file = tarfile.TarInfo("data/x")
        file.size = 5
        tar.addfile(file, io.BytesIO(b"hello"))
    return packed.getvalue()


def test_volumes_are_listed_kept_here_and_removed_through_a_manager(
    api: Api, office: RemoteOffice, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = api.stage.machines["node2"].volumes
    kept.content["web-data"] = a_tar()
    table, folder = options.Output.TABLE, str(tmp_path)
    wanted = backups.Wanted(name="web-data", node=None, to=folder, last=None)
    assert backups.back_up(office, wanted, table) == 0
    (archive,) = (tmp_path / "sim").glob("web-data@node2@*.tar.gz")
    assert "node2: web-data kept in" in capsys.readouterr().out
    with closing(tarfile.open(archive)) as tar:
        assert [member.name for member in tar][1:] == ["data/x"]
    assert volumes.listed(office, volumes.Choice(everything=True), folder, table) == 0
    assert "web-data" in capsys.readouterr().out
    volumes.remove(office, ("web-data", "node2"), folder, "0s", yes=True)
    assert kept.content == {}
    with pytest.raises(InputError, match="there is no volume 'web-data'"):
        volumes.remove(office, ("web-data", "node2"), folder, "0s", yes=True)


def test_a_volume_that_is_cut_short_on_its_way_is_no_backup_p12(
    api: Api, office: RemoteOffice, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    class Torn(Kept):
        @contextmanager
        def read(self, name: str) -> Iterator[Iterator[bytes]]:
            def pieces() -> Iterator[bytes]:
                yield self.content[name][:600]
                raise UnreachableError("the connection was lost")

            yield pieces()

    api.stage.machines["node1"].volumes = Torn("node1", {"web-data": a_tar()})
    wanted = backups.Wanted(name="web-data", node="node1", to=str(tmp_path), last=None)
    assert backups.back_up(office, wanted, options.Output.TABLE) == 3
    assert "the manager does not answer" in capsys.readouterr().err
    assert [path.name for path in tmp_path.rglob("*.tar.gz*")] == []


def test_an_image_is_removed_through_a_manager_by_one_who_may_and_while_nobody_else_works(
    api: Api, office: RemoteOffice
) -> None:
    hand = hands(office, lock_wait=0.0)["node1"]
    hand.remove_image("app:1")
    assert api.stage.machines["node1"].removed == ["app:1"]
    reader = replace(office, link=replace(office.link, token=api.tokens["read"]))
    with pytest.raises(CubeError, match="may not do that"):
        hands(reader, lock_wait=0.0)["node1"].remove_image("app:1")
    with pytest.raises(InputError, match="has an image 'nothing:1'"):
        stored.removed(office, "nothing:1", "node*", "0s", options.Output.TABLE)
    assert stored.listed(office, "node*", options.Output.TABLE) == 0


def archived(folder: Path, content: bytes) -> str:
    """An archive of a volume with its checksum beside it."""
    file = folder / "web-data.tar.gz"
    file.write_bytes(gzip.compress(content))
    (folder / f"{file.name}.sha256").write_text(f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file}\n")
    return str(file)


def test_a_volume_is_restored_through_a_manager_from_an_archive_that_is_here(
    api: Api, office: RemoteOffice, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is sent as it lies, and refused where something is in the volume, or uses it."""
    kept = api.stage.machines["node2"].volumes
    order = backups.Order(name="web-data", node="node2", file=archived(tmp_path, a_tar()), replace=False)
    backups.restore(office, order, "0s", options.Output.TABLE)
    assert "node2: web-data restored and compared: 1 files, 5B" in capsys.readouterr().out
    assert (kept.content["web-data"], kept.half) == (a_tar(), set())
    with pytest.raises(InputError, match="volume web-data is not empty"):
        backups.restore(office, order, "0s", options.Output.TABLE)
    backups.restore(office, replace(order, replace=True), "0s", options.Output.TABLE)
    writes = spec(volumes=(Volume(source="web-data", target="/data"),))
    api.stage.manager.deploy(job(count=3, task=writes, min_healthy_time=0.0), run())
    with pytest.raises(InputError, match=r"volume web-data is in use: by web/main\["):
        backups.restore(office, replace(order, replace=True), "0s", options.Output.TABLE)
    told = [found.what for found in api.desk.operations.all()]
    assert told[:3] == ["restore web-data on node2"] * 3


def test_an_archive_that_does_not_come_whole_leaves_the_volume_marked_as_half_p9(
    api: Api, office: RemoteOffice, tmp_path: Path
) -> None:
    kept = api.stage.machines["node2"].volumes
    order = backups.Order(name="web-data", node="node2", file=archived(tmp_path, a_tar()), replace=False)
    fill = RemoteVolumes(office.link, "/nodes/node2", lock_wait=0.0).fill
    tree = checked(Folder(tmp_path), "web-data.tar.gz")

    def altered() -> Iterator[bytes]:
        yield a_tar()[:600]
        raise InputError("the archive does not have the bytes that its checksum names")

    with pytest.raises(InputError, match="does not have the bytes"):
        fill("web-data", Content(pieces=altered(), size=10240, tree=tree), may_replace=False)
    api.stage.until(lambda: [found for found in api.desk.operations.all() if found.ended])
    assert "did not come whole" in str(api.desk.operations.all()[-1].error)
    assert kept.half == {"web-data"}
    other = Content(pieces=iter((a_tar(),)), size=10240, tree=replace(tree, digest="0" * 64))
    with pytest.raises(CubeError, match="does not hold what was written"):
        fill("web-data", other, may_replace=False)
    assert kept.half == {"web-data"}
    backups.restore(office, order, "0s", options.Output.JSON)
    assert kept.half == set()


def test_how_far_an_image_is_is_told_through_a_manager_which_keeps_no_step_of_it(
    api: Api, office: RemoteOffice, far: Manager
) -> None:
    api.stage.manager.deploy(job(count=1, min_healthy_time=0.0), run())
    machine = api.stage.machines[str(api.stage.running()["web/main[0]"])]
    machine.machine.registry = frozenset({"shop/web:7"})
    machine.comes.clear()
    steps: list[Step] = []

    def tell(step: Step) -> None:
        steps.append(step)
        if isinstance(step, Transit):
            machine.comes.set()

    text = JOB.replace("app:1", "shop/web:7").replace(
        "count: 2", "count: 1\n    update: {min_healthy_time: 0s}"
    )
    report = far.deploy(office.read_job(text, "web.yml", {}, {}), replace(run(), tell=tell))
    assert report.exit_code == 0
    (transit,) = (step for step in steps if isinstance(step, Transit))
    assert (transit.image, transit.layers) == ("shop/web:7", 1)
    (operation,) = api.desk.operations.all()
    assert (operation.coming, len(operation.steps)) == ((), len(steps) - 1)
