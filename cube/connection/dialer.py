"""Opens the connections of one run, which share jump hosts, the watchdog, host keys and ssh_config."""

import itertools
import random
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Self

from cube.connection import handshake, known_hosts
from cube.connection.deadline import Watchdog, after, remaining
from cube.connection.failure import ConnectionFailed, HostKeyRefused
from cube.connection.identity import identities
from cube.connection.known_hosts import HostKey, Pins
from cube.connection.route import Target, load_config, route
from cube.connection.ssh import Connection
from cube.connection.stream import Stream, dial
from cube.model.node import Access
from cube.model.observation import Cause

_TRIES = 8
"""Handshakes with one throttled host: with full jitter from 0.1 s up they span about 5 s."""

_HANDSHAKE = 10.0
"""Seconds from the TCP connection to the proof of the host's key, within the caller's deadline."""

_HANDSHAKES_PER_BASTION = 8
_BASTION_REST = 10.0
"""Seconds for which a jump host that failed is not tried again: the nodes behind it fail as one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """What of the operator's own SSH is used. `identities`: keys to try where nothing else names one.

    `home` is where Fabric's configuration lies, if the operator has one.
    """

    known_hosts: tuple[Path, ...] = ()
    ssh_config: Path | None = None
    home: Path | None = None
    identities: tuple[Path, ...] = ()


@dataclass(slots=True)
class _Bastion:
    """A jump host, shared by all nodes behind it."""

    turn: threading.Lock = field(default_factory=threading.Lock)
    handshakes: threading.Semaphore = field(
        default_factory=lambda: threading.Semaphore(_HANDSHAKES_PER_BASTION)
    )
    connection: Connection | None = None
    failure: ConnectionFailed | None = None
    rests_until: float = 0.0

    def renew(self, connect: Callable[[], Connection]) -> None:
        """A new connection in place of none or a dead one; a failure is kept while the jump host rests."""
        if self.connection is not None:
            self.connection.close()
        try:
            self.connection, self.failure = connect(), None
        except ConnectionFailed as failure:
            self.connection, self.failure, self.rests_until = None, failure, after(_BASTION_REST)
            raise


class Dialer:
    """Connects to nodes; `close` ends the jump hosts and the watchdog, after the connections are closed."""

    def __init__(self, trust: Trust) -> None:
        self._identities = trust.identities
        self._config = load_config(trust.ssh_config, trust.home)
        self._known = known_hosts.load(trust.known_hosts)
        self._watchdog = Watchdog()
        self._lock = threading.Lock()
        self._bastions: dict[tuple[Target, ...], _Bastion] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def connect(self, name: str, access: Access, *, deadline: float) -> Connection:
        """An authenticated connection to the node of that name.

        Raises ConnectionFailed with its cause; HostKeyRefused before any credential is sent.
        Only a handshake that sshd throttled is tried again; a refused key never is.
        """
        return self._connect(name, route(access, self._config), deadline)

    def fetch_host_key(self, name: str, access: Access, *, deadline: float) -> HostKey:
        """The key that the host shows, sending no credential. Jump hosts on the way must be known already."""
        transport = self._handshake(name, route(access, self._config), None, deadline)
        try:
            return handshake.shown_key(transport)
        finally:
            handshake.end(transport)

    def close(self) -> None:
        """Ends the jump hosts' connections and the watchdog."""
        for bastion in self._bastions.values():
            if bastion.connection is not None:
                bastion.connection.close()
        self._watchdog.close()

    def _connect(self, name: str, targets: tuple[Target, ...], deadline: float) -> Connection:
        target = targets[-1]
        pins = self._pins(name, target)
        with identities(name, target, self._identities, deadline) as keys:
            transport = self._handshake(name, targets, pins, deadline)
            stop = partial(handshake.give_up, transport)
            try:
                with self._watchdog.bound(stop, deadline, where=name, what="authentication"):
                    handshake.authenticate(name, transport, target.user, keys)
            except BaseException:
                handshake.end(transport)
                raise
        return Connection(name=name, transport=transport, watchdog=self._watchdog)

    def _pins(self, name: str, target: Target) -> Pins:
        """The keys of the target: the inventory's, else known_hosts'. None: refused before a byte is sent."""
        known = known_hosts.pins(self._known, target.host, target.port)
        if target.host_key is not None:
            return Pins(accepted=(known_hosts.parse_key(target.host_key),), revoked=known.revoked)
        if not known.accepted:
            raise HostKeyRefused(
                Cause.NO_HOST_KEY, where=name, why=f"{target.host} port {target.port} is not known"
            )
        return known

    def _handshake(self, name: str, targets: tuple[Target, ...], pins: Pins | None, deadline: float) -> Any:
        """A transport whose host is the pinned one, tried again while sshd throttles."""
        for attempt in itertools.count(1):
            with ExitStack() as turn:
                stream = Stream(self._reach(name, targets, deadline, turn))
                try:
                    return self._meet(name, stream, pins, deadline)
                except ConnectionFailed as failure:
                    stream.close()
                    pause = random.uniform(0.02, min(2.0, 0.1 * 2**attempt))  # noqa: S311 - jitter, no secret
                    hopeless = attempt == _TRIES or pause > remaining(deadline)
                    if hopeless or not handshake.is_worth_another_try(failure, stream):
                        raise
            time.sleep(pause)
        raise AssertionError

    def _meet(self, name: str, stream: Stream, pins: Pins | None, deadline: float) -> Any:
        """One handshake. A peer that has not even greeted in its time is SILENT."""
        patience = min(deadline, after(_HANDSHAKE))
        try:
            with self._watchdog.bound(stream.abort, patience, where=name, what="handshake"):
                return handshake.exchange_keys(name, stream, pins)
        except ConnectionFailed as failure:
            if failure.cause is not Cause.TIMEOUT or stream.greeting:
                raise
            why = "it takes the connection and says nothing"
            raise ConnectionFailed(Cause.SILENT, where=name, why=why) from failure

    def _reach(self, name: str, targets: tuple[Target, ...], deadline: float, turn: ExitStack) -> Any:
        """A socket to the last target, or a channel through the others; `turn` ends with the handshake."""
        target = targets[-1]
        if len(targets) == 1:
            return dial(name, (target.host, target.port), deadline=deadline)
        bastion = self._bastion(targets[:-1])
        through = self._connected(name, bastion, targets[:-1], deadline)
        if not bastion.handshakes.acquire(timeout=remaining(deadline)):
            raise ConnectionFailed(
                Cause.TIMEOUT, where=name, why="the jump host is busy with other handshakes"
            )
        turn.callback(bastion.handshakes.release)
        return through.tunnel(target.host, target.port, deadline=deadline)

    def _bastion(self, targets: tuple[Target, ...]) -> _Bastion:
        with self._lock:
            return self._bastions.setdefault(targets, _Bastion())

    def _connected(
        self, name: str, bastion: _Bastion, targets: tuple[Target, ...], deadline: float
    ) -> Connection:
        """The jump host's live connection. While it rests after a failure, all nodes behind it fail so."""
        where = f"{name}: jump host {targets[-1].host}"
        if not bastion.turn.acquire(timeout=remaining(deadline)):
            raise ConnectionFailed(Cause.TIMEOUT, where=where)
        try:
            if bastion.failure is not None and remaining(bastion.rests_until):
                raise bastion.failure.at(where)
            if bastion.connection is None or not bastion.connection.is_alive:
                bastion.renew(lambda: self._connect(where, targets, deadline))
            assert bastion.connection is not None
            return bastion.connection
        finally:
            bastion.turn.release()
