"""The job that a task of the book's becomes: one of its own, with one task in it."""

from collections.abc import Callable, Mapping
from typing import Any

from cube.book.schema import BookTask
from cube.document.reader import Document, Mark, Plain, Scalar, Table
from cube.errors import InputError
from cube.model.job import Job
from cube.spec.parse import resolve

PREFIX = "task-"
NAME = "book.name"
"""The label that keeps what the client calls it."""

POLICY = "book.restart"
"""The label that keeps the client's word for when it is restarted."""

DEFAULT_MEMORY = 64 * 2**20

Place = Callable[[str], Mark]
"""Where a field of the task was written."""


def name_of(identity: object) -> str:
    """The name of the job that the task of that ID becomes."""
    return f"{PREFIX}{identity}"


def job_of(task: BookTask, place: Place) -> Job:
    """The job that the task becomes. Raises InputError where it cannot be run."""
    return resolve(document_of(task, place))


def document_of(task: BookTask, place: Place) -> Document:
    """What a job file would say of the task, each value where the field that it comes of was written.

    Raises InputError for a health check that has no port to ask.
    """
    ports = _ports(task)
    said: dict[str, tuple[str, Plain]] = {
        "image": ("Image", task.Image),
        "cpu": ("Cpu", f"{max(round(task.Cpu * 1000), 10)}m"),
        "memory": ("Memory", str(task.Memory or DEFAULT_MEMORY)),
        "labels": ("Name", {NAME: task.Name or str(task.ID), POLICY: task.RestartPolicy}),
        "ports": ("PortBindings" if task.PortBindings else "ExposedPorts", ports),
        **{key: ("RestartPolicy", value) for key, value in _restart(task.RestartPolicy).items()},
    }
    if task.Disk:
        said["disk"] = ("Disk", str(task.Disk))
    if task.HealthCheck:
        port = _first_port(ports, place("HealthCheck"))
        said["health"] = ("HealthCheck", {"http": task.HealthCheck, "port": port})
    group = {key: _written(value, place(field)) for key, (field, value) in said.items()}
    whole = place("ID")
    groups = _table({"main": _table(group, whole)}, whole)
    return _table({"job": _written(name_of(task.ID), whole), "groups": groups}, whole)


def _written(value: Plain, mark: Mark) -> Document:
    if isinstance(value, dict):
        return _table({key: _written(item, mark) for key, item in value.items()}, mark)
    assert isinstance(value, str)
    return Scalar(value, mark, is_plain=False)


def _table(entries: Mapping[str, Document], mark: Mark) -> Table:
    """Each key stands where its value does."""
    return Table(tuple((Scalar(key, at.mark, is_plain=False), at) for key, at in entries.items()), mark)


def _ports(task: BookTask) -> dict[str, Plain]:
    """Every port that is exposed or bound is published, as the book's workers do it."""
    bound = task.PortBindings or {}
    ports: dict[str, Plain] = {}
    for key in dict.fromkeys([*(task.ExposedPorts or {}), *bound]):
        number, _, protocol = key.partition("/")
        host: dict[str, Plain] = {"host": bound[key]} if bound.get(key) not in (None, "", "0") else {}
        protocol = protocol or "tcp"
        ports[f"p{number}-{protocol}"] = {
            "container": number, "protocol": protocol, "public": "true", **host
        }  # fmt: skip
    return ports


def _first_port(ports: Mapping[str, Any], where: Mark) -> str:
    if not ports:
        why = "HealthCheck asks a port, and none is exposed"
        cure = 'Expose one, as "ExposedPorts": {"8080/tcp": {}}, or leave HealthCheck out.'
        raise InputError("the task cannot be checked", where=str(where), why=why, cure=cure)
    return next(iter(ports))


def _restart(policy: str) -> dict[str, Plain]:
    """Docker's policies; without one a task runs once, to its end."""
    if policy in ("always", "unless-stopped"):
        return {"type": "service", "restart": {"mode": "delay"}}
    attempts = "5" if policy == "on-failure" else "0"
    return {"type": "batch", "restart": {"attempts": attempts}, "reschedule": {"attempts": "0"}}
