"""Traces of other clusters, as CSV: read row by row, and played through an algorithm."""

import csv
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

from cube.errors import InputError
from cube.model.node import Access, Node
from cube.model.resources import Resources
from cube.model.task import Slot
from cube.scheduler.algorithms import Scheduler
from cube.scheduler.fleet import NodeByNode
from cube.scheduler.state import Demand, Load, NodeState, Request

MOST_ROWS = 1_000_000
"""Rows of one file."""

_MOST = 2**53
"""Larger numbers are no longer exact in arrays."""

POINTS = 400
"""Of how many moments a replay tells how many nodes were in use."""


@dataclass(frozen=True, slots=True)
class _Column:
    """A column that tells an amount, and how many of our units one of its own is."""

    name: str
    unit: float


CPU = (_Column("cpu_milli", 1), _Column("cores", 1000))
MEMORY = (_Column("memory_mib", 2**20), _Column("memory_gb", 2**30))


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """What came of a trace. `course`: after so many arrivals, how many nodes had a task.

    `first_failure`: how many arrivals came before the first that fitted nowhere, and `at_failure` the shares
    then; None: all fitted.
    """

    placed: int
    pending: int
    nodes_used: int
    first_failure: int | None
    at_failure: tuple[float, float]
    at_end: tuple[float, float]
    course: tuple[tuple[int, int], ...]


def read_trace(lines: Iterable[str], source: str) -> Iterator[Resources]:
    """What each row has, or asks: columns `cpu_milli` or `cores`, and `memory_mib` or `memory_gb`.

    Raises InputError with `source` and the line for what cannot be read, and for more than MOST_ROWS.
    """
    rows = csv.reader(lines, strict=True)
    try:
        read = _reader(next(rows, []), source)
        for number, row in enumerate(rows, 1):
            if number > MOST_ROWS:
                raise InputError(f"more than {MOST_ROWS} rows", where=f"{source}:{rows.line_num}")
            if row:
                yield read(row, f"{source}:{rows.line_num}")
    except csv.Error as error:
        raise InputError("this is no CSV", where=f"{source}:{rows.line_num}", why=str(error)) from None


def replay(places: Sequence[int | None], nodes: Sequence[Resources], tasks: Sequence[Resources]) -> Replay:
    """What comes of the tasks at those places on the nodes; nothing ever leaves."""
    first = places.index(None) if None in places else None
    full, in_use = list(_filling(nodes, tasks, places)), list(_in_use(places))
    told = dict.fromkeys((*range(0, len(full), len(full) // POINTS + 1), len(places)))
    return Replay(
        placed=len(places) - places.count(None),
        pending=places.count(None),
        nodes_used=len(set(places) - {None}),
        first_failure=first,
        at_failure=full[len(places) if first is None else first],
        at_end=full[-1],
        course=tuple((number, in_use[number]) for number in told),
    )


def places_of(
    scheduler: Scheduler, nodes: Sequence[Resources], tasks: Sequence[Resources]
) -> list[int | None]:
    """The position of each task's node, in order; None: it fits nowhere."""
    from cube.scheduler.board import Board, suits  # noqa: PLC0415 - it loads numpy

    fleet, requests = _fleet(nodes), _requests(tasks)
    if suits(scheduler):
        return Board(scheduler, fleet).place_all(requests)
    slowly = NodeByNode(scheduler, {state.node.name: state for state in fleet})
    positions = {state.node.name: position for position, state in enumerate(fleet)}
    names = (slowly.place(request).node for request in requests)
    return [None if name is None else positions[name] for name in names]


def planned(nodes: Sequence[Resources], tasks: Sequence[Resources]) -> list[int | None]:
    """The same of tasks that are all known before, and planned as one batch."""
    from cube.scheduler.batch import in_batch  # noqa: PLC0415 - it loads numpy

    return in_batch(_fleet(nodes), _requests(tasks))


def _filling(
    nodes: Sequence[Resources], tasks: Sequence[Resources], places: Sequence[int | None]
) -> Iterator[tuple[float, float]]:
    """The shares of CPU and memory that are promised before the first arrival, and after each."""
    cpu, memory = sum(node.cpu for node in nodes) or 1, sum(node.memory for node in nodes) or 1
    taken = [task if place is not None else Resources() for task, place in zip(tasks, places, strict=True)]
    cpus = accumulate((task.cpu for task in taken), initial=0)
    memories = accumulate((task.memory for task in taken), initial=0)
    return ((had / cpu, held / memory) for had, held in zip(cpus, memories, strict=True))


def _in_use(places: Iterable[int | None]) -> Iterator[int]:
    """How many nodes have a task before the first arrival, and after each."""
    used = set[int]()
    yield 0
    for place in places:
        if place is not None:
            used.add(place)
        yield len(used)


def _fleet(nodes: Sequence[Resources]) -> list[NodeState]:
    return [
        NodeState(
            node=Node(name=f"node{number}", access=Access(address="")),
            capacity=size,
            load=Load(cpu=0, memory=0),
        )
        for number, size in enumerate(nodes, 1)
    ]


def _requests(tasks: Sequence[Resources]) -> list[Request]:
    """Equal ones are of one class; none minds its neighbours."""
    demands: Mapping[Resources, Demand] = {
        asked: Demand(resources=asked, apart=False) for asked in dict.fromkeys(tasks)
    }
    return [
        Request(slot=Slot(job="trace", group="main", index=number), demand=demands[asked], order=number)
        for number, asked in enumerate(tasks)
    ]


def _reader(header: Sequence[str], source: str) -> Callable[[Sequence[str], str], Resources]:
    (cpu_at, cpu), (memory_at, memory) = _find(header, CPU, source), _find(header, MEMORY, source)

    def read(row: Sequence[str], where: str) -> Resources:
        if len(row) <= max(cpu_at, memory_at):
            raise InputError(f"{len(row)} columns, where the first line has {len(header)}", where=where)
        return Resources(cpu=_amount(row[cpu_at], cpu, where), memory=_amount(row[memory_at], memory, where))

    return read


def _find(header: Sequence[str], columns: Sequence[_Column], source: str) -> tuple[int, _Column]:
    found = next((column for column in columns if column.name in header), None)
    if found is None:
        wanted = " or ".join(column.name for column in columns)
        cure = f"The first line names the columns; one of them is to be {wanted}."
        raise InputError(f"there is no column {wanted}", where=f"{source}:1", cure=cure)
    return header.index(found.name), found


def _amount(text: str, column: _Column, where: str) -> int:
    try:
        amount = float(text) * column.unit
    except ValueError:
        amount = -1.0
    if not 0 <= amount <= _MOST:
        raise InputError(f"{column.name} is {text[:40]!r}", where=where, cure="Write a number from 0 on.")
    return round(amount)
