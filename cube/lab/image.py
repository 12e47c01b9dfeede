"""The image that nodes are made from: built once, and again only when what it is made of changes."""

import fcntl
import hashlib
import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path

import docker

from cube.errors import CubeError
from cube.lab.archive import File, archive
from cube.lab.debian import debian_image, has_image
from cube.lab.fleet import Debian


def node_image(
    client: docker.DockerClient, debian: Debian, *, cache: Path, say: Callable[[str], None]
) -> str:
    """The tag of the node image, built where it is missing. Raises CubeError with the build's last words."""
    context = build_context()
    tag = f"cube-node:{debian}-{hashlib.sha256(context).hexdigest()[:12]}"
    if not has_image(client, tag):
        with _alone(cache):
            if not has_image(client, tag):
                base = debian_image(client, debian, cache=cache, say=say)
                say("building the node image (sshd, Docker, demo images; about half a minute, once)")
                _build(client, context=context, tag=tag, base=base)
    return tag


def build_context() -> bytes:
    """The Dockerfile and what it copies, as a tar."""
    folder = resources.files("cube.lab") / "node"
    files = sorted(folder.iterdir(), key=lambda file: file.name)
    return archive(File(path=file.name, mode=0o755, content=file.read_bytes()) for file in files)


@contextmanager
def _alone(cache: Path) -> Iterator[None]:
    """Of two labs that come up at once, the second waits for the first one's image."""
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "node-image.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _build(client: docker.DockerClient, *, context: bytes, tag: str, base: str) -> None:
    steps = client.api.build(
        fileobj=io.BytesIO(context),
        custom_context=True,
        tag=tag,
        buildargs={"BASE": base},
        rm=True,
        decode=True,
    )
    output = ""
    for step in steps:
        output += step.get("stream", "")
        if "error" in step:
            raise CubeError(
                "the node image could not be built",
                why="\n".join([*output.splitlines()[-10:], step["error"]]),
            )
