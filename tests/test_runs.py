"""`cube job next`: when a periodic job will run, typed as a person types it."""

from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from cube.cli.main import app
from cube.model.job import JobType, Schedule
from cube.store.store import open_store
from tests.build import NOW, job

INVENTORY = "all: {hosts: {node1: {ansible_host: 192.0.2.1}}}\n"
THURSDAY = 1_792_663_200.0
"""2026-10-22, 10:00 UTC; in the night to Sunday Berlin's clocks go back."""


def test_the_next_five_runs_are_told_in_order_by_both_clocks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "inv.yml").write_text(INVENTORY)
    nightly = job(
        "nightly", type=JobType.PERIODIC, schedule=Schedule(cron="0 2 * * *", timezone="Europe/Berlin")
    )
    with closing(open_store(tmp_path / "test.db")) as store:
        store.put_job(nightly, now=NOW, actor="ann", reason="deployed")
    monkeypatch.setattr("cube.cli.runs.time", SimpleNamespace(time=lambda: THURSDAY))
    asked = ["job", "next", "nightly", "-i", str(tmp_path / "inv.yml"), "--state", str(tmp_path / "test.db")]
    told = CliRunner().invoke(app, asked)
    assert told.exit_code == 0, told.output
    _, *rows = (line.split() for line in told.stdout.splitlines())
    assert [" ".join(row[:6]) for row in rows] == [
        "Fri 2026-10-23 02:00 Europe/Berlin 2026-10-23 00:00",
        "Sat 2026-10-24 02:00 Europe/Berlin 2026-10-24 00:00",
        "Sun 2026-10-25 02:00 Europe/Berlin 2026-10-25 00:00",
        "Mon 2026-10-26 02:00 Europe/Berlin 2026-10-26 01:00",
        "Tue 2026-10-27 02:00 Europe/Berlin 2026-10-27 01:00",
    ]
