"""What a spreading algorithm costs in nodes, as `cube plan` says it."""

from dataclasses import replace
from typing import Any

import pytest

from cube.cli.progress import print_needs
from cube.model.job import JobType, Port, Volume
from cube.model.resources import Resources
from cube.reconciler.world import World
from cube.scheduler.algorithms import ALGORITHMS
from cube.whatif.needs import Need, need, needs, play_anew
from tests.build import GIB, container, foreign, job, seen, spec, task, world

NODES = ("node1", "node2", "node3")
PORT = spec(ports=(Port(name="http", container=80, host=8080),))


def fleet(count: int, **of_job: Any) -> World:
    """So many jobs of one task each, all of them running, on three nodes in turn."""
    tasks = [task(0, job=f"job{number}", node=NODES[number % 3]) for number in range(count)]
    return world(
        jobs=[job(found.slot.job, **of_job) for found in tasks],
        tasks=tasks,
        observed=[
            seen(name, *(container(found) for found in tasks if found.node == name), memory=GIB)
            for name in NODES
        ],
    )


def needed(given: World, scheduler: str = "spread") -> list[tuple[str, int, int]]:
    found = needs(given, ALGORITHMS[scheduler], ALGORITHMS["tight"])
    return [(need.scheduler, need.nodes, need.stuck) for need in found]


def test_spreading_needs_every_node_where_packing_needs_one() -> None:
    assert needed(fleet(4)) == [("spread", 3, 0), ("tight", 1, 0)]
    assert needed(fleet(9)) == [("spread", 3, 0), ("tight", 2, 0)]


def test_packing_is_not_compared_with_itself_but_with_a_job_that_spreads() -> None:
    assert needed(fleet(4), "tight") == []
    assert needed(fleet(4, scheduler="spread"), "tight") == [("tight", 3, 0), ("tight", 1, 0)]


def test_a_port_of_a_task_that_is_placed_anew_is_free_and_a_foreign_one_is_not() -> None:
    held = replace(task(), spec=PORT, ports={"http": 8080})
    looks = [seen("node1", container(held, host_ports=(8080,))), seen("node2", foreign(host_ports=(8080,)))]
    given = world(jobs=[job(task=PORT, count=2)], tasks=[held], observed=looks)
    assert needed(given) == [("spread", 1, 1), ("tight", 1, 1)]


def test_what_belongs_to_its_node_stays_and_holds_its_room_there() -> None:
    large = replace(spec(), resources=Resources(cpu=100, memory=GIB))
    given = fleet(3)
    stays = replace(task(0, job="each", node="node1"), spec=large)
    with_it = replace(
        given, jobs=(*given.jobs, job("each", task=large, type=JobType.SYSTEM)), tasks=(*given.tasks, stays)
    )
    assert needed(with_it) == [("spread", 2, 0), ("tight", 1, 0)]


@pytest.mark.parametrize(
    ("nodes", "stuck", "told"),
    [
        ((3, 1), 0, "nodes that all services need: spread 3, tight 1\n"),
        ((3, 3), 0, ""),
        ((3, 2), 1, ""),
    ],
)
def test_it_is_told_where_it_costs_something_and_packing_has_room_for_all(
    nodes: tuple[int, int], stuck: int, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ("spread", "tight")
    print_needs(
        [Need(scheduler=name, nodes=count, stuck=stuck) for name, count in zip(names, nodes, strict=True)]
    )
    assert capsys.readouterr().out == told


def test_placed_anew_by_another_algorithm_tasks_go_where_it_would_have_put_them() -> None:
    found = play_anew(fleet(4), ALGORITHMS["tight"])
    assert {move.target for move in found.moves} == {"node1"}
    assert sorted(move.source or "" for move in found.moves) == ["node2", "node3"]
    assert [(packing.node, packing.after == Resources()) for packing in found.packing] == [
        ("node1", False), ("node2", True), ("node3", True),
    ]  # fmt: skip


def test_placed_anew_a_task_stays_with_what_it_has_written_and_work_where_it_is() -> None:
    writes = spec(volumes=(Volume(source="data", target="/data"),))
    kept = task(job="db", node="node3", spec=writes)
    work = task(job="once", node="node2")
    given = world(
        jobs=[job("db", task=writes), job("once", type=JobType.BATCH)],
        tasks=[kept, work],
        observed=[seen(name, memory=GIB) for name in NODES],
    )
    assert play_anew(given, ALGORITHMS["tight"]).moves == ()


@pytest.mark.parametrize("name", ["tight", "spread", "binpack", "epvm"])
def test_placed_anew_the_nodes_in_use_are_those_that_the_need_tells(name: str) -> None:
    given, how = fleet(7), ALGORITHMS[name]
    in_use = [found for found in play_anew(given, how).packing if found.after != Resources()]
    assert len(in_use) == need(given, how).nodes
