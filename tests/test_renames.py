"""Cordons follow machines to their new names: which, and which not."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from cube.model.observation import Cause, Observation, Seen, Stats
from cube.reconciler.renames import cordons_that_follow
from tests.build import seen, unknown


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
