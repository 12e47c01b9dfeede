"""What is sent that no memory holds: it is taken as it comes, by the operation that works with it."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import CancelledError
from typing import Annotated

from fastapi import Depends, Request
from starlette.requests import ClientDisconnect

from cube.errors import InputError, UnreachableError

MOST = 1 << 40
"""Bytes that may be sent so: a volume of a terabyte."""

STALL = 60.0
"""Seconds without a byte after which no more is waited for."""


class Upload:
    """What one caller sends, a piece at a time, for a thread that waits for it."""

    def __init__(self, pieces: AsyncIterator[bytes], loop: asyncio.AbstractEventLoop) -> None:
        self._coming = pieces
        self._loop = loop

    def pieces(self) -> Iterator[bytes]:
        """All of it.

        Raises UnreachableError where no more comes: who sends it is gone, may not go on, or has stalled.
        """
        while piece := self._next():
            yield piece

    def _next(self) -> bytes:
        try:
            return asyncio.run_coroutine_threadsafe(self._come(), self._loop).result(2 * STALL)
        except (TimeoutError, CancelledError) as error:
            raise _lost(f"for {STALL:g} seconds nothing came") from error
        except ClientDisconnect as error:
            raise _lost("it was cut short") from error

    async def _come(self) -> bytes:
        async with asyncio.timeout(STALL):
            return await anext(self._coming, b"")


async def _upload(request: Request) -> Upload:
    return Upload(request.stream(), asyncio.get_running_loop())


async def _size(request: Request) -> int:
    told = request.headers.get("content-length", "")
    if not told.isdecimal():
        raise InputError("how much is sent must be told before", cure="Send Content-Length.")
    return int(told)


Sent = Annotated[Upload, Depends(_upload)]
"""The body of a request."""

Size = Annotated[int, Depends(_size)]
"""How many bytes it has."""


def _lost(why: str) -> UnreachableError:
    return UnreachableError("what was sent did not come whole", why=why, cure="Send it again.")
