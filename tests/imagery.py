"""Images made by hand, as archives that an engine loads: no engine is needed to make one."""

import hashlib
import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from typing import Any


def layer(files: Mapping[str, bytes]) -> bytes:
    """A layer that holds those files."""
    return archive({name: (content, 0o755) for name, content in files.items()})


def image(name: str, layers: Sequence[bytes], **config: Any) -> bytes:
    """The archive of an image of those layers; `config` as in Docker's own: Cmd, Env..."""
    described = {
        "architecture": "amd64",
        "os": "linux",
        "created": "2020-01-01T00:00:00Z",
        "config": config,
        "rootfs": {"type": "layers", "diff_ids": [digest(content) for content in layers]},
    }
    body = json.dumps(described).encode()
    place = f"{digest(body).removeprefix('sha256:')}.json"
    paths = [f"{number}/layer.tar" for number in range(len(layers))]
    manifest = [{"Config": place, "RepoTags": [name], "Layers": paths}]
    files = dict(zip(paths, layers, strict=True)) | {
        place: body,
        "manifest.json": json.dumps(manifest).encode(),
    }
    return archive({path: (content, 0o644) for path, content in files.items()})


def digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def archive(files: Mapping[str, tuple[bytes, int]]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, (content, mode) in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), mode
            tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def unarchived(data: bytes) -> dict[str, bytes]:
    """What is in a tar, compressed or not."""
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        return {entry.name: content.read() for entry in tar if (content := tar.extractfile(entry))}
