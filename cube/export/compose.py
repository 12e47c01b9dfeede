"""A job as a Compose file."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from cube.document.template import as_literal
from cube.export.unsaid import Export, unsaid
from cube.model.job import (
    Build,
    CheckKind,
    Constraint,
    Group,
    HealthCheck,
    Job,
    JobType,
    Operator,
    Port,
    TaskSpec,
    Tmpfs,
)
from cube.model.policy import Condition, Order, RestartMode, RestartPolicy

_SAID = frozenset(
    f"{kind}.{name}"
    for kind, names in {
        "Job": "name type",
        "Group": "name count type build depends_on max_per_node constraints spread",
        "TaskSpec": "image command entrypoint env user labels stop_signal stop_grace "
        "pids_limit allow_new_privileges working_dir hostname group_add cap_add cap_drop read_only tmpfs "
        "secrets templates shm_size devices ulimits cpu_limit extra_hosts logging init health",
        "Port": "name container host host_range protocol public",
        "Volume": "source target read_only external sticky",
        "Resources": "cpu memory",
        "RestartPolicy": "attempts delay window",
        "UpdatePolicy": "max_parallel delay order min_healthy_time auto_revert",
    }.items()
    for name in names.split()
)
_ATTRIBUTES = {"node.name": "node.hostname", "node.role": "node.role"}
_BY_ITSELF = (20000, 29999)


def compose(job: Job) -> Export:
    """Every group a service. What neither Compose nor Swarm has a word for is lost."""
    services = {group.name: _service(job, group) for group in job.groups}
    others = {each.source for group in job.groups for each in group.spec.volumes if each.external}
    volumes = {
        _key(name): {"name": name, **({"external": True} if name in others else {})}
        for name in sorted(job.named_volumes)
    }
    found = {"name": job.name, "services": services, **({"volumes": volumes} if volumes else {})}
    used = sorted({use.name for group in job.groups for use in group.spec.secrets if use.target})
    found |= {"secrets": {name: {"external": True} for name in used}} if used else {}
    texts = {name: text for group in job.groups for name, _, text in _configs(group)}
    found |= {"configs": {name: {"content": text} for name, text in texts.items()}} if texts else {}
    lost = (*unsaid(job, _SAID), *_lost(job))
    return Export(text=yaml.safe_dump(_escaped(found), sort_keys=False, allow_unicode=True), lost=lost)


def _service(job: Job, group: Group) -> dict[str, Any]:
    spec = group.spec
    kind = job.type_of(group)
    found = {
        "image": spec.image,
        "build": None if group.build is None else _built(group.build),
        "entrypoint": _list(spec.entrypoint),
        "command": _list(spec.command),
        "environment": dict(spec.env),
        "ports": [_port(port) for port in spec.ports],
        "volumes": [
            {
                "type": "volume" if volume.is_named else "bind",
                "source": _key(volume.source) if volume.is_named else volume.source,
                "target": volume.target,
                **({"read_only": True} if volume.read_only else {}),
            }
            for volume in spec.volumes
        ],
        "secrets": [{"source": use.name, "target": use.target} for use in spec.secrets if use.target],
        "configs": [{"source": name, "target": target} for name, target, _ in _configs(group)],
        "healthcheck": _health(spec.health),
        "depends_on": {
            other: {"condition": _condition(job, other, state)} for other, state in group.depends_on.items()
        },
        "labels": dict(spec.labels),
        **_confines(spec),
        "deploy": _deploy(group, kind),
    }
    return {key: value for key, value in found.items() if value not in (None, {}, [], False)} | (
        {} if spec.init else {"init": False}
    )


def _configs(group: Group) -> Iterator[tuple[str, str, str]]:
    """The files that are the same for every task: what each is called, where it is, and its text."""
    for index, template in enumerate(group.spec.templates):
        text = None if template.text is None else as_literal(template.text)
        if text is not None and not template.env:  # that is more than a file
            yield f"{group.name}-{index}", template.target, text


def _reserved(spec: TaskSpec) -> dict[str, Any]:
    devices = [{"capabilities": [kind], "count": count} for kind, count in spec.devices.items()]
    return {"cpus": f"{spec.resources.cpu / 1000:g}"} | ({"devices": devices} if devices else {})


def _built(build: Build) -> dict[str, Any]:
    found = {
        "context": build.context,
        "dockerfile": build.dockerfile,
        "target": build.target,
        "args": dict(build.args),
    }
    return {key: value for key, value in found.items() if value}


def _confines(spec: TaskSpec) -> dict[str, Any]:
    return {
        "user": spec.user,
        "working_dir": spec.working_dir,
        "hostname": spec.hostname,
        "group_add": list(spec.group_add),
        "cap_add": list(spec.cap_add),
        "cap_drop": list(spec.cap_drop),
        "read_only": spec.read_only,
        "tmpfs": [f"{each.target}:{_in_options(each)}" for each in spec.tmpfs],
        "shm_size": spec.shm_size,
        "ulimits": {each.name: {"soft": each.soft, "hard": each.hard} for each in spec.ulimits},
        "extra_hosts": dict(spec.extra_hosts),
        "security_opt": [f"no-new-privileges:{str(not spec.allow_new_privileges).lower()}"],
        "logging": {"driver": spec.logging.driver, "options": dict(spec.logging.options)},
        "stop_signal": spec.stop_signal,
        "stop_grace_period": f"{spec.stop_grace:g}s",
        "init": spec.init,
    }


def _deploy(group: Group, kind: JobType) -> dict[str, Any]:
    update, spec = group.update, group.spec
    modes = {JobType.SYSTEM: "global", JobType.BATCH: "replicated-job"}
    limits = {"memory": f"{spec.resources.memory}", "pids": spec.pids_limit}
    if spec.cpu_limit is not None:
        limits["cpus"] = f"{spec.cpu_limit / 1000:g}"
    condition = "on-failure" if kind is JobType.BATCH else "any"
    restart = {
        "condition": condition,
        "delay": f"{group.restart.delay:g}s",
        "window": f"{group.restart.window:g}s",
    }
    placement = {
        "constraints": [word for each in group.constraints if (word := _constraint(each))],
        "preferences": [
            {"spread": _attribute(each.attribute)} for each in group.spread if _attribute(each.attribute)
        ],
        "max_replicas_per_node": group.max_per_node,
    }
    found = {
        "mode": modes.get(kind, "replicated"),
        "replicas": None if kind is JobType.SYSTEM else group.count,
        "resources": {"limits": limits, "reservations": _reserved(spec)},
        "placement": {key: value for key, value in placement.items() if value},
        "restart_policy": restart | _attempts(group),
        "update_config": {
            "parallelism": update.max_parallel,
            **({"delay": f"{update.delay:g}s"} if update.delay else {}),
            **({} if update.order is Order.AUTO else {"order": update.order.value}),
            "monitor": f"{update.min_healthy_time:g}s",
            "failure_action": "rollback" if update.auto_revert else "pause",
        },
    }
    return {key: value for key, value in found.items() if value not in (None, {})}


def _attempts(group: Group) -> dict[str, int]:
    """All of them, here and elsewhere; none where it is tried for ever, for Swarm's end is the end."""
    elsewhere = group.reschedule.attempts
    if elsewhere is None or group.restart.mode is RestartMode.DELAY:
        return {}
    return {"max_attempts": (group.restart.attempts + 1) * (elsewhere + 1) - 1}


