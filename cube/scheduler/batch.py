"""Many requests at once: where the order is free, the hardest go first."""

from collections.abc import Sequence

from cube.scheduler.algorithms import Algorithm, ByFormula
from cube.scheduler.board import Board
from cube.scheduler.fit import Fit, Number, tight
from cube.scheduler.hardest import hardest_first
from cube.scheduler.state import NodeState, Request


def aligned(fit: Fit) -> Number:
    """The node whose free room is most like the request: (a_c f_c + a_m f_m) / 2.

    a are the shares that it asks, f those that are free before it: the dot product of Tetris (Grandl and
    others, SIGCOMM 2014). Poor where tasks come as they come, the best of the cheap rules where the hardest
    go first.
    """
    (cpu, memory), (had_cpu, had_memory) = fit.asks, fit.had
    return (cpu * (1.0 - had_cpu) + memory * (1.0 - had_memory)) / 2.0


ALIGNED = Algorithm(ByFormula(aligned))
TIGHT = Algorithm(ByFormula(tight))


def in_batch(nodes: Sequence[NodeState], requests: Sequence[Request]) -> list[int | None]:
    """The position of each request's node, for requests that may be placed in any order; None: none is left.

    Two ways are tried, the hardest first by alignment and as they come by best fit: which of them places more
    is taken, among equals which takes fewer nodes.
    """
    hard = hardest_first(requests, nodes)
    aligned_places = Board(ALIGNED, nodes).place_all([requests[at] for at in hard])
    by_request = dict(zip(hard, aligned_places, strict=True))
    ways = ([by_request[at] for at in range(len(requests))], Board(TIGHT, nodes).place_all(requests))
    return min(ways, key=lambda places: (places.count(None), len(set(places))))
