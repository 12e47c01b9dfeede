"""A byte stream through the connection, in the shape of a socket, for the engine's API and health checks."""

import io
import socket
from collections.abc import Callable
from contextlib import AbstractContextManager
from time import monotonic
from typing import Any

from cube.connection.failure import ConnectionFailed
from cube.connection.opening import end_input
from cube.model.observation import Cause

Bounded = Callable[[str, float], AbstractContextManager[Any]]
"""`bounded(what, deadline)`: the block ends by the deadline, or the connection does."""


class Channel:
    """Serves http.client and urllib3 as a socket would, but a lost connection is never the end of data.

    Every call ends by the channel's deadline with TimeoutError; `settimeout` shortens single calls.
    A lost connection raises ConnectionFailed.
    """

    def __init__(
        self,
        under: Any,
        *,
        name: str,
        deadline: float,
        bounded: Bounded,
        on_close: Callable[[], None] | None = None,
    ) -> None:
        self._under = under
        self._name = name
        self._deadline = deadline
        self._bounded = bounded
        self._timeout: float | None = None
        self._readers = 0
        self._closed = False
        self._is_cut = False
        self._on_close = on_close

    def expire_at(self, deadline: float) -> None:
        """Another deadline for the calls to come; `math.inf` for a stream that is followed without end."""
        self._deadline = deadline

    def settimeout(self, seconds: float | None) -> None:
        """At most that long for each single call, within the channel's deadline."""
        self._timeout = seconds

    def recv(self, size: int) -> bytes:
        """Up to `size` bytes; b"" where the far side has ended the stream, and only there."""
        self._under.settimeout(self._patience())
        data: bytes = self._under.recv(size)
        # Of a stream that was cut the far side may still send a proper end, in its own time.
        if self._is_cut or not (data or self._under.eof_received):
            raise ConnectionFailed(Cause.LOST, where=self._name)
        return data

    def recv_into(self, buffer: Any) -> int:
        """As `recv`, into a buffer; returns how many bytes."""
        view = memoryview(buffer).cast("B")
        data = self.recv(len(view))
        view[: len(data)] = data
        return len(data)

    def sendall(self, data: bytes) -> None:
        """Writes all of it."""
        patience = self._patience()
        self._under.settimeout(patience)
        # The patience is for the far side's window; a stuck socket under it is the watchdog's.
        with self._bounded("write", self._deadline if patience is None else monotonic() + patience + 1):
            self._under.sendall(data)

    def shutdown_write(self) -> None:
        """Tells the far side that no more will be written; what it writes is read as before."""
        end_input(self._under)

    def makefile(self, mode: str, buffering: int = -1) -> io.BufferedReader:
        """A buffered reader; the channel stays open until both are closed, as with a socket."""
        assert mode in ("r", "rb")
        self._readers += 1
        raw = socket.SocketIO(self, "r")  # type: ignore[arg-type]
        return io.BufferedReader(raw, io.DEFAULT_BUFFER_SIZE if buffering <= 0 else buffering)

    def close(self) -> None:
        """Frees the channel once no reader is left."""
        self._closed = True
        if self._readers <= 0:
            self._free()

    def cut(self) -> None:
        """End it under those who read, in whatever thread: they hear that it is lost, and free it."""
        self._is_cut = True
        self._under.close()

    def _decref_socketios(self) -> None:
        """What SocketIO calls when a reader is closed."""
        self._readers -= 1
        if self._closed:
            self.close()

    def _free(self) -> None:
        self._under.close()
        on_close, self._on_close = self._on_close, None
        if on_close is not None:
            on_close()

    def _patience(self) -> float | None:
        """Seconds that the next call may take, None for no limit."""
        left = self._deadline - monotonic()
        if left <= 0:
            raise TimeoutError("the deadline has passed")
        patience = left if self._timeout is None else min(left, self._timeout)
        return None if patience == float("inf") else patience
