"""What a person writes in a job file: every key, its grammar, its default as one would write it, its meaning.

Everything in this file is also the reference of docs/jobs.md (reference.py).
"""

from collections.abc import Callable
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainValidator

from cube.model.job import Constraint
from cube.spec import demands, grammar, mounts, schedule

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
Targets = dict[Annotated[str, _scalar(grammar.bounded(256))], Annotated[int, _scalar(grammar.whole(1, 100))]]
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
    external: Switch = _key(
        "false", "Somebody else makes the volume: the task goes where it is, and waits while it is nowhere."
    )


class BuildSchema(Written):
    """How `cube deploy` builds the group's image first, with the engine of its own machine."""

    context: Annotated[str, _scalar(grammar.bounded(1024))] = _needed(
        "The folder that is built from, as the job file's folder sees it.", example="."
    )
    dockerfile: Annotated[str, _scalar(grammar.bounded(1024))] | None = _optional(
        "The Dockerfile, as the context sees it, in place of `Dockerfile`.", example="deploy/Dockerfile"
    )
    target: Annotated[str, _scalar(grammar.bounded(128))] | None = _optional(
        "The stage that is built, in place of the last.", example="release"
    )
    args: dict[Annotated[str, _scalar(grammar.variable)], Annotated[str, _scalar(grammar.bounded(4096))]] = (
        _nested(dict, "Arguments; not for secrets: the image shows them.", example='{GO: "1.22"}', limit=64)
    )


class HealthSchema(Written):
    """How a task shows that it works. Exactly one of `http`, `tcp`, `exec` and `image` is written."""

    http: Annotated[str, _scalar(grammar.url_path)] | None = _optional(
        "Healthy is a good answer to a GET of this path.", example="/health"
    )
    tcp: Switch | None = _optional("Healthy is a port that accepts connections.", example="true")
    exec: Arguments | None = _optional(
        "Healthy is a command in the container that ends with 0. A list: no shell reads it.",
        example='["pg_isready", "-q"]',
    )
    image: Switch | None = _optional("Healthy is what the image's own HEALTHCHECK finds so.", example="true")
    port: Name | None = _optional(
        "The name of the port that is asked; needed for `http` and `tcp`.", example="http"
    )
    status: Annotated[tuple[int, int], _scalar(grammar.status)] = _key(
        "200-399", "For `http`: the good statuses, one or a range.", example="200"
    )
    headers: dict[Annotated[str, _scalar(grammar.header)], Annotated[str, _scalar(grammar.header_value)]] = (
        _nested(dict, "For `http`: what is sent along.", example="{Accept: text/plain}", limit=32)
    )
    body: Annotated[str, _scalar(grammar.body)] | None = _optional(
        "For `http`: what the first 64 KiB of a good answer contain.", example="ready"
    )
    interval: Annotated[float, _scalar(grammar.duration("1s", "1h"))] = _key(
        "10s", "How long it is from one check to the next at least."
    )
    timeout: Annotated[float, _scalar(grammar.duration("100ms", "60s"))] = _key(
        "2s", "How long to wait for the answer; not longer than `interval`."
    )
    failures: Annotated[int, _scalar(grammar.whole(1, 100))] = _key(
        "3", "How many failures in a row make a task unhealthy."
    )
    successes: Annotated[int, _scalar(grammar.whole(1, 100))] = _key(
        "1", "How many successes in a row make a task healthy."
    )
    grace: Annotated[float, _scalar(grammar.duration("0s", "1h"))] = _key(
        "30s", "How long after its start a task may still fail its checks."
    )


class RestartSchema(Written):
    """When a task that failed is tried again in the same place."""

    attempts: Annotated[int, _scalar(grammar.whole(0, 1000))] = _key("2", "How many restarts.")
    window: Annotated[float, _scalar(grammar.duration("1s", "7d"))] = _key(
        "30m", "A task that has run this long gets all of its attempts back."
    )
    delay: Annotated[float, _scalar(grammar.duration("0s", "1h"))] = _key(
        "5s", "How long to wait before the first restart; before each further one twice as long."
    )
    max_delay: Annotated[float, _scalar(grammar.duration("0s", "1d"))] = _key(
        "5m", "How long to wait at most; not shorter than `delay`."
    )
    mode: Annotated[str, _scalar(grammar.word("fail", "delay"))] = _key(
        "fail",
        "After the last attempt: `fail`: the task has failed, and is rescheduled where that is allowed. "
        "`delay`: it waits for a new window.",
    )


