"""Image: what a node's engine, or the operator's, has to make containers from."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """One image of an engine: `names` as `name:tag`, or with a digest; times in seconds since the epoch.

    `size` in bytes, as the engine counts it: layers that it shares with others included.
    """

    id: str
    names: tuple[str, ...]
    size: int
    created_at: float


def full_name(name: str) -> str:
    """The name as engines list it: without a tag it is `latest`, without a registry Docker's own.

    An id, or a name with a digest, stays as it is.
    """
    if name.startswith("sha256:") or "@" in name:
        return name
    short = name.removeprefix("docker.io/").removeprefix("library/")
    return short if ":" in short.rpartition("/")[2] else f"{short}:latest"
