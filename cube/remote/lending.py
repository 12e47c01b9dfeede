"""Images of this machine's engine, lent to a manager while it is asked for something that may need them."""

import json
import threading
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection

from cube.errors import CubeError
from cube.image.own import OwnEngine
from cube.manager.stock import OwnStock
from cube.model.codec import to_data
from cube.model.image import full_name
from cube.model.job import Job
from cube.model.policy import Pull
from cube.remote.link import Link, raised
from cube.remote.pushing import send


def lendable(engine: str, jobs: Iterable[Job]) -> Mapping[str, str]:
    """The ids by full names, as in World, of the jobs' images that are there and may be pushed.

    `engine` is the socket of this machine's. One that does not answer has none.
    """
    names = {
        full_name(group.spec.image) for job in jobs for group in job.groups if group.pull is not Pull.ALWAYS
    }
    stock = OwnStock(OwnEngine(engine))() if names else {}
    return {name: stock[name] for name in sorted(names & stock.keys())}


@contextmanager
def lent(link: Link, socket: str, names: Collection[str]) -> Iterator[None]:
    """The manager has these images of the engine at that socket while the block runs. Raises CubeError."""
    if not names:
        yield
        return
    engine = OwnEngine(socket)
    offered = [to_data(engine.needed(name)) for name in names]
    opened = ExitStack()
    door = opened.enter_context(_lending(link, offered))
    threading.Thread(target=_give, args=(door, engine), name="cube-lending", daemon=True).start()
    try:
        yield
    finally:
        opened.close()  # what the block raises is not the door's


@contextmanager
def _lending(link: Link, offered: Sequence[Mapping[str, Any]]) -> Iterator[ClientConnection]:
    with link.socket("/images/lend") as socket:
        socket.send(json.dumps({"images": offered}))
        if "detail" in (said := json.loads(socket.recv())):
            raise raised(said["detail"], said["exit_code"], said)
        yield socket


def _give(socket: ClientConnection, engine: OwnEngine) -> None:
    """Send what is wanted, until nothing more can be; the push that wanted it tells how it ended."""
    with suppress(ConnectionClosed, OSError, CubeError):
        while "wants" in (said := json.loads(socket.recv())):
            send(socket, engine, said["wants"])
    socket.close()
