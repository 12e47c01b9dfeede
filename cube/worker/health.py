"""Asking the tasks themselves, each in its own way, through the node's SSH connection.

A task's port is asked at the container's own address, so nothing need be published to be checked.
"""

import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from http.client import HTTPConnection, HTTPException, HTTPResponse
from math import inf

from cube.connection import Channel, ChannelRefused, after
from cube.model.job import CheckKind, HealthCheck, TaskSpec
from cube.model.observation import Container, ContainerState
from cube.model.task import Health
from cube.worker import command
from cube.worker.engine import EngineError, EngineSilentError
from cube.worker.forward import Forward
from cube.worker.inspection import Inspected

MAX_BODY = 64 * 1024
PARALLEL = 4

MAX_TIMEOUT = 60.0
"""Seconds. The job file allows no more; but a check is read from a label, which anybody may have written."""

Life = tuple[str, str]
"""A container's id, and when its process began."""

HOLDS = 0.9
"""For how much of its interval a good answer holds: a look that comes a moment early asks, too."""

AGE = 3
"""Intervals after which the engine's word on a check is stale. After a restart of the engine under
live-restore it stops asking, and says for ever what it said last (moby#41871)."""

_PATH = re.compile(r"[!-~]+")
_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_VALUE = re.compile(r"[ -~\t]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """What a check is asked through.

    `forward` leads to ports, `open_engine` to the engine's socket; `clock` is the node's, at this look.
    """

    forward: Forward
    open_engine: Callable[[], Channel]
    clock: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One question to one container. `port` None: it has none of that name; `inspected` None: unknown."""

    container: Container
    how: HealthCheck
    port: int | None = None
    inspected: Inspected | None = None

    @property
    def life(self) -> Life:
        """The process that is asked: an answer says nothing of the next one in the same container."""
        return self.container.id, self.inspected.started_at if self.inspected is not None else ""

    @property
    def timeout(self) -> float:
        """Seconds in which the answer must be there."""
        return max(0.0, min(MAX_TIMEOUT, self.how.timeout))


def checks_of(
    containers: Iterable[Container], specs: Mapping[str, TaskSpec], inspected: Mapping[str, Inspected]
) -> Iterator[Check]:
    """The checks that the specs of the running containers ask for; one in quarantine is left in peace."""
    for container in containers:
        spec = specs.get(container.id)
        serves = container.state is ContainerState.RUNNING and not container.is_cut_off
        if serves and spec is not None and spec.health is not None:
            yield Check(
                container=container,
                how=spec.health,
                port=_port(spec, spec.health.port),
                inspected=inspected.get(container.id),
            )


def _port(spec: TaskSpec, name: str) -> int | None:
    ports = (port.container for port in spec.ports if port.name == name)
    return next((port for port in ports if 0 < port < 65536), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the task says of itself, and why it is not a good answer; UNCHECKED: it could not be asked."""

    health: Health
    why: str = ""


GOOD = Answer(health=Health.HEALTHY)
UNSEEN = "the engine did not tell enough of its container"


class Rounds:
    """Asks the tasks of one node, look by look: who has answered well only once its interval is over.

    Any other answer is asked for again at the next look: how soon a task is known to be up depends on it.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._well: Mapping[Life, float] = {}

    def with_health(
        self, containers: tuple[Container, ...], checks: Iterable[Check], reach: Reach
    ) -> tuple[Container, ...]:
        """The containers, with what their checks say. Raises ConnectionFailed where the node is lost."""
        now, checked = self._clock(), tuple(checks)
        well = {check.life: self._well[check.life] for check in checked if self._holds(check, now)}
        due = tuple(check for check in checked if check.life not in well)
        answers = dict(zip((check.container.id for check in due), _ask_each(due, reach), strict=True))
        self._well = well | {check.life: now for check in due if answers[check.container.id] is GOOD}
        found = {check.container.id: GOOD for check in checked} | answers
        return tuple(
            replace(container, health=answer.health, check=answer.why)
            if (answer := found.get(container.id))
            else container
            for container in containers
        )

    def _holds(self, check: Check, now: float) -> bool:
        """Its good answer is still young. The engine's own word costs nothing, and is taken at each look."""
        is_asked_anew = check.how.kind is CheckKind.IMAGE or check.inspected is None
        return not is_asked_anew and now - self._well.get(check.life, -inf) < HOLDS * check.how.interval


def _ask_each(checks: Sequence[Check], reach: Reach) -> Sequence[Answer]:
    if not checks:
        return ()
    with ThreadPoolExecutor(max_workers=min(PARALLEL, len(checks)), thread_name_prefix="health") as pool:
        return tuple(pool.map(lambda check: ask(check, reach), checks))


def ask(check: Check, reach: Reach) -> Answer:
    """What the task says of itself."""
    match check.how.kind:
        case CheckKind.HTTP | CheckKind.TCP:
            return _ask_port(check, reach.forward)
        case CheckKind.EXEC:
            return _ask_command(check, reach.open_engine)
        case CheckKind.IMAGE:
            return _ask_image(check, reach.clock)


def _bad(why: str) -> Answer:
    return Answer(health=Health.UNHEALTHY, why=why)


def _unasked(why: str) -> Answer:
    return Answer(health=Health.UNCHECKED, why=why)


def _ask_port(check: Check, forward: Forward) -> Answer:
    """HEALTHY where the port answers in time: a connection for TCP, an answer as wanted for HTTP."""
    if not check.container.address or check.port is None or not _can_be_sent(check.how):
        return _unasked("its container has no address or port that could be asked")
    deadline = after(check.timeout)
    try:
        channel = forward(check.container.address, check.port, check.timeout)
    except (ChannelRefused, TimeoutError) as error:
        return _unopened(error, check)
    try:
        channel.expire_at(deadline)
        return GOOD if check.how.kind is CheckKind.TCP else _http_answer(channel, check)
    except TimeoutError:
        return _bad(_too_late(check))
    except (OSError, EOFError, HTTPException) as error:
        return _bad(f"port {check.port} gave no answer of HTTP: {type(error).__name__}")
    finally:
        channel.close()


def _can_be_sent(how: HealthCheck) -> bool:
    """No part of the request can end it and begin another."""
    headers = all(_NAME.fullmatch(name) and _VALUE.fullmatch(value) for name, value in how.headers.items())
    return headers and _PATH.fullmatch(how.path) is not None


def _unopened(error: ChannelRefused | TimeoutError, check: Check) -> Answer:
    """A node that forbids the question has not answered it: nothing is known of the task then."""
    if isinstance(error, TimeoutError):
        return _bad(_too_late(check))
    if "prohibited" in error.why:
        return _unasked("the node's sshd forbids to ask it: AllowTcpForwarding")
    return _bad(f"port {check.port} accepts no connection")


def _too_late(check: Check) -> str:
    return f"port {check.port} gave no answer within {check.timeout:g}s"


def _http_answer(channel: Channel, check: Check) -> Answer:
    """A redirect is not followed: that it is given is answer enough."""
    connection = HTTPConnection(check.container.address, check.port)
    connection.auto_open = 0
    connection.sock = channel
    headers = {"User-Agent": "cube-health", **check.how.headers, "Connection": "close"}
    connection.request("GET", check.how.path, headers=headers)
    response = connection.getresponse()
    low, high = check.how.status
    if not low <= response.status <= high:
        wanted = f"{low}" if low == high else f"{low}-{high}"
        return _bad(f"GET {check.how.path}: status {response.status} in place of {wanted}")
    if not _occurs(check.how.body, response):
        return _bad(f"GET {check.how.path}: the answer does not contain {check.how.body!r}")
    return GOOD


def _occurs(text: str, response: HTTPResponse) -> bool:
    """Found as soon as it has come: an answer may go on for ever."""
    wanted, body = text.encode("utf-8", "replace"), b""
    while wanted not in body and (piece := response.read1(MAX_BODY - len(body))):
        body += piece
    return wanted in body


def _ask_command(check: Check, open_engine: Callable[[], Channel]) -> Answer:
    """HEALTHY where it ends with 0 in time. Where the engine cannot run it, the task has not been asked."""
    if check.inspected is None:
        return _unasked(UNSEEN)
    try:
        code = command.exit_code(
            open_engine(),
            check.container.id,
            check.how.command,
            under_way=check.inspected.execs,
            timeout=check.timeout,
        )
    except (EngineError, EngineSilentError) as error:
        return _unasked(f"the engine cannot run its command: {error}")
    name = check.how.command[0] if check.how.command else "the command"
    if code is None:
        return _bad(f"{name} did not end within {check.timeout:g}s")
    return _bad(f"{name} exited with {code}") if code else GOOD


def _ask_image(check: Check, clock: float) -> Answer:
    """The engine asks; it is believed while it does. One round takes its interval and up to its timeout."""
    if check.inspected is None:
        return _unasked(UNSEEN)
    own = check.inspected.own_check
    if own is None:
        return _unasked("its image has no HEALTHCHECK")
    if clock - own.ended_at > AGE * own.interval + own.timeout:
        return _unasked("the engine has not run its HEALTHCHECK for long")
    known = {"healthy": GOOD, "unhealthy": _bad("its HEALTHCHECK fails")}
    return known.get(own.status, _unasked(f"its HEALTHCHECK is {own.status}"))
