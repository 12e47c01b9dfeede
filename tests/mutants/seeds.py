"""`seeds.py FIRST END`: the first of these seeds that breaks a law, and which; nothing if none does.

It runs as a program of its own, against the Cube that PYTHONPATH names.
"""

import sys
from pathlib import Path

import cube
from cube.simulator.laws import BrokenLawError
from cube.simulator.play import play


def broken(seed: int) -> str:
    """The law that the seed breaks, or the error that it ends in; empty: it passes."""
    try:
        play(seed)
    except BrokenLawError as error:
        return str(error).splitlines()[0]
    except Exception as error:  # noqa: BLE001 - a bug may show itself in any way
        return f"{type(error).__name__}: {error}".splitlines()[0]
    return ""


if __name__ == "__main__":
    assert Path(cube.__file__).is_relative_to(Path.cwd()), "another Cube than the one in this folder"
    laws = ((seed, broken(seed)) for seed in range(int(sys.argv[1]), int(sys.argv[2])))
    found = next(((seed, law) for seed, law in laws if law), None)
    sys.stdout.write(f"{found[0]} {found[1]}\n" if found else "")
