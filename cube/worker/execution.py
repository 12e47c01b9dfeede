"""Running a command inside a container: the engine's exec, over a channel that becomes its stream."""

import json
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import BinaryIO

from cube.connection import Channel
from cube.worker.engine import EngineError, EngineSilentError, frames, get_json, post_json
from cube.worker.terminal import following_size, raw_terminal, sending

OpenChannel = Callable[[], Channel]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ends:
    """Where a command's input comes from and its output goes. `stdin` None: it gets none."""

    stdin: BinaryIO | None
    stdout: BinaryIO
    stderr: BinaryIO


def own_ends(*, interactive: bool) -> Ends:
    """Those of the process itself."""
    return Ends(
        stdin=sys.stdin.buffer if interactive else None, stdout=sys.stdout.buffer, stderr=sys.stderr.buffer
    )


def execute(open_channel: OpenChannel, container: str, argv: Sequence[str], *, ends: Ends, tty: bool) -> int:
    """Run the command in the container to its end; its exit status.

    With `tty` the command has a terminal and `ends.stdin` must be one. Raises EngineError where it cannot be
    started, EngineSilentError where the connection is lost, and OSError where an end takes no more of its
    output: the command may go on.
    """
    created = post_json(
        open_channel(),
        f"/containers/{container}/exec",
        {
            "Cmd": list(argv),
            "Tty": tty,
            "AttachStdin": ends.stdin is not None,
            "AttachStdout": True,
            "AttachStderr": True,
        },
    )
    path = f"/exec/{created['Id']}"
    channel = open_channel()
    try:
        _run(channel, path, ends=ends, tty=tty, open_channel=open_channel)
    finally:
        channel.close()
    return _exit_status(get_json(open_channel(), f"{path}/json"))


def _run(channel: Channel, path: str, *, ends: Ends, tty: bool, open_channel: OpenChannel) -> None:
    """Carry the bytes both ways until the command closes its output."""
    with _told_as_lost():
        rest = _hijack(channel, f"{path}/start", tty=tty)
    channel.expire_at(math.inf)  # the command may take as long as it takes
    with ExitStack() as stack:
        if ends.stdin is not None and tty:
            stack.enter_context(raw_terminal(ends.stdin))
            stack.enter_context(following_size(partial(_resize, open_channel, path)))
        if ends.stdin is not None:
            stack.enter_context(sending(ends.stdin, channel.sendall, channel.shutdown_write))
        for stream, data in _received(channel, rest, tty=tty):
            end = ends.stderr if stream == "stderr" else ends.stdout
            end.write(data)
            end.flush()


def _received(channel: Channel, rest: bytes, *, tty: bool) -> Iterator[tuple[str, bytes]]:
    """The output; its loss on the way here is told apart from what our own ends do to it."""
    with _told_as_lost():
        yield from _output(channel, rest, tty=tty)


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


def _resize(open_channel: OpenChannel, path: str, rows: int, columns: int) -> None:
    post_json(open_channel(), f"{path}/resize?h={rows}&w={columns}", {})


def _exit_status(state: dict[str, object]) -> int:
    if state.get("Running") or not isinstance(status := state.get("ExitCode"), int):
        raise EngineSilentError(
            "the command's output ended, and it did not", why="its exit status is unknown"
        )
    return status
