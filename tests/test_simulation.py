"""The real manager, reconciler, scheduler and store against the simulated fleet."""

import subprocess
import sys
import time  # noqa: TID251 - no two runs play the same seeds
from dataclasses import replace
from pathlib import Path

import pytest

from cube.simulator.__main__ import main, verdict
from cube.simulator.commands import check_always
from cube.simulator.faults import Fault
from cube.simulator.history import begun
from cube.simulator.laws import BrokenLawError, must, ours
from cube.simulator.play import draw_profile, play, step
from cube.simulator.varied import VARIATIONS, varies
from tests.mutants.catalogue import hunt, mutants

HERE = Path(__file__).parent
KNOWN = [int(line.split()[0]) for line in (HERE / "seeds.txt").read_text().splitlines() if line[0] != "#"]
SEEDS = 2000


@pytest.mark.parametrize("seed", KNOWN)
def test_a_seed_that_once_failed_keeps_the_laws(seed: int) -> None:
    """P3, P4, P5, P6, P7, P8, P9, P10, P11, P12, P13, P19, P20: cube/simulator/laws.py has each."""
    assert verdict(seed) == (seed, "")


@pytest.mark.timeout(600)
def test_seeds_that_nobody_has_played_keep_the_laws() -> None:
    """Others in each run. One that fails is mended, and then kept in seeds.txt."""
    first = time.time_ns() // 1000
    argv = [sys.executable, "-m", "cube.simulator", str(SEEDS), str(first)]  # coverage would slow them down
    played = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert (played.returncode, played.stderr) == (0, ""), played.stdout
    assert played.stdout.endswith(f"{SEEDS} passed, 0 failed\n")


def test_the_page_of_the_promises_says_how_many_each_run_plays() -> None:
    page = (HERE.parent / "docs" / "reliability.md").read_text()
    assert f"CI plays {SEEDS:,} new ones\nin each run" in page


def test_a_seed_that_fails_is_told_with_the_command_that_replays_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("cube.simulator.__main__.play", lambda seed: must(False, f"P4 two of {seed}"))
    assert main(1, 77) == 1
    told = capsys.readouterr().out
    assert told.startswith("seed 77: P4 two of 77\n  replay: make sim SEEDS=1 SEED=77\n")
    assert told.endswith("0 passed, 1 failed\n")


def test_the_same_seed_lives_the_same_history() -> None:
    assert [play(seed) for seed in (7, 9)] == [play(seed) for seed in (7, 9)]


def test_another_process_lives_the_same_history() -> None:
    """No set is ever iterated into a plan: Python orders those anew in each process."""
    script = "from cube.simulator.play import play\nprint([play(seed) for seed in (7, 9, 17)])"

    def traces(hash_seed: str) -> bytes:
        environment = {"PYTHONHASHSEED": hash_seed}
        return subprocess.run([sys.executable, "-c", script], env=environment, stdout=-1, check=True).stdout

    assert traces("1") == traces("3")


def test_the_checker_notices_a_container_that_was_doubled_p4() -> None:
    """A checker that cannot fail proves nothing."""
    with begun(3, draw_profile) as history:
        while not list(ours(history.site.machines)):
            step(history)
        machine, container = next(iter(ours(history.site.machines)))
        machine.containers["twin"] = replace(container, id="twin")
        with pytest.raises(BrokenLawError, match="P4"):
            check_always(history)


def test_the_checker_notices_a_foreign_container_that_is_gone_p5() -> None:
    with begun(3, draw_profile) as history:
        history.site.machines["node1"].containers.clear()
        with pytest.raises(BrokenLawError, match="P5"):
            check_always(history)


def test_every_kind_of_fault_is_drawn_in_a_few_seeds() -> None:
    """A fault that never happens is a promise that is not tested."""
    drawn = set()
    for seed in range(20):
        with begun(seed, draw_profile) as history:
            drawn |= set(history.profile.weather.kinds)
    assert drawn == set(Fault) - {Fault.NONE}


def test_every_variation_is_drawn_in_a_few_seeds() -> None:
    assert {kind for seed in range(100) for kind in varies(seed)} == set(VARIATIONS)


def test_histories_are_eventful() -> None:
    """Managers are killed and stopped, replies are lost, and two are at work at once."""
    told = "\n".join(line for seed in range(100) for line in _lived(seed))
    for event in ("is killed", "is stopped", "outcome unknown", "outcome failed", "somebody else is at work"):
        assert event in told


def test_a_mutant_is_caught() -> None:
    """The whole catalogue takes minutes: `make mutants`. All of it must at least apply."""
    sample = next(patch for patch in mutants() if patch.stem == "blind_repeat_after_unknown")
    assert hunt(sample, seeds=200).law


@pytest.mark.parametrize("patch", mutants(), ids=lambda patch: patch.stem)
def test_every_mutant_can_still_be_planted(patch: Path) -> None:
    assert hunt(patch, seeds=0).law == ""


def _lived(seed: int) -> list[str]:
    with begun(seed, draw_profile) as history:
        for _ in range(8):
            step(history)
        return list(history.trace)
