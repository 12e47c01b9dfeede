"""`python -m tests.crash.child`: as `tests.forks`, but its commands are killed at a point of their way.

A request's `end` is that point, empty: none; where it is null the command is not watched at all.
"""

import os
import signal
from collections import Counter
from threading import Lock

from tests import forks
from tests.crash import seams


def begin(end: str | None) -> None:
    """Wrap this process, so that it writes each of its points to the file `points`, and dies at `end`."""
    if end is None:
        return
    log = os.open("points", os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
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
    forks.serve(begin)
