"""A command in a container of which nothing counts but its exit code."""

import time
from collections.abc import Iterator, Sequence
from http.client import HTTPConnection

from cube.connection import Channel, after, remaining
from cube.worker.container import Json
from cube.worker.engine import EngineError, conversation, get, post

PAUSES = (0.005, 0.01, 0.02, 0.05, 0.1)
"""Seconds between two questions whether it has ended; the last one from then on."""


def exit_code(
    channel: Channel, container: str, argv: Sequence[str], *, under_way: Sequence[str], timeout: float
) -> int | None:
    """How the command ended; None: not within `timeout` seconds, and it goes on.

    Nobody can end a command in a container from outside. So that those which hang do not pile up, one that is
    still `under_way` there (ids of execs) from an earlier time is waited for in place of a new one.
    Raises EngineError where it cannot be started, EngineSilentError where the engine does not answer.
    """
    with conversation(channel) as engine:
        path = _left_behind(engine, argv, under_way) or _start(engine, container, argv)
        return _awaited(engine, path, after(timeout))


def _left_behind(engine: HTTPConnection, argv: Sequence[str], under_way: Sequence[str]) -> str | None:
    paths = (f"/exec/{known}" for known in under_way)
    return next((path for path in paths if _is_ours(_state(engine, path), argv)), None)


def _is_ours(state: Json, argv: Sequence[str]) -> bool:
    """It runs, it is this very command, and nobody is attached to it."""
    process = state.get("ProcessConfig") or {}
    is_same = [process.get("entrypoint"), *(process.get("arguments") or ())] == list(argv)
    return bool(state.get("Running")) and is_same and not (state.get("OpenStdout") or state.get("OpenStdin"))


def _start(engine: HTTPConnection, container: str, argv: Sequence[str]) -> str:
    """Its path. Its output goes nowhere, so that no amount of it does harm."""
    path = f"/exec/{post(engine, f'/containers/{container}/exec', {'Cmd': list(argv)})['Id']}"
    try:
        post(engine, f"{path}/start", {"Detach": True})
    except EngineError as error:
        if error.status != 400:  # 400: there is no such program; its exit code will say so
            raise
    return path


def _awaited(engine: HTTPConnection, path: str, deadline: float) -> int | None:
    for pause in _pauses():
        state = _state(engine, path)
        if not state.get("Running"):
            return _code(state)
        if not remaining(deadline):
            return None
        time.sleep(min(pause, remaining(deadline)))
    return None


def _pauses() -> Iterator[float]:
    yield from PAUSES
    while True:
        yield PAUSES[-1]


def _state(engine: HTTPConnection, path: str) -> Json:
    """A command that the engine has forgotten has ended."""
    try:
        state: Json = get(engine, f"{path}/json")
    except EngineError as error:
        if error.status != 404:
            raise
        return {}
    return state


def _code(state: Json) -> int:
    code = state.get("ExitCode")
    if not isinstance(code, int):
        raise EngineError("the command ended, and nobody knows how")
    return code
