"""Requests that are being answered: each as long as its token is good, and the manager stays."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from http import HTTPStatus

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cube.api.problem import told
from cube.errors import CubeError, UnreachableError
from cube.model.token import Token

PAUSE = 1.0
"""Seconds between two looks at whether tokens are still good."""

VIOLATED, LEAVING = 1008, 1001
"""What RFC 6455 has a websocket closed with that may not go on, and one whose server goes away."""

IsGood = Callable[[Token | None], bool]


class Admitted:
    """Every request that is being answered, and the token that it showed; None: it needed none.

    `now` tells which tokens are good. Where that cannot be told everybody stays until it can.
    """

    def __init__(self, now: Callable[[], Awaitable[IsGood]]) -> None:
        self._now = now
        self._open: dict[asyncio.Timeout, Token | None] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_leaving = False

    async def answer(
        self, app: ASGIApp, scope: Scope, receive: Receive, send: Send, token: Token | None
    ) -> None:
        """Let the application answer until it has, its token is no longer good, or the manager leaves."""
        sent = None

        async def noting(message: Message) -> None:
            nonlocal sent
            sent = message
            await send(message)

        limit = asyncio.timeout(None)
        try:
            async with limit:
                self._open[limit] = token
                await app(scope, receive, noting)
        except TimeoutError:
            if not limit.expired():
                raise
            with suppress(OSError, RuntimeError):  # it has just ended by itself
                await self._end(scope, receive, send, sent)
        finally:
            self._open.pop(limit, None)

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        """Answers end while the block runs, and not before."""
        self._loop = asyncio.get_running_loop()
        watching = asyncio.create_task(self._watch())
        try:
            yield
        finally:
            watching.cancel()

    def leave(self) -> None:
        """End every answer, from whatever thread: the manager leaves."""
        self._is_leaving = True
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._end_all_but, lambda _token: False)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(PAUSE)
            if self._open:
                with suppress(CubeError):
                    self._end_all_but(await self._now())

    def _end_all_but(self, is_good: IsGood) -> None:
        now = asyncio.get_running_loop().time()
        for limit, token in self._open.items():
            if not is_good(token) and not limit.expired():
                limit.reschedule(now)

    async def _end(self, scope: Scope, receive: Receive, send: Send, sent: Message | None) -> None:
        """A stream as if it had come to its end; who asks again is told why by the gate."""
        error, status, code = _GONE if self._is_leaving else _BAD
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": code, "reason": error.what})
        elif sent is None:
            await told(scope["path"], error, status)(scope, receive, send)
        else:
            await send({"type": "http.response.body", "body": b"", "more_body": False})


_BAD = (
    CubeError("this token is no longer good", cure="Show another one."),
    HTTPStatus.UNAUTHORIZED,
    VIOLATED,
)
_GONE = (UnreachableError("the manager ends"), HTTPStatus.SERVICE_UNAVAILABLE, LEAVING)
