"""Job: what somebody wants to run, with every unit resolved."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property

from cube.model.codec import to_data
from cube.model.ingress import Ingress
from cube.model.policy import (
    Condition,
    DisconnectPolicy,
    OnUnhealthy,
    Pull,
    QuarantinePolicy,
    ReschedulePolicy,
    RestartPolicy,
    UpdatePolicy,
)
from cube.model.resources import Resources

DRAIN = 5.0
"""Seconds, where nobody says otherwise: a proxy that was told goes on with what it had begun."""


class JobType(StrEnum):
    """How long a job's tasks are meant to live, and who starts them.

    SERVICE: until it is stopped. BATCH: until each has ended well. SYSTEM: as a service, one on every node
    that may have it. PERIODIC and PARAMETERIZED want no task themselves: the clock, or a dispatch, makes a
    batch job of them each time.
    """

    SERVICE = "service"
    BATCH = "batch"
    SYSTEM = "system"
    PERIODIC = "periodic"
    PARAMETERIZED = "parameterized"

    @property
    def is_template(self) -> bool:
        """It wants no task itself."""
        return self in (JobType.PERIODIC, JobType.PARAMETERIZED)


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
    """A named volume (`source` without a slash) or a host path, mounted at `target`.

    `external`: somebody else makes the volume, and the task goes only where it is. `sticky`: what is written
    to it is wanted by the next task, too, which therefore goes where it is.
    """

    source: str
    target: str
    read_only: bool = False
    external: bool = False
    sticky: bool = True

    @property
    def is_named(self) -> bool:
        """The node's engine keeps it; else it is a path of the node."""
        return "/" not in self.source

    @property
    def has_data(self) -> bool:
        """What a task writes there stays on its node, and is not to be left behind."""
        return self.sticky and not self.read_only


@dataclass(frozen=True, slots=True, kw_only=True)
class Tmpfs:
    """A filesystem in memory at `target`, of at most `size` bytes; `mode`: who may do what in it.

    None: everybody everything, but remove what is another's (1777).
    """

    target: str
    size: int
    mode: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ulimit:
    """How much of one thing each process may have: `nofile`, `memlock`...; -1: any amount."""

    name: str
    soft: int
    hard: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Logging:
    """Where the engine keeps what a task prints: one of its drivers, with the driver's own options."""

    driver: str = "json-file"
    options: Mapping[str, str] = field(default_factory=lambda: {"max-size": "10m", "max-file": "3"})


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretUse:
    """A secret that a task is given: its name, never its value.

    It is a file in memory at `target`, or the variable `env`. `fingerprint` is a keyed hash of the value as
    it was when the job was deployed: another one is another spec.
    """

    name: str
    target: str | None = None
    env: str | None = None
    fingerprint: str = ""


class Telling(StrEnum):
    """What is done with a running task whose file has changed. NONE: its process looks for itself."""

    RESTART = "restart"
    SIGNAL = "signal"
    EXEC = "exec"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class OnChange:
    """How a task is told that one of its files has changed.

    `signal` is sent to its first process, `command` is run in its container and must exit with 0.
    """

    telling: Telling = Telling.RESTART
    signal: str = ""
    command: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.signal or " ".join(self.command) or self.telling


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """A file that is made for each task: `text`, rendered, is read at `target`.

    `source` is what its places are called by; a text that stands in the job file has none. Another text is
    another spec; None: nobody has read it yet.
    What it is rendered to may change while the task runs; `on_change` says what then. `env`: its lines are
    variables of the task, too, as they are when its container is made.
    """

    target: str
    source: str
    text: str | None = None
    on_change: OnChange = OnChange()
    env: bool = False


class CheckKind(StrEnum):
    """What a health check does. EXEC: a command in the container. IMAGE: the image's own HEALTHCHECK."""

    HTTP = "http"
    TCP = "tcp"
    EXEC = "exec"
    IMAGE = "image"


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthCheck:
    """Asked of the task over its node's SSH connection. Durations in seconds.

    `port` is the name of one of the task's ports, for HTTP and TCP. An HTTP answer is good whose status is
    from `status[0]` to `status[1]` and whose first 64 KiB contain `body`. A `command` is good that exits
    with 0. Answers count at most once in `interval`: `failures` in a row make the task unhealthy, `successes`
    in a row healthy; during `grace` after the start a failure does not count.
    """

    kind: CheckKind
    port: str = ""
    path: str = "/"
    status: tuple[int, int] = (200, 399)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str = ""
    command: tuple[str, ...] = ()
    interval: float = 10.0
    timeout: float = 2.0
    failures: int = 3
    successes: int = 1
    grace: float = 30.0


