"""Behind `cube cron`: shows what it would write, asks, and hands it to crontab or systemd."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from cube.cli import render
from cube.cli.crontab import Sweeping, line_of, units_of, with_line, without_line
from cube.cli.load import find_inventory
from cube.cli.office import office
from cube.cli.recovered import agree
from cube.errors import CubeError, InputError
from cube.manager.office import Office
from cube.store.address import Server

BOOTED = Path("/run/systemd/system")
"""What is there where systemd runs, and nowhere else: see sd_booted(3)."""

DEADLINE = 30.0
"""Seconds that crontab or systemctl may take."""


def sweeping(inventory: Path | None, state: str | None, every: float) -> Sweeping:
    """The sweep of this cluster from this folder, every path of it absolute. Raises InputError."""
    place = office(inventory, state)
    if place.state == ":memory:":
        raise InputError("a state in memory is gone before the next sweep", where="--state")
    file, folder = find_inventory(inventory, os.environ, Path.cwd()).absolute(), Path.cwd()
    words = (*own_command(), "reconcile", "-i", str(file), "--state", lasting_name(place.state))
    log = beside(place, f"{place.cluster.name}.sweeps.log")
    return Sweeping(cluster=place.cluster.name, command=words, folder=folder, log=log, every=every)


def lasting_name(state: Path | Server) -> str:
    """What names the state from any folder. Raises InputError for a password, which all could read there."""
    if isinstance(state, Path):
        return str(state.absolute())
    if state.passwords:
        cure = "Put it into ~/.pgpass, and name the state without it."
        raise InputError("the password of the state would be written down", where="$CUBE_STATE", cure=cure)
    return state.url


def beside(place: Office, name: str) -> Path:
    """A file of that name beside the state, or where the project's other things are."""
    kept = place.state.absolute() if isinstance(place.state, Path) else place.keys / "state"
    return kept.with_name(name)


def make_folder_of(log: Path) -> None:
    """Whoever opens the log finds its folder, also before there is a state. Raises InputError."""
    try:
        log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise InputError("the log cannot be written", where=str(log), why=str(error.strerror)) from error


def install_line(found: Sweeping, *, yes: bool) -> None:
    """Put the line into this user's crontab."""
    before = _crontab()
    after = with_line(before, found)
    if before == after:
        render.line("the crontab has this line already")
        return
    render.line(line_of(found))
    agree("Write this line into your crontab?", yes=yes)
    make_folder_of(found.log)
    _run(["crontab", "-"], after)
    render.line(f"written; what the sweeps say goes to {found.log}", "green")


def remove_line(found: Sweeping, *, yes: bool) -> None:
    """Take the line out of this user's crontab."""
    before = _crontab()
    after = without_line(before, found.cluster)
    if before == after:
        render.line(f"the crontab has no line for cluster {found.cluster}")
        return
    agree(f"Take the line for cluster {found.cluster} out of your crontab?", yes=yes)
    _run(["crontab", "-"], after)
    render.line("removed", "green")


def install_units(found: Sweeping, *, yes: bool) -> None:
    """Write the service and the timer, and start the timer. Raises InputError where no systemd runs."""
    write_units(units_of(found), f"{found.unit}.timer", yes=yes)


def remove_units(found: Sweeping, *, yes: bool) -> None:
    """Stop the timer, and remove both files."""
    drop_units(tuple(units_of(found)), f"{found.unit}.timer", yes=yes)


def write_units(units: Mapping[str, str], starts: str, *, yes: bool) -> None:
    """Show the units, ask, write them and start one. Raises InputError where no systemd runs."""
    folder, scope = _systemd()
    for name, text in units.items():
        render.line(f"{folder / name}:")
        for line in text.splitlines():
            render.line(f"  {line}")
    if not BOOTED.is_dir():
        cure = "Use the crontab (cube cron install), or stay: cube reconcile --watch, cube manager start"
        raise InputError("systemd does not run on this machine, and nothing was written", cure=cure)
    agree(f"Write this and start {starts}?", yes=yes)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in units.items():
            (folder / name).write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError("the unit cannot be written", where=str(folder), why=str(error.strerror)) from error
    _run(["systemctl", *scope, "daemon-reload"])
    _run(["systemctl", *scope, "enable", "--now", starts])
    render.line(f"started; see what it says: journalctl {' '.join(scope)} -u {Path(starts).stem}", "green")
    if scope:
        render.line("So that it runs while you are not logged in: loginctl enable-linger")


def drop_units(names: Sequence[str], stops: str, *, yes: bool) -> None:
    """Stop one of the units, and remove the files of all."""
    folder, scope = _systemd()
    files = [folder / name for name in names if (folder / name).exists()]
    if not files:
        render.line(f"there is no {stops} in {folder}")
        return
    agree(f"Stop {stops} and remove it?", yes=yes)
    if BOOTED.is_dir():
        _run(["systemctl", *scope, "disable", "--now", stops])
    for file in files:
        file.unlink(missing_ok=True)
    if BOOTED.is_dir():
        _run(["systemctl", *scope, "daemon-reload"])
    render.line("removed", "green")


def own_command() -> Sequence[str]:
    """The Cube that runs now, never one from the working directory."""
    script = Path(sys.executable).with_name("cube")
    return (str(script),) if script.exists() else (sys.executable, "-P", "-m", "cube.cli.main")


def _systemd() -> tuple[Path, Sequence[str]]:
    """Where units are written, and whose systemd is told."""
    if os.geteuid() == 0:
        return Path("/etc/systemd/system"), ()
    home = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(home) / "systemd" / "user", ("--user",)


def _crontab() -> str:
    """The table of this user; empty where there is none. Raises CubeError where it cannot be read."""
    done = _ran(["crontab", "-l"])
    if done.returncode == 0:
        return done.stdout
    if "no crontab" in done.stderr.lower():
        return ""
    # Taken for empty, everything in it would be lost with the next write.
    raise CubeError("the crontab cannot be read", why=done.stderr.strip(), cure="Try: crontab -l")


def _run(words: Sequence[str], text: str | None = None) -> None:
    done = _ran(words, text)
    if done.returncode != 0:
        why = done.stderr.strip() or f"it ended with {done.returncode}"
        raise CubeError(f"{' '.join(words)} failed", why=why)


def _ran(words: Sequence[str], text: str | None = None) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(  # noqa: S603 - a fixed program, and no shell
            words, input=text, capture_output=True, text=True, timeout=DEADLINE, check=False
        )
    except FileNotFoundError:
        other = "--systemd" if words[0] == "crontab" else "the crontab: leave out --systemd"
        raise InputError(f"there is no {words[0]} on this machine", cure=f"Use {other}.") from None
    except subprocess.TimeoutExpired:
        raise CubeError(f"{words[0]} did not end within {DEADLINE:.0f} s") from None
