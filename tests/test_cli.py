"""Bad input through the real command: one clear message, the right exit code, and nothing touched (P17).

Every case is the whole `cube` process in an empty folder. None of them may open a connection: the nodes of
these inventories do not exist, and a case that reached for them would not end in time.
"""

import os
import sqlite3
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from cube import __version__

INVENTORY = """
all:
  hosts:
    node1: {ansible_host: 192.0.2.1}
    node2: {ansible_host: 192.0.2.2}
  children:
    web: {hosts: {node1: }}
"""

JOB = """
job: web
groups:
  main: {image: app:1}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Folder:
    """A project's folder with an inventory `inv.yml` and a job `job.yml`."""

    path: Path

    def cube(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run the command here, with no home and no variables but PATH."""
        return subprocess.run(
            [sys.executable, "-m", "cube.cli.main", *words],
            cwd=self.path,
            env={"PATH": "/usr/bin:/bin", "HOME": str(self.path), "NO_COLOR": "1"},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def write(self, name: str, text: str) -> None:
        (self.path / name).write_text(text)

    def refuses(self, *words: str, says: str, code: int = 2) -> str:
        """The command ends with that code and these words, and leaves no state behind."""
        done = self.cube(*words)
        assert (done.returncode, done.stdout) == (code, ""), done.stdout + done.stderr
        assert says in done.stderr, done.stderr
        assert "Traceback" not in done.stderr
        assert "bug in Cube" not in done.stderr
        return done.stderr


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    found = Folder(path=tmp_path)
    found.write("inv.yml", INVENTORY)
    found.write("job.yml", JOB)
    return found


def test_the_version_is_told_without_an_inventory(folder: Folder) -> None:
    (folder.path / "inv.yml").unlink()
    done = folder.cube("--version")
    assert (done.returncode, done.stdout) == (0, f"cube {__version__}\n")


class TestAnInventory:
    def test_that_is_missing_is_named(self, folder: Folder) -> None:
        folder.refuses("nodes", "-i", "none.yml", says="none.yml: the file cannot be read")

    def test_that_nobody_named_says_how_to_name_one(self, folder: Folder) -> None:
        assert "-i FILE" in folder.refuses("nodes", says="no inventory was named")

    @pytest.mark.parametrize(
        ("text", "says"),
        [
            ("", "no host"),
            ("- a\n- list\n", "inv.yml:1:1"),
            ("all: {hosts: {node1: {}, node1: {}}}\n", "twice"),
            ("all: {hosts: {node1: {cube_datacentre: a}}}\n", "cube_datacenter"),
            ("all: {hosts: {n: }, children: {a: {children: {b: {children: {a: }}}}}}\n", "inv.yml:1:"),
            ("all: {hosts: {'web[3:1]': }}\n", "the range ends before it begins"),
            ("all: {hosts: {a: {ansible_host: h}, b: {ansible_host: h}}}\n", "'a'"),
            ("all: {hosts: {'-oProxyCommand=x': }}\n", "-oProxyCommand"),
            ("all: {hosts: {a: {ansible_port: 70000}}}\n", "70000"),
            ("all:\n\thosts: {}\n", "inv.yml:2:1"),
            ("a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\n", "inv.yml:"),
        ],
    )
    def test_that_cannot_be_used_is_refused_with_its_place(
        self, folder: Folder, text: str, says: str
    ) -> None:
        folder.write("inv.yml", text)
        folder.refuses("nodes", "-i", "inv.yml", says=says)

    def test_whose_aliases_explode_is_refused_at_once_p1(self, folder: Folder) -> None:
        lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
        lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
        folder.write("inv.yml", "\n".join(lines))
        folder.refuses("nodes", "-i", "inv.yml", says="inv.yml:")

    def test_pattern_that_names_nothing_shows_what_is_near(self, folder: Folder) -> None:
        folder.refuses("nodes", "wbe", "-i", "inv.yml", says="web")


class TestAJobFile:
    @pytest.mark.parametrize(
        ("text", "says"),
        [
            ("job: web\ngroups:\n  main: {imgae: app:1}\n", "job.yml:3:10: unknown key 'imgae'"),
            ("job: web\ngroups:\n  main: {image: app:1, count: 1.5}\n", "job.yml:3:"),
            ("job: web\ngroups:\n  main: {image: '{{ nothing }}'}\n", "job.yml:3:"),
            ("job: web\ngroups:\n  main: {image: \"{{ 'a' * 10**9 }}\"}\n", "job.yml:3:"),
            ("job: web\ngroups:\n  main: {image: \"{{ ''.__class__ }}\"}\n", "job.yml:3:"),
            ("job: web\ngroups:\n  main: {image: a, command: 'rm -rf /'}\n", "list"),
            ("job: Web\ngroups:\n  main: {image: a}\n", "job.yml:1:6"),
            ("job: web\n", "groups"),
            ("", "job.yml"),
            ("job: [\n", "job.yml:"),
        ],
    )
    def test_that_cannot_be_used_is_refused_with_its_place(
        self, folder: Folder, text: str, says: str
    ) -> None:
        folder.write("job.yml", text)
        folder.refuses("deploy", "job.yml", "-i", "inv.yml", says=says)
        assert not (folder.path / ".cube").exists(), "nothing may be touched before the input is good"

    def test_that_is_missing_is_named(self, folder: Folder) -> None:
        folder.refuses("deploy", "none.yml", "-i", "inv.yml", says="none.yml: the file cannot be read")


class TestAnOption:
    @pytest.mark.parametrize(
        ("words", "says"),
        [
            (("deploy", "job.yml", "--timeout", "soon"), "--timeout"),
            (("deploy", "job.yml", "--timeout", "-5s"), "--timeout"),
            (("deploy", "job.yml", "--var", "novalue"), "NAME=VALUE"),
            (("deploy", "job.yml", "--scheduler", "best"), "Known: tight, spread"),
            (("scale", "web", "main=-1"), "main"),
            (("scale", "web", "main=many"), "many"),
            (("status", "nosuch"), "nosuch"),
            (("stop", "nosuch"), "nosuch"),
            (("stop", ""), "no job"),
            (("events", "--since", "yesterday"), "--since"),
            (("events", "--until", "1h", "-f"), "exclude each other"),
            (("status", "--at", "tomorrow"), "2026-11-20 14:00"),
            (("status", "--at", "1h", "--live"), "exclude each other"),
            (("logs", "web"), "web"),
            (("postmortem", "nosuch"), "nosuch"),
            (("history", "nosuch"), "Known jobs: none"),
            (("job", "next", "nosuch"), "Known jobs: none"),
            (("rollback", "nosuch"), "nosuch"),
            (("promote", "nosuch"), "nosuch"),
            (("dispatch", "nosuch", "-v", "novalue"), "NAME=VALUE"),
            (("dispatch", "nosuch"), "nosuch"),
            (("node", "cordon", "nosuch"), "Known nodes: node1, node2"),
            (("node", "drain", "nosuch"), "Known nodes: node1, node2"),
            (("node", "drain", "node1", "--deadline", "soon"), "--deadline"),
            (("node", "forget", "node1"), "node1 is in the inventory"),
            (("deploy",), "no job file was named"),
            (("deploy", "job.yml", "--plan", "web.plan"), "exclude each other"),
            (("deploy", "--plan", "job.yml"), "the plan cannot be used"),
            (("plan", "--out", "web.plan"), "Name a job file"),
            (("reconcile", "--watch", "--every", "often"), "--every"),
            (("cron", "install", "--every", "7m"), "cron"),
            (("manager", "start", "--every", "0s"), "--every"),
            (("token", "create", "ci", "--role", "read", "--expires", "0s"), "no token is good for so long"),
            (("token", "create", "ci", "--role", "read", "--expires", "99999d"), "at most 3660d"),
            (("adopt", "nosuch", "db"), "Known nodes: node1, node2"),
            (("move", "web/main[0]", "--to", "node2"), "web/main[0]"),
        ],
    )
    def test_that_means_nothing_is_refused(self, folder: Folder, words: tuple[str, ...], says: str) -> None:
        folder.refuses(*words, "-i", "inv.yml", says=says)

    @pytest.mark.parametrize("words", [("nosuch",), ("stop",), ("status", "--nosuch"), ("ps", "-o", "xml")])
    def test_that_does_not_exist_is_refused_with_the_usage(
        self, folder: Folder, words: tuple[str, ...]
    ) -> None:
        assert "Usage: " in folder.refuses(*words, says="Error")


class TestTheState:
    def test_in_a_folder_that_cannot_be_written_is_refused(self, folder: Folder) -> None:
        folder.refuses("status", "-i", "inv.yml", "--state", "/proc/cube.db", says="/proc/cube.db")

    def test_that_is_no_database_is_refused_and_kept(self, folder: Folder) -> None:
        folder.write("state.db", "this is not a database, and somebody may want it" * 100)
        before = (folder.path / "state.db").read_text()
        folder.refuses("status", "-i", "inv.yml", "--state", "state.db", says="state.db")
        assert (folder.path / "state.db").read_text() == before

    def test_that_another_program_keeps_locked_is_told_after_a_while_p1(self, folder: Folder) -> None:
        folder.cube("status", "-i", "inv.yml", "--state", "state.db")
        with sqlite3.connect(folder.path / "state.db", isolation_level=None) as holder:
            holder.execute("BEGIN EXCLUSIVE")
            folder.refuses("status", "-i", "inv.yml", "--state", "state.db", says="state.db", code=4)
        holder.close()

    def test_is_for_its_owner_alone_whatever_the_umask(self, folder: Folder) -> None:
        before = os.umask(0)
        try:
            folder.cube("status", "-i", "inv.yml")
        finally:
            os.umask(before)
        modes = {path.name: path.stat().st_mode & 0o777 for path in (folder.path / ".cube").iterdir()}
        assert modes["inv.db"] == 0o600
        assert (folder.path / ".cube").stat().st_mode & 0o777 == 0o700


class TestAStandardStream:
    def test_that_is_closed_early_is_no_error_of_cube_s(self, folder: Folder) -> None:
        done = subprocess.run(
            [
                "/bin/sh",
                "-c",
                f"{sys.executable} -m cube.cli.main inventory -i inv.yml | head -c 1 >/dev/null",
            ],
            cwd=folder.path,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert "Traceback" not in done.stderr
        assert "bug in Cube" not in done.stderr

    @pytest.mark.parametrize(
        ("redirection", "code", "says"),
        [
            (">/dev/full", 1, "standard output: no space is left"),
            (">&-", 0, ""),
            ("<&- >&- 2>&-", 0, ""),
        ],
    )
    def test_that_is_full_or_closed_is_no_bug_either(
        self, folder: Folder, redirection: str, code: int, says: str
    ) -> None:
        done = subprocess.run(
            ["/bin/sh", "-c", f"{sys.executable} -m cube.cli.main inventory -i inv.yml {redirection}"],
            cwd=folder.path,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (done.returncode, done.stdout) == (code, "")
        assert says in done.stderr
        assert "bug in Cube" not in done.stderr

    def test_that_is_a_narrow_or_dumb_terminal_still_gets_its_answer(self, folder: Folder) -> None:
        done = subprocess.run(
            [sys.executable, "-m", "cube.cli.main", "inventory", "-i", "inv.yml"],
            cwd=folder.path,
            env={
                "PATH": "/usr/bin:/bin",
                "TERM": "dumb",
                "COLUMNS": "1",
                "LANG": "C",
                "PYTHONIOENCODING": "ascii",
            },
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (done.returncode, "node1" in done.stdout) == (0, True), done.stderr
