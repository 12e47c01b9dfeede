"""The naive loop that Cube is measured beside: the book's three steps and nothing else, in plain Python.

No reasons, no wishes, no ports: two comparisons make a candidate, a formula's value its score. Scores are cut
to whole points as Cube's are, so that both take the same nodes (tests/test_scheduler_naive.py).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from cube.model.resources import Resources
from cube.scheduler.fit import STEPS
from cube.scheduler.state import Demand, NodeState
from cube.scheduler.terms import OWN, scales

POINTS = scales(Demand(resources=Resources(), apart=False))[OWN]
"""The most that a formula gives where a request has no wish but for a quiet machine."""


@dataclass(slots=True, eq=False)
class Machine:
    """A node: what it has, and what is promised of it."""

    name: str
    cpu: int
    memory: int
    had_cpu: int
    had_memory: int


Task = tuple[int, int]
"""Millicores, and bytes of memory."""
Score = Callable[[Task, list[Machine]], dict[str, int]]


def machines(states: Sequence[NodeState]) -> list[Machine]:
    """The nodes as the loop looks at them."""
    return [
        Machine(
            state.node.name,
            state.capacity.cpu,
            state.capacity.memory,
            state.promised.cpu,
            state.promised.memory,
        )
        for state in states
    ]


def select_candidate_nodes(task: Task, nodes: list[Machine]) -> list[Machine]:
    """Those with enough left."""
    cpu, memory = task
    return [
        node for node in nodes if node.had_cpu + cpu <= node.cpu and node.had_memory + memory <= node.memory
    ]


def tight(task: Task, nodes: list[Machine]) -> dict[str, int]:
    """The smaller share that is promised then."""
    cpu, memory = task
    return {
        node.name: int(
            min(
                node.had_cpu / node.cpu + cpu / node.cpu, node.had_memory / node.memory + memory / node.memory
            )
            * POINTS
        )
        for node in nodes
    }


def spread(task: Task, nodes: list[Machine]) -> dict[str, int]:
    """The mean share that stays free."""
    cpu, memory = task
    return {
        node.name: int(
            (
                1.0
                - (
                    (node.had_cpu / node.cpu + cpu / node.cpu)
                    + (node.had_memory / node.memory + memory / node.memory)
                )
                * 0.5
            )
            * POINTS
        )
        for node in nodes
    }


def epvm(fleet: int) -> Score:
    """The smallest marginal cost on a fleet of that size, with its powers made beforehand, step by step."""
    cost = [float(fleet) ** (step / STEPS) for step in range(STEPS + 1)]
    more = [found - 1.0 for found in cost]

    def score(task: Task, nodes: list[Machine]) -> dict[str, int]:
        cpu, memory = task
        return {
            node.name: int(
                1.0
                / (
                    1.0
                    + (
                        cost[int(node.had_cpu / node.cpu * STEPS)] * more[int(cpu / node.cpu * STEPS)]
                        + cost[int(node.had_memory / node.memory * STEPS)]
                        * more[int(memory / node.memory * STEPS)]
                    )
                )
                * POINTS
            )
            for node in nodes
        }

    return score


def pick(scores: dict[str, int], candidates: list[Machine]) -> Machine:
    """The highest score, the first of equals."""
    return max(candidates, key=lambda node: scores[node.name])


def place(score: Score, task: Task, nodes: list[Machine]) -> Machine | None:
    """The three steps; the node has promised the task its room."""
    candidates = select_candidate_nodes(task, nodes)
    if not candidates:
        return None
    found = pick(score(task, candidates), candidates)
    found.had_cpu += task[0]
    found.had_memory += task[1]
    return found


def score_of(name: str, fleet: int) -> Score:
    """The score step of Cube's algorithm of that name."""
    return {"tight": tight, "spread": spread, "epvm": epvm(fleet)}[name]
