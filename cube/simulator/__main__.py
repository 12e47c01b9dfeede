"""`python -m cube.simulator SEEDS FIRST`: that many histories, and a last line `N passed, N failed`."""

import sys
import traceback

from cube.simulator.history import BrokenLawError, play


def main(seeds: int, first: int) -> int:
    """Play the seeds and print what broke. 1 if anything did."""
    failed = 0
    for seed in range(first, first + seeds):
        try:
            play(seed)
        except Exception as error:  # noqa: BLE001 - whatever a seed brings to light is a failure of that seed
            failed += 1
            told = str(error) if isinstance(error, BrokenLawError) else traceback.format_exc()
            sys.stdout.write(f"seed {seed}: {told}\n")
    sys.stdout.write(f"{seeds - failed} passed, {failed} failed\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2])))
