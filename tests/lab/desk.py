"""A desk: a folder with an inventory, where somebody types whole `cube` commands against the lab."""

import json
import subprocess
import sys
import time  # noqa: TID251 - real nodes take real time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from docker import DockerClient

from cube.lab.fleet import LabNode
from tests.forks import Forks

SLEEPER = """
job: sleeper
groups:
  main:
    count: {count}
    image: {image}
    command: [sleep, "100000"]
    env: {{MARK: "{mark}"}}
    cpu: {cpu}
    memory: 32MiB
    restart: {{attempts: 1, delay: 1s}}
    stop: {{grace: 1s}}
"""

SERVER = """
job: server
groups:
  main:
    count: {count}
    image: {image}
    memory: 32MiB
    ports: {{http: {{container: 8080, host: {host}, public: true}}}}
    health: {{http: /health, port: http, grace: 5s, failures: 1}}
    restart: {{attempts: 0}}
    stop: {{grace: 1s}}
"""


_END = "that was all"

BOUND = 75
"""Seconds in which every command must have ended here, whatever the nodes do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """A folder with an inventory, where somebody types commands."""

    folder: Path
    inventory: Path
    engine: DockerClient
    nodes: tuple[LabNode, ...]
    forks: Forks
    begun: list[subprocess.Popen[str]] = field(default_factory=list)

    def cube(self, *words: str, code: int = 0, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run `cube`; it must exit with that code, and never with a traceback."""
        done = self.forks.run(self.words(*words), self.folder, deadline=90, stdin=stdin)
        assert "bug in Cube" not in done.stderr, done.stderr
        assert done.returncode == code, f"{done.stdout}\n{done.stderr}"
        return done

    def words(self, *words: str) -> list[str]:
        """With the inventory, before what is another program's."""
        command, *rest = words
        at = rest.index("--") if "--" in rest else len(rest)
        return [command, *rest[:at], "-i", str(self.inventory), *rest[at:]]

    def command(self, *words: str) -> list[str]:
        """A whole command line, for who starts the process."""
        return [sys.executable, "-m", "cube.cli.main", *self.words(*words)]

    def begin(self, *words: str) -> subprocess.Popen[str]:
        """Start `cube`, and return once it has printed its first line."""
        running = subprocess.Popen(
            self.command(*words),
            cwd=self.folder,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self.begun.append(running)
        assert running.stdout is not None
        running.stdout.readline()
        return running

    def leave(self) -> None:
        """End what was begun and is still under way: a test that failed must not work on in the next one."""
        for running in self.begun:
            if running.stdout is not None and not running.stdout.closed:
                running.kill()
                running.communicate()

    def data(self, *words: str, code: int = 0) -> Any:
        """What the command answers as JSON."""
        return json.loads(self.cube(*words, "-o", "json", code=code).stdout)

    def write(self, template: str, **values: object) -> str:
        """A job file with those values; the rest are defaults."""
        defaults = {"count": 3, "image": "cube-busybox:1", "mark": "1", "cpu": "50m", "host": "auto"}
        path = self.folder / "job.yml"
        path.write_text(template.format(**(defaults | values)))
        return str(path)

    def on(self, node: int, *argv: str) -> str:
        """Run a program as root on a node, past Cube."""
        status, output = self.engine.containers.get(self.nodes[node].container).exec_run(list(argv))
        assert status == 0, output
        assert isinstance(output, bytes)
        return output.decode().strip()

    def asked(self, node: int, *argv: str) -> list[str]:
        """The lines that a program which changes nothing writes there.

        The engine loses what an exec writes now and then while the machine is busy, be it a part. So all is
        written at once, with a last line that shows that it came; else it is asked again.
        """
        script = f"""lines=$("$@"); printf '%s\\n' "$lines" '{_END}'"""
        for _ in range(3):
            *lines, last = ["", *self.on(node, "sh", "-ec", script, "sh", *argv).splitlines()]
            if last == _END:
                return [line for line in lines if line]
        raise AssertionError(f"the engine lost what {argv} wrote on {self.nodes[node].name}")

    def containers(self) -> list[str]:
        """The names of Cube's running containers on all nodes, from their own engines."""
        return sorted(name for number in range(len(self.nodes)) for name in self.containers_on(number))

    def containers_on(self, node: int) -> list[str]:
        """Those of one node."""
        return self.asked(node, "docker", "ps", "--filter", "label=cube.cluster", "--format", "{{.Names}}")

    def ids(self) -> set[str]:
        return {
            line
            for number in range(len(self.nodes))
            for line in self.asked(number, "docker", "ps", "-aq", "--no-trunc")
        }


def wait_until(holds: Callable[[], object]) -> None:
    """Ask again and again for half a minute; the assertion is the caller's."""
    deadline = time.monotonic() + 30
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.5)


def sweep(desk: Desk) -> int:
    """Its exit code."""
    return desk.forks.run(desk.words("reconcile"), desk.folder, deadline=BOUND).returncode


@contextmanager
def stopped(desk: Desk, node: int, program: str) -> Iterator[None]:
    """All processes of that name on the node are frozen."""
    desk.on(node, "pkill", "-STOP", "-x", program)
    try:
        yield
    finally:
        desk.on(node, "pkill", "-CONT", "-x", program)
