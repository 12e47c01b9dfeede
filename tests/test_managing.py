"""`cube manager start --detach`, `install` and `remove`: what they leave on a machine, and take away."""

import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from http.client import HTTPConnection
from pathlib import Path
from threading import Event

import pytest
from typer.testing import CliRunner, Result

from cube.cli import installing
from cube.cli.manager import app
from cube.errors import InputError
from tests.stage import free_port

INVENTORY = "all: {hosts: {node1: {ansible_host: 127.0.0.1, ansible_port: 1}}}\n"
"""One node, which never answers."""

UNIT = "cube-lab-manager.service"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project's folder, in which the commands are typed; nobody's own home is looked at."""
    (tmp_path / "lab.yml").write_text(INVENTORY)
    monkeypatch.chdir(tmp_path)
    for name, value in (("HOME", str(tmp_path)), ("NO_COLOR", "1"), ("COLUMNS", "2000")):
        monkeypatch.setenv(name, value)
    for name in ("CUBE_INVENTORY", "CUBE_STATE", "CUBE_MANAGER", "CUBE_NOTIFY_URL"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


class TestInTheBackground:
    port: int
    begun: list[int]

    @pytest.fixture(autouse=True)
    def ended(self, folder: Path) -> Iterator[None]:
        """Nothing that a test began outlives it."""
        del folder
        self.port, self.begun = free_port(), []
        yield
        for process in self.begun:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)

    def detach(self) -> subprocess.CompletedProcess[str]:
        words = ("manager", "start", "--detach", "-i", "lab.yml", "--listen", f"127.0.0.1:{self.port}")
        done = subprocess.run(
            [sys.executable, "-m", "cube.cli.main", *words],
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        self.begun += [int(found) for found in re.findall(r"kill (\d+)", done.stdout)]
        return done

    def answers(self) -> bool:
        with closing(HTTPConnection("127.0.0.1", self.port, timeout=20)) as connection:
            try:
                connection.request("GET", "/healthz")
                return connection.getresponse().status == 200
            except ConnectionError:
                return False

    def test_it_outlives_the_command_says_where_it_writes_and_ends_by_its_number(self, folder: Path) -> None:
        done = self.detach()
        assert done.returncode == 0, done.stderr
        (process,) = self.begun
        log = folder / ".cube" / "lab.manager.log"
        is_at = f"the manager of cluster lab is at http://127.0.0.1:{self.port}"
        where = f"{is_at}, as process {process}; it writes to {log}"
        assert done.stdout.splitlines() == [where, f"end it with: kill {process}"]
        assert self.answers()
        assert (folder / ".cube" / "lab.db").exists()
        os.kill(process, signal.SIGTERM)
        until(lambda: "ended; what was done is recorded" in log.read_text())
        until(lambda: not self.answers())

    def test_one_that_does_not_come_up_is_told_with_its_own_words(self) -> None:
        """Though the log of the one before it says that all is well."""
        assert self.detach().returncode == 0
        done = self.detach()
        assert (done.returncode, done.stdout) == (1, "")
        for words in ("the manager did not come up", "the manager cannot listen", "another manager there"):
            assert words in done.stderr
        assert self.answers(), "the first goes on"


def until(holds: Callable[[], bool]) -> None:
    pause = Event()
    for _ in range(300):
        if holds():
            return
        pause.wait(0.1)
    pytest.fail("it never came to hold")


class TestWithSystemd:
    """Against a stub of systemctl, and a folder of its own: no test touches this machine's units."""

    units: Path
    told: Path

    @pytest.fixture(autouse=True)
    def systemd(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.units, self.told = folder / "units", folder / "told"
        stub = folder / "bin" / "systemctl"
        stub.parent.mkdir()
        stub.write_text(f'#!/bin/sh\necho "$@" >> {self.told}\n')
        stub.chmod(0o700)
        monkeypatch.setenv("PATH", str(stub.parent), prepend=":")
        monkeypatch.setattr(installing, "BOOTED", folder)
        monkeypatch.setattr(installing, "_systemd", lambda: (self.units, ("--user",)))

    def cube(self, *words: str) -> Result:
        return CliRunner().invoke(app, [*words, "-i", "lab.yml"])

    def test_the_unit_that_was_shown_is_written_and_started_and_taken_away_again(self, folder: Path) -> None:
        terms = ("install", "--listen", "127.0.0.1:7171", "--every", "5s", "--host", "cube.example")
        shown = self.cube(*terms)
        assert isinstance(shown.exception, InputError), "there is nobody to say yes"
        assert not self.units.exists()
        assert not self.told.exists()
        done = self.cube(*terms, "--yes")
        assert done.exit_code == 0, done.exception
        written = (self.units / UNIT).read_text()
        assert [line.strip() for line in written.splitlines()] == [
            line.strip() for line in shown.stdout.splitlines()[1:]
        ]
        (starts,) = re.findall("^ExecStart=(.*)$", written, re.MULTILINE)
        words = shlex.split(starts)
        assert words[words.index("manager") :] == [
            "manager", "start", "-i", str(folder / "lab.yml"), "--state", str(folder / ".cube" / "lab.db"),
            "--listen", "127.0.0.1:7171", "--every", "5s", "--host", "cube.example",
        ]  # fmt: skip
        assert f"WorkingDirectory={folder}\n" in written
        assert self.told.read_text().splitlines() == ["--user daemon-reload", f"--user enable --now {UNIT}"]
        self.told.unlink()
        (self.units / "theirs.service").write_text("")
        assert isinstance(self.cube("remove").exception, InputError)
        assert (self.units / UNIT).exists()
        assert self.cube("remove", "--yes").exit_code == 0
        assert [found.name for found in self.units.iterdir()] == ["theirs.service"]
        assert self.told.read_text().splitlines() == [f"--user disable --now {UNIT}", "--user daemon-reload"]
        assert f"there is no {UNIT} in {self.units}" in self.cube("remove", "--yes").stdout

    def test_what_systemctl_refuses_is_told(self, folder: Path) -> None:
        (folder / "bin" / "systemctl").write_text("#!/bin/sh\necho no bus >&2; exit 1\n")
        refused = self.cube("install", "--yes").exception
        assert str(refused) == "systemctl --user daemon-reload failed: no bus"
