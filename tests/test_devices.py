"""Devices: each is one task's alone, from its placement until nobody can hold it any more."""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cube.model.action import Place, Plan, Stop, Wait
from cube.model.job import Job
from cube.model.labels import devices_of as labelled
from cube.model.labels import labels_of
from cube.model.task import State, Task
from cube.reconciler.reconcile import reconcile
from cube.scheduler.algorithms import ALGORITHMS
from cube.store.replay import tasks_at
from cube.store.store import open_store
from cube.worker.container import devices_of
from tests.build import NOW, container, job, node, seen, spec, task, world

GPUS = ("GPU-a", "GPU-b", "GPU-c")
NODE = node("node1", devices={"gpu": GPUS, "modem": ("/dev/ttyUSB0",)})
ONE = spec(devices={"gpu": 1})


def plan(*jobs: Job, tasks: Sequence[Task] = ()) -> Plan:
    observed = [seen("node1", *(container(each) for each in tasks if each.state is State.RUNNING))]
    found = world(jobs=jobs, tasks=tasks, observed=observed)
    return reconcile(replace(found, nodes={"node1": NODE}), ALGORITHMS["tight"])


def given_to(found: Plan) -> list[tuple[str, ...]]:
    return [place.devices["gpu"] for place in found.actions if isinstance(place, Place)]


def test_each_new_task_gets_its_own() -> None:
    assert given_to(plan(job(count=3, task=ONE))) == [("GPU-a",), ("GPU-b",), ("GPU-c",)]


def test_what_fits_on_no_node_says_what_it_lacks() -> None:
    found = plan(job(count=2, task=spec(devices={"gpu": 2})))
    assert given_to(found) == [("GPU-a", "GPU-b")]
    (wait,) = [action for action in found.actions if isinstance(action, Wait)]
    assert [refusal.reason for refusal in wait.decision.refusals] == ["gpu: 2 asked, 1 free"]


@pytest.mark.parametrize("state", [State.SCHEDULED, State.RUNNING, State.FAILED])
def test_those_of_a_task_that_may_still_run_are_nobody_elses_p3(state: State) -> None:
    held = task(spec=ONE, devices={"gpu": ("GPU-a",)}, state=state, healthy_since=NOW - 1000)
    assert given_to(plan(job(task=ONE), job("other", task=ONE), tasks=[held])) == [("GPU-b",)]


def test_an_update_takes_the_device_from_the_old_task_first() -> None:
    every = {"gpu": GPUS}
    old = task(spec=spec(devices={"gpu": 3}), devices=every, healthy_since=NOW - 1000)
    new = job(task=spec("app:2", devices={"gpu": 3}), version=2)
    assert [type(action) for action in plan(new, tasks=[old]).actions] == [Stop]
    ended = replace(old, state=State.COMPLETED, reason="version 2 is wanted")
    assert given_to(plan(new, tasks=[ended])) == [GPUS]


@given(st.lists(st.integers(1, 2), max_size=6))
def test_no_device_is_ever_given_twice(counts: list[int]) -> None:
    jobs = [job(f"job{number}", task=spec(devices={"gpu": asked})) for number, asked in enumerate(counts)]
    names = [name for given_names in given_to(plan(*jobs)) for name in given_names]
    assert len(set(names)) == len(names) <= len(GPUS)


def test_the_engine_is_asked_for_files_cdi_devices_and_gpus() -> None:
    asked = devices_of(task(devices={"gpu": ("GPU-a", "nvidia.com/gpu=1"), "modem": ("/dev/ttyUSB0",)}))
    assert asked["Devices"] == [
        {"PathOnHost": "/dev/ttyUSB0", "PathInContainer": "/dev/ttyUSB0", "CgroupPermissions": "rwm"}
    ]
    assert asked["DeviceRequests"] == [
        {"Driver": "cdi", "DeviceIDs": ["nvidia.com/gpu=1"], "Capabilities": []},
        {"DeviceIDs": ["GPU-a"], "Capabilities": [["gpu"]]},
    ]


def test_the_store_its_events_and_the_container_remember_them() -> None:
    """Recovered, and looked up as of last Tuesday, a task has the same."""
    with closing(open_store(":memory:")) as store:
        wanted = store.put_job(job(task=ONE), now=NOW, actor="ann", reason="deployed")
        store.record_plan(plan(wanted), now=NOW, actor="ann")
        (recorded,) = store.current_tasks()
        (past,) = tasks_at(store.events())
    assert recorded.devices == past.devices == {"gpu": ("GPU-a",)}
    assert labelled(labels_of(recorded, cluster="c", owner="o", epoch=1)) == recorded.devices
