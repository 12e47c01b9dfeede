"""Writing what only its owner is to read."""

import os
import secrets
from pathlib import Path

from cube.errors import CubeError


def write(file: Path, content: bytes) -> None:
    """In one step, for its owner alone. Raises CubeError where it cannot be."""
    temporary = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with os.fdopen(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as opened_file:
            opened_file.write(content)
            opened_file.flush()
            os.fsync(opened_file.fileno())
        temporary.replace(file)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        why = (error.strerror or str(error)).lower()
        raise CubeError("the file cannot be written", where=str(file), why=why) from None
