"""A command in a task's container, over a websocket: bytes both ways, and last how it ended."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from http import HTTPStatus
from typing import TypeVar

from fastapi import APIRouter, Response, WebSocket, WebSocketDisconnect

from cube.api.desk import AtDesk, Desk, Who, known_task
from cube.api.problem import problem_of, response_of, responses, status_of
from cube.api.schema import Control, Execution, read_message
from cube.api.stream import from_thread
from cube.errors import CubeError, InputError, UnreachableError
from cube.manager.seams import Process
from cube.manager.tasks import begin
from cube.model.task import Task

router = APIRouter(tags=["tasks"])

AHEAD = 8
"""Pieces of output that wait for a listener before the command has to."""

OPENS = 20.0
"""Seconds in which the command must be named."""

STREAMS = {"stdout": b"\x01", "stderr": b"\x02"}
"""What each piece of output begins with."""

R = TypeVar("R")


@router.get("/tasks/{id}/exec", status_code=426, responses=responses(426))
def explain(id: str) -> Response:
    """Run a command in a task's container: this is where a websocket is opened.

    It is first sent a text: `{"command": ["env"]}`; with `"input": true` its binary messages are what the
    command reads, and the text `{"end": true}` says that there is no more; with `"terminal": true` it has a
    terminal, of the size `{"rows": 40, "columns": 120}`. What it writes comes as binary messages, their first
    byte 1 for its output and 2 for its errors. The last message is a text: `{"exit_code": 0}`, or a
    problem document where it could not be run or was lost. It is left after `idle` seconds without a byte.
    """
    error = InputError("this is a websocket", where=f"/api/v1/tasks/{id}/exec")
    return response_of(error, HTTPStatus.UPGRADE_REQUIRED, {"Upgrade": "websocket"})


@router.websocket("/tasks/{id}/exec")
async def execute(socket: WebSocket, desk: AtDesk, who: Who, id: str) -> None:
    """As above."""
    threads = ThreadPoolExecutor(max_workers=1, thread_name_prefix="cube-exec")
    try:
        task = await _in(threads, partial(known_task, desk, id))
        with desk.commands:
            await socket.accept()
            with suppress(WebSocketDisconnect):
                await _run(socket, desk, who.name, task, threads)
    except CubeError as error:
        await socket.send_denial_response(response_of(error, status_of(error)))
    finally:
        threads.shutdown(wait=False)


async def _run(socket: WebSocket, desk: Desk, actor: str, task: Task, threads: ThreadPoolExecutor) -> None:
    try:
        first = await asyncio.wait_for(socket.receive(), OPENS)
        if first["type"] == "websocket.disconnect":
            return
        asked = read_message(Execution, first.get("text"))
        reason = f"{asked.command[0][:100]!r} run in {task.slot}"
        tell = partial(desk.manager.store.tell_of_node, task.node or "", reason, now=time.time(), actor=actor)
        await _in(threads, tell)
        workers = desk.service.workers
        ask = partial(begin, workers, task, asked.command, has_input=asked.input, has_terminal=asked.terminal)
        process = await _in(threads, ask)
    except TimeoutError:
        await _end(socket, InputError("no command was named", why=f"for {OPENS:g} seconds"))
    except CubeError as error:
        await _end(socket, error)
    else:
        await Talk(socket, process, threads, asked.idle).go_on()


class Talk:
    """A command that runs, and who has asked for it; left once both are silent for `idle` seconds."""

    def __init__(self, socket: WebSocket, process: Process, threads: ThreadPoolExecutor, idle: float) -> None:
        self._socket = socket
        self._process = process
        self._threads = threads
        self._idle = idle
        self._limit = asyncio.timeout(idle)

    async def go_on(self) -> None:
        """Until the command ends, the caller leaves, or both have been silent for too long."""
        sides = [asyncio.ensure_future(self._tell()), asyncio.ensure_future(self._hear())]
        try:
            async with self._limit:
                await asyncio.wait(sides, return_when=asyncio.FIRST_COMPLETED)
        except TimeoutError:
            why = f"for {self._idle:g} seconds nothing was written or read"
            cure = "It may go on in its container."
            await _end(self._socket, UnreachableError("the command was left", why=why, cure=cure))
        finally:
            for side in sides:
                side.cancel()
            await asyncio.to_thread(self._process.close)
            ends = await asyncio.gather(*sides, return_exceptions=True)
        for error in ends:
            if isinstance(error, CubeError):
                await _end(self._socket, error)

    async def _tell(self) -> None:
        async for part in from_thread(partial(_said, self._process), AHEAD):
            self._move()
            if isinstance(part, bytes):
                await self._socket.send_bytes(part)
            else:
                await _end(self._socket, part)

    async def _hear(self) -> None:
        while (message := await self._socket.receive())["type"] != "websocket.disconnect":
            self._move()
            if (data := message.get("bytes")) is not None:
                await _in(self._threads, partial(self._process.send, data))
            else:
                await self._control(read_message(Control, message["text"]))

    def _move(self) -> None:
        if not self._limit.expired():
            self._limit.reschedule(asyncio.get_running_loop().time() + self._idle)

    async def _control(self, said: Control) -> None:
        if said.end:
            await _in(self._threads, self._process.end_input)
        if said.rows and said.columns:
            await _in(self._threads, partial(self._process.resize, said.rows, said.columns))


def _said(process: Process) -> Iterator[bytes | int | CubeError]:
    """Each piece of output, and last how it ended."""
    try:
        for stream, data in process.output():
            yield STREAMS[stream] + data
        yield process.exit_status()
    except CubeError as error:
        yield error


async def _end(socket: WebSocket, how: int | CubeError) -> None:
    text = problem_of(how).model_dump_json() if isinstance(how, CubeError) else json.dumps({"exit_code": how})
    await socket.send_text(text)
    await socket.close()


async def _in(threads: ThreadPoolExecutor, work: Callable[[], R]) -> R:
    """Off the loop, and in order."""
    running: Awaitable[R] = asyncio.get_running_loop().run_in_executor(threads, work)
    return await running
