"""The fast path: whatever the fleet and the requests are, it takes the nodes that the three steps take."""

import subprocess
import sys
from collections.abc import Iterable
from dataclasses import replace
from typing import TypeVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cube.model.action import Place
from cube.model.image import Image, Images
from cube.model.job import Affinity, Constraint, Operator, Port, Spread
from cube.model.resources import Resources
from cube.model.task import Slot, Task
from cube.reconciler.reconcile import reconcile
from cube.scheduler.algorithms import ALGORITHMS, Algorithm, place
from cube.scheduler.batch import best_order
from cube.scheduler.board import Board
from cube.scheduler.bulk import in_order
from cube.scheduler.filters import choose_ports, refusals_of
from cube.scheduler.fleet import NodeByNode, fleet_of
from cube.scheduler.in_arrays import InArrays
from cube.scheduler.standing import LEAST
from cube.scheduler.state import Demand, Load, NodeState, Request
from tests.build import GIB, job, node, seen, task, world

T = TypeVar("T")
MIB = 2**20
CPUS = st.sampled_from([0, 100, 250, 500, 1000, 3000])
SIZES = st.sampled_from([0, 64 * MIB, 512 * MIB, GIB, 3 * GIB])
LABELS = st.sampled_from(
    [
        {},
        {"zone": "a", "kernel": "5.10"},
        {"zone": "a", "disk": "ssd", "has": "avx, ssd"},
        {"zone": "b", "disk": "ssd", "kernel": "6.1-rc1", "has": "ssd"},
        {"zone": "c", "disk": "hdd", "kernel": "7"},
    ]
)
LISTED = Images(listed=(Image(id="sha256:1", names=("app:1",), size=1, created_at=1.0),))
HELD = Images(held=frozenset({("app:1", "sha256:2")}))
GROUPS = st.sampled_from([("web", "main"), ("db", "main")])
CONSTRAINTS = (
    Constraint(attribute="label.disk", operator=Operator.EQUAL, values=("ssd",)),
    Constraint(attribute="label.zone", operator=Operator.NOT_IN, values=("a", "x")),
    Constraint(attribute="label.zone", operator=Operator.IS_SET),
    Constraint(attribute="label.zone", operator=Operator.DISTINCT_PROPERTY, values=("2",)),
    Constraint(attribute="", operator=Operator.DISTINCT_HOSTS),
    Constraint(attribute="label.zone", operator=Operator.REGEXP, values=("^[ab]$",)),
    Constraint(attribute="label.kernel", operator=Operator.VERSION, values=(">= 5.4", "< 6.1-rc2")),
    Constraint(attribute="label.kernel", operator=Operator.LESS, values=("6",)),
    Constraint(attribute="label.has", operator=Operator.SET_CONTAINS, values=("ssd", "avx")),
)
AFFINITIES = (
    Affinity(constraint=CONSTRAINTS[0], weight=70),
    Affinity(
        constraint=Constraint(attribute="label.zone", operator=Operator.EQUAL, values=("c",)), weight=-30
    ),
)
SPREADS = (
    Spread(attribute="label.zone"),
    Spread(attribute="label.disk", targets=(("ssd", 60), ("hdd", 40))),
)
PORTS = (
    Port(name="fixed", container=80, host=8080),
    Port(name="any", container=81, host_range=(8079, 8081)),
)


LASTS = st.sampled_from(["", "node0", "node1", "node5", "gone"])


def maybe(of: tuple[T, ...]) -> st.SearchStrategy[tuple[T, ...]]:
    """None as often as one or two of them."""
    none: st.SearchStrategy[tuple[T, ...]] = st.just(())
    return none | st.lists(st.sampled_from(of), max_size=2, unique=True).map(tuple)


