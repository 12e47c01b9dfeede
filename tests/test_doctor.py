"""`cube doctor`: what it makes of what a node tells."""

from dataclasses import replace

import pytest

from cube.model.observation import Engine
from cube.worker.doctor import Grade, clock_finding, engine_finding
from tests.build import NOW, stats


@pytest.mark.parametrize("away", [-600.0, 600.0])
def test_a_clock_that_is_minutes_away_is_told_with_the_way_on(away: float) -> None:
    found = clock_finding(replace(stats(), clock=NOW + away), NOW, NOW)
    assert (found.grade, found.what) == (Grade.POOR, "600 s away from ours")
    assert "run NTP" in found.cure


def test_a_clock_is_not_wrong_by_what_its_answer_took() -> None:
    assert clock_finding(replace(stats(), clock=NOW + 30), NOW, NOW + 60).grade is Grade.GOOD


@pytest.mark.parametrize(
    ("version", "api", "grade", "cure"),
    [
        ("19.03.0", "1.40", Grade.GOOD, ""),
        ("18.09.9", "1.39", Grade.BAD, "Upgrade Docker to 19.03"),
        ("1.9.1", "1.9", Grade.BAD, "Upgrade Docker to 19.03"),
        ("podman 4.3", "1.41", Grade.BAD, "other engines"),
    ],
)
def test_an_engine_that_cube_cannot_drive_is_told(version: str, api: str, grade: Grade, cure: str) -> None:
    found = engine_finding(Engine(version=version, api_version=api))
    assert found.grade is grade
    assert cure in found.cure
