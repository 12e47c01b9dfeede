"""What is sent as it comes: who may, how much, for how long, and what is left where it is cut short."""

import hashlib
import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from websockets.sync.client import connect

from cube.api import upload
from cube.api.doors import UPLOADS
from cube.errors import CubeError, InputError
from cube.image import shelf
from cube.image.own import NoEngineError, OwnEngine
from cube.image.recipe import Recipe
from cube.manager.images import Pushed
from cube.manager.tokens import make_token
from cube.manager.volumes import Content
from cube.model.volume import Tree
from cube.remote.hand import RemoteVolumes
from cube.remote.link import Link
from cube.remote.pushing import pushed_through
from tests.imagery import digest, image, layer
from tests.stage import staged
from tests.test_api import Api, api_over

PATH = "/nodes/node1/volumes/web-data/content"
NOTHING = Tree(digest=hashlib.sha256().hexdigest(), files=0, size=0)
LAYER = layer({"bin/app": hashlib.shake_256(b"app").digest(1_500_000)})
ASKED = urlencode({"digest": NOTHING.digest, "files": 0, "size": 0})


@pytest.fixture
def api() -> Iterator[Api]:
    with staged() as stage, api_over(stage) as found:
        yield found


@contextmanager
def begun(api: Api, token: str, size: int = 1000) -> Iterator[HTTPConnection]:
    """Some of so many bytes were sent, and taken."""
    connection = HTTPConnection("127.0.0.1", api.port, timeout=20)
    connection.putrequest("PUT", f"/api/v1{PATH}?{ASKED}")
    connection.putheader("Authorization", f"Bearer {token}")
    connection.putheader("Content-Length", str(size))
    connection.endheaders(b"some")
    api.stage.until(lambda: "web-data" in api.stage.machines["node1"].volumes.half)
    yield connection
    connection.close()


def how_it_ended(api: Api) -> str:
    (operation,) = api.desk.operations.all()
    operation.wait(20)
    return str(operation.error)


def test_what_is_sent_is_no_longer_taken_once_its_token_is_revoked_p18(api: Api) -> None:
    token = make_token(api.stage.store, "short", "operate", good_for=60, actor="ann")
    bearer = {"Authorization": f"Bearer {token}"}
    api.stage.until(lambda: api.ask("GET", "/nodes", role="", **bearer).status == 200)
    with begun(api, token) as connection:
        assert api.ask("DELETE", "/api/v1/tokens/short").status == 204
        assert connection.getresponse().status == 401
    assert "it was cut short" in how_it_ended(api)
    assert api.stage.machines["node1"].volumes.half == {"web-data"}


def test_what_stalls_is_waited_for_so_long_and_no_longer(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upload, "STALL", 0.2)
    with begun(api, api.tokens["operate"]) as connection:
        response = connection.getresponse()
        assert (response.status, b"for 0.2 seconds nothing came" in response.read()) == (503, True)
    assert api.stage.machines["node1"].volumes.half == {"web-data"}


@pytest.mark.parametrize(("told", "status"), [
    ({"Content-Length": str(upload.MOST + 1)}, 413), ({"Transfer-Encoding": "chunked"}, 422),
])  # fmt: skip
def test_how_much_comes_is_told_before_and_is_not_without_end_p18(
    api: Api, told: dict[str, str], status: int
) -> None:
    connection = HTTPConnection("127.0.0.1", api.port, timeout=20)
    headers = {"Authorization": f"Bearer {api.tokens['operate']}", **told}
    connection.putrequest("PUT", f"/api/v1{PATH}?{ASKED}")
    for name, text in headers.items():
        connection.putheader(name, text)
    connection.endheaders()
    assert connection.getresponse().status == status
    connection.close()
    assert api.desk.operations.all() == ()


def test_only_so_many_are_sent_at_once_and_the_others_are_told_so(api: Api) -> None:
    for _ in range(UPLOADS):
        api.desk.doors.__enter__()
    answer = api.ask("PUT", f"/api/v1{PATH}?{ASKED}", "")
    assert (answer.status, "are being sent already" in answer.text) == (429, True)


