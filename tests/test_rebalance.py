"""`cube rebalance --plan`: few moves, each worth it, none that breaks a rule on its way."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cube.errors import InputError
from cube.model.action import Refusal
from cube.model.job import JobType, TaskSpec, Volume
from cube.model.node import Cordon
from cube.model.observation import ContainerState
from cube.model.resources import Resources
from cube.model.rollout import Rollout, RolloutState
from cube.reconciler.wants import wants_of
from cube.reconciler.world import World
from cube.scheduler.algorithms import ALGORITHMS, Scheduler
from cube.scheduler.filters import refusals_of
from cube.scheduler.state import NodeState, Request
from cube.whatif.play import known_room
from cube.whatif.rebalance import Exchange, moved, rebalance
from tests.build import GIB, NOW, container, job, seen, spec, task, unknown, world

NODES = ("node1", "node2", "node3")


def fleet(homes: Sequence[int], **of_job: Any) -> World:
    """Jobs of one task each, on the nodes of those numbers."""
    of_task = of_job.pop("task", spec())
    tasks = [
        task(0, job=f"job{number}", node=NODES[home], order=number + 1, spec=of_task)
        for number, home in enumerate(homes)
    ]
    return world(
        jobs=[job(f"job{number}", task=of_task, **of_job) for number in range(len(homes))],
        tasks=tasks,
        observed=[
            seen(name, *(container(found) for found in tasks if found.node == name), memory=GIB)
            for name in NODES
        ],
        rollouts=[in_place(f"job{number}") for number in range(len(homes))],
    )


def in_place(name: str) -> Rollout:
    return Rollout(job=name, version=1, since=NOW - 100, state=RolloutState.SUCCEEDED)


def moves(before: World, *, scheduler: str = "tight", most: int = 20, least: float = 0.01) -> list[Exchange]:
    return list(rebalance(before, ALGORITHMS[scheduler], max_moves=most, min_gain=least))


@given(
    st.lists(st.integers(0, 2), max_size=16).filter(lambda homes: max(map(homes.count, range(3))) <= 8),
    st.sampled_from(["tight", "spread", "binpack", "epvm"]),
    st.integers(1, 4),
)
def test_each_move_passes_every_filter_when_its_turn_comes_and_gains_enough_p3(
    homes: list[int], scheduler: str, most: int
) -> None:
    before = fleet(homes)
    found = moves(before, scheduler=scheduler, most=most, least=0.02)
    room, wants = known_room(before), wants_of(before)
    assert len(found) <= most
    assert len({move.task.id for move in found}) == len(found)
    for move in found:
        want = wants[move.task.slot]
        assert move.gain >= 0.02
        assert not refusals_of(want.request().among(room.values()), room[move.target])
        room = moved(room, move, want)
        assert all(min(state.free.cpu, state.free.memory) >= 0 for state in room.values())


@dataclass(frozen=True)
class Foreign:
    """A scheduler of another package's, of which nothing is known but its three steps."""

    known: Scheduler

    def select_candidate_nodes(
        self, request: Request, nodes: Sequence[NodeState]
    ) -> tuple[tuple[NodeState, ...], tuple[Refusal, ...]]:
        return self.known.select_candidate_nodes(request, nodes)

    def score(self, request: Request, candidates: Sequence[NodeState]) -> Mapping[str, float]:
        return self.known.score(request, candidates)

    def pick(self, scores: Mapping[str, float], candidates: Sequence[NodeState]) -> NodeState:
        return self.known.pick(scores, candidates)


@given(
    st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=4), max_size=5),
    st.lists(st.sampled_from([100, 300, 700]), min_size=5, max_size=5),
    st.sampled_from(["tight", "spread", "binpack", "epvm"]),
)
def test_the_moves_are_those_that_are_found_by_asking_where_every_task_would_go(
    groups: list[list[int]], cpus: list[int], scheduler: str
) -> None:
    before = fleet_of_groups(groups, cpus)
    known = ALGORITHMS[scheduler]
    asked = rebalance(before, Foreign(known), max_moves=4, min_gain=0.001)
    assert rebalance(before, known, max_moves=4, min_gain=0.001) == asked