@dataclass(frozen=True, kw_only=True)
class TaskSpec:
    """What is put into a container. A task whose spec differs from its group's is outdated.

    `command`, `entrypoint`, `user`, `working_dir` None: the image's own. `stop_grace` in seconds.
    `cap_add` and `cap_drop` change what Cube leaves of the engine's capabilities. `cpu_limit` (millicores)
    None: cores that nobody uses are its own. `shm_size` (bytes) and `hostname` None: the engine's choice.
    `extra_hosts` are lines of /etc/hosts, address by name. `init`: the engine's own process 1 reaps for it.
    `devices` is how many of each kind it has for itself, such as one `gpu`.
    `pinned` is the id of the image that `image` meant when the job was deployed; empty: nobody knew.
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
    working_dir: str | None = None
    hostname: str | None = None
    group_add: tuple[str, ...] = ()
    cap_add: tuple[str, ...] = ()
    cap_drop: tuple[str, ...] = ()
    read_only: bool = False
    tmpfs: tuple[Tmpfs, ...] = ()
    shm_size: int | None = None
    ulimits: tuple[Ulimit, ...] = ()
    cpu_limit: int | None = None
    extra_hosts: Mapping[str, str] = field(default_factory=dict)
    logging: Logging = Logging()
    init: bool = True
    pinned: str = ""
    secrets: tuple[SecretUse, ...] = ()
    templates: tuple[Template, ...] = ()
    devices: Mapping[str, int] = field(default_factory=dict)

    @cached_property
    def data(self) -> frozenset[str]:
        """The names of the volumes that keep what the task writes, for the next one."""
        return frozenset(volume.source for volume in self.volumes if volume.is_named and volume.has_data)

    @property
    def has_files(self) -> bool:
        """Files of its own are brought to its node, and before there is a container."""
        return bool(self.templates) or any(use.target is not None for use in self.secrets)

    @cached_property
    def has_made_variables(self) -> bool:
        """Its environment is made for each task: who restarts it has to make its container anew."""
        return any(template.env for template in self.templates)

    @cached_property
    def canonical(self) -> str:
        """All of it as JSON, in the one form that equal specs have."""
        return json.dumps(to_data(self), sort_keys=True, separators=(",", ":"))

    @cached_property
    def digest(self) -> str:
        """A fingerprint of everything in the spec: 16 hexadecimal digits."""
        return hashlib.sha256(self.canonical.encode()).hexdigest()[:16]


class Operator(StrEnum):
    """How a constraint compares.

    The order of two values is that of numbers where both are, else that of text. VERSION: each value is a
    bound such as `>= 1.2`. SET_CONTAINS: the attribute lists all of the values, with commas. The last two
    look at where the group's other tasks are: DISTINCT_HOSTS: on no node of theirs. DISTINCT_PROPERTY: at
    most so many tasks for each value of the attribute.
    """

    EQUAL = "="
    NOT_EQUAL = "!="
    IN = "in"
    NOT_IN = "not-in"
    LESS = "<"
    AT_MOST = "<="
    MORE = ">"
    AT_LEAST = ">="
    REGEXP = "regexp"
    VERSION = "version"
    SET_CONTAINS = "set_contains"
    IS_SET = "is_set"
    DISTINCT_HOSTS = "distinct_hosts"
    DISTINCT_PROPERTY = "distinct_property"

    @property
    def is_of_peers(self) -> bool:
        """It asks where the group's other tasks are, and nothing of a task that runs already."""
        return self in (Operator.DISTINCT_HOSTS, Operator.DISTINCT_PROPERTY)


@dataclass(frozen=True, slots=True, kw_only=True)
class Constraint:
    """A demand on the node: `attribute` is `node.name`, `label.NAME` and so on.

    It is empty for DISTINCT_HOSTS.
    """

    attribute: str
    operator: Operator
    values: tuple[str, ...] = ()

    def __str__(self) -> str:
        return " ".join(word for word in (self.attribute, self.operator, ", ".join(self.values)) if word)


