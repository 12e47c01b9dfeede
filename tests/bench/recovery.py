"""`make bench-recovery`: how long until what died runs again, Cube beside Docker Swarm on one lab.

Writes docs/benchmarks/recovery-NODES.json, and of all these the last section of docs/benchmarks.md. In the
environment, RUNS (default 5) is how often everything is repeated, with fewer nothing is written; NODES is how
large the fleet is (default 3), ONLY a word in the names of those who are measured (default all). Of a large
fleet no node dies.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from cube.lab import faults
from cube.lab.fleet import LabNode
from tests.bench import contestants as who
from tests.bench.contestants import Kit
from tests.bench.facts import own_facts
from tests.bench.fleet import EMPTY, Fleet, fleet
from tests.bench.measure import Collection, Figure, Sample, run
from tests.bench.recovery_report import as_section, with_section
from tests.bench.report import as_json, figures_of

DOCS = Path(__file__).parents[2] / "docs"
ENOUGH = 5
"""Runs, without which no median is written down."""

NODES = 3
"""How many are measured unless the environment says another number."""

FEW = 10
"""Nodes, of which a fleet of more is set up but once for each contestant, and loses none."""

UNSEEN = 8.0
"""Seconds between two looks at a large fleet: each asks every engine, and takes both cores."""

LOOKS = 3
"""How often it is asked whether all run, before the benchmark ends because they do not."""

PER_NODE = 2
CALM = 10.0
"""Seconds before a fault, for the contestant to have seen that all is well."""

PATIENCE = 180.0
"""Seconds after which a contestant that has not mended the fault ends the benchmark."""

JOB = f"""\
job: bench
groups:
  task:
    count: {{tasks}}
    image: {who.IMAGE}
    command: [sleep, "3600"]
    restart: {{{{delay: 0s, attempts: 100}}}}
    lost_after: 10s
"""

# Prints when, so that the way to the node is not measured.
_CRASH = "pid=$(docker inspect -f '{{.State.Pid}}' $(docker ps -q | head -1)); date +%s.%N; kill -9 $pid"
_STARTS = "docker ps -q | xargs -r docker inspect -f '{{.State.StartedAt}}'"

Rival = Callable[[Kit], AbstractContextManager[None]]


def main() -> None:
    """Measure one fleet, print the table, and write it down."""
    runs, nodes = int(os.environ.get("RUNS", ENOUGH)), int(os.environ.get("NODES", NODES))
    only = os.environ.get("ONLY", "")
    figures = _all_on(nodes, runs, {name: rival for name, rival in RIVALS.items() if only in name})
    print("\n" + as_section(figures))
    if runs >= ENOUGH:
        (DOCS / "benchmarks" / f"recovery-{nodes}.json").write_text(as_json(figures, own_facts()))
        kept = [path.read_text() for path in sorted((DOCS / "benchmarks").glob("recovery-*.json"))]
        page, section = (
            DOCS / "benchmarks.md",
            as_section([found for text in kept for found in figures_of(text)]),
        )
        page.write_text(with_section(page.read_text(), section))
        print(f"written: docs/benchmarks.md, docs/benchmarks/recovery-{nodes}.json")


def _all_on(nodes: int, runs: int, rivals: Mapping[str, Rival]) -> Sequence[Figure]:
    """Let the contestants take turns."""
    collection = Collection()
    with (
        tempfile.TemporaryDirectory(prefix="cube-bench-") as folder,
        fleet("bench-recovery", nodes, Path(folder)) as found,
    ):
        kit = Kit(cube=Path(sys.executable).with_name("cube"), peers=Path(), fleet=found)
        if nodes > FEW:
            for name, rival in rivals.items():
                _crashes(name, rival, collection, kit, runs)
            return collection.figures()
        for turn in range(runs):
            for name, rival in list(rivals.items())[:: 1 if turn % 2 == 0 else -1]:
                _one(name, rival, collection, kit)
    return collection.figures()


def _crashes(name: str, rival: Rival, collection: Collection, kit: Kit, runs: int) -> None:
    """So many crashes, one after the other, of a fleet that takes minutes to set up."""
    kit.fleet.everywhere(EMPTY)
    try:
        with rival(kit):
            for _ in range(runs):
                time.sleep(CALM)
                _check_all_run(name, kit.fleet)
                collection.add(_about("a crashed container", kit.fleet), name, _crash(kit.fleet))
    finally:
        kit.fleet.everywhere(EMPTY)


def _one(name: str, rival: Rival, collection: Collection, kit: Kit) -> None:
    """A crash, then a death, and everything as it was before."""
    nodes = kit.fleet.lab.nodes
    kit.fleet.everywhere(EMPTY)
    try:
        with rival(kit):
            for benchmark, break_it in FAULTS.items():
                time.sleep(CALM)
                _check_all_run(name, kit.fleet)
                collection.add(_about(benchmark, kit.fleet), name, break_it(kit.fleet))
            faults.heal(kit.fleet.engine, nodes[2])
    finally:
        faults.heal(kit.fleet.engine, nodes[2])
        kit.fleet.everywhere(EMPTY)


def _about(benchmark: str, found: Fleet) -> str:
    return f"{benchmark}, {len(found.lab.nodes)} nodes"


def _tasks(found: Fleet) -> int:
    return PER_NODE * len(found.lab.nodes)


def _check_all_run(name: str, found: Fleet) -> None:
    """Raises SystemExit where they do not; asked again, for a busy engine's answer may come back empty."""
    for _ in range(LOOKS):
        if (count := found.running()) == _tasks(found):
            return
    raise SystemExit(f"bench: {name}: {count} containers run, not {_tasks(found)}")


