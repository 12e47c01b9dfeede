"""`cube logs`: what tasks have written, whatever became of the others."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest

from cube.cli.lines import print_lines
from cube.errors import CubeError, UnreachableError
from cube.manager.tasks import Extract, LogLine, read_logs
from tests.build import task

TASKS = tuple(
    replace(task(index, node=node), container="c") for index, node in enumerate(("node2", "node1", "node2"))
)


@dataclass(frozen=True, slots=True)
class Node:
    """A worker with one line in each log; or one that does not answer."""

    answers: bool

    def logs(self, _container: str, **_: object) -> Iterator[tuple[str, bytes]]:
        if not self.answers:
            raise UnreachableError("timed out", where="node2")
        yield "stdout", b"2026-11-21T10:00:00Z hello"


@pytest.fixture
def lines() -> list[LogLine | CubeError]:
    workers = {"node1": Node(answers=True), "node2": Node(answers=False)}
    return list(read_logs(workers, TASKS, Extract()))  # type: ignore[arg-type] # all that is asked of it


def test_a_silent_node_hides_no_other_node_s_lines_and_is_told_once_p2(
    lines: list[LogLine | CubeError],
) -> None:
    line, error = lines
    assert isinstance(line, LogLine)
    assert (line.task, line.text) == (TASKS[1], b"hello")
    assert str(error) == "node2: timed out"


def test_what_could_not_be_read_makes_the_exit_code_p12(
    lines: list[LogLine | CubeError], capsys: pytest.CaptureFixture[str]
) -> None:
    assert print_lines(lines, TASKS, timestamps=False) == 3
    told = capsys.readouterr()
    assert told.out == "web/main[1]  hello\n"
    assert told.err == "cube: node2: timed out\n"
    assert print_lines(lines[:1], TASKS, timestamps=False) == 0
