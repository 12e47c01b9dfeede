"""Plant one bug in a copy of Cube, and let seeds hunt it there."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What became of one mutant: the law that caught it, empty if none did, and after how many seeds."""

    mutant: str
    law: str
    seeds: int


def mutants() -> tuple[Path, ...]:
    """Every patch, by name."""
    return tuple(sorted(HERE.glob("*.patch")))


def hunt(patch: Path, *, seeds: int) -> Verdict:
    """Play seeds against the mutant until a law breaks. Raises ValueError for a patch that does not apply."""
    first = 0
    with planted(patch) as folder:
        while first < seeds:
            caught = _first_failure(folder, first, seeds)
            if caught is None:
                break
            seed, law = caught
            first = seed + 1
            # What breaks without the bug, too, has not caught the bug.
            if _first_failure(ROOT, seed, seed + 1) is None:
                return Verdict(mutant=patch.stem, law=law, seeds=first)
    return Verdict(mutant=patch.stem, law="", seeds=seeds)


@contextmanager
def planted(patch: Path) -> Iterator[Path]:
    """A folder with a copy of Cube that has the bug."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        shutil.copytree(ROOT / "cube", folder / "cube", ignore=shutil.ignore_patterns("__pycache__", "lab"))
        done = subprocess.run(
            ["git", "apply", "-C1", str(patch)],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise ValueError(f"{patch.name} does not apply any more: {done.stderr.strip()}")
        yield folder


def _first_failure(folder: Path, first: int, end: int) -> tuple[int, str] | None:
    """The first of these seeds that breaks a law of the Cube in that folder, and which law."""
    command = [sys.executable, str(HERE / "seeds.py"), str(first), str(end)]
    done = subprocess.run(
        command, cwd=folder, env={"PYTHONPATH": str(folder)}, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise ValueError(f"the seeds could not be played: {done.stderr.strip()[-300:]}")
    seed, _, law = done.stdout.strip().partition(" ")
    return (int(seed), law) if seed else None
