"""Token: what a request to a manager shows, and what it may do with it."""

import hashlib
from dataclasses import dataclass
from enum import StrEnum

PREFIX = "cube_"
"""What every token begins with, so that one that was published by mistake is found."""


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


def digest_of(secret: str) -> str:
    """Enough for a secret of 256 random bits: nobody can try them all, however fast the hash is."""
    return hashlib.sha256(secret.encode()).hexdigest()
