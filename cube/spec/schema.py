"""What a person writes in a job file: every key, its grammar, its default as one would write it, its meaning.

Everything in this file is also the reference of docs/jobs.md (reference.py).
"""

from collections.abc import Callable
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainValidator

from cube.model.job import Constraint
from cube.spec import grammar, mounts

T = TypeVar("T")


def _scalar(parse: Callable[[str], T]) -> PlainValidator:
    """Text to a value by a function that raises ValueError with a sentence for a person."""

    def validate(value: object) -> T:
        if not isinstance(value, str):
            raise ValueError(f"write a single value, not a {'list' if isinstance(value, list) else 'table'}")  # noqa: TRY004 - pydantic wants ValueError
        return parse(value)

    return PlainValidator(validate)


def _key(default: str, meaning: str, *, example: str = "") -> Any:
    """A key that may be left out; it then stands for `default`, as if that had been written."""
    return Field(default=default, validate_default=True, description=meaning, examples=[example or default])


def _needed(meaning: str, *, example: str) -> Any:
    return Field(description=meaning, examples=[example])


def _optional(meaning: str, *, example: str) -> Any:
    return Field(default=None, description=meaning, examples=[example])


def _nested(factory: Callable[[], Any], meaning: str, *, example: str, limit: int | None = None) -> Any:
    return Field(default_factory=factory, description=meaning, examples=[example], max_length=limit)


Name = Annotated[str, _scalar(grammar.name)]
Switch = Annotated[bool, _scalar(grammar.boolean)]
Argument = Annotated[str, _scalar(grammar.bounded(32768))]
Arguments = Annotated[list[Argument], Field(min_length=1, max_length=1000)]


class Written(BaseModel):
    """A table whose keys are all known."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class PortSchema(Written):
    """One port of the container, published on the node."""

    container: Annotated[int, _scalar(grammar.whole(1, 65535))] = _needed(
        "The port on which the process listens.", example="8080"
    )
    host: Annotated[grammar.HostPort, _scalar(grammar.host_port)] = _key(
        "auto",
        "The port on the node: a number, a range for Cube to choose in, or `auto` for 20000-29999.",
        example="20000-20999",
    )
    public: Switch = _key("false", "Listen on every address of the node; else only on its loopback.")
    protocol: Annotated[str, _scalar(grammar.word("tcp", "udp"))] = _key("tcp", "`tcp` or `udp`.")


class VolumeSchema(Written):
    """Storage that outlives the task's container."""

    source: Annotated[str, _scalar(mounts.source)] = _needed(
        "The name of a volume of the node's engine, or an absolute path on the node.", example="data"
    )
    target: Annotated[str, _scalar(mounts.target)] = _needed("Where the container sees it.", example="/data")
    read_only: Switch = _key("false", "The task cannot write to it.")


class HealthSchema(Written):
    """How a task shows that it works. Exactly one of `http` and `tcp` is written."""

    http: Annotated[str, _scalar(grammar.url_path)] | None = _optional(
        "Healthy is an answer from 200 to 399 to a GET of this path.", example="/health"
    )
    tcp: Switch | None = _optional("Healthy is a port that accepts connections.", example="true")
    port: Name = _needed("The name of the port that is asked.", example="http")
    timeout: Annotated[float, _scalar(grammar.duration("100ms", "60s"))] = _key(
        "2s", "How long to wait for the answer."
    )
    failures: Annotated[int, _scalar(grammar.whole(1, 100))] = _key(
        "3", "How many failures in a row make a task unhealthy."
    )
    grace: Annotated[float, _scalar(grammar.duration("0s", "1h"))] = _key(
        "30s", "How long after its start a task may still fail its checks."
    )


class RestartSchema(Written):
    """When a task that failed is tried again."""

    attempts: Annotated[int, _scalar(grammar.whole(0, 1000))] = _key(
        "2", "How many restarts; after the last one the task stays failed."
    )
    window: Annotated[float, _scalar(grammar.duration("1s", "7d"))] = _key(
        "30m", "A task that has run this long gets all of its attempts back."
    )
    delay: Annotated[float, _scalar(grammar.duration("0s", "1h"))] = _key(
        "5s", "How long to wait before a restart."
    )


class UpdateSchema(Written):
    """How a new version takes the place of the old one."""

    max_parallel: Annotated[int, _scalar(grammar.whole(1, 10000))] = _key(
        "1", "How many tasks of the group are replaced at a time."
    )


class StopSchema(Written):
    """How a task is ended."""

    signal: Annotated[str, _scalar(grammar.signal)] = _key("SIGTERM", "What the process is sent first.")
    grace: Annotated[float, _scalar(grammar.duration("0s", "1h"))] = _key(
        "10s", "How long it may take before it is killed."
    )


def _volume(value: object) -> object:
    return mounts.split(value) if isinstance(value, str) else value


