"""What the tests on real nodes share: a desk to type commands at."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from docker import DockerClient

from cube.lab.fleet import Lab
from tests.lab.desk import Desk


@pytest.fixture
def desk(engine: DockerClient, lab: Lab, tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(folder=tmp_path, inventory=lab.inventory, engine=engine, nodes=lab.nodes)
    yield desk
    desk.leave()
