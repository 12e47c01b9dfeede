"""The bytes under an SSH transport: a TCP socket, or a channel through a jump host."""

import ipaddress
import socket
from contextlib import suppress
from errno import EHOSTUNREACH, ENETDOWN, ENETUNREACH
from typing import Any

from cube.connection.deadline import beside, remaining
from cube.connection.failure import ConnectionFailed
from cube.model.observation import Cause

PER_ADDRESS = 5.0
"""Seconds that one address of a name may take to connect while others are still untried."""

USER_TIMEOUT = 15_000
"""Milliseconds after which the kernel gives up on a peer that acknowledges nothing."""

_POLL = 2.0
_GREETING = 256


class Stream:
    """What paramiko reads and writes. Remembers how the peer greeted, and ends at once when told to."""

    def __init__(self, under: Any) -> None:
        self._under = under
        self.greeting = b""
        self._closed = False  # paramiko looks at it, as a socket has it

    def recv(self, size: int) -> bytes:
        """Up to `size` bytes; b"" at the end."""
        data: bytes = self._under.recv(size)
        if isinstance(self._under, socket.socket):
            _acknowledge(self._under)
        if len(self.greeting) < _GREETING:
            self.greeting += data[:_GREETING]
        return data

    def send(self, data: bytes) -> int:
        """Writes a part of `data`, returns how much."""
        sent: int = self._under.send(data)
        return sent

    def settimeout(self, seconds: float) -> None:
        """At least two seconds: paramiko asks for 0.1 to notice its own end, but `abort` wakes it anyway."""
        self._under.settimeout(max(seconds, _POLL))

    def abort(self) -> None:
        """Ends both directions now, whoever is blocked in them. Sends nothing, never blocks."""
        if isinstance(self._under, socket.socket):
            with suppress(OSError):
                self._under.shutdown(socket.SHUT_RDWR)
        else:
            self._under._unlink()  # noqa: SLF001 - Channel.close() would write to a jump host that may hang

    def close(self) -> None:
        """Frees the socket, or the channel."""
        self._closed = True
        if isinstance(self._under, socket.socket):
            self.abort()
        self._under.close()


def dial(name: str, address: tuple[str, int], *, deadline: float) -> socket.socket:
    """A TCP socket to host and port, ready for SSH. Each address that the name has gets its own deadline.

    Raises ConnectionFailed: NAME, REFUSED, TIMEOUT, NO_ROUTE.
    """
    host, port = address
    candidates = _resolve(name, host, port, deadline=deadline)
    failure = ConnectionFailed(Cause.TIMEOUT, where=name, why=f"{host}:{port}")
    for place, (family, target) in enumerate(candidates):
        last = place == len(candidates) - 1
        patience = min(PER_ADDRESS, remaining(deadline) if last else remaining(deadline) / 2)
        try:
            return _open(family, target, patience)
        except OSError as error:
            failure = ConnectionFailed(_cause(error), where=name, why=f"{target[0]} port {port}")
    raise failure


def _open(family: int, target: Any, patience: float) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        # Nagle and delayed ACK together cost 43 ms on every exec, and on the handshake.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, USER_TIMEOUT)
        sock.settimeout(max(patience, 0.001))
        sock.connect(target)
    except BaseException:
        sock.close()
        raise
    return sock


def _acknowledge(sock: socket.socket) -> None:
    """Have what came acknowledged at once.

    Until its first command sshd leaves Nagle on, and holds an answer back for our delayed ACK: 45 ms on every
    new connection. The kernel forgets the option, so it is set again after every read (1 us).
    """
    with suppress(OSError):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)


def _cause(error: OSError) -> Cause:
    if isinstance(error, ConnectionRefusedError):
        return Cause.REFUSED
    if error.errno in (EHOSTUNREACH, ENETUNREACH, ENETDOWN):
        return Cause.NO_ROUTE
    return Cause.TIMEOUT if isinstance(error, TimeoutError) else Cause.LOST


def _resolve(name: str, host: str, port: int, *, deadline: float) -> list[tuple[int, Any]]:
    """Family and socket address of each of the host's addresses, in the resolver's order."""

    def ask() -> list[tuple[int, Any]]:
        return [(entry[0], entry[4]) for entry in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]

    try:
        return ask() if _is_literal(host) else beside(ask, deadline)
    except TimeoutError as error:
        why = "the resolver did not answer in time"
        raise ConnectionFailed(Cause.NAME, where=name, why=f"{host}: {why}") from error
    except (OSError, UnicodeError) as error:
        raise ConnectionFailed(Cause.NAME, where=name, why=f"{host}: {error}") from error


def _is_literal(host: str) -> bool:
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True
