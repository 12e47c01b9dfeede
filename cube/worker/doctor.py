"""The doctor: one look at everything that a node needs, each finding with its cure. Changes nothing."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from cube.connection import ConnectionFailed, after
from cube.connection.ssh import Connection
from cube.errors import CubeError
from cube.model.observation import Cause, Engine, Stats
from cube.worker import engine
from cube.worker.cause import cause_of
from cube.worker.worker import Worker

PATIENCE = 10.0
ROUND_TRIPS = 3
OLDEST_API = (1, 40)
"""Docker 19.03 of 2019; what is older lacks what container.py asks for, or was never tried."""

SKEW = 5.0
MIN_DISK = 2 * 1024**3

SCRIPT = """\
PATH=$PATH:/usr/sbin:/sbin
echo "user $(id -un)"
sudo=
if [ "$(id -u)" = 0 ]; then echo "sudo root"
elif sudo -n true 2>/dev/null; then echo "sudo yes"; sudo="sudo -n"
else echo "sudo no"; fi
$sudo sshd -T 2>/dev/null | grep -i -e '^maxsessions ' -e '^maxstartups ' \\
  -e '^allowstreamlocalforwarding ' -e '^allowtcpforwarding '
exit 0
"""


class Grade(StrEnum):
    """BAD: Cube cannot work there. POOR: it can, with the loss that the finding names."""

    GOOD = "ok"
    POOR = "warning"
    BAD = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What was looked at, how it is, and what to do about it."""

    about: str
    grade: Grade
    what: str
    cure: str = ""


def examine(worker: Worker) -> Iterator[Finding]:
    """The findings as they come; after one that nothing can be looked at beyond, none follow."""
    began = time.perf_counter()
    try:
        connection = worker.connection()
    except ConnectionFailed as error:
        yield from _unconnected(error)
        return
    yield _good("connect", f"{worker.node.access.address} in {_ms(began)}")
    yield _good("host key", "the pinned one" + ("" if connection.has_strict_kex else ", without strict kex"))
    yield _good("authenticate", "key accepted")
    try:
        yield from _beyond(worker, connection)
    except CubeError as error:
        yield _bad("node", error)


def _unconnected(error: ConnectionFailed) -> Iterator[Finding]:
    """The step that failed, and those before it that are known to be good: an unknown host is not dialled."""
    if error.cause in (Cause.HOST_KEY, Cause.AUTHENTICATION):
        yield _good("connect", "the host answers")
    if error.cause is Cause.AUTHENTICATION:
        yield _good("host key", "the pinned one")
    failed = {
        Cause.HOST_KEY: "host key",
        Cause.NO_HOST_KEY: "host key",
        Cause.AUTHENTICATION: "authenticate",
        Cause.KEY_FILE: "authenticate",
    }
    yield _bad(failed.get(error.cause, "connect"), error)


def _beyond(worker: Worker, connection: Connection) -> Iterator[Finding]:
    yield _round_trip(connection)
    before = time.time()
    machine = worker.read_machine(before)
    yield clock_finding(machine.stats, before, time.time())
    yield _disk(machine.stats)
    yield from _system(connection)
    try:
        yield from _engine(worker)
    except CubeError as error:
        cause, cure = cause_of(error, machine)
        about = "socket permission" if cause is Cause.DOCKER_PERMISSION else "engine"
        yield Finding(about=about, grade=Grade.BAD, what=f"{cause}: {error.why or error.what}", cure=cure)


def _round_trip(connection: Connection) -> Finding:
    def once() -> float:
        began = time.perf_counter()
        connection.run(":", deadline=after(PATIENCE))
        return time.perf_counter() - began

    best = min(once() for _ in range(ROUND_TRIPS))
    what = f"{best * 1000:.0f} ms for a command"
    if best < 0.5:
        return _good("round trip", what)
    return Finding(
        about="round trip",
        grade=Grade.POOR,
        what=what,
        cure="Run Cube nearer to the node, or expect slow sweeps.",
    )


def clock_finding(stats: Stats, before: float, after_: float) -> Finding:
    """The node's clock was read between the two times, so it may be off by their distance unnoticed."""
    skew = max(before - stats.clock, stats.clock - after_, 0.0)
    if skew < SKEW:
        return _good("clock", f"within {max(skew, after_ - before):.1f} s of ours")
    return Finding(
        about="clock",
        grade=Grade.POOR,
        what=f"{skew:.0f} s away from ours",
        cure="Nothing that Cube decides depends on it, but logs of several nodes will mix badly: run NTP.",
    )


