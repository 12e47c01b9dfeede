"""The engine that the lab's nodes run on: the one that is named, never one that a context points to."""

from collections.abc import Iterator
from contextlib import contextmanager

import docker
from docker.errors import DockerException
from requests.exceptions import RequestException

from cube.errors import CubeError

LOCAL = "unix:///var/run/docker.sock"
_DEADLINE = 60  # seconds, for each call


@contextmanager
def engine(url: str = LOCAL) -> Iterator[docker.DockerClient]:
    """A client of the engine at `url`; what the engine refuses inside the block becomes a CubeError."""
    client = _connect(url)
    try:
        yield client
    except (DockerException, RequestException) as error:
        raise CubeError("Docker could not do it", where=url, why=str(error)) from error
    finally:
        client.close()


def _connect(url: str) -> docker.DockerClient:
    try:
        return docker.DockerClient(base_url=url, timeout=_DEADLINE, max_pool_size=16)
    except (DockerException, RequestException) as error:
        raise CubeError(
            "no Docker engine answers, and a lab needs one",
            where=url,
            why=_reason(error),
            cure="run scripts/setup, which installs and starts one; or name another with --engine",
        ) from error


def _reason(error: Exception) -> str:
    text = str(error)
    if "Permission denied" in text:
        return "permission denied on its socket (become root, or a member of the group docker)"
    if "FileNotFoundError" in text or "No such file" in text:
        return "its socket does not exist (not installed, or not running)"
    if "Connection refused" in text:
        return "connection refused (not running)"
    return text
