"""`cube state backup` and `cube state check`: one clear answer, and the documented exit code."""

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from cube.store.store import open_store
from tests.postgres import Cluster


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A state file."""
    path = tmp_path / "cube.db"
    open_store(path).close()
    return path


def cube(*words: object) -> tuple[int, str, str]:
    command = [sys.executable, "-m", "cube.cli.main", "state", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    return done.returncode, done.stdout, done.stderr


def test_backup_then_check_of_the_copy(path: Path, tmp_path: Path) -> None:
    copy = tmp_path / "monday.db"
    assert cube("backup", copy, "--state", path) == (0, f"{path} copied to {copy}\n", "")
    assert cube("check", "--state", copy) == (0, f"{copy} is sound\n", "")


def test_a_state_is_copied_to_a_server_and_back(path: Path, tmp_path: Path, postgres: Cluster) -> None:
    server, back = postgres.place(), tmp_path / "back.db"
    code, told, _ = cube("copy", path, server.url)
    assert (code, told) == (0, f"{path} copied to {server}; use only that one from now on\n")
    assert cube("check", "--state", server.url) == (0, f"{server} is sound\n", "")
    assert cube("copy", server.url, back)[0] == 0
    assert cube("backup", tmp_path / "monday.db", "--state", server.url)[0] == 0
    stores = [open_store(place) for place in (path, server, back, tmp_path / "monday.db")]
    assert len({store.owner for store in stores}) == 1
    for store in stores:
        store.close()


def test_a_copy_over_a_state_that_holds_something_is_bad_input(path: Path, postgres: Cluster) -> None:
    server = postgres.place()
    with closing(open_store(server)) as store:
        store.tell_of_job("web", 1, now=1.0, actor="ann", reason="here")
    code, _, complaint = cube("copy", path, server.url)
    assert (code, "the state is not empty" in complaint) == (2, True)


def test_a_password_on_the_command_line_is_bad_input_and_not_shown(path: Path) -> None:
    code, told, complaint = cube("copy", path, "postgresql://ann:s3cret@db/shop")
    assert (code, "s3cret" in told + complaint) == (2, False)
    assert "~/.pgpass" in complaint


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
