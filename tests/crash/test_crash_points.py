"""Every crash point of a deploy and of an update; `make crash` has those of the other commands, too."""

from pathlib import Path

import pytest
import yaml
from docker import DockerClient

from cube.lab.fleet import Lab, LabNode
from tests.crash.scenarios import SCENARIOS, Scenario
from tests.crash.trial import try_all
from tests.crash.yard import Yard
from tests.lab.desk import Desk

TRIED = [found for found in SCENARIOS if found.name in ("deploy", "update")]


@pytest.fixture
def yard(tmp_path: Path, engine: DockerClient, lab: Lab, fleet: tuple[LabNode, ...]) -> Yard:
    inventory = yaml.safe_load(lab.inventory.read_text())
    for group in (inventory["all"], *inventory["all"]["children"].values()):
        for node in fleet[2:]:
            group["hosts"].pop(node.name, None)
    file = tmp_path / "two.yml"
    file.write_text(yaml.safe_dump(inventory))
    return Yard(desk=Desk(folder=tmp_path, inventory=file, engine=engine, nodes=fleet[:2]))


@pytest.mark.lab
@pytest.mark.timeout(900)
@pytest.mark.parametrize("scenario", TRIED, ids=[scenario.name for scenario in TRIED])
def test_a_command_that_is_killed_anywhere_is_mended_by_a_sweep_p9(scenario: Scenario, yard: Yard) -> None:
    result = try_all(scenario, yard)
    assert not result.failed
    passed = {trial.point for trial in result.trials}
    assert {f"COMMIT {scenario.fact}, before #1", f"COMMIT {scenario.fact}, after #1"} <= passed
    for number in (1, 2):
        for change in ("POST /containers/create", "POST /containers/*/start"):
            assert {f"{change}, {when} #{number}" for when in ("before", "sent", "answered")} <= passed
