"""Running whole processes, one after another, and how long each took."""

import os
import resource
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

DEADLINE = 600.0
"""Seconds for one command; one that takes longer ends the benchmark."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One process: its words, what its environment has besides ours, and where it runs."""

    argv: Sequence[str]
    env: Mapping[str, str]
    cwd: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One run: when it began (seconds since the epoch), wall seconds, and CPU seconds of the client."""

    started: float
    wall: float
    cpu: float
    load: float
    output: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """Every run of one contestant at one benchmark, in seconds. `load`: the machine's when each began."""

    benchmark: str
    contestant: str
    runs: Sequence[float]
    cpu: Sequence[float] = ()
    load: Sequence[float] = ()

    @property
    def median(self) -> float:
        """The run that half of the others undercut."""
        return median(self.runs)


class Collection:
    """Figures as they come, in the order in which each contestant was first met."""

    def __init__(self) -> None:
        self._samples: dict[tuple[str, str], list[tuple[float, float, float]]] = {}

    def add(self, benchmark: str, contestant: str, sample: Sample, wall: float | None = None) -> None:
        """Note one run; `wall` where another moment than the process's end is meant."""
        seconds = sample.wall if wall is None else wall
        self._samples.setdefault((benchmark, contestant), []).append((seconds, sample.cpu, sample.load))
        print(f"{benchmark:<12} {contestant:<42} {seconds:7.2f} s   load {sample.load:.1f}", flush=True)

    def figures(self) -> list[Figure]:
        """One figure for each contestant of each benchmark."""
        return [
            Figure(benchmark=benchmark, contestant=contestant, runs=runs, cpu=cpu, load=load)
            for (benchmark, contestant), samples in self._samples.items()
            for runs, cpu, load in [tuple(zip(*samples, strict=True))]
        ]


def run(command: Command) -> Sample:
    """Run it to its end. Raises SystemExit with its last words where it fails or takes too long."""
    load, before = os.getloadavg()[0], _client_cpu()
    started, begun = time.time(), time.perf_counter()
    done = subprocess.run(
        command.argv,
        env={**os.environ, **command.env},
        cwd=command.cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=DEADLINE,
        check=False,
    )
    wall = time.perf_counter() - begun
    if done.returncode:
        words = "\n  ".join(done.stdout.splitlines()[-15:])
        raise SystemExit(f"bench: {' '.join(command.argv)} ended with {done.returncode}\n  {words}")
    return Sample(started=started, wall=wall, cpu=_client_cpu() - before, load=load, output=done.stdout)


def _client_cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
