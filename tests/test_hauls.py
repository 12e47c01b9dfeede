"""A task moves with its data while its manager turns the loop: its slot stays empty until that is there."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import pytest

from cube.cli import moves
from cube.errors import CubeError, InputError
from cube.manager.manager import Manager
from cube.manager.moves_with_data import Asked
from cube.manager.report import Remark, Report, Step
from cube.manager.turn import Run
from cube.model.job import Volume
from cube.remote.manager import RemoteManager, remote_office
from cube.remote.office import RemoteOffice
from tests.build import job, spec
from tests.stage import NAMES, PATIENCE, Kept, run, staged
from tests.test_api import Api, api_over
from tests.test_remote import a_tar

WRITES = spec(volumes=(Volume(source="web-data", target="/data"),))
SLOT = "web/main[0]"


@dataclass
class Gated(Kept):
    """Volumes that are filled only once somebody lets them be."""

    begun: threading.Event = field(default_factory=threading.Event)
    goes_on: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def filled(self, name: str, pieces: Iterator[bytes], size: int | None) -> Iterator[None]:
        self.begun.set()
        assert self.goes_on.wait(PATIENCE)
        with super().filled(name, pieces, size):
            yield


class Broken(Kept):
    """Volumes that keep something else than what they are given."""

    @contextmanager
    def filled(self, name: str, pieces: Iterator[bytes], size: int | None) -> Iterator[None]:
        with super().filled(name, pieces, size):
            self.content[name] = self.content[name][:512]
            yield


@pytest.fixture
def api() -> Iterator[Api]:
    """A manager of three nodes, and a task that has written on one of them."""
    with staged() as stage, api_over(stage) as found:
        stage.manager.deploy(job(task=WRITES, min_healthy_time=0.0), run())
        stage.machines[home(found)].volumes.content["web-data"] = a_tar()
        yield found


@pytest.fixture
def office(api: Api) -> RemoteOffice:
    return remote_office(api.link, None, "/nowhere")


@pytest.fixture
def far(office: RemoteOffice) -> Manager:
    manager: Manager = RemoteManager(office, lock_wait=0.0)  # type: ignore[assignment] # as in `reach`
    return manager


def home(api: Api) -> str:
    return str(api.stage.running()[SLOT])


def another(api: Api) -> str:
    return next(name for name in NAMES if name != home(api))


def moved(office: RemoteOffice, far: Manager, node: str, told: list[Step] | None = None) -> Report:
    asked = Asked(task=SLOT, node=node, keep=3600.0)
    heard = run() if told is None else Run(until=run().until, actor="ann", tell=told.append)
    return moves.moved_with_data(office, asked)(far, heard)


def test_what_it_has_written_is_where_it_runs_then_and_is_kept_where_it_ran(
    api: Api, office: RemoteOffice, far: Manager
) -> None:
    old, new, told = home(api), another(api), list[Step]()
    report = moved(office, far, new, told)
    assert (report.exit_code, [end.is_done for end in report.moves]) == (0, [True])
    assert api.stage.running() == {SLOT: new}
    kept = api.stage.machines
    assert (kept[new].volumes.content["web-data"], kept[new].volumes.half) == (a_tar(), set())
    assert kept[old].volumes.content["web-data"] == a_tar()
    said = [step.text.partition(": ")[0] for step in told if isinstance(step, Remark)]
    assert said[:2] == [
        "web-data is copied once its task is stopped, not before",
        "copied and compared web-data",
    ]
    assert said[2].startswith(f"web-data is kept on {old}, too, until ")
    assert [(left.node, left.volume) for left in far.store.left.all().values()] == [(old, "web-data")]


@contextmanager
def on_its_way(api: Api, office: RemoteOffice, far: Manager) -> Iterator[list[Report | CubeError]]:
    """What comes of a move whose task was stopped, and whose data is still on its way in the block."""
    new, gate = another(api), Gated("gated")
    api.stage.machines[new].volumes = gate
    ends: list[Report | CubeError] = []

    def move() -> None:
        try:
            ends.append(moved(office, far, new))
        except CubeError as error:
            ends.append(error)

    moving = threading.Thread(target=move)
    moving.start()
    assert gate.begun.wait(PATIENCE)
    yield ends
    gate.goes_on.set()
    moving.join(PATIENCE)


def test_its_slot_stays_empty_until_its_data_is_there_however_often_the_manager_turns_p9(
    api: Api, office: RemoteOffice, far: Manager
) -> None:
    new = another(api)
    with on_its_way(api, office, far) as ends:
        assert api.stage.manager.deploy(job("mail", 2, min_healthy_time=0.0), run()).exit_code == 0
        assert api.stage.manager.reconcile(run()).exit_code == 0
        assert SLOT not in api.stage.running()
    assert [end.exit_code for end in ends] == [0]
    assert home(api) == new


def test_a_job_that_is_changed_while_its_data_is_on_its_way_is_not_moved(
    api: Api, office: RemoteOffice, far: Manager
) -> None:
    old = home(api)
    with on_its_way(api, office, far) as ends:
        other = job(task=replace(WRITES, image="app:2"), min_healthy_time=0.0)
        api.stage.manager.want(other, run())
    assert ["job web was changed meanwhile" in str(end) for end in ends] == [True]
    api.stage.until(lambda: api.stage.running() == {SLOT: old})


def test_it_is_moved_by_one_at_a_time(api: Api, office: RemoteOffice, far: Manager) -> None:
    (task,) = api.stage.store.current_tasks()
    with (
        api.stage.service.vacancies.claimed(task.slot),
        pytest.raises(InputError, match="is being moved with its data already"),
    ):
        moved(office, far, another(api))


def test_where_its_data_does_not_arrive_whole_it_runs_again_where_it_was_p9(
    api: Api, office: RemoteOffice, far: Manager
) -> None:
    old, new = home(api), another(api)
    api.stage.machines[new].volumes = Broken(new)
    with pytest.raises(CubeError, match="the archive is not whole"):
        moved(office, far, new)
    assert api.stage.running() == {SLOT: old}
    assert far.store.moves() == {}
    assert api.stage.machines[new].volumes.half == {"web-data"}, "what is half there is told of as half"


def test_where_it_does_not_come_up_there_it_runs_again_on_what_it_left_p9(
    api: Api, office: RemoteOffice, far: Manager
) -> None:
    old, new = home(api), another(api)
    api.stage.machines[new].machine.program = lambda _spec: 1
    report = moved(office, far, new)
    assert (report.exit_code, [end.is_done for end in report.moves]) == (1, [False])
    assert api.stage.running() == {SLOT: old}
    assert far.store.left.all() == {}


def test_the_same_key_is_the_same_move_and_what_cannot_be_is_refused_at_once(api: Api) -> None:
    body = {"task": SLOT, "node": another(api), "with_data": True}
    first, again = (api.ask("POST", "/api/v1/move", body, Idempotency_Key="night") for _ in range(2))
    assert first.data["id"] == again.data["id"]
    assert api.done(first)["exit_code"] == 0
    assert api.ask("POST", "/api/v1/move", body).status == 422, "it is there already"
