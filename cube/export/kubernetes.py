"""A job as manifests of Kubernetes."""

import math
import re
from collections.abc import Iterator
from typing import Any

import yaml

from cube.export.kubernetes_traffic import port_name, traffic
from cube.export.unsaid import Export, unsaid
from cube.model.job import (
    CheckKind,
    Constraint,
    Group,
    HealthCheck,
    Job,
    JobType,
    Operator,
    Port,
    SecretUse,
    TaskSpec,
)
from cube.model.policy import Order

_SAID = frozenset(
    f"{kind}.{name}"
    for kind, names in {
        "Job": "name type datacenters",
        "Group": "name count type constraints",
        "Ingress": "port hosts path tls",
        "TaskSpec": "image command entrypoint env labels stop_grace user allow_new_privileges "
        "working_dir hostname cap_add cap_drop read_only tmpfs cpu_limit extra_hosts health secrets",
        "Schedule": "cron timezone prohibit_overlap deadline",
        "Spread": "attribute",
        "Port": "name container host protocol public",
        "Volume": "source target read_only external",
        "Resources": "cpu memory disk",
        "UpdatePolicy": "max_parallel order min_healthy_time progress_deadline",
    }.items()
    for name in names.split()
)
_ATTRIBUTES = {
    "node.name": "kubernetes.io/hostname",
    "node.datacenter": "topology.kubernetes.io/zone",
    "node.architecture": "kubernetes.io/arch",
}
_OPERATORS = {
    Operator.EQUAL: "In", Operator.IN: "In", Operator.NOT_EQUAL: "NotIn", Operator.NOT_IN: "NotIn",
    Operator.IS_SET: "Exists",
}  # fmt: skip
_GOOD = (200, 399)
_CLAIM = "1Gi"


def kubernetes(job: Job) -> Export:
    """Every group a Deployment, DaemonSet, Job or CronJob; ports also a Service, a named volume a claim.

    Secrets are named as the job names them: they are to be there.
    """
    manifests: list[dict[str, Any]] = []
    for group in job.groups:
        reached = traffic(_name(job, group), group, _labels(job, group))
        manifests.append(_workload(job, group))
        manifests += [_manifest(version, kind, _name(job, group), spec) for version, kind, spec in reached]
    manifests += [_claim(job, name) for name in sorted(job.named_volumes - _of_others(job))]
    lost = (*unsaid(job, _SAID), *_lost(job))
    return Export(text=_written(manifests), lost=lost)


def _of_others(job: Job) -> frozenset[str]:
    """Volumes that somebody else makes."""
    return frozenset(each.source for group in job.groups for each in group.spec.volumes if each.external)


