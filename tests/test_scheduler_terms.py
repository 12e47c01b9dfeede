"""What a score is made of: the formulas, the wishes of a group, and what other packages bring along."""

import math
from collections.abc import Mapping
from dataclasses import replace
from importlib import metadata
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cube.errors import InputError
from cube.model.image import Image, Images, full_name
from cube.model.job import Affinity, Constraint, Operator, Spread
from cube.model.node import Node
from cube.model.resources import Resources
from cube.model.task import Slot
from cube.scheduler.algorithms import ALGORITHMS, Algorithm, Algorithms, ByFormula, place, terms_of
from cube.scheduler.board import Board, suits
from cube.scheduler.fit import Formula
from cube.scheduler.fleet import fleet_of
from cube.scheduler.state import Demand, Load, NodeState, Request
from cube.scheduler.terms import WHOLE, liked, quiet, spread_value
from cube.whatif.trace import places_of
from tests import own_algorithm
from tests.build import GIB, node

SLOT = Slot(job="web", group="main", index=0)
SIZE = Resources(cpu=4000, memory=8 * GIB, disk=8 * GIB)
ASKED = Resources(cpu=1000, memory=GIB)
IDLE = Load(cpu=0, memory=0)


def state(
    name: str = "n1",
    *,
    cpu: int = 0,
    memory: int = 0,
    busy: Load | None = IDLE,
    labels: Mapping[str, str] | None = None,
    **changes: object,
) -> NodeState:
    declared: Node = node(name, labels=labels or {})
    promised = Resources(cpu=cpu, memory=memory)
    return NodeState(node=declared, capacity=SIZE, promised=promised, load=busy, **changes)  # type: ignore[arg-type] # few of many


def request(**changes: object) -> Request:
    return Request(slot=SLOT, demand=Demand(**{"resources": ASKED} | changes), fleet=3)  # type: ignore[arg-type] # as above


def own(algorithm: str, asked: Request, found: NodeState) -> float:
    """The share of its weight that the algorithm's own term gives; it and `quiet` weigh the same."""
    (terms,) = terms_of(ALGORITHMS[algorithm], asked, [found]).values()
    return terms[0].points / (WHOLE / 2)


class TestFormulas:
    @pytest.mark.parametrize(
        ("algorithm", "promised", "expected"),
        [
            # afterwards 1/4 of the CPU and 5/8 of the memory is free
            ("tight", Resources(cpu=2000, memory=2 * GIB), 1 - 0.625),
            ("spread", Resources(cpu=2000, memory=2 * GIB), (0.25 + 0.625) / 2),
            ("binpack", Resources(cpu=2000, memory=2 * GIB), (20 - 10**0.25 - 10**0.625) / 18),
            # from 1/2 and 1/4 to 3/4 and 3/8, with three machines
            ("epvm", Resources(cpu=2000, memory=2 * GIB), 1 / (1 + 3**0.75 - 3**0.5 + 3**0.375 - 3**0.25)),
        ],
    )
    def test_have_the_value_that_their_docstrings_give(
        self, algorithm: str, promised: Resources, expected: float
    ) -> None:
        found = state(cpu=promised.cpu, memory=promised.memory)
        assert own(algorithm, request(), found) == pytest.approx(expected, abs=1e-7)

    def test_greedy_takes_the_machine_whose_cpu_is_least_busy_whoever_keeps_it_busy(self) -> None:
        # 2000m of 4000m are busy and 1000m more will be
        assert own("greedy", request(), state(busy=Load(cpu=2000, memory=0))) == pytest.approx(0.25)
        quiet_one, busy_one = state("a", cpu=2000), state("b", busy=Load(cpu=3000, memory=0))
        assert own("greedy", request(), quiet_one) > own("greedy", request(), busy_one)

    def test_greedy_counts_what_it_has_just_promised_before_anything_shows_in_proc(self) -> None:
        found = state(busy=Load(cpu=1000, memory=0))
        then = found.with_task(request(), {})
        assert own("greedy", request(), then) == pytest.approx(own("greedy", request(), found) - 0.25)

    def test_epvm_counts_cpu_which_cancels_in_the_book(self) -> None:
        assert own("epvm", request(), state(cpu=2000)) < own("epvm", request(), state())

    @pytest.mark.parametrize(("algorithm", "expected"), [("tight", "full"), ("binpack", "full")])
    def test_of_the_packing_ones_prefer_the_fuller_node(self, algorithm: str, expected: str) -> None:
        assert (
            picked(algorithm, request(), state("empty"), state("full", cpu=2000, memory=4 * GIB)) == expected
        )

    @pytest.mark.parametrize("algorithm", ["spread", "epvm", "greedy"])
    def test_of_the_spreading_ones_prefer_the_emptier_node(self, algorithm: str) -> None:
        full = state("full", cpu=2000, memory=4 * GIB, busy=Load(cpu=2000, memory=4 * GIB))
        assert picked(algorithm, request(), full, state("empty")) == "empty"


