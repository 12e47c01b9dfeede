"""`python -m tests.mutants [SEEDS [NAME...]]`: which law catches which bug, and after how many seeds."""

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from tests.mutants.catalogue import Verdict, hunt, mutants


def main(seeds: int, names: list[str]) -> int:
    """Hunt the named mutants, by default all, and print a table. 1 if one is not caught."""
    chosen = [patch for patch in mutants() if not names or patch.stem in names]
    survivors = 0
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for verdict in pool.map(partial(hunt, seeds=seeds), chosen):
            survivors += not verdict.law
            sys.stdout.write(f"{_row(verdict)}\n")
            sys.stdout.flush()
    sys.stdout.write(f"{len(chosen) - survivors} caught, {survivors} survived\n")
    return 1 if survivors else 0


def _row(verdict: Verdict) -> str:
    return f"{verdict.mutant:<34} {verdict.seeds:>5}  {verdict.law[:110] or 'SURVIVED'}"


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 2000, sys.argv[2:]))
