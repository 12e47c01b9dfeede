"""`make bench-soak`: an hour's looks of a manager in six minutes, a thousand listeners, and what it grows by.

Writes docs/benchmarks/soak.json and the table in docs/manager.md. Each simulated node is looked at as often
as in an hour, ten times as quickly; meanwhile tasks crash and are started again, a job is scaled, and
requests come in. In the environment SECONDS (default 360) is for how long; for less nothing is written.
"""

import gc
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import count
from pathlib import Path
from statistics import median
from typing import Any

from cube.model.job import Job
from cube.model.policy import RestartPolicy
from cube.simulator.laws import ours, runs
from tests.bench.facts import made
from tests.bench.pace import pace
from tests.build import job
from tests.stage import Stage, run, staged
from tests.test_api import api_over

NODES, TASKS, LISTENERS, RATE = 200, 1_000, 1_000, 20
"""Nodes, tasks, listeners, and requests a second."""

EVERY, HOUR = 1.0, 360.0
"""Seconds between two looks at a node, a tenth of the usual; and how long an hour's looks take so."""

CRASHES, SCALES, SAMPLES = 4.0, 30.0, 12
"""Seconds between two crashes, and between two changes of a job's size; how often all is measured."""

ROOT = Path(__file__).parents[2]
BEGIN, END = "<!-- bench-soak -->", "<!-- /bench-soak -->"


def main() -> None:
    """Measure, print it, and write it down."""
    seconds = float(os.environ.get("SECONDS", HOUR))
    names = [f"node{number}" for number in range(NODES)]
    with (
        tempfile.TemporaryDirectory() as folder,
        staged(names, Path(folder) / "state.db", EVERY) as stage,
        api_over(stage) as api,
    ):
        for name, tasks in (("web0", TASKS), ("web1", 20), ("web2", 20)):
            stage.manager.deploy(_job(name, tasks), run(120.0))
        words = (str(api.port), api.tokens["operate"], str(seconds), str(RATE), str(LISTENERS))
        with subprocess.Popen(
            [sys.executable, "-m", "tests.bench.manager_load", *words, "--listen-first"],
            stdout=subprocess.PIPE,
            text=True,
        ) as load:
            samples = list(work(stage, seconds, Path(folder) / "state.db"))
            answers = json.loads(load.communicate(timeout=120)[0])
        assert load.returncode == 0
        assert len(answers["heard"]) == LISTENERS
        assert stage.warnings == [], stage.warnings
    size = {"nodes": NODES, "tasks": TASKS}
    facts = {
        **made(),
        **size,
        "cores": os.cpu_count(),
        "pace_s": pace(),
        "samples": samples,
        **_asked(answers["took"]),
    }
    print(json.dumps(facts, indent=1))
    if seconds >= HOUR:
        (ROOT / "docs" / "benchmarks" / "soak.json").write_text(json.dumps(facts, indent=1) + "\n")
        page = ROOT / "docs" / "manager.md"
        before, _, rest = page.read_text().partition(BEGIN)
        page.write_text(f"{before}{BEGIN}\n{table(facts)}{END}{rest.partition(END)[2]}")


def work(stage: Stage, seconds: float, state: Path) -> Iterator[dict[str, float]]:
    """Crashes and changes for so long, and what was there after each part of it."""
    began, ticks = time.monotonic(), count(1)
    sizes = (TASKS, TASKS - 10)
    for part in range(1, SAMPLES + 1):
        while time.monotonic() < began + part * seconds / SAMPLES:
            time.sleep(CRASHES)
            tick = next(ticks)
            _crash(stage, tick)
            if tick % (SCALES // CRASHES) == 0:
                stage.manager.deploy(_job("web0", sizes[tick // 7 % 2]), run(60.0))
        yield _measured(stage, state)


def _job(name: str, tasks: int) -> Job:
    return job(name, tasks, min_healthy_time=0.0, restart=RestartPolicy(delay=1.0))


def _crash(stage: Stage, tick: int) -> None:
    """A task of some node ends by itself, and its engine tells of it."""
    attended = stage.machines[f"node{tick * 7 % NODES}"]
    with attended.alone:
        alive = [found for _, found in ours({"": attended.machine}) if runs(found)]
        if alive:
            attended.machine.end(alive[0].id, 137)
    attended.told.put("die")


def _measured(stage: Stage, state: Path) -> dict[str, float]:
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return {
        "memory_mib": pages * os.sysconf("SC_PAGE_SIZE") / 2**20,
        "threads": threading.active_count(),
        "files": len(list(Path("/proc/self/fd").iterdir())),
        "state_mib": state.stat().st_size / 2**20,
        "events": stage.store.events(limit=1)[0].number,
        "looks": sum(machine.looks for machine in stage.machines.values()),
    }


def _asked(took: Mapping[str, Sequence[float]]) -> dict[str, float]:
    every = sorted(ms for route in took.values() for ms in route)
    return {"requests": len(every), "api_p50_ms": median(every), "api_p99_ms": every[len(every) * 99 // 100]}


def table(facts: Mapping[str, Any]) -> str:
    """The figures as a page has them."""
    samples: Sequence[Mapping[str, float]] = facts["samples"]
    places = (0, len(samples) // 2 - 1, len(samples) - 1)
    at = [samples[place] for place in places]
    rows: tuple[tuple[str, Callable[[Mapping[str, float]], str]], ...] = (
        ("memory", lambda found: f"{found['memory_mib']:.0f} MiB"),
        ("threads, open files", lambda found: f"{found['threads']:.0f}, {found['files']:.0f}"),
        ("events recorded", lambda found: f"{found['events']:,.0f}"),
        ("the state's file", lambda found: f"{found['state_mib']:.1f} MiB"),
        ("looks at nodes", lambda found: f"{found['looks']:,.0f}"),
    )
    lines = [f"| {what} | {' | '.join(map(show, at))} |\n" for what, show in rows]
    times = f"p50 {facts['api_p50_ms']:.0f}, p99 {facts['api_p99_ms']:.0f} ms"
    last = f"| {facts['requests']:,} requests, {RATE} a second | | | {times} |\n"
    where = f"{NODES} nodes, {TASKS:,} tasks, {facts['cores']} cores"
    after = " | ".join(f"after {HOUR * (place + 1) / SAMPLES:.0f} s" for place in places)
    return f"| {where} | {after} |\n| --- | --- | --- | --- |\n{''.join(lines)}{last}"


if __name__ == "__main__":
    main()
