"""What the API writes of a run, read back: where a field may hold several kinds, it names which."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, get_args, get_type_hints

from cube.manager.report import Done, Remark, Report, Step
from cube.model.action import Action, Effect, Outcome, Plan
from cube.model.codec import from_data
from cube.model.observation import Observation, Seen, Unknown
from cube.model.transit import Transit

ACTIONS: Mapping[str, Any] = {kind.__name__.lower(): kind for kind in get_args(Action)}


def action_of(data: Mapping[str, Any]) -> Action:
    """The action of the kind that it names."""
    found: Action = from_data(ACTIONS[data["action"]], dict(data))
    return found


def plan_of(data: Mapping[str, Any]) -> Plan:
    """The plan with its actions."""
    actions = tuple(map(action_of, data["actions"]))
    found: Plan = _made(
        Plan, {name: value for name, value in data.items() if name != "actions"}, actions=actions
    )
    return found


def done_of(data: Mapping[str, Any]) -> Done:
    """An effect and what came of it."""
    effect: Effect = action_of(data["effect"])  # type: ignore[assignment] # the API sends no other here
    return Done(effect=effect, outcome=from_data(Outcome, data["outcome"]))


def step_of(data: Mapping[str, Any]) -> Step:
    """A step of a run."""
    match data["step"]:
        case "done":
            return done_of(data)
        case "transit":
            return from_data(Transit, dict(data))
        case "remark":
            return from_data(Remark, dict(data))
        case _:
            return plan_of(data)


def observation_of(data: Mapping[str, Any]) -> Observation:
    """A node that was seen, or that was not."""
    return from_data(Seen, dict(data)) if data["seen"] else from_data(Unknown, dict(data))


def report_of(data: Mapping[str, Any]) -> Report:
    """The report of a run."""
    rest = {name: value for name, value in data.items() if name not in ("plan", "done", "observed")}
    found: Report = _made(
        Report,
        rest,
        plan=plan_of(data["plan"]),
        done=tuple(map(done_of, data["done"])),
        observed={name: observation_of(each) for name, each in data["observed"].items()},
    )
    return found


def _made(kind: Any, data: Mapping[str, Any], **known: Any) -> Any:
    """A value of that kind: some fields are known, the others are read by their types."""
    hints = get_type_hints(kind)
    names = [field.name for field in fields(kind) if field.name in data]
    return kind(**{name: from_data(hints[name], data[name]) for name in names}, **known)
