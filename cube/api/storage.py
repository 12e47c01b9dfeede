"""What nodes keep: volumes with what tasks have written, and images."""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.responses import StreamingResponse

from cube.api.answers import OperationView
from cube.api.asking import accepted
from cube.api.desk import AtDesk, Desk, NotFoundError, Who, answer, known_node
from cube.api.problem import responses
from cube.api.schema import Filling
from cube.api.upload import MOST, Sent, Size
from cube.manager import volumes
from cube.manager.manager import Manager
from cube.manager.operations import Request as Asked
from cube.manager.seams import Attended, Hand
from cube.manager.turn import Run
from cube.model.volume import StoredVolume, Tree
from cube.worker.volumes import LONGEST

TAR = "application/x-tar"
BYTES = "application/octet-stream"

router = APIRouter(tags=["nodes"])
uploads = APIRouter(tags=["nodes"], max_body_size=MOST)

Node = Annotated[str, Path(max_length=255, description="The node's name.")]
Volume = Annotated[str, Path(max_length=255, description="The volume's name.")]
LockWait = Annotated[float, Query(ge=0, le=3600, description="Seconds to wait for another Cube.")]
FAILS = responses(404, 409, 422, 423)


@router.get("/nodes/{node}/volumes", response_model=list[StoredVolume], responses=FAILS)
def list_volumes(desk: AtDesk, node: Node) -> Response:
    """The volumes of a node's engine, and who has them; the engine is asked."""
    return answer(_hand(desk, node).volumes.all())


@router.get(
    "/nodes/{node}/volumes/{volume}/content",
    responses={200: {"content": {TAR: {"schema": {"type": "string"}}}}, **FAILS},
    response_class=StreamingResponse,
)
def read_volume(desk: AtDesk, node: Node, volume: Volume) -> Response:
    """What is in a volume, as a tar. One that is cut short ends without its last chunk."""
    hand, opened = _hand(desk, node), ExitStack()
    pieces = opened.enter_context(hand.volumes.read(_known(hand, node, volume).name))

    def sent() -> Iterator[bytes]:
        with opened:
            yield from pieces

    return StreamingResponse(sent(), media_type=TAR)


@uploads.put(
    "/nodes/{node}/volumes/{volume}/content",
    status_code=202,
    response_model=OperationView,
    responses=FAILS,
    openapi_extra={
        "requestBody": {"content": {BYTES: {"schema": {"type": "string"}}}, "required": True},
    },
)
def fill_volume(
    desk: AtDesk, who: Who, request: Request, sent: Sent, size: Size, node: Node, volume: Volume,
    asked: Annotated[Filling, Query()],
) -> Response:  # fmt: skip
    """Fill a volume, a new one if need be, from a tar, also one as gzip, in which all is under `data/`.

    Answered once all of it has been taken; the operation ends once it was read back and compared. Refused
    where something that runs uses the volume, and where it is not empty.
    """
    hand = _hand(desk, node)

    def fill(manager: Manager, run: Run) -> None:
        def pieces() -> Iterator[bytes]:
            yield from sent.pieces()
            run.recorded()

        tree = Tree(digest=asked.digest, files=asked.files, size=asked.size)
        content = volumes.Content(pieces=pieces(), size=size, tree=tree)
        volumes.fill(hand, manager.store, (node, volume), content, may_replace=asked.replace)

    what = f"restore {volume} on {node}"
    with desk.doors:
        begun = desk.operations.begin(
            Asked(what=what, actor=who.name, timeout=LONGEST, wait=asked.lock_wait), fill
        )
        begun.wait_recorded(LONGEST)
    if begun.error is not None:
        raise begun.error
    return accepted(request, begun)


@router.delete("/nodes/{node}/volumes/{volume}", status_code=204, responses=FAILS)
def remove_volume(desk: AtDesk, node: Node, volume: Volume, lock_wait: LockWait = 0.0) -> Response:
    """Remove a volume from a node with all that is in it; one that a container has stays."""
    hand = _hand(desk, node)
    with desk.service.holding.held(wait=lock_wait):
        volumes.remove(hand, desk.manager.store, _known(hand, node, volume))
    return Response(status_code=204)


@router.delete("/nodes/{node}/images", status_code=204, responses=FAILS)
def remove_image(
    desk: AtDesk,
    node: Node,
    reference: Annotated[str, Query(min_length=1, max_length=512, description="A name, or an id.")],
    lock_wait: LockWait = 0.0,
) -> Response:
    """Take a name from its image on a node, and remove an image that has no other; by an id, the image."""
    hand = _hand(desk, node)
    with desk.service.holding.held(wait=lock_wait):
        hand.remove_image(reference)
    return Response(status_code=204)


def _known(hand: Hand, node: str, name: str) -> StoredVolume:
    """Raises NotFoundError for a volume that is not there."""
    found = next((each for each in hand.volumes.all() if each.name == name), None)
    if found is None:
        raise NotFoundError(f"there is no volume {name!r}", where=node, cure="See: cube volume ls")
    return found


def _hand(desk: Desk, node: str) -> Attended:
    return desk.service.workers[known_node(desk, node).name]
