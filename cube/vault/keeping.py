"""Writing what only its owner is to read."""

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from cube.errors import CubeError


def write(file: Path, content: bytes) -> None:
    """In one step, for its owner alone, in place of what is there. Raises CubeError where it cannot be."""
    with _written(file, content) as whole:
        whole.replace(file)


def write_once(file: Path, content: bytes) -> None:
    """As `write`, unless the file is there: of those who make one at the same time only the first does."""
    with _written(file, content) as whole, suppress(FileExistsError):
        file.hardlink_to(whole)


@contextmanager
def alone(file: Path) -> Iterator[None]:
    """Whoever else asks for the same file waits meanwhile. Raises CubeError as `write`."""
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        opened = os.fdopen(os.open(file, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600), "wb")
    except OSError as error:
        raise _refusal(file, error) from None
    with opened:
        fcntl.flock(opened, fcntl.LOCK_EX)
        yield


@contextmanager
def _written(file: Path, content: bytes) -> Iterator[Path]:
    """The content in a file beside that one, for the block to put it there."""
    temporary = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with os.fdopen(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as opened_file:
            opened_file.write(content)
            opened_file.flush()
            os.fsync(opened_file.fileno())
        yield temporary
    except OSError as error:
        raise _refusal(file, error) from None
    finally:
        temporary.unlink(missing_ok=True)


def _refusal(file: Path, error: OSError) -> CubeError:
    why = (error.strerror or str(error)).lower()
    return CubeError("the file cannot be written", where=str(file), why=why)
