"""Where a state is kept: in a file, in memory, or at a server that speaks PostgreSQL's protocol."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from urllib.parse import SplitResult, parse_qsl, unquote, urlencode, urlsplit

SCHEMES = ("postgresql://", "postgres://")

SECRETS = frozenset({"password", "sslpassword"})
"""Parameters of such a URL that nobody is shown."""


@dataclass(frozen=True, slots=True)
class Server:
    """A database at a server, by its URL; shown, it is without its passwords."""

    url: str = field(repr=False)

    def __str__(self) -> str:
        parts = self._parts
        user, at, host = parts.netloc.rpartition("@")
        shown = [(name, value) for name, value in parse_qsl(parts.query) if name not in SECRETS]
        query = f"?{urlencode(shown, safe='/')}" if shown else ""
        return f"{parts.scheme}://{user.partition(':')[0]}{at}{host}{parts.path}{query}"

    @property
    def passwords(self) -> tuple[str, ...]:
        """What must never be shown."""
        parts = self._parts
        user, _, _ = parts.netloc.rpartition("@")
        told = unquote(user.partition(":")[2])
        asked = [value for name, value in parse_qsl(parts.query) if name in SECRETS]
        return tuple(secret for secret in (told, *asked) if secret)

    @property
    def _parts(self) -> SplitResult:
        """What cannot be taken apart is not shown at all: nobody knows where its password stands."""
        try:
            return urlsplit(self.url)
        except ValueError:
            return urlsplit(SCHEMES[0])


StatePlace = Path | Server | Literal[":memory:"]


def place_of(text: str) -> StatePlace:
    """The place that a person named: a URL, `:memory:`, or else a file's path."""
    if text == ":memory:":
        return ":memory:"
    return Server(text) if text.startswith(SCHEMES) else Path(text)
