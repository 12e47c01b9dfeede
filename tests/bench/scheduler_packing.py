"""How many nodes an algorithm needs for a workload, beside what no algorithm can do better than."""

from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate, islice
from math import ceil, log2
from random import Random

from cube.scheduler.algorithms import ALGORITHMS, Algorithm, ByFormula
from cube.scheduler.batch import in_batch
from cube.scheduler.board import Board
from cube.scheduler.fit import Fit, Number
from tests.bench.scheduler_traces import Shape, Trace, fleet, requests

PENDING = 0.002
"""The share of the tasks that may find no place, as in the Borg paper's cell compaction."""

Packer = Callable[[Sequence[Shape], Sequence[Shape]], list[int | None]]
"""The positions of the nodes that the tasks get, in their order."""


def online(algorithm: Algorithm) -> Packer:
    """One task after the other, as they come."""

    def pack(nodes: Sequence[Shape], tasks: Sequence[Shape]) -> list[int | None]:
        return Board(algorithm, fleet(nodes)).place_all(requests(tasks))

    return pack


def planned(nodes: Sequence[Shape], tasks: Sequence[Shape]) -> list[int | None]:
    """All tasks as one batch."""
    return in_batch(fleet(nodes), requests(tasks))


def nomad(nodes: Sequence[Shape], tasks: Sequence[Shape]) -> list[int | None]:
    """Nomad's scheduler for services as it is shipped: its formula for the first few nodes that fit.

    Of those that fit, in random order, log2(n) are scored, and the best is taken (scheduler/stack.go). It
    puts off nodes that score nothing; here none does, for every task asks for something.
    """
    random, free, order = Random(len(nodes)), list(nodes), list(range(len(nodes)))
    limit, places = max(2, ceil(log2(len(nodes)))), list[int | None]()
    for task in tasks:
        fitting = islice((at for at in _shuffled(order, random) if _is_in(task, free[at])), limit)
        scored = [(_nomad_score(nodes[at], free[at], task), at) for at in fitting]
        at = max(scored, key=lambda found: found[0])[1] if scored else None
        places.append(at)
        if at is not None:
            free[at] = free[at][0] - task[0], free[at][1] - task[1]
    return places


def needed(pack: Packer, trace: Trace, seed: int) -> int:
    """Cell compaction: of the nodes in random order, how many first ones take all but a few of the tasks.

    The tasks come in random order; where the nodes are too few, they are taken again from the first.
    """
    random = Random(seed)
    nodes, tasks = random.sample(trace.nodes, len(trace.nodes)), random.sample(trace.tasks, len(trace.tasks))
    nodes *= 3
    low, high = bound(nodes, tasks) - 1, len(nodes)
    step = 16
    while low + step < high and not _is_enough(pack(nodes[: low + step], tasks)):
        low, step = low + step, step * 2
    high = min(high, low + step)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if _is_enough(pack(nodes[:middle], tasks)) else (middle, high)
    return high


def bound(nodes: Sequence[Shape], tasks: Sequence[Shape]) -> int:
    """How many of the first nodes have as much CPU and memory as is asked: fewer cannot do."""
    return max(_first_with(nodes, tasks, part) for part in (0, 1))


def identical(pack: Packer, node: Shape, tasks: Sequence[Shape]) -> int:
    """How many nodes of one shape are not empty once all tasks that fit on one have a place."""
    able = fitting(node, tasks)
    places = pack([node] * enough(node, able), able)
    assert None not in places, "there were too few nodes"
    return len(set(places))


def enough(node: Shape, tasks: Sequence[Shape]) -> int:
    """A fifth more nodes than can do."""
    return bound([node] * len(tasks), tasks) * 12 // 10


def fitting(node: Shape, tasks: Sequence[Shape]) -> list[Shape]:
    """The tasks that fit on one such node."""
    return [task for task in tasks if _is_in(task, node)]


def arriving(pack: Packer, trace: Trace) -> list[int]:
    """How many of the trace's nodes have a task after each arrival."""
    met, used = set[int](), [0]
    for at in pack(trace.nodes, trace.tasks):
        met |= set() if at is None else {at}
        used.append(len(met))
    return used


def first_fit(fit: Fit) -> Number:
    """All nodes are equal, so the first that can is taken."""
    return fit.busy * 0.0


def most_allocated(fit: Fit) -> Number:
    """kube-scheduler's MostAllocated: the mean of the promised shares."""
    cpu, memory = fit.used()
    return (cpu + memory) / 2.0


def least_and_balanced(fit: Fit) -> Number:
    """kube-scheduler's LeastAllocated and BalancedAllocation: the mean of both, over all nodes.

    As it is shipped, kube-scheduler rounds each to a whole number of 100, adds scores of other plugins, and
    looks at a share of a large fleet only.
    """
    cpu, memory = fit.used()
    return ((1.0 - (cpu + memory) / 2.0) + (1.0 - abs(cpu - memory) / 2.0)) / 2.0


def baselines() -> dict[str, Algorithm]:
    """Every algorithm of Cube's, and those that others ship, by name."""
    own = {name: found for name, found in ALGORITHMS.items() if isinstance(found, Algorithm)}
    others = {
        "first fit": first_fit,
        "kube-scheduler, MostAllocated": most_allocated,
        "kube-scheduler, Least + Balanced": least_and_balanced,
    }
    return own | {name: Algorithm(ByFormula(formula)) for name, formula in others.items()}


def _shuffled(order: list[int], random: Random) -> Iterator[int]:
    """In random order, each made only once it is asked for; `order` is shuffled on."""
    for first in range(len(order)):
        other = random.randrange(first, len(order))
        order[first], order[other] = order[other], order[first]
        yield order[first]


def _is_in(task: Shape, free: Shape) -> bool:
    return task[0] <= free[0] and task[1] <= free[1]


def _nomad_score(node: Shape, free: Shape, task: Shape) -> float:
    cpu, memory = ((left - asked) / size for size, left, asked in zip(node, free, task, strict=True))
    return 20.0 - float(10.0**cpu) - float(10.0**memory)


def _is_enough(places: Sequence[int | None]) -> bool:
    return sum(place is None for place in places) <= PENDING * len(places)


def _first_with(nodes: Sequence[Shape], tasks: Sequence[Shape], part: int) -> int:
    asked = sum(task[part] for task in tasks)
    sums = accumulate(node[part] for node in nodes)
    return next((number for number, found in enumerate(sums, 1) if found >= asked), len(nodes))