class GroupSchema(Written):
    """Tasks that are all alike."""

    count: Annotated[int, _scalar(grammar.whole(0, 10000))] = _key(
        "1", "How many tasks; 0 keeps the job and runs none."
    )
    image: Annotated[str, _scalar(grammar.image)] = _needed(
        "The image: `name:tag`, with a registry before it and `@sha256:...` after it where wanted.",
        example="cube-demo:1",
    )
    command: Arguments | None = _optional(
        "The arguments, in place of the image's own. A list: no shell reads it.",
        example='["serve", "--port", "8080"]',
    )
    entrypoint: Arguments | None = _optional(
        "The program, in place of the image's own. A list.", example='["/bin/app"]'
    )
    env: dict[Annotated[str, _scalar(grammar.variable)], Annotated[str, _scalar(grammar.bounded(65536))]] = (
        _nested(dict, "Environment variables.", example="{COLOR: blue}", limit=1000)
    )
    user: Annotated[str, _scalar(grammar.user)] | None = _optional(
        "Who runs the process, in place of the image's own: a name or number, or `user:group`.",
        example='"1000"',
    )
    cpu: Annotated[int, _scalar(grammar.cpu)] = _key(
        "100m",
        "Reserved cores: `0.5`, `2`, or millicores as `500m`; its share where cores are scarce, not a limit.",
    )
    memory: Annotated[int, _scalar(grammar.memory)] = _key(
        "128MiB", "Reserved memory, which is also its limit."
    )
    disk: Annotated[int, _scalar(grammar.disk)] = _key("0", "Reserved disk.", example="100MiB")
    ports: dict[Name, PortSchema] = _nested(
        dict, "Published ports, by name.", example="{http: {container: 8080}}", limit=100
    )
    volumes: list[Annotated[VolumeSchema, BeforeValidator(_volume)]] = _nested(
        list,
        "What is mounted: `source:target`, `source:target:ro`, or a table.",
        example='["data:/data"]',
        limit=100,
    )
    health: HealthSchema | None = _optional(
        "How a task shows that it works; without it, running is enough.",
        example="{http: /health, port: http}",
    )
    restart: RestartSchema = _nested(
        RestartSchema, "When a failed task is tried again.", example="{attempts: 2}"
    )
    update: UpdateSchema = _nested(
        UpdateSchema, "How a new version is rolled out.", example="{max_parallel: 1}"
    )
    labels: dict[Annotated[str, _scalar(grammar.label)], Annotated[str, _scalar(grammar.label_value)]] = (
        _nested(dict, "Labels of the containers.", example="{team: shop}", limit=64)
    )
    stop: StopSchema = _nested(StopSchema, "How a task is ended.", example="{signal: SIGTERM, grace: 10s}")
    pids: Annotated[int, _scalar(grammar.whole(1, 1_000_000))] = _key(
        "512", "How many processes and threads at most."
    )
    allow_new_privileges: Switch = _key("false", "Let processes gain rights, as sudo and setuid programs do.")
    constraints: list[Annotated[Constraint, _scalar(grammar.constraint)]] = _nested(
        list,
        "Demands on the node: `node.name`, `node.datacenter`, `node.role` or `label.NAME`, "
        "then `=`, `!=`, `in` or `not-in`.",
        example='["label.disk = ssd"]',
        limit=64,
    )


class JobSchema(Written):
    """A job file."""

    job: Annotated[str, _scalar(grammar.job_name)] = _needed("The job's name.", example="web")
    type: Annotated[str, _scalar(grammar.word("service", "batch"))] = _key(
        "service", "`service`: runs until it is stopped. `batch`: runs until it has ended well."
    )
    datacenters: list[Annotated[str, _scalar(grammar.datacenter)]] = _nested(
        list, "Where the tasks may run; anywhere, where it is left out.", example="[dc1, dc2]", limit=100
    )
    priority: Annotated[int, _scalar(grammar.whole(0, 100))] = _key("50", "The higher is placed first.")
    groups: Annotated[dict[Name, GroupSchema], Field(min_length=1, max_length=100)] = _needed(
        "The groups of tasks, by name.", example="{web: {image: cube-demo:1}}"
    )


_NEVER = "a task that could ask for it could take over the node"
STRANGE = {
    **dict.fromkeys(("privileged", "cap_add", "devices", "security_opt", "sysctls", "cgroup_parent"), _NEVER),
    **dict.fromkeys(("network", "network_mode", "pid", "ipc", "userns_mode"), _NEVER),
    "environment": "write 'env'",
    "replicas": "write 'count'",
    "instances": "write 'count'",
    "args": "write 'command'",
    "cpus": "write 'cpu'",
    "mem_limit": "write 'memory'",
    "healthcheck": "write 'health'",
    "tasks": "write 'groups'",
    "services": "write 'groups'",
    "name": "write 'job'",
}
"""What to tell those who write the keys of Compose, Kubernetes or Nomad."""
