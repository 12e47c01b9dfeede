"""The link to a manager's API: requests with their deadlines, and its problem documents as errors."""

import json
from collections.abc import Generator, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlencode, urlsplit

from cube.errors import CubeError, InputError, InternalError, LockedError, UnreachableError

PATIENCE = 60.0
"""Seconds that any single answer may take; a stream sends something more often than that."""

PIECE = 1 << 18
"""Bytes of an answer that are in memory at a time."""

MESSAGE = 1 << 24
"""Bytes that one message of a websocket may have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """Where a manager is, and what to show it. `authority`: the certificates to trust; None: the system's.

    `patience`: seconds for which an answer, or its next piece, is waited for.
    """

    url: str
    token: str = field(default="", repr=False)
    authority: Path | None = None
    patience: float = PATIENCE

    @property
    def is_local(self) -> bool:
        """It is on this machine: what is sent there crosses no network. Raises InputError as `check`."""
        return _is_local(str(self._parts().hostname))

    def check(self) -> None:
        """Raises InputError where nothing can be asked so, or not safely. Asks nobody."""
        if self._parts().scheme == "https":
            self._trusted()

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

    def put(self, path: str, pieces: Iterator[bytes], size: int) -> Any:
        """What a PUT of so many bytes answers, of which few are in memory at a time.

        Raises as `get`, and what `pieces` raises.
        """
        given = {"Content-Type": "application/octet-stream", "Content-Length": str(size)}
        return self._read(self._response("PUT", path, pieces, given))

    def lines(self, path: str, **query: object) -> Iterator[bytes]:
        """The lines of an answer as they come. Raises as `get`."""
        given = {name: value for name, value in query.items() if value is not None}
        from http.client import HTTPException

        response = self._response("GET", path + (f"?{urlencode(given)}" if given else ""))
        try:
            yield from iter(response.readline, b"")
        except (OSError, HTTPException) as error:
            raise self.lost(str(error) or type(error).__name__) from error
        finally:
            response.close()

    def pieces(self, path: str) -> Generator[bytes, None, None]:
        """The bytes of an answer as they come. Raises as `get`; UnreachableError where it is cut short."""
        from http.client import HTTPException

        response = self._response("GET", path)
        try:
            while piece := response.read(PIECE):
                yield piece
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
        from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus
        from websockets.sync.client import connect

        parts = self._parts()
        url = parts._replace(scheme=parts.scheme.replace("http", "ws"), path=f"{parts.path}/api/v1{path}")
        try:
            with connect(
                url.geturl(), ssl=self._trusted() if parts.scheme == "https" else None, proxy=None,
                additional_headers={"Authorization": f"Bearer {self.token}"} if self.token else {},
                compression=None, open_timeout=self.patience, max_size=MESSAGE,
            ) as socket:  # fmt: skip
                yield socket
        except InvalidStatus as error:
            raise error_of(bytes(error.response.body or b""), error.response.status_code, self.url) from None
        except (OSError, ConnectionClosed, InvalidHandshake) as error:
            raise self.lost(str(error) or type(error).__name__) from error

    def _ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        sent = None if body is None else json.dumps(body)
        return self._read(self._response(method, path, sent))

    def _read(self, response: Any) -> Any:
        from http.client import HTTPException

        try:
            text = response.read()
        except (OSError, HTTPException) as error:
            raise self.lost(str(error) or type(error).__name__) from error
        return json.loads(text) if text else None

    def _response(
        self,
        method: str,
        path: str,
        sent: str | Iterator[bytes] | None = None,
        given: Mapping[str, str] | None = None,
    ) -> Any:
        from http.client import HTTPException

        # One question each: the socket ends with its answer.
        headers = {"Content-Type": "application/json", "Connection": "close", **(given or {})}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        try:
            with ExitStack() as opened:
                connection = self._connection()
                opened.callback(connection.close)
                connection.connect()
                with suppress(OSError):  # who refuses it need not have read it all
                    connection.request(method, f"/api/v1{path}", sent, headers)
                response = connection.getresponse()
                if response.status < 400:
                    opened.pop_all()
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
            return HTTPConnection(parts.hostname, parts.port or 80, timeout=self.patience)
        trusted = self._trusted()
        return HTTPSConnection(parts.hostname, parts.port or 443, timeout=self.patience, context=trusted)

    def _parts(self) -> SplitResult:
        parts = _split(self.url)
        if parts.scheme == "http" and self.token and not _is_local(str(parts.hostname)):
            why = "everybody on the way could read the token"
            cure = "Write https://, or go there over SSH: ssh -L 7070:127.0.0.1:7070 HOST"
            raise InputError("a token is not sent in the clear", where=self.url, why=why, cure=cure)
        return parts

    def _trusted(self) -> Any:
        import ssl

        try:
            return ssl.create_default_context(cafile=self.authority)
        except OSError as error:
            what, why = "the certificates to trust cannot be read", error.strerror or str(error)
            raise InputError(what, where=str(self.authority), why=why) from None

    def lost(self, why: str) -> UnreachableError:
        """The manager is gone, or cannot be reached."""
        cure = "See that it runs and can be reached; what it was asked to do before goes on."
        return UnreachableError("the manager does not answer", where=self.url, why=why, cure=cure)


def _split(url: str) -> SplitResult:
    with suppress(ValueError):
        parts = urlsplit(url)
        if parts.scheme in ("http", "https") and parts.hostname and parts.port != 0:
            return parts
    raise InputError(f"{url!r} is no manager's address", cure="Write https://HOST:PORT.")


def _is_local(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


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
    kinds = {kind.exit_code: kind for kind in (InputError, UnreachableError, LockedError, InternalError)}
    return kinds.get(exit_code, CubeError)(
        what, where=words.get("where", ""), why=words.get("why", ""), cure=words.get("cure", "")
    )