class RescheduleSchema(Written):
    """When a new task takes the place of one that has failed for good: elsewhere, if it can be."""

    attempts: Annotated[grammar.Attempts, _scalar(grammar.attempts)] = _key(
        "auto", "How many new tasks: a number, `unlimited`, or `auto`: 1 for a batch group, else `unlimited`."
    )
    window: Annotated[float, _scalar(grammar.duration("1s", "30d"))] = _key(
        "1h", "A task that has run this long gets all of its attempts back."
    )
    delay: Annotated[float, _scalar(grammar.duration("0s", "1d"))] = _key(
        "30s", "How long to wait before the first; before each further one twice as long."
    )
    max_delay: Annotated[float, _scalar(grammar.duration("0s", "7d"))] = _key(
        "1h", "How long to wait at most; not shorter than `delay`."
    )


class UpdateSchema(Written):
    """How a new version takes the place of the old one."""

    max_parallel: Annotated[int, _scalar(grammar.whole(1, 10000))] = _key(
        "1", "How many tasks of the group are replaced at a time."
    )
    order: Annotated[str, _scalar(grammar.word("auto", "start-first", "stop-first"))] = _key(
        "auto",
        "What goes first, the new task's start or the old one's stop. `auto`: the start, unless both would "
        "clash over a fixed port or a volume that is written to, or there is no room for both.",
    )
    min_healthy_time: Annotated[float, _scalar(grammar.duration("0s", "1h"))] = _key(
        "2s", "How long a new task must have been healthy before it counts."
    )
    healthy_deadline: Annotated[float, _scalar(grammar.duration("1s", "1d"))] = _key(
        "5m", "A new task that is not healthy this long after its start fails the rollout."
    )
    progress_deadline: Annotated[float, _scalar(grammar.duration("1s", "7d"))] = _key(
        "10m", "A rollout that gains no healthy task for this long has failed."
    )
    canary: Annotated[int, _scalar(grammar.whole(0, 10000))] = _key(
        "0", "How many tasks are replaced before the rollout waits for `cube promote`; 0: it does not wait."
    )
    auto_revert: Switch = _key("false", "A failed rollout brings back the last version that had succeeded.")


class QuarantineSchema(Written):
    """How long a sick task is kept for looking at, where `on_unhealthy` is `quarantine`."""

    keep: Annotated[float, _scalar(grammar.duration("1s", "7d"))] = _key(
        "1h", "Its container is removed after this long."
    )
    memory: Annotated[int, _scalar(grammar.memory)] = _key(
        "1GiB", "How much all that are kept of a group on one node may reserve; one too many is removed."
    )


class LoggingSchema(Written):
    """Where the engine keeps what a task prints."""

    driver: Annotated[str, _scalar(grammar.log_driver)] = _key(
        "json-file", "The engine's driver. `cube logs` reads what `json-file`, `local` and `journald` keep."
    )
    options: (
        dict[
            Annotated[str, _scalar(grammar.bounded(128))],
            Annotated[str, _scalar(grammar.bounded(1024))],
        ]
        | None
    ) = _optional(
        "The driver's options; where none are written, `json-file` keeps three files of 10 MB.",
        example='{max-size: 10m, max-file: "3"}',
    )


class SecretSchema(Written):
    """How a task gets a secret: as a file, which is the default, or as a variable."""

    file: Annotated[str, _scalar(mounts.target)] | None = _optional(
        "Where its file is, which the task's user alone may read; `/run/secrets/NAME` by default.",
        example="/etc/app/key.pem",
    )
    env: Annotated[str, _scalar(grammar.variable)] | None = _optional(
        "The variable that holds it, in place of a file: the engine keeps it on the node's disk.",
        example="API_KEY",
    )


class StopSchema(Written):
    """How a task is ended."""

    signal: Annotated[str, _scalar(grammar.signal)] = _key("SIGTERM", "What the process is sent first.")
    grace: Annotated[float, _scalar(grammar.duration("0s", "1h"))] = _key(
        "10s", "How long it may take before it is killed."
    )
    drain: Annotated[float, _scalar(grammar.duration("0s", "1h"))] = _key(
        "5s", "How long it serves on before that, once no file from a template names it any more."
    )


class OnChangeSchema(Written):
    """How a running task is told that a file has changed. Exactly one is written."""

    restart: Switch | None = _optional(
        "It is restarted; `on_change: restart` is the same, and `none` is `restart: false`.", example="true"
    )
    signal: Annotated[str, _scalar(grammar.signal)] | None = _optional(
        "The signal that its first process is sent.", example="SIGHUP"
    )
    exec: Arguments | None = _optional(
        "A command that is run in its container, and ends with 0. A list: no shell reads it.",
        example='["nginx", "-s", "reload"]',
    )


