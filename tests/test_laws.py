"""Laws of the plan, for any world that hypothesis can think of."""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from cube.model.action import Note, Place, Plan, Quarantine, Start, Stop, Wait
from cube.model.job import Job, JobType, Port, TaskSpec, Volume
from cube.model.node import Cordon, Silence
from cube.model.observation import Container, ContainerState, Seen
from cube.model.policy import OnUnhealthy, Order
from cube.model.resources import Resources
from cube.model.rollout import Rollout, RolloutState
from cube.model.task import Health, State, Task
from cube.reconciler.buckets import Bucket, sort_tasks
from cube.reconciler.reconcile import reconcile
from cube.reconciler.tasks import serves
from cube.reconciler.wants import wants_of
from cube.reconciler.world import World
from cube.scheduler.algorithms import ALGORITHMS, Scheduler
from tests.build import GIB, NOW, container, foreign, job, node, seen, spec, task, unknown, world

NODES = ("node1", "node2", "node3")
LONG = st.sampled_from((0.0, 1000.0))
SPECS = (
    spec("app:1"),
    spec("app:2"),
    TaskSpec(image="big:1", resources=Resources(cpu=2500, memory=GIB)),
    spec("web:1", ports=(Port(name="http", container=80, host=8080),)),
    spec("db:1", volumes=(Volume(source="data", target="/data"),)),
    spec("db:2", volumes=(Volume(source="data", target="/data"),)),
)

jobs = st.builds(
    job,
    st.sampled_from(("web", "api")),
    st.integers(0, 4),
    task=st.sampled_from(SPECS),
    stopped=st.booleans(),
    priority=st.integers(0, 100),
    max_parallel=st.integers(1, 3),
    canary=st.integers(0, 1),
    order=st.sampled_from(Order),
    on_unhealthy=st.sampled_from(OnUnhealthy),
    type=st.sampled_from((JobType.SERVICE, JobType.SERVICE, JobType.BATCH, JobType.SYSTEM)),
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
    health=st.sampled_from(Health),
    changed_at=st.sampled_from((NOW - 1, NOW - 100, NOW - 5000)),
    quarantined_until=st.sampled_from((None, None, None, NOW - 1, NOW + 1)),
)

rollouts = st.builds(
    Rollout,
    job=st.just("web"),
    version=st.just(2),
    since=st.just(NOW - 100),
    state=st.sampled_from(RolloutState),
    promoted=st.booleans(),
    stable=st.sampled_from((None, 1)),
)
cordons = st.builds(
    Cordon,
    node=st.sampled_from(NODES),
    at=st.just(NOW - 100),
    actor=st.just("ann"),
    draining=st.booleans(),
    deadline=st.sampled_from((None, NOW - 1, NOW + 100)),
    leave_data=st.booleans(),
)


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """Any mixture of jobs, records and what is really there."""
    wanted = {found.name: found for found in draw(st.lists(jobs, max_size=2))}
    drawn = draw(st.lists(tasks, max_size=8, unique_by=lambda found: (found.slot, found.node)))
    recorded = [
        replace(
            found,
            id=f"task-{number:08}",
            order=number,
            node=None if found.state is State.PENDING else found.node,
            quarantined_until=found.quarantined_until if found.state is State.FAILED else None,
        )
        for number, found in enumerate(_one_pending_of_a_slot(drawn))
    ]
    observed = [
        unknown(name)
        if draw(st.booleans()) and draw(st.booleans())
        else seen(name, foreign(), *draw(_containers(recorded, name)))
        for name in NODES
    ]
    silent = [found.node for found in observed if not isinstance(found, Seen)]
    return world(
        jobs=wanted.values(),
        tasks=recorded,
        observed=observed,
        rollouts=[replace(draw(rollouts), job=name) for name in wanted if draw(st.booleans())],
        cordons=draw(st.lists(cordons, max_size=1)),
        silences=[Silence(node=name, at=NOW, misses=5, seconds=draw(LONG)) for name in silent],
    )


def _one_pending_of_a_slot(drawn: list[Task]) -> list[Task]:
    """As the store holds them."""
    first = {found.slot: found for found in reversed(drawn) if found.state is State.PENDING}
    return [found for found in drawn if found.state is not State.PENDING or first[found.slot] is found]


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
    filled = [action.slot for action in _plan(given_world).actions if isinstance(action, Place | Wait)]
    assert len(filled) == len(set(filled))


@given(worlds())
def test_no_task_is_acted_on_twice_by_one_plan(given_world: World) -> None:
    """One turn is one wave: no action may build on another."""
    touched = [
        action.task.id
        for action in _plan(given_world).actions
        if isinstance(action, Start | Stop | Quarantine | Note) and action.task is not None
    ]
    again = [found for found in set(touched) if touched.count(found) > 1]
    noted = {action.task.id for action in _plan(given_world).actions if isinstance(action, Note)}
    assert set(again) <= noted


