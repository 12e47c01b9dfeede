"""The scheduler's three steps, and the algorithms that fill them in.

A score is 0..1 and the highest wins; among equals the node that comes first.
A node without a score is never picked.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from cube.model.action import Decision, Refusal
from cube.scheduler.filters import refusals_of
from cube.scheduler.state import NodeState, Request


class Scheduler(Protocol):
    """Which node takes a task. The three steps are those of Boring's book."""

    def select_candidate_nodes(
        self, request: Request, nodes: Sequence[NodeState]
    ) -> tuple[tuple[NodeState, ...], tuple[Refusal, ...]]:
        """The nodes that can take the request, in order, and why the others cannot."""
        ...

    def score(self, request: Request, candidates: Sequence[NodeState]) -> Mapping[str, float]:
        """0..1 per candidate's name, higher is better."""
        ...

    def pick(self, scores: Mapping[str, float], candidates: Sequence[NodeState]) -> NodeState:
        """The candidate of the highest score. Raises ValueError where there is none."""
        ...


Score = Callable[[Request, Sequence[NodeState]], Mapping[str, float]]


@dataclass(frozen=True, slots=True)
class Algorithm:
    """A scheduler made of the common filters and one way to score."""

    score: Score

    def select_candidate_nodes(
        self, request: Request, nodes: Sequence[NodeState]
    ) -> tuple[tuple[NodeState, ...], tuple[Refusal, ...]]:
        """The nodes that pass every filter."""
        refusals = {state.node.name: refusals_of(request, state) for state in nodes}
        candidates = tuple(state for state in nodes if not refusals[state.node.name])
        return candidates, tuple(refusal for found in refusals.values() for refusal in found)

    def pick(self, scores: Mapping[str, float], candidates: Sequence[NodeState]) -> NodeState:
        """The highest score; the first of equals."""
        scored = [state for state in candidates if state.node.name in scores]
        return max(scored, key=lambda state: scores[state.node.name])


def round_robin(request: Request, candidates: Sequence[NodeState]) -> Mapping[str, float]:
    """Each request to the next node in line: 1 for the one whose turn it is, less with every step further on.

    Request number n starts at candidate n modulo their number.
    """
    size = len(candidates)
    return {
        state.node.name: 1 - ((position - request.order) % size) / size
        for position, state in enumerate(candidates)
    }


def spread(request: Request, candidates: Sequence[NodeState]) -> Mapping[str, float]:
    """The emptiest node, and away from tasks of the same group: (free + apart) / 2.

    free is the mean share of CPU and memory that stays unpromised once the task is there;
    apart is 1 / (1 + tasks of the group on the node).
    """
    return {
        state.node.name: (_free_share(request, state) + _apart(request, state)) / 2 for state in candidates
    }


ALGORITHMS: Mapping[str, Scheduler] = {"roundrobin": Algorithm(round_robin), "spread": Algorithm(spread)}
"""By the name that `--scheduler` takes."""

DEFAULT_ALGORITHM = "spread"


def place(
    scheduler: Scheduler, request: Request, nodes: Sequence[NodeState]
) -> tuple[NodeState | None, Decision]:
    """The node for the request, or None, with the scores and refusals that led there."""
    candidates, refusals = scheduler.select_candidate_nodes(request, nodes)
    if not candidates:
        return None, Decision(scores={}, refusals=refusals)
    preferred = tuple(found for found in candidates if found.node.name not in request.avoid) or candidates
    scores = scheduler.score(request, preferred)
    return scheduler.pick(scores, preferred), Decision(scores=scores, refusals=refusals)


def _free_share(request: Request, state: NodeState) -> float:
    free, capacity = state.free - request.resources, state.capacity
    shares = (free.cpu / max(capacity.cpu, 1), free.memory / max(capacity.memory, 1))
    return min(max(sum(shares) / len(shares), 0.0), 1.0)


def _apart(request: Request, state: NodeState) -> float:
    return 1 / (1 + state.tasks.get((request.slot.job, request.slot.group), 0))
