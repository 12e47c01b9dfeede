"""`make bench-images`: an image to nodes, Cube beside `docker save | ssh docker load` and a registry.

Cube does it twice: each node from this machine, and from node to node.

Writes docs/benchmarks/images.json and the last section of docs/images.md. In the environment, NODES (default
5) is how many nodes the larger fleet has, RUNS (default 3) how often everything is repeated; with fewer
nothing is written. What crosses the wire is what the nodes' own network cards have received; how much of it
this machine has sent, its side of the lab's network knows.
"""

import os
import shlex
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from ipaddress import IPv4Address
from pathlib import Path

from cube.lab.debian import debian_image
from cube.lab.fleet import LabNode
from cube.lab.network import find_network
from tests.bench.contestants import Kit
from tests.bench.facts import own_facts
from tests.bench.fleet import fleet
from tests.bench.images_report import Push, as_json, as_section, with_section
from tests.bench.measure import Command, Sample, run
from tests.registry import Registry, registry

DOCS = Path(__file__).parents[2] / "docs"
ENOUGH = 3
NAME = "cube-bench-push"
_RECEIVED = "cat /sys/class/net/eth0/statistics/rx_bytes"
_CLEAN = f"docker images -q {NAME} | sort -u | xargs -r docker rmi -f >/dev/null"


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """One image to some nodes."""

    kit: Kit
    image: str
    nodes: Sequence[LabNode]
    registry: Registry


def main() -> None:
    """Let the contestants take turns, print the table, and write it down."""
    runs, nodes = int(os.environ.get("RUNS", str(ENOUGH))), int(os.environ.get("NODES", "5"))
    found: list[Push] = []
    with (
        tempfile.TemporaryDirectory(prefix="cube-bench-") as folder,
        fleet("bench-images", nodes, Path(folder)) as lab,
    ):
        kit = Kit(cube=Path(sys.executable).with_name("cube"), peers=Path(), fleet=lab)
        _make(kit)
        for turn in range(runs):
            for name, push in list(CONTESTANTS.items())[:: 1 if turn % 2 == 0 else -1]:
                for count in (1, nodes):
                    with _empty_registry(kit) as registry:
                        to = Round(kit=kit, image="", nodes=lab.lab.nodes[:count], registry=registry)
                        found += _both(name, push, to)
    print("\n" + as_section(found))
    if runs >= ENOUGH:
        facts = own_facts()
        (DOCS / "benchmarks" / "images.json").write_text(as_json(found, facts))
        page = DOCS / "images.md"
        page.write_text(with_section(page.read_text(), as_section(found, facts.machine)))
        print("written: docs/images.md, docs/benchmarks/images.json")


def _make(kit: Kit) -> None:
    """Two images over the lab's own Debian, of 164 MB, that differ in a layer of 200 kB."""
    debian = debian_image(kit.fleet.engine, cache=Path.home() / ".cache" / "cube", say=print)
    for tag in ("1", "2"):
        context = kit.fleet.folder / tag
        context.mkdir()
        (context / "app").write_bytes(os.urandom(200_000))
        (context / "Dockerfile").write_text(f"FROM {debian}\nCOPY app /app\n")
        kit.fleet.engine.images.build(path=str(context), tag=f"{NAME}:{tag}", rm=True)


@contextmanager
def _empty_registry(kit: Kit) -> Iterator[Registry]:
    """On this machine, at the first address of the lab's network, and trusted by its nodes."""
    host = str(IPv4Address(kit.fleet.lab.nodes[0].address) - 1)
    with tempfile.TemporaryDirectory(prefix="cube-bench-") as folder, registry(Path(folder), host) as found:
        trusted = f"/etc/docker/certs.d/{found.name}"
        kit.fleet.everywhere(f"mkdir -p {trusted}; echo '{found.trusted}' >{trusted}/ca.crt")
        yield found


