"""Images of a caller's engine, lent over a websocket: the manager has them as long as that is open."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager, suppress
from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, Response, WebSocket, WebSocketDisconnect
from starlette.requests import ClientDisconnect

from cube.api.desk import AtDesk, Desk
from cube.api.problem import problem_of, response_of, responses, status_of
from cube.api.pushing import Incoming, bounded, first_of, say
from cube.api.schema import Described, Lending
from cube.api.upload import Upload
from cube.errors import CubeError, InputError
from cube.image.recipe import Recipe
from cube.manager.loans import Loan
from cube.volume.tree import unpacked

router = APIRouter(tags=["nodes"])

AHEAD = 4
"""Messages that are taken before they are needed."""


@router.get("/images/lend", status_code=426, responses=responses(426))
def explain() -> Response:
    """Lend images of one's own engine: this is where a websocket is opened.

    As long as it is open the manager has them as if they were its own engine's: a job that is deployed
    meanwhile means these by its names, and nodes that lack them are pushed them. It is first sent a text:
    `{"images": [{"name": "web:7", "id": "sha256:...", "layers": ["sha256:..."],
    "created": "...", "config": {}}]}`, and answers `{"lent": true}`. To `{"wants": "web:7"}` is sent what
    `docker save` gives as gzip, in binary messages, then the text `{"end": true}`. What cannot be lent is
    answered with a problem document.
    """
    error = InputError("this is a websocket", where="/api/v1/images/lend")
    return response_of(error, HTTPStatus.UPGRADE_REQUIRED, {"Upgrade": "websocket"})


@router.websocket("/images/lend")
async def lend(socket: WebSocket, desk: AtDesk) -> None:
    """As above."""
    try:
        with desk.lenders:
            await socket.accept()
            with suppress(WebSocketDisconnect, RuntimeError):  # who has left is told nothing
                await socket.send_json(await _lent(socket, desk))
                await socket.close()
    except CubeError as error:
        await socket.send_denial_response(response_of(error, status_of(error)))


async def _lent(socket: WebSocket, desk: Desk) -> Any:
    """Lend what is offered until the caller leaves; the last word."""
    try:
        offered = await first_of(socket, Lending)
        lender = Lender(socket, offered.images)
        with desk.service.loans.lent(Loan(images=lender.stock, source=lender)):
            await lender.listen()
    except CubeError as error:
        return problem_of(error).model_dump()
    return {"end": True}


class Lender:
    """Who lends images, for the threads that bring them to nodes: an engine that has these alone."""

    def __init__(self, socket: WebSocket, images: Sequence[Described]) -> None:
        self.stock = {each.name: each.id for each in images}
        self._recipes = {each.name: each.recipe for each in images}
        self._socket = socket
        self._loop = asyncio.get_running_loop()
        self._one_at_a_time = threading.Lock()
        self._coming: asyncio.Queue[bytes | None] = asyncio.Queue(AHEAD)
        self._over = asyncio.Event()

    def needed(self, name: str) -> Recipe:
        """The image of that name."""
        return self._recipes[name]

    @contextmanager
    def saved(self, name: str) -> Iterator[Incoming]:
        """Its bytes, which are wanted now. Where they do not come whole nothing more is lent.

        Raises UnreachableError then.
        """
        with self._one_at_a_time:
            try:
                say(self._socket, self._loop, {"wants": name})
                pieces = bounded(unpacked(Upload(self._bytes(), self._loop).pieces()))
                yield Incoming(pieces)
                for _ in pieces:
                    pass  # to the word that ends it: what comes next is another image
            except BaseException:
                self._loop.call_soon_threadsafe(self._over.set)
                raise

    async def listen(self) -> None:
        """Take what the caller sends, until they leave or there is no use in more."""
        await self._socket.send_json({"lent": True})
        tasks = [asyncio.ensure_future(each) for each in (self._hear(), self._over.wait())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()

    async def _hear(self) -> None:
        while (message := await self._socket.receive())["type"] != "websocket.disconnect":
            if not self._one_at_a_time.locked():
                return  # nobody has asked for it
            is_end = message.get("text") is not None
            if is_end or message["bytes"]:
                await self._coming.put(b"" if is_end else message["bytes"])
        await self._coming.put(None)

    async def _bytes(self) -> AsyncIterator[bytes]:
        while piece := await self._coming.get():
            yield piece
        if piece is None:
            raise ClientDisconnect
