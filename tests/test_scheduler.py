"""Which node takes a task, and why: the filters, the scores and the three steps."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cube.errors import InternalError
from cube.model.action import Place, Plan
from cube.model.job import Constraint, Operator, Port, TaskSpec
from cube.model.resources import Resources
from cube.model.task import Slot
from cube.reconciler.guards import check_room
from cube.reconciler.reconcile import reconcile
from cube.scheduler.algorithms import ALGORITHMS, Scheduler, place
from cube.scheduler.filters import choose_ports, refusals_of
from cube.scheduler.state import Demand, Load, NodeState, Request
from tests.build import GIB, job, node, seen, task, world

SLOT = Slot(job="web", group="main", index=0)
ASKED = Resources(cpu=1000, memory=GIB, disk=GIB)
CAPACITY = Resources(cpu=4000, memory=4 * GIB, disk=4 * GIB)


def state(name: str = "node1", *, promised: Resources | None = None, **changes: object) -> NodeState:
    declared = {
        key: changes.pop(key) for key in ("datacenter", "labels", "schedulable", "role") if key in changes
    }
    taken = promised or Resources()
    load = Load(cpu=taken.cpu, memory=taken.memory)
    values = {"capacity": CAPACITY, "promised": taken, "load": load} | changes
    return NodeState(node=node(name, **declared), **values)  # type: ignore[arg-type] # defaults for a table of cases


def request(**changes: object) -> Request:
    own = {key: changes.pop(key) for key in ("order", "node", "avoid", "after") if key in changes}
    demand = Demand(**{"resources": ASKED} | changes)  # type: ignore[arg-type] # as above
    return Request(slot=SLOT, demand=demand, **own)  # type: ignore[arg-type] # as above


def constraint(attribute: str, operator: Operator, *values: str) -> Constraint:
    return Constraint(attribute=attribute, operator=operator, values=values)


@pytest.mark.parametrize(
    ("asked", "given_state", "reason", "ever"),
    [
        (request(), state(schedulable=False), "not schedulable", False),
        (request(datacenters=("dc2",)), state(datacenter="dc1"), "datacenter is dc1, wanted dc2", True),
        (request(), state(promised=Resources(cpu=3500)), "cpu: 1000m asked, 500m of 4000m free", False),
        (request(resources=Resources(cpu=5000)), state(), "cpu: 5000m asked, 4000m of 4000m free", True),
        (
            request(),
            state(promised=Resources(memory=7 * GIB // 2)),
            "memory: 1024MiB asked, 512MiB of 4096MiB free",
            False,
        ),
        (
            request(resources=Resources(disk=5 * GIB)),
            state(),
            "disk: 5120MiB asked, 4096MiB of 4096MiB free",
            True,
        ),
        (
            request(ports=(Port(name="http", container=80, host=8080),)),
            state(ports=frozenset({8080})),
            "host port 8080: taken",
            False,
        ),
        (
            request(ports=tuple(Port(name=f"p{port}", container=port, host=port) for port in (80, 443))),
            state(ports=frozenset({443})),
            "host port 443: taken",
            False,
        ),
        (
            request(constraints=(constraint("label.disk", Operator.EQUAL, "ssd"),)),
            state(),
            "label.disk = ssd: it is not set",
            True,
        ),
        (
            request(constraints=(constraint("node.name", Operator.NOT_IN, "node1", "node2"),)),
            state(),
            "node.name not-in node1, node2: it is node1",
            True,
        ),
    ],
)
def test_a_refusal_says_what_was_asked_what_there_is_and_whether_it_could_ever_fit(
    asked: Request, given_state: NodeState, reason: str, ever: bool
) -> None:
    (refusal,) = refusals_of(asked, given_state)
    assert (refusal.reason, refusal.ever) == (reason, ever)


def test_all_reasons_are_told_not_only_the_first() -> None:
    full = state(promised=CAPACITY, schedulable=False)
    assert len(refusals_of(request(), full)) == 4


def test_what_asks_for_nothing_fits_on_a_node_that_is_promised_in_full() -> None:
    assert refusals_of(request(resources=Resources()), state(promised=CAPACITY)) == ()


class TestSpread:
    def test_scores_the_mean_of_what_stays_free_and_of_how_far_the_group_is(self) -> None:
        # cpu 3000/4000 and memory 3/4 stay free: 0.75; one task of the group is there: 1/2, which weighs 2;
        # nothing runs there that is not Cube's: 1
        scores = ALGORITHMS["spread"].score(request(count=2), [state(tasks={("web", "main"): 1})])
        assert scores == {"node1": (0.75 + 2 * 0.5 + 1) / 4}

    def test_prefers_the_emptier_node(self) -> None:
        nodes = (state("node1", promised=Resources(cpu=2000)), state("node2"))
        assert _picked("spread", request(), *nodes) == "node2"

    def test_takes_the_first_of_equals(self) -> None:
        assert _picked("spread", request(), state("b"), state("a")) == "b"


class TestRoundRobin:
    NODES = (state("node1"), state("node2"), state("node3"))

    def turns(self, count: int, *nodes: NodeState, last: str = "") -> list[str]:
        turns = [last]
        for _ in range(count):
            turns.append(_picked("roundrobin", request(after=turns[-1]), *nodes))
        return turns[1:]

    def test_goes_through_the_nodes_in_turn(self) -> None:
        assert self.turns(6, *self.NODES) == ["node1", "node2", "node3"] * 2

    def test_goes_on_after_the_node_that_the_last_task_got(self) -> None:
        assert self.turns(2, *self.NODES, last="node2") == ["node3", "node1"]
        assert self.turns(2, *self.NODES, last="gone") == ["node1", "node2"]

    def test_skips_a_node_that_cannot_take_the_task(self) -> None:
        nodes = (state("node1"), state("node2", schedulable=False), state("node3"))
        assert self.turns(4, *nodes) == ["node1", "node3"] * 2

    def test_passes_nobody_over_when_those_that_can_become_fewer_or_more(self) -> None:
        """The number of the request modulo the number of candidates would jump to and fro."""
        fewer = (self.NODES[0], replace(self.NODES[1], closed="it is drained"), self.NODES[2])
        assert self.turns(1, *self.NODES, last="node1") == ["node2"]
        assert self.turns(1, *fewer, last="node2") == ["node3"]
        assert self.turns(1, *self.NODES, last="node3") == ["node1"]

    def test_goes_on_where_the_plan_before_it_ended(self) -> None:
        looks = [seen(f"node{number}") for number in range(1, 5)]
        given = world(jobs=[job(count=5)], tasks=[task(0), task(1, node="node2")], observed=looks)
        found = reconcile(given, ALGORITHMS["roundrobin"]).actions
        places = [action.node for action in found if isinstance(action, Place)]
        assert places == ["node3", "node4", "node1"]


@pytest.mark.parametrize("algorithm", ALGORITHMS.values(), ids=ALGORITHMS)
class TestEveryAlgorithm:
    def test_never_picks_a_node_without_a_score(self, algorithm: Scheduler) -> None:
        """A node whose stats are missing has none; in Boring's book it reads as 0 and wins."""
        nodes = (state("broken"), state("node2"))
        assert algorithm.pick({"node2": 0.1}, nodes).node.name == "node2"

    @given(st.data())
    def test_scores_from_nought_to_one(self, algorithm: Scheduler, data: st.DataObject) -> None:
        shares = st.integers(0, 4000)
        nodes = [
            state(f"node{number}", promised=Resources(cpu=data.draw(shares)), tasks={("web", "main"): number})
            for number in range(data.draw(st.integers(1, 6)))
        ]
        scores = algorithm.score(request(order=data.draw(st.integers(0, 100))), nodes)
        assert set(scores) == {found.node.name for found in nodes}
        assert all(0 <= score <= 1 for score in scores.values())

    def test_places_nowhere_with_every_reason_when_no_node_can(self, algorithm: Scheduler) -> None:
        found, decision = place(algorithm, request(), (state(schedulable=False),))
        assert found is None
        assert [refusal.reason for refusal in decision.refusals] == ["not schedulable"]


