"""Streams: what comes as it comes, to one who listens."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, TypeVar

from fastapi import Response
from fastapi.responses import StreamingResponse

from cube.model.codec import to_data

PULSE = 15.0
"""Seconds of silence after which a line is sent that says nothing: what lies between would hang up."""

AHEAD = 1000
"""Lines that a listener may be behind before the one that writes waits for it."""

T = TypeVar("T")
EVENTS = "text/event-stream"
LINES = "application/x-ndjson"


def sse(data: Any, *, identity: int | None = None, event: str = "") -> str:
    """One event of a stream, as the HTML standard has it."""
    head = (f"id: {identity}\n" if identity is not None else "") + (f"event: {event}\n" if event else "")
    return f"{head}data: {json.dumps(to_data(data), separators=(',', ':'))}\n\n"


def live(parts: AsyncIterator[str]) -> Response:
    """The parts as server-sent events, with a pulse in between."""
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    beating = with_pulse(_here(parts), ": still here\n\n")
    return StreamingResponse(beating, media_type=EVENTS, headers=headers)


async def _here(parts: AsyncIterator[str]) -> AsyncIterator[str]:
    yield ": here\n\n"
    async for part in parts:
        yield part


async def with_pulse(parts: AsyncIterator[str], pulse: str) -> AsyncIterator[str]:
    """The parts, and the pulse wherever there was none of them for so long."""
    coming = asyncio.ensure_future(anext(parts, None))
    try:
        while True:
            done, _ = await asyncio.wait({coming}, timeout=PULSE)
            if not done:
                yield pulse
                continue
            part = coming.result()
            if part is None:
                return
            yield part
            coming = asyncio.ensure_future(anext(parts, None))
    finally:
        coming.cancel()


async def from_thread(
    begin: Callable[[], Iterator[T]], ahead: int = AHEAD, leave: Callable[[], None] = lambda: None
) -> AsyncIterator[T]:
    """What an iterator that blocks gives, from a thread of its own; it ends with its next part after ours.

    `leave` is called once nobody listens any more, and may let that next part come at once.
    """
    loop, queue = asyncio.get_running_loop(), asyncio.Queue[T | None](ahead)
    ended = threading.Event()

    def put(part: T | None) -> None:
        asyncio.run_coroutine_threadsafe(queue.put(part), loop).result()

    def pump() -> None:
        try:
            for part in begin():
                if ended.is_set():
                    return
                put(part)
        finally:
            if not ended.is_set():
                put(None)

    threading.Thread(target=pump, name="cube-stream", daemon=True).start()
    try:
        while (part := await queue.get()) is not None:
            yield part
    finally:
        ended.set()
        loop.run_in_executor(None, leave)
        while not queue.empty():
            queue.get_nowait()
