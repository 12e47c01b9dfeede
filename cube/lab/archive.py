"""Files as a tar: what the engine takes for a build, and for a container's disk."""

import io
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """One file of root's; `path` from the root of where it is unpacked."""

    path: str
    mode: int
    content: bytes = field(repr=False)


def archive(files: Iterable[File]) -> bytes:
    """A tar whose bytes depend on these files alone."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for file in files:
            entry = tarfile.TarInfo(file.path)
            entry.size, entry.mode = len(file.content), file.mode
            tar.addfile(entry, io.BytesIO(file.content))
    return buffer.getvalue()
