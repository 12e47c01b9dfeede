"""What the tests on real nodes share: a desk to type commands at."""

from pathlib import Path

import pytest
from docker import DockerClient

from cube.lab.fleet import Lab
from tests.lab.desk import Desk


@pytest.fixture
def desk(engine: DockerClient, lab: Lab, tmp_path: Path) -> Desk:
    return Desk(folder=tmp_path, inventory=lab.inventory, engine=engine, nodes=lab.nodes)
