"""Every recorded case reads as Ansible itself read it (tests/cases/inventory/record.sh)."""

import json
from pathlib import Path

import pytest

from cube.cli.load import load_inventory
from cube.inventory.listing import as_graph, as_list

FOLDER = Path(__file__).parent / "cases" / "inventory"
CASES = sorted(
    path.relative_to(FOLDER).as_posix().removesuffix(".list.json") for path in FOLDER.rglob("*.list.json")
)


def test_there_are_cases() -> None:
    assert len(CASES) >= 15


@pytest.mark.parametrize("case", CASES)
def test_the_list_is_that_of_ansible(case: str) -> None:
    expected = json.loads((FOLDER / f"{case}.list.json").read_text())

    printed = json.dumps(as_list(load_inventory(FOLDER / case)), default=lambda moment: moment.isoformat())

    assert json.loads(printed) == expected


@pytest.mark.parametrize("case", CASES)
def test_the_graph_is_that_of_ansible(case: str) -> None:
    expected = (FOLDER / f"{case}.graph").read_text().splitlines()

    assert list(as_graph(load_inventory(FOLDER / case))) == expected
