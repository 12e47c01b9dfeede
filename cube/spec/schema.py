"""What a person writes in a job file: the job, its groups, and when it runs."""

from typing import Annotated

from pydantic import BeforeValidator, Field

from cube.model.job import Constraint
from cube.spec import demands, discovery, grammar, mounts, schedule
from cube.spec.ingress import IngressSchema
from cube.spec.key import Arguments, Name, Switch, Targets, Written, key, needed, nested, optional, scalar
from cube.spec.parts import (
    BuildSchema,
    HealthSchema,
    LoggingSchema,
    PortSchema,
    QuarantineSchema,
    RescheduleSchema,
    RestartSchema,
    SecretSchema,
    StopSchema,
    TemplateSchema,
    TmpfsSchema,
    UpdateSchema,
)
from cube.spec.volume import VolumeSchema


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


def _tmpfs(value: object) -> object:
    return {"size": value} if isinstance(value, str) else value


def _volume(value: object) -> object:
    return mounts.split(value) if isinstance(value, str) else value


class GroupSchema(Written):
    """Tasks that are all alike."""

    type: Annotated[str, scalar(grammar.word("service", "batch", "system"))] | None = optional(
        "`service`, `batch` or `system`, where it is not the job's own: a migration that runs once beside "
        "services, an agent on each node.",
        example="batch",
    )
    count: Annotated[int, scalar(grammar.whole(0, 10000))] = key(
        "1",
        "How many tasks; 0 keeps the job and runs none. A system job or group has none: it is on each node.",
    )
    image: Annotated[str, scalar(grammar.image)] = needed(
        "The image: `name:tag`, with a registry before it and `@sha256:...` after it where wanted.",
        example="cube-demo:1",
    )
    build: BuildSchema | None = optional(
        "How this machine's engine builds the image at each deploy, before anything else.",
        example="{context: .}",
    )
    pull: Annotated[str, scalar(grammar.word("missing", "always", "never"))] = key(
        "missing",
        "When a node asks the registry: `missing`: where neither it nor this machine's engine has the image; "
        "`always`: before each start; `never`.",
    )
    command: Arguments | None = optional(
        "The arguments, in place of the image's own. A list: no shell reads it.",
        example='["serve", "--port", "8080"]',
    )
    entrypoint: Arguments | None = optional(
        "The program, in place of the image's own. A list.", example='["/bin/app"]'
    )
    env: dict[Annotated[str, scalar(grammar.variable)], Annotated[str, scalar(grammar.bounded(65536))]] = (
        nested(dict, "Environment variables.", example="{COLOR: blue}", limit=1000)
    )
    user: Annotated[str, scalar(grammar.user)] | None = optional(
        "Who runs the process, in place of the image's own: a name or number, or `user:group`.",
        example='"1000"',
    )
    cpu: Annotated[int, scalar(grammar.cpu)] = key(
        "100m",
        "Reserved cores: `0.5`, `2`, or millicores as `500m`; its share where cores are scarce, not a limit.",
    )
    memory: Annotated[int, scalar(grammar.memory)] = key(
        "128MiB", "Reserved memory, which is also its limit."
    )
    disk: Annotated[int, scalar(grammar.disk)] = key("0", "Reserved disk.", example="100MiB")
    ports: dict[Name, PortSchema] = nested(
        dict, "Published ports, by name.", example="{http: {container: 8080}}", limit=100
    )
    volumes: list[Annotated[VolumeSchema, BeforeValidator(_volume)]] = nested(
        list,
        "What is mounted: `source:target`, `source:target:ro`, or a table.",
        example='["data:/data"]',
        limit=100,
    )
    secrets: Annotated[
        dict[Annotated[str, scalar(grammar.secret)], Annotated[SecretSchema, BeforeValidator(_secret)]],
        BeforeValidator(_secrets),
    ] = nested(
        dict,
        "Secrets by name, with the places of their files or as a list: never their values.",
        example="{db-password: /run/db, api-key: {env: API_KEY}}",
        limit=64,
    )
    templates: dict[
        Annotated[str, scalar(mounts.target)], Annotated[TemplateSchema, BeforeValidator(_template)]
    ] = nested(
        dict,
        "Files made for each task: where it sees them, and of which file in `templates/`, or a table.",
        example="{/etc/app/app.conf: app.conf.j2}",
        limit=16,
    )
    ingress: IngressSchema | None = optional(
        "Which requests from outside are the group's.", example="{host: shop.example, path: /}"
    )
    health: HealthSchema | None = optional(
        "How a task shows that it works; without it, running is enough.",
        example="{http: /health, port: http}",
    )
    depends_on: dict[Name, Annotated[str, scalar(grammar.word("healthy", "completed"))]] = nested(
        dict,
        "The groups that this one waits for: until all of their tasks are `healthy`, "
        "or, in a batch group, have `completed`.",
        example="{db: healthy, migrate: completed}",
        limit=100,
    )
    restart: RestartSchema = nested(
        RestartSchema, "When a failed task is tried again.", example="{attempts: 2}"
    )
    reschedule: RescheduleSchema = nested(
        RescheduleSchema, "When one that failed for good is replaced.", example="{attempts: 3}"
    )
    update: UpdateSchema = nested(
        UpdateSchema, "How a new version is rolled out.", example="{max_parallel: 1}"
    )
    on_unhealthy: Annotated[str, scalar(grammar.word("restart", "replace", "quarantine"))] = key(
        "restart",
        "What becomes of an unhealthy task: `restart`: a new container in its place; `replace`: a new task "
        "elsewhere; `quarantine`: as `replace`, and the sick one is kept, cut off, for looking at.",
    )
    quarantine: QuarantineSchema = nested(
        QuarantineSchema, "How long, and how many.", example="{keep: 1h, memory: 1GiB}"
    )
    on_disconnect: Annotated[str, scalar(grammar.word("replace", "keep"))] = key(
        "replace",
        "What becomes of tasks on a node that is silent: `replace`: new ones elsewhere; `keep`: they are "
        "waited for.",
    )
    lost_after: Annotated[float, scalar(grammar.duration("1s", "30d"))] = key(
        "5m", "How long a node must be silent, over three looks at least, before its tasks are lost."
    )
    labels: dict[Annotated[str, scalar(grammar.label)], Annotated[str, scalar(grammar.label_value)]] = nested(
        dict, "Labels of the containers.", example="{team: shop}", limit=64
    )
    stop: StopSchema = nested(StopSchema, "How a task is ended.", example="{signal: SIGTERM, grace: 10s}")
    pids: Annotated[int, scalar(grammar.whole(1, 1_000_000))] = key(
        "512", "How many processes and threads at most."
    )
    allow_new_privileges: Switch = key("false", "Let processes gain rights, as sudo and setuid programs do.")
    working_dir: Annotated[str, scalar(grammar.directory)] | None = optional(
        "Where the process begins, in place of the image's own.", example="/app"
    )
    hostname: Annotated[str, scalar(grammar.hostname)] | None = optional(
        "What the container calls itself.", example="db"
    )
    group_add: list[Annotated[str, scalar(grammar.group)]] = nested(
        list, "Further groups of the user.", example='["1001"]', limit=32
    )
    cap_add: list[Annotated[str, scalar(grammar.capability)]] = nested(
        list, "Capabilities beside those that Cube leaves.", example="[NET_RAW]", limit=32
    )
    cap_drop: list[Annotated[str, scalar(grammar.dropped_capability)]] = nested(
        list, "Capabilities to take away; `ALL`: all but those in `cap_add`.", example="[ALL]", limit=64
    )
    read_only: Switch = key("false", "Nothing can be written but in volumes and `tmpfs`.")
    tmpfs: dict[Annotated[str, scalar(mounts.target)], Annotated[TmpfsSchema, BeforeValidator(_tmpfs)]] = (
        nested(
            dict,
            "Filesystems in memory, with sizes, or as tables; what is in them counts as the task's memory.",
            example="{/tmp: 64MiB}",
            limit=32,
        )
    )
    shm_size: Annotated[int, scalar(grammar.tmpfs_size)] | None = optional(
        "The size of /dev/shm, where it is not to be the engine's 64 MiB.", example="256MiB"
    )
    ulimits: dict[
        Annotated[str, scalar(grammar.ulimit_name)], Annotated[tuple[int, int], scalar(grammar.ulimit)]
    ] = nested(
        dict,
        "What a process may have at most: one number, or the soft and the hard limit.",
        example="{nofile: 65536}",
        limit=32,
    )
    devices: dict[Name, Annotated[int, scalar(grammar.whole(1, 64))]] = nested(
        dict,
        "Devices that each task has for itself, by the kinds that the inventory's `cube_devices` names.",
        example="{gpu: 1}",
        limit=16,
    )
    cpu_limit: Annotated[int, scalar(grammar.cpu)] | None = optional(
        "Cores that it may never use more of, even where some are idle.", example="2"
    )
    extra_hosts: dict[Annotated[str, scalar(grammar.hostname)], Annotated[str, scalar(grammar.address)]] = (
        nested(dict, "Names for /etc/hosts, with their addresses.", example="{mail: 10.0.0.7}", limit=100)
    )
    discover: dict[Annotated[str, scalar(grammar.hostname)], Annotated[str, scalar(discovery.service)]] = (
        nested(
            dict,
            "Names in /etc/hosts for tasks, wherever they serve: those of a job, or of one of its groups.",
            example="{db: shop/db}",
            limit=64,
        )
    )
    logging: LoggingSchema = nested(
        LoggingSchema, "Where the engine keeps what a task prints.", example="{driver: journald}"
    )
    init: Switch = key("true", "The engine puts a small process 1 before it, which reaps what dies.")
    architecture: Annotated[
        list[Annotated[str, scalar(demands.machine)]], BeforeValidator(demands.one_or_many)
    ] = nested(
        list,
        "The machines that the image is for: `amd64`, `arm64` and so on, or a list; any by default.",
        example="arm64",
        limit=16,
    )
    constraints: list[Annotated[Constraint, scalar(demands.constraint)]] = nested(
        list,
        "Demands on the node: `node.name`, `.datacenter`, `.role`, `.architecture`, `.kernel`, `.os`, "
        "`.os_version`, `.docker` or `label.NAME`, then an operator and a value.",
        example='["label.disk = ssd"]',
        limit=64,
    )
    affinities: dict[Annotated[Constraint, scalar(demands.wish)], Annotated[int, scalar(demands.weight)]] = (
        nested(
            dict,
            "Wishes, written as constraints, with weights: 1 to 100, or below 0 for what had rather not be.",
            example='{"label.disk = ssd": 80}',
            limit=64,
        )
    )
    spread: dict[
        Annotated[str, scalar(demands.attribute)], Annotated[Targets, BeforeValidator(demands.targets)]
    ] = nested(
        dict,
        "Attributes over whose values the tasks spread: `evenly`, or the percentage that each is to get.",
        example="{label.zone: evenly}",
        limit=8,
    )
    max_per_node: Annotated[int, scalar(grammar.whole(1, 10000))] | None = optional(
        "How many tasks of the group one node may have.", example="1"
    )


