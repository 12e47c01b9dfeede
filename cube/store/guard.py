"""The connection as the store's methods use it: one thread at a time, and SQLite's errors as Cube's."""

import sqlite3
from threading import RLock

from cube.store.trouble import Explained


class Guard:
    """`with guard as connection`: nobody else uses it meanwhile; what SQLite raises leaves as a CubeError."""

    def __init__(self, connection: sqlite3.Connection, where: str) -> None:
        self._connection = connection
        self._alone = RLock()
        self._explained = Explained(where)

    def __enter__(self) -> sqlite3.Connection:
        self._alone.acquire()
        return self._connection

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self._alone.release()
        self._explained.__exit__(kind, error, trace)
