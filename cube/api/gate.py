"""The gate before every route: the host that is meant, the page that asks, the token that is shown."""

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.requests import cookie_parser
from starlette.types import ASGIApp, Receive, Scope, Send

from cube.api.access import ACTING, READING, Caller, role_for
from cube.api.page.sign_in import COOKIE, is_open
from cube.api.problem import told
from cube.errors import CubeError
from cube.model.token import Role, Token

FAILURES = 10
"""Wrong tokens from one address in a minute, before it has to wait."""

KEPT = 1.0
"""Seconds for which the tokens are taken as they were."""

MINUTE = 60.0
ADDRESSES = 4096
"""Addresses whose failures are remembered; more forget the oldest."""

OPEN = Caller(name="anybody", role=Role.ADMIN)
"""Who asks where no token is needed."""


class Gate:
    """An ASGI application around another: what it does not let in, that never sees.

    `hosts` are the names that the manager is called by. `tokens` tells all that there are; None: nobody
    needs one.
    """

    def __init__(
        self, app: ASGIApp, *, hosts: Sequence[str], tokens: Callable[[], Sequence[Token]] | None
    ) -> None:
        self._app = app
        self._hosts = frozenset(name.lower() for name in hosts)
        self._tokens = tokens
        self._known: Sequence[Token] = ()
        self._read_at = -math.inf
        self._failures: dict[str, deque[float]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the request in, or answer it here."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        refusal = self._refuse_place(headers) or self._admit(scope, headers, await self._tokens_now())
        if refusal is None:
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008, "reason": refusal[0].what})
        else:
            error, status, extra = refusal
            await told(scope["path"], error, status, extra)(scope, receive, send)

    def _refuse_place(self, headers: Headers) -> tuple[CubeError, HTTPStatus, dict[str, str]] | None:
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
        """As they are in the store, which is asked again after a second: by then a revoked one is refused."""
        if self._tokens is not None and time.monotonic() - self._read_at > KEPT:
            self._read_at = time.monotonic()
            self._known = await asyncio.to_thread(self._tokens)
        return self._known

    def _admit(
        self, scope: Scope, headers: Headers, tokens: Sequence[Token]
    ) -> tuple[CubeError, HTTPStatus, dict[str, str]] | None:
        if self._tokens is None or is_open(scope["path"]):
            scope["caller"] = OPEN
            return None
        if (theft := _refuse_borrowed(scope, headers)) is not None:
            return theft
        caller = _caller(headers, tokens)
        if caller is None:
            return self._refuse_token((scope.get("client") or ("",))[0])
        needed = role_for(scope.get("method", "GET"), scope["path"])
        if not caller.role.may(needed):
            why = f"the role {needed} is needed, and {caller.name} has {caller.role}"
            return CubeError("this token may not do that", why=why), HTTPStatus.FORBIDDEN, {}
        scope["caller"] = caller
        return None

    def _refuse_token(self, address: str) -> tuple[CubeError, HTTPStatus, dict[str, str]]:
        """A good token is never kept waiting for what others from its address have tried."""
        if (wait := self._must_wait(address)) > 0:
            text = CubeError("too many wrong tokens came from this address", cure=f"Wait {wait} seconds.")
            return text, HTTPStatus.TOO_MANY_REQUESTS, {"Retry-After": str(wait)}
        self._note_failure(address)
        text = CubeError("a token is needed", cure="Make one: cube token create NAME --role read")
        return text, HTTPStatus.UNAUTHORIZED, {"WWW-Authenticate": "Bearer"}

    def _must_wait(self, address: str) -> int:
        failures = self._failures.get(address, deque())
        if len(failures) < FAILURES:
            return 0
        return max(math.ceil(failures[0] + MINUTE - time.monotonic()), 0)

    def _note_failure(self, address: str) -> None:
        if address not in self._failures and len(self._failures) >= ADDRESSES:
            del self._failures[next(iter(self._failures))]
        self._failures.setdefault(address, deque(maxlen=FAILURES)).append(time.monotonic())


_MISDIRECTED = HTTPStatus.MISDIRECTED_REQUEST


def _caller(headers: Headers, tokens: Sequence[Token]) -> Caller | None:
    kind, _, secret = headers.get("authorization", "").partition(" ")
    if not kind:
        secret = _in_cookie(headers)
    elif kind.lower() != "bearer":
        return None
    now = time.time()
    found = next((token for token in tokens if token.admits(secret.strip(), now)), None)
    return Caller(name=f"token {found.name}", role=found.role) if found else None


def _in_cookie(headers: Headers) -> str:
    """The token that a browser keeps."""
    return cookie_parser(headers.get("cookie", "")).get(COOKIE, "")


def _refuse_borrowed(scope: Scope, headers: Headers) -> tuple[CubeError, HTTPStatus, dict[str, str]] | None:
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
