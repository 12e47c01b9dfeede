"""Who gives way to whom, and who does not."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cube.model.action import Place, Plan, Stop, Wait
from cube.model.job import Constraint, Job, JobType, Operator, TaskSpec
from cube.model.observation import ContainerState, Observation
from cube.model.resources import Resources
from cube.model.task import Slot, State, Task
from cube.reconciler.preemption import GAP, Crowd, Tenant, going_now, least, room_for, without
from cube.reconciler.reconcile import reconcile
from cube.scheduler.algorithms import ALGORITHMS
from cube.scheduler.filters import refusals_of
from cube.scheduler.state import Demand, NodeState, Request
from tests.build import GIB, NOW, container, job, node, seen, task, unknown, world

PROVEN = NOW - 1000


def asks(cpu: int) -> TaskSpec:
    return TaskSpec(image="app:1", resources=Resources(cpu=cpu, memory=GIB // 8))


def low(index: int, *, of: str = "low", cpu: int = 2000, node: str = "node1") -> Task:
    return task(index, job=of, node=node, spec=asks(cpu), healthy_since=PROVEN)


def plan(*jobs: Job, tasks: Sequence[Task], preemption: bool = True) -> Plan:
    given_world = world(jobs=jobs, tasks=tasks, preemption=preemption)
    return reconcile(given_world, ALGORITHMS["tight"])


def stops(found: Plan) -> list[str]:
    return [
        f"{stop.task.slot} {stop.reason}" for stop in found.actions if isinstance(stop, Stop) and stop.task
    ]


def waits(found: Plan) -> list[str]:
    return [f"{wait.slot} {wait.reason}" for wait in found.actions if isinstance(wait, Wait)]


FULL = (low(0), low(1))
"""Two tasks that fill node1."""


class TestATaskThatFitsNowhere:
    def test_gets_room_from_one_that_matters_less(self) -> None:
        found = plan(job("high", task=asks(2000), priority=90), job("low", 2, task=asks(2000)), tasks=FULL)
        assert stops(found) == ["low/main[0] preempted by high/main[0]"]
        assert waits(found) == ["high/main[0] fits on none of 1 node; low/main[0] gives way on node1"]

    def test_never_counts_the_room_in_the_same_wave_p13(self) -> None:
        found = plan(job("high", task=asks(2000), priority=90), job("low", 2, task=asks(2000)), tasks=FULL)
        assert not [action for action in found.actions if isinstance(action, Place)]

    def test_waits_while_it_is_we_who_are_cut_off_p8(self) -> None:
        """Seed 930009830."""
        looks: list[Observation] = [unknown(f"node{number}") for number in (2, 3, 4)]
        looks.append(seen("node1", *map(container, FULL)))
        jobs = [job("high", task=asks(2000), priority=90), job("low", 2, task=asks(2000))]
        alone = world(jobs=jobs, tasks=FULL, observed=looks, preemption=True)
        assert stops(reconcile(alone, ALGORITHMS["tight"])) == []

    def test_waits_where_the_cluster_does_not_want_that(self) -> None:
        jobs = job("high", task=asks(2000), priority=90), job("low", 2, task=asks(2000))
        found = plan(*jobs, tasks=FULL, preemption=False)
        assert (stops(found), waits(found)) == ([], ["high/main[0] fits on none of 1 node"])

    @pytest.mark.parametrize(("priority", "gives_way"), [(59, False), (60, True)])
    def test_takes_room_only_from_what_matters_less_by_ten(self, priority: int, gives_way: bool) -> None:
        jobs = job("high", task=asks(2000), priority=priority), job("low", 2, task=asks(2000), priority=50)
        assert bool(stops(plan(*jobs, tasks=FULL))) is gives_way

    def test_takes_it_from_what_matters_least(self) -> None:
        jobs = (
            job("high", task=asks(4000), priority=90),
            job("low", task=asks(4000), priority=40),
            job("least", 2, task=asks(2000), priority=10, max_parallel=2),
        )
        least_two = [low(index, of="least", node="node2") for index in range(2)]
        assert stops(plan(*jobs, tasks=[low(0, cpu=4000), *least_two])) == [
            "least/main[0] preempted by high/main[0]",
            "least/main[1] preempted by high/main[0]",
        ]

    def test_takes_it_from_few_rather_than_from_many_that_matter_as_much(self) -> None:
        jobs = job("high", task=asks(4000), priority=90), job("low", task=asks(4000))
        many = [low(index, of="many", node="node1") for index in range(2)]
        big = low(0, cpu=4000, node="node2")
        found = plan(*jobs, job("many", 2, task=asks(2000), max_parallel=2), tasks=[*many, big])
        assert stops(found) == ["low/main[0] preempted by high/main[0]"]

    def test_takes_nothing_where_even_all_of_it_would_not_do(self) -> None:
        jobs = job("huge", task=asks(5000), priority=90), job("low", 2, task=asks(2000))
        assert stops(plan(*jobs, tasks=FULL)) == []

    def test_waits_for_what_leaves_anyway(self) -> None:
        """low was scaled down by one: its room comes by itself."""
        found = plan(job("high", task=asks(2000), priority=90), job("low", 1, task=asks(2000)), tasks=FULL)
        assert stops(found) == ["low/main[1] scaled down"]

    def test_takes_nothing_from_a_system_job(self) -> None:
        jobs = (
            job("high", task=asks(3000), priority=90),
            job("low", task=asks(3000), type=JobType.SYSTEM, priority=10),
        )
        assert stops(plan(*jobs, tasks=[low(0, cpu=3000)])) == []

    def test_takes_nothing_where_it_may_not_be(self) -> None:
        elsewhere = Constraint(attribute="node.name", operator=Operator.EQUAL, values=("node9",))
        high = job("high", task=asks(2000), priority=90, constraints=(elsewhere,))
        assert stops(plan(high, job("low", 2, task=asks(2000)), tasks=FULL)) == []


class TestTheGroupThatGivesWay:
    """Of its tasks that serve, no more than `max_parallel` are missing at a time."""

    HIGH = job("high", 2, task=asks(2000), priority=90)

    def test_loses_one_at_a_time_p19(self) -> None:
        found = plan(self.HIGH, job("low", 2, task=asks(2000)), tasks=FULL)
        assert stops(found) == ["low/main[0] preempted by high/main[0]"]
        assert waits(found)[1] == "high/main[1] fits on none of 1 node; low/main[1] gives way on node1"
        assert found.due_for("high") == NOW + 1

    def test_loses_as_many_as_its_update_policy_lets(self) -> None:
        found = plan(self.HIGH, job("low", 2, task=asks(2000), max_parallel=2), tasks=FULL)
        assert len(stops(found)) == 2

    def test_loses_none_while_one_of_it_is_on_its_way(self) -> None:
        young = replace(low(1), healthy_since=NOW - 0.5)
        assert stops(plan(self.HIGH, job("low", 2, task=asks(2000)), tasks=(low(0), young))) == []

    def test_loses_the_next_when_the_first_has_nowhere_to_go(self) -> None:
        waiting = replace(low(0), node=None, state=State.PENDING)
        tasks = (waiting, low(1), task(0, job="high", spec=asks(2000), healthy_since=PROVEN))
        assert stops(plan(self.HIGH, job("low", 2, task=asks(2000)), tasks=tasks)) == [
            "low/main[1] preempted by high/main[1]"
        ]

    def test_loses_one_at_a_time_also_where_nobody_recorded_yet_that_they_run_p19(self) -> None:
        """Seed 1795274438160759."""
        late = tuple(replace(found, state=State.SCHEDULED) for found in FULL)
        assert len(stops(plan(self.HIGH, job("low", 2, task=asks(2000)), tasks=late))) <= 1

    def test_loses_what_does_not_serve_at_once(self) -> None:
        broken = [replace(found, state=State.FAILED, exit_code=1) for found in FULL]
        looks = seen("node1", *(container(found, ContainerState.EXITED, exit_code=1) for found in broken))
        given_world = world(
            jobs=[self.HIGH, job("low", 2, task=asks(2000))], tasks=broken, observed=[looks], preemption=True
        )
        assert len(stops(reconcile(given_world, ALGORITHMS["tight"]))) == 2


class TestTheNextWave:
    HIGH = job("high", task=asks(2000), priority=90)
    GONE = replace(
        low(0), state=State.COMPLETED, container=None, reason="preempted by high/main[0]", changed_at=NOW
    )

    def next_plan(self, *names: str) -> Plan:
        waiting = task(0, job="high", node=None, state=State.PENDING, spec=asks(2000), order=9)
        here = [seen(name, *([container(low(1))] if name == "node1" else [])) for name in names]
        jobs = [self.HIGH, job("low", 2, task=asks(2000))]
        given_world = world(jobs=jobs, tasks=[self.GONE, low(1), waiting], observed=here, preemption=True)
        return reconcile(given_world, ALGORITHMS["tight"])

    def test_gives_the_room_to_whom_it_was_made_for(self) -> None:
        """Not to the one that had it, though the rooms of exchanged tasks are their successors' own."""
        found = self.next_plan("node1")
        assert [str(place.slot) for place in found.actions if isinstance(place, Place)] == ["high/main[0]"]
        assert waits(found) == ["low/main[0] fits on none of 1 node"]

    def test_places_the_one_that_gave_way_elsewhere_and_says_why(self) -> None:
        places = [found for found in self.next_plan("node1", "node2").actions if isinstance(found, Place)]
        assert {str(found.slot) for found in places} == {"high/main[0]", "low/main[0]"}
        (moved,) = [found for found in places if found.slot.job == "low"]
        assert moved.reason.startswith("preempted by high/main[0]: best of")


