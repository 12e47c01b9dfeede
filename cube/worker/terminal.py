"""A command inside a container, with the operator's own terminal or pipes at its ends."""

import os
import select
import signal
import sys
import termios
import threading
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO

Resize = Callable[[int, int], None]
"""Tells the far end how many rows and columns there are."""


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


@contextmanager
def raw_terminal(stdin: BinaryIO) -> Iterator[None]:
    """Every key goes to the far end, Ctrl-C too; the terminal is given back as it was."""
    before = termios.tcgetattr(stdin)
    tty.setraw(stdin.fileno(), termios.TCSADRAIN)  # what was typed ahead is not thrown away
    try:
        yield
    finally:
        termios.tcsetattr(stdin, termios.TCSADRAIN, before)


@contextmanager
def following_size(resize: Resize) -> Iterator[None]:
    """Calls `resize` now and whenever the window changes, never from within the signal's handler."""
    changed, ended = threading.Event(), threading.Event()

    def follow() -> None:
        while changed.wait() and not ended.is_set():
            changed.clear()
            size = os.get_terminal_size(sys.stdin.fileno())
            resize(size.lines, size.columns)

    before = signal.signal(signal.SIGWINCH, lambda _signal, _frame: changed.set())
    changed.set()
    follower = threading.Thread(target=follow, daemon=True, name="terminal-size")
    follower.start()
    try:
        yield
    finally:
        signal.signal(signal.SIGWINCH, before)
        ended.set()
        changed.set()
        follower.join(timeout=1)


@contextmanager
def sending(stdin: BinaryIO, send: Callable[[bytes], object], end: Callable[[], object]) -> Iterator[None]:
    """Sends what comes in on stdin, and its end, for as long as the block runs."""
    wake_read, wake_write = os.pipe()

    source = stdin.fileno()

    def pump() -> None:
        while True:
            ready, _, _ = select.select([source, wake_read], [], [])
            if wake_read in ready:
                return
            data = os.read(source, 32768)
            if not data:
                end()
                return
            send(data)

    pumping = threading.Thread(target=pump, daemon=True, name="terminal-input")
    pumping.start()
    try:
        yield
    finally:
        os.close(wake_write)
        pumping.join(timeout=1)
        os.close(wake_read)