class ScheduleSchema(Written):
    """When a periodic job runs."""

    cron: Annotated[str, scalar(schedule.cron)] = needed(
        "Five fields: minute, hour, day of month, month, day of week; as Debian's cron reads them.",
        example='"30 2 * * *"',
    )
    timezone: Annotated[str, scalar(schedule.timezone)] = key(
        "UTC", "The zone of the IANA database whose clock is meant.", example="Europe/Berlin"
    )
    prohibit_overlap: Switch = key("true", "No run begins while another is under way.")
    deadline: Annotated[float, scalar(grammar.duration("1s", "30d"))] | None = optional(
        "A run that takes longer is stopped.", example="30m"
    )


Parameter = Annotated[str, scalar(grammar.parameter)]


class ParametersSchema(Written):
    """What a dispatch gives a value to: small letters, digits and `_`."""

    required: list[Parameter] = nested(list, "Each dispatch must name them.", example="[path]", limit=64)
    optional: list[Parameter] = nested(list, "A dispatch may name them.", example="[width]", limit=64)


class HooksSchema(Written):
    """Commands that `cube deploy` runs on its own machine."""

    before: Arguments | None = optional(
        "Before the deploy; nothing is changed unless it ends with 0. A list: no shell reads it.",
        example='["./check.sh"]',
    )
    after: Arguments | None = optional(
        "After the deploy, whether it succeeded or failed. A list.", example='["./tell.sh"]'
    )
    timeout: Annotated[float, scalar(grammar.duration("1s", "1h"))] = key(
        "5m", "How long each may take before it is killed."
    )


