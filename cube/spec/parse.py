"""A job file's text to a Job: read, render the templates, check, resolve."""

from collections.abc import Mapping
from typing import Any

from cube.document.check import check, refusal
from cube.document.reader import read
from cube.document.template import render
from cube.model.job import (
    CheckKind,
    Group,
    HealthCheck,
    Job,
    JobType,
    Port,
    TaskSpec,
    Volume,
)
from cube.model.policy import RestartPolicy, UpdatePolicy
from cube.model.resources import Resources
from cube.spec.rules import broken
from cube.spec.schema import STRANGE, GroupSchema, HealthSchema, JobSchema, PortSchema

MAX_BYTES = 1 << 18


def parse(text: str, source: str, variables: Mapping[str, Any]) -> Job:
    """The job that `text` describes; `source` is what its places are called by.

    `variables` are what templates may name: tables such as `var`, `env` and `cluster`.
    Raises InputError that lists every problem as `file:line:column: what is wrong`.
    """
    document = render(read(text, source, limit=MAX_BYTES), variables)
    written = check(JobSchema, document, strange=STRANGE)
    if problems := list(broken(written)):
        raise refusal(document, problems)
    return Job(
        name=written.job,
        type=JobType(written.type),
        datacenters=tuple(dict.fromkeys(written.datacenters)),
        priority=written.priority,
        groups=tuple(_group(name, group) for name, group in written.groups.items()),
    )


def _group(name: str, written: GroupSchema) -> Group:
    return Group(
        name=name,
        count=written.count,
        spec=_spec(written),
        constraints=tuple(written.constraints),
        restart=RestartPolicy(
            attempts=written.restart.attempts, window=written.restart.window, delay=written.restart.delay
        ),
        update=UpdatePolicy(max_parallel=written.update.max_parallel),
    )


def _spec(written: GroupSchema) -> TaskSpec:
    return TaskSpec(
        image=written.image,
        command=None if written.command is None else tuple(written.command),
        entrypoint=None if written.entrypoint is None else tuple(written.entrypoint),
        env=written.env,
        user=written.user,
        resources=Resources(cpu=written.cpu, memory=written.memory, disk=written.disk),
        ports=tuple(_port(name, port) for name, port in sorted(written.ports.items())),
        volumes=tuple(
            Volume(source=volume.source, target=volume.target, read_only=volume.read_only)
            for volume in written.volumes
        ),
        health=None if written.health is None else _health(written.health),
        labels=written.labels,
        stop_signal=written.stop.signal,
        stop_grace=written.stop.grace,
        pids_limit=written.pids,
        allow_new_privileges=written.allow_new_privileges,
    )


def _port(name: str, written: PortSchema) -> Port:
    common = {"name": name, "container": written.container}
    shared: dict[str, Any] = {**common, "protocol": written.protocol, "public": written.public}
    if isinstance(written.host, int):
        return Port(**shared, host=written.host)
    return Port(**shared, host_range=written.host)


def _health(written: HealthSchema) -> HealthCheck:
    return HealthCheck(
        kind=CheckKind.TCP if written.http is None else CheckKind.HTTP,
        path=written.http or "/",
        port=written.port,
        timeout=written.timeout,
        failures=written.failures,
        grace=written.grace,
    )
