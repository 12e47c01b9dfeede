"""Where a process touches the world, wrapped: each effect reports the points that it passes."""

import builtins
import fcntl
import http.client
import io
import os
import re
import sqlite3
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import wraps
from pathlib import Path
from typing import Any

from cube.connection import Answer
from cube.connection.script import RUN_WORDS
from cube.connection.ssh import Connection
from cube.worker import belongings, delivered, probe

Pass = Callable[[str], None]
"""Called with the point's name when it is reached."""

_WRITES = ("COMMIT", "INSERT", "UPDATE", "DELETE", "REPLACE", "CREATE", "ALTER", "DROP")
_STORE = str(Path("cube", "store", "store.py"))
_CHANGES = {belongings.WRITE: "write files", belongings.REMOVE: "remove files"}
_LOOKS = (probe.SCRIPT, delivered.SCRIPT, RUN_WORDS)
_BY_CHANCE = re.compile(r"(?<=\.known_hosts-)\w+|(?<=\.secrets\.key\.)\w+|[^.]+(?=\.db)")


def wrap(reach: Pass) -> None:
    """Wrap transactions, requests to engines, scripts on nodes, files and locks, for the process's life."""
    connect = sqlite3.connect

    def watched(place: str, *, factory: type[sqlite3.Connection], **options: Any) -> sqlite3.Connection:
        return connect(place, factory=_telling(factory, reach), **options)

    sqlite3.connect = watched  # type: ignore[assignment]
    _wrap_requests(reach)
    _wrap_scripts(reach)
    calls = [(os, name) for name in ("mkdir", "link", "replace", "rename", "unlink")]
    for module, name in (*calls, (fcntl, "flock")):
        setattr(module, name, _around(reach, getattr(module, name), lambda *_, **__: True))
    os.open = _around(reach, os.open, lambda _path, flags, *_, **__: flags & (os.O_CREAT | os.O_TRUNC))
    writing = _around(reach, io.open, lambda _path, mode="r", *_, **__: set(mode) & set("wax+"))
    io.open = builtins.open = writing


def _telling(factory: type[sqlite3.Connection], reach: Pass) -> type[sqlite3.Connection]:
    class Connection(factory):  # type: ignore[misc,valid-type]
        """Tells of every statement that makes changes last: a COMMIT, or a write outside a transaction."""

        def execute(self, sql: str, *arguments: Any) -> sqlite3.Cursor:
            word = sql.split(maxsplit=1)[0].upper()
            does_last = word == "COMMIT" or (not self.in_transaction and word in _WRITES)
            name = f"{word} {_caller()}"
            if does_last:
                reach(f"{name}, before")
            cursor: sqlite3.Cursor = super().execute(sql, *arguments)
            if does_last:
                reach(f"{name}, after")
            return cursor

    return Connection


def _caller() -> str:
    """The public method of the store that the transaction is of."""
    frame = sys._getframe(2)
    while frame.f_back and not _is_of_the_store(frame.f_code.co_filename, frame.f_code.co_name):
        frame = frame.f_back
    return frame.f_code.co_name


def _is_of_the_store(file: str, name: str) -> bool:
    return file.endswith(_STORE) and not name.startswith("_")


def _wrap_requests(reach: Pass) -> None:
    """http.client is under the docker SDK and under Cube's own reading alike."""
    begin, answer = http.client.HTTPConnection.putrequest, http.client.HTTPConnection.getresponse
    asked: dict[int, str] = {}

    def putrequest(self: http.client.HTTPConnection, method: str, url: str, *rest: Any, **more: Any) -> None:
        if method not in ("GET", "HEAD"):
            asked[id(self)] = f"{method} {_without_ids(url)}"
            reach(f"{asked[id(self)]}, before")
        begin(self, method, url, *rest, **more)

    def getresponse(self: http.client.HTTPConnection) -> http.client.HTTPResponse:
        name = asked.pop(id(self), None)
        if name is None:
            return answer(self)
        reach(f"{name}, sent")
        response = answer(self)
        reach(f"{name}, answered")
        return response

    http.client.HTTPConnection.putrequest = putrequest  # type: ignore[method-assign]
    http.client.HTTPConnection.getresponse = getresponse  # type: ignore[method-assign]


def _wrap_scripts(reach: Pass) -> None:
    """A script changes a node's files as its stdin comes. One that is not known here is refused."""
    feed = Connection.feed

    def watched(self: Connection, script: str, pieces: Iterable[bytes], **options: Any) -> Answer:
        if script in _LOOKS:
            return feed(self, script, pieces, **options)
        name = _CHANGES[script]
        reach(f"{name}, before")
        answer = feed(self, script, _in_two(b"".join(pieces), name, reach), **options)
        reach(f"{name}, answered")
        return answer

    Connection.feed = watched  # type: ignore[method-assign]


def _in_two(sent: bytes, name: str, reach: Pass) -> Iterator[bytes]:
    half = len(sent) // 2
    yield sent[:half]
    reach(f"{name}, half sent")
    yield sent[half:]
    reach(f"{name}, sent")


def _without_ids(url: str) -> str:
    """The path without version, ids and query: the same in every run."""
    words = re.sub(r"^/v[\d.]+", "", url.partition("?")[0]).split("/")
    return "/".join("*" if len(word) > 20 else word for word in words)


def _around(reach: Pass, call: Callable[..., Any], matters: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(call)
    def around(*arguments: Any, **options: Any) -> Any:
        if not matters(*arguments, **options):
            return call(*arguments, **options)
        name = f"{call.__name__} {_target(*arguments)}"
        reach(f"{name}, before")
        found = call(*arguments, **options)
        reach(f"{name}, after")
        return found

    return around


def _target(first: object, *_: object) -> str:
    """The file's name without what is drawn by chance; a descriptor has none."""
    return _BY_CHANCE.sub("*", Path(first).name) if isinstance(first, str | os.PathLike) else "lock"
