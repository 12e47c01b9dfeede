"""Running a command inside a container: the engine's exec, over a channel that becomes its stream."""

import json
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from cube.connection import Channel
from cube.worker.engine import EngineError, EngineSilentError, frames, get_json, post_json

OpenChannel = Callable[[], Channel]


class Execution:
    """A command that runs in a container. Its input and its output may be two threads' business.

    Every call raises EngineSilentError, or an OSError of the channel, where the connection is lost.
    """

    def __init__(
        self, channel: Channel, path: str, begun: bytes, *, tty: bool, open_channel: OpenChannel
    ) -> None:
        self._channel = channel
        self._path = path
        self._begun = begun
        self._tty = tty
        self._open_channel = open_channel

    def output(self) -> Iterator[tuple[str, bytes]]:
        """What it writes, each piece with its stream, until it closes its output."""
        with _told_as_lost():
            yield from _output(self._channel, self._begun, tty=self._tty)

    def send(self, data: bytes) -> None:
        """Let it read that."""
        self._channel.sendall(data)

    def end_input(self) -> None:
        """Let it read that there is no more."""
        self._channel.shutdown_write()

    def resize(self, rows: int, columns: int) -> None:
        """Its terminal has another size."""
        post_json(self._open_channel(), f"{self._path}/resize?h={rows}&w={columns}", {})

    def exit_status(self) -> int:
        """How it ended, once its output has. Raises EngineSilentError where that is not known."""
        return _exit_status(get_json(self._open_channel(), f"{self._path}/json"))

    def close(self) -> None:
        """Leave it; whoever waits for its output hears that it is lost. The command may go on."""
        self._channel.close()


def begin(
    open_channel: OpenChannel, container: str, argv: Sequence[str], *, tty: bool, has_input: bool
) -> Execution:
    """Run the command in the container, with `tty` at a terminal.

    Raises EngineError where it cannot be started, EngineSilentError where the connection is lost.
    """
    asked = {
        "Cmd": list(argv), "Tty": tty, "AttachStdin": has_input, "AttachStdout": True, "AttachStderr": True
    }  # fmt: skip
    path = f"/exec/{post_json(open_channel(), f'/containers/{container}/exec', asked)['Id']}"
    channel = open_channel()
    try:
        with _told_as_lost():
            begun = _hijack(channel, f"{path}/start", tty=tty)
    except BaseException:
        channel.close()
        raise
    channel.expire_at(math.inf)  # the command may take as long as it takes
    return Execution(channel, path, begun, tty=tty, open_channel=open_channel)


@contextmanager
def _told_as_lost() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise EngineSilentError("the connection to the command was lost", why=str(error)) from error


def _output(channel: Channel, rest: bytes, *, tty: bool) -> Iterator[tuple[str, bytes]]:
    """A terminal's output is one bare stream; without one it comes in frames."""
    if not tty:
        yield from frames(_exact_reader(channel, rest))
        return
    data = rest or channel.recv(32768)
    while data:
        yield "stdout", data
        data = channel.recv(32768)


def _exact_reader(channel: Channel, rest: bytes) -> Callable[[int], bytes]:
    """Reads exactly so many bytes, those already received first."""
    buffer = bytearray(rest)

    def read(count: int) -> bytes:
        while len(buffer) < count and (data := channel.recv(32768)):
            buffer.extend(data)
        piece = bytes(buffer[:count])
        del buffer[:count]
        return piece

    return read


def _hijack(channel: Channel, path: str, *, tty: bool) -> bytes:
    """Start the command; from then on the channel is its stream. What of it has already come is returned."""
    body = json.dumps({"Detach": False, "Tty": tty}).encode()
    channel.sendall(
        f"POST {path} HTTP/1.1\r\nHost: docker\r\nContent-Type: application/json\r\n"
        f"Connection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        + body
    )
    received = b""
    while b"\r\n\r\n" not in received:
        data = channel.recv(4096)
        if not data or len(received) > 65536:
            raise EngineSilentError("the engine did not start the command")
        received += data
    head, _, rest = received.partition(b"\r\n\r\n")
    status = head.split(b"\r\n")[0].split(b" ")[1:2]
    if status not in ([b"101"], [b"200"]):
        raise EngineError("the command cannot be started", why=rest.decode("utf-8", "replace").strip())
    return rest


def _exit_status(state: dict[str, object]) -> int:
    if state.get("Running") or not isinstance(status := state.get("ExitCode"), int):
        raise EngineSilentError(
            "the command's output ended, and it did not", why="its exit status is unknown"
        )
    return status
