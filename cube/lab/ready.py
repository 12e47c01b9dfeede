"""Whether a node is ready: its sshd greets, which it does only after its engine and its images are there."""

import socket
import time

import docker

from cube.errors import CubeError
from cube.lab.fleet import LabNode

_PATIENCE = 1.0  # seconds, for one greeting
_PAUSE = 0.05  # seconds, between two tries
_DEADLINE = 90.0  # seconds, for a node to boot


def is_ready(node: LabNode) -> bool:
    """Whether the node's sshd greets within a second."""
    try:
        with socket.create_connection((node.address, node.port), timeout=_PATIENCE) as connection:
            return connection.recv(4) == b"SSH-"
    except OSError:
        return False


def wait_until_ready(client: docker.DockerClient, node: LabNode) -> None:
    """Return when the node is ready. Raises CubeError with its last words when it is not within 90 s."""
    deadline = time.monotonic() + _DEADLINE
    while not is_ready(node):
        container = client.containers.get(node.container)
        if container.status == "exited" or time.monotonic() > deadline:
            last_words = container.logs(tail=10).decode(errors="replace").strip()
            raise CubeError("the node did not come up", where=node.name, why=last_words)
        time.sleep(_PAUSE)