@contextmanager
def _cube(kit: Kit, *words: str) -> Iterator[None]:
    """A deployed job, and Cube that stays, in those words."""
    kit.forget()
    inventory = kit.fleet.lab.inventory
    job = kit.write("recovery.yml", JOB.format(tasks=_tasks(kit.fleet)))
    run(kit.command(kit.cube, "deploy", job, "-i", inventory))
    stay = kit.command(kit.cube, *words, "--every", "5s", "-i", inventory)
    with subprocess.Popen(
        stay.argv, cwd=stay.cwd, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            yield
        finally:
            process.terminate()


@contextmanager
def _swarm(kit: Kit) -> Iterator[None]:
    who.join_swarm(kit.fleet)
    first = kit.fleet.lab.nodes[0]
    script = (
        "docker service create --no-resolve-image --quiet --name bench --restart-delay 0s "
        f"--replicas {_tasks(kit.fleet)}"
    )
    try:
        run(kit.command(*kit.fleet.ssh(first.address, f"{script} {who.IMAGE} sleep 3600")))
        yield
    finally:
        kit.fleet.everywhere("docker swarm leave --force || true")


RIVALS: dict[str, Rival] = {
    "cube manager start": lambda kit: _cube(kit, "manager", "start", "--no-tokens"),
    "cube reconcile --watch": lambda kit: _cube(kit, "reconcile", "--watch"),
    "Docker Swarm": _swarm,
}


def _crash(found: Fleet) -> Sample:
    """The main process of one container on the second node is killed."""
    begun = float(found.on(found.lab.nodes[1].container, _CRASH))
    return _mended(found, found.lab.nodes, begun)


def _death(found: Fleet) -> Sample:
    """The third node loses its power."""
    begun = time.time()
    faults.kill(found.engine, found.lab.nodes[2])
    return _mended(found, [*found.lab.nodes[:2], *found.lab.nodes[3:]], begun)


FAULTS = {"a crashed container": _crash, "a dead node": _death}


def _mended(found: Fleet, nodes: Sequence[LabNode], begun: float) -> Sample:
    """Until all tasks run on those nodes, the newest begun after the fault, by the engines' clocks."""
    load, over, starts = os.getloadavg()[0], time.monotonic() + PATIENCE, list[float]()
    while time.monotonic() < over:
        time.sleep(UNSEEN if len(nodes) > FEW else 1.0)  # the looks cost the contestants their CPU
        lines = [line for text in found.everywhere(_STARTS, nodes) for line in text.split()]
        starts = [who.seconds(line) for line in lines]
        if len(starts) == _tasks(found) and max(starts) > begun:
            return Sample(started=begun, wall=max(starts) - begun, cpu=0, load=load, output="")
    raise SystemExit(
        f"bench: {len(starts)} of {_tasks(found)} run {PATIENCE:.0f} s after the fault: {json.dumps(starts)}"
    )


if __name__ == "__main__":
    main()
