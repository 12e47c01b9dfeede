"""A desk on two nodes where commands are killed, and what is looked at from outside afterwards."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from shutil import rmtree

from cube.store.store import Store, open_store
from tests.lab.desk import Desk

DEADLINE = 60.0
"""Seconds for one command."""

_LIST = (
    "docker ps -aq --no-trunc | "
    "xargs -r docker inspect -f '{{.Id}} {{.State.Status}} {{json .Config.Labels}}'"
)
_ROOT = str(Path(__file__).parents[2])


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A container of Cube's on an engine: its slot and the mark of its spec tell whether it is wanted."""

    node: str
    id: str
    task: str
    slot: str
    mark: str
    state: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Yard:
    """A desk, and the marks of the job files written at it."""

    desk: Desk
    marks: list[str] = field(default_factory=list)

    @property
    def folder(self) -> Path:
        """Where the job file, the state and the points' log lie."""
        return self.desk.folder

    def name(self, node: int) -> str:
        """That node's name."""
        return self.desk.nodes[node].name

    def write(self, template: str, **values: str) -> str:
        """A job file that differs from all before it."""
        self.marks.append(str(len(self.marks) + 1))
        return self.desk.write(template, **{**values, "mark": self.mark})

    @property
    def mark(self) -> str:
        """What tells the newest job file's spec from all others."""
        return self.marks[-1]

    def cube(self, *words: str) -> None:
        """A command that is left alone, and must do what is asked."""
        done = self.run(self.desk.command(*words))
        assert done.returncode == 0, f"{words} ended with {done.returncode}\n{done.stdout}{done.stderr}"

    def points(self, words: Sequence[str]) -> list[str]:
        """Every point of that command, which is left alone, in the order of this run."""
        done = self._watched("", words)
        assert done.returncode == 0, f"{words} ended with {done.returncode}\n{done.stdout}{done.stderr}"
        return self.passed()

    def kill(self, point: str, words: Sequence[str]) -> bool:
        """Run that command and kill it at the point; False: it has ended without passing there."""
        return self._watched(point, words).returncode == -9

    def passed(self) -> list[str]:
        """The points that the last watched command has passed."""
        return (self.folder / "points").read_text().splitlines()

    def sweep(self) -> subprocess.CompletedProcess[str]:
        """One `cube reconcile`."""
        return self.run(self.desk.command("reconcile"))

    def containers(self) -> list[Found]:
        """All of Cube's containers, in whatever state, from the nodes' own engines."""
        return [found for node in range(len(self.desk.nodes)) for found in self.containers_on(node)]

    def containers_on(self, node: int) -> list[Found]:
        """Those of one node."""
        lines = self.desk.asked(node, "sh", "-c", _LIST)
        return [_found(self.name(node), line) for line in lines if '"cube.task"' in line]

    @contextmanager
    def store(self) -> Iterator[Store]:
        """The state, read past the command line."""
        with closing(open_store(self._state(), create=False)) as store:
            yield store

    def clear(self) -> None:
        """As before the first command: no container, no state."""
        for node in range(len(self.desk.nodes)):
            self.desk.on(node, "sh", "-c", "docker ps -aq | xargs -r docker rm -fv")
        rmtree(self.folder / ".cube", ignore_errors=True)

    @property
    def known_hosts(self) -> Path:
        """The host keys that were pinned here."""
        return self.folder / ".cube" / "known_hosts"

    def has_state(self) -> bool:
        """Has any command made a state file?"""
        return self._state().exists()

    def run(self, argv: Sequence[str]) -> subprocess.CompletedProcess[str]:
        """A process in this folder."""
        return subprocess.run(
            argv,
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": _ROOT},  # noqa: TID251 - handed on as it is
            capture_output=True,
            text=True,
            timeout=DEADLINE,
            check=False,
        )

    def _watched(self, point: str, words: Sequence[str]) -> subprocess.CompletedProcess[str]:
        log = str(self.folder / "points")
        inventory = ("-i", str(self.desk.inventory))
        return self.run([sys.executable, "-m", "tests.crash.child", log, point, *words, *inventory])

    def _state(self) -> Path:
        (cluster,) = [
            line.split()[1]
            for line in self.desk.inventory.read_text().splitlines()
            if line.strip().startswith("cube_cluster:")
        ]
        return self.folder / ".cube" / f"{cluster}.db"


def _found(node: str, line: str) -> Found:
    identity, state, labels = line.split(" ", 2)
    told = json.loads(labels)
    spec = json.loads(told["cube.spec"])
    return Found(
        node=node,
        id=identity,
        task=told["cube.task"],
        slot=f"{told['cube.job']}/{told['cube.group']}[{told['cube.index']}]",
        mark=spec["env"]["MARK"],
        state=state,
    )
