"""No export drops a field of a job: change any one, and what is written changes, or what is told."""

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from enum import Enum
from typing import Any

import pytest

from cube.export.compose import compose
from cube.export.kubernetes import kubernetes
from cube.export.nomad import nomad
from cube.model.job import CheckKind, HealthCheck, JobType, Parameters, Port, Schedule, Volume
from cube.spec.parse import parse

WAYS = {"compose": compose, "nomad": nomad, "kubernetes": kubernetes}
TEXT = """
job: shop
datacenters: [dc1]
scheduler: binpack
groups:
  web:
    image: web:7
    build: {context: ., dockerfile: D, target: prod, args: {A: "1"}}
    command: [serve]
    entrypoint: [/run]
    env: {A: "1"}
    user: "1000"
    ports:
      fixed: {container: 80, host: 8080, public: true}
      range: {container: 81, host: 8000-8010, public: true}
      inner: {container: 82, host: 9090}
      free: {container: 83}
    volumes:
      - {source: data, target: /data}
      - {source: cache, target: /cache, sticky: false}
      - {source: theirs, target: /theirs, external: true, read_only: true}
      - {source: /srv, target: /srv, read_only: true}
    labels: {team: shop}
    constraints: [label.disk = ssd]
    spread: {label.zone: {a: 60, b: 40}}
    depends_on: {db: healthy}
    health: {exec: [check, it], interval: 7s, timeout: 3s, failures: 4, successes: 2, grace: 9s}
    secrets: {pw: /run/pw, token: {env: TOKEN}}
    tmpfs: {/run: {size: 1MiB, mode: "0750"}}
    ulimits: {nofile: 10:20}
    extra_hosts: {a: 10.0.0.1}
    hostname: h
    working_dir: /w
    group_add: ["7"]
    cap_add: [KILL]
    cap_drop: [CHOWN]
    shm_size: 64MiB
    cpu_limit: 2
    devices: {gpu: 1}
    disk: 100MiB
    max_per_node: 1
    restart: {attempts: 3, mode: fail}
    reschedule: {attempts: 2}
  db:
    image: db:1
    ports: {sql: {container: 5432, host: 5432, public: true}}
    health: {exec: [up], interval: 5s}
"""
SHOP = parse(TEXT, "job.yml", {}, schedulers=("binpack",))
BY_HTTP = parse(
    """
job: shop
groups:
  web:
    image: web:7
    ports: {http: {container: 80, public: true}, admin: {container: 81, public: true}}
    ingress: {host: [shop.example], port: http, path: /a, tls: required}
    health: {http: /up, port: http, status: "200", headers: {A: b}, body: ok}
  db:
    image: db:1
    ports: {sql: {container: 5432, host: 5432, public: true}}
    health: {tcp: true, port: sql}
""",
    "job.yml",
    {},
)
ONCE = parse("{job: report, type: batch, groups: {main: {image: report:1}}}", "job.yml", {})
NIGHTLY = replace(ONCE, type=JobType.PERIODIC, schedule=Schedule(cron="0 3 * * *", deadline=60.0))
ASKED = replace(ONCE, type=JobType.PARAMETERIZED, parameters=Parameters(required=("a",), optional=("b",)))
JOBS = {"shop": SHOP, "by-http": BY_HTTP, "nightly": NIGHTLY, "asked": ASKED}

NO_MATTER = frozenset({
    "Job.version", "Job.stopped", "Job.parent", "Job.launched", "TaskSpec.pinned", "SecretUse.fingerprint",
    "Template.source",
})  # fmt: skip
"""Cube's own book-keeping."""

OF_CHECKS = {
    CheckKind.HTTP: frozenset({"HealthCheck.command"}),
    CheckKind.TCP: frozenset(
        {f"HealthCheck.{name}" for name in ("command", "path", "status", "headers", "body")}
    ),
    CheckKind.EXEC: frozenset(
        {f"HealthCheck.{name}" for name in ("port", "path", "status", "headers", "body")}
    ),
}
"""What says nothing of a check of that kind."""


def is_idle(value: Any, name: str) -> bool:
    """The field says nothing beside the others, to Cube itself."""
    match value:
        case HealthCheck(kind=kind):
            return name in OF_CHECKS[kind]
        case Volume():
            is_kept = value.is_named and not value.read_only
            return (name == "Volume.sticky" and not is_kept) or (
                name == "Volume.external" and not value.is_named
            )
        case Port(host=host):
            return name == "Port.host_range" and host is not None
    return name in NO_MATTER


AS_A_WHOLE = {
    "by-http": {("compose", "HealthCheck")},
    **{name: {("nomad", "UpdatePolicy"), ("kubernetes", "UpdatePolicy")} for name in ("nightly", "asked")},
}
"""What is told in one line, whatever is in it; and an update of what runs once, which has none."""

ALIKE = {("kubernetes", "UpdatePolicy.order")}
"""Left to Cube it is what it would be if it were written."""


def changed(value: Any) -> Iterator[tuple[str, Any]]:
    """The value with one field of it changed, by the name of that field."""
    if is_dataclass(value) and not isinstance(value, type):
        for each in fields(value):
            name = f"{type(value).__name__}.{each.name}"
            if is_idle(value, name):
                continue
            for inner, other in changed(getattr(value, each.name)):
                yield inner or name, replace(value, **{each.name: other})
    elif isinstance(value, tuple) and value and is_dataclass(value[0]):
        for index, item in enumerate(value):
            for inner, other in changed(item):
                yield inner, (*value[:index], other, *value[index + 1 :])
    elif isinstance(value, Mapping) and value:
        key = next(iter(value))
        yield from ((inner, {**value, key: other}) for inner, other in changed(value[key]))
    elif (other := another(value)) is not None:
        yield "", other


def another(value: Any) -> Any:
    """One of the same kind; None where nobody knows of one."""
    match value:
        case bool():
            return not value
        case Enum():
            return next((each for each in type(value) if each is not value), None)
        case int() | float():
            return value * 2 + 1
        case str():
            return f"{value}x"
        case tuple():
            return (another(value[0]), *value[1:]) if value else None
    return None


@pytest.mark.parametrize("title", JOBS)
@pytest.mark.parametrize("to", WAYS)
def test_no_field_is_dropped(to: str, title: str) -> None:
    before = WAYS[to](JOBS[title])
    dropped = [
        name
        for name, other in changed(JOBS[title])
        if (to, name.partition(".")[0]) not in AS_A_WHOLE.get(title, ()) and (to, name) not in ALIKE
        if WAYS[to](other) == before
    ]
    assert dropped == []
