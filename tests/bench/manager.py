"""`make bench-manager`: one manager over 1,000 simulated nodes with 10,000 tasks, and many who ask it.

Writes docs/benchmarks/manager.json and the table in docs/manager.md. The loop, the store (a file) and the API
are the real ones; the nodes answer at once, so that what is measured is the manager's own.
"""

import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.bench.facts import made
from tests.build import job
from tests.stage import Stage, run, staged
from tests.test_api import Api, api_over

NODES, JOBS, TASKS = 1_000, 10, 1_000
"""Nodes, jobs, and the tasks of each job."""

REST, ASKING, RATE, LISTENERS = 20.0, 15.0, 200, 1_000
"""Seconds at rest and of requests, requests a second, and listeners."""

ROOT = Path(__file__).parents[2]
BEGIN, END = "<!-- bench-manager -->", "<!-- /bench-manager -->"


def main() -> None:
    """Measure, print it, and write it down."""
    names, busy = [f"node{number}" for number in range(NODES)], os.getloadavg()[0]
    with (
        tempfile.TemporaryDirectory() as folder,
        staged(names, Path(folder) / "state.db", 10.0) as stage,
        api_over(stage) as api,
    ):
        found = {**deployed(stage), **at_rest(stage), **asked(api)}
        assert stage.warnings == [], stage.warnings
    facts = {
        **made(),
        "machine": f"{os.cpu_count()} cores",
        "load_of_others": busy,
        "python": platform.python_version(),
        **found,
    }
    print(json.dumps(facts, indent=1))
    (ROOT / "docs" / "benchmarks" / "manager.json").write_text(json.dumps(facts, indent=1) + "\n")
    page = ROOT / "docs" / "manager.md"
    before, _, rest = page.read_text().partition(BEGIN)
    page.write_text(f"{before}{BEGIN}\n{table(facts)}{END}{rest.partition(END)[2]}")


def deployed(stage: Stage) -> dict[str, float]:
    """From nothing to all tasks running, every one of them placed, started and recorded."""
    began, spent = time.monotonic(), time.process_time()
    with stage.service.holding.held(wait=20):
        for number in range(JOBS):
            stage.manager.want(job(f"web{number}", TASKS, min_healthy_time=0.0), run())
    stage.service.wake()
    report = stage.manager.reconcile(run(300.0))
    assert report.exit_code == 0, report.summary
    assert len(stage.running()) == JOBS * TASKS
    return {"deploy_s": time.monotonic() - began, "deploy_cpu_s": time.process_time() - spent}


def at_rest(stage: Stage) -> dict[str, float]:
    """Nothing happens: each node is looked at every 10 seconds; and then all is planned for once."""
    began, spent = time.monotonic(), time.process_time()
    time.sleep(REST)
    rest = 100 * (time.process_time() - spent) / (time.monotonic() - began)
    before = stage.service.turning
    stage.service.wake()
    stage.until(lambda: stage.service.turning.turns > before.turns)
    after = stage.service.turning
    return {
        "turn_s": (after.seconds - before.seconds) / (after.turns - before.turns),
        "rest_cpu_percent": rest,
        "memory_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def asked(api: Api) -> dict[str, float]:
    """A process beside it asks, and then listens."""
    words = (str(api.port), api.tokens["operate"], str(ASKING), str(RATE), str(LISTENERS))
    began, spent = time.monotonic(), time.process_time()
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.manager_load", *words], capture_output=True, check=True, text=True
    )
    share = 100 * (time.process_time() - spent) / (time.monotonic() - began)
    answers: Mapping[str, Any] = json.loads(done.stdout)
    took = sorted(ms for route in answers["took"].values() for ms in route)
    heard = sorted(answers["heard"])
    assert len(heard) == LISTENERS
    return {
        "requests": len(took),
        "api_p50_ms": part(took, 0.5),
        "api_p90_ms": part(took, 0.9),
        "api_p99_ms": part(took, 0.99),
        "asking_cpu_percent": share,
        "event_p50_ms": part(heard, 0.5),
        "event_last_ms": heard[-1],
    }


def part(values: Sequence[float], share: float) -> float:
    """The value that so many are not above; they are sorted."""
    return values[min(int(len(values) * share), len(values) - 1)]


def table(facts: Mapping[str, Any]) -> str:
    """The figures as a page has them."""
    rows = (
        (
            "10,000 tasks from nothing to running",
            f"{facts['deploy_s']:.0f} s ({facts['deploy_cpu_s']:.0f} s CPU)",
        ),
        ("a turn over all of it, with nothing to do", f"{facts['turn_s']:.2f} s"),
        ("CPU at rest, each node looked at every 10 s", f"{facts['rest_cpu_percent']:.0f}% of one core"),
        ("memory", f"{facts['memory_mib']:.0f} MiB"),
        (
            f"{RATE} requests a second: p50, p90, p99",
            f"{facts['api_p50_ms']:.0f}, {facts['api_p90_ms']:.0f}, {facts['api_p99_ms']:.0f} ms",
        ),
        (
            "CPU over those requests, and then the listeners below",
            f"{facts['asking_cpu_percent']:.0f}% of one core",
        ),
        (
            "an event to 1,000 listeners: to half of them, to the last",
            f"{facts['event_p50_ms']:.0f}, {facts['event_last_ms']:.0f} ms",
        ),
    )
    lines = "".join(f"| {what} | {figure} |\n" for what, figure in rows)
    others = f"a load of {facts['load_of_others']:.0f} by others"
    return f"| on {facts['machine']} under {others}, Python {facts['python']} | |\n| --- | --- |\n{lines}"


if __name__ == "__main__":
    main()
