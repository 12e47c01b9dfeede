"""`cube recover`: what the labels tell is what the store had known (P7, P20)."""

from dataclasses import replace

import hypothesis.strategies as st
import pytest
from hypothesis import given

from cube.errors import InputError
from cube.manager.recover import Relic, chosen_owner, ports_of, refuse_a_store_in_use, restored
from cube.manager.wanted import dispatched
from cube.model.action import Decision, Place, Plan, Start
from cube.model.job import Job, JobType, Parameters, Port, Schedule
from cube.model.labels import bodies_of, devices_of, identity_of, job_of, labels_of, parent_of, spec_of
from cube.model.task import Slot, State, Task
from cube.reconciler.periodic import run_of
from cube.reconciler.reconcile import reconcile
from cube.scheduler.algorithms import ALGORITHMS
from cube.store.store import open_store
from cube.worker.container import Claim, container_config
from tests.build import CLUSTER, NOW, OWNER, container, job, seen, spec, task, world


def relic(
    of: Task,
    written: Job | None,
    *,
    owner: str = OWNER,
    epoch: int = 1,
    parent: Job | None = None,
    **changes: object,
) -> Relic:
    """The task's container as `gather` finds it, by way of its labels."""
    labels = labels_of(of, cluster=CLUSTER, owner=owner, epoch=epoch) | bodies_of(written, parent)
    identity = identity_of(labels)
    assert identity is not None
    found = Relic(
        node=of.node or "",
        container=f"container-of-{of.id}",
        name=of.container_name,
        is_alive=True,
        created_at=of.created_at,
        identity=identity,
        spec=spec_of(labels),
        job=job_of(labels),
        parent=parent_of(labels),
        ports=of.ports,
        devices=devices_of(labels),
    )
    return replace(found, **changes)  # type: ignore[arg-type]


@given(
    counts=st.dictionaries(st.sampled_from(["api", "db", "web"]), st.integers(1, 4), min_size=1),
    versions=st.lists(st.integers(1, 9), min_size=4, max_size=4),
)
def test_jobs_and_tasks_come_back_as_they_were_p7(counts: dict[str, int], versions: list[int]) -> None:
    tasks = [
        task(index, job=name, version=versions[index], node=f"node{index}")
        for name, count in counts.items()
        for index in range(count)
    ]
    relics = [relic(found, job(found.slot.job, 9, version=found.version)) for found in tasks]
    rebuilt = restored(relics, OWNER, now=NOW).restored
    assert {found.name: found.groups[0].count for found in rebuilt.jobs} == counts
    for found in rebuilt.jobs:
        assert found.version == max(each.version for each in tasks if each.slot.job == found.name)
    assert {(each.id, each.slot, each.node, each.version, each.spec.digest) for each in rebuilt.tasks} == {
        (each.id, each.slot, each.node, each.version, each.spec.digest) for each in tasks
    }
    assert {each.state for each in rebuilt.tasks} == {State.SCHEDULED}


def test_the_loop_finds_a_recovered_fleet_running_and_touches_nothing_p7() -> None:
    """Through the real store and the real reconciler."""
    tasks = [task(index, node=f"node{index}") for index in range(3)]
    found = restored([relic(each, job(count=3)) for each in tasks], OWNER, now=NOW).restored
    store = open_store(":memory:")
    store.restore(found, now=NOW, actor="test")
    assert store.owner == OWNER
    looks = [seen(f"node{index}", container(each)) for index, each in enumerate(tasks)]
    before = world(jobs=store.jobs(), tasks=store.current_tasks(), observed=looks)
    plan = reconcile(replace(before, rollouts=store.rollouts()), ALGORITHMS["spread"])
    assert plan.changes == ()
    assert [action.target for action in plan.actions] == [State.RUNNING] * 3  # type: ignore[union-attr]
    store.close()


def test_a_count_that_differs_from_the_labels_is_said() -> None:
    found = restored([relic(task(0), job(count=3))], OWNER, now=NOW)
    assert found.restored.jobs[0].groups[0].count == 1
    assert found.notes == ("web/main: 1 tasks, as many as were seen; its containers say 3",)


def test_while_nodes_are_silent_no_count_is_lowered() -> None:
    found = restored([relic(task(0), job(count=3))], OWNER, now=NOW, is_partial=True)
    assert found.restored.jobs[0].groups[0].count == 3


def test_several_owners_are_refused_until_one_is_chosen_p5() -> None:
    relics = [relic(task(0), job()), relic(task(1), job(), owner="owner-2")]
    with pytest.raises(InputError, match="several stores"):
        chosen_owner(relics, None)
    assert chosen_owner(relics, "owner-2") == "owner-2"
    found = restored(relics, "owner-2", now=NOW).restored
    assert [each.slot.index for each in found.tasks] == [1]