class _Dumper(yaml.SafeDumper):
    """No anchors: a manifest is to be read by people, too."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - PyYAML's signature
        """Of nothing."""
        return True


def _written(manifests: list[dict[str, Any]]) -> str:
    return str(yaml.dump_all(manifests, Dumper=_Dumper, sort_keys=False, allow_unicode=True))


def _workload(job: Job, group: Group) -> dict[str, Any]:
    labels = _labels(job, group)
    pod = {"metadata": {"labels": labels, "annotations": dict(group.spec.labels)}, "spec": _pod(job, group)}
    kind = job.type_of(group)
    if kind in (JobType.BATCH, JobType.PERIODIC, JobType.PARAMETERIZED):
        return _batch(job, group, pod)
    spec: dict[str, Any] = {"selector": {"matchLabels": labels}, "template": pod}
    if kind is JobType.SYSTEM:
        return _manifest("apps/v1", "DaemonSet", _name(job, group), spec)
    first = group.update.order is not Order.STOP_FIRST
    rolling = {
        "maxSurge": group.update.max_parallel if first else 0,
        "maxUnavailable": 0 if first else group.update.max_parallel,
    }
    spec |= {
        "replicas": group.count,
        "minReadySeconds": math.ceil(group.update.min_healthy_time),
        "progressDeadlineSeconds": math.ceil(group.update.progress_deadline),
        "strategy": {"type": "RollingUpdate", "rollingUpdate": rolling},
    }
    return _manifest("apps/v1", "Deployment", _name(job, group), spec)


def _batch(job: Job, group: Group, pod: dict[str, Any]) -> dict[str, Any]:
    body = {
        "template": pod,
        "completions": group.count,
        "parallelism": group.count,
        "backoffLimit": group.restart.attempts,
    }
    if job.schedule is None:
        suspended = {"suspend": True} if job.type is JobType.PARAMETERIZED else {}
        return _manifest("batch/v1", "Job", _name(job, group), body | suspended)
    schedule = job.schedule
    if schedule.deadline is not None:
        body["activeDeadlineSeconds"] = math.ceil(schedule.deadline)
    spec = {
        "schedule": schedule.cron,
        "timeZone": schedule.timezone,
        "concurrencyPolicy": "Forbid" if schedule.prohibit_overlap else "Allow",
        "jobTemplate": {"spec": body},
    }
    return _manifest("batch/v1", "CronJob", _name(job, group), spec)


def _manifest(version: str, kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name}, "spec": spec}


def _labels(job: Job, group: Group) -> dict[str, str]:
    return {"app.kubernetes.io/part-of": job.name, "app.kubernetes.io/name": group.name}


def _name(job: Job, group: Group) -> str:
    return f"{job.name}-{group.name}"


def _pod(job: Job, group: Group) -> dict[str, Any]:
    spec = group.spec
    is_batch = job.type_of(group) not in (JobType.SERVICE, JobType.SYSTEM)
    hosts = {
        address: [name for name, other in spec.extra_hosts.items() if other == address]
        for address in spec.extra_hosts.values()
    }
    found = {
        "restartPolicy": "Never" if is_batch else None,
        "hostname": spec.hostname,
        "terminationGracePeriodSeconds": math.ceil(spec.stop_grace),
        "hostAliases": [
            {"ip": address, "hostnames": names}
            for address, names in hosts.items()
            if address != "host-gateway"
        ],
        "affinity": _affinity(job, group),
        "topologySpreadConstraints": [
            {
                "maxSkew": 1,
                "topologyKey": _attribute(spread.attribute),
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": {"matchLabels": {"app.kubernetes.io/name": group.name}},
            }
            for spread in group.spread
        ],
        "containers": [_container(group)],
        "volumes": [*_volumes(job, spec)],
    }
    return _kept(found)


def _container(group: Group) -> dict[str, Any]:
    spec = group.spec
    requests = {"cpu": f"{spec.resources.cpu}m", "memory": str(spec.resources.memory)}
    requests |= {"ephemeral-storage": str(spec.resources.disk)} if spec.resources.disk else {}
    limits = {"memory": str(spec.resources.memory)} | (
        {} if spec.cpu_limit is None else {"cpu": f"{spec.cpu_limit}m"}
    )
    found = {
        "name": group.name,
        "image": spec.image,
        "command": None if spec.entrypoint is None else [*map(_literal, spec.entrypoint)],
        "args": None if spec.command is None else [*map(_literal, spec.command)],
        "workingDir": spec.working_dir,
        "env": [
            *({"name": name, "value": _literal(value)} for name, value in sorted(spec.env.items())),
            *(
                {"name": use.env, "valueFrom": {"secretKeyRef": {"name": _secret_name(use), "key": use.name}}}
                for use in spec.secrets
                if use.env is not None
            ),
        ],
        "ports": [_port(port) for port in spec.ports],
        "resources": {"requests": requests, "limits": limits},
        "securityContext": _security(spec),
        "volumeMounts": [
            *(
                {"name": f"volume-{index}", "mountPath": volume.target, "readOnly": volume.read_only}
                for index, volume in enumerate(spec.volumes)
            ),
            *({"name": f"memory-{index}", "mountPath": each.target} for index, each in enumerate(spec.tmpfs)),
            *(
                {"name": _secret_name(use), "mountPath": use.target, "subPath": use.name, "readOnly": True}
                for use in spec.secrets
                if use.target is not None
            ),
        ],
        **_probes(spec),
    }
    return _kept(found)


def _literal(text: str) -> str:
    """Kubernetes would replace `$(NAME)`."""
    return text.replace("$(", "$$(")


def _kept(found: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in found.items() if value not in (None, {}, [])}


def _security(spec: TaskSpec) -> dict[str, Any]:
    user, _, group = (spec.user or "").partition(":")
    found: dict[str, Any] = {
        "allowPrivilegeEscalation": spec.allow_new_privileges,
        "readOnlyRootFilesystem": spec.read_only,
        "capabilities": _kept({"add": list(spec.cap_add), "drop": list(spec.cap_drop)}),
        "runAsUser": int(user) if user.isdigit() else None,
        "runAsGroup": int(group) if group.isdigit() else None,
    }
    return _kept(found)


def _port(port: Port) -> dict[str, Any]:
    found: dict[str, Any] = {
        "name": port_name(port.name),
        "containerPort": port.container,
        "protocol": port.protocol.upper(),
    }
    if port.host is None:
        return found
    return found | {"hostPort": port.host} | ({} if port.public else {"hostIP": "127.0.0.1"})


def _probes(spec: TaskSpec) -> dict[str, Any]:
    check = spec.health
    if check is None or check.kind is CheckKind.IMAGE:
        return {}
    probe = {
        **_asked(check, spec),
        "periodSeconds": max(math.ceil(check.interval), 1),
        "timeoutSeconds": max(math.ceil(check.timeout), 1),
        "failureThreshold": check.failures,
    }
    grace = {"initialDelaySeconds": math.ceil(check.grace)}
    return {"readinessProbe": probe | {"successThreshold": check.successes}, "livenessProbe": probe | grace}


def _asked(check: HealthCheck, spec: TaskSpec) -> dict[str, Any]:
    port = next((port.container for port in spec.ports if port.name == check.port), 0)
    match check.kind:
        case CheckKind.HTTP:
            headers = [{"name": name, "value": value} for name, value in sorted(check.headers.items())]
            return {"httpGet": _kept({"path": check.path, "port": port, "httpHeaders": headers})}
        case CheckKind.TCP:
            return {"tcpSocket": {"port": port}}
    return {"exec": {"command": list(check.command)}}


def _volumes(job: Job, spec: TaskSpec) -> Iterator[dict[str, Any]]:
    for index, volume in enumerate(spec.volumes):
        if not volume.is_named:
            yield {"name": f"volume-{index}", "hostPath": {"path": volume.source}}
        else:
            claim = {"claimName": _claim_name(job, volume.source)}
            yield {"name": f"volume-{index}", "persistentVolumeClaim": claim}
    for index, each in enumerate(spec.tmpfs):
        yield {"name": f"memory-{index}", "emptyDir": {"medium": "Memory", "sizeLimit": str(each.size)}}
    for name in sorted({_secret_name(use) for use in spec.secrets if use.target is not None}):
        yield {"name": name, "secret": {"secretName": name, "defaultMode": 0o400}}


def _secret_name(use: SecretUse) -> str:
    return re.sub(r"[^a-z0-9-]", "-", use.name.lower()).strip("-")


def _claim(job: Job, source: str) -> dict[str, Any]:
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": _CLAIM}}}
    return _manifest("v1", "PersistentVolumeClaim", _claim_name(job, source), spec)


def _claim_name(job: Job, source: str) -> str:
    return f"{job.name}-{source.lower().replace('_', '-')}"


def _affinity(job: Job, group: Group) -> dict[str, Any]:
    terms = [_term(each) for each in group.constraints if _is_said(each)]
    if job.datacenters:
        terms.append(
            {"key": _ATTRIBUTES["node.datacenter"], "operator": "In", "values": list(job.datacenters)}
        )
    if not terms:
        return {}
    selector = {"nodeSelectorTerms": [{"matchExpressions": terms}]}
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": selector}}


def _term(constraint: Constraint) -> dict[str, Any]:
    values = {"values": list(constraint.values)} if constraint.values else {}
    return {"key": _attribute(constraint.attribute), "operator": _OPERATORS[constraint.operator], **values}


def _is_said(constraint: Constraint) -> bool:
    return constraint.operator in _OPERATORS


def _attribute(attribute: str) -> str:
    return _ATTRIBUTES.get(attribute, attribute.removeprefix("label."))


def _lost_of_answers(group: Group) -> Iterator[str]:
    """What is asked of the answer to a check."""
    check = group.spec.health
    if check is not None and check.status != _GOOD:
        low, high = check.status
        yield f"{group.name}.health.status: {low} to {high}; 200 to 399 is good for Kubernetes"
    if check is not None and check.body:
        yield f"{group.name}.health.body: {check.body}"


def _lost(job: Job) -> Iterator[str]:
    for group in job.groups:
        spec = group.spec
        for constraint in group.constraints:
            if not _is_said(constraint):
                yield f"{group.name}.constraints: {constraint}"
        user = (spec.user or "0").partition(":")[0]
        if not user.isdigit():
            yield f"{group.name}.user: {spec.user}; Kubernetes knows users by number"
        if spec.health is not None and spec.health.kind is CheckKind.IMAGE:
            yield f"{group.name}.health: Kubernetes does not ask the image's own check"
        yield from _lost_of_answers(group)
        yield from (
            f"{group.name}.ports: {port.name}: on the node's loopback; with Kubernetes every pod reaches it"
            for port in spec.ports
            if not port.public
        )
        yield from (
            f"{group.name}.volumes: {volume.source}: its claim is to be there"
            for volume in spec.volumes
            if volume.external
        )
        yield from (
            f"{group.name}.volumes: {volume.source}: how large it must be: {_CLAIM} is written"
            for volume in spec.volumes
            if volume.is_named and not volume.external
        )
        yield from (
            f"{group.name}.secrets: {use.name}: it is to be there: "
            f"kubectl create secret generic {_secret_name(use)} --from-file={use.name}=FILE"
            for use in spec.secrets
        )
        yield from (
            f"{group.name}.tmpfs: {each.target}: its mode {each.mode:04o}; Kubernetes makes it 0777"
            for each in spec.tmpfs
            if each.mode is not None
        )
        if "host-gateway" in spec.extra_hosts.values():
            yield f"{group.name}.extra_hosts: host-gateway"
    if job.type is JobType.PARAMETERIZED:
        yield "type: parameterized; the Job is suspended, and has no parameters"
