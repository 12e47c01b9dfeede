"""`cube` commands, each in a process of its own: a fork of one that has loaded all modules.

Loading them takes longer than what most commands do. `python -m tests.forks` is that process: each line of
its stdin asks for a command, as JSON; the answer is its exit code, less than 0 for a signal.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages
from tempfile import TemporaryDirectory
from typing import Any, NoReturn

import cube
from cube.cli.main import main

LAZY = ("docker", "fabric", "jinja2", "paramiko", "pydantic", "sqlite_utils", "yaml")
"""What Cube loads only where it is used."""
STREAMS = ("in", "out", "err")
_ROOT = str(Path(__file__).parents[1])


@dataclass(frozen=True, slots=True)
class Forks:
    """The process that forks, and the folder with what its last command was told and said."""

    process: subprocess.Popen[str]
    streams: Path

    def run(
        self, words: Sequence[str], folder: Path, *, deadline: int, stdin: str = "", **more: object
    ) -> subprocess.CompletedProcess[str]:
        """Run `cube` with those words in that folder and this environment, for so many seconds at most.

        `more` is for the module that serves.
        """
        (self.streams / "in").write_text(stdin)
        asked = {
            "words": list(words),
            "folder": str(folder),
            "environment": dict(os.environ),  # noqa: TID251 - handed on as it is
            "streams": [str(self.streams / name) for name in STREAMS],
            "deadline": deadline,
            "more": more,
        }
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{json.dumps(asked)}\n")
        self.process.stdin.flush()
        code = int(self.process.stdout.readline())
        out, err = ((self.streams / name).read_text() for name in STREAMS[1:])
        return subprocess.CompletedProcess(words, code, out, err)


@contextmanager
def forks_of(module: str = __name__) -> Iterator[Forks]:
    """That module's process, which has called `serve`, until the block ends."""
    environment = {**os.environ, "PYTHONPATH": _ROOT}  # noqa: TID251 - handed on as it is
    with (
        TemporaryDirectory(prefix="cube-forks-") as streams,
        subprocess.Popen(
            [sys.executable, "-m", module],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as process,
    ):
        yield Forks(process, Path(streams))


def serve(prepare: Callable[..., None]) -> None:
    """Answer until stdin ends. `prepare` is called in each fork, with what else was asked."""
    load()
    for line in sys.stdin:
        asked = json.loads(line)
        child = os.fork()
        if not child:
            run(prepare, **asked)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        sys.stdout.write(f"{code}\n")
        sys.stdout.flush()


def load() -> None:
    """All of Cube, but what needs more than is installed, and what it uses."""
    names = [found.name for found in walk_packages(cube.__path__, "cube.") if "__main__" not in found.name]
    for name in (*LAZY, *names):
        with suppress(ImportError):
            import_module(name)


def run(
    prepare: Callable[..., None],
    *,
    words: Sequence[str],
    folder: str,
    environment: dict[str, str],
    streams: Sequence[str],
    deadline: int,
    more: dict[str, Any],
) -> NoReturn:
    """Run `cube` with those words, and end."""
    signal.alarm(deadline)
    os.chdir(folder)
    os.environ.clear()  # noqa: TID251 - of whoever asked, not of whoever serves
    os.environ.update(environment)  # noqa: TID251 - as above
    for number, name in enumerate(streams):
        os.dup2(
            os.open(name, os.O_RDONLY if not number else os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600), number
        )
    prepare(**more)
    sys.argv = ["cube", *words]
    main()
    sys.exit()


def as_it_is() -> None:
    """Change nothing."""


if __name__ == "__main__":
    serve(as_it_is)
