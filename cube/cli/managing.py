"""Behind `cube manager start`: the service in this thread, its API in another."""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cube.api.app import guarded
from cube.api.desk import Desk
from cube.api.feed import Feed
from cube.api.server import Address, listening, refuse_unsafe
from cube.cli import render
from cube.cli.office import actor, office, seconds
from cube.errors import CubeError, InputError
from cube.manager.manager import Manager
from cube.manager.office import Office
from cube.manager.operations import Operations
from cube.manager.service import Duty, Service
from cube.manager.session import serving

SAID_AGAIN = 600.0
"""Seconds before the same warning is said again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What the options of `cube manager start` say."""

    listen: str
    every: str
    hosts: tuple[str, ...]
    certificate: Path | None
    key: Path | None
    no_tokens: bool
    inventory: Path | None
    state: str | None
    scheduler: str | None

    def find(self) -> Office:
        """The office, as the inventory is now. Raises InputError."""
        return office(self.inventory, self.state, self.scheduler)


def start(terms: Terms) -> None:
    """Serve until a signal ends it. Raises InputError for an address that is none, or that is unsafe."""
    address = _address(terms)
    refuse_unsafe(address, has_tokens=not terms.no_tokens)
    duty = Duty(every=seconds(terms.every, "--every"), actor=actor(), warn=_warning())
    with serving(terms.find, duty) as service, _ended_by(service):
        manager = Manager(service)
        desk = Desk(
            service=service,
            manager=manager,
            operations=Operations(service, manager),
            feed=Feed(service.store),
        )
        hosts = (address.host, "localhost", "127.0.0.1", "[::1]", *terms.hosts)
        tokens = None if terms.no_tokens else service.store.tokens
        with listening(guarded(desk, hosts=hosts, tokens=tokens), address):
            render.line(f"the manager of cluster {service.cluster.name} is at {address.url}", "green")
            if tokens is not None and not tokens():
                render.line(
                    "nobody may ask it anything yet; make a token: cube token create NAME --role operate"
                )
            service.run()
    render.line("ended; what was done is recorded")


def _address(terms: Terms) -> Address:
    host, colon, port = terms.listen.rpartition(":")
    if not colon or not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise InputError(f"{terms.listen!r} is no HOST:PORT", where="--listen")
    if (terms.certificate is None) != (terms.key is None):
        raise InputError(
            "a certificate needs its key, and a key its certificate", where="--certificate, --key"
        )
    return Address(host=host.strip("[]"), port=int(port), certificate=terms.certificate, key=terms.key)


def _warning() -> Callable[[CubeError], None]:
    """What says each thing once in a while."""
    said: dict[str, float] = {}

    def warn(error: CubeError) -> None:
        text, now = str(error), time.monotonic()
        if now - said.get(text, -SAID_AGAIN) >= SAID_AGAIN:
            said[text] = now
            render.warn([text])

    return warn


@contextmanager
def _ended_by(service: Service) -> Iterator[None]:
    """The first signal lets it end in good order; the second ends it at once."""

    def end(number: int, _frame: object) -> None:
        signal.signal(number, signal.SIG_DFL)
        service.stop()

    before = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
