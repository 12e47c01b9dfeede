"""The network of a lab: it keeps each node's address over kills and starts, and remembers what the lab is."""

from collections.abc import Mapping
from ipaddress import IPv4Network

import docker
from docker.errors import APIError
from docker.models.networks import Network
from docker.types import IPAMConfig, IPAMPool

from cube.errors import CubeError
from cube.lab.fleet import Reach

LAB = "cube.lab"
INVENTORY = "cube.lab.inventory"
REACH = "cube.lab.reach"

_POOL = IPv4Network("10.213.0.0/16")  # cut into pieces of a thousand nodes


def find_network(client: docker.DockerClient, lab: str) -> Network | None:
    """The lab's network; None where there is no such lab."""
    return next(iter(client.networks.list(filters={"label": f"{LAB}={lab}"}, greedy=True)), None)


def make_network(client: docker.DockerClient, lab: str, labels: Mapping[str, str]) -> Network:
    """A network of its own for the lab, in the first piece of the pool that the engine accepts."""
    for subnet in _POOL.subnets(new_prefix=22):
        ipam = IPAMConfig(pool_configs=[IPAMPool(subnet=str(subnet))])
        try:
            return client.networks.create(
                f"cube-{lab}", ipam=ipam, labels={LAB: lab, **labels}, check_duplicate=True
            )
        except APIError as error:
            if "overlap" not in str(error):
                raise
    raise CubeError(f"every part of {_POOL} is taken", cure="take labs down with `cube lab down --name NAME`")


def address_of(network: Network, number: int) -> str:
    """The address of the lab's node of that number; the first address of the network is the host's."""
    subnet = IPv4Network(network.attrs["IPAM"]["Config"][0]["Subnet"])
    return str(subnet[number + 1])


def reach_of(network: Network) -> Reach:
    """How the nodes of the lab on that network are reached."""
    return "loopback" if network.attrs["Labels"][REACH] == "loopback" else "bridge"
