"""The server: the application on a socket, in a thread of its own."""

import gc
import ipaddress
import logging
import socket
import ssl
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import uvicorn

from cube.api.gate import Gate
from cube.errors import InputError, traced

BACKLOG = 1024
"""Connections that wait to be taken."""

STOP = 5
"""Seconds that those who still listen have after the manager was told to end."""


MESSAGE = 1 << 20
"""Bytes that one message of a websocket may have."""

PROMPT = 0.0005
"""Seconds for which a thread that computes may keep Python's lock from those who answer.

Usually it is ten times as long; each request waits for the lock several times while the loop plans.
"""

SELDOM = (10_000, 20, 50)
"""How much must have been made before Python looks for what only cycles keep, in young, older and all things.

To look through all that is known of a thousand nodes takes 0.2 s, and nothing else happens meanwhile; usually
that would be done many times in a minute. What Cube makes has no cycles.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where the manager listens; `certificate` and `key` are PEM files, None: in the clear."""

    host: str
    port: int
    certificate: Path | None = None
    key: Path | None = None

    @property
    def is_local(self) -> bool:
        """Only this machine can reach it."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    @property
    def name(self) -> str:
        """The host as it stands in a URL, and in what a request says it is for."""
        return f"[{self.host}]" if ":" in self.host else self.host

    @property
    def url(self) -> str:
        """Where it is found."""
        return f"{'https' if self.certificate else 'http'}://{self.name}:{self.port}"

    @property
    def hosts(self) -> tuple[str, ...]:
        """What it is called by without being told so."""
        return self.name, "localhost", "127.0.0.1", "[::1]"


def refuse_unsafe(address: Address, *, has_tokens: bool) -> None:
    """Raises InputError for what anybody could listen to, or use."""
    if not address.is_local and address.certificate is None:
        raise InputError(
            "the manager would be public without TLS",
            where=f"{address.host}:{address.port}",
            why="every token that is sent there could be read on the way",
            cure="Give it --certificate and --key, or listen on 127.0.0.1 and go there over SSH (ssh -L).",
        )
    if not address.is_local and not has_tokens:
        raise InputError("the manager would be open to everybody", cure="Leave --no-tokens out.")


@contextmanager
def listening(app: Gate, address: Address) -> Iterator[None]:
    """The application answers there while the block runs. Raises InputError where it cannot."""
    config = uvicorn.Config(
        app,
        log_level="error",
        access_log=False,
        server_header=False,
        lifespan="on",
        ws="websockets-sansio",
        ws_max_size=MESSAGE,
        ssl_certfile=address.certificate,
        ssl_keyfile=address.key,
        timeout_graceful_shutdown=STOP,
    )
    logging.getLogger("uvicorn.error").addFilter(_is_news)
    logging.getLogger("uvicorn.error").addFilter(without_words)
    if address.certificate is not None:
        _refuse_unusable(address.certificate, address.key)
    with _bound(address) as bound, _promptly():
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([bound],), name="cube-api", daemon=True)
        thread.start()
        try:
            yield
        finally:
            server.should_exit = True
            app.leave()
            thread.join(STOP + 2)


def _refuse_unusable(certificate: Path, key: Path | None) -> None:
    """Raises InputError for a certificate and a key that are none, or not each other's."""

    def locked() -> str:
        raise InputError("the key is encrypted", where=str(key), cure="Give one that nobody has to unlock.")

    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, locked)
    except OSError as error:
        where = ", ".join(str(file) for file in (certificate, key) if file is not None)
        raise InputError("the certificate cannot be used", where=where, why=_why(error)) from None


def _why(error: OSError) -> str:
    if not isinstance(error, ssl.SSLError):
        return str(error.strerror)
    is_another = error.reason == "KEY_VALUES_MISMATCH"
    return (
        "the key is another one's" if is_another else "one of them is no PEM of a certificate, or of its key"
    )


@contextmanager
def _promptly() -> Iterator[None]:
    interval, thresholds = sys.getswitchinterval(), gc.get_threshold()
    sys.setswitchinterval(PROMPT)
    gc.set_threshold(*SELDOM)
    try:
        yield
    finally:
        sys.setswitchinterval(interval)
        gc.set_threshold(*thresholds)


def _is_news(record: logging.LogRecord) -> bool:
    """That a websocket was refused is none, though uvicorn takes every such answer for a fault."""
    return "without completing handshake" not in record.getMessage()


def without_words(record: logging.LogRecord) -> bool:
    """A fault is told by its kind and its place: its own words may quote a secret."""
    if record.exc_info and record.exc_info[1] is not None:
        record.exc_text = traced(record.exc_info[1])
    return True


def _bound(address: Address) -> socket.socket:
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    # Unless the socket says that it is TCP, asyncio lets it wait 40 ms between two writes.
    bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((address.host, address.port))
        bound.listen(BACKLOG)  # from now on nobody is refused, though the server is still to come up
    except OSError as error:
        bound.close()
        where = f"{address.host}:{address.port}"
        taken = "Is another manager there already? Name another port with --listen."
        cure = "Name an address of this machine." if isinstance(error, socket.gaierror) else taken
        raise InputError(
            "the manager cannot listen", where=where, why=str(error.strerror), cure=cure
        ) from None
    return bound