@dataclass(frozen=True, slots=True, kw_only=True)
class Affinity:
    """A wish: nodes that meet the constraint are rather taken, or with a weight below 0 rather not.

    `weight` -100 to 100, not 0, is how much it counts beside the group's other wishes.
    """

    constraint: Constraint
    weight: int = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """A wish: the group's tasks stand under many values of the attribute.

    `targets` maps a value to the percentage of the tasks that should; empty: evenly under all.
    """

    attribute: str
    targets: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """How a group's image is built before a deploy, by the operator's engine.

    `context` and `dockerfile` are paths on the operator's machine, from the job file's folder. `target` is a
    stage of the Dockerfile; empty: the last.
    """

    context: str
    dockerfile: str = ""
    target: str = ""
    args: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """When a periodic job runs: a `cron` expression in a `timezone` of the IANA database.

    `prohibit_overlap`: no run begins while another is under way. A run that takes longer than `deadline`
    seconds is stopped; None: it may take for ever.
    """

    cron: str
    timezone: str = "UTC"
    prohibit_overlap: bool = True
    deadline: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Backup:
    """When a volume of a group is kept in an archive, on each node where a task of it runs.

    `folder` is on the machine that Cube runs on, or an sftp:// URL; empty: its own `backups`. `keep` None:
    all stay.
    """

    schedule: Schedule
    folder: str = ""
    keep: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """`count` tasks of one spec; of a system job one on each node that may have it.

    `type` None: the job's own. A group gets no task before each group that it `depends_on` is as it says.
    `max_per_node` None: a node may have any number of its tasks. `drain` in seconds: how long a task of it
    serves on once no file names it any more, before it is stopped. `backups` by the names of its volumes.
    """

    name: str
    spec: TaskSpec
    count: int = 1
    type: JobType | None = None
    constraints: tuple[Constraint, ...] = ()
    affinities: tuple[Affinity, ...] = ()
    spread: tuple[Spread, ...] = ()
    max_per_node: int | None = None
    pull: Pull = Pull.MISSING
    build: Build | None = None
    depends_on: Mapping[str, Condition] = field(default_factory=dict)
    restart: RestartPolicy = RestartPolicy()
    reschedule: ReschedulePolicy = ReschedulePolicy()
    update: UpdatePolicy = UpdatePolicy()
    on_unhealthy: OnUnhealthy = OnUnhealthy.RESTART
    quarantine: QuarantinePolicy = QuarantinePolicy()
    disconnect: DisconnectPolicy = DisconnectPolicy()
    drain: float = DRAIN
    ingress: Ingress | None = None
    backups: Mapping[str, Backup] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameters:
    """What a dispatch must and may name; tasks get them as variables CUBE_PARAM_NAME."""

    required: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Hooks:
    """Commands on the operator's machine, before and after a deploy. `timeout` in seconds, for each."""

    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    timeout: float = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A named set of groups. `version` is given by the store, 0 before; `datacenters` empty: any.

    `priority` 0 to 100, the higher is placed first. `scheduler` names the algorithm that chooses its nodes;
    empty: the cluster's. `all_or_nothing`: of its tasks that want a node either all get one or none does.
    A `stopped` job wants no task at all. A run of a periodic
    or parameterized job is a job of its own: `parent` is that job's name, `launched` the time (seconds since
    the epoch) that it is the run of.
    """

    name: str
    groups: tuple[Group, ...]
    type: JobType = JobType.SERVICE
    datacenters: tuple[str, ...] = ()
    priority: int = 50
    scheduler: str = ""
    all_or_nothing: bool = False
    schedule: Schedule | None = None
    parameters: Parameters | None = None
    hooks: Hooks = Hooks()
    parent: str | None = None
    launched: float | None = None
    version: int = 0
    stopped: bool = False

    @property
    def named_volumes(self) -> frozenset[str]:
        """The names of the volumes that its tasks have."""
        volumes = (volume for group in self.groups for volume in group.spec.volumes)
        return frozenset(volume.source for volume in volumes if volume.is_named)

    def group(self, name: str) -> Group | None:
        """The group of that name, or None."""
        return next((group for group in self.groups if group.name == name), None)

    def is_counted(self, group: Group) -> bool:
        """The job says how many tasks the group has; else the nodes that fit do."""
        return self.type_of(group) is not JobType.SYSTEM

    def type_of(self, group: Group) -> JobType:
        """How long that group's tasks are meant to live."""
        return group.type or self.type
