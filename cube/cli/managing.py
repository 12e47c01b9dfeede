"""Behind `cube manager start`: the service in this thread, its API in another."""

import os
import shlex
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cube.api.app import guarded
from cube.api.desk import Desk
from cube.api.feed import Feed
from cube.api.server import Address, listening, refuse_unsafe
from cube.api.standing import Standings
from cube.cli import installing, render
from cube.cli.crontab import Serving, unit_of
from cube.cli.installing import beside, lasting_name, make_folder_of, own_command
from cube.cli.load import find_inventory, read_text
from cube.cli.office import actor, office, seconds
from cube.errors import CubeError, InputError
from cube.manager.keeping import keeping
from cube.manager.manager import Manager
from cube.manager.notify import Notices, Notifier, checked_url
from cube.manager.office import Office
from cube.manager.operations import Operations
from cube.manager.service import Duty, Service
from cube.manager.session import serving

NOTIFY_URL = "CUBE_NOTIFY_URL"
"""The variable with the URL that notices are sent to."""

COMES_UP = 30.0
"""Seconds that a manager in the background has to say where it is."""

SAID_AGAIN = 600.0
"""Seconds before the same warning is said again."""

SHORTEST = 1.0
"""Seconds between two looks at a node that cost more than they tell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What the options of `cube manager start` say."""

    listen: str
    every: str
    hosts: tuple[str, ...]
    certificate: Path | None
    key: Path | None
    no_tokens: bool
    notify_url_file: Path | None
    notify_command: str | None
    inventory: Path | None
    state: str | None
    scheduler: str | None

    def find(self) -> Office:
        """The office, as the inventory is now. Raises InputError."""
        return office(self.inventory, self.state, self.scheduler)

    @property
    def notices(self) -> Notices:
        """Who is told of failures. Raises InputError for what is no URL, and for no command."""
        try:
            words = tuple(shlex.split(self.notify_command or ""))
        except ValueError as error:
            raise InputError("the command cannot be read", where="--notify-command", why=str(error)) from None
        return Notices(url=self._notify_url, command=words)

    @property
    def _notify_url(self) -> str | None:
        if self.notify_url_file is not None:
            return checked_url(read_text(self.notify_url_file), str(self.notify_url_file))
        named = os.environ.get(NOTIFY_URL)
        return checked_url(named, f"${NOTIFY_URL}") if named else None

    def words(self, place: Office) -> tuple[str, ...]:
        """The command that starts a manager by these terms from any folder. Raises InputError."""
        if place.state == ":memory:":
            raise InputError("a state in memory is gone with this process", where="--state")
        file = find_inventory(self.inventory, os.environ, Path.cwd()).absolute()
        given = (
            ("--listen", self.listen), ("--every", self.every), ("--scheduler", self.scheduler),
            ("--certificate", self.certificate and self.certificate.absolute()),
            ("--key", self.key and self.key.absolute()),
            ("--notify-url-file", self.notify_url_file and self.notify_url_file.absolute()),
            ("--notify-command", self.notify_command),
            *(("--host", name) for name in self.hosts),
        )  # fmt: skip
        options = [str(word) for name, value in given if value is not None for word in (name, value)]
        fixed = ("manager", "start", "-i", str(file), "--state", lasting_name(place.state))
        return (*own_command(), *fixed, *options, *(["--no-tokens"] if self.no_tokens else []))


def _pause(every: str) -> float:
    """Seconds between two looks at a node."""
    if (found := seconds(every, "--every")) < SHORTEST:
        cure = f"Write {SHORTEST:g}s or more; what happens on a node is told by its engine at once."
        raise InputError(f"a manager cannot look every {every}", where="--every", cure=cure)
    return found


def start(terms: Terms) -> None:
    """Serve until a signal ends it. Raises InputError for an address that is none, or that is unsafe."""
    address = _address(terms)
    refuse_unsafe(address, has_tokens=not terms.no_tokens)
    duty = Duty(every=_pause(terms.every), actor=actor(), warn=_warning())
    notices = terms.notices
    with (
        serving(terms.find, duty) as service,
        _ended_by(service),
        _telling(service, notices, duty),
        keeping(terms.find, duty.warn),
    ):
        manager = Manager(service)
        desk = Desk(
            service=service,
            manager=manager,
            operations=Operations(service, manager),
            feed=Feed(service.store),
            standings=Standings(service.store),
        )
        hosts = (*address.hosts, *terms.hosts)
        tokens = None if terms.no_tokens else service.store.tokens
        with listening(guarded(desk, hosts=hosts, tokens=tokens), address):
            render.line(f"the manager of cluster {service.cluster.name} is at {address.url}", "green")
            if tokens is not None and not tokens():
                render.line(
                    "nobody may ask it anything yet; make a token: cube token create NAME --role operate"
                )
            service.run()
    render.line("ended; what was done is recorded")


def detach(terms: Terms) -> None:
    """Start a manager that outlives this process. Raises CubeError where it does not come up."""
    place = terms.find()
    words = terms.words(place)
    assert place.state != ":memory:"
    log = beside(place, f"{place.cluster.name}.manager.log")
    make_folder_of(log)
    with log.open("a") as file:
        begun = file.tell()
        process = subprocess.Popen(  # noqa: S603 - this Cube itself
            words, stdin=subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True
        )
    deadline = time.monotonic() + COMES_UP
    while " is at " not in (said := log.read_text()[begun:]):
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            raise CubeError("the manager did not come up", where=str(log), why=said.strip()[-500:])
        time.sleep(0.1)
    render.line(f"{said.strip().splitlines()[0]}, as process {process.pid}; it writes to {log}", "green")
    render.line(f"end it with: kill {process.pid}")


def install(terms: Terms, *, yes: bool) -> None:
    """Write the unit and start it. Raises InputError where no systemd runs, or for terms that are unsafe."""
    refuse_unsafe(_address(terms), has_tokens=True)
    place = terms.find()
    if terms.notices.url and terms.notify_url_file is None:
        cure = "Write the URL into a file: --notify-url-file FILE."
        raise InputError("the service will not have this variable", where=f"${NOTIFY_URL}", cure=cure)
    serving = Serving(cluster=place.cluster.name, command=terms.words(place), folder=Path.cwd())
    installing.write_units({f"{serving.unit}.service": unit_of(serving)}, f"{serving.unit}.service", yes=yes)


def remove(inventory: Path | None, *, yes: bool) -> None:
    """Stop the service and remove its unit."""
    place = office(inventory, None)
    serving = Serving(cluster=place.cluster.name, command=(), folder=Path.cwd())
    installing.drop_units((f"{serving.unit}.service",), f"{serving.unit}.service", yes=yes)


@contextmanager
def _telling(service: Service, notices: Notices, duty: Duty) -> Iterator[None]:
    """Somebody is told of failures while the block runs, if anybody is to be."""
    if not notices.url and not notices.command:
        yield
        return
    notifier = Notifier(service.store, service.cluster.name, notices, duty.warn)
    notifier.begin()
    try:
        yield
    finally:
        notifier.end()


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
