"""`python -m tests.crash.child`: `cube` commands, each in a process of its own, killed at a point of its way.

Each line of stdin asks for one, as JSON; the answer is its exit code, less than 0 for a signal. Every
process is a fork of this one, which has loaded all modules: that takes longer than what most commands do.
"""

import json
import os
import signal
import sys
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from pkgutil import walk_packages
from threading import Lock
from typing import NoReturn

import cube
from cube.cli.main import main
from tests.crash import seams

LAZY = ("docker", "fabric", "jinja2", "paramiko", "pydantic", "sqlite_utils", "yaml")
"""What Cube loads only where it is used."""


def serve() -> None:
    """Answer until stdin ends; in a fork, run its command."""
    load()
    for line in sys.stdin:
        asked = json.loads(line)
        child = os.fork()
        if not child:
            run(**asked)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        sys.stdout.write(f"{code}\n")
        sys.stdout.flush()


def load() -> None:
    """All of Cube, but what needs more than is installed, and what it uses."""
    names = [found.name for found in walk_packages(cube.__path__, "cube.") if "__main__" not in found.name]
    for name in (*LAZY, *names):
        with suppress(ImportError):
            import_module(name)


def run(words: Sequence[str], deadline: int, end: str | None) -> NoReturn:
    """Run `cube` with those words in so many seconds, and end; what it says is in `out` and `err` here.

    Where `end` is not None, its points are in `points`, and it dies at that one; empty: at none.
    """
    signal.alarm(deadline)
    for number, file in enumerate((os.devnull, "out", "err")):
        os.dup2(_opened(file), number)
    if end is not None:
        begin(_opened("points"), end)
    sys.argv = ["cube", *words]
    main()
    sys.exit()


def _opened(file: str) -> int:
    return os.open(file, os.O_RDWR | (0 if file == os.devnull else os.O_CREAT | os.O_TRUNC), 0o600)


def begin(log: int, end: str) -> None:
    """Wrap this process, so that it writes each of its points to `log`, a line each, and dies at `end`."""
    passed: Counter[str] = Counter()
    alone = Lock()

    def reach(name: str) -> None:
        with alone:
            passed[name] += 1
            point = f"{name} #{passed[name]}"
            os.write(log, f"{point}\n".encode())
            if point == end:
                os.kill(os.getpid(), signal.SIGKILL)
                signal.pause()  # nothing more of this thread, and the lock holds the others

    seams.wrap(reach)


if __name__ == "__main__":
    serve()
