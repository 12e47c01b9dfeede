"""Laws of the plan, for any world that hypothesis can think of."""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from cube.model.action import Place, Plan, Start, Stop, Wait
from cube.model.job import Job, Port, TaskSpec
from cube.model.observation import Container, ContainerState, Seen
from cube.model.resources import Resources
from cube.model.task import State, Task
from cube.reconciler.buckets import Bucket, sort_tasks
from cube.reconciler.reconcile import reconcile
from cube.reconciler.wants import wants_of
from cube.reconciler.world import World
from cube.scheduler.algorithms import ALGORITHMS, Scheduler
from tests.build import GIB, container, foreign, job, node, seen, spec, task, unknown, world

NODES = ("node1", "node2", "node3")
SPECS = (
    spec("app:1"),
    spec("app:2"),
    TaskSpec(image="big:1", resources=Resources(cpu=2500, memory=GIB)),
    spec("web:1", ports=(Port(name="http", container=80, host=8080),)),
)

jobs = st.builds(
    job,
    st.sampled_from(("web", "api")),
    st.integers(0, 4),
    task=st.sampled_from(SPECS),
    stopped=st.booleans(),
    priority=st.integers(0, 100),
    max_parallel=st.integers(1, 3),
    version=st.just(2),
)

tasks = st.builds(
    task,
    st.integers(0, 4),
    job=st.sampled_from(("web", "api", "gone")),
    node=st.sampled_from((*NODES, "left")),
    state=st.sampled_from(State),
    spec=st.sampled_from(SPECS),
    restarts=st.integers(0, 3),
)


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """Any mixture of jobs, records and what is really there."""
    wanted = {found.name: found for found in draw(st.lists(jobs, max_size=2))}
    drawn = {found.slot: found for found in draw(st.lists(tasks, max_size=8))}
    recorded = [
        replace(
            found,
            id=f"task-{number:08}",
            order=number,
            node=None if found.state is State.PENDING else found.node,
        )
        for number, found in enumerate(drawn.values())
    ]
    observed = [
        unknown(name)
        if draw(st.booleans()) and draw(st.booleans())
        else seen(name, foreign(), *draw(_containers(recorded, name)))
        for name in NODES
    ]
    return world(jobs=wanted.values(), tasks=recorded, observed=observed)


@st.composite
def _containers(draw: st.DrawFn, recorded: list[Task], name: str) -> list[Container]:
    there = [found for found in recorded if found.node == name and draw(st.booleans())]
    states = st.sampled_from((ContainerState.RUNNING, ContainerState.RUNNING, ContainerState.EXITED))
    held = [container(found, draw(states), exit_code=1) for found in there]
    late = [container(task(9, id="late-0000", job="web"))] if draw(st.booleans()) else []
    return [*held, *late]


@given(worlds(), st.sampled_from(tuple(ALGORITHMS.values())))
def test_the_same_world_gives_the_same_plan(given_world: World, scheduler: Scheduler) -> None:
    assert reconcile(given_world, scheduler) == reconcile(given_world, scheduler)


@given(worlds())
def test_every_task_is_in_exactly_one_bucket(given_world: World) -> None:
    buckets = sort_tasks(given_world, wants_of(given_world)).buckets
    assert sorted(found.id for bucket in Bucket for found in buckets[bucket]) == sorted(
        found.id for found in given_world.tasks
    )


@given(worlds())
def test_nothing_is_done_to_a_node_that_is_unknown_p3(given_world: World) -> None:
    touched = {action.node for action in _plan(given_world).changes}
    assert touched <= {name for name, found in given_world.observed.items() if isinstance(found, Seen)}


@given(worlds())
def test_only_containers_of_this_store_are_stopped_p5(given_world: World) -> None:
    ours = {
        found.id
        for look in given_world.observed.values()
        if isinstance(look, Seen)
        for found in look.containers
        if given_world.is_ours(found)
    }
    assert {action.container for action in _plan(given_world).actions if isinstance(action, Stop)} <= ours


@given(worlds())
def test_no_slot_is_acted_on_twice_by_one_plan_p4(given_world: World) -> None:
    filled = [
        action.slot if isinstance(action, Place | Wait) else action.task.slot
        for action in _plan(given_world).actions
        if isinstance(action, Place | Wait | Start)
    ]
    assert len(filled) == len(set(filled))


@given(worlds())
def test_placements_never_exceed_what_is_wanted(given_world: World) -> None:
    wants = wants_of(given_world)
    assert {action.slot for action in _plan(given_world).actions if isinstance(action, Place)} <= set(wants)


@given(worlds())
def test_a_stopped_job_is_only_stopped_p20(given_world: World) -> None:
    halted = [replace(found, stopped=True) for found in given_world.jobs]
    plan = _plan(replace(given_world, jobs=tuple(halted)))
    assert not [action for action in plan.actions if isinstance(action, Place | Start | Wait)]


@given(worlds())
def test_a_node_is_never_promised_more_than_it_has_p13(given_world: World) -> None:
    promised = {name: Resources() for name in NODES}
    held = [found for found in given_world.tasks if found.state not in (State.PENDING, State.COMPLETED)]
    for found in held:
        if found.node in promised:
            promised[found.node] += found.spec.resources
    for action in _plan(given_world).actions:
        if isinstance(action, Place):
            promised[action.node] += action.spec.resources
            assert promised[action.node].cpu <= 4000
            assert promised[action.node].memory <= 8 * GIB


@given(worlds())
def test_a_running_task_with_the_right_spec_stays_where_it_is_p7(given_world: World) -> None:
    wants = wants_of(given_world)
    buckets = sort_tasks(given_world, wants).buckets
    kept = {found.id for found in (*buckets[Bucket.KEPT], *buckets[Bucket.UNKNOWN])}
    stopped = {
        action.task.id for action in _plan(given_world).actions if isinstance(action, Stop) and action.task
    }
    assert not kept & stopped


@settings(max_examples=50)
@given(st.lists(jobs, max_size=2, unique_by=lambda found: found.name))
def test_the_order_of_nodes_in_the_answer_does_not_matter(wanted: list[Job]) -> None:
    looks = [seen(name) for name in NODES]
    plans = {
        tuple(
            (str(action.slot), action.node)
            for action in _plan(given_world).actions
            if isinstance(action, Place)
        )
        for given_world in (
            world(jobs=wanted, observed=looks, nodes=[node(name) for name in NODES]),
            world(jobs=wanted, observed=reversed(looks), nodes=[node(name) for name in NODES]),
        )
    }
    assert len(plans) == 1


def _plan(given_world: World) -> Plan:
    return reconcile(given_world, ALGORITHMS["spread"])