def _disk(stats: Stats) -> Finding:
    what = f"{stats.disk_free / 1024**3:.1f} GiB free of {stats.disk_total / 1024**3:.1f}"
    if stats.disk_free >= max(MIN_DISK, stats.disk_total // 20):
        return _good("disk", what)
    return Finding(about="disk", grade=Grade.BAD, what=what, cure="Make room: docker system prune")


def _system(connection: Connection) -> Iterator[Finding]:
    """The user, its rights, and what sshd says of itself to those who may ask."""
    answer = connection.run(SCRIPT, deadline=after(PATIENCE))
    lines = answer.stdout.decode("utf-8", "replace").splitlines()
    facts = {name.lower(): value for name, _, value in (line.partition(" ") for line in lines)}
    yield _sudo(facts)
    yield from sshd_findings(facts)


def _sudo(facts: Mapping[str, str]) -> Finding:
    if facts.get("sudo") in ("root", "yes"):
        return _good("sudo", "is root" if facts["sudo"] == "root" else "without a password")
    return Finding(
        about="sudo",
        grade=Grade.POOR,
        what=f"user {facts.get('user', '?')} is not root and has no passwordless sudo",
        cure="Only `cube node setup` needs it.",
    )


def sshd_findings(facts: Mapping[str, str]) -> Iterator[Finding]:
    """What sshd's settings mean for Cube."""
    if "maxsessions" not in facts:
        yield Finding(about="sshd limits", grade=Grade.GOOD, what="not shown to this user")
        return
    what = f"MaxSessions {facts['maxsessions']}, MaxStartups {facts.get('maxstartups', '?')}"
    if int(facts["maxsessions"]) < 10:
        yield Finding(
            about="sshd limits",
            grade=Grade.POOR,
            what=what,
            cure="Cube uses up to 8 sessions: set MaxSessions 10.",
        )
    else:
        yield _good("sshd limits", what)
    if facts.get("allowstreamlocalforwarding") not in ("yes", "all", "local", None):
        yield Finding(
            about="sshd forwarding",
            grade=Grade.POOR,
            what="AllowStreamLocalForwarding is off: the engine is reached by a slower way",
            cure="Set AllowStreamLocalForwarding yes in sshd_config.",
        )
    if facts.get("allowtcpforwarding") not in ("yes", "all", "local", None):
        yield Finding(
            about="sshd forwarding",
            grade=Grade.POOR,
            what="AllowTcpForwarding is off: tasks' health checks cannot be asked",
            cure="Set AllowTcpForwarding local in sshd_config.",
        )


def _engine(worker: Worker) -> Iterator[Finding]:
    found = engine.ping(worker.open_channel(PATIENCE))
    yield _good("socket permission", "the engine's socket opens")
    yield engine_finding(found)
    yield _storage(engine.get_json(worker.open_channel(PATIENCE), "/info"))


def engine_finding(found: Engine) -> Finding:
    """Whether Cube can drive that engine."""
    what = f"Docker {found.version}, API {found.api_version}"
    numbers = tuple(int(part) for part in found.api_version.split(".") if part.isdigit())
    if not found.version[:1].isdigit():
        cure = "Cube drives Docker; other engines behind the same socket were not tried."
        return Finding(about="engine", grade=Grade.BAD, what=f"not Docker: {found.version}", cure=cure)
    if numbers < OLDEST_API:
        return Finding(about="engine", grade=Grade.BAD, what=what, cure="Upgrade Docker to 19.03 or newer.")
    return _good("engine", what)


def _storage(info: Mapping[str, Any]) -> Finding:
    driver = info.get("Driver", "unknown")
    what = f"{driver} in {info.get('DockerRootDir', '?')}"
    if driver in ("vfs", "devicemapper"):
        cure = "It is slow and wastes disk: use overlay2 (daemon.json, storage-driver)."
        return Finding(about="storage driver", grade=Grade.POOR, what=what, cure=cure)
    return _good("storage driver", what)


def _good(about: str, what: str) -> Finding:
    return Finding(about=about, grade=Grade.GOOD, what=what)


def _bad(about: str, error: CubeError) -> Finding:
    what = ": ".join(part for part in (error.what, error.why) if part)
    return Finding(about=about, grade=Grade.BAD, what=what, cure=error.cure)


def _ms(began: float) -> str:
    return f"{(time.perf_counter() - began) * 1000:.0f} ms"