NAMES = st.sampled_from(["app:1", "app:2", "app@sha256:a", "other@sha256:b", "x.example/app:1"])
IDS = st.sampled_from(["sha256:a", "sha256:b", "sha256:c"])
LISTED = st.builds(
    Image,
    id=IDS,
    names=st.lists(NAMES, max_size=3).map(tuple),
    pins=st.lists(IDS, max_size=1).map(tuple),
    size=st.just(1),
    created_at=st.just(1.0),
)


class TestTheImagesOfANode:
    @settings(max_examples=1000)
    @given(
        listed=st.lists(LISTED, max_size=3).map(tuple),
        name=st.sampled_from(["app", "app:1", "docker.io/library/app:2", "app:1@sha256:a", "z@sha256:b"]),
        pinned=st.just("") | IDS,
    )
    def test_are_asked_all_at_once_as_they_would_be_one_by_one(
        self, listed: tuple[Image, ...], name: str, pinned: str
    ) -> None:
        expected = any(image.may_be_of(name, pinned) for image in listed)
        assert Images(listed=listed).has(name, pinned) == expected

    def test_are_those_that_run_there_by_name_or_id_where_nobody_told_of_others(self) -> None:
        runs = Images(held=frozenset({("app:1", "sha256:a")}))
        assert runs.has("docker.io/app:1", "")
        assert runs.has("app:2", "sha256:a")
        assert not runs.has("app:1", "sha256:b")
        assert runs.holding(frozenset({("db:1", "")})).has(full_name("db:1"), "")


class TestRandom:
    def test_takes_the_same_node_for_the_same_request_every_time(self) -> None:
        nodes = [state(f"n{number}") for number in range(50)]
        assert len({picked("random", request(), *nodes) for _ in range(5)}) == 1

    def test_takes_each_node_about_as_often_as_any_other(self) -> None:
        nodes = [state(f"n{number}") for number in range(4)]
        taken = [picked("random", replace(request(), order=order), *nodes) for order in range(400)]
        assert all(60 < taken.count(found.node.name) < 140 for found in nodes)


def names_with_wishes() -> list[str]:
    return [name for name in ALGORITHMS if terms_of(ALGORITHMS[name], request(), [state()])]


