"""From a stream to an authenticated transport: the host proves who it is before it learns who we are."""

from collections.abc import Sequence
from typing import Any

from cube.connection.failure import ConnectionFailed, HostKeyRefused
from cube.connection.known_hosts import HostKey, Pins
from cube.connection.library import paramiko
from cube.connection.stream import Stream
from cube.model.observation import Cause

_WEAK = {
    "ciphers": ["aes128-cbc", "aes192-cbc", "aes256-cbc", "3des-cbc"],
    "macs": ["hmac-sha1", "hmac-md5", "hmac-sha1-96", "hmac-md5-96"],
}
_SIGNATURES = {"ssh-rsa": ("rsa-sha2-512", "rsa-sha2-256")}
"""A key's type and the signatures it is negotiated by, where the two differ."""

_NEVER = 1e9
"""Seconds. paramiko's own timeouts are coarse and many; the watchdog's single deadline stands in for them."""


def exchange_keys(name: str, stream: Stream, pins: Pins | None) -> Any:
    """A transport whose peer has proved to be a host that the pins admit; None admits all, to learn a key.

    Blocks until the stream ends: the caller keeps the deadline. No credential is sent.
    Raises HostKeyRefused, or ConnectionFailed: THROTTLED, SILENT, LOST, STRANGE.
    """
    transport = paramiko.Transport(stream, disabled_algorithms=_WEAK)  # type: ignore[arg-type]
    transport.daemon = True
    transport.banner_timeout = transport.handshake_timeout = transport.auth_timeout = _NEVER
    try:
        if pins is not None:
            _negotiate_only(name, transport, pins)
        _start(name, transport, stream)
        if pins is not None:
            _check(name, shown_key(transport), pins)
    except BaseException:
        end(transport)
        raise
    return transport


def shown_key(transport: Any) -> HostKey:
    """The key that the host has proved to hold."""
    key = transport.get_remote_server_key()
    return HostKey(kind=key.get_name(), blob=key.asbytes())


def give_up(transport: Any) -> None:
    """Ends an authentication, even one whose thread waits for an agent that never signs. Never blocks."""
    transport.active = False
    transport.sock.abort()


def end(transport: Any) -> None:
    """Frees the transport's thread and socket, however far it came. Waits no longer than a second."""
    transport.sock.abort()
    transport.packetizer.complete_handshake()  # paramiko keeps a timer thread running for one that failed
    transport.close()
    transport.sock.close()
    if transport.ident is not None:
        transport.join(1.0)


def authenticate(name: str, transport: Any, user: str, keys: Sequence[Any]) -> None:
    """Shows the keys one after another, all within this one connection, and never again after a refusal.

    Raises ConnectionFailed(AUTHENTICATION) where none is accepted.
    """
    for key in keys:
        try:
            if not transport.auth_publickey(user, key):
                return
            raise _refused(name, user, "the node wants more than a key")
        except paramiko.BadAuthenticationType as error:
            raise _refused(
                name, user, f"the node takes {', '.join(error.allowed_types)}, not keys"
            ) from error
        except paramiko.AuthenticationException as error:
            if not transport.is_active():
                raise _refused(name, user, str(error)) from error
    raise _refused(
        name, user, f"the node accepts none of the {len(keys)} keys shown" if len(keys) > 1 else ""
    )


def _negotiate_only(name: str, transport: Any, pins: Pins) -> None:
    """Offers only the types of the pinned keys: another would be another key, and look like a changed one."""
    options = transport.get_security_options()
    kinds = dict.fromkeys(key.kind for key in pins.accepted)
    wanted = [signature for kind in kinds for signature in _SIGNATURES.get(kind, (kind,))]
    offered = tuple(signature for signature in options.key_types if signature in wanted)
    if not offered:
        raise HostKeyRefused(
            Cause.NO_HOST_KEY,
            where=name,
            why=f"no pinned key is of a type that Cube knows: {', '.join(kinds)}",
        )
    options.key_types = offered


def _start(name: str, transport: Any, stream: Stream) -> None:
    try:
        transport.start_client(timeout=_NEVER)
    except paramiko.ssh_exception.IncompatiblePeer as error:
        if "host key" in str(error):
            why = "it no longer has a key of the pinned type"
            raise HostKeyRefused(Cause.HOST_KEY, where=name, why=why) from error
        raise ConnectionFailed(
            Cause.STRANGE, where=name, why=str(error), cure="upgrade the node's sshd"
        ) from error
    except (paramiko.SSHException, EOFError, OSError) as error:
        raise _broken_off(name, stream.greeting) from error


def _broken_off(name: str, greeting: bytes) -> ConnectionFailed:
    """What a handshake that ended early means, by the first bytes that the peer sent."""
    if not greeting or greeting.startswith(b"Exceeded MaxStartups"):
        return ConnectionFailed(
            Cause.THROTTLED, where=name, why="the connection was closed before the SSH banner", cure=""
        )
    said = greeting.split(b"\n", 1)[0].strip().decode("ascii", "backslashreplace")
    if greeting.startswith(b"Not allowed at this time"):
        return ConnectionFailed(Cause.THROTTLED, where=name, why=f"sshd says {said!r}")
    if greeting.startswith(b"SSH-"):
        return ConnectionFailed(Cause.LOST, where=name, why="the connection ended during the handshake")
    return ConnectionFailed(Cause.SILENT, where=name, why=f"the port answers {said[:60]!r}, not SSH")


def is_worth_another_try(failure: ConnectionFailed, stream: Stream) -> bool:
    """Whether sshd only had too many handshakes at once. A penalty (`Not allowed`) grows with every try."""
    return failure.cause is Cause.THROTTLED and not stream.greeting.startswith(b"Not allowed")


def _check(name: str, shown: HostKey, pins: Pins) -> None:
    if pins.admits(shown):
        return
    if shown in pins.revoked:
        raise HostKeyRefused(Cause.HOST_KEY, where=name, why=f"the key {shown.fingerprint} is revoked")
    pinned = ", ".join(key.fingerprint for key in pins.accepted if key.kind == shown.kind)
    raise HostKeyRefused(
        Cause.HOST_KEY, where=name, why=f"pinned is {pinned}, the host shows {shown.fingerprint}"
    )


def _refused(name: str, user: str, why: str) -> ConnectionFailed:
    return ConnectionFailed(
        Cause.AUTHENTICATION, where=name, why=f"user {user}" + (f", {why}" if why else "")
    )
