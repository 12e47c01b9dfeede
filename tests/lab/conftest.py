"""What the tests on real nodes share: a desk to type commands at, a workshop for images."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from docker import DockerClient

from cube.lab import faults
from cube.lab.fleet import Lab
from tests.forks import Forks, forks_of
from tests.imagery import unarchived
from tests.lab.desk import Desk
from tests.lab.workshop import Workshop


@pytest.fixture(scope="session", name="forks")
def _forks() -> Iterator[Forks]:
    with forks_of() as found:
        yield found


@pytest.fixture
def desk(engine: DockerClient, lab: Lab, tmp_path: Path, forks: Forks) -> Iterator[Desk]:
    desk = Desk(folder=tmp_path, inventory=lab.inventory, engine=engine, nodes=lab.nodes, forks=forks)
    yield desk
    desk.leave()


@pytest.fixture(scope="session")
def base(engine: DockerClient, lab: Lab) -> bytes:
    """The layer of the nodes' demo images, to lay others upon."""
    pieces, _ = engine.containers.get(lab.nodes[0].container).get_archive("/usr/share/cube/images.tar")
    (images,) = unarchived(b"".join(pieces)).values()
    return unarchived(images)["layer.tar"]


@pytest.fixture
def workshop(engine: DockerClient, base: bytes, desk: Desk) -> Iterator[Workshop]:
    """A new name each time: what one test has pushed is another one's news."""
    name = f"cube-push-{os.getpid()}-{desk.folder.name[-2:].strip('-_').lower()}"
    yield Workshop(engine=engine, base=base, name=name)
    for tag in [tag for found in engine.images.list(name) for tag in found.tags]:
        engine.images.remove(tag)
    for number, node in enumerate(desk.nodes):
        faults.heal(engine, node)
        desk.on(number, "sh", "-c", "docker ps -aq | xargs -r docker rm -f")
        desk.on(number, "sh", "-c", f"docker images -q {name} | sort -u | xargs -r docker rmi -f")
