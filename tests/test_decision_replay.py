"""A decision that was recorded leads to the same pick again, however many nodes are equal."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cube.model.action import Decision
from cube.model.resources import Resources
from cube.model.task import Slot, State, TaskEvent
from cube.scheduler.algorithms import ALGORITHMS, Algorithm
from cube.scheduler.fleet import NodeByNode
from cube.scheduler.in_arrays import InArrays
from cube.scheduler.placement import Placement
from cube.scheduler.state import Demand, Load, NodeState, Request
from cube.store.changes import decision_of, explanation
from tests.build import GIB, NOW, node

GROUP = ("web", "main")
SLOT = Slot(job="web", group="main", index=0)


@st.composite
def fleets(draw: st.DrawFn) -> dict[str, NodeState]:
    """Nodes of which most are equal, under names that stand in any order."""
    names = draw(st.permutations([f"n{number:02}" for number in range(draw(st.integers(1, 40)))]))
    return {name: _node(draw, name) for name in names}


def _node(draw: st.DrawFn, name: str) -> NodeState:
    return NodeState(
        node=node(name),
        capacity=Resources(cpu=draw(st.sampled_from([4000, 4000, 4000, 8000])), memory=8 * GIB, disk=GIB),
        closed=draw(st.sampled_from(["", "", "", "", "it is drained"])),
        load=draw(st.sampled_from([Load(cpu=0, memory=0)] * 4 + [None])),
        tasks=draw(st.sampled_from([{}, {}, {}, {GROUP: 1}])),
    )


@pytest.mark.parametrize("kind", ["node by node", "in arrays"])
@pytest.mark.parametrize("name", ALGORITHMS)
@settings(max_examples=15)
@given(nodes=fleets(), order=st.integers(0, 100))
def test_of_the_scores_that_were_recorded_the_algorithm_picks_the_very_node_again(
    name: str, kind: str, nodes: dict[str, NodeState], order: int
) -> None:
    demand = Demand(resources=Resources(cpu=500, memory=GIB), count=3)
    placed = _place(name, kind, nodes, Request(slot=SLOT, demand=demand, order=order))
    if placed.node is None:
        return
    kept = recorded(placed)
    candidates = [state for name, state in nodes.items() if name in kept.scores]
    assert ALGORITHMS[name].pick(kept.scores, candidates).node.name == placed.node
    assert kept.scores.items() <= placed.decision.scores.items()
    assert not kept.terms or next(iter(kept.terms)) == placed.node


def test_a_scheduler_that_picks_none_of_the_best_is_told_of_all_the_same() -> None:
    """One of somebody else's may pick as it likes."""
    scores = {f"n{number}": number / 1000 for number in range(150)}
    kept = recorded(Placement(node="n0", ports={}, decision=Decision(scores=scores)))
    assert (len(kept.scores), kept.others) == (20, 130)
    assert list(kept.scores)[:3] == ["n0", "n149", "n148"]


def recorded(placed: Placement) -> Decision:
    """What its event tells of the decision."""
    event = TaskEvent(
        number=1, task="a", slot=SLOT, version=1, source=None, target=State.SCHEDULED,
        node=placed.node, at=NOW, actor="ann", reason="", detail=explanation(placed.decision, placed.node),
    )  # fmt: skip
    found = decision_of(event)
    assert found is not None
    return found


def _place(name: str, kind: str, nodes: dict[str, NodeState], request: Request) -> Placement:
    algorithm = ALGORITHMS[name]
    assert isinstance(algorithm, Algorithm)
    in_arrays = kind == "in arrays"
    fleet = InArrays(algorithm, tuple(nodes.values())) if in_arrays else NodeByNode(algorithm, nodes)
    return fleet.place(request)
