"""The wire format of Boring's book, on `/tasks` and `/nodes`: its clients work unchanged.

A task of theirs becomes a job of its own, `task-ID`, with one task in it, and goes the way of every job.
"""

import json
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated, Any, NamedTuple

from fastapi import APIRouter, Path, Response
from pydantic import BaseModel

from cube.api import nodes
from cube.api.desk import JSON, AtDesk, Desk, NotFoundError, Who
from cube.api.problem import GUARDED
from cube.book.job import NAME, POLICY, PREFIX, job_of, name_of
from cube.book.schema import STATES, STOP, ZERO, BookEvent, BookTask
from cube.document.reader import Mark
from cube.errors import CubeError
from cube.manager.turn import Run
from cube.model.job import Job, TaskSpec
from cube.model.observation import Observation, Seen
from cube.model.resources import Resources
from cube.model.task import State, Task, TaskEvent
from cube.store.store import Store
from cube.view.fleet import NodeView

router = APIRouter(tags=["book"], strict_content_type=False)

TIMEOUT = 300.0


class BookNode(BaseModel):
    """A node as the book's clients read it."""

    Name: str
    Ip: str
    Api: str
    Cores: int
    Memory: int
    MemoryAllocated: int
    Disk: int
    DiskAllocated: int
    Role: str
    TaskCount: int
    Stats: dict[str, Any]


class BookError(BaseModel):
    """How it fails."""

    HTTPStatusCode: int
    Message: str


def _fails(*statuses: int) -> dict[int | str, dict[str, Any]]:
    return {
        status: {"model": BookError, "description": HTTPStatus(status).phrase}
        for status in (*statuses, *GUARDED)
    }


@router.post(
    "/tasks",
    status_code=201,
    response_model=BookTask,
    responses=_fails(400, 404, 409, 422, 423),
)
def start_task(desk: AtDesk, who: Who, event: BookEvent) -> Response:
    """Run the task, or with `State` 3 stop it; answers before it runs."""
    if event.State == STOP:
        _stop(desk, who.name, event.Task.ID)
    else:
        job = job_of(event.Task, lambda field: Mark(f"task {event.Task.ID}: {field}"))
        run = Run(until=desk.service.clock.now() + TIMEOUT, actor=who.name)
        with desk.service.holding.held(wait=10.0):
            desk.manager.want(job, run)
        desk.service.wake()
    return _json(_one(desk, event.Task.ID), 201)


@router.get("/tasks", response_model=list[BookTask], responses=_fails())
def list_tasks(desk: AtDesk) -> Response:
    """Every task of the cluster, whoever asked for it."""
    return _json(_all(desk))


@router.get("/tasks/{id}", response_model=BookTask, responses=_fails(400, 404))
def read_task(desk: AtDesk, id: Annotated[str, Path(max_length=64)]) -> Response:
    """One task."""
    return _json(_one(desk, id))


@router.delete("/tasks/{id}", status_code=204, responses=_fails(400, 404, 409, 423))
def stop_task(desk: AtDesk, who: Who, id: Annotated[str, Path(max_length=64)]) -> Response:
    """Stop a task that a client of the book began."""
    _stop(desk, who.name, id)
    return Response(status_code=204)


@router.get("/nodes", response_model=list[BookNode], responses=_fails())
def list_nodes(desk: AtDesk) -> Response:
    """Every node."""
    observed = desk.service.look()
    return _json([_of_node(view, observed[view.name]) for view in nodes.views(desk)])


def _stop(desk: Desk, actor: str, identity: object) -> None:
    store = desk.manager.store
    job = store.job(name_of(identity))
    if job is None:
        if any(task.id == str(identity) for task in store.current_tasks()):
            cure = "Stop its job: cube stop"
            raise CubeError(f"task {identity} belongs to a job", cure=cure)
        raise NotFoundError(f"there is no task {identity}")
    run = Run(until=desk.service.clock.now() + TIMEOUT, actor=actor)
    with desk.service.holding.held(wait=10.0):
        desk.manager.want_none(job.name, run)
    desk.service.wake()


def _one(desk: Desk, identity: object) -> dict[str, Any]:
    for found in _all(desk, str(identity)):
        return found
    raise NotFoundError(f"there is no task {identity}")


def _all(desk: Desk, only: str | None = None) -> list[dict[str, Any]]:
    """The tasks, or that one alone; one that was asked for and is not placed yet is Pending."""
    store = desk.manager.store
    tasks = store.current_tasks()
    placed = {task.slot.job for task in tasks}
    waiting = [
        job for job in store.jobs() if _is_ours(job.name) and job.name not in placed and not job.stopped
    ]
    return [
        *(_of_task(task, _course(store, task)) for task in tasks if only in (None, _identity(task))),
        *(_waiting(job) for job in waiting if only in (None, job.name.removeprefix(PREFIX))),
    ]


