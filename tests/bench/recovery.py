"""`make bench-recovery`: how long until what died runs again, Cube beside Docker Swarm on one lab.

Writes docs/benchmarks/recovery.json and the last section of docs/benchmarks.md. In the environment, RUNS
(default 5) is how often everything is repeated; with fewer than 5 nothing is written.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from cube.lab import faults
from cube.lab.fleet import LabNode
from tests.bench import contestants as who
from tests.bench.contestants import Kit
from tests.bench.facts import own_facts
from tests.bench.fleet import EMPTY, Fleet, fleet
from tests.bench.measure import Collection, Sample, run
from tests.bench.recovery_report import as_section, with_section
from tests.bench.report import as_json

DOCS = Path(__file__).parents[2] / "docs"
ENOUGH = 5
"""Runs, without which no median is written down."""

TASKS = 6
CALM = 8.0
"""Seconds before a fault, for the contestant to have seen that all is well."""

PATIENCE = 180.0
"""Seconds after which a contestant that has not mended the fault ends the benchmark."""

JOB = f"""\
job: bench
groups:
  task:
    count: {TASKS}
    image: {who.IMAGE}
    command: [sleep, "3600"]
    lost_after: 10s
"""

# Prints when, so that the way to the node is not measured.
_CRASH = "pid=$(docker inspect -f '{{.State.Pid}}' $(docker ps -q | head -1)); date +%s.%N; kill -9 $pid"
_STARTS = "docker ps -q | xargs -r docker inspect -f '{{.State.StartedAt}}'"

Rival = Callable[[Kit], AbstractContextManager[None]]


def main() -> None:
    """Let the contestants take turns, print the table, and write it down."""
    runs, collection = int(os.environ.get("RUNS", str(ENOUGH))), Collection()
    with (
        tempfile.TemporaryDirectory(prefix="cube-bench-") as folder,
        fleet("bench-recovery", 3, Path(folder)) as found,
    ):
        kit = Kit(cube=Path(sys.executable).with_name("cube"), peers=Path(), fleet=found)
        for turn in range(runs):
            for name, rival in list(RIVALS.items())[:: 1 if turn % 2 == 0 else -1]:
                _one(name, rival, collection, kit)
    figures = collection.figures()
    print("\n" + as_section(figures))
    if runs >= ENOUGH:
        (DOCS / "benchmarks" / "recovery.json").write_text(as_json(figures, own_facts()))
        page = DOCS / "benchmarks.md"
        page.write_text(with_section(page.read_text(), as_section(figures)))
        print("written: docs/benchmarks.md, docs/benchmarks/recovery.json")


def _one(name: str, rival: Rival, collection: Collection, kit: Kit) -> None:
    """A crash, then a death, and everything as it was before."""
    kit.fleet.everywhere(EMPTY)
    try:
        with rival(kit):
            _check_all_run(name, kit.fleet)
            for benchmark, break_it in FAULTS.items():
                time.sleep(CALM)
                collection.add(benchmark, name, break_it(kit.fleet))
            faults.heal(kit.fleet.engine, kit.fleet.lab.nodes[2])
    finally:
        faults.heal(kit.fleet.engine, kit.fleet.lab.nodes[2])
        kit.fleet.everywhere(EMPTY)


def _check_all_run(name: str, found: Fleet) -> None:
    if (count := found.running()) != TASKS:
        raise SystemExit(f"bench: {name}: {count} containers run, not {TASKS}")


@contextmanager
def _cube(kit: Kit) -> Iterator[None]:
    kit.forget()
    inventory = kit.fleet.lab.inventory
    run(kit.command(kit.cube, "deploy", kit.write("recovery.yml", JOB), "-i", inventory))
    words = kit.command(kit.cube, "reconcile", "--watch", "--every", "5s", "-i", inventory)
    with subprocess.Popen(
        words.argv, cwd=words.cwd, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as watch:
        try:
            yield
        finally:
            watch.terminate()


@contextmanager
def _swarm(kit: Kit) -> Iterator[None]:
    who.join_swarm(kit.fleet)
    first = kit.fleet.lab.nodes[0]
    script = f"docker service create --no-resolve-image --quiet --name bench --replicas {TASKS}"
    try:
        run(kit.command(*kit.fleet.ssh(first.address, f"{script} {who.IMAGE} sleep 3600")))
        yield
    finally:
        kit.fleet.everywhere("docker swarm leave --force || true")


RIVALS: dict[str, Rival] = {"cube": _cube, "Docker Swarm": _swarm}


def _crash(found: Fleet) -> Sample:
    """The main process of one container on the second node is killed."""
    begun = float(found.on(found.lab.nodes[1].container, _CRASH))
    return _mended(found, found.lab.nodes, begun)


def _death(found: Fleet) -> Sample:
    """The third node loses its power."""
    begun = time.time()
    faults.kill(found.engine, found.lab.nodes[2])
    return _mended(found, found.lab.nodes[:2], begun)


FAULTS = {"a crashed container": _crash, "a dead node": _death}


def _mended(found: Fleet, nodes: Sequence[LabNode], begun: float) -> Sample:
    """Until all tasks run on those nodes, the newest begun after the fault, by the engines' clocks."""
    load, over = os.getloadavg()[0], time.monotonic() + PATIENCE
    while time.monotonic() < over:
        starts = [who.seconds(line) for node in nodes for line in found.on(node.container, _STARTS).split()]
        if len(starts) == TASKS and max(starts) > begun:
            return Sample(started=begun, wall=max(starts) - begun, cpu=0, load=load, output="")
        time.sleep(0.2)
    raise SystemExit(
        f"bench: {len(starts)} of {TASKS} run {PATIENCE:.0f} s after the fault: {json.dumps(starts)}"
    )


if __name__ == "__main__":
    main()
