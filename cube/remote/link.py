"""The link to a manager's API: requests with their deadlines, and its problem documents as errors."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlencode, urlsplit

from cube.errors import CubeError, InputError, LockedError, UnreachableError

PATIENCE = 60.0
"""Seconds that any single answer may take; a stream sends something more often than that."""

MESSAGE = 1 << 24
"""Bytes that one message of a websocket may have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """Where a manager is, and what to show it. `authority`: the certificates to trust; None: the system's."""

    url: str
    token: str = field(default="", repr=False)
    authority: Path | None = None

    def get(self, path: str, **query: object) -> Any:
        """What a GET answers. Raises what the command itself would have raised there."""
        given = {name: value for name, value in query.items() if value is not None}
        return self._ask("GET", path + (f"?{urlencode(given)}" if given else ""))

    def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """What a POST answers. Raises as `get`."""
        return self._ask("POST", path, body)

    def delete(self, path: str) -> Any:
        """What a DELETE answers. Raises as `get`."""
        return self._ask("DELETE", path)

    def lines(self, path: str, **query: object) -> Iterator[bytes]:
        """The lines of an answer as they come. Raises as `get`."""
        given = {name: value for name, value in query.items() if value is not None}
        from http.client import HTTPException

        response = self._response("GET", path + (f"?{urlencode(given)}" if given else ""), None)
        try:
            yield from iter(response.readline, b"")
        except (OSError, HTTPException) as error:
            raise self.lost(str(error) or type(error).__name__) from error
        finally:
            response.close()

    def stream(self, path: str) -> Iterator[tuple[str, Any]]:
        """Server-sent events, each with its kind and its data."""
        kind = ""
        for line in self.lines(path):
            name, _, value = line.decode("utf-8", "replace").rstrip("\n").partition(": ")
            if name == "event":
                kind = value
            elif name == "data":
                yield kind, json.loads(value)

    @contextmanager
    def socket(self, path: str) -> Iterator[Any]:
        """A websocket there, open while the block runs. Raises as `get`."""
        from websockets.exceptions import InvalidHandshake, InvalidStatus
        from websockets.sync.client import connect

        parts = self._parts()
        url = parts._replace(scheme=parts.scheme.replace("http", "ws"), path=f"{parts.path}/api/v1{path}")
        try:
            with connect(
                url.geturl(), ssl=self._trusted() if parts.scheme == "https" else None, proxy=None,
                additional_headers={"Authorization": f"Bearer {self.token}"} if self.token else {},
                compression=None, open_timeout=PATIENCE, max_size=MESSAGE,
            ) as socket:  # fmt: skip
                yield socket
        except InvalidStatus as error:
            raise error_of(bytes(error.response.body or b""), error.response.status_code, self.url) from None
        except (OSError, InvalidHandshake) as error:
            raise self.lost(str(error) or type(error).__name__) from error

    def _ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        from http.client import HTTPException

        response = self._response(method, path, body)
        try:
            text = response.read()
        except (OSError, HTTPException) as error:
            raise self.lost(str(error) or type(error).__name__) from error
        return json.loads(text) if text else None

    def _response(self, method: str, path: str, body: Mapping[str, Any] | None) -> Any:
        from http.client import HTTPException

        sent = None if body is None else json.dumps(body)
        # One question each: the socket ends with its answer.
        headers = {"Content-Type": "application/json", "Connection": "close"}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        try:
            connection = self._connection()
            connection.request(method, f"/api/v1{path}", sent, headers)
            response = connection.getresponse()
            if response.status < 400:
                return response
            text = response.read()
        except (OSError, HTTPException) as error:
            raise self.lost(str(error) or type(error).__name__) from error
        raise error_of(text, response.status, self.url)

    def _connection(self) -> Any:
        from http.client import HTTPConnection, HTTPSConnection

        parts = self._parts()
        assert parts.hostname is not None
        if parts.scheme == "http":
            return HTTPConnection(parts.hostname, parts.port or 80, timeout=PATIENCE)
        trusted = self._trusted()
        return HTTPSConnection(parts.hostname, parts.port or 443, timeout=PATIENCE, context=trusted)

    def _parts(self) -> SplitResult:
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise InputError(f"{self.url!r} is no manager's address", cure="Write https://HOST:PORT.")
        return parts

    def _trusted(self) -> Any:
        import ssl

        return ssl.create_default_context(cafile=self.authority)

    def lost(self, why: str) -> UnreachableError:
        """The manager is gone, or cannot be reached."""
        cure = "See that it runs and can be reached; what it was asked to do before goes on."
        return UnreachableError("the manager does not answer", where=self.url, why=why, cure=cure)


def error_of(text: bytes, status: int, where: str) -> CubeError:
    """What a problem document tells of, as the command itself would have raised it."""
    try:
        data = json.loads(text)
        words = {key: str(data.get(key, "")) for key in ("where", "why", "cure")}
        return raised(str(data["detail"]), int(data["exit_code"]), words)
    except (ValueError, KeyError, TypeError, AttributeError):
        said = text[:200].decode("utf-8", "replace")
        return CubeError(f"the manager answered {status}", where=where, why=said)


def raised(what: str, exit_code: int, words: Mapping[str, str]) -> CubeError:
    """The error of that exit code."""
    kinds: Mapping[int, type[CubeError]] = {2: InputError, 3: UnreachableError, 4: LockedError}
    return kinds.get(exit_code, CubeError)(
        what, where=words.get("where", ""), why=words.get("why", ""), cure=words.get("cure", "")
    )
