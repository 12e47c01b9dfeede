"""What a person reads while the loop runs."""

from cube.cli.progress import tell
from cube.manager.report import Done
from cube.model.action import Outcome, Start, Verdict
from tests.build import task


def test_what_died_at_its_start_shows_its_cure_and_its_last_lines() -> None:
    outcome = Outcome(
        verdict=Verdict.FAILED, why="exit code 3", cure="See below.", detail={"log": "no database\nbye"}
    )
    lines: list[str] = []
    tell(
        Done(effect=Start(task=task(), reason="test"), outcome=outcome),
        lambda text, _style: lines.append(text),
    )
    assert [line.strip() for line in lines] == [
        "start  web/main[0] on node1  failed: exit code 3",
        "See below.",
        "| no database",
        "| bye",
    ]
