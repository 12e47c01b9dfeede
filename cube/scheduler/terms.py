"""What a node's score is made of: the algorithm's own formula, and wishes that every algorithm heeds.

Each term has a weight, and a score is the mean of those that a request has. It is counted in whole
hundred-millionths: so terms add up exactly, in whatever order, and equal nodes have equal scores.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

from cube.model.action import Term
from cube.model.job import Affinity, Constraint, Spread
from cube.scheduler.attributes import attribute, holds
from cube.scheduler.fit import PLAIN, Fit, Formula
from cube.scheduler.state import Demand, NodeState, Request

WHOLE = 100_000_000
"""The points of a score of 1."""

OWN = "own"
APART = "apart"
SPREAD = "spread"
AFFINITY = "affinity"
QUIET = "quiet"
IMAGE = "image"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Wish:
    """A term beside the algorithm's own. `weight` counts it against the own one, which has 1."""

    name: str
    weight: float
    applies: Callable[[Demand], bool]
    value: Callable[[Request, NodeState], float]


def apart(request: Request, state: NodeState) -> float:
    """Away from the group's other tasks: 1 / (1 + those on the node).

    Its weight of 2 makes the first neighbour count as much as all that an algorithm of one's own can say: a
    group has two tasks on a node only where every node has one.
    """
    return apart_with(state.tasks.get(request.group, 0))


def apart_with(neighbours: int) -> float:
    """As `apart`, for so many neighbours."""
    return 1.0 / (1.0 + max(neighbours, 0))


def evenly(request: Request, state: NodeState) -> float:
    """Under many values of the attributes that the group spreads over; the mean over these."""
    spreads = request.demand.spreads
    return sum(_spread_value(found, request, state) for found in spreads) / len(spreads)


def spread_value(wish: Spread, used: Mapping[str, int], value: str | None, count: int) -> float:
    """How welcome one task more is at the value, of a group of `count`, where `used` says what is where.

    Without targets 1 / (1 + tasks there). With them 1 - tasks there / tasks wanted there, at least 0. Where
    the attribute is not set, or has no target: 0.
    """
    if value is None:
        return 0.0
    here = used.get(value, 0)
    if not wish.targets:
        return 1.0 / (1.0 + here)
    wanted = dict(wish.targets).get(value, 0) * count / 100.0
    return max(0.0, 1.0 - here / wanted) if wanted > 0 else 0.0


def liked(request: Request, state: NodeState) -> float:
    """What the group's affinities say: weights that match over all weights, -1..1 as 0..1."""
    wishes = request.demand.affinities
    got = sum(wish.weight for wish in wishes if _matches(wish, state))
    return (1.0 + got / sum(abs(wish.weight) for wish in wishes)) / 2.0


def quiet(_request: Request, state: NodeState) -> float:
    """How little the machine does beyond what is promised there: containers and processes not of Cube's.

    1 - the larger share of CPU and memory that is used and was promised to nobody; 0 where nobody knows.
    """
    return known_quiet(state)


def known_quiet(state: NodeState) -> float:
    """As `quiet`, which asks nothing of the request."""
    if state.load is None:
        return 0.0
    cpu = (state.load.cpu - state.promised.cpu) / max(state.capacity.cpu, 1)
    memory = (state.load.memory - state.promised.memory) / max(state.capacity.memory, 1)
    return 1.0 - min(max(cpu, memory, 0.0), 1.0)


def has_image(request: Request, state: NodeState) -> float:
    """1 where the image is known to be there already, whether anything runs from it or not."""
    return 1.0 if state.images.has(request.demand.image, request.demand.pinned) else 0.0


WISHES: tuple[Wish, ...] = (
    Wish(name=APART, weight=2.0, applies=lambda demand: demand.apart and demand.count > 1, value=apart),
    Wish(name=SPREAD, weight=2.0, applies=lambda demand: bool(demand.spreads), value=evenly),
    Wish(name=AFFINITY, weight=2.0, applies=lambda demand: bool(demand.affinities), value=liked),
    Wish(name=QUIET, weight=1.0, applies=lambda _demand: True, value=quiet),
    Wish(name=IMAGE, weight=0.25, applies=lambda demand: bool(demand.image), value=has_image),
)
"""In the order in which they are told."""


def scales(demand: Demand) -> Mapping[str, float]:
    """How many points each term of the demand has at most, by its name; together not more than WHOLE."""
    return _scales(tuple(wish for wish in WISHES if wish.applies(demand)))


@lru_cache(maxsize=64)
def _scales(wishes: tuple[Wish, ...]) -> Mapping[str, float]:
    weights = {OWN: 1.0} | {wish.name: wish.weight for wish in wishes}
    total = sum(weights.values())
    return {name: WHOLE * weight / total for name, weight in weights.items()}


def terms(formula: Formula, request: Request, states: Iterable[NodeState]) -> Iterator[tuple[Term, ...]]:
    """What each node's score is made of, the algorithm's own term first."""
    most = scales(request.demand)
    wishes = [wish for wish in WISHES if wish.name in most]
    for state in states:
        own = formula(fit_of(request, state))
        yield (
            Term(name=OWN, points=int(own * most[OWN]), weight=1.0),
            *(
                Term(
                    name=wish.name,
                    points=int(wish.value(request, state) * most[wish.name]),
                    weight=wish.weight,
                )
                for wish in wishes
            ),
        )


def total(found: Iterable[Term]) -> float:
    """The score that the terms add up to, 0..1."""
    return sum(term.points for term in found) / WHOLE


def fit_of(request: Request, state: NodeState) -> Fit:
    """The request on the node, as formulas take it. A node of which nobody knows is taken for busy."""
    capacity, promised = state.capacity, state.promised
    size_cpu, size_memory = float(max(capacity.cpu, 1)), float(max(capacity.memory, 1))
    return Fit(
        asks=(request.resources.cpu / size_cpu, request.resources.memory / size_memory),
        had=(promised.cpu / size_cpu, promised.memory / size_memory),
        busy=1.0 if state.load is None else state.load.cpu / size_cpu,
        fleet=request.fleet,
        maths=PLAIN,
    )


def _spread_value(wish: Spread, request: Request, state: NodeState) -> float:
    used = request.peers.get(wish.attribute, {})
    return spread_value(wish, used, attribute(state.node, wish.attribute), request.demand.count)


def _matches(wish: Affinity, state: NodeState) -> bool:
    constraint: Constraint = wish.constraint
    return holds(constraint, attribute(state.node, constraint.attribute))
