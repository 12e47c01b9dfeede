"""The reference of job files, made from the schema: a table per level, for docs/jobs.md."""

from collections.abc import Iterator

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from cube.spec.ingress import IngressSchema, TimeoutsSchema
from cube.spec.parts import (
    BuildSchema,
    HealthSchema,
    LoggingSchema,
    OnChangeSchema,
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
from cube.spec.schema import GroupSchema, HooksSchema, JobSchema, ParametersSchema, ScheduleSchema
from cube.spec.volume import BackupSchema, VolumeSchema

_LEVELS: tuple[tuple[str, type[BaseModel]], ...] = (
    ("The job", JobSchema),
    ("The schedule", ScheduleSchema),
    ("Parameters", ParametersSchema),
    ("Hooks", HooksSchema),
    ("A group", GroupSchema),
    ("A build", BuildSchema),
    ("A port", PortSchema),
    ("A volume", VolumeSchema),
    ("Its backups", BackupSchema),
    ("A secret", SecretSchema),
    ("A file from a template", TemplateSchema),
    ("How a task is told of it", OnChangeSchema),
    ("Requests from outside", IngressSchema),
    ("How long a proxy waits", TimeoutsSchema),
    ("The health check", HealthSchema),
    ("Restarts", RestartSchema),
    ("Rescheduling", RescheduleSchema),
    ("Updates", UpdateSchema),
    ("Quarantine", QuarantineSchema),
    ("A filesystem in memory", TmpfsSchema),
    ("Stopping", StopSchema),
    ("Logging", LoggingSchema),
)


def reference() -> str:
    """Markdown: for every key its example, its default as one would write it, its meaning."""
    return "\n".join(line for title, schema in _LEVELS for line in _table(title, schema))


def _table(title: str, schema: type[BaseModel]) -> Iterator[str]:
    yield f"### {title}\n\n{schema.__doc__}\n"
    yield "| key | example | default | meaning |\n| --- | --- | --- | --- |"
    for key, field in schema.model_fields.items():
        example = (field.examples or [""])[0]
        yield f"| `{key}` | `{example}` | {_default(field)} | {field.description} |"
    yield ""


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "**needed**"
    if isinstance(field.default, str):
        return f"`{field.default}`"
    return "see below" if field.default_factory in dict(_LEVELS).values() else "none"
