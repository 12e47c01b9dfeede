"""`make bench-scheduler`: how quickly and how tightly tasks are placed.

The folder of the full traces is the argument, or CUBE_TRACES. Writes docs/benchmarks/scheduler.json, two
plots beside it, and the tables in docs/scheduling.md. RUNS (default 5) is how often each speed is measured,
ONLY names tables to make (speed, ratio, shapes, packing, identical): the others stay as they were.
"""

import os
import platform
import sys
from collections.abc import Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from functools import partial
from pathlib import Path
from random import Random

from cube.scheduler.algorithms import ALGORITHMS
from tests.bench import scheduler_speed as speed
from tests.bench.pace import pace
from tests.bench.scheduler_packing import (
    arriving,
    baselines,
    bound,
    fitting,
    identical,
    needed,
    nomad,
    online,
    planned,
)
from tests.bench.scheduler_plots import bars, lines
from tests.bench.scheduler_report import TABLES, Result, as_json, from_json, section, with_section
from tests.bench.scheduler_traces import Shape, Trace, azure, openb

DOCS = Path(__file__).parents[2] / "docs"
SEEDS = range(11)
SIZES = {1_000: (100e3, 200e3), 10_000: (50e3, 140e3), 100_000: (15e3, 40e3)}
"""Nodes, and how many placements a second must be and should be."""
PROVEN = {"Azure's 20,000 machines, nodes of 64 cores and 128 GiB": 1_021}
"""As few nodes as can do: a lower bound by column generation that a rounding of it reaches.

The linear program of all ways to fill a node, solved once by HiGHS, beside this benchmark and not by it.
"""
RATIOS = {1_000: (20, 40), 10_000: (150, 330)}


