"""The volumes of a node's engine: which it has, who uses them, and their bytes.

An engine gives a volume's bytes out, and takes them in, through a container that has it mounted. For that
Cube makes one of its own, the carrier, from an image with nothing in it: it is never started, needs no
program of the node or of the task's image, and locks no container that runs. Only a packer (packer.py) runs.
"""

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPResponse
from typing import Any
from urllib.parse import quote, urlencode

from cube.connection import Channel
from cube.errors import CubeError, InputError, UnreachableError
from cube.model.labels import CLUSTER, identity_of
from cube.model.observation import ContainerState
from cube.model.volume import StoredVolume, VolumeUse
from cube.volume.tree import FOLDER, holds_anything
from cube.worker.carrier import CARRIER, WRITES, config_of, make, with_programs
from cube.worker.container import Json
from cube.worker.engine import EngineError, EngineSilentError, answered, conversation, delete, get, post, send
from cube.worker.packer import Packer

LONGEST = 24 * 3600.0
"""Seconds that the copy of one volume may take; a carrier that is older was left behind."""

AT_ONCE = 5.0
"""Seconds that the removal of a carrier takes at most, unless something goes through it: that holds it."""

SIZES = 20.0
"""Seconds that an engine may take to measure its volumes."""

CHUNK = 1 << 18
"""Bytes of a volume that are in memory at a time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Volumes:
    """The volumes of one node, over its connection. `open_channel`: a stream to its engine.

    Each call raises EngineError where the engine refuses, UnreachableError where the connection is lost.
    """

    node: str
    cluster: str
    open_channel: Callable[[], Channel]

    def all(self) -> tuple[StoredVolume, ...]:
        """Every volume, by name."""
        channel = self.open_channel()
        with conversation(channel) as connection:
            containers = get(connection, "/containers/json?all=1")
            listed = get(connection, "/volumes")
            channel.settimeout(SIZES)
            sizes = _sizes(connection)
        try:
            found = sorted(listed["Volumes"] or (), key=lambda item: str(item["Name"]))
            return tuple(self._stored(item, containers, sizes) for item in found)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise EngineError("the list of volumes cannot be read", why=repr(error)) from error

    def remove(self, name: str) -> None:
        """Remove it with all that is in it; one that is gone already is done. EngineError 409: it is used."""
        self.abandon(name)
        with conversation(self.open_channel()) as connection:
            _remove(connection, f"/volumes/{quote(name, safe='')}")

    def renew(self, name: str) -> None:
        """Remove all that is in it: it is made anew, with the same driver, options and labels."""
        with conversation(self.open_channel()) as connection:
            found = get(connection, f"/volumes/{quote(name, safe='')}")
        self.remove(name)
        body = {
            "Name": name,
            "Driver": found.get("Driver") or "local",
            "DriverOpts": found.get("Options") or {},
            "Labels": found.get("Labels") or {},
        }
        with conversation(self.open_channel()) as connection:
            post(connection, "/volumes/create", body)

    def abandon(self, name: str) -> None:
        """Give up what a copy of it that was cut short has left. For who alone may change the fleet.

        Raises InputError where a copy is under way.
        """
        channel = self.open_channel()
        try:
            with conversation(channel) as connection:
                left = [item for item in _carriers(connection, self.cluster) if name in _mounted(item)]
                channel.settimeout(AT_ONCE)
                for item in left:
                    _remove(connection, f"/containers/{item['Id']}?force=1")
        except EngineSilentError as error:
            raise InputError(
                f"volume {name} is being copied", where=self.node, cure="Wait until that has ended."
            ) from error

    @contextmanager
    def read(self, name: str) -> Iterator[Iterator[bytes]]:
        """Its content as a tar, a piece at a time. It must be there.

        An engine would also compress it, and takes twice as long then (docs/volumes.md).
        """
        with (
            self._carried(config_of(name, self.cluster, writes="")) as carrier,
            conversation(self.open_channel()) as connection,
        ):
            path = f"/containers/{carrier}/archive?path=/{FOLDER}"
            connection.request("GET", path)
            # Closed before its channel is: that ends once nobody reads it, and the engine packs until then.
            with closing(answered(connection)) as response:
                yield _pieces(response)

    def is_empty(self, name: str) -> bool:
        """Nothing is in it."""
        with self.read(name) as pieces:
            return not holds_anything(pieces)

    @contextmanager
    def filled(self, name: str, pieces: Iterator[bytes], size: int | None) -> Iterator[None]:
        """Fill it, or a new one, from a tar, also one as gzip, of so many bytes (None: nobody knows).

        It is marked as half from before the first byte to the end of the block; where that raises, for good.
        """
        with self._filling(name, config_of(name, self.cluster, writes="1")) as carrier:
            with conversation(self.open_channel()) as connection:
                _fill(connection, carrier, pieces, size)
            yield

    @contextmanager
    def packing(self, name: str) -> Iterator[Packer]:
        """The node's own programs, to read it. Raises CubeError where the node has not those they must be.

        For who alone may change the fleet: what runs so for another one has been left behind.
        """
        with conversation(self.open_channel()) as connection:
            for item in _carriers(connection, self.cluster):
                if name in _mounted(item) and _only_packs(item):
                    _remove(connection, f"/containers/{item['Id']}?force=1")
        with self._carried(with_programs(config_of(name, self.cluster, writes=""))) as carrier:
            yield self._started(carrier)

    @contextmanager
    def unpacking(self, name: str) -> Iterator[Packer]:
        """The node's own programs, to fill it, or a new one, marked as by `filled`. Raises as `packing`."""
        with self._filling(name, with_programs(config_of(name, self.cluster, writes="1"))) as carrier:
            yield self._started(carrier)

    @contextmanager
    def _carried(self, config: Json) -> Iterator[str]:
        with conversation(self.open_channel()) as connection:
            _remove_stale(connection, self.cluster)
            carrier = make(connection, config)
        try:
            yield carrier
        finally:
            with suppress(CubeError), conversation(self.open_channel()) as connection:
                _remove(connection, f"/containers/{carrier}?force=1")

    @contextmanager
    def _filling(self, name: str, config: Json) -> Iterator[str]:
        self.abandon(name)
        with conversation(self.open_channel()) as connection:
            carrier = make(connection, config)
        yield carrier
        with conversation(self.open_channel()) as connection:
            _remove(connection, f"/containers/{carrier}?force=1")

    def _started(self, carrier: str) -> Packer:
        with conversation(self.open_channel()) as connection:
            post(connection, f"/containers/{carrier}/start", {})
        packer = Packer(node=self.node, container=carrier, open_channel=self.open_channel)
        packer.refuse_others()
        return packer

    def _stored(self, item: Json, containers: Sequence[Json], sizes: Mapping[str, int]) -> StoredVolume:
        name = str(item["Name"])
        having = [found for found in containers if name in _mounted(found)]
        carriers = [found["Labels"] for found in having if CARRIER in (found.get("Labels") or {})]
        return StoredVolume(
            node=self.node,
            name=name,
            cluster=str((item.get("Labels") or {}).get(CLUSTER, "")),
            size=sizes.get(name),
            uses=tuple(self._use(found) for found in having if CARRIER not in (found.get("Labels") or {})),
            is_read=any(not labels.get(WRITES) for labels in carriers),
            is_half=any(labels.get(WRITES) for labels in carriers),
        )

    def _use(self, item: Json) -> VolumeUse:
        identity = identity_of(item.get("Labels") or {})
        return VolumeUse(
            container=next(iter(item.get("Names") or [item["Id"]])).removeprefix("/"),
            slot=identity.slot if identity is not None and identity.cluster == self.cluster else None,
            is_alive=ContainerState(item["State"]).is_alive,
        )


