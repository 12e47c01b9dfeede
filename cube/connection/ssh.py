"""One live connection to one node: commands, channels and files, each call with its deadline."""

import random
import secrets
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, suppress
from typing import Any, Self

from cube.connection import script as scripts
from cube.connection.agent import Agent
from cube.connection.channel import Channel
from cube.connection.deadline import Watchdog, after, remaining
from cube.connection.failure import ChannelRefused, ConnectionFailed
from cube.connection.files import SILENCE, Files, over
from cube.connection.handshake import end, shown_key
from cube.connection.known_hosts import HostKey
from cube.connection.library import paramiko
from cube.connection.opening import end_input, open_port, open_session, open_socket
from cube.connection.session import OUTPUT_CAP, Answer, collect, unmarked
from cube.errors import CubeError, InternalError
from cube.model.observation import Cause

MAX_SESSIONS = 8
"""Commands at once on one connection: sshd's MaxSessions is 10, and an operator may be there as well."""

MAX_STDIN = OUTPUT_CAP
"""Bytes that a command may be sent. More could fill the window of a command that writes before it reads."""

_SESSION_PATIENCE = 2.0
"""Seconds in which sshd must have freed the session of a command that has ended."""

_DIAL_STDIO = "exec docker system dial-stdio"
_WHY_REFUSED = '[ -S "$1" ] || exit 10; [ -r "$1" ] && [ -w "$1" ] || exit 11'


