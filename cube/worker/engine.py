"""Reading a node's Docker engine: plain HTTP over a channel of its SSH connection.

The docker SDK takes 200 ms to import, so what only looks does not use it (see effects.py for what acts).
Every answer is whole or an error: a listing that was cut short is never taken for a shorter one.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPResponse
from typing import Any, TypeVar
from urllib.parse import urlencode

from cube.connection import Channel
from cube.errors import CubeError, UnreachableError
from cube.image.recipe import images_of, listed
from cube.model.image import Image
from cube.model.job import TaskSpec
from cube.model.labels import CLUSTER, spec_of
from cube.model.observation import Container, ContainerState, Engine
from cube.worker.container import Json, container_of

Told = TypeVar("Told")

IMAGES = 2.0
"""Seconds that a look waits for the list of images."""

MAX_ANSWER = 32 * 1024 * 1024
"""Bytes. Ten thousand containers with full labels take a third of it."""


class EngineError(CubeError):
    """The engine refused, or answered what cannot be read. `status` is HTTP's, 0 where there is none."""

    def __init__(self, what: str, *, status: int = 0, why: str = "", cure: str = "") -> None:
        super().__init__(what, why=why, cure=cure)
        self.status = status


class EngineSilentError(UnreachableError):
    """The channel broke, or the engine did not answer in time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """The engine, every container on it, and the specs of those of our cluster that run, by container id.

    `images` and `volumes` None: it did not tell in time which it has.
    """

    engine: Engine
    containers: tuple[Container, ...]
    specs: Mapping[str, TaskSpec]
    images: tuple[Image, ...] | None
    volumes: tuple[str, ...] | None


def list_containers(channel: Channel, *, cluster: str) -> Listing:
    """What is on the node. Raises EngineError or EngineSilentError."""
    with conversation(channel) as connection:
        response, items = _get(connection, "/containers/json?all=1")
        images = _if_told(list_images, connection, channel)
        volumes = _if_told(list_volumes, connection, channel) if images is not None else None
    containers = _read(items)
    return Listing(
        engine=engine_of(response),
        containers=containers,
        specs=dict(_specs(items, containers, cluster)),
        images=images,
        volumes=volumes,
    )


def list_images(connection: HTTPConnection) -> tuple[Image, ...]:
    """Every image that the engine has. Raises EngineError."""
    items = get(connection, "/images/json")
    try:
        return images_of(items)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise EngineError("the list of images cannot be read", why=repr(error)) from error


def list_volumes(connection: HTTPConnection) -> tuple[str, ...]:
    """The names of the volumes that the engine has. Raises EngineError."""
    told = get(connection, "/volumes")
    try:
        return tuple(sorted(str(item["Name"]) for item in told["Volumes"] or ()))
    except (AttributeError, KeyError, TypeError) as error:
        raise EngineError("the list of volumes cannot be read", why=repr(error)) from error


def _if_told(
    ask: Callable[[HTTPConnection], Told], connection: HTTPConnection, channel: Channel
) -> Told | None:
    """An engine that measures a large store anew takes long over this, and nothing else depends on it."""
    channel.settimeout(IMAGES)
    try:
        return ask(connection)
    except (EngineError, OSError, EOFError, HTTPException):
        return None


def _read(items: Any) -> tuple[Container, ...]:
    try:
        return tuple(container_of(item) for item in listed(items))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise EngineError("the list of containers cannot be read", why=repr(error)) from error


def _specs(
    items: Sequence[Json], containers: Sequence[Container], cluster: str
) -> Iterator[tuple[str, TaskSpec]]:
    """A spec that cannot be read, of a newer Cube say, is left out: its container is listed all the same."""
    for item, container in zip(items, containers, strict=True):
        if container.state is ContainerState.RUNNING and is_ours(container, cluster):
            with suppress(KeyError, TypeError, ValueError):
                yield container.id, spec_of(item["Labels"])


def is_ours(container: Container, cluster: str) -> bool:
    """Cube made it, for that cluster."""
    return container.identity is not None and container.identity.cluster == cluster


def ping(channel: Channel) -> Engine:
    """Which engine answers. Raises EngineError or EngineSilentError."""
    with conversation(channel) as connection:
        return engine_of(_request(connection, "/_ping"))


def get_json(channel: Channel, path: str) -> Any:
    """What the engine answers to a GET of that path. Raises EngineError or EngineSilentError."""
    with conversation(channel) as connection:
        return get(connection, path)


def post_json(channel: Channel, path: str, body: Json) -> Any:
    """What the engine answers to a POST, None where it has nothing to say. Raises as `get_json`."""
    with conversation(channel) as connection:
        return post(connection, path, body)


def engine_of(response: HTTPResponse) -> Engine:
    """The engine as its headers name it; `Server: Docker/20.10.24 (linux)`."""
    server = response.headers.get("Server", "").split(" ")[0]
    return Engine(version=server.removeprefix("Docker/"), api_version=response.headers.get("Api-Version", ""))


def read_logs(
    channel: Channel, container: str, *, follow: bool, tail: int | None, since: float | None
) -> Iterator[tuple[str, bytes]]:
    """The container's lines with their stream, `stdout` or `stderr`, each beginning with its timestamp.

    `since` in seconds since the epoch. Raises EngineError or EngineSilentError.
    """
    options = {
        "stdout": "1",
        "stderr": "1",
        "timestamps": "1",
        "follow": str(int(follow)),
        "tail": "all" if tail is None else str(tail),
        "since": f"{since or 0:.9f}",
    }
    with conversation(channel) as connection:
        response = _request(connection, f"/containers/{container}/logs?{urlencode(options)}")
        yield from lines(frames(response.read))


def read_events(channel: Channel, *, cluster: str, kinds: Sequence[str]) -> Iterator[Json]:
    """What happens to the cluster's containers, as it happens, until the channel is closed.

    `kinds` are the engine's own words: `die`, `destroy`. Raises EngineError or EngineSilentError.
    """
    wanted = {"type": ["container"], "event": list(kinds), "label": [f"{CLUSTER}={cluster}"]}
    with conversation(channel) as connection:
        path = f"/events?{urlencode({'filters': json.dumps(wanted)})}"
        response = _request(connection, path)
        for line in iter(response.readline, b""):
            yield _decoded(line, path)


def frames(read: Callable[[int], bytes]) -> Iterator[tuple[str, bytes]]:
    """Docker's multiplexed stream: one byte for the stream, three of nothing, four for the length.

    `read` gives exactly so many bytes, fewer only at the end. Raises EngineSilentError for a cut frame.
    """
    while header := read(8):
        length = int.from_bytes(header[4:8], "big")
        payload = read(length)
        if len(header) < 8 or len(payload) < length:
            raise EngineSilentError("the stream was cut short")
        yield ("stderr" if header[0] == 2 else "stdout"), payload


def lines(pieces: Iterator[tuple[str, bytes]]) -> Iterator[tuple[str, bytes]]:
    """Whole lines: the engine cuts long ones into frames."""
    rest = {"stdout": b"", "stderr": b""}
    for stream, payload in pieces:
        *whole, rest[stream] = (rest[stream] + payload).split(b"\n")
        yield from ((stream, line) for line in whole)
    yield from ((stream, line) for stream, line in rest.items() if line)


@contextmanager
def conversation(channel: Channel) -> Iterator[HTTPConnection]:
    """HTTP over the channel, which is closed at the end: any number of `get` and `post`.

    Whatever breaks raises EngineSilentError.
    """
    connection = HTTPConnection("docker")
    connection.auto_open = 0  # what is lost is lost: it never connects anew, least of all to this machine
    connection.sock = channel
    try:
        yield connection
    except (OSError, EOFError, HTTPException) as error:
        raise EngineSilentError(
            "the Docker engine does not answer", why=str(error) or type(error).__name__
        ) from error
    finally:
        channel.close()


def get(connection: HTTPConnection, path: str) -> Any:
    """What the engine answers to a GET of that path. Raises EngineError."""
    return _get(connection, path)[1]


def post(connection: HTTPConnection, path: str, body: Json) -> Any:
    """What the engine answers to a POST, None where it has nothing to say. Raises EngineError."""
    answer = _request(connection, path, method="POST", body=body).read(MAX_ANSWER)
    return _decoded(answer, path) if answer else None


def delete(connection: HTTPConnection, path: str) -> None:
    """Have the engine remove what is at that path. Raises EngineError."""
    _request(connection, path, method="DELETE").read(MAX_ANSWER)


def send(  # noqa: PLR0913 - what HTTP needs to be told
    connection: HTTPConnection,
    path: str,
    pieces: Iterator[bytes],
    size: int | None,
    *,
    kind: str,
    method: str = "POST",
) -> HTTPResponse:
    """The response to a request of so many bytes (None: until they end), which are never held as a whole.

    Raises EngineError.
    """
    length = {"Transfer-Encoding": "chunked"} if size is None else {"Content-Length": str(size)}
    headers = {"Content-Type": kind, **length}
    connection.request(method, path, body=pieces, headers=headers, encode_chunked=size is None)
    return answered(connection)


def _get(connection: HTTPConnection, path: str) -> tuple[HTTPResponse, Any]:
    response = _request(connection, path)
    body = response.read(MAX_ANSWER + 1)
    if len(body) > MAX_ANSWER:
        raise EngineError("the engine's answer is too long", why=f"more than {MAX_ANSWER} bytes for {path}")
    return response, _decoded(body, path)


def _decoded(body: bytes, path: str) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise EngineError("the engine's answer is cut short, or no JSON", why=f"{path}: {error}") from error


def _request(
    connection: HTTPConnection, path: str, *, method: str = "GET", body: Json | None = None
) -> HTTPResponse:
    """The response, whose body is still to be read. Raises EngineError where the engine refuses."""
    sent = None if body is None else json.dumps(body)
    connection.request(method, path, body=sent, headers={"Content-Type": "application/json"})
    return answered(connection)


def answered(connection: HTTPConnection) -> HTTPResponse:
    """The response to what was asked, whose body is still to be read. Raises EngineError."""
    response = connection.getresponse()
    if response.status >= 300:
        raise EngineError("the engine refused", status=response.status, why=_message(response))
    return response


def _message(response: HTTPResponse) -> str:
    body = response.read(65536)
    try:
        return str(json.loads(body)["message"])
    except (KeyError, TypeError, ValueError, RecursionError):
        return body[:200].decode("utf-8", "replace")