def _fill(connection: HTTPConnection, carrier: str, pieces: Iterator[bytes], size: int | None) -> None:
    path = f"/containers/{carrier}/archive?path=/&noOverwriteDirNonDir=1"
    try:
        send(connection, path, pieces, size, kind="application/x-tar", method="PUT").read()
    except (OSError, UnreachableError):
        _hear_why(connection)
        raise


def _carriers(connection: HTTPConnection, cluster: str) -> list[Json]:
    wanted = json.dumps({"label": [f"{CARRIER}={cluster}"]})
    found: list[Json] = get(connection, f"/containers/json?{urlencode({'all': '1', 'filters': wanted})}")
    return found


def _only_packs(item: Json) -> bool:
    return item["State"] == ContainerState.RUNNING and not item["Labels"].get(WRITES)


def _remove_stale(connection: HTTPConnection, cluster: str) -> None:
    """Those that a process which was killed has left, and that nothing was being written through."""
    for item in _carriers(connection, cluster):
        if not item["Labels"].get(WRITES) and float(item["Created"]) + LONGEST < time.time():
            _remove(connection, f"/containers/{item['Id']}?force=1")


def _remove(connection: HTTPConnection, path: str) -> None:
    """What is gone already is done."""
    try:
        delete(connection, path)
    except EngineError as error:
        if error.status != 404:
            raise


def _mounted(item: Json) -> set[str]:
    return {str(mount.get("Name")) for mount in item.get("Mounts") or () if mount.get("Type") == "volume"}


def _sizes(connection: HTTPConnection) -> dict[str, int]:
    """By name, in bytes; none where the engine takes too long to measure."""
    try:
        told: Any = get(connection, "/system/df?type=volume")
        sizes = {str(item["Name"]): int(item["UsageData"]["Size"]) for item in told.get("Volumes") or ()}
        return {name: size for name, size in sizes.items() if size >= 0}
    except (CubeError, OSError, EOFError, HTTPException, AttributeError, KeyError, TypeError, ValueError):
        return {}


def _pieces(response: HTTPResponse) -> Iterator[bytes]:
    while piece := response.read(CHUNK):
        yield piece


def _hear_why(connection: HTTPConnection) -> None:
    """An engine that hangs up has mostly said why before. Raises EngineError then."""
    with suppress(OSError, EOFError, HTTPException, UnreachableError):
        answered(connection)
