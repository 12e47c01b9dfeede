"""Host keys: reading known_hosts as OpenSSH does, where a bad line hides no other, and pinning a key."""

import base64
import binascii
import fcntl
import fnmatch
import hashlib
import hmac
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cube.errors import CubeError, InputError

DEFAULT_PORT = 22

PATIENCE = 10.0
"""Seconds to wait for another process that pins a key in the same file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HostKey:
    """A public host key: its type, such as `ssh-ed25519`, and its bytes."""

    kind: str
    blob: bytes

    @property
    def base64(self) -> str:
        """The bytes as known_hosts writes them."""
        return base64.b64encode(self.blob).decode()

    @property
    def fingerprint(self) -> str:
        """`SHA256:...`, as ssh-keygen prints it."""
        digest = base64.b64encode(hashlib.sha256(self.blob).digest()).decode()
        return f"SHA256:{digest.rstrip('=')}"

    def __str__(self) -> str:
        """`ssh-ed25519 AAAA...`."""
        return f"{self.kind} {self.base64}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pins:
    """What is known of one host: keys to accept, keys that must never be accepted."""

    accepted: tuple[HostKey, ...] = ()
    revoked: tuple[HostKey, ...] = ()

    def admits(self, key: HostKey) -> bool:
        """Whether a host with that key is the one that is meant."""
        return key in self.accepted and key not in self.revoked


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One usable line: its marker (`@revoked`, `@cert-authority` or nothing), host patterns and key."""

    marker: str
    patterns: tuple[str, ...]
    key: HostKey


@dataclass(frozen=True, slots=True, kw_only=True)
class BadLine:
    """A line that was passed over, by its number from 1."""

    number: int
    why: str


def parse_key(text: str) -> HostKey:
    """`ssh-ed25519 AAAA... [comment]` as a key. Raises InputError."""
    kind, _, rest = text.strip().partition(" ")
    encoded = rest.split(maxsplit=1)[:1]
    try:
        return _key(kind, *encoded)
    except (TypeError, ValueError) as error:
        raise InputError(
            "not a public host key", why=f"{text[:40]!r}", cure="it looks like `ssh-ed25519 AAAAC3Nza...`"
        ) from error


def parse(text: str) -> tuple[list[Line], list[BadLine]]:
    """The lines of a known_hosts file, and those that cannot be used."""
    lines: list[Line] = []
    bad: list[BadLine] = []
    for number, raw in enumerate(text.splitlines(), start=1):
        words = raw.split()
        if not words or words[0].startswith("#"):
            continue
        try:
            lines.append(_line(words))
        except ValueError as error:
            bad.append(BadLine(number=number, why=str(error)))
    return lines, bad


def pins(lines: Iterable[Line], host: str, port: int) -> Pins:
    """What the lines say of host and port. Certificate authorities are not supported and pin nothing."""
    name = _name(host, port)
    matching = [line for line in lines if _matches(line.patterns, name)]
    return Pins(
        accepted=tuple(line.key for line in matching if not line.marker),
        revoked=tuple(line.key for line in matching if line.marker == "@revoked"),
    )


def load(files: Sequence[Path]) -> list[Line]:
    """The usable lines of all files that exist. Raises InputError for one that cannot be read."""
    return [line for file in files for line in parse(_read(file))[0]]


def pin(known_hosts: Path, host: str, port: int, key: HostKey) -> None:
    """Makes `key` the one key known for host and port; every other line stays as it is.

    The file is replaced as a whole, mode 0600: a crash leaves the old one or the new one. Two at once take
    turns. Raises CubeError.
    """
    file, name = known_hosts.resolve(), _name(host, port)  # a symbolic link stays one

    def pinned(text: str) -> str:
        kept = [line for line in text.splitlines() if not _is_superseded(line, name)]
        return "\n".join([*kept, f"{name} {key}", ""])

    _replace(file, pinned)


