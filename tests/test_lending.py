"""A job whose image only the engine beside the command has, through a manager: deployed as it is here."""

import io
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import ClientConnection, connect

from cube.cli import options, settle
from cube.errors import CubeError
from cube.image.own import NoEngineError, OwnEngine
from cube.image.recipe import Recipe
from cube.manager.loans import Loan, Loans
from cube.manager.manager import Manager
from cube.manager.report import Done, Step
from cube.model.action import Push, Verdict
from cube.model.image import Image
from cube.model.task import State
from cube.remote import lending
from cube.remote.manager import RemoteManager, remote_office
from cube.remote.office import RemoteOffice
from tests.imagery import digest, image, layer
from tests.stage import run, staged
from tests.test_api import JOB, Api, api_over

LAYER = layer({"bin/app": b"app"})
HERE = "sha256:web:7"
FILE = JOB.replace("app:1", "web:7").replace("count: 2", "count: 2\n    update: {min_healthy_time: 0s}")


class Engine(OwnEngine):
    """This machine's engine, with web:7 alone; a `broken` one goes away while it gives that out."""

    def images(self) -> tuple[Image, ...]:
        return (Image(id=HERE, names=("web:7",), size=1, created_at=0.0),)

    def needed(self, name: str) -> Recipe:
        found = "sha256:other" if self.path == "other" else HERE
        return Recipe(name=name, id=found, layers=(digest(LAYER),))

    @contextmanager
    def saved(self, name: str) -> Iterator[Any]:
        yield io.BytesIO(image(name, (LAYER,)))
        if self.path == "broken":
            raise NoEngineError("this machine's Docker engine does not answer")


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    monkeypatch.setattr(lending, "OwnEngine", Engine)
    with staged() as stage, api_over(stage) as found:
        yield found


@pytest.fixture
def office(api: Api) -> RemoteOffice:
    return remote_office(api.link, None, "here")


def far(office: RemoteOffice) -> Manager:
    manager: Manager = RemoteManager(office, lock_wait=0.0)  # type: ignore[assignment] # as in `reach`
    return manager


def test_it_is_planned_pushed_and_told_as_it_is_here_and_every_task_runs_those_bytes(
    api: Api, office: RemoteOffice
) -> None:
    job = office.read_job(FILE, "web.yml", {}, {})
    plan, _ = far(office).preview(job)
    pushes = [action for action in plan.actions if isinstance(action, Push)]
    assert [(push.image, push.pinned) for push in pushes] == [("web:7", HERE)] * 2
    steps: list[Step] = []
    report = far(office).deploy(job, replace(run(), tell=steps.append))
    pushed = [step.effect for step in steps if isinstance(step, Done) and isinstance(step.effect, Push)]
    assert sorted(push.node for push in pushed) == sorted(push.node for push in pushes)
    assert (report.exit_code, report.changed, len(api.stage.running())) == (0, 4, 2)
    known = api.stage.store.job("web")
    assert known is not None
    assert [group.spec.pinned for group in known.groups] == [HERE]
    assert far(office).deploy(job, run()).changed == 0
    api.stage.until(lambda: not api.stage.service.loans.stock(dict))


def test_a_plan_of_it_in_a_file_is_carried_out_as_it_was_shown(
    api: Api, office: RemoteOffice, tmp_path: Path
) -> None:
    (tmp_path / "web.yml").write_text(FILE)
    wanted = settle.read_job([tmp_path / "web.yml"], [], [], office)
    file = tmp_path / "web.plan"
    assert settle.preview(office, wanted, options.Output.TABLE, file) == 2
    assert settle.as_planned(file, office)(far(office), run()).exit_code == 0
    assert len(api.stage.running()) == 2


