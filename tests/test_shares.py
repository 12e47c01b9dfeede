"""Managers that share the nodes of a fleet, by leases at the store: laws, and two services in real time."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cube.manager.service import Service
from cube.manager.sharing import Heard, calls_for_a_look
from cube.model.policy import RestartPolicy
from cube.store.address import StatePlace
from cube.store.postgres import Postgres
from cube.store.shares import Told, fair_part
from cube.store.store import Store, open_store
from tests.build import NOW, job, seen, unknown
from tests.postgres import Cluster
from tests.stage import Stage, run, staged

TERM = 600.0
"""So long that no test outlives it: time passes here by moving what is written down."""


@pytest.fixture
def store(place: StatePlace) -> Iterator[Store]:
    with closing(open_store(place)) as found:
        yield found


@dataclass
class Fleet:
    """Managers by name, each with what it believes to have and when it was told so."""

    store: Store
    nodes: tuple[str, ...]
    now: float = 0.0
    managers: dict[str, tuple[frozenset[str], float]] = field(default_factory=dict)
    joined: int = 0

    def join(self) -> None:
        self.joined += 1
        self.renew(f"manager{self.joined}")

    def renew(self, name: str) -> None:
        self.managers[name] = (self.store.shares.renew(name, self.nodes, term=TERM), self.now)

    def passes(self, seconds: float) -> None:
        self.now += seconds
        for table in ("managers", "shares"):
            self.store._connection.execute(f"UPDATE {table} SET until = until - ?", [seconds])

    def one(self, number: int) -> str | None:
        names = sorted(self.managers)
        return names[number % len(names)] if names else None

    def do(self, what: str, number: int) -> None:
        name = self.one(number)
        match what:
            case "join":
                self.join()
            case "time passes":
                self.passes(TERM * number / 5)
            case "renew" if name:
                self.renew(name)
            case "die" if name:
                del self.managers[name]
            case "leave" if name:
                del self.managers[name]
                self.store.shares.leave(name)

    def believed(self) -> list[str]:
        """What those have whose lease is not over, each by its own account."""
        return [node for held, at in self.managers.values() if self.now - at < TERM for node in held]


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    nodes=st.integers(0, 9),
    steps=st.lists(
        st.tuples(st.sampled_from(["join", "time passes", "renew", "die", "leave"]), st.integers(0, 7)),
        max_size=25,
    ),
)
def test_no_two_living_managers_have_a_node_and_none_is_without_one_for_longer_than_a_lease(
    store: Store, nodes: int, steps: Sequence[tuple[str, int]]
) -> None:
    """Whatever became of the others: those who live have all, in parts that differ by one at most."""
    for table in ("managers", "shares"):
        store._connection.execute(f"DELETE FROM {table}")
    fleet = Fleet(store, tuple(f"node{number}" for number in range(nodes)))
    for what, number in [("join", 0), *steps, ("join", 0)]:
        fleet.do(what, number)
        assert len(fleet.believed()) == len(set(fleet.believed())), (what, number)
    for _ in range(4):
        fleet.passes(TERM / 3)
        for name in sorted(fleet.managers):
            fleet.renew(name)
    assert sorted(fleet.believed()) == list(fleet.nodes)
    parts = [len(held) for held, _ in fleet.managers.values()]
    assert max(parts) - min(parts) <= 1
    assert {node for node, name in store.shares.held().items() if name in fleet.managers} == set(fleet.nodes)


def test_a_share_changes_no_more_than_it_must(store: Store) -> None:
    """A node that changes hands is looked at anew by whoever takes it."""
    nodes = [f"node{number}" for number in range(6)]
    assert store.shares.renew("a", nodes, term=TERM) == set(nodes)
    assert store.shares.renew("b", nodes, term=TERM) == set()
    kept = store.shares.renew("a", nodes, term=TERM)
    assert store.shares.renew("b", nodes, term=TERM) == set(nodes) - kept
    assert store.shares.renew("a", nodes, term=TERM) == kept


def test_a_node_that_has_left_the_inventory_is_nobodys(store: Store) -> None:
    store.shares.renew("a", ["node1", "node2"], term=TERM)
    assert store.shares.renew("a", ["node2"], term=TERM) == {"node2"}
    assert store.shares.held() == {"node2": "a"}


def test_what_is_told_of_nodes_is_when_they_were_looked_at_and_whether_there_was_news(store: Store) -> None:
    store.put_observations([seen("node1"), unknown("node2")])
    store.shares.tell(["node1", "node9"])
    assert store.shares.told() == {"node1": Told(NOW, 1, False), "node2": Told(NOW, 0, True)}


def test_who_takes_nodes_waits_for_nobody_who_is_taking_some(postgres: Cluster) -> None:
    place = postgres.place()
    with closing(open_store(place)) as one, closing(open_store(place, patience=0.5)) as other:
        nodes = ["node1", "node2", "node3"]
        one.shares.renew("gone", nodes, term=TERM)
        one._connection.execute("UPDATE shares SET until = 0")
        one._connection.execute("DELETE FROM managers")
        one._connection.execute("BEGIN")
        one._connection.execute("SELECT node FROM shares WHERE node = 'node1' FOR UPDATE")
        assert other.shares.renew("b", nodes, term=TERM) == {"node2", "node3"}
        one._connection.execute("ROLLBACK")
        assert other.shares.renew("b", nodes, term=TERM) == set(nodes)


def test_the_parts_of_a_fleet_add_up() -> None:
    names = ["b", "a", "c"]
    assert [fair_part(7, names, name) for name in names] == [2, 3, 2]


@pytest.mark.parametrize(
    ("before", "told", "later", "is_called"),
    [
        (None, Told(5.0, 0, False), 0.0, True),
        (Told(5.0, 0, False), Told(5.0, 0, False), 9.0, False),
        (Told(5.0, 0, False), Told(8.0, 0, False), 99.0, False),
        (Told(5.0, 0, False), Told(5.0, 1, False), 1.0, True),
        (Told(5.0, 0, False), Told(8.0, 0, True), 1.0, True),
        (Told(5.0, 0, True), Told(5.0, 0, True), 1.0, False),
        (Told(5.0, 0, False), Told(5.0, 0, False), 30.0, True),
    ],
    ids=["new to us", "nothing new", "looked at again", "news", "silent", "no new look", "nobody tells"],
)
def test_a_node_of_anothers_is_looked_at_where_its_word_is_not_enough_p3(
    before: Told | None, told: Told, later: float, *, is_called: bool
) -> None:
    heard = before and Heard(before, NOW)
    assert calls_for_a_look(heard, told, NOW + later, patience=30.0) is is_called


def looks(service: Service) -> dict[str, int]:
    return {found.node: found.looks for found in service.turning.lookouts}


class TestTwoServices:
    @pytest.fixture
    def two(self, postgres: Cluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Stage, Stage]]:
        """Two services over the same four machines."""
        monkeypatch.setattr(Postgres, "term", 2.0)
        names, place = [f"node{number}" for number in range(1, 5)], postgres.place()
        with staged(names, place) as one, staged(names, place, machines=one.machines) as other:
            one.until(lambda: sorted(one.store.shares.held()) == names)
            one.until(lambda: len(set(one.store.shares.held().values())) == 2)
            yield one, other

    def test_each_node_is_looked_at_by_one_of_them(self, two: tuple[Stage, Stage]) -> None:
        one, other = two
        owners = one.store.shares.held()
        before = looks(one.service), looks(other.service)

        def grown(stage: Stage, was: dict[str, int]) -> dict[str, int]:
            return {node: count - was[node] for node, count in looks(stage.service).items()}

        one.until(
            lambda: all(
                a + b >= 8
                for a, b in zip(grown(one, before[0]).values(), grown(other, before[1]).values(), strict=True)
            )
        )
        mine = {node for node, count in grown(one, before[0]).items() if count >= 5}
        theirs = {node for node, count in grown(other, before[1]).items() if count >= 5}
        assert (len(mine), mine & theirs, mine | theirs) == (2, set(), set(owners))

    def test_what_happens_on_a_node_of_anothers_is_seen_by_both_and_mended_once(
        self, two: tuple[Stage, Stage]
    ) -> None:
        one, other = two
        assert one.manager.deploy(job(count=4, restart=RestartPolicy(delay=0.01)), run()).exit_code == 0
        for task in one.store.current_tasks():
            machine = one.machines[str(task.node)]
            machine.machine.end(str(task.container), 1)
            machine.told.put("die")
        one.until(lambda: [task.restarts for task in one.store.current_tasks()] == [1] * 4)
        one.until(lambda: set(one.running().values()) == set(one.machines))
        assert other.manager.scale("web", {"main": 2}, run()).exit_code == 0
        assert one.manager.scale("web", {"main": 2}, run()).changed == 0

    def test_one_that_ends_leaves_all_to_the_other_at_once(self, two: tuple[Stage, Stage]) -> None:
        one, other = two
        other.service.stop()
        one.until(lambda: len(set(one.store.shares.held().values())) == 1)
        one.until(lambda: len(one.store.shares.held()) == 4)
