"""The crash points of a deploy from its fact on; `make crash` has all, and those of other commands."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from docker import DockerClient

from cube.lab.fleet import Lab, LabNode
from tests.crash import child
from tests.crash.scenarios import SCENARIOS
from tests.crash.trial import try_all
from tests.crash.yard import Yard
from tests.forks import forks_of
from tests.lab.desk import Desk

(DEPLOY,) = (found for found in SCENARIOS if found.name == "deploy, with files")


@pytest.fixture
def yard(tmp_path: Path, engine: DockerClient, lab: Lab, fleet: tuple[LabNode, ...]) -> Iterator[Yard]:
    inventory = yaml.safe_load(lab.inventory.read_text())
    for group in (inventory["all"], *inventory["all"]["children"].values()):
        for node in fleet[2:]:
            group["hosts"].pop(node.name, None)
    file = written(tmp_path, inventory)
    with forks_of(child.__name__) as forks:
        yield Yard(desk=Desk(folder=tmp_path, inventory=file, engine=engine, nodes=fleet[:2], forks=forks))


@pytest.fixture
def strangers(yard: Yard) -> Yard:
    """The same nodes, whose host keys the inventory does not tell."""
    inventory = yaml.safe_load(yard.desk.inventory.read_text())
    for node in inventory["all"]["hosts"].values():
        del node["cube_host_key"]
    return replace(yard, desk=replace(yard.desk, inventory=written(yard.folder, inventory)))


def written(folder: Path, inventory: Any) -> Path:
    file = folder / "two.yml"
    file.write_text(yaml.safe_dump(inventory))
    return file


@pytest.mark.lab
@pytest.mark.timeout(900)
def test_a_deploy_that_is_killed_anywhere_is_mended_by_a_sweep_p6_p9_p10_p11(yard: Yard) -> None:
    result = try_all(DEPLOY, yard, since=f"COMMIT {DEPLOY.fact}, before #1")
    assert not result.failed
    passed = {trial.point for trial in result.trials}
    assert {f"COMMIT {DEPLOY.fact}, {when} #1" for when in ("before", "after")} <= passed
    for change in ("POST /containers/create", "POST /containers/*/start", "POST /exec/*/start"):
        assert {f"{change}, {when} #1" for when in ("before", "sent", "answered")} <= passed
    for number in (1, 2, 3, 4):
        moments = ("before", "half sent", "sent", "answered")
        assert {f"write files, {when} #{number}" for when in moments} <= passed


@pytest.mark.lab
def test_host_keys_are_pinned_whole_or_not_at_all_p9_p14(strangers: Yard) -> None:
    words = ("node", "trust", "all", "--yes")
    points = strangers.points(words)
    wanted = strangers.known_hosts.read_text()
    assert sum(map(is_a_pin, points)) == 2
    for point in points:
        strangers.clear()
        assert strangers.kill(point, words), point
        found = strangers.known_hosts.read_text() if strangers.known_hosts.exists() else ""
        pinned = sum(map(is_a_pin, strangers.passed()))
        assert found == "".join(wanted.splitlines(keepends=True)[:pinned]), point
        strangers.cube(*words)
        assert strangers.known_hosts.read_text() == wanted, point
        assert strangers.sweep().returncode == 0, point


def is_a_pin(point: str) -> bool:
    return point.startswith("replace .known_hosts-*, after")
