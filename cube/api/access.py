"""Who may do what: pure. A token has a role, a request asks for one."""

from dataclasses import dataclass

from cube.model.token import Role

READING = frozenset({"GET", "HEAD"})
ASKING = ("/api/v1/parse", "/api/v1/plan", "/api/v1/simulate")
"""What is sent there changes nothing."""

ADMINISTRATION = ("/api/v1/tokens",)
ACTING = ("/exec", "/content", "/push", "/lend")
"""Ends of paths that are read from, and act, or hand out what tasks have written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who sends a request; `name` is told with every event that it brings about."""

    name: str
    role: Role


def role_for(method: str, path: str) -> Role:
    """The role that a request needs: to read what is read, to operate what changes something."""
    if path.startswith(ADMINISTRATION):
        return Role.ADMIN
    if path.endswith(ACTING):
        return Role.OPERATE
    return Role.READ if method in READING or path in ASKING else Role.OPERATE