def test_who_is_refused_while_much_is_sent_hears_why(api: Api) -> None:
    api.stage.machines["node1"].volumes.content["web-data"] = b"something"
    link = Link(url=f"http://127.0.0.1:{api.port}", token=api.tokens["operate"])
    size = 64 << 20
    content = Content(pieces=iter([bytes(1 << 18)] * (size >> 18)), size=size, tree=NOTHING)
    with pytest.raises(InputError, match="volume web-data is not empty"):
        RemoteVolumes(link, "/nodes/node1", lock_wait=0.0).fill("web-data", content, may_replace=False)
    assert next(content.pieces, None) is not None, "it was not sent to its end"
    reader = Link(url=link.url, token=api.tokens["read"])
    with pytest.raises(CubeError, match="this token may not do that"):
        RemoteVolumes(reader, "/nodes/node1", lock_wait=0.0).fill("web-data", content, may_replace=False)


class Engine(OwnEngine):
    """This machine's engine, with one image; `broken`: it goes away while it gives that out."""

    def __init__(self, *, broken: bool = False) -> None:
        super().__init__("/nowhere")
        self.saves = 0
        self._broken = broken

    def needed(self, name: str) -> Recipe:
        return Recipe(name=name, id="sha256:a", layers=(digest(LAYER),))

    @contextmanager
    def saved(self, name: str) -> Iterator[Any]:
        self.saves += 1
        yield io.BytesIO(image(name, (LAYER,)))
        if self._broken:
            raise NoEngineError("this machine's Docker engine does not answer")


def pushed(api: Api, engine: Engine, *nodes: str, role: str = "operate") -> list[Pushed]:
    link = Link(url=f"http://127.0.0.1:{api.port}", token=api.tokens[role])
    with pushed_through(link, engine, "web:1", nodes, lambda _node, _sent, _size: None) as results:
        return sorted(results, key=lambda found: found.node)


def test_an_image_is_sent_once_for_all_nodes_and_not_where_none_lacks_it(
    api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shelf, "SPACE", str(tmp_path))
    engine = Engine()
    found = pushed(api, engine, "node1", "node2")
    assert [(each.node, each.delivered and each.delivered.layers) for each in found] == [
        ("node1", 1), ("node2", 1)
    ]  # fmt: skip
    assert [api.stage.machines[name].images for name in ("node1", "node2", "node3")] == [
        ["web:1"], ["web:1"], []
    ]  # fmt: skip
    again = pushed(api, engine, "node1", "node2")
    assert [each.delivered and each.delivered.is_new for each in again] == [False, False]
    assert engine.saves == 1
    assert list(tmp_path.iterdir()) == []


def test_an_image_that_does_not_come_whole_is_on_no_node_p9(api: Api) -> None:
    with pytest.raises(NoEngineError):
        pushed(api, Engine(broken=True), "node1")
    api.stage.until(lambda: not [each for each in threading.enumerate() if "cube-push" in each.name])
    assert api.stage.machines["node1"].images == []


def test_only_who_may_operate_pushes_and_only_to_nodes_that_there_are(api: Api) -> None:
    with pytest.raises(InputError, match="there is no node 'nowhere'"):
        pushed(api, Engine(), "node1", "nowhere")
    with pytest.raises(CubeError, match="this token may not do that"):
        pushed(api, Engine(), "node1", role="read")
    assert api.stage.machines["node1"].images == []


@pytest.mark.parametrize("first", ["", "{", '{"name": "web:1"}', b"web:1"])
def test_a_first_word_that_offers_no_image_is_told_so(api: Api, first: str | bytes) -> None:
    token = {"Authorization": f"Bearer {api.tokens['operate']}"}
    url = f"ws://127.0.0.1:{api.port}/api/v1/images/push"
    with connect(url, additional_headers=token, proxy=None) as socket:
        socket.send(first)
        assert "the message cannot be used" in str(socket.recv())
