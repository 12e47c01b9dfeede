"""The Debian that nodes are made from: pulled where a registry answers, else made here and kept."""

import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import docker
from docker.errors import DockerException, ImageNotFound
from requests.exceptions import RequestException

from cube.errors import CubeError

PULLED = "debian:12-slim"
MADE = "cube-debian:12"
_MAKE_DEADLINE = 600  # seconds


def debian_image(client: docker.DockerClient, *, cache: Path, say: Callable[[str], None]) -> str:
    """The tag of a Debian 12 image that the engine holds. Raises CubeError where none can be had."""
    for tag in (PULLED, MADE):
        if has_image(client, tag):
            return tag
    if _registry_answers(client):
        say(f"pulling {PULLED} because every node is made from it")
        client.images.pull(PULLED)
        return PULLED
    archive = cache / "debian-12.tar"
    if not archive.exists():
        _make(archive, say)
    client.api.import_image_from_file(str(archive), *MADE.split(":"))
    return MADE


def has_image(client: docker.DockerClient, tag: str) -> bool:
    """Whether the engine holds that image."""
    try:
        client.images.get(tag)
    except ImageNotFound:
        return False
    return True


def _registry_answers(client: docker.DockerClient) -> bool:
    """Asked first, because the SDK's pull knows no deadline."""
    try:
        client.images.get_registry_data(PULLED)
    except (DockerException, RequestException):
        return False
    return True


def _make(archive: Path, say: Callable[[str], None]) -> None:
    if not shutil.which("mmdebstrap"):
        _install_mmdebstrap(say)
    say(f"making a Debian 12 with mmdebstrap because {PULLED} cannot be pulled (about half a minute, once)")
    archive.parent.mkdir(parents=True, exist_ok=True)
    unfinished = archive.with_name(f"unfinished-{os.getpid()}.tar")
    _run(["mmdebstrap", "--variant=minbase", "bookworm", str(unfinished)])
    unfinished.rename(archive)


def _install_mmdebstrap(say: Callable[[str], None]) -> None:
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise CubeError(
            f"{PULLED} cannot be pulled, and mmdebstrap, which could make it, is not installed",
            cure="install mmdebstrap, or load a debian:12-slim image into the engine",
        )
    say(f"installing mmdebstrap because {PULLED} cannot be pulled")
    _run(["apt-get", "update", "-q"])
    _run(["apt-get", "install", "-qy", "--no-install-recommends", "mmdebstrap", "debian-archive-keyring"])


def _run(command: Sequence[str]) -> None:
    done = subprocess.run(  # noqa: S603 - the commands above, no user's word in them
        command, capture_output=True, text=True, timeout=_MAKE_DEADLINE, check=False
    )
    if done.returncode:
        raise CubeError(f"{command[0]} failed", why="\n".join(done.stderr.splitlines()[-10:]))
