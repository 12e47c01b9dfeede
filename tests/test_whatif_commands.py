"""`cube simulate` and `cube rebalance` from a shell, over a store that remembers looks and a job."""

import json
import re
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from cube.model.resources import Resources
from cube.store.store import open_store
from tests.build import GIB, NOW, job, seen, spec

HOSTS = "all: {vars: {cube_cluster: test}, hosts: {node1: {}, node2: {}}}\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two nodes of 4 GiB were seen, and a job wants one task of 3 GiB; nothing runs."""
    (tmp_path / "test.yml").write_text(HOSTS)
    with closing(open_store(tmp_path / "test.db")) as store:
        store.put_observations([seen(name, memory=4 * GIB) for name in ("node1", "node2")])
        large = replace(spec(), resources=Resources(cpu=100, memory=3 * GIB))
        store.put_job(job(task=large, count=1), now=NOW, actor="me", reason="deployed")
    return tmp_path


def cube(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    place = ["-i", str(folder / "test.yml"), "--state", str(folder / "test.db")]
    argv = [sys.executable, "-m", "cube.cli.main", *words, *place]
    return subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)


def test_a_monitor_reads_from_the_exit_status_whether_any_node_can_be_lost(folder: Path) -> None:
    assert cube(folder, "simulate", "--n-plus-1").returncode == 0
    done = cube(folder, "simulate", "--n-plus-1", "--scale", "web=2")
    assert (done.returncode, "no room for web/main[" in done.stdout) == (1, True)
    told = json.loads(cube(folder, "simulate", "--n-plus-1", "--scale", "web=2", "-o", "json").stdout)
    assert [node["survives"] for node in told["nodes"]] == [False, False] == [told["survives"]] * 2


def test_how_old_the_oldest_look_is_that_is_taken_for_fresh_is_told(folder: Path) -> None:
    def told(*looks_at: float) -> str:
        with closing(open_store(folder / "test.db")) as store:
            for number, at in enumerate(looks_at, start=1):
                store.put_observations([replace(seen(f"node{number}"), at=at)])
        return cube(folder, "simulate", "--lose", "node2").stderr

    days = r"node1: seen \d+d ago, the oldest look that is taken for fresh; look with: cube nodes"
    assert re.search(days, told(0.0, 86400.0))
    assert told(2 * NOW, 2 * NOW) == ""


def test_what_is_no_count_is_told_by_the_option_that_asks_for_one(folder: Path) -> None:
    assert "--scale: 'web' is not JOB=COUNT" in cube(folder, "simulate", "--scale", "web").stderr


def test_what_would_be_is_told_as_data_too(folder: Path) -> None:
    done = cube(folder, "simulate", "--lose", "node1", "--add", "2*4x4GiB", "--scale", "web=4", "-o", "json")
    found = json.loads(done.stdout)
    assert {move["target"] for move in found["moves"]} == {"node2", "added1", "added2"}
    assert [stuck["slot"]["job"] for stuck in found["stuck"]] == ["web"]


def test_a_scheduler_alone_places_all_services_anew(folder: Path) -> None:
    done = cube(folder, "simulate", "--scheduler", "spread")
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1] == "placed anew by spread; nodes in use: 0 now, 1 then"


@pytest.mark.parametrize("words", [["--lose", "node1"], ["--scale", "web=3"], ["--scheduler", "spread"]])
def test_how_full_nodes_would_be_is_drawn_too(folder: Path, words: list[str]) -> None:
    done = cube(folder, "simulate", *words, "--plot", str(folder / "then.png"))
    assert done.returncode == 0, done.stderr
    assert (folder / "then.png").read_bytes().startswith(b"\x89PNG")


def test_the_store_is_left_as_it_was(folder: Path) -> None:
    before = (folder / "test.db").read_bytes()
    assert cube(folder, "simulate", "--lose", "node1").returncode == 0
    assert (folder / "test.db").read_bytes() == before


@pytest.mark.parametrize(
    "words",
    [
        ["simulate", "--lose", "node3"],
        ["simulate", "--add", "4x"],
        ["simulate", "--add", "4x1lb"],
        ["simulate", "--add", "0*4x8GiB"],
        ["simulate", "--scale", "shop=2"],
        ["simulate", "--scale", "web/other=2"],
        ["simulate", "--scheduler", "none"],
        ["rebalance", "--max-moves", "0"],
        ["rebalance", "--min-gain", "2"],
        ["rebalance", "--scheduler", "none"],
    ],
)
def test_what_is_not_known_is_bad_input(folder: Path, words: list[str]) -> None:
    done = cube(folder, *words)
    assert (done.returncode, done.stdout) == (2, "")


def test_a_fleet_that_was_never_seen_is_not_guessed_at_p12(tmp_path: Path) -> None:
    (tmp_path / "test.yml").write_text(HOSTS)
    done = cube(tmp_path, "simulate", "--lose", "node1")
    assert (done.returncode, "no look at the nodes is recorded" in done.stderr) == (2, True)