class JobSchema(Written):
    """A job file."""

    job: Annotated[str, scalar(grammar.job_name)] = needed("The job's name.", example="web")
    type: Annotated[str, scalar(grammar.word("service", "batch", "system", "periodic", "parameterized"))] = (
        key(
            "service",
            "`service`: runs until it is stopped. `batch`: runs until it has ended well. `system`: a service "
            "with one task on each node. `periodic`: a batch job whenever the clock says so. "
            "`parameterized`: a batch job at each `cube dispatch`.",
        )
    )
    schedule: ScheduleSchema | None = optional(
        "When a periodic job runs; needed there, and nowhere else.", example='{cron: "30 2 * * *"}'
    )
    parameters: ParametersSchema | None = optional(
        "What a dispatch of a parameterized job must and may name.", example="{required: [path]}"
    )
    hooks: HooksSchema = nested(
        HooksSchema, "Commands before and after a deploy.", example='{before: ["./check.sh"]}'
    )
    datacenters: list[Annotated[str, scalar(grammar.datacenter)]] = nested(
        list, "Where the tasks may run; anywhere, where it is left out.", example="[dc1, dc2]", limit=100
    )
    priority: Annotated[int, scalar(grammar.whole(0, 100))] = key(
        "50",
        "The higher is placed first; where the inventory has `cube_preemption`, it takes the room of what is "
        "lower by ten.",
    )
    scheduler: Name | None = optional(
        "The algorithm that chooses its nodes, where it is not the cluster's.", example="spread"
    )
    all_or_nothing: Switch = key(
        "false",
        "Nothing of the job is started while there is no room for all of it; else what fits is started.",
    )
    groups: Annotated[dict[Name, GroupSchema], Field(min_length=1, max_length=100)] = needed(
        "The groups of tasks, by name.", example="{web: {image: cube-demo:1}}"
    )
