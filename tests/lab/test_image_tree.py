"""Images that real nodes pass on to each other: what leaves this machine, what stays there, what fails."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from docker import DockerClient

from cube.cli.load import load_cluster
from cube.connection import after
from cube.connection.agent import Agent
from cube.image.own import OwnEngine
from cube.image.shelf import Shelf
from cube.lab.fleet import Lab
from cube.manager.fleet import open_workers
from cube.manager.images import Pushed, push
from cube.worker import landing, tree
from tests.imagery import layer
from tests.lab.desk import Desk
from tests.lab.workshop import Workshop

pytestmark = [pytest.mark.lab, pytest.mark.usefixtures("fleet")]

MB = 1_000_000

KEYS = "/root/.ssh/authorized_keys"

ENDED, OTHERS = (
    f'restrict,expiry-time="20010909014640",command="exit" ssh-ed25519 AAAA cube-push-{name}'
    for name in ("old 1000000000", "new 9999999999")
)
"""The line of a push that was killed long ago, and of one that is under way from elsewhere."""

SHELL = landing.SERVE.replace(" true", " 'id; touch /root/taken'")
"""As a node that has the key of a transfer and means ill."""


@pytest.fixture
def trees(desk: Desk) -> Desk:
    """The same desk, at an inventory by which nodes pass images on."""
    inventory = desk.folder / "tree.yml"
    text = desk.inventory.read_text()
    inventory.write_text(text.replace("  vars:\n", "  vars:\n    cube_image_tree: true\n", 1))
    return replace(desk, inventory=inventory)


def sent_from_here(engine: DockerClient, lab: Lab) -> int:
    """Bytes that have left this machine for the nodes of the lab."""
    network = engine.containers.get(lab.nodes[0].container).attrs["NetworkSettings"]["Networks"]
    (endpoint,) = network.values()
    return int(Path(f"/sys/class/net/br-{endpoint['NetworkID'][:12]}/statistics/tx_bytes").read_text())


def lines_of(desk: Desk, file: str) -> list[str]:
    """Of a file on node2, that may end without the end of a line."""
    return desk.asked(1, "sh", "-c", f"cat {file}; echo")


def left_behind(desk: Desk) -> list[str]:
    """Folders, agents and programs of a push that are on any node."""
    looked = "find /var/tmp /tmp -name 'cube-push-*' -o -name 'ssh-*'; pgrep -xl '(ssh|dd)' || true"
    return [line for number in range(3) for line in desk.asked(number, "sh", "-c", looked)]


def test_a_push_sends_one_copy_from_here_and_leaves_nothing_on_the_nodes(
    trees: Desk, workshop: Workshop, engine: DockerClient, lab: Lab
) -> None:
    name = workshop.make("1", layer({"app/data": os.urandom(8 * MB)}), layer({"app/v": b"1"}))
    before = lines_of(trees, KEYS)
    for line in ("", ENDED, OTHERS):
        trees.on(1, "sh", "-c", f"echo '{line}' >>{KEYS}")
    sent = sent_from_here(engine, lab)
    rows = trees.data("image", "push", name)
    assert 8 * MB < sent_from_here(engine, lab) - sent < 10 * MB
    assert sorted(row["bytes"] > 8 * MB for row in rows) == [True] * 3
    sources = [row["from"] for row in rows]
    assert (len(sources), sources.count(None)) == (3, 1), "a node had it from here, the others from nodes"
    ids = {trees.on(number, "docker", "inspect", "--format", "{{.Id}}", name) for number in range(3)}
    assert ids == {workshop.id_of(name)}
    assert lines_of(trees, KEYS) == [*before, OTHERS]
    assert left_behind(trees) == []
    assert not any(row["pushed"] for row in trees.data("image", "push", name))
    little = workshop.make("2", layer({"app/v": b"2"}))
    rows = trees.data("image", "push", little)
    assert {(row["pushed"], row["from"], row["note"]) for row in rows} == {(True, None, None)}, "not worth it"


@contextmanager
def frozen_at_first(desk: Desk) -> Iterator[None]:
    """The first time that a node sends an image to another one, nothing comes of it."""
    script = '#!/bin/sh\nmkdir /var/tmp/once 2>/dev/null && exec sleep 100\nexec /usr/bin/ssh-real "$@"\n'
    freeze = f"mv /usr/bin/ssh /usr/bin/ssh-real; printf '{script}' >/usr/bin/ssh; chmod 755 /usr/bin/ssh"
    heal = "mv /usr/bin/ssh-real /usr/bin/ssh; rmdir /var/tmp/once; pkill -x sleep; true"
    for number in range(3):
        desk.on(number, "sh", "-c", freeze)
    try:
        yield
    finally:
        for number in range(3):
            desk.on(number, "sh", "-c", heal)


def test_a_node_that_freezes_while_it_sends_and_one_that_cannot_take_part_stop_nobody_p2_p12(
    trees: Desk, workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tree, "STALL", 2.0)
    name = workshop.make("1", layer({"app/data": os.urandom(2 * MB)}))
    trees.on(2, "sh", "-c", "mv /usr/bin/flock /usr/bin/flock-not")
    try:
        with frozen_at_first(trees):
            found = {each.node: each for each in pushed_by_hand(trees, name)}
    finally:
        trees.on(2, "sh", "-c", "mv /usr/bin/flock-not /usr/bin/flock")
    delivered = {node: each.delivered for node, each in found.items()}
    assert [each.error for each in found.values()] == [None] * 3
    notes = {node: done.note for node, done in delivered.items() if done is not None}
    assert notes.pop("node3") == "node3 has no flock"
    assert sorted(map(bool, notes.values())) == [False, True]
    assert any("nothing has come from node" in note for note in notes.values())
    ids = {trees.on(number, "docker", "inspect", "--format", "{{.Id}}", name) for number in range(3)}
    assert ids == {workshop.id_of(name)}
    assert left_behind(trees) == []


def pushed_by_hand(desk: Desk, image: str) -> list[Pushed]:
    cluster = load_cluster(desk.inventory)
    with (
        Shelf(OwnEngine()) as shelf,
        open_workers(cluster, owner="store-1", epoch=1, state_dir=desk.folder) as workers,
    ):
        return list(push(workers, shelf.cargo(image), lambda _node, _sent, _size: None))


def test_the_key_of_a_transfer_runs_no_command_writes_no_byte_too_many_and_opens_but_once(
    trees: Desk,
) -> None:
    cluster = load_cluster(trees.inventory)
    with open_workers(cluster, owner="store-1", epoch=1, state_dir=trees.folder) as workers:
        one, two = (workers[name].connection() for name in ("node1", "node2"))
        at_one, at_two = landing.prepare(one), landing.prepare(two)
        landing.receive(one, at_one, [b"x" * 1000])
        agent = Agent()
        landing.admit(two, at_two, 600, agent)
        words = (at_one.stage, "1000", at_two.user, at_two.address, str(at_two.port), str(at_two.host_key))
        asked = "".join(f"{word}\n" for word in words).encode()
        with workers["node1"]._open_connection() as sending:
            answer = sending.run(SHELL, stdin=asked, agent=agent, deadline=after(20))
            again = sending.run(SHELL, stdin=asked, deadline=after(20))
        assert (answer.stdout, landing.arrived(two, at_two)) == (b"", 600)
        assert (again.stdout, again.exit_status, b"denied" in again.stderr) == (b"", 255, True)
        assert trees.on(1, "sh", "-c", "ls /root/taken 2>/dev/null || echo no") == "no"
        for connection, place in ((one, at_one), (two, at_two)):
            landing.clear(connection, place)
    assert left_behind(trees) == []
