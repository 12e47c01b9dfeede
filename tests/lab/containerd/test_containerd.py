"""Engines that keep their images in containerd, beside one that does not: real ones, of Debian 13 and 12."""

import gzip
import json
import os
from collections.abc import Mapping, Sequence

import pytest

from tests.imagery import archive, digest, layer
from tests.lab.desk import Desk
from tests.lab.workshop import Workshop

pytestmark = [pytest.mark.lab, pytest.mark.usefixtures("fleet")]

JOB = """
job: brought
groups:
  main:
    count: 3
    image: {image}
    memory: 16MiB
    stop: {{grace: 1s}}
    update: {{max_parallel: 3, min_healthy_time: 0s}}
"""

NODES = range(3)


def marks(desk: Desk) -> list[set[str]]:
    """What the running containers of each node find in their image."""
    return [
        {desk.on(number, "docker", "exec", name, "cat", "/app/mark") for name in desk.containers_on(number)}
        for number in NODES
    ]


def sent(desk: Desk, image: str) -> Mapping[str, int]:
    """The bytes that a push sends to each node."""
    return {row["node"]: row["bytes"] for row in desk.data("image", "push", image)}


def test_two_of_the_nodes_are_what_this_is_about(desk: Desk) -> None:
    on_containerd = ["io.containerd.snapshotter" in desk.on(number, "docker", "info") for number in NODES]
    assert on_containerd == [False, True, True]


def test_only_the_layers_that_a_node_lacks_are_sent(desk: Desk, workshop: Workshop) -> None:
    large = layer({"app/data": os.urandom(4_000_000)})
    first = workshop.make("1", large, layer({"app/v": b"1"}))
    second = workshop.make("2", large, layer({"app/v": b"2"}))
    assert min(sent(desk, first).values()) > 4_000_000
    assert max(sent(desk, second).values()) < 3_000
    assert set(sent(desk, second).values()) == {0}


def test_an_image_of_which_a_layer_is_there_only_compressed_is_sent_whole(
    desk: Desk, workshop: Workshop
) -> None:
    """As a registry's: the engine would have the image, and not list it."""
    large, node = layer({"app/data": os.urandom(1_000_000)}), desk.nodes[1].container
    below = as_a_registry_has_it(f"{workshop.name}:below", (workshop.base, large))
    desk.engine.containers.get(node).put_archive("/root", archive({"below.tar": (below, 0o644)}))
    desk.on(1, "docker", "load", "-qi", "/root/below.tar")
    above = workshop.make("above", large, layer({"app/v": b"1"}))
    assert sent(desk, above)["node2"] > 1_000_000
    listed = {row["node"] for row in desk.data("image", "ls") if row["image"] == above}
    assert listed == {"node1", "node2", "node3"}


def as_a_registry_has_it(name: str, layers: Sequence[bytes]) -> bytes:
    """The OCI layout of an image whose layers are compressed."""
    zipped = [gzip.compress(content) for content in layers]
    diffs = {"type": "layers", "diff_ids": [digest(content) for content in layers]}
    config = json.dumps({"architecture": "amd64", "os": "linux", "config": {}, "rootfs": diffs}).encode()
    manifest = json.dumps(
        {
            "schemaVersion": 2,
            "config": described("config.v1+json", config),
            "layers": [described("layer.v1.tar+gzip", content) for content in zipped],
        }
    ).encode()
    named = {"annotations": {"io.containerd.image.name": f"docker.io/library/{name}"}}
    index = {"schemaVersion": 2, "manifests": [{**described("manifest.v1+json", manifest), **named}]}
    blobs = {f"blobs/sha256/{digest(each)[7:]}": each for each in (*zipped, config, manifest)}
    files = {
        **blobs,
        "oci-layout": b'{"imageLayoutVersion": "1.0.0"}',
        "index.json": json.dumps(index).encode(),
    }
    return archive({path: (content, 0o644) for path, content in files.items()})


def described(kind: str, content: bytes) -> dict[str, object]:
    kind = f"application/vnd.oci.image.{kind}"
    return {"mediaType": kind, "digest": digest(content), "size": len(content)}


def test_new_bytes_under_an_old_name_are_a_new_version_on_every_node_and_a_rollback_brings_the_old_ones(
    desk: Desk, workshop: Workshop
) -> None:
    image = workshop.make("same", layer({"app/mark": b"old"}))
    desk.cube("deploy", desk.write(JOB, image=image))
    workshop.make("same", layer({"app/mark": b"new"}))
    assert "version 2 is in place" in desk.cube("deploy", desk.write(JOB, image=image)).stdout
    assert marks(desk) == [{"new"}] * 3
    assert "0 changes" in desk.cube("deploy", desk.write(JOB, image=image)).stdout
    assert desk.cube("reconcile").stdout == ""
    desk.cube("rollback", "brought")
    assert marks(desk) == [{"old"}] * 3


def test_what_came_by_hand_under_the_name_is_found_out_before_a_task_starts_from_it(
    desk: Desk, workshop: Workshop
) -> None:
    image = workshop.make("1", layer({"app/mark": b"ours"}))
    for number in NODES:
        desk.on(number, "docker", "tag", "cube-busybox:1", image)
    desk.cube("deploy", desk.write(JOB, image=image))
    assert marks(desk) == [{"ours"}] * 3


def test_a_removed_image_leaves_nothing_behind(desk: Desk, workshop: Workshop) -> None:
    def pins() -> list[str]:
        return [desk.on(number, "docker", "images", "-q", "cube/pin") for number in NODES]

    before, image = pins(), workshop.make("1", layer({"app/mark": b"1"}))
    desk.cube("image", "push", image)
    assert [found == known for found, known in zip(pins(), before, strict=True)] == [True, False, False]
    desk.cube("image", "rm", image)
    assert pins() == before
