"""Every crash point of a deploy; `make crash` has those of updates, stops and drains, too."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from docker import DockerClient

from cube.lab.fleet import Lab, LabNode
from tests.crash.scenarios import SCENARIOS, Scenario
from tests.crash.trial import try_all
from tests.crash.yard import Yard
from tests.lab.desk import Desk

TRIED = [found for found in SCENARIOS if found.name == "deploy"]


@pytest.fixture
def yard(tmp_path: Path, engine: DockerClient, lab: Lab, fleet: tuple[LabNode, ...]) -> Yard:
    inventory = yaml.safe_load(lab.inventory.read_text())
    for group in (inventory["all"], *inventory["all"]["children"].values()):
        for node in fleet[2:]:
            group["hosts"].pop(node.name, None)
    return a_yard(
        tmp_path, inventory, Desk(folder=tmp_path, inventory=lab.inventory, engine=engine, nodes=fleet[:2])
    )


def a_yard(folder: Path, inventory: Any, desk: Desk) -> Yard:
    file = folder / "two.yml"
    file.write_text(yaml.safe_dump(inventory))
    return Yard(desk=replace(desk, inventory=file))


@pytest.fixture
def strangers(yard: Yard) -> Yard:
    """The same nodes, whose host keys the inventory does not tell."""
    inventory = yaml.safe_load(yard.desk.inventory.read_text())
    for node in inventory["all"]["hosts"].values():
        del node["cube_host_key"]
    return a_yard(yard.folder, inventory, yard.desk)


@pytest.mark.lab
@pytest.mark.timeout(900)
@pytest.mark.parametrize("scenario", TRIED, ids=[scenario.name for scenario in TRIED])
def test_a_command_that_is_killed_anywhere_is_mended_by_a_sweep_p6_p9_p10_p11(
    scenario: Scenario, yard: Yard
) -> None:
    result = try_all(scenario, yard)
    assert not result.failed
    passed = {trial.point for trial in result.trials}
    assert {f"COMMIT {scenario.fact}, before #1", f"COMMIT {scenario.fact}, after #1"} <= passed
    for number in (1, 2):
        for change in ("POST /containers/create", "POST /containers/*/start"):
            assert {f"{change}, {when} #{number}" for when in ("before", "sent", "answered")} <= passed


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
