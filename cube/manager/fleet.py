"""The workers of a cluster: one for each node, none connected before it is used."""

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from cube.connection import after
from cube.connection.dialer import Dialer, Trust
from cube.connection.ssh import Connection
from cube.image.own import OwnEngine
from cube.image.shelf import Shelf, Source
from cube.manager.served import nobody
from cube.manager.templates import Serving, rendered
from cube.model.node import Cluster, Node
from cube.worker.belongings import Ask, no_secrets
from cube.worker.container import Claim
from cube.worker.tree import Tree
from cube.worker.worker import Worker

CONNECT = 15.0
"""Seconds from the first packet to an authenticated connection, throttled handshakes included."""

KNOWN_HOSTS = "known_hosts"

OWN = OwnEngine()
"""The engine of this machine, where it usually listens."""


@contextmanager
def open_workers(  # noqa: PLR0913 - what a worker is given, each a seam of its own
    cluster: Cluster,
    *,
    owner: str,
    epoch: int,
    state_dir: Path,
    images: Source = OWN,
    secret: Ask = no_secrets,
    serving: Serving = nobody,
) -> Iterator[Mapping[str, Worker]]:
    """A worker for each node of the cluster, by name. Their connections end with the block.

    `images` has those that they push; `secret` who tells secrets;
    `serving` who serves now, for the files of a task that is started.
    """
    claim = Claim(cluster=cluster.name, owner=owner, epoch=epoch)
    tree = Tree() if cluster.image_tree else None
    with Dialer(trust_in(state_dir)) as dialer, Shelf(images) as shelf:
        workers = {
            node.name: Worker(
                node,
                opener(dialer, node),
                claim,
                shelf=shelf,
                tree=tree,
                secret=secret,
                render=partial(rendered, cluster, node, serving),
                registries=cluster.registries,
            )
            for node in cluster.nodes
        }
        try:
            yield workers
        finally:
            with ThreadPoolExecutor(max_workers=16) as pool:
                list(pool.map(Worker.close, workers.values()))


def opener(dialer: Dialer, node: Node) -> Callable[[], Connection]:
    """What opens a connection to the node."""
    return partial(_connect, dialer, node)


def _connect(dialer: Dialer, node: Node) -> Connection:
    return dialer.connect(node.name, node.access, deadline=after(CONNECT))


def trust_in(state_dir: Path) -> Trust:
    """The host keys that Cube pinned, then the operator's own; the operator's ssh_config and keys."""
    ssh = Path.home() / ".ssh"
    return Trust(
        known_hosts=(state_dir / KNOWN_HOSTS, ssh / "known_hosts"),
        ssh_config=ssh / "config",
        home=Path.home(),
        identities=tuple(ssh / name for name in ("id_ed25519", "id_ecdsa", "id_rsa")),
    )