@st.composite
def demands(draw: st.DrawFn) -> Demand:
    return Demand(
        resources=Resources(cpu=draw(CPUS), memory=draw(SIZES), disk=draw(st.sampled_from([0, 0, GIB]))),
        ports=draw(maybe(PORTS)),
        datacenters=draw(st.sampled_from([(), (), ("dc1",)])),
        constraints=draw(maybe(CONSTRAINTS)),
        affinities=draw(maybe(AFFINITIES)),
        spreads=draw(maybe(SPREADS)),
        apart=draw(st.booleans()),
        count=draw(st.integers(1, 6)),
        max_per_node=draw(st.sampled_from([None, None, 1, 2])),
        image=draw(st.sampled_from(["", "app:1"])),
        pinned=draw(st.sampled_from(["", "sha256:1", "sha256:2"])),
        volumes=draw(st.sampled_from([(), (), ("data",), ("data", "logs")])),
        devices=draw(st.sampled_from([(), (), (("gpu", 1),), (("gpu", 3),)])),
    )


@st.composite
def fleets(draw: st.DrawFn) -> list[NodeState]:
    return [_node(draw, f"node{number}") for number in range(draw(st.integers(1, 8)))]


def _node(draw: st.DrawFn, name: str) -> NodeState:
    promised = Resources(cpu=draw(CPUS), memory=draw(SIZES), disk=draw(st.sampled_from([0, GIB])))
    busy = st.builds(Load, cpu=CPUS, memory=SIZES)
    return NodeState(
        node=node(
            name,
            labels=draw(LABELS),
            datacenter=draw(st.sampled_from(["dc1", "dc1", "dc2"])),
            schedulable=draw(st.sampled_from([True, True, True, False])),
            devices=draw(st.sampled_from([{}, {"gpu": ("0", "1", "2")}])),
        ),
        capacity=Resources(
            cpu=draw(st.sampled_from([2000, 4000, 8000])),
            memory=draw(st.sampled_from([2, 8])) * GIB,
            disk=2 * GIB,
        ),
        promised=promised,
        ports=draw(st.sampled_from([frozenset(), frozenset({8080})])),
        tasks=draw(st.dictionaries(GROUPS, st.integers(0, 3), max_size=2)),
        closed=draw(st.sampled_from(["", "", "", "it is drained"])),
        load=draw(st.none() | busy | busy),
        images=draw(st.sampled_from([Images(), LISTED, HELD])),
        volumes=draw(st.sampled_from([frozenset(), frozenset({"data"}), frozenset({"data", "logs"}), None])),
        devices=draw(st.sampled_from([{}, {"gpu": 2}])),
    )


@st.composite
def requests(draw: st.DrawFn, classes: list[Demand], order: int) -> Request:
    job, group = draw(GROUPS)
    return Request(
        slot=Slot(job=job, group=group, index=order),
        demand=draw(st.sampled_from(classes)),
        order=draw(st.just(order) | st.integers(0, 1000)),
        node=(belongs := draw(st.sampled_from([None] * 6 + ["node1"]))),
        home=None if belongs else draw(st.sampled_from([None] * 6 + ["node1", "gone"])),
        avoid=draw(st.sampled_from([frozenset()] * 4 + [frozenset({"node0", "node2"})])),
    )


class Naive:
    """The three steps, request by request, and nothing remembered but the node that each one got."""

    def __init__(self, algorithm: Algorithm, nodes: list[NodeState], last: str = "") -> None:
        self.nodes, self._algorithm, self._last = list(nodes), algorithm, last

    def place(self, request: Request) -> int | None:
        """The position of the one that was picked, which has the task from now on."""
        found, _ = place(self._algorithm, replace(request, after=self._last), self.nodes)
        if found is None:
            return None
        at, self._last = self.nodes.index(found), found.node.name
        self.nodes[at] = found.with_task(request, choose_ports(request.ports, found.ports) or {})
        return at


def algorithm_of(name: str) -> Algorithm:
    found = ALGORITHMS[name]
    assert isinstance(found, Algorithm)
    return found


@pytest.mark.parametrize("name", ALGORITHMS)
@settings(max_examples=40)
@given(data=st.data())
def test_takes_the_very_nodes_that_the_three_steps_take(name: str, data: st.DataObject) -> None:
    algorithm, nodes, last = algorithm_of(name), data.draw(fleets()), data.draw(LASTS)
    board, classes = Board(algorithm, nodes, last), data.draw(st.lists(demands(), min_size=1, max_size=4))
    naive = Naive(algorithm, nodes, last)
    for order in range(data.draw(st.integers(1, 14))):
        request = data.draw(requests(classes, order))
        assert board.place(request) == naive.place(request)
    assert _all_same(board.cell.state(at) for at in range(len(nodes))) == _all_same(naive.nodes)


