"""What a look at a node answers: seen, or unknown. Nothing here has a default that could stand for a fact."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from cube.model.files import Delivered
from cube.model.image import Image
from cube.model.resources import Resources
from cube.model.task import Health, Slot


@dataclass(frozen=True, slots=True, kw_only=True)
class CpuTimes:
    """Time since boot in clock ticks: all of it, and what was spent doing nothing (idle and iowait)."""

    total: int
    idle: int

    def busy_since(self, earlier: "CpuTimes") -> float | None:
        """The busy share 0..1 between two samples; None where the counters did not advance (a reboot)."""
        total, idle = self.total - earlier.total, self.idle - earlier.idle
        if total <= 0 or not 0 <= idle <= total:
            return None
        return 1 - idle / total


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """What one container uses: seconds of CPU since it started, and bytes of memory without the cache."""

    cpu: float
    memory: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Stats:
    """A node's `/proc` and disk at one moment. Sizes in bytes, uptime in seconds.

    `pressure` maps `cpu`, `memory`, `io` to the share 0..1 of the last ten seconds in which something
    waited (PSI `some avg10`); empty where the kernel has none. `disk` is that of Docker's data.
    `architecture` is `amd64` and so on, `kernel` its release in numbers, `os` and `os_version` are what
    os-release calls ID and VERSION_ID, `docker` is the engine's version in numbers; empty: the node did not
    say.
    `machine_id` is empty where the node has none. `uses` maps the ids of running containers, Cube's or not,
    to what they use, as far as the kernel keeps account of them where it is looked for.
    """

    at: float
    boot_id: str
    machine_id: str
    uptime: float
    clock: float
    cpus: int
    cpu: CpuTimes
    load: tuple[float, float, float]
    memory_total: int
    memory_available: int
    disk_total: int
    disk_free: int
    pressure: Mapping[str, float]
    architecture: str = ""
    kernel: str = ""
    os: str = ""
    os_version: str = ""
    docker: str = ""
    uses: Mapping[str, Use] = field(default_factory=dict)

    @property
    def capacity(self) -> Resources:
        """All that the machine has."""
        return Resources(cpu=self.cpus * 1000, memory=self.memory_total, disk=self.disk_total)

    @property
    def memory_in_use(self) -> int:
        """Bytes that nothing else can have."""
        return self.memory_total - self.memory_available

    @property
    def disk_in_use(self) -> int:
        """Bytes that nothing else can have."""
        return self.disk_total - self.disk_free


class ContainerState(StrEnum):
    """Docker's own states."""

    CREATED = "created"
    RUNNING = "running"
    PAUSED = "paused"
    RESTARTING = "restarting"
    REMOVING = "removing"
    EXITED = "exited"
    DEAD = "dead"

    @property
    def is_alive(self) -> bool:
        """It holds a process, or is about to again."""
        return self in (ContainerState.RUNNING, ContainerState.PAUSED, ContainerState.RESTARTING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What a container's labels say: which task of which cluster it is, and which store made it."""

    cluster: str
    owner: str
    epoch: int
    task: str
    slot: Slot
    version: int
    digest: str


QUARANTINED = "-quarantined"
"""What the name of a container ends in that was taken out of service and kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """A container on a node. `identity` None: not Cube's.

    `exit_code` and `oom_killed` are None unless it has ended. `host_ports` are those taken on the node.
    `health` is the outcome of the task's check in this look: UNCHECKED where it has none or could not be
    asked, STARTING where the outcome has been counted already; `check` says why it was not HEALTHY.
    `drift` says what somebody has changed of it since it was made, empty where nothing.
    `files` are its files from templates; None: it has none, does not run, or nobody could tell.
    """

    id: str
    name: str
    image: str
    image_id: str
    state: ContainerState
    created_at: float
    identity: Identity | None
    host_ports: tuple[int, ...] = ()
    address: str = ""
    exit_code: int | None = None
    oom_killed: bool | None = None
    health: Health = Health.UNCHECKED
    check: str = ""
    drift: str = ""
    files: Delivered | None = None

    @property
    def is_cut_off(self) -> bool:
        """It was taken out of service, and is kept: its name says so."""
        return self.name.endswith(QUARANTINED)

    @property
    def can_serve(self) -> bool:
        """It is alive, neither taken out of service nor frozen."""
        return self.state.is_alive and self.state is not ContainerState.PAUSED and not self.is_cut_off


@dataclass(frozen=True, slots=True, kw_only=True)
class PostMortem:
    """What the container of a failed task left behind, taken before it was restarted or removed.

    `log` are its last lines, `checks` what its health check said last, the newest at the end.
    """

    at: float
    container: str
    exit_code: int | None
    oom_killed: bool
    started_at: str
    finished_at: str
    log: str
    checks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """The Docker engine that answered."""

    version: str
    api_version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A node that answered in full: its stats, its engine and every container on it.

    `images` and `volumes` None: the engine did not tell in time which it has. `volumes` are names.
    """

    node: str
    at: float
    stats: Stats
    engine: Engine
    containers: tuple[Container, ...]
    images: tuple[Image, ...] | None = None
    volumes: tuple[str, ...] | None = None


class Cause(StrEnum):
    """Why a node, or its engine, did not answer, or why its answer is not believed."""

    NAME = "name not resolved"
    REFUSED = "refused"
    TIMEOUT = "timed out"
    NO_ROUTE = "no route"
    SILENT = "no SSH banner"
    THROTTLED = "throttled"
    HOST_KEY = "host key changed"
    NO_HOST_KEY = "host key not pinned"
    AUTHENTICATION = "key refused"
    KEY_FILE = "key file unusable"
    LOST = "connection lost"
    NO_DOCKER = "no Docker"
    DOCKER_STOPPED = "Docker stopped"
    DOCKER_PERMISSION = "no permission on the Docker socket"
    DOCKER_SILENT = "Docker does not answer"
    STRANGE = "strange answer"
    TWIN = "one machine under two names"


@dataclass(frozen=True, slots=True, kw_only=True)
class Unknown:
    """A node that did not answer, or only in part. It is never taken for an empty one.

    `stats` is there when SSH answered and the engine did not.
    """

    node: str
    at: float
    cause: Cause
    why: str
    cure: str
    stats: Stats | None = None


Observation = Seen | Unknown
