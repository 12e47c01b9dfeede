"""The trace of an operation, as OpenTelemetry has it: what it waited for, and how long each node took."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from cube.manager.operations import Operation
from cube.manager.report import Done, Remark
from cube.model.action import Effect, Plan, Quarantine, Refresh, Start, Stop, Verdict

INTERNAL, OK, ERROR = 1, 1, 2
"""The kind of a span and its statuses, in the protocol's numbers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Something that took from then until then, in seconds since the epoch; `why` it failed."""

    name: str
    start: float
    end: float
    attributes: Mapping[str, str] = field(default_factory=dict)
    why: str | None = None


def trace_of(found: Operation, now: float) -> dict[str, Any]:
    """The operation and its parts, as OTLP's JSON; one that goes on lasts until now."""
    about = {"cube.actor": found.actor, **({"cube.job": found.job} if found.job else {})}
    end = now if found.ended is None else found.ended
    whole = Span(name=found.what, start=found.began, end=end, attributes=about, why=_why(found))
    spans = [_span(found, number, span) for number, span in enumerate([whole, *_parts(found)], start=1)]
    spans[0]["events"] = [_event(step, at) for step, at in _told(found) if isinstance(step, Plan)]
    scope = {"scope": {"name": "cube"}, "spans": spans}
    service = {"attributes": _attributes({"service.name": "cube"})}
    return {"resourceSpans": [{"resource": service, "scopeSpans": [scope]}]}


def _why(found: Operation) -> str | None:
    """Why it failed; None: it has not."""
    if found.error is not None:
        return found.error.what
    return found.report.summary if found.report and found.exit_code else None


def _parts(found: Operation) -> Iterator[Span]:
    if found.held is not None:
        yield Span(name="wait for the lock", start=found.began, end=found.held)
    if found.held is not None and found.recorded is not None:
        yield Span(name="check and record", start=found.held, end=found.recorded)
    for step, at in _told(found):
        if isinstance(step, Done):
            verdict = step.outcome.verdict
            yield Span(
                name=_kind(step.effect),
                start=at - step.outcome.seconds,
                end=at,
                attributes={"cube.node": step.effect.node, "cube.subject": _subject(step.effect)},
                why=None if verdict is Verdict.OK else f"{verdict}: {step.outcome.why}",
            )


def _told(found: Operation) -> list[tuple[Plan | Done | Remark, float]]:
    return list(zip(tuple(found.steps), tuple(found.told), strict=False))  # it may go on meanwhile


def _span(found: Operation, number: int, span: Span) -> dict[str, Any]:
    return {
        "traceId": UUID(found.id).hex,
        "spanId": f"{number:016x}",
        **({"parentSpanId": f"{1:016x}"} if number > 1 else {}),
        "name": span.name,
        "kind": INTERNAL,
        "startTimeUnixNano": _nanoseconds(span.start),
        "endTimeUnixNano": _nanoseconds(span.end),
        "attributes": _attributes(span.attributes),
        "status": {"code": OK} if span.why is None else {"code": ERROR, "message": span.why},
    }


def _event(plan: Plan, at: float) -> dict[str, Any]:
    """A wave was planned and recorded: how many actions of each kind."""
    kinds = Counter(map(_kind, plan.actions))
    counts = _attributes({f"cube.{kind}": str(count) for kind, count in sorted(kinds.items())})
    return {"timeUnixNano": _nanoseconds(at), "name": "plan", "attributes": counts}


def _kind(action: object) -> str:
    return type(action).__name__.lower()


def _subject(effect: Effect) -> str:
    """The task, or what else it is about."""
    match effect:
        case Start() | Quarantine() | Refresh():
            return str(effect.task.slot)
        case Stop():
            return str(effect.task.slot) if effect.task else effect.container_name
        case _:
            return effect.image


def _attributes(values: Mapping[str, str]) -> list[dict[str, Any]]:
    return [{"key": key, "value": {"stringValue": value}} for key, value in values.items()]


def _nanoseconds(at: float) -> str:
    return str(round(at * 1e9))
