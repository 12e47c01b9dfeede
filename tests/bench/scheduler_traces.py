"""The workloads: real traces from a folder, and fleets that are generated from them."""

import csv
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from cube.model.job import Spread
from cube.model.node import Access, Node
from cube.model.resources import Resources
from cube.model.task import Slot
from cube.scheduler.state import Demand, Load, NodeState, Request

SAMPLES = Path(__file__).parent / "traces"
"""Small samples of the traces; the full ones are read from a folder that is named to the benchmark."""

MIB = 2**20
Shape = tuple[int, int]
"""Millicores and MiB."""


@dataclass(frozen=True, slots=True)
class Trace:
    """What a cluster had, and what was asked of it, in millicores and MiB."""

    nodes: Sequence[Shape]
    tasks: Sequence[Shape]


def openb(folder: Path) -> Trace:
    """Alibaba's GPU cluster of 2023: 1,523 nodes and 8,152 pods, their CPU and memory."""
    nodes, tasks = openb_files(folder)
    return Trace(_column(nodes, _milli), _column(tasks, _milli))


def openb_files(folder: Path) -> tuple[Path, Path]:
    """The files of its nodes and of its pods."""
    return folder / "openb" / "openb_node_list_all_node.csv", folder / "openb" / "openb_pod_list_default.csv"


def azure(folder: Path) -> Sequence[Shape]:
    """The first 20,000 virtual machines of the test split of Azure's trace of 2017."""
    path = folder / "azure2017" / "azure2017_test_first20000.csv"
    return _column(path, lambda row: (int(float(row["cores"]) * 1000), int(float(row["memory_gb"]) * 1024)))


def _milli(row: Mapping[str, str]) -> Shape:
    return int(row["cpu_milli"]), int(row["memory_mib"])


def _column(path: Path, read: Callable[[Mapping[str, str]], Shape]) -> list[Shape]:
    with path.open(newline="") as file:
        return [read(row) for row in csv.DictReader(file)]


def fleet(shapes: Sequence[Shape], *, zones: int = 0) -> list[NodeState]:
    """Empty nodes of those shapes, on which nothing runs."""
    return [
        NodeState(
            node=Node(
                name=f"node{number}",
                access=Access(address="none"),
                labels={"zone": f"z{number % zones}"} if zones else {},
            ),
            capacity=_resources(shape),
            load=Load(cpu=0, memory=0),
        )
        for number, shape in enumerate(shapes)
    ]


def drawn(shapes: Sequence[Shape], count: int, random: Random) -> list[Shape]:
    """So many, each as likely as any other."""
    return [random.choice(shapes) for _ in range(count)]


def requests(shapes: Sequence[Shape], *, jobs_of: int = 0, **demand: object) -> list[Request]:
    """One request for each shape, equal ones of one class; so many in a row are a job, 0: all are."""
    classes: dict[Shape, Demand] = {}
    return [
        Request(
            slot=Slot(job=f"job{number // jobs_of if jobs_of else 0}", group="main", index=number),
            demand=classes.get(shape) or classes.setdefault(shape, _demand(shape, demand)),
            order=number,
        )
        for number, shape in enumerate(shapes)
    ]


SPREAD_OVER_ZONES = (Spread(attribute="label.zone"),)


def _demand(shape: Shape, demand: Mapping[str, object]) -> Demand:
    values = {"resources": _resources(shape), "apart": False, **demand}
    return Demand(**values)  # type: ignore[arg-type] # few of many


def _resources(shape: Shape) -> Resources:
    cpu, memory = shape
    return Resources(cpu=cpu, memory=memory * MIB)