def _both(name: str, push: Callable[[Round], Sample], to: Round) -> list[Push]:
    """The whole image to nodes that have nothing of it, then one that differs from it in a layer."""
    to.kit.fleet.everywhere(_CLEAN)
    return [
        _one(f"{what}, {len(to.nodes)} node{'s' * (len(to.nodes) > 1)}", name, push, tag, to)
        for what, tag in (("the whole image", "1"), ("one layer changed", "2"))
    ]


def _one(what: str, name: str, push: Callable[[Round], Sample], tag: str, to: Round) -> Push:
    before, sent = _received(to), _sent(to)
    sample = push(replace(to, image=f"{NAME}:{tag}"))
    for node in to.nodes:
        to.kit.fleet.on(node.container, f"docker inspect {NAME}:{tag} >/dev/null")
    pushed = Push(
        benchmark=what,
        contestant=name,
        seconds=sample.wall,
        cpu=sample.cpu,
        received=_received(to) - before,
        sent=_sent(to) - sent,
    )
    crossed = f"{pushed.received / 1e6:9.3f} MB, {pushed.sent / 1e6:9.3f} MB from here"
    print(f"{what:<28} {name:<40} {pushed.seconds:7.2f} s {crossed}", flush=True)
    return pushed


def _received(to: Round) -> int:
    return sum(_counter(to.kit, node) for node in to.nodes)


def _counter(kit: Kit, node: LabNode) -> int:
    """Asked again where the engine of the host lost the answer, as it does under load."""
    answers = (kit.fleet.on(node.container, _RECEIVED).strip() for _ in range(10))
    return next(int(answer) for answer in answers if answer)


def _sent(to: Round) -> int:
    network = find_network(to.kit.fleet.engine, to.kit.fleet.lab.name)
    assert network is not None
    return int(Path(f"/sys/class/net/br-{str(network.id)[:12]}/statistics/tx_bytes").read_text())


def _cube(to: Round) -> Sample:
    return _pushed(to, to.kit.fleet.lab.inventory)


def _tree(to: Round) -> Sample:
    """By an inventory that lets nodes pass images on."""
    text = to.kit.fleet.lab.inventory.read_text()
    return _pushed(
        to, to.kit.write("tree.yml", text.replace("  vars:\n", "  vars:\n    cube_image_tree: true\n", 1))
    )


def _pushed(to: Round, inventory: Path) -> Sample:
    nodes = ",".join(node.name for node in to.nodes)
    return run(to.kit.command(to.kit.cube, "image", "push", to.image, nodes, "-i", inventory))


def _saved(to: Round) -> Sample:
    return _piped(to, "")


def _zipped(to: Round) -> Sample:
    return _piped(to, "gzip -1 |")


def _piped(to: Round, through: str) -> Sample:
    """All nodes at once, each with a pipe of its own, as one would write it."""
    pipes = [
        f"docker save {to.image} | {through} {shlex.join(to.kit.fleet.ssh(node.address, 'docker load'))} &"
        for node in to.nodes
    ]
    return run(Command(argv=("sh", "-ec", " ".join([*pipes, "wait"])), env={}, cwd=to.kit.fleet.folder))


def _pulled(to: Round) -> Sample:
    """Pushed to the registry, pulled by all nodes at once."""
    here, there = f"{to.registry.here}/{to.image}", f"{to.registry.name}/{to.image}"
    pull = f"docker pull -q {there} && docker tag {there} {to.image}"
    pulls = [f"{shlex.join(to.kit.fleet.ssh(node.address, pull))} &" for node in to.nodes]
    script = f"docker tag {to.image} {here}; docker push -q {here}; docker rmi {here}; {' '.join(pulls)} wait"
    return run(Command(argv=("sh", "-ec", script), env={}, cwd=to.kit.fleet.folder))


CONTESTANTS: dict[str, Callable[[Round], Sample]] = {
    "cube image push": _cube,
    "cube image push, from node to node": _tree,
    "docker save, ssh, docker load": _saved,
    "docker save, gzip -1, ssh, docker load": _zipped,
    "docker push, registry, docker pull": _pulled,
}


if __name__ == "__main__":
    main()