def _on_change(value: object) -> object:
    words = {"restart": "true", "none": "false"}
    return {"restart": words[value]} if isinstance(value, str) and value in words else value


class TemplateSchema(Written):
    """A file that is made for each task, and made anew whenever it is to be another one."""

    source: Annotated[str, _scalar(grammar.template)] = _needed(
        "The template: a file below `templates/`.", example="proxy/haproxy.cfg.j2"
    )
    on_change: Annotated[OnChangeSchema, BeforeValidator(_on_change)] = _nested(
        lambda: OnChangeSchema.model_validate({"restart": "true"}),
        "What is done with the task when it is running: `restart`, `none`, a signal or a command.",
        example="{signal: SIGHUP}",
    )


class IngressSchema(Written):
    """Which requests from outside are the group's; a proxy's template lists them."""

    host: Annotated[list[Annotated[str, _scalar(grammar.site)]], BeforeValidator(demands.one_or_many)] = (
        _nested(
            list,
            "The name that is asked for, or a list; any, where none is written.",
            example="shop.example",
            limit=64,
        )
    )
    path: Annotated[str, _scalar(grammar.site_path)] = _key(
        "/", "Requests for this path, and for all below it."
    )
    port: Name | None = _optional(
        "The group's port that they go to; its only one, by default.", example="http"
    )


def _secret(value: object) -> object:
    return {"file": value} if isinstance(value, str) else value


def _secrets(value: object) -> object:
    """A list of names is a table of those, each as it is by default."""
    return (
        {name: {} for name in value}
        if isinstance(value, list) and all(isinstance(each, str) for each in value)
        else value
    )


def _template(value: object) -> object:
    return {"source": value} if isinstance(value, str) else value


def _volume(value: object) -> object:
    return mounts.split(value) if isinstance(value, str) else value


