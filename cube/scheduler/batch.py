"""Many requests whose order is free: the order is found in which they take the fewest nodes."""

from collections import Counter
from collections.abc import Sequence

from cube.scheduler.algorithms import Algorithm, ByFormula
from cube.scheduler.board import Board
from cube.scheduler.fit import tight
from cube.scheduler.hardest import doublings
from cube.scheduler.state import Demand, NodeState, Request

TIGHT = Algorithm(ByFormula(tight))


def in_batch(nodes: Sequence[NodeState], requests: Sequence[Request]) -> list[int | None]:
    """The position of each request's node, under best fit in the best order; None: none is left."""
    order = best_order(TIGHT, nodes, requests)
    places = Board(TIGHT, nodes).place_all([requests[at] for at in order])
    by_request = dict(zip(order, places, strict=True))
    return [by_request[at] for at in range(len(requests))]


def best_order(
    algorithm: Algorithm, nodes: Sequence[NodeState], requests: Sequence[Request]
) -> tuple[int, ...]:
    """The requests' positions in the order in which most of them find a place, on the fewest idle nodes.

    Three orders are tried, among equals the first is taken: as the requests come; all kinds of them evenly
    mixed, so that what asks for much CPU meets on each node what asks for much memory; and the hardest first
    by doublings, mixed within each, so that the small ones fill what the large ones leave. An exact order of
    hardness packs worse: kind comes after kind, and each fills nodes of its own.
    """
    hard, turns = doublings(requests, nodes), _turns(requests)
    as_they_come = range(len(requests))
    orders = (
        as_they_come,
        sorted(as_they_come, key=lambda at: (-hard[at], turns[at])),
        sorted(as_they_come, key=lambda at: turns[at]),
    )
    different = tuple(dict.fromkeys(tuple(order) for order in orders))
    if len(different) == 1:
        return different[0]
    return min(different, key=lambda order: _price(algorithm, nodes, [requests[at] for at in order]))


def _turns(requests: Sequence[Request]) -> list[float]:
    """Of n requests that ask the same the first comes at 1/2n, the second at 3/2n, and so on."""
    many, met, turns = Counter(request.demand for request in requests), Counter[Demand](), list[float]()
    for request in requests:
        turns.append((met[request.demand] + 0.5) / many[request.demand])
        met[request.demand] += 1
    return turns


def _price(algorithm: Algorithm, nodes: Sequence[NodeState], requests: Sequence[Request]) -> tuple[int, int]:
    """How many find no place, and how many idle nodes the others need."""
    places = Board(algorithm, nodes).place_all(requests)
    begun = {at for at in places if at is not None and not nodes[at].tasks}
    return places.count(None), len(begun)
