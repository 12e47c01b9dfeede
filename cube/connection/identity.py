"""The key that we show: a named file, the agent's copy of it, or what the agent offers. Never a password."""

import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from cube.connection.deadline import after, beside
from cube.connection.failure import ConnectionFailed
from cube.connection.library import paramiko
from cube.connection.route import Target
from cube.model.observation import Cause

MAX_OFFERED = 5
"""Keys offered to one node: sshd's MaxAuthTries is 6, and using it up counts as an attack."""

_AGENT_PATIENCE = 5.0
_PUBLIC = (b"ssh-", b"ecdsa-", b"sk-")
_MAX_KEY_FILE = 64 * 1024


@contextmanager
def identities(name: str, target: Target, defaults: Sequence[Path], deadline: float) -> Iterator[list[Any]]:
    """The keys to offer to the target: one where a file is named, else the agent's and the default one.

    Agent keys sign through the agent's socket, which is theirs until the block ends.
    Raises ConnectionFailed(KEY_FILE) where there is nothing to offer, with the reason.
    """
    with _agent(deadline) as held:
        if target.identities or not held:
            yield [_named(name, target.identities or defaults, held)]
        else:
            yield [*held[: MAX_OFFERED - 1], *_usable(name, defaults)]


def _named(name: str, files: Sequence[Path], held: Sequence[Any]) -> Any:
    """The key of the first file that exists, taken from the agent where the file alone cannot be used."""
    file = next((file for file in files if file.exists()), None)
    if file is None:
        tried = ", ".join(map(str, files)) or "no file"
        raise ConnectionFailed(
            Cause.KEY_FILE, where=name, why=f"there is no key: {tried}, and none in an agent"
        )
    return load_key(name, file, held)


def _usable(name: str, files: Sequence[Path]) -> list[Any]:
    """The key of the first file that exists, or none: nobody has asked for it by name."""
    with suppress(ConnectionFailed):
        return [_named(name, files, ())]
    return []


def load_key(name: str, file: Path, held: Sequence[Any] = ()) -> Any:
    """The private key in a file. Raises ConnectionFailed(KEY_FILE) with what is wrong with it."""
    text = _read(name, file)
    if text.startswith(_PUBLIC):
        return _agents_copy(name, file, text, held)
    try:
        return paramiko.PKey.from_path(file)
    except (paramiko.PasswordRequiredException, TypeError):
        return _agents_copy(name, file, _public_half(file), held)
    except (paramiko.SSHException, ValueError, OSError, KeyError) as error:
        why = "a PuTTY key: convert it with puttygen" if text.startswith(b"PuTTY") else "not a private key"
        raise _unusable(name, file, why) from error


def _read(name: str, file: Path) -> bytes:
    """The file's content, if ssh would take it. Never blocks, whatever the file is."""
    try:
        with open(file, "rb", opener=_without_waiting) as opened:
            about = os.fstat(opened.fileno())
            if not stat.S_ISREG(about.st_mode):
                raise _unusable(name, file, "not a regular file")
            text = opened.read(_MAX_KEY_FILE)
    except OSError as error:
        raise _unusable(name, file, error.strerror or "cannot be read") from error
    if about.st_uid == os.getuid() and about.st_mode & 0o077 and not text.startswith(_PUBLIC):
        raise _unusable(name, file, "others may read it", cure=f"chmod 600 {file}")
    return text


def _without_waiting(path: str, flags: int) -> int:
    """Opens a pipe without waiting for its writer."""
    return os.open(path, flags | os.O_NONBLOCK)


def _public_half(file: Path) -> bytes:
    """The public key beside a private one that is encrypted."""
    with suppress(OSError):
        return Path(f"{file}.pub").read_bytes()
    return b""


def _agents_copy(name: str, file: Path, public: bytes, held: Sequence[Any]) -> Any:
    """The agent's key with that public half."""
    words = public.split()
    for key in held:
        if len(words) > 1 and key.get_base64().encode() == words[1]:
            return key
    why = "it is encrypted or a public key, and ssh-agent does not hold its private half"
    raise _unusable(name, file, why, cure=f"ssh-add {str(file).removesuffix('.pub')}")


def _unusable(name: str, file: Path, why: str, cure: str = "") -> ConnectionFailed:
    return ConnectionFailed(Cause.KEY_FILE, where=name, why=f"{file}: {why}", cure=cure)


@contextmanager
def _agent(deadline: float) -> Iterator[list[Any]]:
    """The agent's keys; none where there is no agent, or one that is dead or silent.

    Each connection asks anew: one agent socket cannot be shared by threads.
    """
    try:
        agent = beside(paramiko.Agent, min(deadline, after(_AGENT_PATIENCE)))
    except (paramiko.SSHException, OSError):
        yield []
        return
    try:
        yield list(agent.get_keys())
    finally:
        agent.close()
