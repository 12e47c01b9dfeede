"""The vault: a secret by its name, from whichever source the project says it has."""

import hmac
import math
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from cube.errors import InputError
from cube.model.job import Job
from cube.model.secret import Secret
from cube.vault.source import Source, SourceKind

MAX_BYTES = 1 << 18
"""Of one secret."""

COMMAND_DEADLINE = 30.0
"""Seconds that a command may take to tell a secret: it may ask its own server."""

KEEPS = 60.0
"""Seconds for which a secret is remembered, so that fifty tasks do not ask fifty times."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Vault:
    """Where a project's secrets are: what its file of sources says, the encrypted file, and the environment.

    `sources` and `sealed` read those files, once they are needed. `folder` is where relative paths begin,
    `key` what fingerprints are made with.
    """

    sources: Callable[[], Mapping[str, Source]] = dict
    sealed: Callable[[], Mapping[str, str]] = dict
    environment: Mapping[str, str] = field(default_factory=dict)
    folder: Path = Path()
    key: Callable[[], bytes] = bytes
    where: str = "secrets"
    _kept: dict[str, tuple[float, Secret]] = field(default_factory=dict, compare=False, repr=False)
    _asking: dict[str, threading.Lock] = field(default_factory=dict, compare=False, repr=False)

    def get(self, name: str, fingerprint: str = "") -> Secret:
        """The secret as it was within the last minute; as it is now, where it had another fingerprint then.

        Raises InputError where there is none to be had.
        """
        now = time.monotonic()
        secret = self._since(now - KEEPS, name)
        if fingerprint and fingerprint != self._hashed(secret):
            return self._since(now, name)
        return secret

    def fingerprint(self, name: str) -> str:
        """A keyed hash of the secret as it is now, 16 hexadecimal digits. Raises as `get`.

        Without the key it says nothing of the value.
        """
        return self._hashed(self._since(time.monotonic(), name))

    def _since(self, moment: float, name: str) -> Secret:
        """The secret as it was then or later: who waited for another one's question takes its answer."""
        with self._asking.setdefault(name, threading.Lock()):
            asked, secret = self._kept.get(name, (-math.inf, None))
            if secret is None or asked < moment:
                asked, secret = time.monotonic(), Secret(name, usable(name, self._read(name), self.where))
                self._kept[name] = asked, secret
            return secret

    def _hashed(self, secret: Secret) -> str:
        said = secret.name.encode() + b"\0" + secret.reveal()
        return hmac.digest(self.key(), said, "sha256").hex()[:16]

    def _read(self, name: str) -> bytes:
        source = self.sources().get(name)
        if source is None:
            return self._unsealed(name)
        match source.kind:
            case SourceKind.ENV:
                return self._from_environment(name, source.value[0])
            case SourceKind.FILE:
                return self._from_file(name, source.value[0])
            case SourceKind.COMMAND:
                return self._from_command(name, source.value)

    def _unsealed(self, name: str) -> bytes:
        value = self.sealed().get(name)
        if value is None:
            cure = f"Set it: cube secret set {name}; or say in {self.where} where it comes from."
            raise InputError(f"there is no secret {name!r}", where=self.where, cure=cure)
        try:
            return value.encode()
        except UnicodeEncodeError:
            cure = f"Set it anew: cube secret set {name}"
            raise InputError(
                f"the secret {name!r} cannot be used", where=self.where, why="it is no text", cure=cure
            ) from None

    def _from_environment(self, name: str, variable: str) -> bytes:
        value = self.environment.get(variable)
        if value is None:
            raise InputError(
                f"the secret {name!r} cannot be had", where=self.where, why=f"${variable} is not set"
            )
        return value.encode("utf-8", "surrogateescape")

    def _from_file(self, name: str, path: str) -> bytes:
        try:
            with (self.folder / path).expanduser().open("rb") as file:
                return file.read(MAX_BYTES + 1)
        except (OSError, RuntimeError) as error:
            why = f"{path}: {getattr(error, 'strerror', None) or 'it cannot be read'}"
            raise InputError(f"the secret {name!r} cannot be had", where=self.where, why=why) from None

    def _from_command(self, name: str, argv: Sequence[str]) -> bytes:
        """What it prints, without the last line's end. What it complains of is not told: it may quote it."""
        trouble = f"the secret {name!r} cannot be had"
        try:
            done = subprocess.run(  # noqa: S603 - the program that the project's own file names, and no shell
                list(argv),
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=COMMAND_DEADLINE,
                check=False,
            )
        except subprocess.TimeoutExpired:
            why = f"{argv[0]} did not end within {COMMAND_DEADLINE:g} s"
            raise InputError(trouble, where=self.where, why=why) from None
        except OSError as error:
            why = f"{argv[0]}: {error.strerror}"
            raise InputError(trouble, where=self.where, why=why) from None
        if done.returncode != 0:
            why = f"{argv[0]} ended with status {done.returncode}"
            raise InputError(trouble, where=self.where, why=why, cure="Run it by hand.")
        return done.stdout.removesuffix(b"\n")


def usable(name: str, value: bytes, where: str) -> bytes:
    """The value, where it may be a secret's. Raises InputError for nothing and for too much."""
    if not value or len(value) > MAX_BYTES:
        why = "it is empty" if not value else f"it has more than {MAX_BYTES >> 10} KiB"
        raise InputError(f"the secret {name!r} cannot be used", where=where, why=why)
    return value


def fingerprinted(job: Job, vault: Vault) -> Job:
    """The job with a fingerprint of each secret of its. Raises InputError where one is not to be had."""
    names = {use.name for group in job.groups for use in group.spec.secrets}
    fingerprints = {name: vault.fingerprint(name) for name in sorted(names)}
    groups = tuple(
        replace(
            group,
            spec=replace(
                group.spec,
                secrets=tuple(replace(use, fingerprint=fingerprints[use.name]) for use in group.spec.secrets),
            ),
        )
        for group in job.groups
    )
    return replace(job, groups=groups)
