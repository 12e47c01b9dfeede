"""The same fleet by Vagrant, from the same Dockerfile."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from docker import DockerClient

from cube.lab.debian import debian_image

pytestmark = pytest.mark.lab

ROOT = Path(__file__).parents[2]


@pytest.fixture
def project(engine: DockerClient, tmp_path: Path) -> Iterator[Path]:
    """What Vagrant needs of the project, in a place of its own; its machines are destroyed at the end."""
    shutil.copytree(ROOT / "vagrant", tmp_path / "vagrant", ignore=shutil.ignore_patterns(".vagrant"))
    shutil.copytree(ROOT / "cube/lab/node", tmp_path / "cube/lab/node")
    (tmp_path / "inventories").mkdir()
    try:
        yield tmp_path
    finally:
        run(project=tmp_path, command=("vagrant", "destroy", "-f"))


def run(*, project: Path, command: tuple[str, ...], base: str = "debian:12-slim") -> str:
    settings = (f"VAGRANT_HOME={project / 'home'}", "CUBE_NODES=2", f"CUBE_BASE={base}")
    done = subprocess.run(
        ("env", *settings, *command),
        cwd=project / "vagrant",
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:]
    return done.stdout


def test_vagrant_brings_up_a_fleet_that_cube_reads(engine: DockerClient, project: Path) -> None:
    assert shutil.which("vagrant"), "Vagrant is missing: run scripts/setup --vagrant"
    base = debian_image(engine, cache=Path.home() / ".cache" / "cube", say=print)
    run(project=project, command=("vagrant", "up", "--provider", "docker"), base=base)
    run(project=project, command=("./inventory.py",), base=base)
    cube = str(Path(sys.executable).with_name("cube"))
    listed = run(
        project=project, command=(cube, "nodes", "-i", "../inventories/vagrant.yml", "--state", ":memory:")
    )
    rows = [line.split()[:3] for line in listed.splitlines()[1:]]
    assert rows == [["node1", "ready", "dc1"], ["node2", "ready", "dc2"]]