class Connection:
    """An authenticated SSH connection. Any number of threads may use it; `close` frees its thread and socket.

    Every call takes a deadline on `time.monotonic()`. One that passes ends the whole connection, because a
    peer that does not answer cannot be told from one that is gone: the call raises ConnectionFailed(TIMEOUT),
    calls of other threads ConnectionFailed(LOST), and what they had begun is unknown.
    """

    def __init__(self, *, name: str, transport: Any, watchdog: Watchdog) -> None:
        self.name = name
        self._transport = transport
        self._watchdog = watchdog
        self._sessions = threading.BoundedSemaphore(MAX_SESSIONS)
        self._by_stdio = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def is_alive(self) -> bool:
        """False once the connection has ended. True promises nothing."""
        alive: bool = self._transport.is_active()
        return alive

    @property
    def has_strict_kex(self) -> bool:
        """Whether the handshake is safe from prefix truncation (Terrapin): its sshd is 9.6 or newer."""
        return bool(self._transport.agreed_on_strict_kex)

    @property
    def host_key(self) -> HostKey:
        """The key by which the node has proved to be the one that is meant."""
        return shown_key(self._transport)

    def run(self, script: str, *, stdin: bytes = b"", agent: Agent | None = None, deadline: float) -> Answer:
        """Runs a fixed script of Cube's by sh, whatever the login shell is; what varies goes through stdin.

        The script may use the key of `agent`, and so may the node's root until the connection is closed.
        Raises ConnectionFailed: LOST or TIMEOUT, when it may have run; STRANGE where no sh was reached.
        """
        if len(stdin) > MAX_STDIN:
            raise InternalError(
                "stdin too long for a command", why=f"{len(stdin)} bytes", cure="put() a file"
            )
        return self.feed(script, (stdin,), agent=agent, deadline=deadline)

    def feed(
        self, script: str, pieces: Iterable[bytes], *, agent: Agent | None = None, deadline: float
    ) -> Answer:
        """As `run`, with any amount on the stdin of a script that reads all of it before it writes much."""
        mark = secrets.token_hex(8)
        with self._bound("command", deadline), self._session(deadline) as channel:
            if agent is not None:
                channel.request_forward_agent(agent.serve)
            channel.exec_command(scripts.login_command(script, mark))
            _send(channel, pieces)
            answer = collect(channel, self.name)
        return unmarked(answer, mark, self.name)

    def run_argv(self, argv: Sequence[str], *, stdin: bytes = b"", deadline: float) -> Answer:
        """Runs a program with its arguments, which no shell parses. Status 127: there is no such program."""
        return self.run(scripts.RUN_WORDS, stdin=scripts.words(argv) + stdin, deadline=deadline)

    def channel(self, socket_path: str, *, deadline: float) -> Channel:
        """A stream to a unix socket on the node, under that deadline for life (see Channel.expire_at).

        Where sshd forbids it, and the socket is Docker's, through `docker system dial-stdio` from then on.
        Raises ChannelRefused: DOCKER_STOPPED where no socket is, DOCKER_PERMISSION where it is not ours.
        """
        if not self._by_stdio:
            try:
                with self._bound("channel", deadline):
                    return self._channel(open_socket(self._transport, socket_path), deadline)
            except ChannelRefused as refusal:
                self._explain(refusal, socket_path, deadline)
                self._by_stdio = True
        return self._dial_stdio(deadline)

    def forward(self, host: str, port: int, *, deadline: float) -> Channel:
        """A stream to a TCP port as the node sees it, under that deadline for life. Raises ChannelRefused."""
        return self._channel(self.tunnel(host, port, deadline=deadline), deadline)

    def tunnel(self, host: str, port: int, *, deadline: float) -> Any:
        """The bare paramiko channel of `forward`, for the next SSH hop."""
        with self._bound(f"channel to {host} port {port}", deadline):
            return open_port(self._transport, host, port)

    def put(self, data: bytes, path: str, *, mode: int, deadline: float) -> None:
        """Writes a file whole or not at all, with that mode from its first byte on.

        Raises CubeError where the node refuses (no such directory, no permission, no room).
        """
        with self._bound("transfer", deadline), self._session(deadline) as channel:
            channel.invoke_subsystem("sftp")
            _put(paramiko.SFTPClient(channel), data, path, mode=mode, where=self.name)

    @contextmanager
    def files(self, *, deadline: float) -> Iterator[Files]:
        """A session over SFTP, each of whose calls has its own limit; by the deadline its turn has come."""
        with self._turn(deadline), ExitStack() as opened:
            with self._bound("SFTP", after(SILENCE)):
                channel = opened.enter_context(closing(self._open_session(after(SILENCE))))
                client = over(channel, self.name)
            yield Files(client, where=self.name, bounded=self._bound)

    def close(self) -> None:
        """Ends the connection; what is under way in other threads raises ConnectionFailed(LOST)."""
        end(self._transport)

    @contextmanager
    def _bound(self, what: str, deadline: float) -> Iterator[None]:
        """The block's paramiko calls end by the deadline, and their errors are ours."""
        with self._watchdog.bound(self._transport.sock.abort, deadline, where=self.name, what=what):
            try:
                yield
            except paramiko.ChannelException as error:
                raise ChannelRefused(
                    Cause.REFUSED,
                    where=self.name,
                    what=f"{what} refused",
                    why=error.text,
                    cure="see that something listens there; sshd may also forbid it (AllowTcpForwarding)",
                ) from error
            except (paramiko.SSHException, EOFError, OSError) as error:
                raise ConnectionFailed(Cause.LOST, where=self.name, why=str(error)) from error

    @contextmanager
    def _session(self, deadline: float) -> Iterator[Any]:
        """A session channel, closed at the end; at most MAX_SESSIONS at once."""
        with self._turn(deadline), closing(self._open_session(deadline)) as channel:
            yield channel

    @contextmanager
    def _turn(self, deadline: float) -> Iterator[None]:
        self._take_turn(deadline)
        try:
            yield
        finally:
            self._sessions.release()

    def _take_turn(self, deadline: float) -> None:
        if not self._sessions.acquire(timeout=remaining(deadline)):
            raise ConnectionFailed(
                Cause.TIMEOUT, where=self.name, why=f"{MAX_SESSIONS} commands are under way"
            )

    def _open_session(self, deadline: float) -> Any:
        """A session channel. One refused is worth some patience: sshd frees them a moment after their end."""
        patience = min(deadline, after(_SESSION_PATIENCE))
        while True:
            try:
                return open_session(self._transport)
            except paramiko.ChannelException as error:
                if not remaining(patience):
                    raise ChannelRefused(
                        Cause.REFUSED,
                        where=self.name,
                        what="session refused",
                        why=error.text,
                        cure="raise MaxSessions in the node's sshd_config",
                    ) from error
            time.sleep(random.uniform(0.01, 0.05))  # noqa: S311 - jitter, no secret

    def _channel(self, under: Any, deadline: float, on_close: Callable[[], None] | None = None) -> Channel:
        def bounded(what: str, end: float) -> AbstractContextManager[None]:
            return self._bound(what, end)

        return Channel(under, name=self.name, deadline=deadline, bounded=bounded, on_close=on_close)

    def _dial_stdio(self, deadline: float) -> Channel:
        """The engine's API through a command's two streams. It holds a session until it is closed."""
        with self._bound("channel", deadline):
            self._take_turn(deadline)
            try:
                under = self._open_session(deadline)
                under.exec_command(_DIAL_STDIO)
            except BaseException:
                self._sessions.release()
                raise
        return self._channel(under, deadline, self._sessions.release)

    def _explain(self, refusal: ChannelRefused, socket_path: str, deadline: float) -> None:
        """All refusals of sshd look alike, so look at the socket: raises unless it is there and ours."""
        why = self.run_argv(["/bin/sh", "-c", _WHY_REFUSED, "sh", socket_path], deadline=deadline).exit_status
        if why == 10:
            raise ChannelRefused(
                Cause.DOCKER_STOPPED, where=self.name, why=f"there is no socket {socket_path}"
            ) from refusal
        if why == 11:
            raise ChannelRefused(
                Cause.DOCKER_PERMISSION, where=self.name, why=f"the user may not open {socket_path}"
            ) from refusal


def _send(channel: Any, pieces: Iterable[bytes]) -> None:
    """A command may end without reading them; how it ended says more than an error here would."""
    for piece in pieces:
        try:
            channel.sendall(piece)
        except OSError:
            return
    with suppress(OSError):
        end_input(channel)


def _put(sftp: Any, data: bytes, path: str, *, mode: int, where: str) -> None:
    temporary = f"{path}.{secrets.token_hex(4)}"
    try:
        with sftp.open(temporary, "wx") as file:
            file.chmod(mode)
            file.set_pipelined()
            file.write(data)
        sftp.posix_rename(temporary, path)
    except OSError as error:
        if error.errno is None and "dropped" in str(error):
            raise
        with suppress(OSError):
            sftp.remove(temporary)
        raise CubeError(f"cannot write {path}", where=where, why=error.strerror or str(error)) from error
