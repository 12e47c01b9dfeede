"""The Debian that nodes are made from: pulled where a registry answers, else made here and kept."""

import os
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import docker
from docker.errors import DockerException, ImageNotFound
from requests.exceptions import RequestException

from cube.errors import CubeError
from cube.lab.fleet import Debian

SUITES: Mapping[Debian, str] = {"12": "bookworm", "13": "trixie"}
_MAKE_DEADLINE = 600  # seconds


def debian_image(
    client: docker.DockerClient, debian: Debian = "12", *, cache: Path, say: Callable[[str], None]
) -> str:
    """The tag of an image of that Debian that the engine holds. Raises CubeError where none can be had."""
    pulled, made = f"debian:{debian}-slim", f"cube-debian:{debian}"
    for tag in (pulled, made):
        if has_image(client, tag):
            return tag
    if _registry_answers(client, pulled):
        say(f"pulling {pulled} because every node is made from it")
        client.images.pull(pulled)
        return pulled
    archive = cache / f"debian-{debian}.tar"
    if not archive.exists():
        if not shutil.which("mmdebstrap"):
            _install_mmdebstrap(pulled, say)
        say(f"making a Debian {debian} with mmdebstrap: {pulled} cannot be pulled (half a minute, once)")
        _make(archive, SUITES[debian])
    client.api.import_image_from_file(str(archive), *made.split(":"))
    return made


def has_image(client: docker.DockerClient, tag: str) -> bool:
    """Whether the engine holds that image."""
    try:
        client.images.get(tag)
    except ImageNotFound:
        return False
    return True


def _registry_answers(client: docker.DockerClient, image: str) -> bool:
    """Asked first, because the SDK's pull knows no deadline."""
    try:
        client.images.get_registry_data(image)
    except (DockerException, RequestException):
        return False
    return True


def _make(archive: Path, suite: str) -> None:
    archive.parent.mkdir(parents=True, exist_ok=True)
    unfinished = archive.with_name(f"unfinished-{os.getpid()}.tar")
    _run(["mmdebstrap", "--variant=minbase", suite, str(unfinished)])
    unfinished.rename(archive)


def _install_mmdebstrap(image: str, say: Callable[[str], None]) -> None:
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise CubeError(
            f"{image} cannot be pulled, and mmdebstrap, which could make it, is not installed",
            cure=f"install mmdebstrap, or load a {image} image into the engine",
        )
    say(f"installing mmdebstrap because {image} cannot be pulled")
    _run(["apt-get", "update", "-q"])
    _run(["apt-get", "install", "-qy", "--no-install-recommends", "mmdebstrap", "debian-archive-keyring"])


def _run(command: Sequence[str]) -> None:
    done = subprocess.run(  # noqa: S603 - the commands above, no user's word in them
        command, capture_output=True, text=True, timeout=_MAKE_DEADLINE, check=False
    )
    if done.returncode:
        raise CubeError(f"{command[0]} failed", why="\n".join(done.stderr.splitlines()[-10:]))
