"""Job: what somebody wants to run, with every unit resolved."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from cube.model.codec import to_data
from cube.model.resources import Resources


class JobType(StrEnum):
    """How long a job's tasks are meant to live."""

    SERVICE = "service"
    BATCH = "batch"


@dataclass(frozen=True, slots=True, kw_only=True)
class Port:
    """A port of the container, published on the node.

    `host` is fixed, or None: Cube chooses one in `host_range`. `public`: every address of the node
    listens, else only its loopback.
    """

    name: str
    container: int
    host: int | None = None
    host_range: tuple[int, int] = (20000, 29999)
    protocol: str = "tcp"
    public: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Volume:
    """A named volume (`source` without a slash) or a host path, mounted at `target`."""

    source: str
    target: str
    read_only: bool = False


class CheckKind(StrEnum):
    """What a health check does."""

    HTTP = "http"
    TCP = "tcp"


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthCheck:
    """Asked of the task over its node's SSH connection. Durations in seconds.

    `port` is the name of one of the task's ports. `failures` in a row make the task unhealthy;
    during `grace` after the start a failure does not count.
    """

    kind: CheckKind
    port: str
    path: str = "/"
    timeout: float = 2.0
    failures: int = 3
    grace: float = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskSpec:
    """What is put into a container. A task whose spec differs from its group's is outdated.

    `command` and `entrypoint` None: the image's own. `stop_grace` in seconds.
    """

    image: str
    command: tuple[str, ...] | None = None
    entrypoint: tuple[str, ...] | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    user: str | None = None
    resources: Resources = Resources()
    ports: tuple[Port, ...] = ()
    volumes: tuple[Volume, ...] = ()
    health: HealthCheck | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    stop_signal: str = "SIGTERM"
    stop_grace: float = 10.0
    pids_limit: int = 512
    allow_new_privileges: bool = False

    @property
    def digest(self) -> str:
        """A fingerprint of everything in the spec: 16 hexadecimal digits."""
        canonical = json.dumps(to_data(self), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()[:16]


class Operator(StrEnum):
    """How a constraint compares."""

    EQUAL = "="
    NOT_EQUAL = "!="
    IN = "in"
    NOT_IN = "not-in"


@dataclass(frozen=True, slots=True, kw_only=True)
class Constraint:
    """A demand on the node: `attribute` is `node.name`, `node.datacenter`, `node.role` or `label.NAME`."""

    attribute: str
    operator: Operator
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RestartPolicy:
    """At most `attempts` restarts, each after `delay` seconds; then the task stays Failed.

    One that has run for `window` seconds without a failure gets all of its attempts back.
    """

    attempts: int = 2
    window: float = 1800.0
    delay: float = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """`count` tasks of one spec. At most `max_parallel` of them are replaced at a time."""

    name: str
    spec: TaskSpec
    count: int = 1
    constraints: tuple[Constraint, ...] = ()
    restart: RestartPolicy = RestartPolicy()
    max_parallel: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A named set of groups. `version` is given by the store, 0 before; `datacenters` empty: any.

    `priority` 0 to 100, the higher is placed first. A `stopped` job wants no task at all.
    """

    name: str
    groups: tuple[Group, ...]
    type: JobType = JobType.SERVICE
    datacenters: tuple[str, ...] = ()
    priority: int = 50
    version: int = 0
    stopped: bool = False

    def group(self, name: str) -> Group | None:
        """The group of that name, or None."""
        return next((group for group in self.groups if group.name == name), None)
