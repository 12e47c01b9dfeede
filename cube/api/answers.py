"""What the API answers, where that is not a value of the model as it is."""

from dataclasses import dataclass
from typing import Any

from cube.manager.operations import Operation
from cube.manager.report import Done, Remark, Report, Step
from cube.model.action import Plan
from cube.model.codec import to_data
from cube.model.observation import Observation, Seen
from cube.model.transit import Transit


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationView:
    """What was asked, by whom, and how it ended: `exit_code` as the command's, None while it goes on.

    `steps` counts what it has told so far. Times in seconds since the epoch.
    """

    id: str
    what: str
    actor: str
    job: str | None
    began: float
    ended: float | None
    exit_code: int | None
    steps: int
    summary: str
    error: dict[str, Any] | None


def operation_view(found: Operation) -> OperationView:
    """The operation as it stands."""
    error = found.error
    return OperationView(
        id=found.id,
        what=found.what,
        actor=found.actor,
        job=found.job,
        began=found.began,
        ended=found.ended,
        exit_code=found.exit_code,
        steps=len(found.steps),
        summary=found.report.summary if found.report else "",
        error={
            "detail": error.what, "where": error.where, "why": error.why, "cure": error.cure,
            "exit_code": error.exit_code,
        }
        if error
        else None,
    )  # fmt: skip


def step_data(step: Step) -> dict[str, Any]:
    """A step as JSON data, with what it is."""
    if isinstance(step, Done):
        effect = {"action": type(step.effect).__name__.lower(), **to_data(step.effect)}
        return {"step": "done", "effect": effect, "outcome": to_data(step.outcome)}
    if isinstance(step, Transit):
        return {"step": "transit", **to_data(step)}
    if isinstance(step, Remark):
        return {"step": "remark", **to_data(step)}
    return {"step": "plan", **plan_data(step)}


def plan_data(plan: Plan) -> dict[str, Any]:
    """The plan as JSON data: each action with its kind."""
    kinds = [{"action": type(action).__name__.lower(), **to_data(action)} for action in plan.actions]
    return {**to_data(plan), "actions": kinds}


def observation_data(found: Observation) -> dict[str, Any]:
    """An observation as JSON data, with whether the node was seen."""
    return {"seen": isinstance(found, Seen), **to_data(found)}


def report_data(report: Report) -> dict[str, Any]:
    """All of the report, so that whoever reads it can say what it says."""
    observed = {name: observation_data(found) for name, found in report.observed.items()}
    done = [step_data(step) for step in report.done]
    return {**to_data(report), "plan": plan_data(report.plan), "done": done, "observed": observed}
