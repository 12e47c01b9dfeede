"""A job as a job file of Nomad."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from cube.export.unsaid import Export, unsaid
from cube.model.job import (
    Affinity,
    CheckKind,
    Constraint,
    Group,
    HealthCheck,
    Job,
    JobType,
    Operator,
    Port,
    TaskSpec,
)
from cube.model.policy import ReschedulePolicy

_SAID = frozenset(
    f"{kind}.{name}"
    for kind, names in {
        "Job": "name type datacenters priority parameters",
        "Group": "name count constraints affinities spread max_per_node",
        "TaskSpec": "image command entrypoint env user health labels stop_signal stop_grace "
        "pids_limit "
        "working_dir hostname cap_add cap_drop read_only tmpfs shm_size ulimits extra_hosts logging "
        "group_add init",
        "Schedule": "cron timezone prohibit_overlap",
        "Port": "name container host public",
        "Volume": "source target read_only sticky",
        "RestartPolicy": "attempts window delay mode",
        "Resources": "cpu memory disk",
        "ReschedulePolicy": "attempts window delay max_delay",
        "UpdatePolicy": "max_parallel min_healthy_time healthy_deadline progress_deadline canary auto_revert",
        "DisconnectPolicy": "lost_after",
    }.items()
    for name in names.split()
)
_ATTRIBUTES = {
    "node.name": "${node.unique.name}",
    "node.datacenter": "${node.datacenter}",
    "node.role": "${node.class}",
    "node.architecture": "${attr.cpu.arch}",
    "node.kernel": "${attr.kernel.version}",
    "node.os": "${attr.os.name}",
    "node.os_version": "${attr.os.version}",
    "node.docker": "${attr.driver.docker.version}",
}
_TYPES = {JobType.SYSTEM: "system", JobType.SERVICE: "service"}
_MEGAHERTZ = "cpu: Nomad counts MHz: 1000 are written for each core"


@dataclass(frozen=True, slots=True)
class Block:
    """`name "label" { ... }`."""

    name: str
    label: str
    body: "Sequence[tuple[str, Value] | Block]"


@dataclass(frozen=True, slots=True)
class Reference:
    """What Nomad is to look up: no text of the job's."""

    text: str


Value = Reference | str | int | bool | Sequence[str] | Mapping[str, str] | Mapping[str, int]


def nomad(job: Job) -> Export:
    """HCL with a task group for every group, and one task of Docker's driver in each."""
    found = Block("job", job.name, [*_head(job), *(_group(job, group) for group in job.groups)])
    return Export(text="\n".join(_lines(found, "")) + "\n", lost=(*unsaid(job, _SAID), *_lost(job)))


def _head(job: Job) -> Iterator[tuple[str, Value] | Block]:
    yield "type", _TYPES.get(job.type, "batch")
    yield "datacenters", list(job.datacenters) or ["*"]
    yield "priority", max(job.priority, 1)
    if job.schedule is not None:
        yield Block(
            "periodic",
            "",
            [
                ("crons", [job.schedule.cron]),
                ("time_zone", job.schedule.timezone),
                ("prohibit_overlap", job.schedule.prohibit_overlap),
            ],
        )
    if job.parameters is not None:
        yield Block(
            "parameterized",
            "",
            [
                ("meta_required", list(job.parameters.required)),
                ("meta_optional", list(job.parameters.optional)),
            ],
        )


def _group(job: Job, group: Group) -> Block:
    body: list[tuple[str, Value] | Block] = []
    if job.is_counted(group):
        body.append(("count", group.count))
    body += [_constraint(each) for each in group.constraints if _is_said(each)]
    if group.max_per_node is not None:
        words: list[tuple[str, Value]] = [
            ("operator", "distinct_property"),
            ("attribute", Reference("${node.unique.id}")),
        ]
        body.append(Block("constraint", "", [*words, ("value", str(group.max_per_node))]))
    body += [_affinity(each) for each in group.affinities if _is_said(each.constraint)]
    for spread in group.spread:
        targets = [Block("target", value, [("percent", percent)]) for value, percent in spread.targets]
        body.append(Block("spread", "", [("attribute", _attribute(spread.attribute)), *targets]))
    body += _policies(job, group)
    if group.spec.ports:
        body.append(Block("network", "", [_port(port) for port in group.spec.ports]))
    if group.spec.resources.disk:
        body.append(Block("ephemeral_disk", "", [("size", max(group.spec.resources.disk >> 20, 10))]))
    return Block("group", group.name, [*body, _task(group)])


