"""How quickly decisions are made: on fleets of the trace's nodes, half full, beside the naive three steps."""

import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from itertools import groupby
from pathlib import Path
from random import Random
from resource import RUSAGE_CHILDREN, getrusage
from statistics import quantiles

from cube.model.resources import Resources
from cube.model.task import Slot
from cube.scheduler.algorithms import ALGORITHMS, Algorithm
from cube.scheduler.batch import in_batch
from cube.scheduler.board import Board
from cube.scheduler.in_arrays import InArrays
from cube.scheduler.state import Demand, Request
from tests.bench import scheduler_naive as naive
from tests.bench.scheduler_packing import enough, fitting
from tests.bench.scheduler_traces import (
    MIB,
    SPREAD_OVER_ZONES,
    Shape,
    Trace,
    drawn,
    fleet,
    openb_files,
    requests,
)

MOST = 20_000
"""Placements that one run times at most."""
NAIVE = {1_000: 1_000, 10_000: 100}
"""How many placements of the naive loop are timed on so many nodes."""


def algorithm(name: str) -> Algorithm:
    """One of Cube's own."""
    found = ALGORITHMS[name]
    assert isinstance(found, Algorithm)
    return found


def one_by_one(name: str, trace: Trace, nodes: int, seed: int) -> float:
    """Placements a second on a fleet that is filled from a half on."""
    board, rest, _ = half_full(name, trace, nodes, seed)
    return _rate(board, rest[:MOST])


def naively(name: str, trace: Trace, nodes: int, seed: int) -> float:
    """Placements a second of the bare three steps: every node is compared, every candidate scored."""
    board, rest, size = half_full(name, trace, nodes, seed)
    machines = naive.machines([board.cell.state(at) for at in range(size)])
    score = naive.score_of(name, size)
    asked = [(found.resources.cpu, found.resources.memory) for found in rest[: NAIVE[nodes]]]

    def run() -> None:
        for task in asked:
            naive.place(score, task, machines)

    return len(asked) / _seconds(run)


