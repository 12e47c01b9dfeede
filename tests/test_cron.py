"""`cube cron`: what is written into a crontab or a systemd unit, and that nothing else there changes."""

import shlex
import subprocess
import sys
from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis import given

from cube.cli import installing
from cube.cli.crontab import Serving, Sweeping, line_of, unit_of, units_of, with_line, without_line
from cube.errors import InputError

OTHERS = "MAILTO=ann\n0 1 * * * backup --all\n# cube is my pet\n"
lines = st.lists(st.text(alphabet="abc #*%\t0", max_size=20), max_size=6)


def sweeping(cluster: str = "prod", every: float = 60.0, folder: str = "/srv/fleet") -> Sweeping:
    return Sweeping(
        cluster=cluster,
        command=("/opt/cube/bin/cube", "reconcile", "-i", f"{folder}/inv.yml"),
        folder=Path(folder),
        log=Path(folder) / "sweeps.log",
        every=every,
    )


@given(lines)
def test_the_lines_of_others_stay_as_they_are_whatever_they_are(others: list[str]) -> None:
    table = "".join(f"{line}\n" for line in others)
    written = with_line(table, sweeping())
    assert written.startswith(table)
    assert without_line(written, "prod") == table


def test_a_line_is_replaced_and_never_doubled() -> None:
    once = with_line(OTHERS, sweeping())
    assert with_line(once, sweeping()) == once
    later = with_line(once, sweeping(every=300.0))
    assert later.count("cube-cron") == 1
    assert "*/5 * * * * cd /srv/fleet && " in later


def test_each_cluster_has_a_line_of_its_own() -> None:
    both = with_line(with_line("", sweeping("prod")), sweeping("prod-eu"))
    assert without_line(both, "prod") == line_of(sweeping("prod-eu")) + "\n"


def test_a_table_that_ends_without_a_line_break_loses_nothing() -> None:
    assert with_line("0 1 * * * backup", sweeping()).splitlines()[0] == "0 1 * * * backup"


def test_no_byte_of_a_path_reaches_the_shell_p17() -> None:
    line = line_of(sweeping(folder="/srv/$(id) 'a' 100%"))
    command = line.removeprefix("* * * * * ").replace("\\%", "%")
    words = shlex.split(command, comments=True)
    assert words[:2] == ["cd", "/srv/$(id) 'a' 100%"]
    assert "%" not in line.replace("\\%", "")


@pytest.mark.parametrize("every", [0.0, 30.0, 90.0, 420.0, 7200.0])
def test_a_pause_that_cron_cannot_keep_is_refused(every: float) -> None:
    with pytest.raises(InputError, match="--systemd"):
        line_of(sweeping(every=every))


def test_a_unit_names_every_path_and_escapes_what_systemd_would_read() -> None:
    units = units_of(sweeping(folder="/srv/100% $HOME"))
    service, timer = units["cube-prod.service"], units["cube-prod.timer"]
    assert 'ExecStart="/opt/cube/bin/cube" "reconcile" "-i" "/srv/100%% $$HOME/inv.yml"' in service
    assert "WorkingDirectory=/srv/100%% $HOME\n" in service
    assert "OnUnitInactiveSec=60s" in timer


def test_the_whole_command_writes_what_it_showed(tmp_path: Path) -> None:
    """Against a stub of crontab: nobody's own table is touched by a test."""
    (tmp_path / "inv.yml").write_text("all: {hosts: {node1: {ansible_host: 192.0.2.1}}}\n")
    table, stub = tmp_path / "table", tmp_path / "crontab"
    table.write_text(OTHERS)
    stub.write_text(f"#!/bin/sh\ncase $1 in -l) cat {table} ;; -) cat > {table} ;; esac\n")
    stub.chmod(0o700)
    shown = _cube(tmp_path, "cron", "install", "-i", "inv.yml")
    assert (shown.returncode, table.read_text()) == (2, OTHERS)
    assert not (tmp_path / ".cube").exists()
    assert _cube(tmp_path, "cron", "install", "-i", "inv.yml", "--yes").returncode == 0
    assert table.read_text() == OTHERS + shown.stdout
    assert (tmp_path / ".cube").is_dir(), "cron's shell opens the log there before there is a state"
    assert _cube(tmp_path, "cron", "remove", "-i", "inv.yml", "--yes").returncode == 0
    assert table.read_text() == OTHERS


def test_a_crontab_that_cannot_be_read_is_never_taken_for_empty(tmp_path: Path) -> None:
    (tmp_path / "inv.yml").write_text("all: {hosts: {node1: {ansible_host: 192.0.2.1}}}\n")
    stub = tmp_path / "crontab"
    stub.write_text("#!/bin/sh\necho you are not allowed to use this program >&2; exit 1\n")
    stub.chmod(0o700)
    done = _cube(tmp_path, "cron", "install", "-i", "inv.yml", "--yes")
    assert done.returncode == 1
    assert "cannot be read: you are not allowed" in done.stderr


class TestWhereNoSystemdRuns:
    @pytest.fixture(autouse=True)
    def folder(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        monkeypatch.setattr(installing, "BOOTED", tmp_path / "none")
        monkeypatch.setattr(installing, "_systemd", lambda: (tmp_path / "units", ()))
        return tmp_path / "units"

    def test_what_would_be_written_is_shown_nothing_is_and_the_way_on_is_told_p17(
        self, folder: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with pytest.raises(InputError, match=r"does not run .+ nothing was written\n  Use the crontab"):
            installing.install_units(sweeping(), yes=True)
        assert not folder.exists()
        assert "WantedBy=timers.target" in capsys.readouterr().out

    def test_what_was_written_is_removed_all_the_same(self, folder: Path) -> None:
        folder.mkdir()
        for name in (*units_of(sweeping()), "theirs.timer"):
            (folder / name).write_text("")
        installing.remove_units(sweeping(), yes=True)
        assert [file.name for file in folder.iterdir()] == ["theirs.timer"]


def _cube(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "cube.cli.main", *words],
        cwd=folder,
        env={"HOME": str(folder), "PATH": f"{folder}:/usr/bin:/bin", "NO_COLOR": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_manager_s_unit_starts_it_again_and_gives_it_time_to_end() -> None:
    """The command stands in it whole, whatever blanks and signs its words have."""
    serving = Serving(cluster="lab", command=("/opt/cube", "manager", "start", "a $b%"), folder=Path("/x y"))
    unit = unit_of(serving)
    assert 'ExecStart="/opt/cube" "manager" "start" "a $$b%%"\n' in unit
    assert "WorkingDirectory=/x y\n" in unit
    assert "Restart=always\n" in unit
    assert "TimeoutStopSec=5min\n" in unit
