"""The application: every route, under the gate."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

from fastapi import FastAPI
from starlette.types import ASGIApp

from cube import __version__
from cube.api import book, events, execution, jobs, metrics, moves, nodes, problem, record, tasks, tokens
from cube.api.desk import Desk
from cube.api.examples import with_examples
from cube.api.gate import Gate
from cube.api.page import routes as page
from cube.errors import CubeError
from cube.model.token import Token

ABOUT = "One cluster's manager. What changes something answers 202 and an operation, which says how it goes."


class Described(FastAPI):
    """An application whose description has examples."""

    def openapi(self) -> dict[str, Any]:
        """The OpenAPI document."""
        return with_examples(super().openapi())


def make_app(desk: Desk) -> FastAPI:
    """Every route, open to all who reach it."""

    @asynccontextmanager
    async def listening(_app: FastAPI) -> AsyncIterator[None]:
        asking = asyncio.create_task(desk.feed.run())
        yield
        asking.cancel()

    app = Described(
        title="Cube", version=__version__, description=ABOUT, lifespan=listening,
        openapi_url="/api/v1/openapi.json", docs_url=None, redoc_url=None,
    )  # fmt: skip
    app.state.desk = desk
    for router in (
        jobs.router,
        tasks.router,
        nodes.router,
        moves.router,
        events.router,
        tokens.router,
        record.router,
    ):
        app.include_router(router, prefix="/api/v1")
    app.include_router(book.router)
    app.include_router(metrics.router)
    execution.install(app)
    page.install(app)
    problem.install(app)
    return app


def guarded(desk: Desk, *, hosts: Sequence[str], tokens: Callable[[], Sequence[Token]] | None) -> ASGIApp:
    """The application behind its gate."""

    def record(who: str, reason: str) -> None:
        with suppress(CubeError):  # it is refused all the same
            desk.manager.store.tell_of_node("", reason, now=time.time(), actor=who)

    return Gate(make_app(desk), hosts=hosts, tokens=tokens, record=record)
