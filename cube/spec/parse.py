"""A job file's text to a Job: read, render the templates, check, resolve."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from cube.document.check import check, refusal
from cube.document.reader import Document, read
from cube.document.template import render
from cube.model.architecture import ARCHITECTURE
from cube.model.job import (
    Affinity,
    Build,
    Constraint,
    Group,
    HealthCheck,
    Hooks,
    Job,
    JobType,
    Logging,
    Operator,
    Parameters,
    Port,
    Schedule,
    SecretUse,
    Spread,
    TaskSpec,
    Tmpfs,
    Ulimit,
)
from cube.model.policy import (
    Condition,
    DisconnectPolicy,
    OnDisconnect,
    OnUnhealthy,
    Order,
    Pull,
    QuarantinePolicy,
    ReschedulePolicy,
    RestartMode,
    RestartPolicy,
    UpdatePolicy,
)
from cube.model.resources import Resources
from cube.spec.files import templates_of
from cube.spec.grammar import Attempts
from cube.spec.ingress import ingress_of
from cube.spec.job_rules import broken, type_of, unknown_scheduler
from cube.spec.parts import (
    BuildSchema,
    HealthSchema,
    LoggingSchema,
    PortSchema,
    RescheduleSchema,
    RestartSchema,
    SecretSchema,
    UpdateSchema,
)
from cube.spec.rules import checks_of
from cube.spec.schema import GroupSchema, HooksSchema, JobSchema, ParametersSchema, ScheduleSchema
from cube.spec.strange import STRANGE
from cube.spec.volume import backup_of, volume_of

MAX_BYTES = 1 << 18


def parse(text: str, source: str, variables: Mapping[str, Any], *, schedulers: Collection[str] = ()) -> Job:
    """The job that `text` describes; `source` is what its places are called by.

    `variables` are what templates may name: tables such as `var`, `env` and `cluster`; `schedulers` the
    algorithms that a job may name.
    Raises InputError that lists every problem as `file:line:column: what is wrong`.
    """
    return resolve(render(read(text, source, limit=MAX_BYTES), variables), schedulers=schedulers)


def resolve(document: Document, *, schedulers: Collection[str] = ()) -> Job:
    """The job that a document without templates describes. Raises InputError as `parse`."""
    written = check(JobSchema, document, strange=STRANGE)
    if problems := [*broken(written), *unknown_scheduler(written, schedulers)]:
        raise refusal(document, problems)
    return _job(written)


def _job(written: JobSchema) -> Job:
    return Job(
        name=written.job,
        type=JobType(written.type),
        datacenters=tuple(dict.fromkeys(written.datacenters)),
        priority=written.priority,
        scheduler=written.scheduler or "",
        all_or_nothing=written.all_or_nothing,
        schedule=None if written.schedule is None else _schedule(written.schedule),
        parameters=_parameters(written.parameters) if written.type == JobType.PARAMETERIZED else None,
        hooks=_hooks(written.hooks),
        groups=tuple(_group(name, group, type_of(written, group)) for name, group in written.groups.items()),
    )


def _schedule(written: ScheduleSchema) -> Schedule:
    return Schedule(
        cron=written.cron,
        timezone=written.timezone,
        prohibit_overlap=written.prohibit_overlap,
        deadline=written.deadline,
    )


def _parameters(written: ParametersSchema | None) -> Parameters:
    if written is None:
        return Parameters()
    return Parameters(required=tuple(written.required), optional=tuple(written.optional))


def _hooks(written: HooksSchema) -> Hooks:
    return Hooks(
        before=tuple(written.before or ()), after=tuple(written.after or ()), timeout=written.timeout
    )


def _group(name: str, written: GroupSchema, kind: JobType) -> Group:
    return Group(
        name=name,
        count=written.count,
        type=None if written.type is None else JobType(written.type),
        spec=_spec(name, written),
        constraints=(*written.constraints, *_machines(written.architecture)),
        affinities=tuple(
            Affinity(constraint=wanted, weight=weight) for wanted, weight in written.affinities.items()
        ),
        spread=tuple(
            Spread(attribute=over, targets=tuple(targets.items())) for over, targets in written.spread.items()
        ),
        max_per_node=written.max_per_node,
        depends_on={group: Condition(state) for group, state in written.depends_on.items()},
        restart=_restart(written.restart),
        reschedule=_reschedule(written.reschedule, kind),
        update=_update(written.update),
        pull=Pull(written.pull),
        build=None if written.build is None else _build(written.build),
        on_unhealthy=OnUnhealthy(written.on_unhealthy),
        quarantine=QuarantinePolicy(keep=written.quarantine.keep, memory=written.quarantine.memory),
        disconnect=DisconnectPolicy(then=OnDisconnect(written.on_disconnect), lost_after=written.lost_after),
        drain=written.stop.drain,
        ingress=None if written.ingress is None else ingress_of(written.ingress, written.ports),
        backups={
            volume.source: backup_of(volume.backup) for volume in written.volumes if volume.backup is not None
        },
    )


def _machines(architectures: Sequence[str]) -> tuple[Constraint, ...]:
    """What an image is for is a demand on the node as any other."""
    if not architectures:
        return ()
    operator = Operator.EQUAL if len(architectures) == 1 else Operator.IN
    return (Constraint(attribute=ARCHITECTURE, operator=operator, values=tuple(architectures)),)


def _restart(written: RestartSchema) -> RestartPolicy:
    return RestartPolicy(
        attempts=written.attempts,
        window=written.window,
        delay=written.delay,
        max_delay=written.max_delay,
        mode=RestartMode(written.mode),
    )


def _reschedule(written: RescheduleSchema, kind: JobType) -> ReschedulePolicy:
    return ReschedulePolicy(
        attempts=_attempts(written.attempts, kind),
        window=written.window,
        delay=written.delay,
        max_delay=written.max_delay,
    )


def _attempts(written: Attempts, kind: JobType) -> int | None:
    if written == "auto":
        return 1 if kind is JobType.BATCH else None
    return None if written == "unlimited" else written


def _update(written: UpdateSchema) -> UpdatePolicy:
    return UpdatePolicy(
        max_parallel=written.max_parallel,
        delay=written.delay,
        order=Order(written.order),
        min_healthy_time=written.min_healthy_time,
        healthy_deadline=written.healthy_deadline,
        progress_deadline=written.progress_deadline,
        canary=written.canary,
        auto_revert=written.auto_revert,
    )


def _spec(name: str, written: GroupSchema) -> TaskSpec:
    return TaskSpec(
        image=written.image,
        command=None if written.command is None else tuple(written.command),
        entrypoint=None if written.entrypoint is None else tuple(written.entrypoint),
        env=written.env,
        user=written.user,
        resources=Resources(cpu=written.cpu, memory=written.memory, disk=written.disk),
        ports=tuple(_port(name, port) for name, port in sorted(written.ports.items())),
        volumes=tuple(map(volume_of, written.volumes)),
        health=None if written.health is None else _health(written.health),
        labels=written.labels,
        stop_signal=written.stop.signal,
        stop_grace=written.stop.grace,
        pids_limit=written.pids,
        allow_new_privileges=written.allow_new_privileges,
        secrets=tuple(_secret(name, secret) for name, secret in sorted(written.secrets.items())),
        templates=templates_of(name, written),
        **_confines(name, written),
    )


def _secret(name: str, written: SecretSchema) -> SecretUse:
    target = written.file or (None if written.env else f"/run/secrets/{name}")
    return SecretUse(name=name, target=target, env=written.env)


def _confines(name: str, written: GroupSchema) -> dict[str, Any]:
    """What the container is given, and what is kept from it."""
    return {
        "working_dir": written.working_dir,
        "hostname": written.hostname or (name if written.discover else None),
        "devices": dict(sorted(written.devices.items())),
        "group_add": tuple(written.group_add),
        "cap_add": tuple(sorted(set(written.cap_add))),
        "cap_drop": tuple(sorted(set(written.cap_drop))),
        "read_only": written.read_only,
        "tmpfs": tuple(
            Tmpfs(target=target, size=each.size, mode=each.mode)
            for target, each in sorted(written.tmpfs.items())
        ),
        "shm_size": written.shm_size,
        "ulimits": tuple(
            Ulimit(name=name, soft=soft, hard=hard) for name, (soft, hard) in sorted(written.ulimits.items())
        ),
        "cpu_limit": written.cpu_limit,
        "extra_hosts": written.extra_hosts,
        "logging": _logging(written.logging),
        "init": written.init,
    }


def _logging(written: LoggingSchema) -> Logging:
    if written.options is None:
        return Logging() if written.driver == Logging().driver else Logging(driver=written.driver, options={})
    return Logging(driver=written.driver, options=written.options)


def _build(written: BuildSchema) -> Build:
    return Build(
        context=written.context,
        dockerfile=written.dockerfile or "",
        target=written.target or "",
        args=written.args,
    )


def _port(name: str, written: PortSchema) -> Port:
    common = {"name": name, "container": written.container}
    shared: dict[str, Any] = {**common, "protocol": written.protocol, "public": written.public}
    if isinstance(written.host, int):
        return Port(**shared, host=written.host)
    return Port(**shared, host_range=written.host)


def _health(written: HealthSchema) -> HealthCheck:
    (kind,) = checks_of(written)
    return HealthCheck(
        kind=kind,
        port=written.port or "",
        path=written.http or "/",
        status=written.status,
        headers=written.headers,
        body=written.body or "",
        command=tuple(written.exec or ()),
        interval=written.interval,
        timeout=min(written.timeout, written.interval),
        failures=written.failures,
        successes=written.successes,
        grace=written.grace,
    )
