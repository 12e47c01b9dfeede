"""The connection as the store's methods use it: one thread at a time, and the engine's errors as Cube's."""

from threading import RLock

from cube.store.database import Database


class Guard:
    """`with guard as connection`: nobody else uses it meanwhile; the engine's errors leave as Cube's."""

    def __init__(self, connection: Database) -> None:
        self._connection = connection
        self._alone = RLock()

    def __enter__(self) -> Database:
        self._alone.acquire()
        return self._connection

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self._alone.release()
        if error is not None and (told := self._connection.explanation(error)):
            raise told from error