def all_distinct(trace: Trace, nodes: int, seed: int) -> float:
    """Placements a second where no two requests are alike."""
    board, rest, _ = half_full("tight", trace, nodes, seed)
    random = Random(seed)
    shapes = [
        (cpu + random.randrange(997), memory + random.randrange(997))
        for cpu, memory in (_shape(found) for found in rest[: MOST // 4])
    ]
    return _rate(board, requests(shapes))


def anti_affinity(trace: Trace, nodes: int, seed: int) -> float:
    """Placements a second of jobs of fifty, no two tasks of which may share a node."""
    return _with_peers(trace, nodes, seed, max_per_node=1)


def over_zones(trace: Trace, nodes: int, seed: int) -> float:
    """Placements a second of jobs of fifty that spread over three zones."""
    return _with_peers(trace, nodes, seed, spreads=SPREAD_OVER_ZONES)


def a_million(name: str, seed: int) -> float:
    """Seconds for the decisions of 1,000 jobs of 1,000 tasks on 5,000 nodes."""
    random = Random(seed)
    nodes = fleet([(64_000, 262_144)] * 5_000)
    shapes = drawn(
        [(cpu, memory) for cpu in (100, 200, 250, 300) for memory in (256, 512, 1024)], 1_000, random
    )
    begun = time.process_time()
    board = Board(algorithm(name), nodes)
    placed = 0
    for number, (cpu, memory) in enumerate(shapes):
        demand = Demand(resources=Resources(cpu=cpu, memory=memory * MIB), apart=False, count=1_000)
        request = Request(slot=Slot(job=f"job{number}", group="main", index=0), demand=demand)
        placed += len(board.place_many(request, 1_000))
    seconds = time.process_time() - begun
    assert placed == 1_000_000
    return seconds


def explained(trace: Trace, nodes: int, full: float, seed: int) -> float:
    """Milliseconds that 99 of 100 placements stay below, each with its reasons for every node.

    `full`: the share of the fleet's CPU that is promised before.
    """
    random = Random(seed)
    shapes = drawn(trace.nodes, nodes, random)
    board = Board(algorithm("tight"), fleet(shapes))
    before = _up_to(trace, int(sum(cpu for cpu, _ in shapes) * full), random)
    board.place_all(requests(before))
    planner = InArrays(algorithm("tight"), [board.cell.state(at) for at in range(nodes)])
    asked = requests(drawn(trace.tasks, 3_000, random))
    taken = [_seconds(lambda request=request: planner.place(request)) for request in asked]  # type: ignore[misc]
    return quantiles(taken[1_000:], n=100)[98] * 1_000


def whole_trace(trace: Trace) -> float:
    """Seconds to place every pod of the trace on its nodes, the fleet's making included."""
    nodes, asked = fleet(trace.nodes), requests(trace.tasks)
    return _seconds(lambda: Board(algorithm("tight"), nodes).place_all(asked))


def simulated(folder: Path, scheduler: str) -> float:
    """Seconds of CPU that `cube simulate` takes for the whole trace, from its start to its end."""
    nodes, tasks = openb_files(folder)
    argv = [sys.executable, "-m", "cube.cli.main", "simulate", "--scheduler", scheduler]
    before = getrusage(RUSAGE_CHILDREN)
    subprocess.run([*argv, "--trace", tasks, "--nodes", nodes], check=True, capture_output=True, timeout=600)
    after = getrusage(RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def as_one_batch(node: Shape, tasks: Sequence[Shape], seed: int) -> float:
    """Seconds to plan those that fit on such a node as one batch, in random order, on enough of them."""
    able = Random(seed).sample(found := fitting(node, tasks), len(found))
    nodes, asked = fleet([node] * enough(node, able)), requests(able)
    return _seconds(lambda: in_batch(nodes, asked))


def _with_peers(trace: Trace, nodes: int, seed: int, **demand: object) -> float:
    random = Random(seed)
    board = Board(algorithm("tight"), fleet(drawn(trace.nodes, nodes, random), zones=3))
    shapes = [shape for shape in drawn(trace.tasks, 220, random) for _ in range(50)]
    asked = requests(shapes, jobs_of=50, count=50, **demand)
    _rate(board, asked[:1_000])
    return _rate(board, asked[1_000:])


def half_full(name: str, trace: Trace, nodes: int, seed: int) -> tuple[Board, list[Request], int]:
    """A fleet on which half of the CPU is promised, class by class; and what comes next, in random order."""
    random = Random(seed)
    shapes = drawn(trace.nodes, nodes, random)
    board = Board(algorithm(name), fleet(shapes))
    cpu = sum(shape[0] for shape in shapes)
    first, rest = _up_to(trace, cpu * 5 // 10, random), _up_to(trace, cpu * 4 // 10, random)
    is_turn = name in ("roundrobin", "random")
    _fill(board, sorted(first)[: MOST if is_turn and nodes > 10_000 else None])
    coming = requests(rest)
    for request in {found.demand: found for found in coming}.values():
        board.find(request)
        board.find(request)
    return board, coming, nodes


def _fill(board: Board, shapes: Sequence[Shape]) -> None:
    for _, run in groupby(requests(shapes), key=lambda found: found.demand.resources):
        board.place_all(list(run))


def _up_to(trace: Trace, cpu: int, random: Random) -> list[Shape]:
    found, asked = [], 0
    while asked < cpu:
        shape = random.choice(trace.tasks)
        asked += shape[0]
        found.append(shape)
    return found


def _rate(board: Board, asked: Sequence[Request]) -> float:
    def run() -> None:
        for request in asked:
            board.place(request)

    return len(asked) / _seconds(run)


def _seconds(work: Callable[[], object]) -> float:
    begun = time.process_time()
    work()
    return time.process_time() - begun


def _shape(request: Request) -> Shape:
    return request.resources.cpu, request.resources.memory // MIB
