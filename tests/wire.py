"""The far end of a channel, played by a test: an engine, or a task, that answers what it is told to."""

import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import urlsplit

from cube.connection import Channel, after

Routes = Mapping[str, tuple[int, bytes] | None]
"""The status and the body that each path is answered with; None: nothing, ever. An unknown path: 404."""


class _Stream:
    """A socket in the shape of what a Channel stands on."""

    def __init__(self, under: socket.socket) -> None:
        self._under = under
        self.eof_received = False

    def recv(self, size: int) -> bytes:
        # A channel of SSH that we have closed is ended by the far side too, which may do so properly.
        data = self._under.recv(size) if self._is_open() else b"0\r\n\r\n"
        self.eof_received = not data
        return data

    def settimeout(self, seconds: float | None) -> None:
        if self._is_open():
            self._under.settimeout(seconds)

    def _is_open(self) -> bool:
        return self._under.fileno() >= 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._under, name)


def channel_over(under: socket.socket, *, seconds: float = 5.0) -> Channel:
    """A channel over that socket."""
    deadline = after(seconds)
    return Channel(
        _Stream(under), name="n1", deadline=deadline, bounded=lambda _what, _deadline: nullcontext()
    )


@contextmanager
def answering(*answers: bytes) -> Iterator[Channel]:
    """A channel to somebody who gives these answers, one after each request, and hangs up."""
    ours, theirs = socket.socketpair()

    def serve() -> None:
        with theirs:
            for answer in answers:
                theirs.recv(65536)
                theirs.sendall(answer)

    serving = threading.Thread(target=serve)
    serving.start()
    try:
        yield channel_over(ours)
    finally:
        ours.close()
        serving.join()


def response(body: bytes, *, status: str = "200 OK", length: int | None = None) -> bytes:
    """An engine's answer."""
    head = f"HTTP/1.1 {status}\r\nServer: Docker/20.10.24 (linux)\r\nApi-Version: 1.41\r\n"
    return f"{head}Content-Length: {len(body) if length is None else length}\r\n\r\n".encode() + body


class Engine:
    """An engine that keeps connections alive, and may be told to hang on a path. `asked` are its requests."""

    def __init__(self, routes: Routes) -> None:
        self.routes = routes
        self.asked: list[str] = []
        self._ended = threading.Event()
        self._ends: list[socket.socket] = []

    def open_channel(self, _seconds: float = 0.0) -> Channel:
        ours, theirs = socket.socketpair()
        self._ends += [ours, theirs]
        threading.Thread(target=self._serve, args=(theirs,), daemon=True).start()
        return channel_over(ours)

    def close(self) -> None:
        self._ended.set()
        for end in self._ends:
            end.close()

    def _serve(self, theirs: socket.socket) -> None:
        engine = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                engine.asked.append(f"{self.command} {self.path}")
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                answer = engine.routes.get(urlsplit(self.path).path, (404, b'{"message": "no such thing"}'))
                if answer is None:
                    engine._ended.wait()
                    return
                self.send_response(answer[0])
                self.send_header("Content-Length", str(len(answer[1])))
                self.end_headers()
                self.wfile.write(answer[1])

            do_POST = do_GET  # noqa: N815 - the name that http.server asks for

            def log_message(self, *_: Any) -> None:
                pass

        try:
            Handler(theirs, ("", 0), None)  # type: ignore[arg-type] # it serves one connection, and no server
        except OSError:
            return
