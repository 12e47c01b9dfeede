"""Looks at a fleet over live connections, in one process: `warm.py INVENTORY RUNS` prints seconds as JSON.

The first look, which connects, is not among them.
"""

import json
import sys
import time
from pathlib import Path

from cube.cli.load import load_cluster
from cube.manager.manager import Manager
from cube.manager.office import Office
from cube.manager.session import looking_on
from cube.model.observation import Seen


def _look(manager: Manager) -> float:
    begun = time.perf_counter()
    found = manager.look()
    seconds = time.perf_counter() - begun
    assert all(isinstance(seen, Seen) for seen in found.values()), "a node did not answer"
    return seconds


def main(inventory: str, runs: str) -> None:
    """Look once more than asked for, and print all looks but the first."""
    office = Office(cluster=load_cluster(Path(inventory)), state=":memory:", keys=Path(".cube").absolute())
    with looking_on(office) as manager:
        seconds = [_look(manager) for _ in range(int(runs) + 1)]
    print(json.dumps(seconds[1:]))


if __name__ == "__main__":
    main(*sys.argv[1:])
