"""Cordons follow machines to their new names: which, and which not."""

from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace

import pytest

from cube.manager.cordons import carry_cordons, cordons_now
from cube.model.node import Cordon
from cube.model.observation import Cause, Observation, Seen, Stats
from cube.reconciler.renames import cordons_that_follow
from cube.store.store import open_store
from tests.build import NOW, seen, unknown


def of(machine: str, name: str) -> Seen:
    found = seen(name)
    return replace(found, stats=replace(found.stats, machine_id=machine))


def stats(machine: str) -> Stats:
    return of(machine, "node1").stats


def followed(known: Mapping[str, str], *observed: Observation) -> Mapping[str, str]:
    """What became of the cordon of node1, where those machines were known by these names."""
    samples = {name: stats(machine) for name, machine in known.items()}
    return cordons_that_follow(["node1"], samples, {found.node: found for found in observed})


def test_a_cordon_follows_its_machine_to_the_name_under_which_it_is_seen_first() -> None:
    assert followed({"node1": "a", "node2": "b"}, of("a", "web1"), of("b", "node2")) == {"node1": "web1"}


def test_a_machine_whose_engine_is_silent_is_known_by_its_id_all_the_same() -> None:
    hung = replace(unknown("web1"), cause=Cause.DOCKER_SILENT, stats=stats("a"))
    assert followed({"node1": "a"}, hung) == {"node1": "web1"}


def test_of_two_cordons_of_one_machine_the_newer_word_holds_under_its_third_name() -> None:
    """It was drained under its first name, and cordoned, no more than that, under its second."""
    with closing(open_store(":memory:")) as store:
        store.put_observations([of("a", "node1"), of("a", "web1")])
        store.put_cordon(Cordon(node="node1", at=NOW - 20, actor="ann", draining=True))
        store.put_cordon(Cordon(node="web1", at=NOW - 10, actor="ann"))
        observed = {"db1": of("a", "db1")}
        assert [found.draining for found in cordons_now(store, observed).values()] == [False]
        carry_cordons(store, observed, NOW)
        assert {name: found.draining for name, found in store.cordons().items()} == {"db1": False}


@pytest.mark.parametrize(
    ("known", "observed"),
    [
        ({"node1": "a"}, [unknown("node1"), of("a", "web1")]),
        ({"node1": "a"}, [unknown("web1")]),
        ({"node1": "a", "web1": "a"}, [of("a", "web1")]),
        ({"node1": "a"}, [of("a", "web1"), of("a", "web2")]),
        ({"node1": ""}, [of("", "web1")]),
        ({}, [of("a", "web1")]),
    ],
    ids=["its name is there", "silent", "known before", "clones", "no id", "never seen"],
)
def test_a_cordon_stays_under_its_name_where_nobody_can_tell(
    known: Mapping[str, str], observed: list[Observation]
) -> None:
    assert followed(known, *observed) == {}