@pytest.mark.parametrize("algorithm", names_with_wishes())
class TestWishes:
    def test_keep_tasks_of_a_group_apart_as_long_as_there_is_a_node_without_one(self, algorithm: str) -> None:
        """However full the nodes are: a packing algorithm packs jobs, not a job's replicas."""
        with_one = state("a", cpu=3000, memory=7 * GIB, tasks={("web", "main"): 1})
        assert picked(algorithm, request(count=2), with_one, state("b")) == "b"
        without = state("b", cpu=3000, memory=7 * GIB, busy=Load(cpu=3000, memory=7 * GIB))
        assert picked(algorithm, request(count=2), state("a", tasks={("web", "main"): 1}), without) == "b"

    def test_prefer_the_node_that_an_affinity_names(self, algorithm: str) -> None:
        likes = (
            Affinity(constraint=Constraint(attribute="label.disk", operator=Operator.EQUAL, values=("ssd",))),
        )
        plain, liked_one = state("a"), state("b", labels={"disk": "ssd"})
        assert picked(algorithm, request(affinities=likes), plain, liked_one) == "b"

    def test_prefer_the_value_of_an_attribute_that_has_fewer_of_the_group(self, algorithm: str) -> None:
        here = {("web", "main"): 1}
        zones = [
            state("a", labels={"zone": "x"}, tasks=here),
            state("b", labels={"zone": "x"}),
            state("c", labels={"zone": "y"}),
        ]
        assert picked(algorithm, request(spreads=(Spread(attribute="label.zone"),)), *zones) == "c"

    def test_prefer_the_node_that_has_the_image_among_equals(self, algorithm: str) -> None:
        nodes = state("a"), state("b", images=Images(held=frozenset({("app:1", "")})))
        assert picked(algorithm, request(image="app:1"), *nodes) == "b"

    def test_prefer_the_machine_that_does_nothing_else_among_equals(self, algorithm: str) -> None:
        nodes = state("a", busy=Load(cpu=100, memory=2 * GIB)), state("b")
        assert picked(algorithm, request(), *nodes) == "b"

    def test_never_prefer_a_node_without_stats(self, algorithm: str) -> None:
        """In Boring's book its missing score reads as 0, and lowest is best."""
        full = state("b", cpu=3000, memory=7 * GIB, busy=Load(cpu=3000, memory=8 * GIB))
        assert picked(algorithm, request(), state("a", busy=None), full) == "b"
        assert picked(algorithm, request(), state("a", busy=None)) == "a"

    @given(data=st.data())
    def test_add_up_to_the_score_exactly(self, algorithm: str, data: st.DataObject) -> None:
        share = st.integers(0, 3000)
        nodes = [
            state(
                f"n{number}",
                cpu=data.draw(share),
                memory=data.draw(share) * 2**20,
                busy=Load(cpu=data.draw(share), memory=0),
                tasks={("web", "main"): data.draw(st.integers(0, 3))},
            )
            for number in range(3)
        ]
        asked = request(count=3, image="app:1", spreads=(Spread(attribute="node.name"),)).among(nodes)
        scores = ALGORITHMS[algorithm].score(asked, nodes)
        for name, terms in terms_of(ALGORITHMS[algorithm], asked, nodes).items():
            assert [term.name for term in terms] == ["own", "apart", "spread", "quiet", "image"]
            assert sum(term.points for term in terms) == round(scores[name] * WHOLE)
            assert all(term.points >= 0 for term in terms)
            assert 0 <= scores[name] <= 1


def test_a_decision_tells_the_terms_of_the_best_nodes_the_winner_first() -> None:
    nodes = [state("a"), state("b", cpu=500, memory=GIB), state("c", cpu=1000, memory=2 * GIB)]
    found, decision = place(ALGORITHMS["tight"], request(), nodes)
    assert found is not None
    assert (found.node.name, list(decision.terms)) == ("c", ["c", "b", "a"])


def test_targets_say_how_many_percent_are_to_be_where() -> None:
    wish = Spread(attribute="node.datacenter", targets=(("a", 75), ("b", 25)))
    given_counts = {"a": 3, "b": 1}
    # of eight tasks six are wanted in a, where three are, and two in b, where one is
    assert spread_value(wish, given_counts, "a", 8) == 0.5
    assert spread_value(wish, given_counts, "b", 8) == 0.5
    assert spread_value(wish, given_counts, "c", 8) == spread_value(wish, given_counts, None, 8) == 0
    assert spread_value(wish, {"a": 9}, "a", 8) == 0


def test_an_affinity_below_nought_keeps_tasks_away() -> None:
    old = Constraint(attribute="label.age", operator=Operator.EQUAL, values=("old",))
    likes = (Affinity(constraint=old, weight=-100),)
    assert liked(request(affinities=likes), state(labels={"age": "old"})) == 0.0
    assert liked(request(affinities=likes), state()) == 0.5