@settings(max_examples=80)
@given(data=st.data())
def test_takes_the_very_nodes_where_those_in_line_are_counted_by_twos(data: st.DataObject) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cube.scheduler.table.BLOCK", 2)
        patch.setattr("cube.scheduler.lines.BLOCK", 2)
        algorithm, nodes = algorithm_of("random"), data.draw(fleets())
        board, classes = Board(algorithm, nodes), data.draw(st.lists(demands(), min_size=1, max_size=2))
        naive = Naive(algorithm, nodes)
        for order in range(data.draw(st.integers(1, 20))):
            request = data.draw(requests(classes, order))
            assert board.place(request) == naive.place(request)


@pytest.mark.parametrize("rows", [2, 512])
@pytest.mark.parametrize("name", ["tight", "spread", "roundrobin", "random"])
def test_does_so_when_classes_come_in_turn_and_the_table_holds_few(
    name: str, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sixty tasks of four classes fill six nodes: the same node is taken again and again, then another."""
    monkeypatch.setattr("cube.scheduler.table.ROWS", rows)
    monkeypatch.setattr("cube.scheduler.table.BLOCK", rows)
    monkeypatch.setattr("cube.scheduler.lines.BLOCK", rows)
    shapes = ((100, 700), (900, 50), (400, 400), (50, 1200))
    classes = [Demand(resources=Resources(cpu=cpu, memory=memory * MIB)) for cpu, memory in shapes]
    nodes = [_sized(f"node{number}", 2000 + 700 * number, 5 - number % 3) for number in range(6)]
    board, naive = Board(algorithm_of(name), nodes), Naive(algorithm_of(name), nodes)
    for order in range(60):
        slot = Slot(job="web", group="main", index=order)
        request = Request(slot=slot, demand=classes[order * 5 % 11 % 4], order=order)
        assert board.place(request) == naive.place(request)


@pytest.mark.parametrize("name", ALGORITHMS)
@settings(max_examples=40)
@given(data=st.data())
def test_places_a_run_of_equal_tasks_as_one_by_one(name: str, data: st.DataObject) -> None:
    algorithm, nodes = algorithm_of(name), data.draw(fleets())
    board, classes = Board(algorithm, nodes), data.draw(st.lists(demands(), min_size=1, max_size=3))
    naive = Naive(algorithm, nodes)
    for number in range(data.draw(st.integers(1, 3))):
        first = replace(data.draw(requests(classes, 0)), order=100 * number)
        count = data.draw(st.integers(1, 40))
        slots = [replace(first.slot, index=first.slot.index + more) for more in range(count)]
        run = [replace(first, slot=slot, order=first.order + more) for more, slot in enumerate(slots)]
        assert board.place_many(first, count) == [naive.place(found) for found in run]
    assert _all_same(board.cell.state(at) for at in range(len(nodes))) == _all_same(naive.nodes)


@settings(max_examples=40)
@given(data=st.data())
def test_the_best_order_places_no_fewer_and_begins_no_more_nodes_than_the_one_given(
    data: st.DataObject,
) -> None:
    algorithm, nodes = algorithm_of("tight"), data.draw(fleets())
    classes = data.draw(st.lists(demands(), min_size=2, max_size=4))
    asked = [data.draw(requests(classes, order)) for order in range(data.draw(st.integers(2, 20)))]
    order = best_order(algorithm, nodes, asked)
    assert sorted(order) == list(range(len(asked)))
    price, as_given = (
        _price(Board(algorithm, nodes).place_all(found), nodes)
        for found in ([asked[at] for at in order], asked)
    )
    assert price <= as_given


@pytest.mark.parametrize("has_some", [False, True])
def test_a_node_knows_whose_tasks_it_took_in_a_run(*, has_some: bool) -> None:
    nodes = [_sized(f"n{number}", 4000, 4) for number in range(3)]
    board = Board(algorithm_of("spread"), nodes)
    slot = Slot(job="web", group="main", index=0)
    request = Request(slot=slot, demand=Demand(resources=Resources(cpu=100), count=30))
    if has_some:
        board.place(request)
    board.place_many(replace(request, order=1), 30 - has_some)
    assert [board.cell.state(at).tasks for at in range(3)] == [{("web", "main"): 10}] * 3


@pytest.mark.parametrize("name", ["tight", "spread"])
def test_spreads_over_two_attributes_of_which_nodes_share_but_one(name: str) -> None:
    """What is placed under one value changes what all nodes with that value are worth."""
    labels = [{"zone": zone, "disk": disk} for zone in "abc" for disk in ("ssd", "hdd")]
    nodes = [
        replace(_sized(f"n{number}", 9000, 9), node=node(f"n{number}", labels=mine))
        for number, mine in enumerate(labels)
    ]
    demand = Demand(resources=Resources(cpu=100), spreads=SPREADS, apart=False, count=12)
    board, naive = Board(algorithm_of(name), nodes), Naive(algorithm_of(name), nodes)
    for order in range(12):
        request = Request(slot=Slot(job="web", group="main", index=order), demand=demand, order=order)
        assert board.place(request) == naive.place(request)


@settings(max_examples=100)
@given(data=st.data())
def test_a_node_is_refused_by_the_very_filters_that_refuse_it_one_by_one(data: st.DataObject) -> None:
    """So a node is a candidate if and only if its list of reasons is empty."""
    nodes, classes = data.draw(fleets()), data.draw(st.lists(demands(), min_size=1, max_size=3))
    fleet, naive = InArrays(algorithm_of("tight"), nodes), Naive(algorithm_of("tight"), nodes)
    for order in range(data.draw(st.integers(1, 4))):
        request = data.draw(requests(classes, order))
        refused, entries = fleet.refused(request), fleet.board.entries(request)
        asked = request.among(naive.nodes)
        assert fleet.asked(request) == asked
        for at, state in enumerate(naive.nodes):
            names = {refusal.filter for refusal in refusals_of(asked, state)}
            assert {name for name, mask in refused.items() if mask[at]} == names
            assert (entries[at] >= LEAST) == (not names)
        fleet.place(request)
        naive.place(request)


@pytest.mark.parametrize("name", ALGORITHMS)
@settings(max_examples=30)
@given(data=st.data())
def test_a_large_fleet_gives_the_same_places_scores_and_terms_as_a_small_one(
    name: str, data: st.DataObject
) -> None:
    nodes = {state.node.name: state for state in data.draw(fleets())}
    last, told_of = data.draw(LASTS), data.draw(st.sampled_from([5, 100]))
    small = NodeByNode(algorithm_of(name), nodes, last)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cube.scheduler.in_arrays.EACH", told_of - 5)
        large = InArrays(algorithm_of(name), tuple(nodes.values()), last)
    classes = data.draw(st.lists(demands(), min_size=1, max_size=3))
    for order in range(data.draw(st.integers(1, 6))):
        request = data.draw(requests(classes, order))
        leaving = _leaving(request, nodes) if data.draw(st.booleans()) else None
        one, other = small.place(request, leaving), large.place(request, leaving)
        assert (one.node, one.ports) == (other.node, other.ports)
        assert one.node is None or one.node == small.last == large.last
        told = len(other.decision.scores) if one.decision.terms else 0
        assert list(one.decision.terms.items())[:told] == list(other.decision.terms.items())
        assert other.decision.scores.items() <= one.decision.scores.items()
        assert len(one.decision.scores) == len(other.decision.scores) + other.decision.others
        by_filter = {(refusal.filter, refusal.node) for refusal in one.decision.refusals}
        assert sum(other.decision.refused.values()) == len(by_filter)
        assert set(other.decision.refusals) <= set(one.decision.refusals)
        resorts = list(one.decision.last.items())
        assert list(other.decision.last.items()) == resorts[:told_of]
        assert other.decision.last_others == len(resorts[told_of:])
        if told_of == 100:
            assert other.decision.others == 0
            assert set(other.decision.refusals) == set(one.decision.refusals)
    assert _all_same(small.room().values()) == _all_same(large.room().values())


@pytest.mark.parametrize("name", ["roundrobin", "random"])
def test_finds_whose_turn_it_is_among_thousands(name: str) -> None:
    nodes = [_sized(f"n{number}", 4000 if number % 30 < 10 else 100, 4) for number in range(3000)]
    for order, last in enumerate(("", "n0", "n9", "n25", "n2998", "n2999", "gone")):
        board, naive = Board(algorithm_of(name), nodes, last), Naive(algorithm_of(name), nodes, last)
        for cpu in (500, 500, 50):
            slot, asked = Slot(job="web", group="main", index=0), Demand(resources=Resources(cpu=cpu))
            request = Request(slot=slot, demand=asked, order=order)
            assert board.place(request) == naive.place(request)


def test_a_plan_for_a_large_fleet_is_the_one_that_would_be_made_node_by_node(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looks = [seen(f"node{number:02}", cpus=2 + number % 3) for number in range(40)]
    given_world = world(jobs=[job(count=30), job("db", count=25)], observed=looks)
    plans = []
    for border in (0, 10**9):
        for name in ("WORTHWHILE", "WORTHWHILE_AGAIN"):
            monkeypatch.setattr(f"cube.scheduler.fleet.{name}", border)
        found = reconcile(given_world, ALGORITHMS["tight"])
        plans.append(
            [
                (action.slot, action.node, action.reason)
                for action in found.actions
                if isinstance(action, Place)
            ]
        )
    assert plans[0] == plans[1]
    assert len(plans[0]) == 55


def _price(places: list[int | None], nodes: list[NodeState]) -> tuple[int, int]:
    return places.count(None), len({at for at in places if at is not None and not nodes[at].tasks})


def _leaving(request: Request, nodes: dict[str, NodeState]) -> Task | None:
    where = [name for name, state in nodes.items() if state.tasks.get(request.group, 0)]
    return task(job=request.slot.job, node=where[0]) if where else None


@pytest.mark.parametrize(
    ("nodes", "requests", "kind"),
    [(3, 30, NodeByNode), (20, 5000, NodeByNode), (21, 5000, InArrays), (1000, 30, InArrays)],
)
def test_arrays_are_for_large_fleets_however_many_requests_a_small_one_gets(
    nodes: int, requests: int, kind: type
) -> None:
    states = {f"n{number}": _sized(f"n{number}", 4000, 4) for number in range(nodes)}
    assert isinstance(fleet_of(ALGORITHMS["tight"], states, requests), kind)


@given(
    lists=st.lists(st.lists(st.integers(-50, 50), max_size=6), min_size=1, max_size=5),
    count=st.integers(1, 25),
)
def test_a_run_takes_the_highest_next_value_each_time_however_the_values_go_up_and_down(
    lists: list[list[int]], count: int
) -> None:
    """No algorithm of Cube's goes up and down by itself; one of somebody else's may."""
    expected: list[int] = []
    heads = [list(values) for values in lists]
    while len(expected) < count and any(heads):
        at = max((at for at in range(len(heads)) if heads[at]), key=lambda at: (heads[at][0], -at))
        heads[at].pop(0)
        expected.append(at)
    found = in_order(
        np.array([values[0] if values else 0 for values in lists], dtype=np.int32),
        np.array([len(values) for values in lists]),
        count,
        lambda nodes, numbers: np.array(
            [lists[at][number] for at, number in zip(nodes, numbers, strict=True)], dtype=np.int32
        ),
    )
    assert found.tolist() == expected


def _sized(name: str, cpu: int, gibs: int) -> NodeState:
    size = Resources(cpu=cpu, memory=gibs * GIB, disk=GIB)
    return NodeState(node=node(name), capacity=size, load=Load(cpu=0, memory=0))


def test_a_small_fleet_is_planned_without_loading_numpy() -> None:
    """Its import takes as long as many a whole command."""
    code = "import sys, cube.reconciler.reconcile, cube.cli.main; sys.exit('numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=False, timeout=60)
    assert done.returncode == 0


def _all_same(states: Iterable[NodeState]) -> list[tuple[object, ...]]:
    return [_same(state) for state in states]


def _same(state: NodeState) -> tuple[object, ...]:
    tasks = {group: count for group, count in state.tasks.items() if count}
    return state.promised, state.load, state.ports, state.devices, tasks
