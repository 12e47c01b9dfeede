"""Operations: what a service was asked to do, each in a thread of its own, and how it goes."""

import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from cube.errors import CubeError, InternalError
from cube.manager.manager import Manager
from cube.manager.report import Report, Step
from cube.manager.service import Service
from cube.manager.turn import Run

KEPT = 500
"""Operations that are remembered after their end."""

Ask = Callable[[Manager, Run], Any]
"""What is asked; it answers a report, or nothing where nothing had to settle."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What somebody asks for: it may take `timeout` seconds, and waits `wait` of them for another Cube.

    `job` is what it is about; None: no single one. `key`: the same one again is the same request.
    """

    what: str
    actor: str
    timeout: float
    wait: float = 0.0
    job: str | None = None
    key: str | None = None


@dataclass(slots=True, kw_only=True)
class Operation:
    """One call: what it is, by whom, its steps so far, and how it ended. Times in seconds since the epoch."""

    id: str
    what: str
    actor: str
    began: float
    job: str | None = None
    ended: float | None = None
    steps: list[Step] = field(default_factory=list)
    report: Report | None = None
    error: CubeError | None = None
    changed: threading.Condition = field(default_factory=threading.Condition, repr=False)

    @property
    def exit_code(self) -> int | None:
        """What a command would end with; None: it goes on."""
        if self.error is not None:
            return self.error.exit_code
        if self.ended is None:
            return None
        return self.report.exit_code if self.report else 0

    def wait(self, seconds: float, *, beyond: int | None = None) -> None:
        """Until it has ended, or has more steps than `beyond`, but no longer than that."""
        with self.changed:
            self.changed.wait_for(
                lambda: self.ended is not None or (beyond is not None and len(self.steps) > beyond), seconds
            )


class Operations:
    """Every call to one service. Safe to share between threads."""

    def __init__(self, service: Service, manager: Manager) -> None:
        self._service = service
        self._manager = manager
        self._alone = threading.Lock()
        self._all: dict[str, Operation] = {}
        self._keys: dict[tuple[str, str], str] = {}

    def begin(self, request: Request, ask: Ask) -> Operation:
        """Do it. With a key that the same actor has used before it is the operation of then."""
        mark = (request.actor, request.key or "")
        with self._alone:
            known = self._all.get(self._keys.get(mark, ""))
            if known is not None:
                return known
            made = Operation(
                id=str(uuid.uuid4()),
                what=request.what,
                actor=request.actor,
                began=time.time(),
                job=request.job,
            )
            self._all[made.id] = made
            if request.key:
                self._keys[mark] = made.id
            self._forget_old()
        threading.Thread(
            target=self._do, args=(made, ask, request), name="cube-operation", daemon=True
        ).start()
        return made

    def get(self, identity: str) -> Operation | None:
        """The operation with that id."""
        return self._all.get(identity)

    def all(self) -> tuple[Operation, ...]:
        """Those that are remembered, the oldest first."""
        with self._alone:
            return tuple(self._all.values())

    def _do(self, made: Operation, ask: Ask, request: Request) -> None:
        def tell(step: Step) -> None:
            with made.changed:
                made.steps.append(step)
                made.changed.notify_all()

        answer: Any = None
        error: CubeError | None = None
        try:
            with self._service.holding.held(wait=request.wait):
                answer = ask(
                    self._manager, Run(until=time.time() + request.timeout, actor=made.actor, tell=tell)
                )
        except CubeError as failure:
            error = failure
        except Exception as bug:  # noqa: BLE001 - whoever waits for it is told
            error = InternalError(f"this is a bug in Cube: {bug!r}")
        with made.changed:
            made.report = answer if isinstance(answer, Report) else None
            made.error, made.ended = error, time.time()
            made.changed.notify_all()

    def _forget_old(self) -> None:
        over = [found.id for found in self._all.values() if found.ended is not None]
        for identity in over[: max(len(self._all) - KEPT, 0)]:
            del self._all[identity]
        self._keys = {key: identity for key, identity in self._keys.items() if identity in self._all}