def test_quiet_is_what_was_promised_to_nobody() -> None:
    # 3000m are busy, 1000m of them promised: half of the CPU is somebody else's
    assert quiet(request(), state(cpu=1000, busy=Load(cpu=3000, memory=0))) == 0.5
    assert quiet(request(), state(cpu=3000, busy=Load(cpu=1000, memory=0))) == 1.0
    assert quiet(request(), state(busy=None)) == 0.0


class TestOtherPackages:
    def test_write_an_algorithm_as_the_documentation_shows_it(self) -> None:
        """The page shows the very file that is tested here."""
        root = Path(__file__).parent
        page = (root.parent / "docs" / "scheduling.md").read_text()
        assert (root / "own_algorithm.py").read_text() in page

    def test_have_theirs_placed_in_arrays_too(self) -> None:
        nodes = [state("a", memory=GIB), state("b", cpu=500), state("c", cpu=1000)]
        found, _ = place(own_algorithm.scheduler, request(), nodes)
        assert found is not None
        assert all(suits(found) for found in (own_algorithm.scheduler, *ALGORITHMS.values()))
        assert Board(own_algorithm.scheduler, nodes).find(request()) == nodes.index(found) == 1

    @pytest.mark.parametrize(
        "formula",
        [
            lambda fit: min(fit.used()),
            lambda fit: 1.0 - fit.busy if fit.had[0] > 0.1 else 0.25,
            lambda _fit: 0.5,
            lambda fit: math.exp(-fit.had[1]),
        ],
    )
    def test_may_write_theirs_in_any_python_which_is_then_asked_node_by_node(self, formula: Formula) -> None:
        scheduler = Algorithm(ByFormula(formula))
        nodes = {f"n{number:02}": state(f"n{number:02}", cpu=100 * number) for number in range(30)}
        found, _ = place(scheduler, request(), tuple(nodes.values()))
        assert found is not None
        assert fleet_of(scheduler, nodes, 10_000).place(request()).node == found.node.name
        sizes = [Resources(cpu=1000, memory=GIB)] * 3
        assert places_of(scheduler, sizes, sizes[:1]) == [0]

    def found(self, monkeypatch: pytest.MonkeyPatch, value: str) -> Algorithms:
        entry = metadata.EntryPoint(name="mine", value=value, group="cube.schedulers")

        def entry_points(*, group: str, name: str = "mine") -> metadata.EntryPoints:
            return metadata.EntryPoints([entry]).select(group=group, name=name)

        monkeypatch.setattr("cube.scheduler.algorithms.entry_points", entry_points)
        return Algorithms({"spread": ALGORITHMS["spread"]})

    def test_bring_an_algorithm_that_is_loaded_by_its_name(self, monkeypatch: pytest.MonkeyPatch) -> None:
        known = self.found(monkeypatch, "tests.own_algorithm:scheduler")
        assert list(known) == ["spread", "mine"]
        assert known["mine"].pick({"n1": 1.0}, [state()]).node.name == "n1"

    def test_bring_one_without_a_step_and_are_told_which(self, monkeypatch: pytest.MonkeyPatch) -> None:
        known = self.found(monkeypatch, "cube.scheduler.fit:tight")
        with pytest.raises(InputError, match="has no select_candidate_nodes and no score and no pick"):
            known["mine"]

    def test_cannot_take_the_place_of_one_of_cube_s(self, monkeypatch: pytest.MonkeyPatch) -> None:
        known = self.found(monkeypatch, "tests.own_algorithm:scheduler")
        assert known["spread"] is ALGORITHMS["spread"]
        with pytest.raises(KeyError):
            known["nobody's"]


def picked(algorithm: str, asked: Request, *nodes: NodeState) -> str:
    found, _ = place(ALGORITHMS[algorithm], asked, nodes)
    assert found is not None
    return found.node.name
