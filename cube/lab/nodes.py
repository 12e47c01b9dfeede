"""The nodes of a lab on their engine: seen, made, kept, removed."""

import socket
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
from docker.models.containers import Container
from docker.models.networks import Network

from cube.lab.archive import archive
from cube.lab.faults import heal
from cube.lab.fleet import LabNode, LabSpec, Reach
from cube.lab.keys import make_pair
from cube.lab.machine import accepted_files, grantable_capabilities, host_files, host_options
from cube.lab.network import LAB, address_of, reach_of
from cube.lab.ready import is_ready

NUMBER = "cube.lab.node"
HOST_KEY = "cube.lab.host-key"

_AT_ONCE = 8  # nodes handled at the same time; more gain nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """Where a lab's nodes are made, from which image, and the public key that they let in."""

    client: docker.DockerClient
    network: Network
    image: str
    accepted: str

    @property
    def reach(self) -> Reach:
        """How this lab's nodes are reached, as its network remembers it."""
        return reach_of(self.network)


def nodes_of(client: docker.DockerClient, network: Network) -> tuple[LabNode, ...]:
    """The nodes on that lab's network as they are now, by number."""
    containers = _containers(client, network)
    reach = reach_of(network)
    return tuple(_node(each, reach) for each in sorted(containers, key=lambda each: int(each.labels[NUMBER])))


def make_nodes(site: Site, spec: LabSpec, numbers: Iterable[int]) -> None:
    """Make and start the nodes of those numbers; they are not waited for."""
    host = host_options(
        spec,
        cgroup_version=site.client.info().get("CgroupVersion", "1"),
        capabilities=grantable_capabilities(Path("/proc/self/status").read_text()),
    )
    _at_once(lambda number: _make(site, number, host), numbers)


def keep_nodes(site: Site, nodes: Iterable[LabNode]) -> None:
    """Heal the nodes that are not well, and have them all let in whoever holds the lab's key now."""
    _at_once(lambda node: _keep(site, node), nodes)


def remove_nodes(client: docker.DockerClient, network: Network) -> None:
    """Remove every node on that lab's network, with its disk."""
    _at_once(lambda container: container.remove(force=True, v=True), _containers(client, network))


def _make(site: Site, number: int, host: dict[str, Any]) -> None:
    """The host key is ours, so that the inventory can pin it before the first contact."""
    pair, name, network = make_pair(), f"node{number}", str(site.network.name)
    port = {"22/tcp": [{"HostIp": "127.0.0.1", "HostPort": str(_free_port())}]}
    endpoint = {"IPAMConfig": {"IPv4Address": address_of(site.network, number)}}
    site.client.api.create_container(
        site.image,
        name=f"{network}-{name}",
        hostname=name,
        labels={LAB: site.network.attrs["Labels"][LAB], NUMBER: str(number), HOST_KEY: pair.public},
        host_config={
            **host,
            "NetworkMode": network,
            "PortBindings": port if site.reach == "loopback" else {},
        },
        networking_config={"EndpointsConfig": {network: endpoint}},
    )
    container = site.client.containers.get(f"{network}-{name}")
    container.put_archive("/", archive(host_files(pair) + accepted_files(site.accepted)))
    container.start()


def _keep(site: Site, node: LabNode) -> None:
    if node.state != "running" or not is_ready(node):
        heal(site.client, node)
    site.client.containers.get(node.container).put_archive("/", archive(accepted_files(site.accepted)))


def _node(container: Container, reach: Reach) -> LabNode:
    number = int(container.labels[NUMBER])
    address, port = _door(container.attrs, reach)
    return LabNode(
        name=f"node{number}",
        number=number,
        container=str(container.name),
        address=address,
        port=port,
        datacenter=f"dc{2 - number % 2}",
        rack=f"r{(number + 3) // 4}",
        host_key=container.labels[HOST_KEY],
        state=container.status,
    )


def _door(attrs: dict[str, Any], reach: Reach) -> tuple[str, int]:
    """Where the node's sshd is reached: known from what was asked for, so that a dead node has it, too."""
    if reach == "loopback":
        return "127.0.0.1", int(attrs["HostConfig"]["PortBindings"]["22/tcp"][0]["HostPort"])
    (endpoint,) = attrs["NetworkSettings"]["Networks"].values()
    return endpoint["IPAMConfig"]["IPv4Address"], 22


def _free_port() -> int:
    """A port chosen here and not by the engine, which would choose another one at every start."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _containers(client: docker.DockerClient, network: Network) -> list[Container]:
    label = f"{LAB}={network.attrs['Labels'][LAB]}"
    return client.containers.list(all=True, filters={"label": label}, ignore_removed=True)


def _at_once(work: Callable[[Any], None], items: Iterable[Any]) -> None:
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        list(pool.map(work, items))
