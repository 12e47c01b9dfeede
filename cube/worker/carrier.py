"""The carrier: the container through which the content of a volume is read or written."""

import io
import tarfile
from http.client import HTTPConnection
from urllib.parse import urlencode

from cube.model.labels import CLUSTER
from cube.volume.tree import FOLDER
from cube.worker.container import Json
from cube.worker.engine import EngineError, post, send

CARRIER = "cube.carrier"
"""The label of a carrier: the cluster that made it."""

WRITES = f"{CARRIER}.writes"
"""The label of a carrier through which a volume is filled; empty of one that only reads."""

IMAGE = "cube-carrier:2"
"""It has no file. Where the node's /usr is mounted, its links make the programs there find what they need."""

LINKS = ("bin", "lib", "lib64")

PROGRAMS = "/usr"

AWAKE = (f"{PROGRAMS}/bin/sleep", "86400")
"""What the carrier does: nothing, for as long as a copy may take; then whatever still runs in it ends."""

CAPABILITIES = ("CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "MKNOD", "SETFCAP")


def config_of(volume: str, cluster: str, writes: str) -> Json:
    """A container that could not even run."""
    mount = {
        "Type": "volume",
        "Source": volume,
        "Target": f"/{FOLDER}",
        "ReadOnly": not writes,
        "VolumeOptions": {"NoCopy": True, "Labels": {CLUSTER: cluster}},
    }
    return {
        "Image": IMAGE,
        "Cmd": ["-"],
        "NetworkDisabled": True,
        "Labels": {CARRIER: cluster, WRITES: writes},
        "HostConfig": {"Mounts": [mount], "NetworkMode": "none"},
    }


def with_programs(config: Json) -> Json:
    """The carrier of that configuration as one that runs, and in which the node's own programs run."""
    host = config["HostConfig"]
    programs = {"Type": "bind", "Source": PROGRAMS, "Target": PROGRAMS, "ReadOnly": True}
    confined = {
        "Mounts": [*host["Mounts"], programs],
        "ReadonlyRootfs": True,
        "CapDrop": ["ALL"],
        "CapAdd": list(CAPABILITIES),
        "SecurityOpt": ["no-new-privileges"],
    }
    return {**config, "Cmd": list(AWAKE), "HostConfig": {**host, **confined}}


def make(connection: HTTPConnection, config: Json) -> str:
    """The id of a container of that configuration."""
    try:
        made = post(connection, "/containers/create", config)
    except EngineError as error:
        if error.status != 404:
            raise
        _import_links(connection)
        made = post(connection, "/containers/create", config)
    return str(made["Id"])


def _import_links(connection: HTTPConnection) -> None:
    repo, _, tag = IMAGE.partition(":")
    path = f"/images/create?{urlencode({'fromSrc': '-', 'repo': repo, 'tag': tag})}"
    packed = _packed_links()
    send(connection, path, iter((packed,)), len(packed), kind="application/x-tar").read()


def _packed_links() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name in LINKS:
            link = tarfile.TarInfo(name)
            link.type, link.linkname = tarfile.SYMTYPE, f"usr/{name}"
            tar.addfile(link)
    return buffer.getvalue()
