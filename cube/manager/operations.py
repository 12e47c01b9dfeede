"""Operations: what a service was asked to do, each in a thread of its own, and how it goes."""

import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from cube.errors import CubeError, InputError, bug
from cube.manager.manager import Manager
from cube.manager.report import Done, Remark, Report, Step, still_coming
from cube.manager.service import Service
from cube.manager.turn import Run
from cube.model.action import Plan
from cube.model.precondition import Precondition
from cube.model.transit import Transit

KEPT = 500
"""Operations that are remembered after their end."""

Ask = Callable[[Manager, Run], Any]
"""What is asked; it answers a report, or nothing where nothing had to settle."""

Check = Callable[[Manager], object]
"""What raises InputError for what cannot be asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What somebody asks for: it may take `timeout` seconds, and waits `wait` of them for another Cube.

    `job` is what it is about; None: no single one. `key`: the same one again is the same request, and
    `digest` is the same then. `given`: what must hold of the job where it is changed. `check` raises what
    can be said against it at once.
    """

    what: str
    actor: str
    timeout: float
    wait: float = 0.0
    job: str | None = None
    key: str | None = None
    digest: str = ""
    given: Precondition | None = None
    check: Check = lambda _manager: None


@dataclass(slots=True, kw_only=True)
class Operation:
    """One call: what it is, by whom, its steps so far, and how it ended. Times in seconds since the epoch.

    `coming` are the images that are under way to nodes, as they were told of last: of those no step is kept.
    Since `held` nobody else works on the fleet, since `recorded` what was asked for is what is wanted; None:
    not yet. `told` has the time of each step. `digest` as in its request.
    """

    id: str
    what: str
    actor: str
    began: float
    job: str | None = None
    digest: str = ""
    held: float | None = None
    recorded: float | None = None
    ended: float | None = None
    steps: list[Plan | Done | Remark] = field(default_factory=list)
    told: list[float] = field(default_factory=list)
    coming: tuple[Transit, ...] = ()
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

    def note(self, step: Step) -> None:
        """One more step, or how far an image is by now."""
        with self.changed:
            self.coming = still_coming(self.coming, step)
            if not isinstance(step, Transit):
                self.told.append(time.time())
                self.steps.append(step)
            self.changed.notify_all()

    def wait(self, seconds: float, *, beyond: int | None = None) -> None:
        """Until it has ended, or has more steps than `beyond`, but no longer than that."""
        with self.changed:
            self.changed.wait_for(
                lambda: self.ended is not None or (beyond is not None and len(self.steps) > beyond), seconds
            )

    def wait_recorded(self, seconds: float) -> None:
        """Until what was asked for is recorded, or it has ended, but no longer than that."""
        with self.changed:
            self.changed.wait_for(lambda: self.recorded is not None or self.ended is not None, seconds)


class Operations:
    """Every call to one service. Safe to share between threads."""

    def __init__(self, service: Service, manager: Manager) -> None:
        self._service = service
        self._manager = manager
        self._alone = threading.Lock()
        self._all: dict[str, Operation] = {}
        self._keys: dict[tuple[str, str], str] = {}

    def begin(self, request: Request, ask: Ask) -> Operation:
        """Do it. With a key that the same actor has used before it is the operation of then.

        Raises InputError for such a key with another request, and what the request's check raises;
        ChangedError where what is given does not hold.
        """
        mark = (request.actor, request.key or "")
        with self._alone:
            known = self._all.get(self._keys.get(mark, ""))
            if known is not None:
                _refuse_another(known, request)
                return known
            request.check(self._manager)
            self._refuse_changed(request)
            made = Operation(
                id=str(uuid.uuid4()),
                what=request.what,
                actor=request.actor,
                began=time.time(),
                job=request.job,
                digest=request.digest,
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

    def _refuse_changed(self, request: Request) -> None:
        """What holds now may not hold once it is recorded, where it is asked again."""
        if request.given is not None and request.job is not None:
            job = self._manager.store.job(request.job)
            request.given.refuse_other(request.job, job.version if job else None)

    def _do(self, made: Operation, ask: Ask, request: Request) -> None:
        def recorded() -> None:
            with made.changed:
                made.recorded = time.time()
                made.changed.notify_all()

        answer: Any = None
        error: CubeError | None = None
        try:
            with self._service.holding.held(wait=request.wait):
                made.held = time.time()
                run = Run(
                    until=time.time() + request.timeout,
                    actor=made.actor,
                    tell=made.note,
                    given=request.given,
                    recorded=recorded,
                )
                answer = ask(self._manager, run)
        except CubeError as failure:
            error = failure
        except Exception as unforeseen:  # noqa: BLE001 - whoever waits for it is told
            error = bug(unforeseen)
        with made.changed:
            made.report = answer if isinstance(answer, Report) else None
            made.error, made.ended = error, time.time()
            made.changed.notify_all()

    def _forget_old(self) -> None:
        over = [found.id for found in self._all.values() if found.ended is not None]
        for identity in over[: max(len(self._all) - KEPT, 0)]:
            del self._all[identity]
        self._keys = {key: identity for key, identity in self._keys.items() if identity in self._all}


def _refuse_another(known: Operation, request: Request) -> None:
    if known.digest != request.digest:
        what = f"the key {request.key!r} belongs to another request"
        raise InputError(what, why=f"that was: {known.what}", cure="Give each request a key of its own.")
