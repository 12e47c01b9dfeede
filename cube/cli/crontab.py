"""What makes a machine sweep by itself: a line of a crontab, or a systemd timer. Text to text."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cube.errors import InputError

MARK = "# cube-cron "
"""What Cube's own line ends in, and its cluster; every other line is left as it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweeping:
    """Which command is run for a cluster, where, and every how many seconds; its output goes to `log`."""

    cluster: str
    command: tuple[str, ...]
    folder: Path
    log: Path
    every: float

    @property
    def unit(self) -> str:
        """The name of its systemd units."""
        return f"cube-{self.cluster}"


def line_of(sweeping: Sweeping) -> str:
    """The line of a crontab. Raises InputError for a pause or a path that cron cannot have."""
    folder, log = shlex.quote(str(sweeping.folder)), shlex.quote(str(sweeping.log))
    command = f"cd {folder} && {shlex.join(sweeping.command)} >> {log} 2>&1"
    if "\n" in command:
        raise InputError("a path with a line break cannot stand in a crontab", cure="Use --systemd.")
    # Cron takes a bare percent sign for the end of the command.
    return f"{_times(sweeping.every)} {command.replace('%', chr(92) + '%')} {MARK}{sweeping.cluster}"


def with_line(table: str, sweeping: Sweeping) -> str:
    """The crontab with the cluster's line in it once, whatever else it holds left as it is."""
    rest = without_line(table, sweeping.cluster)
    return f"{rest}{'' if not rest or rest.endswith(chr(10)) else chr(10)}{line_of(sweeping)}\n"


def without_line(table: str, cluster: str) -> str:
    """The crontab without the cluster's line."""
    lines = table.splitlines(keepends=True)
    return "".join(line for line in lines if not line.rstrip().endswith(f"{MARK}{cluster}"))


def units_of(sweeping: Sweeping) -> dict[str, str]:
    """The systemd units by file name: a service that sweeps once, and the timer that starts it."""
    service = f"""[Unit]
Description=Cube: one sweep over cluster {sweeping.cluster}
After=network-online.target

[Service]
Type=oneshot
WorkingDirectory={_escaped(str(sweeping.folder))}
ExecStart={_command(sweeping.command)}
# 4: another Cube is at work, and will see to it.
SuccessExitStatus=4
"""
    timer = f"""[Unit]
Description=Cube: sweep cluster {sweeping.cluster} again and again

[Timer]
OnActiveSec=5s
OnUnitInactiveSec={sweeping.every:.0f}s
AccuracySec=1s

[Install]
WantedBy=timers.target
"""
    return {f"{sweeping.unit}.service": service, f"{sweeping.unit}.timer": timer}


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """Which command is a cluster's manager, and where it runs."""

    cluster: str
    command: tuple[str, ...]
    folder: Path

    @property
    def unit(self) -> str:
        """The name of its systemd unit."""
        return f"cube-{self.cluster}-manager"


def unit_of(serving: Serving) -> str:
    """The systemd unit of a manager: started with the machine, and again where it ends by itself."""
    return f"""[Unit]
Description=Cube: the manager of cluster {serving.cluster}
After=network-online.target
Wants=network-online.target

[Service]
WorkingDirectory={_escaped(str(serving.folder))}
ExecStart={_command(serving.command)}
Restart=always
RestartSec=2s
# What is under way ends first, and is recorded.
TimeoutStopSec=5min
KillMode=mixed

[Install]
WantedBy=multi-user.target default.target
"""


def _times(every: float) -> str:
    minutes = every / 60
    if minutes == 60:
        return "0 * * * *"
    if minutes < 1 or minutes != int(minutes) or 60 % int(minutes):
        why = f"{every:g} s is no whole part of an hour"
        raise InputError(
            "cron cannot keep that pause", why=why, cure="Write 1m, 5m, 15m or 1h, or use --systemd."
        )
    return "* * * * *" if minutes == 1 else f"*/{int(minutes)} * * * *"


def _command(words: Sequence[str]) -> str:
    return " ".join(f'"{_quoted(word)}"' for word in words)


def _quoted(word: str) -> str:
    """Inside double quotes of a unit's command line, where a dollar sign names a variable."""
    return _escaped(word).replace("\\", "\\\\").replace('"', '\\"').replace("$", "$$")


def _escaped(text: str) -> str:
    """A percent sign begins one of systemd's own names."""
    if "\n" in text:
        raise InputError("a path with a line break cannot stand in a systemd unit")
    return text.replace("%", "%%")
