"""What the tests on real nodes share: a desk to type commands at."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from docker import DockerClient

from cube.lab.fleet import Lab
from tests.imagery import unarchived
from tests.lab.desk import Desk


@pytest.fixture
def desk(engine: DockerClient, lab: Lab, tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(folder=tmp_path, inventory=lab.inventory, engine=engine, nodes=lab.nodes)
    yield desk
    desk.leave()


@pytest.fixture(scope="session")
def base(engine: DockerClient, lab: Lab) -> bytes:
    """The layer of the nodes' demo images, to lay others upon."""
    pieces, _ = engine.containers.get(lab.nodes[0].container).get_archive("/usr/share/cube/images.tar")
    (images,) = unarchived(b"".join(pieces)).values()
    return unarchived(images)["layer.tar"]