def _line(words: list[str]) -> Line:
    marker = words.pop(0) if words[0].startswith("@") else ""
    if marker not in ("", "@revoked", "@cert-authority"):
        raise ValueError(f"unknown marker {marker}")
    if len(words) < 3:
        raise ValueError("not `host type key`")
    return Line(marker=marker, patterns=tuple(words[0].split(",")), key=_key(words[1], words[2]))


def _key(kind: str, encoded: str) -> HostKey:
    try:
        blob = base64.b64decode(encoded, validate=True)
    except binascii.Error as error:
        raise ValueError("the key is not base64") from error
    # The blob begins with its own type: a cut or foreign one does not.
    length = int.from_bytes(blob[:4], "big")
    if blob[4 : 4 + length] != kind.encode() or len(blob) <= 4 + length:
        raise ValueError(f"the key is not of type {kind}")
    return HostKey(kind=kind, blob=blob)


def _name(host: str, port: int) -> str:
    return host.lower() if port == DEFAULT_PORT else f"[{host.lower()}]:{port}"


def _matches(patterns: Sequence[str], name: str) -> bool:
    wanted = [pattern for pattern in patterns if not pattern.startswith("!")]
    unwanted = [pattern[1:] for pattern in patterns if pattern.startswith("!")]
    return any(_match(p, name) for p in wanted) and not any(_match(p, name) for p in unwanted)


def _match(pattern: str, name: str) -> bool:
    if pattern.startswith("|1|"):
        return _matches_hash(pattern, name)
    # Only * and ? are wild in known_hosts; a bracket stands for itself.
    return fnmatch.fnmatchcase(name, pattern.lower().replace("[", "[[]"))


def _matches_hash(pattern: str, name: str) -> bool:
    try:
        salt, digest = (base64.b64decode(part, validate=True) for part in pattern.split("|")[2:])
    except ValueError:
        return False
    return hmac.compare_digest(hmac.digest(salt, name.encode(), "sha1"), digest)


def _is_superseded(line: str, name: str) -> bool:
    """Whether the line names that host alone, and gives it a key."""
    words = line.split()
    return len(words) >= 3 and not line.startswith(("@", "#")) and _names_only(words[0], name)


def _names_only(patterns: str, name: str) -> bool:
    return patterns.lower() == name or (patterns.startswith("|1|") and _matches_hash(patterns, name))


def _read(file: Path) -> str:
    try:
        return file.read_text("utf-8", "surrogateescape")
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise InputError("cannot read known hosts", where=str(file), why=error.strerror or "") from error


def _replace(file: Path, write: Callable[[str], str]) -> None:
    """Put what `write` makes of the file's text in its place."""
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = file.with_name(f".{file.name}-new")
        with _alone_with(draft) as handle:
            try:
                os.ftruncate(handle, 0)
                text = write(_read(file)).encode("utf-8", "surrogateescape")
                with os.fdopen(handle, "wb", closefd=False) as out:
                    out.write(text)
                os.fsync(handle)
                draft.replace(file)
            except BaseException:
                draft.unlink(missing_ok=True)
                raise
    except OSError as error:
        raise CubeError("cannot pin the host key", where=str(file), why=error.strerror or "") from error


@contextmanager
def _alone_with(draft: Path) -> Iterator[int]:
    """The draft, made or left by one that was killed, open and held alone. Raises OSError, CubeError.

    Its name is always the same, so that there is never more than one.
    """
    deadline = time.monotonic() + PATIENCE
    while True:
        handle = os.open(draft, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            if _lock(handle) and _is_at(handle, draft):
                yield handle
                return
        finally:
            os.close(handle)
        if time.monotonic() > deadline:
            why = f"another Cube has held {draft.name} for {PATIENCE:.0f} s"
            raise CubeError("cannot pin the host key", where=str(draft.parent), why=why, cure="Try again.")
        time.sleep(0.02)


def _lock(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_at(handle: int, path: Path) -> bool:
    """Whoever held it before may have put it in the place of the real file meanwhile."""
    try:
        return os.path.samestat(os.fstat(handle), path.lstat())
    except FileNotFoundError:
        return False