def _policies(job: Job, group: Group) -> Iterator[Block]:
    restart, again, update = group.restart, group.reschedule, group.update
    yield Block(
        "restart",
        "",
        [
            ("attempts", restart.attempts),
            ("interval", _seconds(restart.window)),
            ("delay", _seconds(restart.delay)),
            ("mode", restart.mode.value),
        ],
    )
    kind = job.type_of(group)
    if kind is not JobType.SYSTEM:
        limits: list[tuple[str, Value]] = [("unlimited", True)]
        if again.attempts is not None:
            limits = [
                ("unlimited", False),
                ("attempts", again.attempts),
                ("interval", _seconds(again.window)),
            ]
        yield Block(
            "reschedule",
            "",
            [
                *limits,
                ("delay", _seconds(max(again.delay, 5))),
                ("delay_function", "exponential"),
                ("max_delay", _seconds(again.max_delay)),
            ],
        )
        yield Block("disconnect", "", [("lost_after", _seconds(group.disconnect.lost_after))])
    if kind in (JobType.SERVICE, JobType.SYSTEM):
        yield Block(
            "update",
            "",
            [
                ("max_parallel", update.max_parallel),
                ("min_healthy_time", _seconds(update.min_healthy_time)),
                ("healthy_deadline", _seconds(update.healthy_deadline)),
                ("progress_deadline", _seconds(update.progress_deadline)),
                ("canary", update.canary),
                ("auto_revert", update.auto_revert),
            ],
        )


def _task(group: Group) -> Block:
    spec = group.spec
    body: list[tuple[str, Value] | Block] = [("driver", "docker")]
    body += [("user", spec.user)] if spec.user else []
    body += [("kill_signal", spec.stop_signal), ("kill_timeout", _seconds(spec.stop_grace))]
    body += [("env", dict(sorted(spec.env.items())))] if spec.env else []
    body.append(_config(spec))
    body.append(
        Block(
            "resources", "", [("cpu", spec.resources.cpu), ("memory", max(spec.resources.memory >> 20, 10))]
        )
    )
    if spec.health is not None and spec.health.kind is not CheckKind.IMAGE:
        body.append(_service(group.name, spec.health))
    return Block("task", group.name, body)


def _config(spec: TaskSpec) -> Block:
    body: list[tuple[str, Value] | Block] = [("image", spec.image)]
    optional: dict[str, Value | None] = {
        "entrypoint": None if spec.entrypoint is None else list(spec.entrypoint),
        "args": None if spec.command is None else list(spec.command),
        "ports": [port.name.replace("-", "_") for port in spec.ports],
        "work_dir": spec.working_dir,
        "hostname": spec.hostname,
        "group_add": list(spec.group_add),
        "cap_add": [name.lower() for name in spec.cap_add],
        "cap_drop": [name.lower() for name in spec.cap_drop],
        "readonly_rootfs": spec.read_only,
        "shm_size": spec.shm_size,
        "pids_limit": spec.pids_limit,
        "init": spec.init,
        "extra_hosts": [f"{name}:{address}" for name, address in sorted(spec.extra_hosts.items())],
    }
    body += [(key, value) for key, value in optional.items() if value not in (None, [], False)]
    if spec.ulimits:
        body.append(Block("ulimit", "", [(each.name, f"{each.soft}:{each.hard}") for each in spec.ulimits]))
    if spec.labels:
        body.append(("labels", dict(spec.labels)))
    logging: list[tuple[str, Value]] = [("type", spec.logging.driver), ("config", dict(spec.logging.options))]
    body.append(Block("logging", "", logging))
    return Block("config", "", [*body, *_mounts(spec)])


def _mounts(spec: TaskSpec) -> Iterator[Block]:
    for volume in spec.volumes:
        kind = "volume" if volume.is_named else "bind"
        words: list[tuple[str, Value]] = [
            ("type", kind),
            ("source", volume.source),
            ("target", volume.target),
        ]
        yield Block("mount", "", [*words, ("readonly", volume.read_only)])
    for each in spec.tmpfs:
        mode: list[tuple[str, Value]] = [] if each.mode is None else [("mode", each.mode)]
        options = Block("tmpfs_options", "", [("size", each.size), *mode])
        yield Block("mount", "", [("type", "tmpfs"), ("target", each.target), options])


def _port(port: Port) -> Block:
    static: list[tuple[str, Value]] = [] if port.host is None else [("static", port.host)]
    loopback: list[tuple[str, Value]] = [] if port.public else [("host_network", "loopback")]
    return Block("port", port.name.replace("-", "_"), [("to", port.container), *static, *loopback])


