"""An image of this machine's engine to nodes, through a manager: sent once, and only where one lacks it."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from websockets.sync.client import ClientConnection

from cube.image.own import OwnEngine
from cube.manager.images import Pushed, Tell
from cube.model.codec import from_data, to_data
from cube.remote.link import PIECE, Link, raised
from cube.volume.tree import packed
from cube.worker.delivery import Delivered


@contextmanager
def pushed_through(
    link: Link, engine: OwnEngine, name: str, nodes: Sequence[str], tell: Tell
) -> Iterator[Iterator[Pushed]]:
    """As `cube.manager.images.pushed_from`."""
    recipe = engine.needed(name)
    with link.socket("/images/push") as socket:
        socket.send(json.dumps({**to_data(recipe), "nodes": list(nodes)}))
        yield _heard(socket, engine, name, tell)


def _heard(socket: ClientConnection, engine: OwnEngine, name: str, tell: Tell) -> Iterator[Pushed]:
    """What the manager says, until it ends; what it wants meanwhile it is sent."""
    while not (said := json.loads(socket.recv())).get("end"):
        if "detail" in said:
            raise raised(said["detail"], said["exit_code"], said)
        if "wants" in said:
            send(socket, engine, name)
        elif "sent" in said:
            tell(said["node"], said["sent"], said["size"])
        else:
            yield _pushed_of(said)


def send(socket: ClientConnection, engine: OwnEngine, name: str) -> None:
    """The image's bytes, as gzip, and the word that ends them. Raises CubeError, ConnectionClosed."""
    with engine.saved(name) as saved:
        for _ in packed(iter(partial(saved.read, PIECE), b""), socket.send):
            pass  # as it goes by it is compressed, and that is sent
    socket.send(json.dumps({"end": True}))


def _pushed_of(said: Mapping[str, Any]) -> Pushed:
    error, done = said["error"], said["delivered"]
    return Pushed(
        node=said["node"],
        delivered=from_data(Delivered, done) if done else None,
        error=raised(error["detail"], error["exit_code"], error) if error else None,
    )
