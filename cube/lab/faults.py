"""What happens to machines: power cuts, freezes, cut cables, dead engines; and how each is undone."""

import docker
from docker.errors import APIError
from docker.models.containers import Container

from cube.errors import CubeError
from cube.lab.fleet import LabNode
from cube.lab.ready import wait_until_ready

# Every packet of the node's only cable is dropped, silently, in both directions.
_CUT = """
iptables -w -t raw -I PREROUTING -i eth0 -j DROP
iptables -w -t raw -I OUTPUT -o eth0 -j DROP
"""
_MEND = """
while iptables -w -t raw -D PREROUTING -i eth0 -j DROP 2>/dev/null; do :; done
while iptables -w -t raw -D OUTPUT -o eth0 -j DROP 2>/dev/null; do :; done
"""
# The flag tells the node's boot script that the engine is to stay down.
_STOP_ENGINE = """
touch /run/engine-stopped
pkill -x dockerd || true
while pgrep -x dockerd >/dev/null; do sleep 0.05; done
"""
_START_ENGINE = """
rm -f /run/engine-stopped
until docker version >/dev/null 2>&1; do sleep 0.2; done
"""
_SCRIPT_DEADLINE = "30"  # seconds

_FREEZES = 5
"""Tries, until the kernel can freeze a node."""


def kill(client: docker.DockerClient, node: LabNode) -> None:
    """Cut the node's power: nothing on it gets a chance to end well. Its disk stays."""
    container = client.containers.get(node.container)
    if container.status == "paused":
        container.unpause()
    if container.status != "exited":
        container.kill()


def start(client: docker.DockerClient, node: LabNode) -> None:
    """Switch the node on, and return when it is ready; its address is the old one, its tasks are stopped."""
    client.containers.get(node.container).start()
    wait_until_ready(client, node)


def pause(client: docker.DockerClient, node: LabNode) -> None:
    """Freeze every process of the node: connections stay open, and nobody answers."""
    container = client.containers.get(node.container)
    if container.status == "running":
        _freeze(container)


def unpause(client: docker.DockerClient, node: LabNode) -> None:
    """Let the node run on as if no time had passed."""
    container = client.containers.get(node.container)
    if container.status == "paused":
        container.unpause()


def partition(client: docker.DockerClient, node: LabNode) -> None:
    """Cut the node off from everybody: what it runs goes on, and no packet passes."""
    _run(client, node, _CUT)


def stop_engine(client: docker.DockerClient, node: LabNode) -> None:
    """Stop the node's engine as an administrator would; its containers end with it, and it stays down."""
    _run(client, node, _STOP_ENGINE)


def start_engine(client: docker.DockerClient, node: LabNode) -> None:
    """Start the node's engine again, and return when it answers."""
    _run(client, node, _START_ENGINE)


def heal(client: docker.DockerClient, node: LabNode) -> None:
    """Undo every fault, and return when the node is ready."""
    unpause(client, node)
    if client.containers.get(node.container).status != "running":
        start(client, node)
    _run(client, node, _MEND + _START_ENGINE)
    wait_until_ready(client, node)


def _run(client: docker.DockerClient, node: LabNode, script: str) -> None:
    container = client.containers.get(node.container)
    done = container.exec_run(["timeout", _SCRIPT_DEADLINE, "sh", "-ec", script], stream=False)
    if done.exit_code:
        why = done.output.decode(errors="replace").strip() if isinstance(done.output, bytes) else ""
        raise CubeError("the node could not be changed", where=node.name, why=why)


def _freeze(container: Container) -> None:
    """The kernel refuses where a process is just being made, and a busy node makes many."""
    for left in reversed(range(_FREEZES)):
        try:
            container.pause()
        except APIError as error:
            if left == 0 or "unable to freeze" not in str(error):
                raise
        else:
            return
