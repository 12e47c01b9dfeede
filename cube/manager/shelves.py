"""Where archives are kept, as people name it: a folder of this machine, or one of another over SFTP."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cube.connection import ConnectionFailed, after
from cube.connection.dialer import Dialer
from cube.connection.ssh import Connection
from cube.errors import InputError
from cube.manager.fleet import CONNECT, trust_in
from cube.model.node import Access, Cluster
from cube.model.observation import Cause
from cube.model.sftp import SCHEME, SftpPlace, sftp_place
from cube.volume.folder import Folder
from cube.volume.sftp import Sftp
from cube.volume.shelf import Shelf

FOLDER = "backups"
"""Where archives are kept, for each cluster in a folder of its own; so is it in any that is named."""

Place = Path | SftpPlace


def place_named(text: str) -> Place:
    """That folder, or URL. Raises InputError."""
    if text.startswith(SCHEME):
        return sftp_place(text)
    if "://" in text:
        cure = f"Write a folder, or {SCHEME}user@host:port/path."
        raise InputError("archives are kept in folders and over SFTP alone", where=text, cure=cure)
    return Path(text)


def place_of(cluster: Cluster, to: str) -> Place:
    """Where the cluster's archives are kept; `to` empty: in `backups`. Raises InputError."""
    return place_named(to or FOLDER) / cluster.name


def file_named(text: str) -> tuple[Place, str]:
    """Where that archive is, and what it is called there. Raises InputError."""
    place = place_named(text)
    if isinstance(place, Path):
        return place.parent, place.name
    folder, _, name = place.path.rpartition("/")
    return SftpPlace(host=place.host, path=folder or "/", user=place.user, port=place.port), name


@contextmanager
def open_shelf(keys: Path, place: Place) -> Iterator[Shelf]:
    """The shelf there; what is connected for it ends with the block. Raises ConnectionFailed.

    `keys` is the folder of the pinned host keys.
    """
    if isinstance(place, Path):
        yield Folder(place)
        return
    with Dialer(trust_in(keys)) as dialer, _connected(dialer, place) as connection:
        yield Sftp(connection, place)


def _connected(dialer: Dialer, place: SftpPlace) -> Connection:
    access = Access(address=place.host, port=place.port, user=place.user)
    try:
        return dialer.connect(place.host, access, deadline=after(CONNECT))
    except ConnectionFailed as failure:
        if failure.cause is Cause.NO_HOST_KEY:  # it is no node that could be trusted by its name
            user = f"{place.user}@" if place.user else ""
            port = f" -P {place.port}" if place.port else ""
            failure.cure = f"Connect once by hand, and compare the key: sftp{port} {user}{place.host}"
        raise
