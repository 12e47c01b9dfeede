"""The wire format of the book over a real socket: every field with its value, every state by its number."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from cube.book.schema import STATES, ZERO
from cube.model.task import State, Task
from tests.build import GIB
from tests.stage import BOOK_EVENT, TASK, staged
from tests.test_api import Api, api_over

MIB = 2**20
NEVER = "0001-01-01T00:00:00Z"


@pytest.fixture
def api() -> Iterator[Api]:
    with staged(among=("node1",)) as stage, api_over(stage) as found:
        yield found


def asked(api: Api, number: int, **task: Any) -> str:
    """The ID of a task that was posted, with as little as a client may write."""
    identity = f"00000000-0000-4000-8000-{number:012}"
    event = {"ID": identity, "State": 2, "Task": {"ID": identity, "State": 1, "Image": "app:1", **task}}
    answer = api.ask("POST", "/tasks", event)
    assert (answer.status, answer.data["ID"]) == (201, identity), answer
    return identity


def read(api: Api, identity: str) -> Any:
    return api.ask("GET", f"/tasks/{identity}").data


def comes_to(api: Api, identity: str, state: int) -> Any:
    api.stage.until(lambda: read(api, identity)["State"] == state)
    return read(api, identity)


def recorded(api: Api, identity: str) -> Task:
    (task,) = [found for found in api.stage.store.current_tasks() if identity in found.slot.job]
    return task


def ends(api: Api, identity: str, code: int) -> None:
    """Its process does, and the engine tells."""
    machine = api.stage.machines["node1"]
    machine.machine.end(str(recorded(api, identity).container), code)
    machine.told.put("die")


def at(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")


def test_a_task_has_every_field_of_the_book_and_no_other_with_what_was_asked_for(api: Api) -> None:
    wanted = {"Cpu": 0.25, "Memory": 2**45, "Disk": 2 * GIB}
    waits = {
        "ID": TASK, "ContainerID": "", "Name": "test-chapter-9.1", "State": 0, "Image": "app:1", **wanted,
        "ExposedPorts": {"7777/tcp": {}}, "HostPorts": {}, "PortBindings": {"7777/tcp": "7777"},
        "RestartPolicy": "always", "StartTime": NEVER, "FinishTime": NEVER, "HealthCheck": "/health",
        "RestartCount": 0,
    }  # fmt: skip
    event = {**BOOK_EVENT, "Task": {**BOOK_EVENT["Task"], **wanted}}
    assert api.ask("POST", "/tasks", event).data == waits
    api.stage.until(api.stage.store.current_tasks)
    assert api.ask("GET", "/tasks").data == [waits], "there is no node of that size"
    small = {"Memory": 48 * MIB}
    api.ask("POST", "/tasks", {**event, "Task": {**event["Task"], **small}})
    comes_to(api, TASK, 2)
    task = recorded(api, TASK)
    runs = {
        **waits, **small, "State": 2, "ContainerID": task.container, "StartTime": at(task.changed_at),
        "HostPorts": {"7777/tcp": [{"HostIp": "0.0.0.0", "HostPort": "7777"}]},
    }  # fmt: skip
    assert api.ask("GET", "/tasks").data == [runs]
    assert read(api, TASK) == runs
    assert api.ask("DELETE", f"/tasks/{TASK}").status == 204
    comes_to(api, TASK, 3)
    ended = recorded(api, TASK)
    assert api.ask("GET", "/tasks").data == [{**runs, "State": 3, "FinishTime": at(ended.changed_at)}]


def test_what_a_client_leaves_out_has_a_value_all_the_same(api: Api) -> None:
    identity = asked(api, 1)
    found = comes_to(api, identity, 2)
    task = recorded(api, identity)
    assert found == {
        "ID": identity, "ContainerID": task.container, "Name": identity, "State": 2, "Image": "app:1",
        "Cpu": 0.01, "Memory": 64 * MIB, "Disk": 0, "ExposedPorts": {}, "HostPorts": {}, "PortBindings": {},
        "RestartPolicy": "", "StartTime": at(task.changed_at), "FinishTime": ZERO, "HealthCheck": "",
        "RestartCount": 0,
    }  # fmt: skip
    assert ZERO == NEVER


def test_a_node_has_every_field_of_the_book_and_no_other(api: Api) -> None:
    for number in (1, 2):
        comes_to(api, asked(api, number, Cpu=0.5, Memory=100 * MIB, Disk=3 * GIB), 2)
    api.stage.machines["node1"].machine.add_foreign("theirs")
    api.stage.until(lambda: api.ask("GET", "/nodes").data[0]["Stats"]["TaskCount"] == 3)
    (found,) = api.ask("GET", "/nodes").data
    stats = api.stage.service.look()["node1"].stats
    assert stats is not None
    used = found["Stats"].pop("CpuStats")
    assert found == {
        "Name": "node1", "Ip": "node1", "Api": "", "Cores": 4, "Role": "worker", "TaskCount": 2,
        "Memory": 8 * GIB, "MemoryAllocated": 200 * MIB, "Disk": 100 * GIB, "DiskAllocated": 6 * GIB,
        "Stats": {
            "MemStats": {"MemTotal": 8 * MIB, "MemAvailable": 8 * MIB},
            "DiskStats": {"All": 100 * GIB, "Free": 100 * GIB, "Used": 0},
            "LoadStats": dict(zip(("Last1Min", "Last5Min", "Last15Min"), stats.load, strict=True)),
            "TaskCount": 3,
        },
    }  # fmt: skip
    assert (set(used), used["Id"]) == ({"Id", "Idle", "Total"}, "cpu")
    assert 0 < used["Idle"] < used["Total"]


def test_every_state_is_told_by_its_number(api: Api) -> None:
    assert list(STATES.items()) == [
        (State.PENDING, 0), (State.SCHEDULED, 1), (State.RUNNING, 2), (State.COMPLETED, 3), (State.FAILED, 4),
    ]  # fmt: skip
    large, well, ill = asked(api, 1, Memory=2**45), asked(api, 2), asked(api, 3)
    comes_to(api, large, 0)
    for identity, code, state in ((well, 0, 3), (ill, 1, 4)):
        comes_to(api, identity, 2)
        ends(api, identity, code)
        ended = comes_to(api, identity, state)
        assert ended["FinishTime"] == at(recorded(api, identity).changed_at)
    hangs = api.stage.machines["node1"].goes
    hangs.clear()
    late = asked(api, 4)
    assert (comes_to(api, late, 1)["StartTime"], read(api, late)["ContainerID"]) == (NEVER, "")
    hangs.set()
    comes_to(api, late, 2)
    numbers = {task["ID"]: task["State"] for task in api.ask("GET", "/tasks").data}
    assert numbers == {large: 0, well: 3, ill: 4, late: 2}


def test_the_restarts_of_a_task_are_counted(api: Api) -> None:
    identity = asked(api, 1, RestartPolicy="on-failure")
    comes_to(api, identity, 2)
    first = recorded(api, identity).changed_at
    ends(api, identity, 1)
    api.stage.until(lambda: read(api, identity)["RestartCount"] == 1)
    found = comes_to(api, identity, 2)
    assert (found["RestartCount"], found["RestartPolicy"]) == (1, "on-failure")
    assert found["StartTime"] > at(first)