class TestHostPorts:
    def test_a_fixed_one_goes_before_a_chosen_one(self) -> None:
        ports = (
            Port(name="any", container=1, host_range=(8080, 8081)),
            Port(name="fixed", container=2, host=8080),
        )
        assert choose_ports(ports, frozenset()) == {"fixed": 8080, "any": 8081}

    def test_are_refused_when_the_range_is_used_up(self) -> None:
        assert (
            choose_ports((Port(name="any", container=1, host_range=(1000, 1000)),), frozenset({1000})) is None
        )


def _picked(algorithm: str, asked: Request, *nodes: NodeState) -> str:
    found, _ = place(ALGORITHMS[algorithm], asked, nodes)
    assert found is not None
    return found.node.name


def test_a_plan_that_would_promise_too_much_is_never_carried_out_p13() -> None:
    """A scheduler of somebody else's may pick what it likes: the loop holds every plan to the law."""
    whole = TaskSpec(image="app:1", resources=Resources(cpu=4000))
    given_world = world(jobs=[job(count=2, task=whole)], observed=[seen("node1")])
    fitting = reconcile(given_world, ALGORITHMS["spread"])
    check_room(fitting, given_world)
    (first,) = (action for action in fitting.actions if isinstance(action, Place))
    twice = Plan(actions=(first, replace(first, slot=replace(first.slot, index=1))))
    with pytest.raises(InternalError, match="more than it has"):
        check_room(twice, given_world)