def of_size(cpu: int) -> TaskSpec:
    """What asks so many millicores."""
    return replace(spec(), resources=Resources(cpu=cpu, memory=GIB // 8))


def fleet_of_groups(groups: Sequence[Sequence[int]], cpus: Sequence[int]) -> World:
    """Jobs of several tasks, on the nodes of those numbers, each job's of a size of its own."""
    sized = list(zip(groups, map(of_size, cpus), strict=False))
    tasks = [
        task(index, job=f"job{number}", node=NODES[home], order=10 * number + index, spec=asks)
        for number, (homes, asks) in enumerate(sized)
        for index, home in enumerate(homes)
    ]
    return world(
        jobs=[job(f"job{n}", count=len(homes), task=asks) for n, (homes, asks) in enumerate(sized)],
        tasks=tasks,
        observed=[
            seen(name, *(container(found) for found in tasks if found.node == name), memory=4 * GIB)
            for name in NODES
        ],
        rollouts=[in_place(f"job{number}") for number in range(len(sized))],
    )


def test_lone_tasks_are_packed_onto_the_fullest_node() -> None:
    assert [(move.task.node, move.target) for move in moves(fleet([0, 1, 1, 1, 1]))] == [("node1", "node2")]


def test_what_stands_well_stays() -> None:
    assert moves(fleet([0, 0, 0])) == []


def test_what_is_crowded_is_spread() -> None:
    found = moves(fleet([0] * 8), scheduler="spread")
    assert {move.target for move in found} == {"node2", "node3"}


@pytest.mark.parametrize(
    "of_job",
    [
        {"type": JobType.BATCH},
        {"type": JobType.SYSTEM},
        {"task": spec(volumes=(Volume(source="data", target="/data"),))},
    ],
)
def test_batch_and_system_tasks_and_those_that_write_to_a_volume_never_move(of_job: dict[str, Any]) -> None:
    assert moves(fleet([0, 1, 1, 1, 1], **of_job)) == []


def test_what_only_reads_from_a_volume_may_move() -> None:
    reads = spec(volumes=(Volume(source="data", target="/data", read_only=True),))
    assert len(moves(fleet([0, 1, 1, 1, 1], task=reads))) == 1


def test_nothing_moves_to_a_cordoned_node_and_nothing_from_it() -> None:
    cordons = {"node2": Cordon(node="node2", at=NOW, actor="me")}
    assert moves(replace(fleet([0, 1, 1, 1, 1]), cordons=cordons)) == []


def test_a_group_of_which_a_task_is_missing_is_left_alone() -> None:
    whole = fleet([0, 1, 1, 1, 1], count=1)
    assert len(moves(whole)) == 1
    assert moves(replace(whole, jobs=tuple(job(found.name, count=2) for found in whole.jobs))) == []


def test_a_task_that_has_not_run_for_long_enough_or_is_no_more_is_left_alone() -> None:
    before = fleet([0, 1, 1, 1, 1], min_healthy_time=200.0)
    assert moves(before) == []
    lone = before.tasks[0]
    gone = seen("node1", container(lone, ContainerState.EXITED), memory=GIB)
    dead = replace(fleet([0, 1, 1, 1, 1]), observed={**before.observed, "node1": gone})
    assert "node1" not in [move.task.node for move in moves(dead)]


@pytest.mark.parametrize("state", [RolloutState.RUNNING, RolloutState.PAUSED, RolloutState.FAILED])
def test_what_is_being_rolled_out_is_left_alone(state: RolloutState) -> None:
    before = fleet([0, 1, 1, 1, 1])
    rollouts = {name: replace(found, state=state) for name, found in before.rollouts.items()}
    assert moves(replace(before, rollouts=rollouts)) == []


def test_nothing_moves_while_we_are_cut_off_p8() -> None:
    before = fleet([0, 1, 1, 1, 1])
    silent = {name: unknown(name) for name in ("node4", "node5", "node6", "node7")}
    assert moves(replace(before, observed={**before.observed, **silent})) == []


def test_a_job_is_judged_by_the_scheduler_that_it_names_and_left_alone_by_one_that_takes_turns() -> None:
    assert moves(fleet([0, 1, 1, 1, 1], scheduler="spread")) == moves(
        fleet([0, 1, 1, 1, 1]), scheduler="spread"
    )
    for name in ("roundrobin", "not installed"):
        assert moves(fleet([0, 1, 1, 1, 1], scheduler=name)) == []


def test_a_scheduler_that_takes_turns_has_no_better_place_to_tell() -> None:
    with pytest.raises(InputError, match="takes turns"):
        moves(fleet([0]), scheduler="roundrobin")
