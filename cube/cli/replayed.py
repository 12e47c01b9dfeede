"""Behind `cube simulate --trace`: traces from files, played through algorithms, told and drawn."""

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from cube.cli import options, plot, render
from cube.errors import InputError
from cube.model.codec import to_data
from cube.model.resources import Resources
from cube.scheduler.algorithms import ALGORITHMS, refuse_unknown
from cube.scheduler.fleet import make_ready
from cube.whatif.trace import Replay, places_of, planned, read_trace, replay

COLUMNS = ("scheduler", "placed", "pending", "nodes used", "first failure", "cpu then", "memory then", "time")
BATCH = "batch"
"""Stands for no algorithm: the tasks are all known before, and planned together."""

LONGEST = 65_536
"""Characters of one line."""

STEPS = 12
"""Lines of the plot on a terminal, for each algorithm."""


def show(trace: Path, nodes: Path | None, schedulers: str, file: Path | None, output: options.Output) -> None:
    """Print what comes of the trace under each algorithm. Raises InputError for what cannot be read."""
    if nodes is None:
        raise InputError("no nodes were named", cure="Name a CSV file of nodes: --nodes FILE.")
    names = tuple(dict.fromkeys(schedulers.split(",")))
    for name in names:
        if name != BATCH:
            refuse_unknown(name)
    fleet, tasks = _read(nodes), _read(trace)
    make_ready(len(fleet), len(tasks))
    found: dict[str, tuple[Replay, float]] = {}
    for name in names:
        started = time.perf_counter()
        places = planned(fleet, tasks) if name == BATCH else places_of(ALGORITHMS[name], fleet, tasks)
        result = replay(places, fleet, tasks)
        found[name] = result, time.perf_counter() - started
    if file is not None:
        draw({name: result for name, (result, _) in found.items()}, file)
    render.table([_row(name, *result) for name, result in found.items()], COLUMNS, output)
    if output is options.Output.TABLE:
        for name, (result, _) in found.items():
            _plot(name, result, len(fleet))


def draw(found: Mapping[str, Replay], file: Path) -> None:
    """Write a PNG of how many nodes have a task as tasks arrive. Raises InputError."""

    def on(axes: Any) -> None:
        for name, result in found.items():
            arrivals, nodes = zip(*result.course, strict=True)
            axes.plot(arrivals, nodes, label=name)
        axes.set(xlabel="tasks that have arrived", ylabel="nodes with a task")
        axes.set_ylim(bottom=0)

    plot.write(file, on)


def _read(path: Path) -> Sequence[Resources]:
    found = list(read_trace(_lines(path), str(path)))
    if not found:
        raise InputError("there is no row", where=str(path))
    return found


def _lines(path: Path) -> Iterator[str]:
    """The file line by line; a line that is too long ends it. Raises InputError."""
    number = 0
    try:
        with path.open(encoding="utf-8", newline="") as file:
            while line := file.readline(LONGEST):
                number += 1
                if len(line) == LONGEST:
                    what = f"the line is longer than {LONGEST} characters"
                    raise InputError(what, where=f"{path}:{number}")
                yield line
    except UnicodeDecodeError:
        where = f"{path}:{number + 1}"
        raise InputError("the file is not UTF-8 text", where=where, cure="Save it as UTF-8.") from None
    except OSError as error:
        why = os.strerror(error.errno).lower() if error.errno else str(error)
        raise InputError("the file cannot be read", where=str(path), why=why) from None


def _row(name: str, result: Replay, seconds: float) -> dict[str, Any]:
    cpu, memory = result.at_failure
    return {
        **to_data(result),
        "scheduler": name,
        "nodes used": result.nodes_used,
        "first failure": result.first_failure,
        "cpu then": f"{cpu:.1%}",
        "memory then": f"{memory:.1%}",
        "time": f"{seconds:.2f}s",
        "seconds": seconds,
    }


def _plot(name: str, result: Replay, nodes: int) -> None:
    """How many nodes have a task as tasks arrive, as bars of plain characters."""
    render.line("")
    render.line(f"{name}: nodes with a task as tasks arrive")
    last = len(result.course) - 1
    for at in dict.fromkeys(last * step // STEPS for step in range(1, STEPS + 1)):
        arrived, in_use = result.course[at]
        render.line(f"{arrived:>9}  {render.bar(in_use / nodes)} {in_use:>4}")
