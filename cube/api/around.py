"""Around every route, what HTTP asks of all of them: HEAD, and a body that is too large."""

from http import HTTPStatus

from starlette.exceptions import HTTPException
from starlette.middleware.body_limit import MAX_BODY_SIZE_SCOPE_KEY
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cube.api.problem import told
from cube.errors import InputError

TOO_LARGE = HTTPStatus.REQUEST_ENTITY_TOO_LARGE


async def refuse_large(connection: HTTPConnection) -> None:
    """Refuse a body that is told to be too large before anything is done, also where nobody reads it."""
    length = connection.headers.get("content-length", "")
    if length.isdecimal() and int(length) > connection.scope[MAX_BODY_SIZE_SCOPE_KEY]:
        raise HTTPException(TOO_LARGE)


class Around:
    """An ASGI application around another: it answers HEAD as GET without its body, and 413 in our words."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the application answer."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        is_over = False

        async def answer(message: Message) -> None:
            nonlocal is_over
            if is_over:
                return
            is_start = message["type"] == "http.response.start"
            if is_start and message["status"] == TOO_LARGE:
                is_over = True
                await told(scope["path"], InputError("content too large"), TOO_LARGE)(scope, receive, send)
            elif is_start and scope["method"] == "HEAD":
                is_over = True
                await send(message)
                await send({"type": "http.response.body"})
            else:
                await send(message)

        method = "GET" if scope["method"] == "HEAD" else scope["method"]
        await self._app({**scope, "method": method}, receive, answer)
