"""The application: every route, under the gate."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

from fastapi import Depends, FastAPI

from cube import __version__
from cube.api import (
    book,
    events,
    execution,
    health,
    jobs,
    lending,
    metrics,
    moves,
    nodes,
    problem,
    pushing,
    record,
    storage,
    tasks,
    tokens,
)
from cube.api.around import Around, refuse_large
from cube.api.desk import Desk
from cube.api.examples import with_examples
from cube.api.gate import Gate
from cube.api.page import routes as page
from cube.errors import CubeError
from cube.model.token import Token

ABOUT = (
    "One cluster's manager. What changes something answers 202 and an operation, which says how it goes. "
    "A path is as it is written here: with another slash at its end it is 404. "
    "Other methods than those of a path are answered 405, and `Allow` names them."
)

MOST = 8 << 20
"""Bytes that a request may bring; a form of the page is far smaller, and has a limit of its own."""


class Described(FastAPI):
    """An application whose description has examples and HEAD, and says what needs a token."""

    def openapi(self) -> dict[str, Any]:
        """The OpenAPI document."""
        document = with_examples(super().openapi())
        document["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        document["security"] = [{"token": []}]
        document["paths"][health.PATH]["get"]["security"] = []
        for methods in document["paths"].values():
            if "get" in methods:
                methods["head"] = _head_of(methods["get"])
        return document


def _head_of(get: dict[str, Any]) -> dict[str, Any]:
    """As GET, but for the body of each answer."""
    answers = {status: {"description": found["description"]} for status, found in get["responses"].items()}
    return {**get, "operationId": f"{get['operationId']}_head", "responses": answers}


def make_app(desk: Desk) -> FastAPI:
    """Every route, open to all who reach it."""

    @asynccontextmanager
    async def listening(_app: FastAPI) -> AsyncIterator[None]:
        asking = asyncio.create_task(desk.feed.run())
        yield
        asking.cancel()

    app = Described(
        title="Cube", version=__version__, description=ABOUT, lifespan=listening,
        openapi_url="/api/v1/openapi.json", docs_url=None, redoc_url=None, max_body_size=MOST,
        redirect_slashes=False, dependencies=[Depends(refuse_large)],
    )  # fmt: skip
    app.state.desk = desk
    for router in (
        jobs.router,
        tasks.router,
        execution.router,
        nodes.router,
        moves.router,
        storage.router,
        storage.uploads,
        pushing.router,
        lending.router,
        events.router,
        tokens.router,
        record.router,
    ):
        app.include_router(router, prefix="/api/v1")
    app.include_router(book.router)
    app.include_router(metrics.router)
    app.include_router(health.router)
    page.install(app)
    problem.install(app)
    return app


def guarded(desk: Desk, *, hosts: Sequence[str], tokens: Callable[[], Sequence[Token]] | None) -> Gate:
    """The application behind its gate."""

    def record(who: str, reason: str) -> None:
        with suppress(CubeError):  # it is refused all the same
            desk.manager.store.tell_of_node("", reason, now=time.time(), actor=who)

    return Gate(Around(make_app(desk)), hosts=hosts, tokens=tokens, record=record)
