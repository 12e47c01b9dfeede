"""`cube store backup` and `cube store check`: one clear answer, and the documented exit code."""

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from cube.store.store import open_store


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A state file."""
    path = tmp_path / "cube.db"
    open_store(path).close()
    return path


def cube(*words: object) -> tuple[int, str, str]:
    command = [sys.executable, "-m", "cube.cli.main", "store", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    return done.returncode, done.stdout, done.stderr


def test_backup_then_check_of_the_copy(path: Path, tmp_path: Path) -> None:
    copy = tmp_path / "monday.db"
    assert cube("backup", copy, "--state", path) == (0, f"{path} copied to {copy}\n", "")
    assert cube("check", "--state", copy) == (0, f"{copy} is sound\n", "")


def test_a_backup_over_a_file_is_bad_input(path: Path) -> None:
    code, _, complaint = cube("backup", path, "--state", path)
    assert code == 2
    assert "there is a file already" in complaint


@pytest.mark.parametrize("command", [["check"], ["backup", "copy.db"]])
def test_a_state_that_is_not_there_is_not_made(tmp_path: Path, command: list[str]) -> None:
    code, _, complaint = cube(*command, "--state", tmp_path / "missing.db")
    assert code == 2
    assert "No such file" in complaint
    assert list(tmp_path.iterdir()) == []


def test_what_does_not_add_up_is_told_with_exit_1(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute(
            "INSERT INTO events VALUES (7, 1.0, 't', 'web', 'app', 0, 1, NULL, 'Pending', NULL, '', '', '{}')"
        )
    connection.close()
    code, _, complaint = cube("check", "--state", path)
    assert code == 1
    assert "without a gap: 1 events, the last has the number 7" in complaint


def test_a_damaged_file_is_told_without_a_traceback(path: Path) -> None:
    path.write_bytes(b"garbage" * 1000)
    code, _, complaint = cube("check", "--state", path)
    assert code == 2
    assert "damaged" in complaint
    assert "Traceback" not in complaint


def test_memory_is_bad_input() -> None:
    assert cube("check", "--state", ":memory:")[0] == 2