def _in_options(memory: Tmpfs) -> str:
    mode = "" if memory.mode is None else f",mode={memory.mode:04o}"
    return f"size={memory.size}{mode}"


def _port(port: Port) -> dict[str, Any]:
    found: dict[str, Any] = {"name": port.name, "target": port.container, "protocol": port.protocol}
    if port.host is not None:
        found["published"] = str(port.host)
    elif port.host_range != _BY_ITSELF:
        found["published"] = f"{port.host_range[0]}-{port.host_range[1]}"
    return found | ({} if port.public else {"host_ip": "127.0.0.1"})


def _health(check: HealthCheck | None) -> dict[str, Any] | None:
    if check is None or check.kind in (CheckKind.HTTP, CheckKind.TCP):
        return None
    test = {"test": ["CMD", *check.command]} if check.kind is CheckKind.EXEC else {}
    times = {"interval": check.interval, "timeout": check.timeout, "start_period": check.grace}
    return {**test, **{key: f"{value:g}s" for key, value in times.items()}, "retries": check.failures}


def _condition(job: Job, other: str, state: Condition) -> str:
    if state is Condition.COMPLETED:
        return "service_completed_successfully"
    group = job.group(other)
    has_check = group is not None and _health(group.spec.health) is not None
    return "service_healthy" if has_check else "service_started"


