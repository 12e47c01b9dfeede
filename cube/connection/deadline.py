"""Deadlines, and the watchdog that keeps them.

paramiko cannot promise that a call ends: on a silent peer `exec_command`, `open_session` and
`recv_exit_status` block for ever. What frees all of them is the socket's end, so the watchdog ends it.
"""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from time import monotonic
from typing import TypeVar

from cube.connection.failure import ConnectionFailed
from cube.errors import InternalError
from cube.model.observation import Cause

T = TypeVar("T")


def after(seconds: float) -> float:
    """The deadline that many seconds from now."""
    return monotonic() + seconds


def remaining(deadline: float) -> float:
    """Seconds left, never negative."""
    return max(0.0, deadline - monotonic())


def beside(call: Callable[[], T], deadline: float) -> T:
    """What `call` returns or raises; TimeoutError at the deadline, and then it is left behind in its thread.

    For what knows no deadline and cannot be ended: the resolver, an agent.
    """
    answer: Future[T] = Future()

    def run() -> None:
        try:
            answer.set_result(call())
        except Exception as error:  # noqa: BLE001 - it is raised again where it is awaited
            answer.set_exception(error)

    threading.Thread(target=run, name="cube-beside", daemon=True).start()
    return answer.result(remaining(deadline))


class Watch:
    """One call under a deadline; `expired` once the watchdog has ended it."""

    __slots__ = ("abort", "deadline", "expired")

    def __init__(self, abort: Callable[[], None], deadline: float) -> None:
        self.abort = abort
        self.deadline = deadline
        self.expired = False


class Watchdog:
    """Ends calls that outlive their deadline, from a thread that lives from the first watch to `close`.

    An `abort` must neither block nor wait for the call that it ends.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._watches: set[Watch] = set()
        self._wakes_at = float("inf")
        self._thread: threading.Thread | None = None
        self._closed = False

    @contextmanager
    def bound(self, abort: Callable[[], None], deadline: float, *, where: str, what: str) -> Iterator[None]:
        """The block ends by the deadline; if not, `abort` is called and ConnectionFailed(TIMEOUT) raised.

        A deadline that has passed already raises before anything is begun, and aborts nothing.
        """
        late = ConnectionFailed(Cause.TIMEOUT, where=where, what=f"{what} timed out")
        if not remaining(deadline):
            raise late
        watch = self._add(Watch(abort, deadline))
        try:
            yield
        except Exception as error:
            if watch.expired:
                raise late from error
            raise
        finally:
            with self._changed:
                self._watches.discard(watch)
        if watch.expired:
            raise late

    def close(self) -> None:
        """Ends the thread; calls still under watch are aborted at once."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join()

    def _add(self, watch: Watch) -> Watch:
        with self._changed:
            if self._closed:
                raise InternalError(
                    "a call without its watchdog", cure="close connections before their dialer"
                )
            self._watches.add(watch)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="cube-watchdog", daemon=True)
                self._thread.start()
            elif watch.deadline < self._wakes_at or self._closed:
                self._changed.notify()
        return watch

    def _run(self) -> None:
        closed = False
        while not closed:
            with self._changed:
                self._wakes_at = min((watch.deadline for watch in self._watches), default=float("inf"))
                if not self._closed and self._wakes_at > monotonic():
                    self._changed.wait(_bounded(remaining(self._wakes_at)))
                closed = self._closed
                overdue = [watch for watch in self._watches if closed or watch.deadline <= monotonic()]
                self._watches.difference_update(overdue)
                for watch in overdue:
                    watch.expired = True
            for watch in overdue:
                with suppress(Exception):  # whatever one abort raises, the others are still due
                    watch.abort()


def _bounded(seconds: float) -> float:
    return min(seconds, threading.TIMEOUT_MAX)