@given(worlds())
def test_no_serving_task_goes_while_its_slot_has_no_proven_successor_and_its_rollout_is_held_p19(
    given_world: World,
) -> None:
    wants = wants_of(given_world)
    held = {name for name, found in given_world.rollouts.items() if found.state.is_held}
    kept = [
        found
        for found in sort_tasks(given_world, wants).of(Bucket.KEPT, Bucket.BESIDE)
        if found.slot.job in held and serves(found, given_world)
    ]
    ended = {
        action.task.id for action in _plan(given_world).changes if isinstance(action, Stop) and action.task
    }
    assert not ended & {found.id for found in kept}


@given(worlds())
def test_an_update_never_takes_more_slots_out_of_service_than_the_job_allows_p19(given_world: World) -> None:
    wants = wants_of(given_world)
    buckets = sort_tasks(given_world, wants)
    drained = {name for name in NODES if (given_world.drain_deadline(name) or NOW) < NOW}
    stopped = {
        action.task.id for action in _plan(given_world).changes if isinstance(action, Stop) and action.task
    }
    for found in given_world.jobs:
        (group,) = found.groups
        going = [
            task
            for task in buckets.of(Bucket.OUTDATED)
            if task.slot.job == found.name and task.id in stopped and serves(task, given_world)
        ]
        assert len([task for task in going if task.node not in drained]) <= group.update.max_parallel


@given(worlds())
def test_what_was_quarantined_or_lost_is_not_touched_before_its_time(given_world: World) -> None:
    buckets = sort_tasks(given_world, wants_of(given_world))
    left = {found.id for found in buckets.of(Bucket.QUARANTINED, Bucket.LOST, Bucket.UNKNOWN)}
    touched = {
        action.task.id
        for action in _plan(given_world).changes
        if isinstance(action, Start | Stop | Quarantine) and action.task is not None
    }
    assert not left & touched


@given(worlds())
def test_placements_never_exceed_what_is_wanted(given_world: World) -> None:
    wants = wants_of(given_world)
    assert {action.slot for action in _plan(given_world).actions if isinstance(action, Place)} <= set(wants)


@given(worlds())
def test_no_slot_begins_anew_elsewhere_while_its_data_may_be_where_it_was(given_world: World) -> None:
    last = {found.slot: found for found in sorted(given_world.tasks, key=lambda found: found.order)}
    system = {found.name for found in given_world.jobs if found.type is JobType.SYSTEM}
    given_up = {name for name, cordon in given_world.cordons.items() if cordon.leave_data}
    for action in _plan(given_world).actions:
        if isinstance(action, Place) and action.slot in last and action.slot.job not in system:
            before = last[action.slot]
            is_free = not (before.spec.volumes and action.spec.volumes) or before.node in given_up
            assert is_free or action.node == before.node


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
    kept = {
        found.id
        for found in (*buckets[Bucket.KEPT], *buckets[Bucket.UNKNOWN])
        if found.health is not Health.UNHEALTHY
    }
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


@st.composite
def settled_worlds(draw: st.DrawFn) -> World:
    """Every slot of every job has one task, of its spec, that runs and is well."""
    wanted = [
        found
        for found in draw(st.lists(jobs, max_size=2, unique_by=lambda found: found.name))
        if found.type is JobType.SERVICE
    ]
    recorded = [
        task(
            index,
            job=found.name,
            id=f"{found.name}-{index:04}",
            node=draw(st.sampled_from(NODES)),
            spec=found.groups[0].spec,
            version=draw(st.integers(1, 2)),
        )
        for found in wanted
        if not found.stopped
        for index in range(found.groups[0].count)
    ]
    numbered = [replace(found, order=number) for number, found in enumerate(recorded, start=1)]
    looks = [
        seen(name, foreign(), *(container(found) for found in numbered if found.node == name))
        for name in NODES
    ]
    done = [Rollout(job=found.name, version=2, since=NOW, state=RolloutState.SUCCEEDED) for found in wanted]
    return world(jobs=wanted, tasks=numbered, observed=looks, rollouts=done)


@given(settled_worlds())
def test_the_plan_of_a_settled_fleet_is_empty_p10(given_world: World) -> None:
    assert _plan(given_world) == Plan()


@given(worlds(), st.sampled_from(tuple(ALGORITHMS.values())))
def test_no_job_is_given_more_tasks_than_its_count_and_what_may_run_beside(
    given_world: World, scheduler: Scheduler
) -> None:
    """Nomad's first law of its reconciler: placements never exceed the count, and the updates under way."""
    places = [action for action in reconcile(given_world, scheduler).actions if isinstance(action, Place)]
    for found in given_world.jobs:
        (group,) = found.groups
        mine = [place for place in places if place.slot.job == found.name]
        count = len(NODES) if found.type is JobType.SYSTEM else group.count
        assert len(mine) <= (0 if found.stopped else count)
