"""`cube exec` through a manager: bytes both ways over a websocket, and the exit status of the command."""

import io
import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection, connect

from cube.api.doors import COMMANDS
from cube.errors import CubeError, UnreachableError
from cube.manager.seams import Process
from cube.manager.tasks import converse
from cube.model.task import Task
from cube.remote.hand import RemoteHand
from cube.remote.link import Link
from cube.remote.store import RemoteStore
from cube.worker.terminal import Ends
from tests.build import job
from tests.stage import run, staged
from tests.test_api import ROLES, Api, api_over


@pytest.fixture(scope="module")
def api() -> Iterator[Api]:
    with staged() as stage, api_over(stage) as found:
        stage.manager.deploy(job(count=1), run())
        yield found


def task_of(api: Api) -> Task:
    (task,) = api.stage.store.current_tasks()
    return task


def begun(api: Api, *argv: str, role: str = "operate", has_input: bool = False) -> Process:
    link = Link(url=f"http://127.0.0.1:{api.port}", token=api.tokens.get(role, "cube_wrong"))
    reading = Link(url=link.url, token=api.tokens["read"])
    hand = RemoteHand(link, RemoteStore(reading), "node1", lock_wait=0.0)
    return hand.execute(str(task_of(api).container), argv, has_input=has_input)


@contextmanager
def opened(api: Api, task: str, first: Any, **headers: str) -> Iterator[ClientConnection]:
    token = {"Authorization": f"Bearer {api.tokens['operate']}"}
    url = f"ws://127.0.0.1:{api.port}/api/v1/tasks/{task}/exec"
    with connect(url, additional_headers=token | headers, proxy=None) as socket:
        socket.send(first if isinstance(first, str | bytes) else json.dumps(first))
        yield socket


def test_a_command_keeps_its_streams_and_its_exit_status_through_a_manager_p12(api: Api) -> None:
    own = Ends(stdin=None, stdout=io.BytesIO(), stderr=io.BytesIO())
    assert converse(begun(api, "false"), own) == 7
    assert isinstance(own.stdout, io.BytesIO)
    assert isinstance(own.stderr, io.BytesIO)
    assert (own.stdout.getvalue(), own.stderr.getvalue()) == (b"out", b"err")
    told = api.stage.store.events()[-1]
    assert (told.actor, told.node, told.reason) == (
        "token operate", str(task_of(api).node), "'false' run in web/main[0]"
    )  # fmt: skip


def test_what_is_sent_is_read_to_its_end(api: Api, tmp_path: Path) -> None:
    file = tmp_path / "sent"
    file.write_bytes(b"x" * 60_000)
    with file.open("rb") as stdin:
        own = Ends(stdin=stdin, stdout=io.BytesIO(), stderr=io.BytesIO())
        assert converse(begun(api, "cat", has_input=True), own) == 0
    assert isinstance(own.stdout, io.BytesIO)
    assert own.stdout.getvalue() == b"x" * 60_000


@pytest.mark.parametrize("role", ROLES)
def test_only_who_may_operate_runs_a_command(api: Api, role: str) -> None:
    if role in ("operate", "admin"):
        begun(api, "false", role=role).close()
    else:
        with pytest.raises(CubeError, match="token"):
            begun(api, "false", role=role)


def test_a_page_from_elsewhere_and_a_task_that_is_none_are_refused_before_anything_runs(
    api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    for task, headers, status in (
        (task_of(api).id, {"Origin": "http://evil.example"}, 403),
        ("nobody", {}, 404),
    ):
        with pytest.raises(InvalidStatus) as refused, opened(api, task, "", **headers):
            pass
        assert refused.value.response.status_code == status
        assert json.loads(refused.value.response.body or b"")["status"] == status
    assert caplog.records == [], "what is refused is no fault of ours"


@pytest.mark.parametrize("first", ["", "[", b"\x00", {"command": []}, {"command": ["a"], "shell": True}])
def test_a_first_word_that_is_no_command_is_told_so(api: Api, first: Any) -> None:
    with opened(api, task_of(api).id, first) as socket:
        end = json.loads(socket.recv(10))
    assert (end["status"], end["exit_code"]) == (422, 2)


def test_who_is_silent_for_too_long_is_left_and_so_is_the_command(api: Api) -> None:
    with opened(api, task_of(api).id, {"command": ["sleep"], "idle": 0.2}) as socket:
        end = json.loads(socket.recv(10))
    assert (end["detail"], end["exit_code"]) == ("the command was left", 3)
    api.stage.until(programs(api)[-1].is_left.is_set)


def test_a_command_whose_caller_has_left_is_left_as_well(api: Api) -> None:
    with opened(api, task_of(api).id, {"command": ["sleep"], "terminal": True}) as socket:
        socket.send(json.dumps({"rows": 40, "columns": 120}))
        api.stage.until(lambda: programs(api)[-1].sizes == [(40, 120)])
        socket.send(json.dumps({"rows": -1}))
        assert json.loads(socket.recv(10))["status"] == 422
    api.stage.until(programs(api)[-1].is_left.is_set)


def test_no_more_run_at_once_than_there_is_room_for(api: Api) -> None:
    task = task_of(api).id
    with ExitStack() as stack:
        for _ in range(COMMANDS):
            stack.enter_context(opened(api, task, {"command": ["sleep"]}))
        with pytest.raises(InvalidStatus) as refused:
            stack.enter_context(opened(api, task, {"command": ["sleep"]}))
        assert refused.value.response.status_code == 429


def test_a_manager_that_goes_away_is_told_as_unreachable(api: Api) -> None:
    process = begun(api, "sleep")
    process.close()
    with pytest.raises(UnreachableError, match="does not answer"):
        list(process.output())


def programs(api: Api) -> list[Any]:
    return api.stage.machines[str(task_of(api).node)].programs
