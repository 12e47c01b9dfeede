"""A command in a container that is reached through a manager's API."""

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection

from cube.remote.link import Link, raised

SILENCE = 3_600.0
"""Seconds without a byte either way after which the manager is to leave the command."""

STREAMS = {1: "stdout", 2: "stderr"}


class RemoteProcess:
    """The calls of `Process` over a websocket."""

    def __init__(self, link: Link, path: str, asked: Mapping[str, Any]) -> None:
        self._link = link
        self._opened = ExitStack()
        self._socket: ClientConnection = self._opened.enter_context(link.socket(path))
        self._end: Mapping[str, Any] = {}
        self._say(idle=SILENCE, **asked)

    def output(self) -> Iterator[tuple[str, bytes]]:
        """As Process."""
        with self._told_as_lost():
            while isinstance(message := self._socket.recv(), bytes):
                yield STREAMS[message[0]], message[1:]
            self._end = json.loads(message)

    def send(self, data: bytes) -> None:
        """As Process."""
        with self._told_as_lost():
            self._socket.send(data)

    def end_input(self) -> None:
        """As Process."""
        self._say(end=True)

    def resize(self, rows: int, columns: int) -> None:
        """As Process."""
        self._say(rows=rows, columns=columns)

    def exit_status(self) -> int:
        """As Process."""
        if "detail" in self._end:
            raise raised(self._end["detail"], int(self._end["exit_code"]), self._end)
        return int(self._end["exit_code"])

    def close(self) -> None:
        """As Process."""
        self._opened.close()

    def _say(self, **words: object) -> None:
        with self._told_as_lost():
            self._socket.send(json.dumps(words))

    @contextmanager
    def _told_as_lost(self) -> Iterator[None]:
        try:
            yield
        except (ConnectionClosed, OSError) as error:
            raise self._link.lost(str(error)) from error
