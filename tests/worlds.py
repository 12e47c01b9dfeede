"""Worlds for the laws of the plan: any that hypothesis can think of, and such that nothing is left to do."""

from dataclasses import replace

from hypothesis import strategies as st

from cube.model.job import Group, Job, JobType, Port, TaskSpec, Volume
from cube.model.node import Cordon, Silence
from cube.model.observation import Container, ContainerState, Seen
from cube.model.policy import Condition, OnUnhealthy, Order
from cube.model.resources import Resources
from cube.model.rollout import Rollout, RolloutState
from cube.model.task import Health, State, Task
from cube.reconciler.world import World
from tests.build import GIB, NOW, container, foreign, job, seen, spec, task, unknown, world

NODES = ("node1", "node2", "node3")
LONG = st.sampled_from((0.0, 1000.0))
MOSTLY = st.sampled_from((True, True, True, False))
SPECS = (
    spec("app:1"),
    spec("app:2"),
    TaskSpec(image="big:1", resources=Resources(cpu=2500, memory=GIB)),
    spec("web:1", ports=(Port(name="http", container=80, host=8080),)),
    spec("db:1", volumes=(Volume(source="data", target="/data"),)),
    spec("db:2", volumes=(Volume(source="data", target="/data"),)),
)

jobs_of_one_group = st.builds(
    job,
    st.sampled_from(("web", "api")),
    st.integers(0, 4),
    task=st.sampled_from(SPECS),
    stopped=st.sampled_from((False, False, False, True)),
    priority=st.integers(0, 100),
    max_parallel=st.integers(1, 3),
    canary=st.integers(0, 1),
    order=st.sampled_from(Order),
    on_unhealthy=st.sampled_from(OnUnhealthy),
    type=st.sampled_from((JobType.SERVICE, JobType.SERVICE, JobType.BATCH, JobType.SYSTEM)),
    version=st.just(2),
)

OTHERS = (
    (Group(name="base", spec=SPECS[0], count=2), Condition.HEALTHY),
    (Group(name="base", spec=SPECS[3]), Condition.HEALTHY),
    (Group(name="prepare", spec=SPECS[0], count=2, type=JobType.BATCH), Condition.COMPLETED),
    (Group(name="prepare", spec=SPECS[2], type=JobType.BATCH), Condition.COMPLETED),
)
"""Groups that another one waits for, and until when."""


@st.composite
def jobs_of_two_groups(draw: st.DrawFn) -> Job:
    """A service whose first group waits for the second one."""
    found = draw(jobs_of_one_group)
    (main,) = found.groups
    other, condition = draw(st.sampled_from(OTHERS))
    groups = (replace(main, depends_on={other.name: condition}), other)
    return replace(found, type=JobType.SERVICE, groups=groups)


jobs = st.one_of(jobs_of_one_group, jobs_of_one_group, jobs_of_one_group, jobs_of_two_groups())


def _in_any_group(found: Task, group: str) -> Task:
    return replace(found, slot=replace(found.slot, group=group))


tasks = st.builds(
    _in_any_group,
    st.builds(
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
    ),
    st.sampled_from(("main", "main", "main", "base", "prepare")),
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
def worlds(draw: st.DrawFn, of: st.SearchStrategy[Job] = jobs) -> World:
    """Any mixture of jobs, records and what is really there; some jobs have what they want, or nearly so."""
    wanted = {found.name: found for found in draw(st.lists(of, max_size=2))}
    settled = [
        found
        for asked in wanted.values()
        if not asked.stopped and draw(MOSTLY)
        for found in draw(_settled_tasks(draw(_now_or_before(asked))))
        if draw(MOSTLY)
    ]
    others = draw(st.lists(tasks, max_size=8))
    drawn = list({(found.slot, found.node): found for found in (*others, *settled)}.values())
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


def _now_or_before(of: Job) -> st.SearchStrategy[Job]:
    """The job as it is, or as it was before an update of its first group."""
    main, *others = of.groups
    before = [replace(of, groups=(replace(main, spec=old), *others)) for old in SPECS]
    return st.sampled_from((*[of] * len(before), *before))


def _one_pending_of_a_slot(drawn: list[Task]) -> list[Task]:
    """As the store holds them."""
    first = {found.slot: found for found in reversed(drawn) if found.state is State.PENDING}
    return [found for found in drawn if found.state is not State.PENDING or first[found.slot] is found]


@st.composite
def _containers(draw: st.DrawFn, recorded: list[Task], name: str) -> list[Container]:
    there = [found for found in recorded if found.node == name and draw(MOSTLY)]
    states = st.sampled_from((*[ContainerState.RUNNING] * 4, ContainerState.EXITED))
    held = [container(found, draw(states), exit_code=1) for found in there]
    late = [container(task(9, id="late-0000", job="web"))] if draw(st.booleans()) else []
    return [*held, *late]


@st.composite
def settled_worlds(draw: st.DrawFn) -> World:
    """Every slot of every job has one task, of its spec: it runs and is well, or has done its work."""
    wanted = draw(st.lists(jobs, max_size=2, unique_by=lambda found: found.name))
    recorded = [
        replace(found, version=draw(st.integers(1, 2)))
        for of in wanted
        if not of.stopped
        for found in draw(_settled_tasks(of))
    ]
    numbered = [replace(found, order=number) for number, found in enumerate(recorded, start=1)]
    looks = [
        seen(name, foreign(), *(_settled_container(found) for found in numbered if found.node == name))
        for name in NODES
    ]
    done = [Rollout(job=found.name, version=2, since=NOW, state=RolloutState.SUCCEEDED) for found in wanted]
    return world(jobs=wanted, tasks=numbered, observed=looks, rollouts=done)


@st.composite
def _settled_tasks(draw: st.DrawFn, of: Job) -> list[Task]:
    """A service's run anywhere, a system job's one on each node, and a batch's are done or still at work."""
    return [found for group in of.groups for found in draw(_settled_group(of, group))]


@st.composite
def _settled_group(draw: st.DrawFn, of: Job, group: Group) -> list[Task]:
    is_system, is_batch = of.type is JobType.SYSTEM, of.type_of(group) is JobType.BATCH
    homes = list(NODES) if is_system else [draw(st.sampled_from(NODES)) for _ in range(group.count)]
    states = (State.RUNNING, State.COMPLETED) if is_batch else (State.RUNNING,)
    found = [
        task(
            index,
            job=of.name,
            id=f"{of.name}-{group.name}-{index:04}",
            node=home,
            spec=group.spec,
            state=draw(st.sampled_from(states)),
        )
        for index, home in enumerate(homes)
    ]
    placed = [_in_any_group(each, group.name) for each in found]
    return [replace(each, exit_code=0) if each.state is State.COMPLETED else each for each in placed]


def _settled_container(of: Task) -> Container:
    is_done = of.state is State.COMPLETED
    return container(of, ContainerState.EXITED, exit_code=0) if is_done else container(of)