def _is_ours(job: str) -> bool:
    return job.startswith(PREFIX)


def _identity(task: Task) -> str:
    return task.slot.job.removeprefix(PREFIX) if _is_ours(task.slot.job) else task.id


class Course(NamedTuple):
    """Since when a task runs, or ran at last, and in which container; None and empty: it never has."""

    started: float | None = None
    container: str = ""


def _course(store: Store, task: Task) -> Course:
    """As its row says while it runs; of one that was stopped its events still tell."""
    if task.state is State.PENDING:
        return Course()
    if task.state is State.RUNNING:
        return Course(task.changed_at, task.container or "")
    events = store.events(task=task.id)
    begins = [event.at for event in events if _begins(event)]
    containers = [event.detail["container"] for event in events if event.detail.get("container")]
    return Course(begins[-1] if begins else None, containers[-1] if containers else "")


def _begins(event: TaskEvent) -> bool:
    return event.target is State.RUNNING and event.source is not State.RUNNING


def _of_task(task: Task, course: Course) -> dict[str, Any]:
    return {
        **_of_spec(task.spec),
        "ID": _identity(task),
        "ContainerID": course.container,
        "Name": task.spec.labels.get(NAME, str(task.slot)),
        "State": STATES[task.state],
        "HostPorts": _host_ports(task),
        "PortBindings": {f"{p.container}/{p.protocol}": str(p.host) for p in task.spec.ports if p.host},
        "StartTime": _time(course.started),
        "FinishTime": _time(task.changed_at if task.state.is_terminal else None),
        "RestartCount": task.restarts,
    }


def _waiting(job: Job) -> dict[str, Any]:
    spec = job.groups[0].spec
    return {
        **_of_spec(spec),
        "ID": job.name.removeprefix(PREFIX),
        "ContainerID": "",
        "Name": spec.labels.get(NAME, job.name),
        "State": STATES[State.PENDING],
        "HostPorts": {},
        "PortBindings": {f"{p.container}/{p.protocol}": str(p.host) for p in spec.ports if p.host},
        "StartTime": ZERO,
        "FinishTime": ZERO,
        "RestartCount": 0,
    }


def _of_spec(spec: TaskSpec) -> dict[str, Any]:
    return {
        "Image": spec.image,
        "Cpu": spec.resources.cpu / 1000,
        "Memory": spec.resources.memory,
        "Disk": spec.resources.disk,
        "ExposedPorts": {f"{port.container}/{port.protocol}": {} for port in spec.ports},
        "RestartPolicy": spec.labels.get(POLICY, ""),
        "HealthCheck": spec.health.path if spec.health else "",
    }


def _host_ports(task: Task) -> dict[str, Any]:
    """As Docker's own API tells them: a list of addresses for each port."""
    return {
        f"{port.container}/{port.protocol}": [
            {"HostIp": "0.0.0.0" if port.public else "127.0.0.1", "HostPort": str(task.ports[port.name])}  # noqa: S104
        ]
        for port in task.spec.ports
        if port.name in task.ports
    }


def _of_node(view: NodeView, found: Observation) -> dict[str, Any]:
    has = view.capacity or Resources()
    return {
        "Name": view.name,
        "Ip": view.address,
        "Api": "",
        "Cores": has.cpu // 1000,
        "Memory": has.memory,
        "MemoryAllocated": view.promised.memory,
        "Disk": has.disk,
        "DiskAllocated": view.promised.disk,
        "Role": view.role,
        "TaskCount": view.tasks,
        "Stats": _stats(found),
    }


def _stats(found: Observation) -> dict[str, Any]:
    """As the book's workers tell them, in the names of goprocinfo; sizes in kB but for the disk's."""
    stats = found.stats
    if stats is None:
        return {}
    return {
        "MemStats": {"MemTotal": stats.memory_total // 1024, "MemAvailable": stats.memory_available // 1024},
        "DiskStats": {
            "All": stats.disk_total, "Free": stats.disk_free, "Used": stats.disk_total - stats.disk_free
        },
        "CpuStats": {"Id": "cpu", "Idle": stats.cpu.idle, "Total": stats.cpu.total},
        "LoadStats": {"Last1Min": stats.load[0], "Last5Min": stats.load[1], "Last15Min": stats.load[2]},
        "TaskCount": len(found.containers) if isinstance(found, Seen) else 0,
    }  # fmt: skip


def _time(at: float | None) -> str:
    return ZERO if at is None else datetime.fromtimestamp(at, UTC).isoformat().replace("+00:00", "Z")


def _json(value: Any, status: int = 200) -> Response:
    return Response(json.dumps(value), status_code=status, media_type=JSON)