def test_nothing_found_is_refused() -> None:
    with pytest.raises(InputError, match="no container of this cluster"):
        chosen_owner([], None)


def test_the_newest_epoch_is_kept() -> None:
    relics = [relic(task(0), job(), epoch=2), relic(task(1), job(), epoch=5)]
    assert restored(relics, OWNER, now=NOW).restored.epoch == 5


def test_what_a_run_is_a_run_of_comes_back_as_it_was_p20() -> None:
    """Whatever values it was dispatched with: the defaults of its job are not theirs."""
    width = {"CUBE_PARAM_WIDTH": "640"}
    resize = job("resize", task=spec(env=width), type=JobType.PARAMETERIZED, version=3)
    resize = replace(resize, parameters=Parameters(required=("path",), optional=("width",)))
    run = replace(dispatched(resize, {"path": "/a", "width": "9"}, now=NOW), name="resize.1", version=1)
    store = open_store(":memory:")
    found = restored([relic(task(0, job=run.name), run, parent=resize)], OWNER, now=NOW)
    store.restore(found.restored, now=NOW, actor="test")
    assert {known.name: known for known in store.jobs()} == {"resize": resize, "resize.1": run}
    assert found.notes == ("job resize: as it was when its last run began",)
    store.close()


def test_the_start_of_a_run_carries_what_it_is_a_run_of_p20() -> None:
    store = open_store(":memory:")
    nightly = replace(job("nightly"), type=JobType.PERIODIC, schedule=Schedule(cron="0 2 * * *"))
    nightly = store.put_job(nightly, now=NOW, actor="test", reason="deployed")
    run = store.put_job(run_of(nightly, "a", NOW), now=NOW, actor="test", reason="due")
    place = Place(
        slot=Slot(job=run.name, group="main", index=0),
        version=run.version,
        spec=spec(),
        node="node1",
        ports={},
        decision=Decision(scores={}),
        reason="wanted",
    )
    (start,) = store.record_plan(Plan(actions=(place,)), now=NOW, actor="test")
    assert isinstance(start, Start)
    assert (start.job, start.parent) == (run, nightly)
    store.close()


def test_a_run_whose_job_no_label_tells_is_said() -> None:
    run = replace(job("resize.1"), type=JobType.BATCH, parent="resize", launched=NOW)
    found = restored([relic(task(0, job=run.name), run)], OWNER, now=NOW)
    assert [known.name for known in found.restored.jobs] == ["resize.1"]
    assert "what it is a run of, resize, is not known" in found.notes[0]


def test_of_what_an_older_cube_made_a_periodic_job_is_rebuilt_from_its_last_run() -> None:
    nightly = replace(job("nightly"), type=JobType.PERIODIC, schedule=Schedule(cron="0 2 * * *"))
    runs = [run_of(nightly, name, at) for name, at in (("a", NOW - 86400), ("b", NOW))]
    relics = [relic(task(0, job=run.name), run) for run in runs]
    jobs = {found.name: found for found in restored(relics, OWNER, now=NOW).restored.jobs}
    assert set(jobs) == {"nightly", "nightly.a", "nightly.b"}
    assert (jobs["nightly"].type, jobs["nightly"].parent) == (JobType.PERIODIC, None)


def test_what_an_older_cube_made_and_has_ended_is_not_begun_again() -> None:
    found = restored([relic(task(0), None, is_alive=False)], OWNER, now=NOW).restored.jobs[0]
    assert (found.type, found.groups[0].restart.attempts) == (JobType.BATCH, 0)


def test_what_is_in_quarantine_is_left_out_and_said() -> None:
    sick = relic(task(0), job(), name="cube-web-main-0-x-quarantined")
    found = restored([sick, relic(task(0), job())], OWNER, now=NOW)
    assert len(found.restored.tasks) == 1
    assert "quarantine" in found.notes[0]


def test_ports_come_back_from_what_the_engine_was_asked_for() -> None:
    asked = spec(ports=(Port(name="http", container=80), Port(name="admin", container=80)))
    placed = task(spec=asked, ports={"http": 20000, "admin": 20001})
    config = container_config(placed, Claim(cluster=CLUSTER, owner=OWNER, epoch=1))
    assert ports_of(asked, config) == {"http": 20000, "admin": 20001}


def test_a_store_in_use_is_not_written_over() -> None:
    store = open_store(":memory:")
    refuse_a_store_in_use(store)
    store.put_job(job(), now=NOW, actor="test", reason="deployed")
    with pytest.raises(InputError, match="not lost"):
        refuse_a_store_in_use(store)
    store.close()


@given(text=st.text(max_size=200))
def test_a_label_that_somebody_forged_is_refused_with_an_error_that_is_caught_p17(text: str) -> None:
    with pytest.raises((KeyError, TypeError, ValueError)):
        job_of({"cube.body": text})
