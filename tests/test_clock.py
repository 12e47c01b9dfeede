"""The clock of a run."""

import time  # noqa: TID251 - it is what is replaced

import pytest

from cube.manager.clock import RunClock


def test_p7_a_run_is_not_moved_when_somebody_sets_the_machine_s_clock(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = RunClock()
    before = clock.now()
    monkeypatch.setattr(time, "time", lambda: before - 3600)
    assert 0 <= clock.now() - before < 60


def test_a_run_begins_with_the_machine_s_time() -> None:
    assert abs(RunClock().now() - time.time()) < 1