def _constraint(constraint: Constraint) -> str:
    """Empty: Swarm has no word for it."""
    signs = {Operator.EQUAL: "==", Operator.NOT_EQUAL: "!="}
    attribute = _attribute(constraint.attribute)
    if constraint.operator not in signs or not attribute:
        return ""
    return f"{attribute} {signs[constraint.operator]} {constraint.values[0]}"


def _attribute(attribute: str) -> str:
    if attribute.startswith("label."):
        return f"node.labels.{attribute.removeprefix('label.')}"
    return _ATTRIBUTES.get(attribute, "")


def _lost(job: Job) -> Iterator[str]:
    for group in job.groups:
        yield from (f"{group.name}.secrets: {use.name} as {use.env}" for use in group.spec.secrets if use.env)
        said = {target for _, target, _ in _configs(group)}
        templates = (each for each in group.spec.templates if each.target not in said)
        yield from (f"{group.name}.templates: {each.target}" for each in templates)
        check = group.spec.health
        if check is not None and check.kind in (CheckKind.HTTP, CheckKind.TCP):
            yield f"{group.name}.health: a check by {check.kind}; Compose asks by a command in the container"
        elif check is not None and (check.successes, check.headers, check.body) != (1, {}, ""):
            yield f"{group.name}.health.successes: {check.successes}"
        yield from _lost_of_dependencies(job, group)
        if not _attempts(group) and group.restart.attempts != RestartPolicy().attempts:
            yield f"{group.name}.restart.attempts: {group.restart.attempts}; Swarm tries for ever, anywhere"
        yield from (
            f"{group.name}.volumes: {name}: its data; Swarm places the next task without regard to it"
            for name in sorted(group.spec.data)
        )
        for constraint in group.constraints:
            if not _constraint(constraint):
                yield f"{group.name}.constraints: {constraint}"
        for spread in group.spread:
            if spread.targets or not _attribute(spread.attribute):
                shares = ", ".join(f"{value} {percent}%" for value, percent in spread.targets)
                yield f"{group.name}.spread: {spread.attribute} {shares or 'evenly'}"
    if job.type.is_template:
        yield f"type: {job.type}; Compose runs it once, at once"


def _lost_of_dependencies(job: Job, group: Group) -> Iterator[str]:
    """Who waits for health waits for the start alone where no check can be said."""
    for name, state in group.depends_on.items():
        other = job.group(name)
        has_check = other is not None and other.spec.health is not None
        if state is Condition.HEALTHY and has_check and _condition(job, name, state) == "service_started":
            yield f"{group.name}.depends_on: {name}: {state}; Compose waits until it has started, no more"


def _list(words: tuple[str, ...] | None) -> list[str] | None:
    return None if words is None else list(words)


def _key(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]", "-", name)


def _escaped(value: Any) -> Any:
    """Compose would replace what follows a dollar sign."""
    if isinstance(value, str):
        return value.replace("$", "$$")
    if isinstance(value, Mapping):
        return {key: _escaped(item) for key, item in value.items()}
    return [_escaped(item) for item in value] if isinstance(value, list) else value
