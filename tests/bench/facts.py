"""What was measured with: the machine, and the versions of all who took part."""

import os
import platform
import subprocess
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from cube import __version__
from cube.lab.engine import LOCAL, engine
from tests.bench.pace import pace

_PYTHON = "import importlib.metadata as m, sys; print(m.version(sys.argv[1]))"


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """The machine, versions by name, and the day."""

    day: str
    machine: str
    versions: dict[str, str]


def facts(peers: Path) -> Facts:
    """What is here now. `peers` is the folder with the peers' commands."""
    own = own_facts()
    others = {name: _peer_version(peers, name) for name in ("pyinfra", "ansible-core")}
    return replace(own, versions={**own.versions, **others})


def own_facts() -> Facts:
    """What is here now, without peers that have to be installed."""
    with engine(LOCAL) as client:
        docker = str(client.version()["Version"])
    return Facts(
        day=made()["day"],
        machine=f"{os.cpu_count()} cores ({_processor()}), {_memory()} GiB, Linux {platform.release()}, "
        f"which add twenty million numbers in Python in {pace():.1f} s",
        versions={
            "cube": made()["cube"],
            "Python": platform.python_version(),
            "paramiko": version("paramiko"),
            "Docker of the host": docker,
        },
    )


def made() -> dict[str, str]:
    """When a run was made, and of which Cube: what every record of one has."""
    return {"day": datetime.now(UTC).date().isoformat(), "cube": f"{__version__} ({_commit()})"}


def _peer_version(peers: Path, package: str) -> str:
    return _output(str(peers / "python"), "-c", _PYTHON, package)


def _commit() -> str:
    return _output("git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty")


def _output(*argv: str) -> str:
    return subprocess.run(argv, check=True, capture_output=True, text=True, timeout=60).stdout.strip()


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), "unknown")


def _memory() -> int:
    line = next(
        line for line in Path("/proc/meminfo").read_text().splitlines() if line.startswith("MemTotal")
    )
    return round(int(line.split()[1]) / 1024**2)
