"""`python -m tests.crash.child LOG POINT WORD...`: the `cube` command, killed at that point of its way.

Every point that is passed is written to LOG, a line each. With an empty POINT it runs to its end.
"""

import os
import signal
import sys
from collections import Counter
from threading import Lock

from cube.cli.main import main
from tests.crash import seams


def begin(log: int, end: str) -> None:
    """Wrap this process, so that it notes its points and dies at `end`."""
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
    file, point, *words = sys.argv[1:]
    begin(os.open(file, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600), point)
    sys.argv = ["cube", *words]
    main()
