"""`cube simulate`: what would be, played by the code that really places tasks."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cube.model.action import Place
from cube.model.job import Constraint, Operator, TaskSpec
from cube.model.observation import Seen
from cube.model.policy import DisconnectPolicy, OnDisconnect
from cube.model.resources import Resources
from cube.model.task import State
from cube.reconciler.line import Opening
from cube.reconciler.placement import place_all
from cube.reconciler.wants import wants_of
from cube.reconciler.world import World
from cube.scheduler.algorithms import ALGORITHMS
from cube.scheduler.filters import refusals_of
from cube.whatif.change import Addition, Change, added_nodes
from cube.whatif.loss import falls
from cube.whatif.play import known_room, play
from tests.build import GIB, job, node, seen, spec, task, world

TIGHT = ALGORITHMS["tight"]
ROOM = 4 * 8
"""How many tasks of 1/8 GiB and 0.1 CPU a node of `small` has memory for."""


def small(name: str) -> Seen:
    return seen(name, memory=4 * GIB)


def fleet(counts: Sequence[int], *, wanted: int | None = None, **of_job: Any) -> World:
    """As many tasks of one job on each node as the counts say."""
    names = [f"node{number}" for number in range(1, len(counts) + 1)]
    homes = [name for name, count in zip(names, counts, strict=True) for _ in range(count)]
    return world(
        jobs=[job(count=len(homes) if wanted is None else wanted, **of_job)],
        tasks=[task(index, node=home) for index, home in enumerate(homes)],
        observed=[small(name) for name in names],
    )


def lost(*names: str) -> Change:
    return Change(lost=frozenset(names))


@given(st.lists(st.integers(0, ROOM), min_size=1, max_size=5), st.sampled_from(sorted(ALGORITHMS)))
def test_without_a_change_nothing_changes(counts: list[int], algorithm: str) -> None:
    found = play(fleet(counts), Change(), ALGORITHMS[algorithm])
    assert (found.moves, found.stuck, found.ended) == ((), (), ())
    assert all(packing.before == packing.after for packing in found.packing)


@given(st.lists(st.integers(0, ROOM), min_size=1, max_size=5), st.data())
def test_whatever_is_lost_every_task_moves_or_is_stuck_and_no_node_is_overcommitted_p3(
    counts: list[int], data: st.DataObject
) -> None:
    before = fleet(counts)
    gone = data.draw(st.sets(st.sampled_from(sorted(before.nodes))))
    found = play(before, lost(*gone), TIGHT)
    told = {move.slot for move in found.moves} | {stuck.slot for stuck in found.stuck}
    assert told == {held.slot for held in before.tasks if held.node in gone}
    assert all(move.source in gone and move.target not in gone for move in found.moves)
    for packing in found.packing:
        assert (packing.after is None) == (packing.node in gone)
        if packing.after is not None:
            left = packing.capacity - packing.after
            assert min(left.cpu, left.memory, left.disk) >= 0


@given(st.integers(1, 3 * ROOM))
def test_what_is_scaled_up_goes_where_the_reconciler_would_put_it(count: int) -> None:
    before = fleet([3, 0, 1])
    wanted = job(count=count + 4)
    found = play(before, Change(jobs=(wanted,)), TIGHT)
    after = replace(before, jobs=(wanted,))
    new = [Opening(want=want) for want in wants_of(after).values() if want.slot.index >= 4]
    placed = place_all(after, new, TIGHT, known_room(after)).actions
    assert [(move.slot, move.target) for move in found.moves] == [
        (action.slot, action.node) for action in placed if isinstance(action, Place)
    ]


def test_what_fits_nowhere_says_why_of_each_node_that_is_left() -> None:
    (stuck, *_) = play(fleet([ROOM, ROOM, 1]), lost("node3"), TIGHT).stuck
    assert stuck.source == "node3"
    assert {refusal.node for refusal in stuck.refusals} == {"node1", "node2"}
    assert {refusal.filter for refusal in stuck.refusals} == {"memory"}


def test_constraints_hold_for_what_moves() -> None:
    rule = Constraint(attribute="node.name", operator=Operator.NOT_EQUAL, values=("node2",))
    found = play(fleet([2, 0, 0], constraints=(rule,)), lost("node1"), TIGHT)
    assert {move.target for move in found.moves} == {"node3"}


def test_scaling_down_frees_the_room_of_what_ends() -> None:
    found = play(fleet([2]), Change(jobs=(job(count=1),)), TIGHT)
    assert [ended.slot.index for ended in found.ended] == [1]
    (packing,) = found.packing
    assert packing.before == Resources(cpu=200, memory=GIB // 4)
    assert packing.after == Resources(cpu=100, memory=GIB // 8)


def test_added_nodes_have_new_names_and_take_what_waits() -> None:
    size = Addition(node=node(""), size=Resources(cpu=4000, memory=4 * GIB, disk=GIB))
    before = fleet([ROOM], wanted=ROOM + 2)
    before = replace(before, nodes={**before.nodes, "added1": node("added1")})
    added = added_nodes(before, [size, size])
    assert [found.node.name for found in added] == ["added2", "added3"]
    found = play(before, Change(added=added), TIGHT)
    assert {move.target for move in found.moves} == {"added2", "added3"}
    assert {move.why for move in found.moves} == {"new"}


def test_what_is_to_be_kept_on_a_silent_node_does_not_move() -> None:
    keep = DisconnectPolicy(then=OnDisconnect.KEEP)
    found = play(fleet([2, 0], disconnect=keep), lost("node1"), TIGHT)
    assert (found.moves, found.stuck) == ((), ())


def test_a_task_that_was_given_up_or_has_ended_is_not_begun_again_elsewhere() -> None:
    before = fleet([1, 0])
    done = replace(before, tasks=(replace(before.tasks[0], state=State.COMPLETED, exit_code=0),))
    assert not play(done, lost("node1"), TIGHT).stuck


def test_the_loss_of_a_node_is_survived_if_and_only_if_its_tasks_fit_elsewhere() -> None:
    even = dict(falls(fleet([ROOM // 2, ROOM // 2, 0]), Change(), TIGHT))
    assert even == {"node1": (), "node2": (), "node3": ()}
    full = dict(falls(fleet([ROOM, ROOM - 1]), Change(), TIGHT))
    assert {name: len(stuck) for name, stuck in full.items()} == {"node1": ROOM - 1, "node2": ROOM - 1}


@settings(max_examples=40)
@given(data=st.data())
def test_each_loss_is_what_it_would_be_if_the_whole_fleet_were_played_without_the_node(
    data: st.DataObject,
) -> None:
    """With tasks of two jobs in one slot, too many of them, and some that wait."""
    counts = st.lists(st.integers(0, 6), min_size=2, max_size=4)
    before = fleet(data.draw(counts), wanted=data.draw(st.integers(1, 20)))
    homes = data.draw(st.lists(st.sampled_from(sorted(before.nodes)), max_size=4))
    extra = [task(index, job="db", node=home, spec=big()) for index, home in enumerate(homes)]
    rivals = [replace(found, id=f"rival-{found.id}", node=homes[0]) for found in before.tasks[:2] if homes]
    before = replace(
        before,
        jobs=(*before.jobs, job("db", count=data.draw(st.integers(0, 5)), task=big())),
        tasks=(*before.tasks, *extra, *rivals),
    )
    anyway = {stuck.slot for stuck in play(before, Change(), TIGHT).stuck}
    for name, stuck in falls(before, Change(), TIGHT):
        played = play(before, lost(name), TIGHT).stuck
        assert {found.slot for found in stuck} == {found.slot for found in played} - anyway


def test_a_second_task_in_a_slot_stays_where_it_is_once_the_first_one_is_lost() -> None:
    first, second = task(node="node1"), task(id="second", node="node2", spec=big())
    before = replace(
        fleet([1, 0]),
        jobs=(job(), job("db", task=big())),
        tasks=(first, second, task(job="db", node="node1", spec=big(), order=2)),
    )
    (_, stuck), *_ = falls(before, Change(), TIGHT)
    assert [found.slot.job for found in stuck] == ["db"]


def big() -> TaskSpec:
    """Two of them are too much for a small node."""
    return replace(spec(), resources=Resources(cpu=100, memory=3 * GIB))


def test_an_added_node_may_be_lost_too() -> None:
    """Two nodes have room for four of twelve tasks; what the large one took would be left without a place."""
    wide = replace(spec(), resources=Resources(cpu=1000, memory=GIB // 8))
    tasks = [task(index, node=f"node{1 + index // 2}", spec=wide) for index in range(4)]
    nodes = [seen(name, cpus=2, memory=4 * GIB) for name in ("node1", "node2")]
    before = world(jobs=[job(count=12, task=wide)], tasks=tasks, observed=nodes)
    size = Addition(node=node(""), size=Resources(cpu=16000, memory=16 * GIB, disk=GIB))
    found = dict(falls(before, Change(added=added_nodes(before, [size])), TIGHT))
    assert {name: len(stuck) for name, stuck in found.items()} == {"node1": 0, "node2": 0, "added1": 8}


def test_what_waits_for_room_anyway_is_held_against_no_node() -> None:
    giant = replace(spec(), resources=Resources(memory=64 * GIB))
    before = fleet([1, 0])
    waiting = replace(before, jobs=(*before.jobs, job("giant", task=giant)))
    assert dict(falls(waiting, Change(), TIGHT)) == {"node1": (), "node2": ()}


@pytest.mark.parametrize("algorithm", sorted(ALGORITHMS))
def test_every_move_passes_every_filter(algorithm: str) -> None:
    before = fleet([5, 2, 0])
    found = play(before, lost("node1"), ALGORITHMS[algorithm])
    room = dict(known_room(replace(before, tasks=before.tasks[5:])))
    wants = wants_of(before)
    for move in found.moves:
        request = wants[move.slot].request()
        assert not refusals_of(request, room[move.target])
        room[move.target] = room[move.target].with_task(request, {})
