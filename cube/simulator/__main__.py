"""`python -m cube.simulator SEEDS FIRST`: that many histories, and a last line `N passed, N failed`."""

import os
import sys
import time
import traceback
from collections.abc import Iterator
from multiprocessing import get_context

from cube.simulator.laws import BrokenLawError
from cube.simulator.play import play

TWICE = 100
"""One seed in so many is lived twice, and must leave the same trace."""


def main(seeds: int, first: int) -> int:
    """Play the seeds, as many at a time as there are processors, and print what broke. 1 if anything did."""
    began, failed = time.monotonic(), 0
    for seed, trouble in verdicts(range(first, first + seeds)):
        if trouble:
            failed += 1
            sys.stdout.write(f"seed {seed}: {trouble}\n  replay: make sim SEEDS=1 SEED={seed}\n")
            sys.stdout.flush()
    took = time.monotonic() - began
    sys.stdout.write(f"{seeds / took:.0f} seeds a second, the first was {first}\n")
    sys.stdout.write(f"{seeds - failed} passed, {failed} failed\n")
    return 1 if failed else 0


def verdicts(seeds: range) -> Iterator[tuple[int, str]]:
    """Each seed, in order, with what is wrong with it; empty: nothing."""
    if len(seeds) < 2 * (os.cpu_count() or 1):
        yield from map(verdict, seeds)
        return
    with get_context("fork").Pool() as processes:
        yield from processes.imap(verdict, seeds, chunksize=10)


def verdict(seed: int) -> tuple[int, str]:
    """What is wrong with the seed; whatever it brings to light is a failure of that seed."""
    try:
        trace = play(seed)
        is_same = seed % TWICE or play(seed) == trace
    except BrokenLawError as error:
        return seed, str(error)
    except Exception:  # noqa: BLE001
        return seed, traceback.format_exc()
    return seed, "" if is_same else "determinism: it left another trace the second time"


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2])))
