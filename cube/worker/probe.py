"""Reading a machine: one fixed POSIX script, one round trip, and pure parsers of its answer.

The script has no argument and takes no input, so no user's byte reaches a shell. Its answer stands between
two marks: what a login shell prints before or after is ignored.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from cube.errors import CubeError
from cube.model.architecture import architecture
from cube.model.observation import CpuTimes, Stats, Use
from cube.model.software import release

BEGIN = "== cube probe 1 =="
END = "== cube probe end =="
DOCKER_SOCKET = "/var/run/docker.sock"

LONGEST_VALUE = 64
"""Characters of what a system calls itself."""

COUNTED = "-e '^usage_usec' -e '^[0-9]*$' -e '^inactive_file' -e '^total_inactive_file'"
ACCOUNTS = " ".join(
    f"{group}/{file}"
    for groups, files in (
        (("system.slice/docker-*.scope", "docker/*"), ("cpu.stat", "memory.current", "memory.stat")),
        (('cpuacct"$own"/docker/*', "cpuacct/system.slice/docker-*.scope"), ("cpuacct.usage",)),
        (
            ('memory"$own"/docker/*', "memory/system.slice/docker-*.scope"),
            ("memory.usage_in_bytes", "memory.stat"),
        ),
    )
    for group in groups
    for file in files
)
"""Where containers' control groups are told of: in version 2, then in version 1, by Docker's two drivers."""

# `grep -H` names every line after its file, so one process reads all of /proc that is wanted. The interrupt
# counters are left out: on a large machine they are longer than the rest together. An engine in a container
# (`own`) has its control groups of version 1 below that container's.
SCRIPT = f"""\
LC_ALL=C; export LC_ALL
echo '{BEGIN}'
grep -sHv -e '^intr' -e '^softirq' /proc/stat /proc/meminfo /proc/loadavg /proc/uptime \\
  /proc/sys/kernel/random/boot_id /proc/sys/kernel/osrelease /etc/os-release \\
  /etc/machine-id /proc/pressure/cpu /proc/pressure/memory /proc/pressure/io
date +clock:%s.%N
uname -m | sed s/^/machine:/
stat -f -c 'disk:%S %b %a' /var/lib/docker 2>/dev/null || stat -f -c 'disk:%S %b %a' /
if [ -S {DOCKER_SOCKET} ]; then echo socket:exists; fi
if [ -w {DOCKER_SOCKET} ]; then echo socket:writable; fi
if command -v dockerd >/dev/null || command -v docker >/dev/null; then echo docker:installed; fi
own=$(sed -n 's,^[0-9]*:memory:\\(/docker/.*\\),\\1,p' /proc/1/cgroup 2>/dev/null)
cd /sys/fs/cgroup 2>/dev/null && grep -sH {COUNTED} {ACCOUNTS}
echo '{END}'
"""


class StrangeAnswerError(CubeError):
    """The node answered something that is not the probe's answer: cut short, or not a Linux machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What the probe tells: the stats, and what stands between us and the engine."""

    stats: Stats
    socket_exists: bool
    socket_writable: bool
    docker_installed: bool


def parse(answer: bytes, *, at: float) -> Machine:
    """The machine that answered at that time. What is missing is never read as zero: StrangeAnswerError."""
    facts = _facts(answer)
    try:
        stats = _stats(facts, at=at)
    except (KeyError, IndexError, ValueError) as error:
        raise StrangeAnswerError(
            "the probe's answer cannot be read",
            why=f"{type(error).__name__}: {error}",
            cure="Is it a Linux machine, with /proc mounted and grep, date and stat installed?",
        ) from error
    return Machine(
        stats=stats,
        socket_exists="exists" in facts.get("socket", ()),
        socket_writable="writable" in facts.get("socket", ()),
        docker_installed="docker" in facts,
    )


Facts = Mapping[str, list[str]]
"""The lines of the answer, by the file that they come from."""


def _facts(answer: bytes) -> Facts:
    text = answer.decode("utf-8", "replace").replace("\r\n", "\n")
    _, began, rest = text.rpartition(f"{BEGIN}\n")
    body, ended, _ = rest.partition(f"\n{END}")
    if not began or not ended:
        raise StrangeAnswerError(
            "the probe's answer is cut short" if began else "the probe did not run",
            why=f"it begins with {text[:80]!r}",
            cure="The node's login shell must let `sh` run: look for a forced command in authorized_keys.",
        )
    facts: dict[str, list[str]] = {}
    for line in body.splitlines():
        source, _, content = line.partition(":")
        facts.setdefault(source, []).append(content)
    return facts


