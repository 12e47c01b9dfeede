"""Ingress: which requests from outside are a group's, and how a proxy is to treat them."""

from dataclasses import dataclass
from enum import StrEnum


class Tls(StrEnum):
    """Whether requests must come by TLS. OPTIONAL: both ways are served, as far as the proxy has them.

    REQUIRED: a plain request is sent on to https. ACME: that, and the proxy gets the hosts' certificates.
    """

    OPTIONAL = "optional"
    REQUIRED = "required"
    ACME = "acme"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ingress:
    """Which requests from outside are a group's: those to one of `hosts` (empty: to any) at or below `path`.

    They go to its port of that name. Times are in seconds: `hsts` is for how long browsers are to come by TLS
    alone (0: nothing is said), `connect` how long a task may take to accept, `response` to answer.
    `sticky`: who comes again gets to the same task while that serves. Until a new version is promoted, its
    canaries get `canary_weight` percent of the requests; None: as many as any other task.
    """

    port: str
    hosts: tuple[str, ...] = ()
    path: str = "/"
    tls: Tls = Tls.OPTIONAL
    hsts: float = 0.0
    sticky: bool = False
    connect: float = 2.0
    response: float = 30.0
    canary_weight: int | None = None
