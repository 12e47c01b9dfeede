"""An image of a caller's engine to nodes, over a websocket: sent once, and only where one lacks it."""

import asyncio
import io
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import CancelledError, ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from functools import partial
from http import HTTPStatus
from typing import Any, cast

from fastapi import APIRouter, Response, WebSocket, WebSocketDisconnect
from starlette.requests import ClientDisconnect

from cube.api.desk import AtDesk, Desk, known_node
from cube.api.problem import problem_of, response_of, responses, status_of
from cube.api.schema import B, Offer, read_message
from cube.api.upload import STALL, Upload
from cube.errors import CubeError, InputError, UnreachableError
from cube.image.recipe import Recipe
from cube.image.shelf import Shelf
from cube.manager import images
from cube.manager.images import Pushed, Taker
from cube.model.codec import to_data
from cube.volume.tree import unpacked

router = APIRouter(tags=["nodes"])

MOST = 1 << 36
"""Bytes that an image may have: 64 GiB."""

OPENS = 20.0
"""Seconds in which the image must be named."""

SELDOM = 0.25
"""Seconds between two words about how far one node is."""


@router.get("/images/push", status_code=426, responses=responses(426))
def explain() -> Response:
    """Bring an image of one's own engine to nodes: this is where a websocket is opened.

    It is first sent a text: the image, as its engine describes it, and the nodes: `{"name": "web:7",
    "id": "sha256:...", "layers": ["sha256:..."], "created": "...", "config": {}, "nodes": ["node1"]}`. Where
    a node lacks it, `{"wants": true}` is answered once, and what `docker save` gives is sent as gzip, in
    binary messages, then the text `{"end": true}`. `{"node": "node1", "sent": 7, "size": 9}` says how far a
    node is, `{"node": "node1", "delivered": {...}, "error": null}` what came of it. The last message is
    `{"end": true}`, or a problem document.
    """
    error = InputError("this is a websocket", where="/api/v1/images/push")
    return response_of(error, HTTPStatus.UPGRADE_REQUIRED, {"Upgrade": "websocket"})


@router.websocket("/images/push")
async def push(socket: WebSocket, desk: AtDesk) -> None:
    """As above."""
    threads = ThreadPoolExecutor(max_workers=1, thread_name_prefix="cube-push")
    try:
        with desk.doors:
            await socket.accept()
            with suppress(WebSocketDisconnect, RuntimeError):  # who has left is told nothing
                await socket.send_json(await _answered(socket, desk, threads))
                await socket.close()
    except CubeError as error:
        await socket.send_denial_response(response_of(error, status_of(error)))
    finally:
        threads.shutdown(wait=False)


async def _answered(socket: WebSocket, desk: Desk, threads: ThreadPoolExecutor) -> Any:
    """Do what is asked; the last word."""
    try:
        offer = await first_of(socket, Offer)
        bring = partial(_bring, desk, offer, Caller(socket, offer))
        await asyncio.get_running_loop().run_in_executor(threads, bring)
    except CubeError as error:
        return problem_of(error).model_dump()
    return {"end": True}


async def first_of(socket: WebSocket, kind: type[B]) -> B:
    """What a websocket is sent first. Raises InputError where that does not come in time, or is another."""
    try:
        first = await asyncio.wait_for(socket.receive(), OPENS)
    except TimeoutError:
        raise InputError("no image was named", why=f"for {OPENS:g} seconds") from None
    return read_message(kind, first.get("text"))


def _bring(desk: Desk, offer: Offer, caller: "Caller") -> None:
    """Raises CubeError where nothing can be brought anywhere."""
    workers = {name: cast("Taker", desk.service.workers[known_node(desk, name).name]) for name in offer.nodes}
    with (
        Shelf(caller) as shelf,
        closing(images.push(workers, shelf.cargo(offer.name), caller.tell, _let_go_on)) as results,
    ):
        for pushed in results:
            caller.say(_data(pushed))


def _let_go_on(_worker: Taker) -> None:
    """The connection is the manager's, too: what is under way ends by itself."""


def _data(pushed: Pushed) -> dict[str, Any]:
    error = problem_of(pushed.error).model_dump() if pushed.error is not None else None
    return {"node": pushed.node, "delivered": to_data(pushed.delivered), "error": error}


class Caller:
    """Who offers an image, for the threads that bring it to nodes: an engine that has this one alone."""

    def __init__(self, socket: WebSocket, offer: Offer) -> None:
        self._socket = socket
        self._recipe = offer.recipe
        self._loop = asyncio.get_running_loop()
        self._told: dict[str, float] = {}

    def needed(self, _name: str) -> Recipe:
        """The image."""
        return self._recipe

    @contextmanager
    def saved(self, _name: str) -> Iterator[io.RawIOBase]:
        """Its bytes, which are wanted now. Raises UnreachableError where they do not come whole."""
        self.say({"wants": True})
        pieces = bounded(unpacked(Upload(self._bytes(), self._loop).pieces()))
        yield Incoming(pieces)
        for _ in pieces:
            pass  # what follows the archive's end: as long as it is not read no pulse comes through

    def tell(self, node: str, sent: int, size: int) -> None:
        """Say how far that node is, now and then."""
        now = time.monotonic()
        if sent == size or now - self._told.get(node, 0.0) >= SELDOM:
            self._told[node] = now
            self.say({"node": node, "sent": sent, "size": size})

    def say(self, data: Any) -> None:
        """Raises UnreachableError where nobody listens any more."""
        say(self._socket, self._loop, data)

    async def _bytes(self) -> AsyncIterator[bytes]:
        while (message := await self._socket.receive()).get("text") is None:
            if message["type"] == "websocket.disconnect":
                raise ClientDisconnect
            if message["bytes"]:
                yield message["bytes"]


def say(socket: WebSocket, loop: asyncio.AbstractEventLoop, data: Any) -> None:
    """From another thread than the loop's. Raises UnreachableError where nobody listens any more."""
    saying = asyncio.run_coroutine_threadsafe(socket.send_json(data), loop)
    try:
        saying.result(STALL)
    except (TimeoutError, CancelledError, RuntimeError, WebSocketDisconnect) as error:
        raise UnreachableError("who offered the image is gone") from error


def bounded(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The same. Raises InputError where they are more than are taken."""
    so_far = 0
    for piece in pieces:
        so_far += len(piece)
        if so_far > MOST:
            raise InputError("the image is too large", why=f"a manager takes {MOST >> 30} GiB")
        yield piece


class Incoming(io.RawIOBase):
    """Pieces as a file that is read once."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._rest = b""

    def read(self, size: int = -1) -> bytes:
        """So many bytes at most; none at the end."""
        while not self._rest:
            if (found := next(self._pieces, None)) is None:
                return b""
            self._rest = found
        taken, self._rest = self._rest[:size], self._rest[size:]
        return taken