def _stats(facts: Facts, *, at: float) -> Stats:
    memory = _meminfo(facts["/proc/meminfo"])
    one, five, fifteen, *_ = facts["/proc/loadavg"][0].split()
    size, blocks, free = (int(word) for word in facts["disk"][0].split())
    return Stats(
        at=at,
        boot_id=facts["/proc/sys/kernel/random/boot_id"][0].strip(),
        machine_id=facts.get("/etc/machine-id", [""])[0].strip(),
        uptime=float(facts["/proc/uptime"][0].split()[0]),
        clock=_clock(facts["clock"][0]),
        cpus=_count_cpus(facts["/proc/stat"]),
        cpu=_cpu_times(facts["/proc/stat"]),
        load=(float(one), float(five), float(fifteen)),
        memory_total=memory["MemTotal"],
        memory_available=_available(memory),
        disk_total=size * blocks,
        disk_free=size * free,
        pressure=_pressure(facts),
        architecture=architecture(facts.get("machine", [""])[0].strip()),
        kernel=release(facts.get("/proc/sys/kernel/osrelease", [""])[0]),
        os=_os(facts, "ID"),
        os_version=_os(facts, "VERSION_ID"),
        uses=_uses(facts),
    )


def _os(facts: Facts, name: str) -> str:
    """A value of os-release, which a shell could read: it may stand in quotes."""
    lines = facts.get("/etc/os-release", ())
    found = next((line for line in lines if line.startswith(f"{name}=")), "")
    return found.partition("=")[2].strip().strip("\"'")[:LONGEST_VALUE]


def _cpu_times(lines: list[str]) -> CpuTimes:
    """The sum of user, nice, system, idle, iowait, irq, softirq and steal.

    A processor that waits for a disk does nothing: iowait is idle. The two guest columns are already part
    of user and nice.
    """
    totals = [line.split()[1:9] for line in lines if line.startswith("cpu ")]
    if not totals or len(totals[0]) < 4:
        raise ValueError("no times of all processors together in /proc/stat")
    ticks = [int(word) for word in totals[0]]
    return CpuTimes(total=sum(ticks), idle=sum(ticks[3:5]))


def _count_cpus(lines: list[str]) -> int:
    count = sum(1 for line in lines if re.match(r"cpu\d", line))
    if not count:
        raise ValueError("no processor in /proc/stat")
    return count


def _meminfo(lines: list[str]) -> dict[str, int]:
    """In bytes: the kernel counts in units of 1024."""
    pairs = (line.split(":", 1) for line in lines if line.endswith(" kB"))
    return {name: int(rest.split()[0]) * 1024 for name, rest in pairs}


def _available(memory: Mapping[str, int]) -> int:
    """MemAvailable, or what kernels before 3.14 let one guess."""
    if "MemAvailable" in memory:
        return memory["MemAvailable"]
    return memory["MemFree"] + memory["Buffers"] + memory["Cached"]


def _clock(text: str) -> float:
    """A `date` without nanoseconds prints `%N`, or nothing, in their place."""
    seconds, _, fraction = text.partition(".")
    return float(f"{int(seconds)}.{fraction}") if fraction.isdigit() else float(int(seconds))


def _pressure(facts: Facts) -> dict[str, float]:
    found = {}
    for resource in ("cpu", "memory", "io"):
        for line in facts.get(f"/proc/pressure/{resource}", []):
            match = re.match(r"some avg10=([0-9.]+)", line)
            if match:
                found[resource] = float(match[1]) / 100
    return found


ACCOUNT = re.compile(r"docker[-/]([0-9a-f]{64})(?:\.scope)?/([a-z_.]+)$")
"""The file of a container's control group: its id, and what the file tells."""


def _uses(facts: Facts) -> dict[str, Use]:
    """What each container uses of which both CPU and memory are told; none of one that ended."""
    told: dict[str, dict[str, int]] = {}
    for source, lines in facts.items():
        if match := ACCOUNT.search(source):
            told.setdefault(match[1], {}).update(_counters(match[2], lines))
    return {
        container: Use(cpu=_seconds_of(found), memory=max(found["memory"] - found.get("cached", 0), 0))
        for container, found in told.items()
        if "memory" in found and found.keys() & CLOCKS.keys()
    }


CLOCKS = {"microseconds": 1e6, "nanoseconds": 1e9}
COUNTERS = {
    "usage_usec": "microseconds", "cpuacct.usage": "nanoseconds", "memory.current": "memory",
    "memory.usage_in_bytes": "memory", "inactive_file": "cached", "total_inactive_file": "cached",
}  # fmt: skip
"""What a file with one number, or a line with a name, counts. Of version 1 the total is told last."""


def _counters(file: str, lines: list[str]) -> dict[str, int]:
    pairs = (line.rpartition(" ") for line in lines)
    return {COUNTERS[name or file]: int(number) for name, _, number in pairs if (name or file) in COUNTERS}


def _seconds_of(found: Mapping[str, int]) -> float:
    return sum(found[clock] / ticks for clock, ticks in CLOCKS.items() if clock in found)
