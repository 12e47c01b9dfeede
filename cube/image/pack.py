"""A saved image taken apart: its config, and each layer in a file of its own, checked and ready to be sent.

What goes to a node are tars that its engine loads, compressed as gzip. A gzip file may be several, one after
the other, so each layer is compressed once, with its header, and every node gets just those that it lacks.
Each tar is an archive of Docker's own and an OCI layout in one: an engine on containerd takes less than the
whole image only of the latter, others read only the former. Layers go without compression of their own, so
that a layer has one digest everywhere, whichever engine it comes from.

An engine keeps of a tar all or nothing. So a large image goes in parts, each an image of the lowest layers: a
push that broke off goes on, the next time, behind the last part that arrived.
"""

import hashlib
import io
import json
import tarfile
import threading
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from posixpath import dirname, join, normpath
from typing import IO, Any

from cube.errors import CubeError
from cube.model.image import PART_LABEL, whole_name

CHUNK = 1 << 18
"""Bytes that are in memory of a layer at a time."""

PART = 32 * 1024 * 1024
"""Bytes of layers, before they are compressed, that are worth a part of their own."""

MAX_CONFIG = 16 * 1024 * 1024

LEVEL = 2
"""Of compression, of 0 to 3: ISA-L takes a fifth of zlib's time at its quickest, for as few bytes."""

_OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"
_GZIP = b"\x1f\x8b"
_AS_GZIP = 31
"""What zlib is told to write, and read, gzip's own frame."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """One layer: `digest` and `size` of its tar without compression, and the file that holds it, as saved."""

    digest: str
    size: int
    file: Path


class Pack:
    """An image of which any part can be sent, to any number of nodes at once."""

    def __init__(self, *, name: str, config: bytes, layers: Sequence[Layer], folder: Path) -> None:
        self.name = name
        self.id = _id_of(config)
        self.layers = tuple(layers)
        self._config = config
        self._folder = folder
        self._packing = threading.Lock()

    @property
    def digests(self) -> tuple[str, ...]:
        """Those of its layers, the lowest first."""
        return tuple(layer.digest for layer in self.layers)

    @property
    def parts(self) -> tuple[str, ...]:
        """The ids that its parts may have as images, but for the last, which is the image itself."""
        configs = [(stop, self._part(stop)) for stop in self._stops]
        on_containerd = (_id_of(_oci_manifest(config, self.layers[:stop])) for stop, config in configs)
        return (*(_id_of(config) for _, config in configs), *on_containerd)

    def parcels(self, present: int) -> tuple["Parcel", ...]:
        """The image without its lowest `present` layers, which the node has, part by part.

        Raises CubeError where a layer's bytes are not those that the image names.
        """
        stops = [stop for stop in self._stops if stop > present]
        begins = (present, *stops)
        parts = [
            self._parcel(begin, stop, self._part(stop)) for begin, stop in zip(begins, stops, strict=False)
        ]
        return (*parts, self.parcel(begins[-1]))

    def parcel(self, present: int) -> "Parcel":
        """The same in one piece. Raises as `parcels`."""
        name = self.name if self.name != self.id else None
        return self._parcel(present, len(self.layers), self._config, name)

    @property
    def _stops(self) -> Iterator[int]:
        """How many layers are in each part and all before it, but for the last."""
        size = 0
        for count, layer in enumerate(self.layers[:-1], 1):
            size += layer.size
            if size >= PART:
                yield count
                size = 0

    def _part(self, stop: int) -> bytes:
        """The config of an image of the lowest layers: the same one for every image that begins with them."""
        written = json.loads(self._config)
        kept = {key: written[key] for key in ("architecture", "os", "variant") if key in written}
        layers = {"type": "layers", "diff_ids": self.digests[:stop]}
        config = {"Labels": {PART_LABEL: str(stop)}}
        return json.dumps({**kept, "config": config, "rootfs": layers}, sort_keys=True).encode()

    def _parcel(self, begin: int, stop: int, config: bytes, name: str | None = None) -> "Parcel":
        missing = {layer.digest: layer for layer in self.layers[begin:stop]}
        files = tuple(self._member(layer) for layer in missing.values())
        return Parcel(files=files, end=_end(config, name, self.layers[:stop]), layers=stop - begin)

    def _member(self, layer: Layer) -> Path:
        """The layer as a compressed piece of a tar, made when it is first asked for."""
        packed = self._folder / f"{_hex(layer.digest)}.gz"
        with self._packing:
            if not packed.exists():
                _check(layer, self.name)
                _pack(layer, packed)
        return packed


@dataclass(frozen=True, slots=True, kw_only=True)
class Parcel:
    """What is sent to one node: files of so many `layers`, then the end. `size` in bytes, as on the wire."""

    files: tuple[Path, ...]
    end: bytes
    layers: int

    @property
    def size(self) -> int:
        """Bytes on the wire."""
        return sum(file.stat().st_size for file in self.files) + len(self.end)

    @property
    def names(self) -> tuple[str, ...]:
        """Of its pieces, in the order in which they are sent: the same name, the same bytes."""
        return (*(file.name for file in self.files), _id_of(self.end))

    def pieces(self) -> Iterator[bytes]:
        """All of it, a piece at a time."""
        for path in self.files:
            with path.open("rb") as file:
                yield from _chunks(file)
        yield self.end


def unpack(saved: IO[bytes], name: str, folder: Path) -> Pack:
    """Take a saved image apart into that folder. Raises CubeError for what is no image, or not whole.

    A layer is checked once it is to be sent: of a large image mostly one small layer is.
    """
    try:
        files, links = _spread(saved, folder)
    except (tarfile.TarError, EOFError) as error:
        raise _unusable(name, str(error)) from error

    def found(path: str) -> Path:
        return files[normpath(links.get(normpath(path), path))]

    try:
        manifest = json.loads(_small(files["manifest.json"]))[0]
        config = _small(found(manifest["Config"]))
        digests = tuple(json.loads(config)["rootfs"]["diff_ids"])
        layers = [
            Layer(digest=digest, size=_plain_size(found(path)), file=found(path))
            for digest, path in zip(digests, manifest["Layers"] or (), strict=True)
        ]
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise _unusable(name, f"it is no archive of an image: {error!r}") from error
    return Pack(name=name, config=config, layers=layers, folder=folder)


def _end(config: bytes, name: str | None, layers: Sequence[Layer]) -> bytes:
    """The config, what tells either kind of engine what is in the archive, and the archive's own end."""
    oci = _oci_manifest(config, layers)
    annotations = {"annotations": {"io.containerd.image.name": whole_name(name)}} if name else {}
    index = {"schemaVersion": 2, "manifests": [{**_descriptor(_OCI_MANIFEST, oci), **annotations}]}
    own = {
        "Config": _place(_id_of(config)),
        "RepoTags": [name] if name else None,
        "Layers": [_place(layer.digest) for layer in layers],
    }
    files = {
        _place(_id_of(config)): config,
        _place(_id_of(oci)): oci,
        "oci-layout": _json({"imageLayoutVersion": "1.0.0"}),
        "index.json": _json(index),
        "manifest.json": _json([own]),
    }
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for path, content in files.items():
            tar.addfile(_header(path, len(content)), io.BytesIO(content))
    return zlib.compress(buffer.getvalue(), wbits=_AS_GZIP)


def _oci_manifest(config: bytes, layers: Sequence[Layer]) -> bytes:
    """What the image is, as the OCI's specification has it; its digest is the image's id on containerd."""
    return _json(
        {
            "schemaVersion": 2,
            "mediaType": _OCI_MANIFEST,
            "config": _descriptor("application/vnd.oci.image.config.v1+json", config),
            "layers": [
                {"mediaType": _OCI_LAYER, "digest": layer.digest, "size": layer.size} for layer in layers
            ],
        }
    )