def _service(name: str, check: HealthCheck) -> Block:
    kind = "script" if check.kind is CheckKind.EXEC else check.kind.value
    body: list[tuple[str, Value] | Block] = [("type", kind)]
    if check.kind is CheckKind.HTTP:
        body.append(("path", check.path))
        body += (
            [Block("header", "", [(key, [value]) for key, value in sorted(check.headers.items())])]
            if check.headers
            else []
        )
    if check.kind is CheckKind.EXEC:
        body += [("command", check.command[0]), ("args", list(check.command[1:]))]
    body += [("interval", _seconds(check.interval)), ("timeout", _seconds(max(check.timeout, 1)))]
    body.append(Block("check_restart", "", [("limit", check.failures), ("grace", _seconds(check.grace))]))
    port: list[tuple[str, Value]] = [("port", check.port.replace("-", "_"))] if check.port else []
    # Nomad's own services cannot be asked by a command: that needs Consul.
    provider = "consul" if check.kind is CheckKind.EXEC else "nomad"
    return Block("service", "", [("name", name), ("provider", provider), *port, Block("check", "", body)])


_OPERATORS = {
    Operator.IN: "regexp", Operator.NOT_IN: "", Operator.IS_SET: "is_set",
}  # fmt: skip


def _constraint(constraint: Constraint) -> Block:
    return Block("constraint", "", [*_compared(constraint)])


def _affinity(affinity: Affinity) -> Block:
    return Block("affinity", "", [*_compared(affinity.constraint), ("weight", affinity.weight)])


def _compared(constraint: Constraint) -> Iterator[tuple[str, Value]]:
    if constraint.operator is Operator.DISTINCT_HOSTS:
        yield "distinct_hosts", True
        return
    yield "attribute", _attribute(constraint.attribute)
    yield "operator", _OPERATORS.get(constraint.operator, constraint.operator.value)
    if constraint.operator is Operator.IN:
        yield "value", f"^({'|'.join(map(_quoted, constraint.values))})$"
    elif constraint.values:
        yield "value", ", ".join(constraint.values)


def _quoted(value: str) -> str:
    return "".join(f"\\{sign}" if sign in r".+*?()|[]{}^$\\" else sign for sign in value)


def _is_said(constraint: Constraint) -> bool:
    return constraint.operator is not Operator.NOT_IN


def _attribute(attribute: str) -> Reference:
    return Reference(_ATTRIBUTES.get(attribute) or f"${{meta.{attribute.removeprefix('label.')}}}")


def _seconds(amount: float) -> str:
    return f"{round(amount * 1000)}ms" if amount % 1 else f"{round(amount)}s"


def _lines(block: Block, indent: str) -> Iterator[str]:
    label = f' "{block.label}"' if block.label else ""
    yield f"{indent}{block.name}{label} {{"
    for entry in block.body:
        if isinstance(entry, Block):
            yield from _lines(entry, indent + "  ")
        else:
            yield f"{indent}  {_word(entry[0])} = {_written(entry[1])}"
    yield f"{indent}}}"


def _word(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_-]*", key) else json.dumps(key)


def _written(value: Value) -> str:
    """HCL's own templates begin with `${` and `%{`; none of the job's is meant."""
    if isinstance(value, bool | int):
        return json.dumps(value)
    if isinstance(value, Reference):
        return json.dumps(value.text)
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("${", "$${").replace("%{", "%%{")
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{json.dumps(key)} = {_written(item)}" for key, item in value.items()) + " }"
    return f"[{', '.join(_written(item) for item in value)}]"


def _lost(job: Job) -> Iterator[str]:
    yield _MEGAHERTZ
    for group in job.groups:
        if job.type_of(group) is not job.type and not job.type.is_template:
            yield f"{group.name}.type: {job.type_of(group)}; with Nomad a job is of one type"
        for constraint in (*group.constraints, *(each.constraint for each in group.affinities)):
            if not _is_said(constraint):
                yield f"{group.name}.constraints: {constraint}"
        yield from (
            f"{group.name}.volumes: {name}: its data; Nomad places the next task without regard to it"
            for name in sorted(group.spec.data)
        )
        check = group.spec.health
        if check is not None and check.successes != 1:
            yield f"{group.name}.health.successes: {check.successes}"
        if check is not None and check.kind is CheckKind.IMAGE:
            yield f"{group.name}.health: Nomad does not ask the image's own check"
        if check is not None and check.kind is CheckKind.HTTP:
            yield f"{group.name}.health.status: {check.status[0]} to {check.status[1]}; 2xx is good for Nomad"
        if check is not None and check.body:
            yield f"{group.name}.health.body: {check.body}"
        again = group.reschedule
        if again.attempts is None and again.window != ReschedulePolicy().window:
            yield f"{group.name}.reschedule.window: {again.window:g}; Nomad has none where it tries for ever"
