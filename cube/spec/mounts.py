"""What a task may mount: named volumes, and paths of the node that give no hold over it."""

import posixpath
import re

from cube.document.check import shown

_VOLUME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{1,127}")
_PATH = re.compile(r"(/[^/:\x00-\x1f\x7f]+)+/?|/")

DENIED_SOURCES = (
    "/etc", "/proc", "/sys", "/dev", "/boot", "/root", "/run", "/var/run",
    "/var/lib/docker", "/var/lib/containerd",
)  # fmt: skip
READABLE = ("/etc/localtime", "/etc/timezone")
"""Files of the node that say nothing but its time zone; a task may read them."""

_DENIED_TARGETS = ("/", "/proc", "/sys", "/dev")


def split(text: str) -> dict[str, str]:
    """`source:target`, or with `:ro` or `:rw` after it, as the three keys of a volume."""
    parts = text.split(":")
    modes = {"ro": "true", "rw": "false"}
    if len(parts) == 2:
        return {"source": parts[0], "target": parts[1]}
    if len(parts) == 3 and parts[2] in modes:
        return {"source": parts[0], "target": parts[1], "read_only": modes[parts[2]]}
    raise ValueError(f"{shown(text)} is no volume; write source:target or source:target:ro")


def source(text: str) -> str:
    """The name of a volume, or an absolute path on the node outside of what runs the node."""
    if "/" not in text and not text.startswith((".", "~")):
        if not _VOLUME.fullmatch(text):
            raise ValueError(f"{shown(text)} is no volume; write 2 to 128 letters, digits, '.', '_' and '-'")
        return text
    path = _absolute(text)
    if path in READABLE:
        return path
    if denied := next((path_ for path_ in DENIED_SOURCES if _overlap(path, path_)), None):
        raise ValueError(f"{shown(text)} cannot be mounted: with {denied}, a task could take over the node")
    if path.endswith(".sock"):
        raise ValueError(f"{shown(text)} cannot be mounted: with a socket, a task could command what listens")
    return path


def target(text: str) -> str:
    """An absolute path within the container, outside of what the kernel serves there."""
    path = _absolute(text)
    if path in _DENIED_TARGETS or path.startswith(("/proc/", "/sys/")):
        raise ValueError(f"nothing can be mounted at {shown(text)} of a container")
    return path


def _absolute(text: str) -> str:
    if len(text) > 1024 or not _PATH.fullmatch(text) or {".", ".."} & set(text.split("/")):
        raise ValueError(f"{shown(text)} is no absolute path without '.', '..', '//' and ':'")
    return posixpath.normpath(text)


def _overlap(path: str, denied: str) -> bool:
    """Whether one is the other, or lies within it: mounting /var mounts /var/run too."""
    return f"{path.rstrip('/')}/".startswith(f"{denied}/") or f"{denied}/".startswith(f"{path.rstrip('/')}/")