class TestRoomThatIsBeingMade:
    def test_is_nobody_elses_meanwhile(self) -> None:
        """1000m are free, high needs them and those of low: small must not be put there."""
        jobs = (
            job("high", task=asks(4000), priority=90),
            job("low", task=asks(3000), priority=50),
            job("small", task=asks(1000), priority=40),
        )
        found = plan(*jobs, tasks=[low(0, cpu=3000)])
        assert stops(found) == ["low/main[0] preempted by high/main[0]"]
        assert not [action for action in found.actions if isinstance(action, Place)]

    def test_is_made_for_all_of_a_job_or_for_none(self) -> None:
        def whole(count: int) -> Plan:
            high = job("high", count, task=asks(2000), priority=90, all_or_nothing=True)
            return plan(high, job("low", 2, task=asks(2000), max_parallel=2), tasks=FULL)

        assert stops(whole(3)) == []
        assert len(stops(whole(2))) == 2


SIZE = 4000


@st.composite
def crowds(draw: st.DrawFn) -> tuple[NodeState, list[Tenant]]:
    """A node with some tasks of some priorities on it, and what it has promised to them."""
    sizes = draw(st.lists(st.integers(1, 20), max_size=8))
    priorities = draw(st.lists(st.integers(0, 9), min_size=len(sizes), max_size=len(sizes)))
    tasks = [low(index, cpu=size * 100) for index, size in enumerate(sizes)]
    promised = sum((found.spec.resources for found in tasks), Resources())
    capacity = Resources(cpu=max(SIZE, promised.cpu), memory=64 * GIB)
    tenants = [
        Tenant(task=found, priority=priority * 10, serves=True)
        for found, priority in zip(tasks, priorities, strict=True)
    ]
    counts = {("low", "main"): len(tasks)}
    return NodeState(node=node("node1"), capacity=capacity, promised=promised, tasks=counts), tenants


