"""A desk on two nodes where commands are killed, and what is looked at from outside afterwards."""

import json
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from shutil import rmtree

from cube.store.store import Store, open_store
from tests.lab.desk import Desk

DEADLINE = 60
"""Seconds for one command."""

_LIST = (
    "docker ps -aq --no-trunc | "
    "xargs -r docker inspect -f '{{.Id}} {{.Name}} {{.State.Status}} {{json .Config.Labels}}'"
)
_FOLDERS = "ls /run/cube 2>/dev/null || true"
_EMPTY = (
    "docker ps -aq | xargs -r docker rm -fv; docker volume ls -q | xargs -r docker volume rm; "
    "rm -rf /run/cube/*"
)
_HAS = """
cat /etc/app/whole; echo; echo "$LOUD"; grep -v ^# /etc/app/list; cmp /etc/app/list /tmp/told && echo told
cat /kept/marks; true
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A container of Cube's on an engine: its slot and the mark of its spec tell whether it is wanted."""

    node: str
    id: str
    name: str
    task: str
    slot: str
    mark: str
    state: str
    has_files: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Yard:
    """A desk, the marks of the job files written at it, and those that came first after it was cleared."""

    desk: Desk
    marks: list[str] = field(default_factory=list)
    firsts: list[str] = field(default_factory=list)

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
        done = self._run(words)
        assert done.returncode == 0, f"{words} ended with {done.returncode}\n{done.stdout}{done.stderr}"

    def points(self, words: Sequence[str]) -> list[str]:
        """Every point of that command, which is left alone, in the order of this run."""
        done = self._run(words, end="")
        assert done.returncode == 0, f"{words} ended with {done.returncode}\n{done.stdout}{done.stderr}"
        return self.passed()

    def kill(self, point: str, words: Sequence[str]) -> bool:
        """Run that command and kill it at the point; False: it has ended without passing there."""
        return self._run(words, end=point).returncode == -signal.SIGKILL

    def passed(self) -> list[str]:
        """The points that the last watched command has passed."""
        return (self.folder / "points").read_text().splitlines()

    def sweep(self) -> subprocess.CompletedProcess[str]:
        """One `cube reconcile`."""
        return self._run(["reconcile"])

    def put(self, path: str, text: str) -> None:
        """A file of the project."""
        file = self.folder / path
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)

    def containers(self) -> list[Found]:
        """All of Cube's containers, in whatever state, from the nodes' own engines."""
        return [found for node in range(len(self.desk.nodes)) for found in self.containers_on(node)]

    def containers_on(self, node: int) -> list[Found]:
        """Those of one node."""
        lines = self.desk.asked(node, "sh", "-c", _LIST)
        return [_found(self.name(node), line) for line in lines if '"cube.task"' in line]

    def folders(self) -> set[tuple[str, str]]:
        """Every node with each task of which it keeps files in its memory."""
        return {
            (found.name, task)
            for node, found in enumerate(self.desk.nodes)
            for task in self.desk.asked(node, "sh", "-c", _FOLDERS)
        }

    def has(self, container: Found) -> list[str]:
        """What a container with files has of them, of what its process was told, and of its volume."""
        (node,) = (number for number in range(len(self.desk.nodes)) if self.name(number) == container.node)
        return self.desk.asked(node, "docker", "exec", container.id, "sh", "-c", _HAS)

    @contextmanager
    def store(self) -> Iterator[Store]:
        """The state, read past the command line."""
        with closing(open_store(self._state(), create=False)) as store:
            yield store

    def clear(self) -> None:
        """As before the first command: no container, no volume, no file, no state."""
        for node in range(len(self.desk.nodes)):
            self.desk.on(node, "sh", "-c", _EMPTY)
        rmtree(self.folder / ".cube", ignore_errors=True)
        self.firsts.append(str(len(self.marks) + 1))

    def begin(self) -> None:
        """As after a first command that had nothing to do."""
        open_store(self._state()).close()

    @property
    def known_hosts(self) -> Path:
        """The host keys that were pinned here."""
        return self.folder / ".cube" / "known_hosts"

    def has_state(self) -> bool:
        """Has any command made a state file?"""
        return self._state().exists()

    def _run(self, words: Sequence[str], end: str | None = None) -> subprocess.CompletedProcess[str]:
        """A command in this folder; see child.begin()."""
        place = ("-i", str(self.desk.inventory))
        return self.desk.forks.run((*words, *place), self.folder, deadline=DEADLINE, end=end)

    @property
    def cluster(self) -> str:
        """Its name."""
        (name,) = [
            line.split()[1]
            for line in self.desk.inventory.read_text().splitlines()
            if line.strip().startswith("cube_cluster:")
        ]
        return name

    def _state(self) -> Path:
        return self.folder / ".cube" / f"{self.cluster}.db"


def _found(node: str, line: str) -> Found:
    identity, name, state, labels = line.split(" ", 3)
    told = json.loads(labels)
    spec = json.loads(told["cube.spec"])
    return Found(
        node=node,
        id=identity,
        name=name.removeprefix("/cube-"),
        task=told["cube.task"],
        slot=f"{told['cube.job']}/{told['cube.group']}[{told['cube.index']}]",
        mark=spec["env"]["MARK"],
        state=state,
        has_files=bool(spec["templates"]),
    )
