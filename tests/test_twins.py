"""One machine under two names: by another address, an alias of SSH's, or a second network."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from cube.model.action import Place
from cube.model.observation import Cause, Observation, Unknown
from cube.reconciler.reconcile import reconcile
from cube.reconciler.twins import apart
from cube.reconciler.world import World
from cube.scheduler.algorithms import ALGORITHMS
from tests.build import container, job, seen, task, unknown, world

KEPT = task(node="node1")
LOOKS: Mapping[str, Observation] = {
    "node1": seen("node1", container(KEPT)),
    "node2": seen("node2", container(KEPT)),
    "node3": seen("node3"),
    "node4": unknown("node4"),
    "node5": seen("node5"),
}


def given(**changes: Any) -> World:
    fleet = world(jobs=[job(**changes)], tasks=[KEPT], observed=LOOKS.values())
    return replace(fleet, observed=apart(fleet.observed))


def test_nothing_is_known_of_what_both_names_show_p3() -> None:
    looks = apart(LOOKS)
    assert {name for name, found in looks.items() if found != LOOKS[name]} == {"node1", "node2"}
    first, second = looks["node1"], looks["node2"]
    assert isinstance(first, Unknown)
    assert isinstance(second, Unknown)
    assert (first.cause, first.why) == (Cause.TWIN, "it has the containers that node2 has")
    assert (second.cause, second.why) == (Cause.TWIN, "it has the containers that node1 has")
    assert first.stats == LOOKS["node1"].stats


def test_a_fleet_without_such_names_is_left_as_it_is() -> None:
    looks = {name: found for name, found in LOOKS.items() if name != "node2"}
    assert apart(looks) == looks


def test_the_one_container_is_not_stopped_as_a_double_p7() -> None:
    assert reconcile(given(), ALGORITHMS["spread"]).changes == ()


def test_nor_is_it_where_its_job_was_stopped() -> None:
    assert reconcile(given(stopped=True), ALGORITHMS["spread"]).changes == ()


def test_the_room_of_neither_is_promised_p13() -> None:
    found = reconcile(given(count=9), ALGORITHMS["spread"]).actions
    assert {action.node for action in found if isinstance(action, Place)} == {"node3", "node5"}


def test_it_is_told_with_both_names_and_what_to_do() -> None:
    told = "\n".join(reconcile(given(), ALGORITHMS["spread"]).warnings)
    assert "node1: unknown: one machine under two names, it has the containers that node2 has" in told