def request(cpu: int) -> Request:
    return Request(
        slot=Slot(job="high", group="main", index=0), demand=Demand(resources=Resources(cpu=cpu, memory=1))
    )


def fits(asked: Request, state: NodeState) -> bool:
    return not refusals_of(asked, state)


@given(crowds(), st.integers(1, 60).map(lambda hundreds: hundreds * 100))
def test_nobody_goes_in_vain_and_nobody_where_it_fits_anyway(
    crowd: tuple[NodeState, list[Tenant]], cpu: int
) -> None:
    """Minimal by inclusion; and found whenever there is anything to be found."""
    state, tenants = crowd
    asked = request(cpu)
    chosen = least(asked, state, tenants)
    if fits(asked, state) or not fits(asked, without(state, tenants)):
        assert chosen == ()
        return
    assert fits(asked, without(state, chosen))
    for one in chosen:
        assert not fits(asked, without(state, [other for other in chosen if other is not one]))


@given(crowds(), st.integers(1, 60).map(lambda hundreds: hundreds * 100))
def test_nobody_goes_who_matters_more_than_they_must(crowd: tuple[NodeState, list[Tenant]], cpu: int) -> None:
    """Without anybody as important as the most important that goes, it would not fit."""
    state, tenants = crowd
    chosen = least(request(cpu), state, tenants)
    if chosen:
        worst = max(one.priority for one in chosen)
        lesser = [one for one in tenants if one.priority < worst]
        assert not fits(request(cpu), without(state, lesser))


@given(
    crowds(),
    st.integers(1, 60).map(lambda hundreds: hundreds * 100),
    st.integers(0, 100),
    st.integers(0, 3),
)
def test_no_one_gives_way_to_who_matters_less_nor_more_than_a_group_can_spare(
    crowd: tuple[NodeState, list[Tenant]], cpu: int, priority: int, spare: int
) -> None:
    state, tenants = crowd
    group = ("low", "main")
    found = room_for(request(cpu), priority, {"node1": state}, Crowd(tenants={"node1": tenants}))
    if found is not None:
        assert all(one.priority + GAP <= priority for one in found.tenants)
        assert fits(request(cpu), without(state, found.tenants))
        assert len(going_now([found], {group: spare})) == min(spare, len(found.tenants))
