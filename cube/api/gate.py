"""The gate before every route: the host that is meant, the page that asks, the token that is shown."""

import asyncio
import math
import time
from collections.abc import Callable, Sequence
from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.requests import cookie_parser
from starlette.types import ASGIApp, Receive, Scope, Send

from cube.api.access import ACTING, READING, Caller, role_for
from cube.api.admitted import Admitted, IsGood
from cube.api.failures import Failures
from cube.api.health import PATH as HEALTH
from cube.api.page.sign_in import COOKIE, is_open
from cube.api.problem import told
from cube.errors import CubeError
from cube.model.token import Role, Token

KEPT = 1.0
"""Seconds for which the tokens are taken as they were."""

Refusal = tuple[CubeError, HTTPStatus, dict[str, str]]
"""Why, and the status and the headers that it is told with."""

OPEN = Caller(name="anybody", role=Role.ADMIN)
"""Who asks where no token is needed."""


class Gate:
    """An ASGI application around another: what it does not let in, that never sees.

    `hosts` are the names that the manager is called by. `tokens` tells all that there are; None: nobody
    needs one. `record` is told who showed a wrong one, and what that comes to.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        hosts: Sequence[str],
        tokens: Callable[[], Sequence[Token]] | None,
        record: Callable[[str, str], None],
    ) -> None:
        self._app = app
        self._hosts = frozenset(name.lower() for name in hosts)
        self._tokens = tokens
        self._known: Sequence[Token] = ()
        self._read_at = -math.inf
        self._asking = asyncio.Lock()
        self._record = record
        self._failures = Failures()
        self._admitted = Admitted(self._good_now)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the request in, or answer it here."""
        if scope["type"] == "lifespan":
            async with self._admitted.watching():
                await self._app(scope, receive, send)
            return
        refusal = await self._refuse(scope)
        if refusal is None:
            await self._admitted.answer(self._app, scope, receive, send, scope.get("token"))
        else:
            error, status, extra = refusal
            await told(scope["path"], error, status, extra)(scope, receive, send)

    def leave(self) -> None:
        """End what is still being answered: the manager leaves."""
        self._admitted.leave()

    async def _good_now(self) -> IsGood:
        tokens, now = frozenset(await self._tokens_now()), time.time()
        return lambda token: token is None or (token in tokens and now < token.expires_at)

    async def _refuse(self, scope: Scope) -> Refusal | None:
        headers = Headers(scope=scope)
        return self._refuse_place(headers) or await self._admit(scope, headers)

    def _refuse_place(self, headers: Headers) -> Refusal | None:
        """A name that leads here without being ours, or a page from elsewhere, is somebody's trick."""
        host = headers.get("host", "")
        if _name_of(host) not in self._hosts:
            cure = "Start the manager with --host NAME for each name that it is called by."
            return CubeError("this manager is not called so", why=host[:100], cure=cure), _MISDIRECTED, {}
        origin = headers.get("origin")
        if origin is not None and origin.partition("://")[2].lower() != host.lower():
            return CubeError("a page from elsewhere may not ask", why=origin[:100]), HTTPStatus.FORBIDDEN, {}
        return None

    async def _tokens_now(self) -> Sequence[Token]:
        """As they are in the store, which is asked again after a second: by then a revoked one is refused.

        Who comes while it is asked waits for the answer, too: what was known before may be nothing at all.
        """
        if self._tokens is None:
            return ()
        async with self._asking:
            began = time.monotonic()
            if began - self._read_at > KEPT:
                self._known = await asyncio.to_thread(self._tokens)
                self._read_at = began
        return self._known

    async def _admit(self, scope: Scope, headers: Headers) -> Refusal | None:
        if self._tokens is None or scope["path"] == HEALTH or is_open(scope["path"]):
            scope["caller"] = OPEN
            return None
        if (theft := _refuse_borrowed(scope, headers)) is not None:
            return theft
        token = _shown(headers, await self._tokens_now())
        if token is None:
            address = (scope.get("client") or ("",))[0]
            if not _shows_one(headers):
                return _NEEDED
            return await self._refuse_wrong(address) or _BAD
        caller = Caller(name=f"token {token.name}", role=token.role)
        needed = role_for(scope.get("method", "GET"), scope["path"])
        if not caller.role.may(needed):
            why = f"the role {needed} is needed, and {caller.name} has {caller.role}"
            return CubeError("this token may not do that", why=why), HTTPStatus.FORBIDDEN, {}
        scope["caller"], scope["token"] = caller, token
        return None

    async def _refuse_wrong(self, address: str) -> Refusal | None:
        """A good token is never kept waiting for what others from its address have tried."""
        now = time.monotonic()
        if (wait := self._failures.wait_of(address, now)) > 0:
            text = CubeError("too many wrong tokens came from this address", cure=f"Wait {wait} seconds.")
            return text, HTTPStatus.TOO_MANY_REQUESTS, {"Retry-After": str(wait)}
        if told := self._failures.note(address, now):
            await asyncio.to_thread(self._record, f"somebody at {address}", told)
        return None


_MISDIRECTED = HTTPStatus.MISDIRECTED_REQUEST
_NEEDED = (
    CubeError("a token is needed", cure="Make one: cube token create NAME --role read"),
    HTTPStatus.UNAUTHORIZED,
    {"WWW-Authenticate": "Bearer"},
)

_BAD = (
    CubeError(
        "this token is not good",
        why="it is wrong, or it has expired, or it was revoked",
        cure="See which there are: cube token ls; make one: cube token create NAME --role read",
    ),
    HTTPStatus.UNAUTHORIZED,
    {"WWW-Authenticate": 'Bearer error="invalid_token"'},
)


def _shown(headers: Headers, tokens: Sequence[Token]) -> Token | None:
    """The token that is shown, if it is one, and good."""
    kind, _, secret = headers.get("authorization", "").partition(" ")
    if not kind:
        secret = _in_cookie(headers)
    elif kind.lower() != "bearer":
        return None
    now = time.time()
    return next((token for token in tokens if token.admits(secret.strip(), now)), None)


def _shows_one(headers: Headers) -> bool:
    return bool(headers.get("authorization") or _in_cookie(headers))


def _in_cookie(headers: Headers) -> str:
    """The token that a browser keeps."""
    return cookie_parser(headers.get("cookie", "")).get(COOKIE, "")


def _refuse_borrowed(scope: Scope, headers: Headers) -> Refusal | None:
    """A browser sends its cookie whoever asks: what changes something must say which page asks."""
    is_safe = scope.get("method") in READING and not scope["path"].endswith(ACTING)
    if is_safe or "authorization" in headers or "origin" in headers or not _in_cookie(headers):
        return None
    cure = "Send the token as Authorization: Bearer."
    return CubeError("a cookie alone changes nothing", cure=cure), HTTPStatus.FORBIDDEN, {}


def _name_of(host: str) -> str:
    """The name of `name:port`; an IPv6 address keeps its brackets."""
    name = host.lower()
    return name.partition("]")[0] + "]" if name.startswith("[") else name.partition(":")[0]
