"""What every test may ask for: real nodes, and places for a state on each engine.

A test that takes `node` or `fleet` is marked `lab`, gets nodes that are well and empty, and may break them:

    @pytest.mark.lab
    def test_a_dead_node_is_unknown(engine: DockerClient, node: LabNode) -> None:
        faults.kill(engine, node)
"""

import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from docker import DockerClient
from hypothesis import settings

from cube.lab import faults
from cube.lab.engine import LOCAL
from cube.lab.engine import engine as engine_at
from cube.lab.fleet import Lab, LabNode, LabSpec
from cube.lab.lab import down, up
from cube.store.address import StatePlace
from tests.postgres import Cluster, cluster

# No test is timed: a busy machine is not a defect.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell without job control lets what it runs in the background ignore Ctrl-C, and so would every child.
    signal.signal(signal.SIGINT, signal.default_int_handler)

_EMPTY = """docker ps -aq | xargs -r docker rm -fv
for kind in network volume image; do docker $kind prune -f; done"""


@pytest.fixture(scope="session")
def engine() -> Iterator[DockerClient]:
    """The engine of this machine, which runs the nodes; a test that needs one fails where there is none."""
    with engine_at(LOCAL) as client:
        yield client


@pytest.fixture(scope="session")
def lab(engine: DockerClient, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Three nodes for this run alone, with `inventory` and `key` on disk, taken down at its end."""
    name = f"test-{os.getpid()}"
    spec = LabSpec(name=name, nodes=3, inventory=tmp_path_factory.mktemp("lab") / f"{name}.yml")
    try:
        yield up(engine, spec, cache=Path.home() / ".cache" / "cube", say=print)
    finally:
        down(engine, name)


@pytest.fixture
def fleet(engine: DockerClient, lab: Lab) -> tuple[LabNode, ...]:
    """All nodes of the lab: well, and empty but for the demo images."""
    with ThreadPoolExecutor(len(lab.nodes)) as pool:
        list(pool.map(lambda node: _renew(engine, node), lab.nodes))
    return lab.nodes


@pytest.fixture
def node(engine: DockerClient, lab: Lab) -> LabNode:
    """One node of the lab: well, and empty but for the demo images."""
    _renew(engine, lab.nodes[0])
    return lab.nodes[0]


@pytest.fixture(scope="session")
def postgres() -> Iterator[Cluster]:
    """A PostgreSQL for this run alone."""
    with cluster() as found:
        yield found


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> StatePlace:
    """Where a state may be kept, with nothing there yet: the test holds for every engine."""
    if request.param == "sqlite":
        return tmp_path / "state" / "cube.db"
    found: Cluster = request.getfixturevalue("postgres")
    return found.place()


def _renew(engine: DockerClient, node: LabNode) -> None:
    faults.heal(engine, node)
    status, output = engine.containers.get(node.container).exec_run(["sh", "-ec", _EMPTY])
    assert status == 0, output


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many tests were skipped, also when none was: a skip must never go unseen."""
    terminalreporter.write_line(f"skipped: {len(terminalreporter.stats.get('skipped', []))}")
