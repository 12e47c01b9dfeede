"""Processes under one virtual clock: each runs until it waits, and one seed decides who goes on.

A process is a greenlet: ordinary blocking code that gives up control only where it would wait. So a history
of hours takes milliseconds, and the same seed always lives the same one.
"""

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from greenlet import getcurrent, greenlet

START = 1_800_000_000.0


class ProcessKilled(BaseException):
    """The process ends here, as by kill -9."""


@dataclass(slots=True)
class Process:
    """One running command. `on_kill` takes from it what dies with a process, before anything is unwound.

    `stopped_until`: it does not go on before, as by SIGSTOP.
    """

    name: str
    on_kill: Callable[[], None]
    body: greenlet = field(init=False)
    is_over: bool = False
    is_killed: bool = False
    stopped_until: float = 0.0


@dataclass(slots=True)
class Engine:
    """What happens next, in order of time; what happens at one time, in an order that the seed draws."""

    random: Random
    time: float = START
    _agenda: list[tuple[float, float, int, Callable[[], None]]] = field(default_factory=list)
    _made: int = 0
    _running: list[Process] = field(default_factory=list)
    _hub: greenlet = field(default_factory=getcurrent)

    def at(self, delay: float, act: Callable[[], None]) -> None:
        """Let that happen, so many seconds from now."""
        self._made += 1
        heapq.heappush(self._agenda, (self.time + delay, self.random.random(), self._made, act))

    def spawn(self, name: str, run: Callable[[], None], on_kill: Callable[[], None]) -> Process:
        """A process that begins now."""
        process = Process(name, on_kill)

        def live() -> None:
            try:
                run()
            except ProcessKilled:
                pass
            finally:
                process.is_over = True

        process.body = greenlet(live)
        self.at(0.0, lambda: self._resume(process))
        return process

    def sleep(self, seconds: float) -> None:
        """The process that calls this goes on so many seconds later."""
        process = self._current()
        self.at(seconds, lambda: self._resume(process))
        self._hub.switch()

    def kill_current(self) -> None:
        """End the process that calls this. Raises ProcessKilled in it, when nothing of it works any more."""
        process = self._current()
        process.is_killed = True
        process.on_kill()
        raise ProcessKilled

    @property
    def is_in_a_process(self) -> bool:
        """Is it a process that runs now, and one that can still die?"""
        return bool(self._running) and not self._running[-1].is_killed

    def stop_current(self, seconds: float) -> None:
        """The process that calls this does not go on before so many seconds have passed."""
        process = self._current()
        process.stopped_until = self.time + seconds
        self.sleep(seconds)

    def run(self, seconds: float) -> None:
        """Let that much time pass, and what belongs into it happen."""
        until = self.time + seconds
        while self._agenda and self._agenda[0][0] <= until:
            at, _, _, act = heapq.heappop(self._agenda)
            self.time = max(self.time, at)
            act()
        self.time = max(self.time, until)

    def run_to_end_of(self, process: Process, *, limit: float) -> bool:
        """Let time pass until the process is over; False if that takes longer than `limit` seconds."""
        until = self.time + limit
        while not process.is_over and self._agenda and self._agenda[0][0] <= until:
            at, _, _, act = heapq.heappop(self._agenda)
            self.time = max(self.time, at)
            act()
        return process.is_over

    def _resume(self, process: Process) -> None:
        if process.is_over:
            return
        if process.stopped_until > self.time:
            self.at(process.stopped_until - self.time, lambda: self._resume(process))
            return
        self._running.append(process)
        try:
            process.body.switch()
        finally:
            self._running.pop()

    def _current(self) -> Process:
        process = self._running[-1]
        assert process.body is getcurrent(), "only a process may wait"
        return process
