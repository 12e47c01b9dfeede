"""One command on a node: both streams read together, capped, and an exit status that is never made up."""

import threading
from dataclasses import dataclass, replace
from typing import Any

from cube.connection.failure import ConnectionFailed
from cube.connection.script import after_mark
from cube.model.observation import Cause

OUTPUT_CAP = 1024 * 1024
"""Bytes kept of each stream; what comes after is read and dropped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """How a command ended. `truncated`: a stream was longer than is kept."""

    exit_status: int
    stdout: bytes
    stderr: bytes
    truncated: bool = False


def collect(channel: Any, name: str) -> Answer:
    """Reads a running command to its end. The caller keeps the deadline.

    Raises ConnectionFailed(LOST) where the connection, or the command's shell, ended without a status:
    paramiko would answer -1 and empty output, which must never be read as "nothing there".
    """
    stdout, stderr = _drain(channel)
    channel.status_event.wait()
    if not channel.eof_received:
        raise ConnectionFailed(Cause.LOST, where=name)
    if channel.exit_status < 0:
        raise ConnectionFailed(Cause.LOST, where=name, what="the command ended without a status")
    return Answer(
        exit_status=channel.exit_status,
        stdout=bytes(stdout[:OUTPUT_CAP]),
        stderr=bytes(stderr[:OUTPUT_CAP]),
        truncated=max(len(stdout), len(stderr)) > OUTPUT_CAP,
    )


def unmarked(answer: Answer, mark: str, name: str) -> Answer:
    """What the script itself wrote, of all that came. Raises ConnectionFailed(STRANGE) where it never ran."""
    stdout = after_mark(answer.stdout, mark)
    if stdout is None:
        said = (answer.stdout or answer.stderr)[:200].decode("utf-8", "backslashreplace").strip()
        raise ConnectionFailed(
            Cause.STRANGE, where=name, what="the node does not run commands", why=f"it answers {said!r}"
        )
    return replace(answer, stdout=stdout, stderr=after_mark(answer.stderr, mark) or b"")


def _drain(channel: Any) -> tuple[bytearray, bytearray]:
    """Both streams to their end, a little more than the cap of each kept.

    One that is left unread fills its window of 2 MiB, and then neither moves.
    """
    more = threading.Event()
    sides = (
        (channel.in_buffer, channel.recv, bytearray()),
        (channel.in_stderr_buffer, channel.recv_stderr, bytearray()),
    )
    for buffer, _, _ in sides:
        buffer.set_event(more)
    while True:
        ended = channel.eof_received or channel.closed
        idle = True
        for buffer, recv, kept in sides:
            if buffer.read_ready():
                idle = False
                chunk = recv(65536)
                kept.extend(chunk[: OUTPUT_CAP + 1 - len(kept)])
        # Only reading clears the event: after a pass that read nothing, it still tells of what came since.
        if idle and ended:
            return sides[0][2], sides[1][2]
        if idle:
            more.wait()