def main() -> None:
    """Measure what is asked for, print it, and write it down where all of it was."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else os.environ.get("CUBE_TRACES", ""))
    if not (folder / "openb").is_dir():
        raise SystemExit(
            "name the folder of the traces: python -m tests.bench.scheduler FOLDER, or CUBE_TRACES"
        )
    runs, only = int(os.environ.get("RUNS", "5")), os.environ.get("ONLY", "").split()
    results: list[Result] = []
    for table, make in _PARTS.items():
        if not only or table in only:
            for found in make(folder, runs):
                print(f"{found.table:<10} {found.name:<60} {found.median:14,.4f} {found.unit}", flush=True)
                results.append(found)
    if not only or "packing" in only:
        _draw_arriving(openb(folder))
    _write([*results, *_kept({found.table for found in results})])


def _kept(made: AbstractSet[str]) -> list[Result]:
    """What was measured before, but for the tables that were made again."""
    file = DOCS / "benchmarks" / "scheduler.json"
    return (
        [found for found in from_json(file.read_text()) if found.table not in made] if file.exists() else []
    )


def _write(results: Sequence[Result]) -> None:
    facts = {"machine": _machine(), "python": platform.python_version()}
    in_order = sorted(results, key=lambda found: list(TABLES).index(found.table))
    (DOCS / "benchmarks" / "scheduler.json").write_text(as_json(in_order, facts))
    _draw_packing(results)
    page = DOCS / "scheduling.md"
    page.write_text(with_section(page.read_text(), section(results, facts)))
    print("written: docs/scheduling.md, docs/benchmarks/scheduler.json and its plots")


def _draw_packing(results: Sequence[Result]) -> None:
    shares = {found.name.strip("`"): found.median - 1 for found in results if found.unit == "of the bound"}
    (DOCS / "benchmarks" / "packing.svg").write_text(bars("nodes over the bound", shares))


def _draw_arriving(trace: Trace) -> None:
    curves = {
        name: arriving(online(speed.algorithm(name)), trace) for name in ("tight", "random", "epvm", "spread")
    }
    text = lines("pods that have arrived", "nodes with a pod", curves)
    (DOCS / "benchmarks" / "arriving.svg").write_text(text)


def _speeds(folder: Path, runs: int) -> Iterator[Result]:
    trace, paces = openb(folder), [pace()]
    for nodes, (must, stretch) in SIZES.items():
        often = min(runs, 3) if nodes > 10_000 else runs
        for name in ALGORITHMS:
            yield Result(
                table="speed",
                name=f"`{name}`, {nodes:,} nodes",
                unit="/s",
                runs=_each(partial(speed.one_by_one, name, trace, nodes), often),
                must=must,
                stretch=stretch,
            )
        paces.append(pace())
    yield Result(table="speed", name="the host: twenty million additions in Python", unit="s", runs=paces)


def _ratios(folder: Path, runs: int) -> Iterator[Result]:
    trace, seeds = openb(folder), range(min(runs, 3))
    for nodes, (must, stretch) in RATIOS.items():
        for name in ("tight", "spread", "epvm"):
            quick = [speed.one_by_one(name, trace, nodes, seed) for seed in seeds]
            naive = [speed.naively(name, trace, nodes, seed) for seed in seeds]
            title = f"`{name}`, {nodes:,} nodes"
            times = [one / other for one, other in zip(quick, naive, strict=True)]
            yield Result(table="ratio", name=title, unit="x", runs=times, must=must, stretch=stretch)
            yield Result(table="ratio", name=f"{title}: the naive steps themselves", unit="/s", runs=naive)


def _shapes(folder: Path, runs: int) -> Iterator[Result]:
    for name, unit, work, must, stretch in _shape_cases(folder):
        yield Result(
            table="shapes",
            name=name,
            unit=unit,
            runs=_each(work, runs),
            must=must,
            stretch=stretch,
            is_most=unit in ("s", "ms"),
        )


def _shape_cases(folder: Path) -> Iterator[tuple[str, str, Callable[[int], float], float | None, float]]:
    trace = openb(folder)
    distinct = partial(speed.all_distinct, trace, 10_000)
    yield "all requests distinct, 10,000 nodes", "/s", distinct, 8e3, 50e3
    alone = partial(speed.anti_affinity, trace, 5_000)
    yield "no two tasks of a job on one node, 5,000 nodes", "/s", alone, 20e3, 100e3
    zones = partial(speed.over_zones, trace, 5_000)
    yield "jobs spread over three zones, 5,000 nodes", "/s", zones, 20e3, 100e3
    for name in ("tight", "spread"):
        what = f"1,000 jobs of 1,000 equal tasks on 5,000 nodes, where they go only, `{name}`"
        yield what, "s", partial(speed.a_million, name), 2.0, 0.5
    reasons = "one placement, five nodes told in full and all counted by filter, 10,000 nodes, 99 of 100"
    for full, what in ((0.0, "empty at first"), (0.8, "four fifths full")):
        yield f"{reasons}, {what}", "ms", partial(speed.explained, trace, 10_000, full), 1.0, 0.2
    whole = "the whole of Alibaba's trace, 8,152 pods on 1,523 nodes"
    yield f"{whole}, where they go only", "s", lambda _seed: speed.whole_trace(trace), 1.0, 0.1
    command = f"{whole}, by `cube simulate --trace`, from the command's start to its end"
    yield command, "s", lambda _seed: speed.simulated(folder, "tight"), 1.0, 0.1
    for title, node, tasks, _, _ in _identical_cases(folder):
        yield f"planned as one batch: {title}", "s", partial(speed.as_one_batch, node, tasks), None, 2.0


def _packings(folder: Path, _runs: int) -> Iterator[Result]:
    trace = openb(folder)
    bounds = {seed: _bound(trace, seed) for seed in SEEDS}
    yield Result(table="packing", name="the bound itself, in nodes", unit="nodes", runs=list(bounds.values()))
    packers = {name: online(found) for name, found in baselines().items()}
    others = {"Nomad, as shipped": nomad, "planned as one batch": planned}
    for name, pack in (packers | others).items():
        must, stretch = {"tight": (1.018, 1.010), "planned as one batch": (1.014, 1.005)}.get(
            name, (None, None)
        )
        yield Result(
            table="packing",
            name=f"`{name}`" if name in ALGORITHMS else name,
            unit="of the bound",
            runs=[needed(pack, trace, seed) / bounds[seed] for seed in SEEDS],
            must=must,
            stretch=stretch,
            is_most=True,
        )


def _identicals(folder: Path, _runs: int) -> Iterator[Result]:
    packers = {"`tight`, one by one": online(speed.algorithm("tight")), "planned as one batch": planned}
    for title, node, tasks, must, stretch in _identical_cases(folder):
        orders = [Random(seed).sample(list(tasks), len(tasks)) for seed in SEEDS]
        fewest = bound([node] * len(tasks), fitting(node, tasks))
        name = f"{title}: the bound by volume"
        yield Result(table="identical", name=name, unit="nodes", runs=[fewest])
        if title in PROVEN:
            yield proven(title)
        for name, pack in packers.items():
            yield Result(
                table="identical",
                name=f"{title}: {name}",
                unit="nodes",
                runs=[identical(pack, node, order) for order in orders],
                must=must,
                stretch=stretch if pack is planned else None,
                is_most=True,
            )


def proven(title: str) -> Result:
    """A bound that no run of this benchmark found."""
    name = f"{title}: the fewest that can do, by a linear program that is not part of this benchmark"
    return Result(table="identical", name=name, unit="nodes", runs=[PROVEN[title]])


def _identical_cases(folder: Path) -> Iterator[tuple[str, Shape, Sequence[Shape], int, int]]:
    machines = "Azure's 20,000 machines, nodes of 64 cores and 128 GiB"
    yield machines, (64_000, 128 << 10), azure(folder), 1_039, 1_021
    pods = "Alibaba's pods, nodes of 96 cores and 384 GiB"
    yield pods, (96_000, 384 << 10), openb(folder).tasks, 900, 885


def _bound(trace: Trace, seed: int) -> int:
    nodes = Random(seed).sample(trace.nodes, len(trace.nodes))
    return bound(nodes * 3, trace.tasks)


def _each(work: Callable[[int], float], runs: int) -> list[float]:
    return [work(seed) for seed in range(runs)]


def _machine() -> str:
    with Path("/proc/cpuinfo").open() as file:
        models = {line.split(":")[1].strip() for line in file if line.startswith("model name")}
    return f"{os.cpu_count()} cores ({', '.join(sorted(models))})"


_PARTS: dict[str, Callable[[Path, int], Iterator[Result]]] = dict(
    zip(TABLES, (_speeds, _ratios, _shapes, _packings, _identicals), strict=True)
)


if __name__ == "__main__":
    main()
