"""What the engine tells of one container and leaves out of its listing: its end, its limits, its own check.

An inspect can hang on one container while the engine answers for every other (moby#18848). So each has a
patience of its own, and one that is not told of in time is unknown: neither well nor gone.
"""

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from http.client import HTTPConnection
from typing import Any

from cube.connection import Channel, after, remaining
from cube.model.observation import Container, ContainerState
from cube.worker.container import Json
from cube.worker.engine import EngineError, EngineSilentError, conversation, get, is_ours

OpenChannel = Callable[[float], Channel]
"""A channel to the engine's socket that lives for so many seconds."""

ENDED = (ContainerState.EXITED, ContainerState.DEAD)

DEFAULT_INTERVAL = 30.0
"""Seconds: Docker's, for a check that names none. Its timeout is the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnCheck:
    """The image's own HEALTHCHECK, as the engine sees it: `healthy`, `unhealthy` or `starting`.

    `ended_at` is when it was last asked (the node's clock), `interval` and `timeout` its own, in seconds.
    """

    status: str
    ended_at: float
    interval: float
    timeout: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspected:
    """One container, as the engine tells it. A limit that is None is not kept.

    `execs` are the ids of the commands that run in it beside its own; `checks` what its own check said last.
    """

    state: ContainerState
    exit_code: int
    oom_killed: bool
    started_at: str = ""
    finished_at: str = ""
    limits: Mapping[str, int | None] = field(default_factory=dict)
    restart: str = ""
    networks: tuple[str, ...] = ()
    execs: tuple[str, ...] = ()
    own_check: OwnCheck | None = None
    checks: tuple[str, ...] = ()

    @property
    def has_ended(self) -> bool:
        """It ran, and its process is over."""
        return self.state in ENDED

    @property
    def ended_badly(self) -> bool:
        """Its process is over, and not as a program ends that is done."""
        is_bad = self.exit_code != 0 or self.oom_killed or self.state is ContainerState.DEAD
        return self.has_ended and is_bad


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspections:
    """Those that were told of, by id, and those that have gone since the listing. The rest is unknown."""

    told: Mapping[str, Inspected]
    gone: frozenset[str]

    def applied(self, containers: Iterable[Container]) -> tuple[Container, ...]:
        """The containers as they are now, a moment after they were listed."""
        return tuple(self._now(found) for found in containers if found.id not in self.gone)

    def _now(self, container: Container) -> Container:
        inspected = self.told.get(container.id)
        if inspected is None:
            return container
        now = replace(container, state=inspected.state)
        if now.state not in ENDED:
            return now
        return replace(now, exit_code=inspected.exit_code, oom_killed=inspected.oom_killed)


def worth_asking(containers: Iterable[Container], cluster: str) -> tuple[str, ...]:
    """The ids of that cluster's containers that run or have ended."""
    asked = (ContainerState.RUNNING, *ENDED)
    return tuple(found.id for found in containers if found.state in asked and is_ours(found, cluster))


def inspect_each(
    open_channel: OpenChannel, containers: Iterable[str], *, each: float, in_all: float
) -> Inspections:
    """Ask for every one of those ids, in seconds at most `each` for one and about `in_all` together.

    Raises ConnectionFailed where the node itself is lost, or its engine has stopped.
    """
    waiting, deadline = deque(containers), after(in_all)
    told: dict[str, Inspected] = {}
    gone: set[str] = set()
    while waiting and remaining(deadline):
        channel = open_channel(in_all)
        channel.settimeout(each)
        # Nothing more can be asked over a channel that still owes an answer: the others get another one.
        with suppress(EngineError, EngineSilentError), conversation(channel) as connection:
            while waiting and remaining(deadline):
                _ask(connection, waiting.popleft(), told, gone)
    return Inspections(told=told, gone=frozenset(gone))


def _ask(connection: HTTPConnection, container: str, told: dict[str, Inspected], gone: set[str]) -> None:
    try:
        told[container] = inspected_of(get(connection, f"/containers/{container}/json"))
    except EngineError as error:
        if error.status != 404:
            raise
        gone.add(container)


def inspected_of(item: Any) -> Inspected:
    """The answer of `GET /containers/ID/json`. Raises EngineError for what is none."""
    try:
        state, host = item["State"], item.get("HostConfig") or {}
        return Inspected(
            state=ContainerState(state["Status"]),
            exit_code=int(state["ExitCode"]),
            oom_killed=bool(state["OOMKilled"]),
            started_at=state.get("StartedAt") or "",
            finished_at=state.get("FinishedAt") or "",
            limits=_limits(host),
            restart=(host.get("RestartPolicy") or {}).get("Name") or "",
            networks=tuple(sorted((item.get("NetworkSettings") or {}).get("Networks") or {})),
            execs=tuple(item.get("ExecIDs") or ()),
            own_check=_own_check(state.get("Health"), item),
            checks=tuple(map(_told_check, (state.get("Health") or {}).get("Log") or ())),
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise EngineError("a container cannot be read", why=repr(error)) from error


def _limits(host: Json) -> Mapping[str, int | None]:
    """Nobody can set the others to 0: it stands where the kernel cannot keep them, or none was wanted."""
    return {
        "Memory": host.get("Memory") or None,
        "CpuShares": host.get("CpuShares") or None,
        "PidsLimit": host.get("PidsLimit"),
        "NanoCpus": host.get("NanoCpus") or None,
    }


def _own_check(health: Json | None, item: Json) -> OwnCheck | None:
    """None too where it was never asked yet."""
    if not health or not health.get("Log"):
        return None
    how = item["Config"].get("Healthcheck") or {}
    return OwnCheck(
        status=health["Status"],
        ended_at=datetime.fromisoformat(health["Log"][-1]["End"]).timestamp(),
        interval=_seconds(how.get("Interval")),
        timeout=_seconds(how.get("Timeout")),
    )


def _seconds(nanoseconds: int | None) -> float:
    return nanoseconds / 1e9 if nanoseconds else DEFAULT_INTERVAL


def _told_check(entry: Json) -> str:
    return f"{entry.get('End')} exit code {entry.get('ExitCode')}: {str(entry.get('Output', '')).strip()}"
