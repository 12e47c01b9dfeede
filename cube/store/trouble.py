"""SQLite's errors as Cube's: who is in the way, what is damaged, and the way back."""

import sqlite3

from cube.errors import CubeError, InputError, InternalError, LockedError
from cube.store.database import UnreadableError

RESTORE = (
    "put a backup in its place (`cube state backup` makes them), or move it away and run Cube again: "
    "a new state begins, and what runs on the fleet is left as it is"
)


class Explained:
    """Whatever SQLite raises inside leaves as a CubeError that names the file `where`."""

    def __init__(self, where: str) -> None:
        self._where = where

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if error is not None and (told := explained(error, self._where)):
            raise told from error


def explained(error: BaseException, where: str) -> CubeError | None:
    """What SQLite raised, as Cube's; None for what it did not."""
    if isinstance(error, UnreadableError):
        return damaged(where, str(error))
    return _explanation(error, where) if isinstance(error, sqlite3.Error) else None


def _explanation(error: sqlite3.Error, where: str) -> CubeError:
    name = getattr(error, "sqlite_errorname", "").removeprefix("SQLITE_")
    why = str(error)
    match name.split("_")[0]:
        case "BUSY" | "LOCKED":
            cure = "another process is writing or copying it; try again when that has ended"
            return LockedError("the state file is busy", where=where, why=why, cure=cure)
        case "CORRUPT" | "NOTADB":
            return damaged(where, why)
        case "FULL" | "IOERR":
            cure = "nothing of this change was recorded; make room on that disk, then run the command again"
            return CubeError("the state file cannot be written", where=where, why=why, cure=cure)
        case "CANTOPEN" | "READONLY" | "PERM" | "AUTH":
            cure = "see that the file and its directory exist, are yours, and may be written"
            return InputError("the state file cannot be used", where=where, why=why, cure=cure)
        case _:
            return InternalError(
                "the state file refused a statement", where=where, why=f"{name} {why}".strip()
            )


def damaged(where: str, why: str) -> InputError:
    """The refusal of a file that was a state once and cannot be trusted any more."""
    return InputError("the state file is damaged", where=where, why=why, cure=RESTORE)
