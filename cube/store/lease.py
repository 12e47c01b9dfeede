"""Lease: what the holder of the lock tells the others about itself."""

import os
import pwd
import socket
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """Who works on the state: a process of `who` on `host`, running `command` since `since`.

    `started` tells two processes with the same `pid` apart: the boot, and the clock tick of the start.
    """

    who: str
    host: str
    pid: int
    started: str
    since: float
    command: str

    def __str__(self) -> str:
        since = datetime.fromtimestamp(self.since, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        return f"`{self.command}` of {self.who} (pid {self.pid} on {self.host}) has it since {since}"


def lease_of_this_process(*, command: str, now: float) -> Lease:
    """A lease that names the calling process."""
    return Lease(
        who=_user(),
        host=socket.gethostname(),
        pid=os.getpid(),
        started=_own_start(os.getpid()),
        since=now,
        command=command,
    )


def start_of(pid: int) -> str:
    """When the process began, as text to compare; empty where it is gone or the system does not say."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""
    # The name, in parentheses, may hold blanks and parentheses; the start is the 20th word after it.
    return f"{boot} {stat.rpartition(')')[2].split()[19]}"


@cache
def _own_start(pid: int) -> str:
    """It does not change, and a process that stays takes the lock again and again."""
    return start_of(pid)


@cache
def _user() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return f"user {os.geteuid()}"