class GroupSchema(Written):
    """Tasks that are all alike."""

    type: Annotated[str, _scalar(grammar.word("service", "batch"))] | None = _optional(
        "`service` or `batch`, where it is not the job's own: a migration that runs once beside services.",
        example="batch",
    )
    count: Annotated[int, _scalar(grammar.whole(0, 10000))] = _key(
        "1", "How many tasks; 0 keeps the job and runs none. A system job has none: it is one on each node."
    )
    image: Annotated[str, _scalar(grammar.image)] = _needed(
        "The image: `name:tag`, with a registry before it and `@sha256:...` after it where wanted.",
        example="cube-demo:1",
    )
    build: BuildSchema | None = _optional(
        "How this machine's engine builds the image at each deploy, before anything else.",
        example="{context: .}",
    )
    pull: Annotated[str, _scalar(grammar.word("missing", "always", "never"))] = _key(
        "missing",
        "When a node asks the registry: `missing`: where neither it nor this machine's engine has the image; "
        "`always`: before each start; `never`.",
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
    secrets: Annotated[
        dict[Annotated[str, _scalar(grammar.secret)], Annotated[SecretSchema, BeforeValidator(_secret)]],
        BeforeValidator(_secrets),
    ] = _nested(
        dict,
        "Secrets by name, with the places of their files or as a list: never their values.",
        example="{db-password: /run/db, api-key: {env: API_KEY}}",
        limit=64,
    )
    templates: dict[
        Annotated[str, _scalar(mounts.target)], Annotated[TemplateSchema, BeforeValidator(_template)]
    ] = _nested(
        dict,
        "Files made for each task: where it sees them, and of which file in `templates/`, or a table.",
        example="{/etc/app/app.conf: app.conf.j2}",
        limit=16,
    )
    ingress: IngressSchema | None = _optional(
        "Which requests from outside are the group's.", example="{host: shop.example, path: /}"
    )
    health: HealthSchema | None = _optional(
        "How a task shows that it works; without it, running is enough.",
        example="{http: /health, port: http}",
    )
    depends_on: dict[Name, Annotated[str, _scalar(grammar.word("healthy", "completed"))]] = _nested(
        dict,
        "The groups that this one waits for: until all of their tasks are `healthy`, "
        "or, in a batch group, have `completed`.",
        example="{db: healthy, migrate: completed}",
        limit=100,
    )
    restart: RestartSchema = _nested(
        RestartSchema, "When a failed task is tried again.", example="{attempts: 2}"
    )
    reschedule: RescheduleSchema = _nested(
        RescheduleSchema, "When one that failed for good is replaced.", example="{attempts: 3}"
    )
    update: UpdateSchema = _nested(
        UpdateSchema, "How a new version is rolled out.", example="{max_parallel: 1}"
    )
    on_unhealthy: Annotated[str, _scalar(grammar.word("restart", "replace", "quarantine"))] = _key(
        "restart",
        "What becomes of an unhealthy task: `restart`: a new container in its place; `replace`: a new task "
        "elsewhere; `quarantine`: as `replace`, and the sick one is kept, cut off, for looking at.",
    )
    quarantine: QuarantineSchema = _nested(
        QuarantineSchema, "How long, and how many.", example="{keep: 1h, memory: 1GiB}"
    )
    on_disconnect: Annotated[str, _scalar(grammar.word("replace", "keep"))] = _key(
        "replace",
        "What becomes of tasks on a node that is silent: `replace`: new ones elsewhere; `keep`: they are "
        "waited for.",
    )
    lost_after: Annotated[float, _scalar(grammar.duration("1s", "30d"))] = _key(
        "5m", "How long a node must be silent, over three looks at least, before its tasks are lost."
    )
    labels: dict[Annotated[str, _scalar(grammar.label)], Annotated[str, _scalar(grammar.label_value)]] = (
        _nested(dict, "Labels of the containers.", example="{team: shop}", limit=64)
    )
    stop: StopSchema = _nested(StopSchema, "How a task is ended.", example="{signal: SIGTERM, grace: 10s}")
    pids: Annotated[int, _scalar(grammar.whole(1, 1_000_000))] = _key(
        "512", "How many processes and threads at most."
    )
    allow_new_privileges: Switch = _key("false", "Let processes gain rights, as sudo and setuid programs do.")
    working_dir: Annotated[str, _scalar(grammar.directory)] | None = _optional(
        "Where the process begins, in place of the image's own.", example="/app"
    )
    hostname: Annotated[str, _scalar(grammar.hostname)] | None = _optional(
        "What the container calls itself.", example="db"
    )
    group_add: list[Annotated[str, _scalar(grammar.group)]] = _nested(
        list, "Further groups of the user.", example='["1001"]', limit=32
    )
    cap_add: list[Annotated[str, _scalar(grammar.capability)]] = _nested(
        list, "Capabilities beside those that Cube leaves.", example="[NET_RAW]", limit=32
    )
    cap_drop: list[Annotated[str, _scalar(grammar.dropped_capability)]] = _nested(
        list, "Capabilities to take away; `ALL`: all but those in `cap_add`.", example="[ALL]", limit=64
    )
    read_only: Switch = _key("false", "Nothing can be written but in volumes and `tmpfs`.")
    tmpfs: dict[Annotated[str, _scalar(mounts.target)], Annotated[int, _scalar(grammar.tmpfs_size)]] = (
        _nested(
            dict,
            "Filesystems in memory, with their sizes; what is in them counts as the task's memory.",
            example="{/tmp: 64MiB}",
            limit=32,
        )
    )
    shm_size: Annotated[int, _scalar(grammar.tmpfs_size)] | None = _optional(
        "The size of /dev/shm, where it is not to be the engine's 64 MiB.", example="256MiB"
    )
    ulimits: dict[
        Annotated[str, _scalar(grammar.ulimit_name)], Annotated[tuple[int, int], _scalar(grammar.ulimit)]
    ] = _nested(
        dict,
        "What a process may have at most: one number, or the soft and the hard limit.",
        example="{nofile: 65536}",
        limit=32,
    )
    devices: dict[Name, Annotated[int, _scalar(grammar.whole(1, 64))]] = _nested(
        dict,
        "Devices that each task has for itself, by the kinds that the inventory's `cube_devices` names.",
        example="{gpu: 1}",
        limit=16,
    )
    cpu_limit: Annotated[int, _scalar(grammar.cpu)] | None = _optional(
        "Cores that it may never use more of, even where some are idle.", example="2"
    )
    extra_hosts: dict[Annotated[str, _scalar(grammar.hostname)], Annotated[str, _scalar(grammar.address)]] = (
        _nested(dict, "Names for /etc/hosts, with their addresses.", example="{mail: 10.0.0.7}", limit=100)
    )
    logging: LoggingSchema = _nested(
        LoggingSchema, "Where the engine keeps what a task prints.", example="{driver: journald}"
    )
    init: Switch = _key("true", "The engine puts a small process 1 before it, which reaps what dies.")
    architecture: Annotated[
        list[Annotated[str, _scalar(demands.machine)]], BeforeValidator(demands.one_or_many)
    ] = _nested(
        list,
        "The machines that the image is for: `amd64`, `arm64` and so on, or a list; any by default.",
        example="arm64",
        limit=16,
    )
    constraints: list[Annotated[Constraint, _scalar(demands.constraint)]] = _nested(
        list,
        "Demands on the node: `node.name`, `node.datacenter`, `node.role`, `node.architecture` or "
        "`label.NAME`, then an operator and a value.",
        example='["label.disk = ssd"]',
        limit=64,
    )
    affinities: dict[
        Annotated[Constraint, _scalar(demands.wish)], Annotated[int, _scalar(demands.weight)]
    ] = _nested(
        dict,
        "Wishes, written as constraints, with weights: 1 to 100, or below 0 for what had rather not be.",
        example='{"label.disk = ssd": 80}',
        limit=64,
    )
    spread: dict[
        Annotated[str, _scalar(demands.attribute)], Annotated[Targets, BeforeValidator(demands.targets)]
    ] = _nested(
        dict,
        "Attributes over whose values the tasks spread: `evenly`, or the percentage that each is to get.",
        example="{label.zone: evenly}",
        limit=8,
    )
    max_per_node: Annotated[int, _scalar(grammar.whole(1, 10000))] | None = _optional(
        "How many tasks of the group one node may have.", example="1"
    )


class ScheduleSchema(Written):
    """When a periodic job runs."""

    cron: Annotated[str, _scalar(schedule.cron)] = _needed(
        "Five fields: minute, hour, day of month, month, day of week; as Debian's cron reads them.",
        example='"30 2 * * *"',
    )
    timezone: Annotated[str, _scalar(schedule.timezone)] = _key(
        "UTC", "The zone of the IANA database whose clock is meant.", example="Europe/Berlin"
    )
    prohibit_overlap: Switch = _key("true", "No run begins while another is under way.")
    deadline: Annotated[float, _scalar(grammar.duration("1s", "30d"))] | None = _optional(
        "A run that takes longer is stopped.", example="30m"
    )


Parameter = Annotated[str, _scalar(grammar.parameter)]


class ParametersSchema(Written):
    """What a dispatch gives a value to: small letters, digits and `_`."""

    required: list[Parameter] = _nested(list, "Each dispatch must name them.", example="[path]", limit=64)
    optional: list[Parameter] = _nested(list, "A dispatch may name them.", example="[width]", limit=64)


class HooksSchema(Written):
    """Commands that `cube deploy` runs on its own machine."""

    before: Arguments | None = _optional(
        "Before the deploy; nothing is changed unless it ends with 0. A list: no shell reads it.",
        example='["./check.sh"]',
    )
    after: Arguments | None = _optional(
        "After the deploy, whether it succeeded or failed. A list.", example='["./tell.sh"]'
    )
    timeout: Annotated[float, _scalar(grammar.duration("1s", "1h"))] = _key(
        "5m", "How long each may take before it is killed."
    )


class JobSchema(Written):
    """A job file."""

    job: Annotated[str, _scalar(grammar.job_name)] = _needed("The job's name.", example="web")
    type: Annotated[str, _scalar(grammar.word("service", "batch", "system", "periodic", "parameterized"))] = (
        _key(
            "service",
            "`service`: runs until it is stopped. `batch`: runs until it has ended well. `system`: a service "
            "with one task on each node. `periodic`: a batch job whenever the clock says so. "
            "`parameterized`: a batch job at each `cube dispatch`.",
        )
    )
    schedule: ScheduleSchema | None = _optional(
        "When a periodic job runs; needed there, and nowhere else.", example='{cron: "30 2 * * *"}'
    )
    parameters: ParametersSchema | None = _optional(
        "What a dispatch of a parameterized job must and may name.", example="{required: [path]}"
    )
    hooks: HooksSchema = _nested(
        HooksSchema, "Commands before and after a deploy.", example='{before: ["./check.sh"]}'
    )
    datacenters: list[Annotated[str, _scalar(grammar.datacenter)]] = _nested(
        list, "Where the tasks may run; anywhere, where it is left out.", example="[dc1, dc2]", limit=100
    )
    priority: Annotated[int, _scalar(grammar.whole(0, 100))] = _key(
        "50",
        "The higher is placed first; where the inventory has `cube_preemption`, it takes the room of what is "
        "lower by ten.",
    )
    scheduler: Name | None = _optional(
        "The algorithm that chooses its nodes, where it is not the cluster's.", example="spread"
    )
    all_or_nothing: Switch = _key(
        "false",
        "Nothing of the job is started while there is no room for all of it; else what fits is started.",
    )
    groups: Annotated[dict[Name, GroupSchema], Field(min_length=1, max_length=100)] = _needed(
        "The groups of tasks, by name.", example="{web: {image: cube-demo:1}}"
    )


_NEVER = "a task that could ask for it could take over the node"
_MIGRATION = "write a group of 'type: batch', and 'depends_on: {GROUP: completed}' in those that wait for it"
_DISPATCH = "write 'type: parameterized' and 'parameters: {required: [...], optional: [...]}'"
_SCHEDULE = "write 'type: periodic' and 'schedule: {cron: ..., timezone: ...}'"
STRANGE = {
    **dict.fromkeys(("privileged", "security_opt", "sysctls", "cgroup_parent"), _NEVER),
    **dict.fromkeys(("network", "network_mode", "pid", "ipc", "userns_mode"), _NEVER),
    **dict.fromkeys(("cron", "crons", "periodic"), _SCHEDULE),
    **dict.fromkeys(("time_zone", "timeZone"), "write 'timezone'"),
    **dict.fromkeys(("concurrencyPolicy", "overlap"), "write 'prohibit_overlap'"),
    "activeDeadlineSeconds": "write 'deadline'",
    **dict.fromkeys(("parameterized", "dispatch", "meta_required", "meta_optional"), _DISPATCH),
    **dict.fromkeys(("initContainers", "lifecycle", "prestart"), _MIGRATION),
    "environment": "write 'env'",
    **dict.fromkeys(("replicas", "instances", "scale"), "write 'count'"),
    "args": "write 'command'",
    "cpus": "write 'cpu'",
    "mem_limit": "write 'memory'",
    "deploy": "its keys stand in the group itself: count, update, restart, constraints",
    **dict.fromkeys(("placement", "nodeSelector"), "write 'constraints'"),
    **dict.fromkeys(("platform", "platforms", "arch"), "write 'architecture: arm64'"),
    "affinity": "write 'constraints' or 'affinities'",
    **dict.fromkeys(("topologySpreadConstraints", "spreads"), "write 'spread'"),
    "max_replicas_per_node": "write 'max_per_node'",
    **dict.fromkeys(("healthcheck", "livenessProbe", "readinessProbe", "startupProbe"), "write 'health'"),
    "httpGet": "write 'http: /path' and 'port'",
    "tcpSocket": "write 'tcp: true' and 'port'",
    "test": "write 'exec: [program, argument]'",
    "periodSeconds": "write 'interval'",
    "timeoutSeconds": "write 'timeout'",
    **dict.fromkeys(("retries", "failureThreshold"), "write 'failures'"),
    "successThreshold": "write 'successes'",
    **dict.fromkeys(("start_period", "initialDelaySeconds"), "write 'grace'"),
    **dict.fromkeys(("restart_policy", "restartPolicy", "backoffLimit"), "write 'restart: {attempts: ...}'"),
    "max_attempts": "write 'attempts'",
    **dict.fromkeys(("strategy", "update_config", "rollingUpdate", "rollout"), "write 'update'"),
    **dict.fromkeys(("parallelism", "maxUnavailable", "maxSurge", "stagger"), "write 'max_parallel'"),
    "monitor": "write 'min_healthy_time'",
    **dict.fromkeys(
        ("rollback", "rollback_config", "failure_action"), "write 'auto_revert: true' in 'update'"
    ),
    "canaries": "write 'canary'",
    **dict.fromkeys(
        ("disconnect", "max_client_disconnect", "stop_after_client_disconnect"),
        "write 'on_disconnect: replace' or 'keep', and 'lost_after'",
    ),
    **dict.fromkeys(
        ("stop_signal", "stop_grace_period", "kill_signal", "kill_timeout"),
        "write 'stop: {signal: ..., grace: ...}'",
    ),
    "pids_limit": "write 'pids'",
    **dict.fromkeys(("all_at_once", "gang"), "write 'all_or_nothing: true'"),
    "tasks": "write 'groups'",
    "services": "write 'groups'",
    "name": "write 'job'",
}
"""What to tell those who write the keys of Compose, Kubernetes or Nomad."""