def _descriptor(kind: str, content: bytes) -> dict[str, Any]:
    return {"mediaType": kind, "digest": _id_of(content), "size": len(content)}


def _json(content: object) -> bytes:
    return json.dumps(content, sort_keys=True).encode()


def _spread(saved: IO[bytes], folder: Path) -> tuple[dict[str, Path], dict[str, str]]:
    """Each file of the archive in a file of its own, and where its links lead, by path."""
    files: dict[str, Path] = {}
    links: dict[str, str] = {}
    with tarfile.open(fileobj=saved, mode="r|") as tar:
        for number, entry in enumerate(tar):
            path = normpath(entry.name)
            if entry.issym():
                links[path] = normpath(join(dirname(path), entry.linkname))
            elif content := tar.extractfile(entry):
                files[path] = folder / str(number)  # no name of theirs becomes a path here
                with files[path].open("wb") as file:
                    for chunk in _chunks(content):
                        file.write(chunk)
    return files, links


def _check(layer: Layer, name: str) -> None:
    """Raises CubeError where the layer's bytes are not those that the image names."""
    digest = hashlib.sha256()
    with layer.file.open("rb") as file:
        for chunk in _plain(file):
            digest.update(chunk)
    if f"sha256:{digest.hexdigest()}" != layer.digest:
        raise _unusable(name, f"the layer {layer.digest} has other bytes than its digest says")


def _plain_size(path: Path) -> int:
    with path.open("rb") as file:
        if file.read(2) != _GZIP:
            return path.stat().st_size
        file.seek(0)
        return sum(map(len, _plain(file)))


def _plain(file: IO[bytes]) -> Iterator[bytes]:
    """The bytes, without compression: an engine on containerd keeps layers as a registry sent them."""
    is_packed = file.read(2) == _GZIP
    file.seek(0)
    if not is_packed:
        yield from _chunks(file)
        return
    unpacking = zlib.decompressobj(wbits=_AS_GZIP)
    for chunk in _chunks(file):
        packed = chunk
        while packed and (plain := unpacking.decompress(packed, CHUNK)):
            yield plain
            packed = unpacking.unconsumed_tail


def _pack(layer: Layer, packed: Path) -> None:
    """Whole or not at all: a half one would be taken for the layer."""
    from isal import isal_zlib  # noqa: PLC0415 - of all commands only a push needs it

    compress = isal_zlib.compressobj(LEVEL, wbits=_AS_GZIP)
    part = packed.with_suffix(".part")
    with layer.file.open("rb") as file, part.open("wb") as into:
        header = _header(_place(layer.digest), layer.size)
        into.write(compress.compress(header.tobuf(tarfile.GNU_FORMAT)))
        for chunk in _plain(file):
            into.write(compress.compress(chunk))
        into.write(compress.compress(bytes(-layer.size % tarfile.BLOCKSIZE)))
        into.write(compress.flush())
    part.rename(packed)


def _header(name: str, size: int) -> tarfile.TarInfo:
    header = tarfile.TarInfo(name)
    header.size = size
    return header


def _small(path: Path) -> bytes:
    if path.stat().st_size > MAX_CONFIG:
        raise ValueError(f"a description of {path.stat().st_size} bytes")
    return path.read_bytes()


def _chunks(file: IO[bytes]) -> Iterator[bytes]:
    while chunk := file.read(CHUNK):
        yield chunk


def _id_of(config: bytes) -> str:
    return f"sha256:{hashlib.sha256(config).hexdigest()}"


def _place(digest: str) -> str:
    return f"blobs/sha256/{_hex(digest)}"


def _hex(digest: str) -> str:
    return digest.removeprefix("sha256:")


def _unusable(name: str, why: str) -> CubeError:
    cure = "Try it by hand: docker save IMAGE | tar t. If that is well, please report it."
    return CubeError(f"image {name} cannot be packed", why=why, cure=cure)
