"""Asking the tasks themselves: HTTP and TCP checks through the node's SSH connection.

The container's own address is asked, so a task need not publish anything to be checked. Docker's checks
are not believed: after a restart of the engine under live-restore they stop (moby#41871).
"""

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from http.client import HTTPConnection, HTTPException

from cube.connection import Channel, ChannelRefused
from cube.model.job import CheckKind, HealthCheck, TaskSpec
from cube.model.observation import Container
from cube.model.task import Health
from cube.worker.forward import Forward

MAX_BODY = 64 * 1024
PARALLEL = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One question to one container."""

    container: str
    address: str
    port: int
    how: HealthCheck


def checks_of(containers: Iterable[Container], specs: Mapping[str, TaskSpec]) -> tuple[Check, ...]:
    """The checks that the specs ask for, of the containers that have an address to ask."""
    return tuple(
        Check(container=container.id, address=container.address, port=port.container, how=spec.health)
        for container in containers
        if container.address and (spec := specs.get(container.id)) is not None and spec.health is not None
        for port in spec.ports
        if port.name == spec.health.port
    )


def with_health(
    containers: tuple[Container, ...], checks: tuple[Check, ...], forward: Forward
) -> tuple[Container, ...]:
    """The containers with what their checks say. Raises ConnectionFailed where the node itself is lost."""
    if not checks:
        return containers
    with ThreadPoolExecutor(max_workers=min(PARALLEL, len(checks)), thread_name_prefix="health") as pool:
        answers = pool.map(lambda check: ask(check, forward), checks)
        found = dict(zip((check.container for check in checks), answers, strict=True))
    return tuple(
        replace(container, health=found.get(container.id, Health.UNCHECKED)) for container in containers
    )


def ask(check: Check, forward: Forward) -> Health:
    """HEALTHY where the port answers in time: a connection for TCP, a status of 2xx or 3xx for HTTP."""
    try:
        channel = forward(check.address, check.port, check.how.timeout)
    except (ChannelRefused, TimeoutError) as error:
        return _unopened(error)
    try:
        channel.settimeout(check.how.timeout)
        healthy = check.how.kind is CheckKind.TCP or _answers_http(channel, check)
    except (OSError, EOFError, HTTPException):
        healthy = False
    finally:
        channel.close()
    return Health.HEALTHY if healthy else Health.UNHEALTHY


def _unopened(error: ChannelRefused | TimeoutError) -> Health:
    """A node that forbids the question has not answered it: nothing is known of the task then."""
    forbidden = isinstance(error, ChannelRefused) and "prohibited" in error.why
    return Health.UNCHECKED if forbidden else Health.UNHEALTHY


def _answers_http(channel: Channel, check: Check) -> bool:
    """A redirect is not followed: that it is given is answer enough."""
    connection = HTTPConnection(check.address, check.port)
    connection.auto_open = 0
    connection.sock = channel
    connection.request("GET", check.how.path, headers={"User-Agent": "cube-health", "Connection": "close"})
    response = connection.getresponse()
    response.read(MAX_BODY)
    return 200 <= response.status < 400
