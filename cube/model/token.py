"""Token: what a request to a manager shows, and what it may do with it."""

import hashlib
import re
from dataclasses import dataclass
from enum import StrEnum

from cube.errors import InputError

_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)

PREFIX = "cube_"
"""What every token begins with, so that one that was published by mistake is found."""

LONGEST = 10 * 366 * 86_400.0
"""Seconds for which a token may be good."""


class Role(StrEnum):
    """READ: look at everything. OPERATE: also change what runs. ADMIN: also give and take tokens."""

    READ = "read"
    OPERATE = "operate"
    ADMIN = "admin"

    def may(self, other: "Role") -> bool:
        """It includes the other one."""
        order = tuple(Role)
        return order.index(self) >= order.index(other)


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """What is kept of a token: whose it is, and its hash, never itself. Times in seconds since the epoch."""

    name: str
    role: Role
    digest: str
    created_at: float
    expires_at: float
    actor: str

    def admits(self, secret: str, now: float) -> bool:
        """The secret is the one that the token was made with, and it is still good."""
        return digest_of(secret) == self.digest and now < self.expires_at


def named(name: str, role: str) -> tuple[str, Role]:
    """A token's name and role, as somebody wrote them. Raises InputError for what is none."""
    if not _NAME.fullmatch(name):
        cure = "Write 1 to 64 letters, digits, '.', '_' and '-'."
        raise InputError(f"{name!r} is no name for a token", cure=cure)
    if role not in tuple(Role):
        raise InputError(f"there is no role {role!r}", cure=f"Known: {', '.join(Role)}.")
    return name, Role(role)


def lasting(seconds: float) -> float:
    """For how long a token is to be good, as somebody wrote it. Raises InputError for what no token is."""
    if not 0 < seconds <= LONGEST:
        cure = f"Write more than 0 seconds, and at most {LONGEST / 86_400:.0f}d."
        raise InputError("no token is good for so long", cure=cure)
    return seconds


def digest_of(secret: str) -> str:
    """Enough for a secret of 256 random bits: nobody can try them all, however fast the hash is."""
    return hashlib.sha256(secret.encode()).hexdigest()
