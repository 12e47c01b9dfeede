"""Those who ask a manager, in a process of their own: so many requests a second, and listeners to its events.

`python -m tests.bench.manager_load PORT TOKEN SECONDS RATE LISTENERS [--listen-first]` prints JSON: the
milliseconds that each request took since the moment at which it was due, by route, and those after which an
event was heard.
"""

import asyncio
import json
import sys
import time
from asyncio import StreamReader, StreamWriter
from collections import defaultdict
from collections.abc import Awaitable, Callable

LANES = 64
"""Connections that requests go over; each has one request at a time."""

ROUTES = (
    "/api/v1/jobs/web0/status", "/api/v1/jobs/web1", "/api/v1/nodes/node7", "/api/v1/tasks?node=node9",
    "/api/v1/events?limit=50", "/api/v1/deployments/web2", "/api/v1/jobs", "/api/v1/operations",
)  # fmt: skip
CORDON = "/api/v1/nodes/node3/cordon"


class Caller:
    """One who asks, over connections that stay open."""

    def __init__(self, port: int, token: str) -> None:
        self._port = port
        self._head = f"Host: 127.0.0.1:{port}\r\nAuthorization: Bearer {token}\r\n"

    async def connect(self) -> tuple[StreamReader, StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self._port, limit=1 << 24)

    async def ask(self, lane: tuple[StreamReader, StreamWriter], path: str, method: str = "GET") -> int:
        """The status; the answer is read to its end."""
        reader, writer = lane
        writer.write(f"{method} {path} HTTP/1.1\r\n{self._head}Content-Length: 0\r\n\r\n".encode())
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = head.partition("content-length:")[2].partition("\r")[0]
        await reader.readexactly(int(length or 0))
        return int(head.split()[1])

    async def listen(self, begun: asyncio.Event, heard: list[float]) -> None:
        """Until a cordon is told; when that was."""
        reader, writer = await self.connect()
        writer.write(f"GET /api/v1/events/stream HTTP/1.1\r\n{self._head}\r\n".encode())
        await reader.readuntil(b": here\n\n")
        begun.set()
        await reader.readuntil(b"cordoned")
        heard.append(time.monotonic())
        writer.close()


async def requests(caller: Caller, seconds: float, rate: int) -> dict[str, list[float]]:
    """The milliseconds of each request, by route, at that rate whatever becomes of those before."""
    lanes: asyncio.Queue[tuple[StreamReader, StreamWriter]] = asyncio.Queue()
    for _ in range(LANES):
        lanes.put_nowait(await caller.connect())
    took = defaultdict[str, list[float]](list)

    async def one(path: str, due: float) -> None:
        lane = await lanes.get()
        status = await caller.ask(lane, path)
        assert status == 200, (path, status)
        took[path].append((time.monotonic() - due) * 1000)
        lanes.put_nowait(lane)

    began = time.monotonic()
    async with asyncio.TaskGroup() as group:
        for number in range(int(seconds * rate)):
            due = began + number / rate
            await asyncio.sleep(max(due - time.monotonic(), 0))
            group.create_task(one(ROUTES[number % len(ROUTES)], due))
    return took


async def nothing() -> None:
    """Go on at once."""


async def reached(
    caller: Caller, listeners: int, meanwhile: Callable[[], Awaitable[None]] = nothing
) -> list[float]:
    """The milliseconds after which each listener had heard of an event; before it, they listen meanwhile."""
    heard: list[float] = []
    begun = [asyncio.Event() for _ in range(listeners)]
    async with asyncio.TaskGroup() as group:
        for event in begun:
            group.create_task(caller.listen(event, heard))
        for event in begun:
            await event.wait()
        await meanwhile()
        asked = time.monotonic()
        assert await caller.ask(await caller.connect(), CORDON, "POST") == 204
    return [(at - asked) * 1000 for at in heard]


async def main() -> None:
    """Ask first, then listen; or ask while others listen."""
    port, token, seconds, rate, listeners, *how = sys.argv[1:]
    caller, took = Caller(int(port), token), dict[str, list[float]]()

    async def ask() -> None:
        took.update(await requests(caller, float(seconds), int(rate)))

    if how:
        heard = await reached(caller, int(listeners), ask)
    else:
        await ask()
        heard = await reached(caller, int(listeners))
    sys.stdout.write(json.dumps({"took": took, "heard": heard}))


if __name__ == "__main__":
    asyncio.run(main())
