"""What a drain would move, and how long that takes, as it is told before."""

from collections.abc import Sequence

import pytest

from cube.cli.leaving import notes
from cube.manager.leaving import PACE, Leaver, copying
from tests import build


def leaver(index: int, size: int | None = 0, volumes: tuple[str, ...] = ("data",)) -> Leaver:
    return Leaver(task=build.task(index), nodes=("node2",), why="", volumes=volumes, size=size)


@pytest.mark.parametrize(
    ("sizes", "seconds", "told"),
    [
        ([0], 0, "about 1s"),
        ([PACE], 1, "about 1s"),
        ([10 * PACE, 110 * PACE], 120, "about 2m"),
        ([PACE, None], None, "unknown"),
    ],
)
def test_the_data_of_several_tasks_takes_as_long_as_one_after_another(
    sizes: Sequence[int | None], seconds: float | None, told: str
) -> None:
    found = [leaver(index, size) for index, size in enumerate(sizes)]
    assert copying(found) == seconds
    *ways, total = notes(found, "node1")
    assert ways[0] == "its data stays on node1, unless: cube move 'web/main[0]' --to node2 --with-data"
    assert total == f"with data: {len(sizes)}, one after another {told}"


def test_for_tasks_without_data_no_time_is_told_that_nobody_knows() -> None:
    found = [leaver(0, volumes=()), leaver(1, volumes=())]
    assert list(notes(found, "node1")) == [
        "without data: 2, each stays until its successor counts as healthy"
    ]
