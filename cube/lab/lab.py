"""Bring a lab up, look at it, take it down. Labels of its network and nodes say what a lab is."""

import re
from collections.abc import Callable
from pathlib import Path

import docker
from docker.models.networks import Network

from cube.errors import InputError
from cube.lab.fleet import Lab, LabSpec
from cube.lab.image import node_image
from cube.lab.inventory import inventory_text
from cube.lab.keys import keep_pair
from cube.lab.network import INVENTORY, REACH, find_network, make_network
from cube.lab.nodes import Site, keep_nodes, make_nodes, nodes_of, remove_nodes
from cube.lab.ready import wait_until_ready

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,30}")
_MOST_NODES = 1000  # that a lab's network has addresses for


def up(client: docker.DockerClient, spec: LabSpec, *, cache: Path, say: Callable[[str], None]) -> Lab:
    """The lab that `spec` asks for: missing nodes made, hurt ones healed, all ready, the inventory written.

    `cache` is a folder for what is worth keeping; `say` is told every long step before it is taken.
    Raises InputError for a spec that cannot be, CubeError where a node does not come up.
    """
    _check(spec)
    known = look(client, spec.name)
    present = known.nodes if known else ()
    missing = sorted(set(range(1, spec.nodes + 1)) - {node.number for node in present})
    image = node_image(client, spec.debian, cache=cache, say=say) if missing else ""
    network = _network(client, spec)
    key = keep_pair(Lab(name=spec.name, inventory=spec.inventory).key)
    site = Site(client=client, network=network, image=image, accepted=key.public)
    say(f"starting {len(missing)} of {spec.nodes} nodes" if missing else "all nodes are there")
    keep_nodes(site, present)
    make_nodes(site, spec, missing)
    lab = Lab(name=spec.name, inventory=spec.inventory, nodes=nodes_of(client, network))
    for node in lab.nodes:
        wait_until_ready(client, node)
    spec.inventory.write_text(inventory_text(lab))
    return lab


def look(client: docker.DockerClient, name: str) -> Lab | None:
    """The lab of that name as it is now; None where there is none."""
    network = find_network(client, name)
    if network is None:
        return None
    inventory = Path(network.attrs["Labels"][INVENTORY])
    return Lab(name=name, inventory=inventory, nodes=nodes_of(client, network))


def down(client: docker.DockerClient, name: str) -> bool:
    """Remove the lab: nodes, disks, network, keys and inventory; False where there was no such lab."""
    network = find_network(client, name)
    if network is None:
        return False
    lab = Lab(name=name, inventory=Path(network.attrs["Labels"][INVENTORY]))
    remove_nodes(client, network)
    network.remove()
    for path in (lab.inventory, lab.key, lab.key.with_suffix(".pub")):
        path.unlink(missing_ok=True)
    if lab.folder.is_dir() and not any(lab.folder.iterdir()):
        lab.folder.rmdir()
    return True


def _check(spec: LabSpec) -> None:
    if not _NAME.fullmatch(spec.name):
        raise InputError(
            f"'{spec.name}' cannot name a lab",
            cure="use up to 31 of a-z, 0-9 and -, starting with a letter or digit",
        )
    if not 1 <= spec.nodes <= _MOST_NODES:
        raise InputError(f"a lab of {spec.nodes} nodes cannot be", cure=f"ask for 1 to {_MOST_NODES}")


def _network(client: docker.DockerClient, spec: LabSpec) -> Network:
    """The lab's network, made where there is none. Raises InputError where the lab is up in another way."""
    wanted = {INVENTORY: str(spec.inventory), REACH: spec.reach}
    network = find_network(client, spec.name) or make_network(client, spec.name, wanted)
    for label, value in wanted.items():
        if network.attrs["Labels"][label] != value:
            raise InputError(
                f"the lab '{spec.name}' is up already, with {network.attrs['Labels'][label]} and not {value}",
                cure=f"take it down first (cube lab down --name {spec.name}), or choose another --name",
            )
    return network
