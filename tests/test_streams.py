"""Answers that go on: each ends once nobody listens to it, or nobody may any more."""

import threading
import time  # noqa: TID251 - a manager ends in real time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from http.client import HTTPConnection, HTTPResponse

import pytest
from websockets.exceptions import ConnectionClosed

from cube.api.admitted import VIOLATED
from cube.api.doors import FOLLOWERS, BusyError
from cube.api.server import STOP
from cube.manager.tokens import make_token
from tests.build import job
from tests.stage import Attended, run, staged
from tests.test_api import Api, api_over
from tests.test_exec import opened

LIMIT = 3.0
"""Seconds that a token is good for which ends by itself."""


@pytest.fixture(scope="module")
def api() -> Iterator[Api]:
    with staged() as stage, api_over(stage) as found:
        stage.manager.deploy(job(count=1), run())
        yield found


@contextmanager
def follower(api: Api, path: str, token: str) -> Iterator[HTTPResponse]:
    connection = HTTPConnection("127.0.0.1", api.port, timeout=20)
    connection.request("GET", path, headers={"Authorization": f"Bearer {token}"})
    response = connection.getresponse()
    assert response.status == 200
    yield response
    response.close()
    connection.close()


def logs_of(api: Api) -> tuple[str, Attended]:
    """Where those of the one task are followed, and its node, whose containers say no more."""
    (task,) = api.stage.store.current_tasks()
    machine = api.stage.machines[str(task.node)]
    machine.is_silent = True
    return f"/api/v1/tasks/{task.id}/logs?follow=true", machine


def threads(*names: str) -> int:
    return sum(thread.name.startswith(names) for thread in threading.enumerate())


def test_whoever_leaves_a_silent_log_leaves_no_thread_and_no_channel_behind(api: Api) -> None:
    path, machine = logs_of(api)
    for _ in range(5):
        with follower(api, path, api.tokens["read"]) as response:
            assert b"hello from" in response.readline()
            assert threads("cube-logs", "cube-stream") >= 2
    api.stage.until(lambda: len(machine.logged) == 5 and all(log.is_left.is_set() for log in machine.logged))
    api.stage.until(lambda: not threads("cube-logs", "cube-stream"))


def is_free(api: Api) -> bool:
    """Nobody follows a log."""
    with suppress(BusyError), ExitStack() as everybody:
        for _ in range(FOLLOWERS):
            everybody.enter_context(api.desk.followers)
        return True
    return False


def test_only_so_many_follow_logs_at_once_and_the_others_are_told_so(api: Api) -> None:
    path, _ = logs_of(api)
    api.stage.until(lambda: is_free(api))
    with ExitStack() as others:
        for _ in range(FOLLOWERS - 1):
            others.enter_context(api.desk.followers)
        with follower(api, path, api.tokens["read"]) as response:
            assert b"hello from" in response.readline()
            refused = api.ask("GET", path)
            assert (refused.status, refused.headers["content-type"]) == (429, "application/problem+json")
            assert f"{FOLLOWERS} logs are followed already" in refused.data["detail"]
            assert api.ask("GET", path.replace("true", "false")).status == 200, "what is read once goes on"
        api.stage.until(lambda: api.ask("HEAD", path).status == 200)
    assert api.ask("GET", path.replace(path.split("/")[4], "nobody")).status == 404
    api.stage.until(lambda: is_free(api))


def revoked(api: Api) -> None:
    assert api.ask("DELETE", "/api/v1/tokens/short").status == 204


@pytest.mark.parametrize(("path", "good_for", "end"), [
    ("/api/v1/events/stream", 60.0, revoked), ("/live/fleet", 60.0, revoked), ("logs", 60.0, revoked),
    ("/api/v1/events/stream", LIMIT, lambda _api: None),
])  # fmt: skip
def test_what_is_followed_ends_with_the_token_p18(
    api: Api, path: str, good_for: float, end: Callable[[Api], None]
) -> None:
    token = make_token(api.stage.store, "short", "read", good_for=good_for, actor="ann")
    try:
        where = logs_of(api)[0] if path == "logs" else path
        api.stage.until(
            lambda: api.ask("GET", "/nodes", role="", Authorization=f"Bearer {token}").status == 200
        )
        with follower(api, where, token) as response:
            assert response.readline()
            end(api)
            assert response.read() is not None, "as if it had come to its end"
        assert api.ask("GET", "/nodes", role="", Authorization=f"Bearer {token}").status in (401, 429)
    finally:
        api.ask("DELETE", "/api/v1/tokens/short")


def test_a_command_is_left_with_the_token_of_who_runs_it_p18(api: Api) -> None:
    token = make_token(api.stage.store, "short", "operate", good_for=60, actor="ann")
    (task,) = api.stage.store.current_tasks()
    bearer = {"Authorization": f"Bearer {token}"}
    api.stage.until(lambda: api.ask("GET", "/nodes", role="", **bearer).status == 200)
    tokens = api._replace(tokens={**api.tokens, "operate": token})
    with opened(tokens, task.id, {"command": ["cat"], "input": True}) as socket:
        socket.send(b"x")
        assert socket.recv() == b"\x01x"
        revoked(api)
        with pytest.raises(ConnectionClosed) as closed:
            socket.recv(timeout=10)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == VIOLATED
    (program,) = [found for machine in api.stage.machines.values() for found in machine.programs]
    assert program.is_left.wait(10)


def test_a_manager_that_ends_waits_for_nobody_who_listens(caplog: pytest.LogCaptureFixture) -> None:
    with staged() as stage, ExitStack() as followers:
        stage.manager.deploy(job(count=1), run())
        with api_over(stage) as api:
            for path in ("/api/v1/events/stream", "/live/fleet", logs_of(api)[0]):
                response = followers.enter_context(follower(api, path, api.tokens["read"]))
                assert response.readline()
            began = time.monotonic()
        assert time.monotonic() - began < STOP
        assert not caplog.records