def test_more_tasks_and_a_version_of_before_have_their_image_brought_too(
    api: Api, office: RemoteOffice
) -> None:
    far(office).deploy(office.read_job(FILE, "web.yml", {}, {}), run())
    assert far(office).scale("web", {"main": 3}, run()).exit_code == 0
    assert [machine.images for machine in api.stage.machines.values()] == [["web:7"]] * 3
    far(office).deploy(office.read_job(FILE.replace("web:7", "app:1"), "web.yml", {}, {}), run())
    for machine in api.stage.machines.values():
        machine.images.clear()
        machine.machine.images -= {"web:7"}
    api.stage.until(
        lambda: not any("web:7" in str(look) for look in api.stage.service.look().values())
    )  # they are looked at again
    assert far(office).rollback("web", 1, run()).exit_code == 0


def test_an_engine_that_goes_away_leaves_the_old_version_as_it_is_p9(api: Api, office: RemoteOffice) -> None:
    far(office).deploy(office.read_job(FILE.replace("web:7", "app:1"), "web.yml", {}, {}), run())
    steps: list[Step] = []
    broken = replace(office, engine="broken")
    report = far(broken).deploy(broken.read_job(FILE, "web.yml", {}, {}), replace(run(2), tell=steps.append))
    tried = [step for step in steps if isinstance(step, Done) and isinstance(step.effect, Push)]
    assert Verdict.OK not in {step.outcome.verdict for step in tried}
    assert any("did not come whole" in step.outcome.why for step in tried)
    assert report.exit_code != 0
    tasks = [task for task in api.stage.store.current_tasks() if task.state is State.RUNNING]
    assert {task.spec.image for task in tasks} == {"app:1"}
    api.stage.until(lambda: not api.stage.service.loans.stock(dict))


def test_two_who_mean_two_images_by_one_name_are_told_so_before_anything_is_touched(
    api: Api, office: RemoteOffice
) -> None:
    job = office.read_job(FILE, "web.yml", {}, {})
    with lending.lent(api.link, "other", ["web:7"]):
        with pytest.raises(CubeError, match="another command deploys another image as web:7"):
            far(office).deploy(job, run())
        with lending.lent(api.link, "other", ["web:7"]):
            pass
    assert api.stage.store.jobs() == ()


def test_what_a_command_lends_goes_before_what_the_manager_s_own_engine_has_by_that_name() -> None:
    loans, mine, theirs = Loans(), Engine("mine"), Engine("theirs")
    with loans.lent(Loan(images={"web:7": HERE}, source=theirs)):
        stock = loans.stock(lambda: {"web:7": "sha256:old", "app:1": "sha256:app"})
        assert stock == {"web:7": HERE, "app:1": "sha256:app"}
        assert [loans.source_of(name, mine) for name in ("web:7", "app:1")] == [theirs, mine]
    assert loans.source_of("web:7", mine) is mine


@contextmanager
def lent_by_hand(api: Api) -> Iterator[ClientConnection]:
    token = {"Authorization": f"Bearer {api.tokens['operate']}"}
    url = f"ws://127.0.0.1:{api.port}/api/v1/images/lend"
    offered = {"name": "web:7", "id": HERE, "layers": []}
    with connect(url, additional_headers=token, proxy=None) as socket:
        socket.send(json.dumps({"images": [offered]}))
        assert json.loads(socket.recv()) == {"lent": True}
        yield socket


def test_bytes_that_nobody_asked_for_end_the_loan(api: Api) -> None:
    with lent_by_hand(api) as socket:
        assert api.stage.service.loans.stock(dict) == {"web:7": HERE}
        socket.send(b"something")
        assert json.loads(socket.recv(20)) == {"end": True}
        assert api.stage.service.loans.stock(dict) == {}


def test_bytes_that_are_no_image_end_the_loan(api: Api) -> None:
    def read() -> None:
        with api.stage.service.loans.source_of("web:7", Engine("mine")).saved("web:7") as saved:
            saved.read(1)

    with lent_by_hand(api) as socket, ThreadPoolExecutor() as pool:
        reading = pool.submit(read)
        assert json.loads(socket.recv(20)) == {"wants": "web:7"}
        socket.send(b"something else" * 9)
        with pytest.raises(CubeError, match="no gzip"):
            reading.result(20)
        assert json.loads(socket.recv(20)) == {"end": True}
