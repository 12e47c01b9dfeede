"""What each action and each outcome changes in the record. Pure: tasks in, changes out."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, assert_never

from cube.model.action import (
    Checked,
    Decision,
    Fetch,
    Note,
    Outcome,
    Place,
    Push,
    Quarantine,
    Refresh,
    Refusal,
    Start,
    Stop,
    Verdict,
    Wait,
)
from cube.model.codec import from_data, to_data
from cube.model.task import Health, State, Task, TaskEvent, check_transition

FLEET_KEPT = 100
"""Of a decision about so many nodes an event tells of each."""
CANDIDATES_KEPT = 20
REFUSING_KEPT = 50
"""Of how many nodes it tells the scores or the refusals otherwise, so that no event is large."""

DECISION = "decision"
"""Under which name an event's detail holds all of that as it was, for `cube why`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A task before and after; `told` False: too small for an event (a count of failed checks).

    Raises InternalError, when made, where the step is not in the table of transitions.
    """

    before: Task | None
    after: Task
    detail: Mapping[str, str] = field(default_factory=dict)
    told: bool = True

    def __post_init__(self) -> None:
        source = self.before.state if self.before else None
        if source != self.after.state:
            check_transition(source, self.after.state)

    @property
    def event(self) -> Mapping[str, Any]:
        """The event's fields that the change decides; its detail tells also what changed beside the state."""
        return {
            "task": self.after.id,
            "slot": self.after.slot,
            "version": self.after.version,
            "source": self.before.state if self.before else None,
            "target": self.after.state,
            "node": self.after.node,
            "reason": self.after.reason,
            "detail": {**self.detail, **_differences(self.before, self.after)},
        }


def wanted(action: Place | Wait, *, identity: str, order: int, now: float) -> Task:
    """A new task for the action's slot, waiting."""
    return Task(
        id=identity,
        slot=action.slot,
        version=action.version,
        spec=action.spec,
        state=State.PENDING,
        order=order,
        created_at=now,
        changed_at=now,
        reschedules=action.reschedules,
        failed_on=action.failed_on,
        reason=action.reason,
    )


def place(action: Place, pending: Task | None, fresh: Task, *, now: float) -> Change:
    """The pending task of the slot, or the fresh one, bound to its node."""
    after = _moved(
        pending or fresh,
        State.SCHEDULED,
        now,
        version=action.version,
        spec=action.spec,
        node=action.node,
        ports=dict(action.ports),
        devices=dict(action.devices),
        reason=action.reason,
    )
    return Change(before=pending, after=after, detail=explanation(action.decision, action.node))


def wait(action: Wait, pending: Task | None, fresh: Task, *, told: Mapping[str, str] | None) -> Change | None:
    """The slot's task waits; None where it does already, for the same reason, with the refusals `told`."""
    after = replace(pending or fresh, version=action.version, spec=action.spec, reason=action.reason)
    detail = explanation(action.decision)
    if after == pending and detail == told:
        return None
    return Change(before=pending, after=after, detail=detail)


def note(action: Note, task: Task, *, now: float) -> Change | None:
    """What was seen of the task; None where it is known already."""
    begins = action.target is State.RUNNING and task.state is not State.RUNNING
    after = _moved(
        task,
        action.target,
        now,
        reason=action.reason,
        container=action.container or task.container,
        node=action.node or task.node,
        exit_code=task.exit_code if action.exit_code is None else action.exit_code,
        restarts=task.restarts if action.restarts is None else action.restarts,
        reschedules=task.reschedules if action.reschedules is None else action.reschedules,
        quarantined_until=_still_kept(task, now),
        **(_checked(action.checked) if action.checked else _unchecked(task, now) if begins else {}),
    )
    if after == task:
        return None
    told = _told_of(after) != _told_of(task)
    return Change(before=task, after=after, told=told)


def start(action: Start, task: Task, *, now: float) -> Change:
    """The intent to start: Scheduled again, counted as a restart where the task ran before or failed."""
    again = task.state in (State.RUNNING, State.FAILED)
    after = _moved(task, State.SCHEDULED, now, reason=action.reason, restarts=task.restarts + again)
    return Change(before=task, after=after)


def stop(action: Stop, task: Task) -> Change:
    """The intent to stop: the state stays until the outcome is known."""
    return Change(
        before=task,
        after=replace(task, reason=action.reason),
        detail={"intent": f"stop, then {action.target}"},
    )


def quarantine(action: Quarantine, task: Task) -> Change:
    """The intent to cut a task off: the state stays until the outcome is known."""
    after = replace(task, reason=action.reason)
    return Change(before=task, after=after, detail={"intent": "cut off, then Failed"})


def refresh(action: Refresh, task: Task) -> Change:
    """The intent to change the files of a task that runs on."""
    told = ", then ".join(map(str, action.tellings)) or "told nothing"
    return Change(before=task, after=replace(task, reason=action.reason), detail={"intent": f"files, {told}"})


def start_outcome(effect: Start, outcome: Outcome, task: Task, *, now: float) -> Change:
    """Running, Failed, or still Scheduled because the reply was lost."""
    match outcome.verdict:
        case Verdict.OK:
            after = _moved(
                task,
                State.RUNNING,
                now,
                reason=f"started: {effect.reason}",
                container=outcome.container,
                exit_code=None,
                **_unchecked(task, now),
            )
        case Verdict.FAILED:
            code = outcome.detail.get("exit_code")
            after = _moved(
                task,
                State.FAILED,
                now,
                reason=f"cannot start: {outcome.why}",
                container=outcome.container or task.container,
                exit_code=int(code) if code else None,
            )
        case Verdict.UNKNOWN:
            after = replace(task, reason=f"the reply to the start was lost: {outcome.why}")
        case Verdict.STALE:
            after = replace(task, reason=f"the start was not tried: {outcome.why}")
        case _:
            assert_never(outcome.verdict)
    return Change(before=task, after=after, detail=_told(outcome))


def stop_outcome(effect: Stop, outcome: Outcome, task: Task, *, now: float) -> Change:
    """The stop's target, or the state it had, with why it is not stopped or not known to be."""
    match outcome.verdict:
        case Verdict.OK:
            after = _moved(task, effect.target, now, reason=effect.reason, container=None)
            after = replace(after, quarantined_until=None, healthy_since=None)
        case Verdict.FAILED:
            after = replace(task, reason=f"cannot stop: {outcome.why}")
        case Verdict.UNKNOWN:
            after = replace(task, reason=f"the reply to the stop was lost: {outcome.why}")
        case Verdict.STALE:
            after = replace(task, reason=f"the stop was not tried: {outcome.why}")
        case _:
            assert_never(outcome.verdict)
    return Change(before=task, after=after, detail=_told(outcome))


def quarantine_outcome(effect: Quarantine, outcome: Outcome, task: Task, *, now: float) -> Change:
    """Failed and kept, its host ports free again; or the state it had, with why it is not cut off."""
    match outcome.verdict:
        case Verdict.OK:
            after = _moved(task, State.FAILED, now, reason=effect.reason, ports={}, healthy_since=None)
            after = replace(after, quarantined_until=effect.until)
        case Verdict.FAILED:
            after = replace(task, reason=f"cannot be cut off: {outcome.why}")
        case Verdict.UNKNOWN:
            after = replace(task, reason=f"the reply was lost while it was cut off: {outcome.why}")
        case Verdict.STALE:
            after = replace(task, reason=f"it was not cut off: {outcome.why}")
        case _:
            assert_never(outcome.verdict)
    return Change(before=task, after=after, detail=_told(outcome))


def refresh_outcome(effect: Refresh, outcome: Outcome, task: Task, *, now: float) -> Change:
    """The state it had; where it was told by a restart, checked from the beginning."""
    match outcome.verdict:
        case Verdict.OK:
            told = ", ".join(f"told by {each}" for each in effect.tellings)
            reason = f"its files are new{': ' if told else ''}{told}: {effect.reason}"
            begun = (
                {"changed_at": now, "container": outcome.container or task.container, **_unchecked(task, now)}
                if effect.restarts
                else {}
            )
            after = replace(task, reason=reason, **begun)
        case Verdict.FAILED:
            after = replace(task, reason=f"cannot be told of its files: {outcome.why}")
        case Verdict.UNKNOWN:
            after = replace(task, reason=f"the reply was lost while its files were changed: {outcome.why}")
        case Verdict.STALE:
            after = replace(task, reason=f"its files were not changed: {outcome.why}")
        case _:
            assert_never(outcome.verdict)
    return Change(before=task, after=after, detail=_told(outcome))


def orphan_intent(effect: Stop) -> str:
    """What is said before a container that belongs to no recorded task is removed."""
    return f"to be removed: container {effect.container_name}: {effect.reason}"


def orphan_outcome(effect: Stop, outcome: Outcome) -> str:
    """What is said after that."""
    if outcome.verdict is Verdict.OK:
        return f"removed: container {effect.container_name}: {effect.reason}"
    return f"not known to be removed ({outcome.verdict}: {outcome.why}): container {effect.container_name}"


def image_intent(effect: Push | Fetch) -> str:
    """What is said before an image is brought to a node."""
    return f"to be {_brought(effect)}: {effect.image}: {effect.reason}"


def image_outcome(effect: Push | Fetch, outcome: Outcome) -> str:
    """What is said after that, whether it was or not."""
    if outcome.verdict is Verdict.OK:
        return f"{_brought(effect)}: {effect.image}"
    return f"not known to be {_brought(effect)} ({outcome.verdict}: {outcome.why}): {effect.image}"


def _brought(effect: Push | Fetch) -> str:
    return "pushed" if isinstance(effect, Push) else "fetched"


def explanation(decision: Decision, picked: str | None = None) -> Mapping[str, str]:
    """A decision as an event's detail: `score NODE` and `refused NODE`, the rest of many as a number.

    `picked`: the node that was taken, which is always told of; None: no node was.
    """
    kept = _bounded(decision, picked)
    detail = {f"score {node}": f"{score:.4g}" for node, score in kept.scores.items()}
    for refusal in kept.refusals:
        earlier = detail.get(name := f"refused {refusal.node}")
        detail[name] = f"{earlier}; {_refusal(refusal)}" if earlier else _refusal(refusal)
    unnamed = {
        "more scores": len(decision.scores) - len(kept.scores),
        "more refusals": len(decision.refusals) - len(kept.refusals),
    }
    whole = {DECISION: json.dumps(to_data(kept), separators=(",", ":"))} if _has_reasons(kept) else {}
    return detail | {what: str(count) for what, count in unnamed.items() if count > 0} | whole


def decision_of(event: TaskEvent) -> Decision | None:
    """The decision that the event tells of; None: it tells of none, or was written by an older Cube."""
    text = event.detail.get(DECISION)
    return from_data(Decision, json.loads(text)) if text else None


def _has_reasons(decision: Decision) -> bool:
    """A slot that waits for another group was refused by nobody."""
    return bool(decision.scores or decision.refusals)


def _bounded(decision: Decision, picked: str | None) -> Decision:
    """The scores of the picked node and of the best others, and who refuses first; the rest as numbers."""
    # Equal scores stay in the order of the fleet, for by that the first of them is picked.
    ranking = sorted(decision.scores.items(), key=lambda item: (item[0] != picked, -item[1]))
    refusals = sorted(decision.refusals, key=lambda refusal: refusal.node)
    refusing = list(dict.fromkeys(refusal.node for refusal in refusals))
    is_small = len({*decision.scores, *refusing, *decision.last}) <= FLEET_KEPT
    best = ranking if is_small else ranking[:CANDIDATES_KEPT]
    kept = set(refusing if is_small else refusing[:REFUSING_KEPT])
    last = dict(list(decision.last.items())[: FLEET_KEPT if is_small else REFUSING_KEPT])
    names = {name for name, _ in best}
    return replace(
        decision,
        scores=dict(best),
        refusals=tuple(refusal for refusal in refusals if refusal.node in kept),
        terms={name: found for name, found in decision.terms.items() if name in names},
        others=decision.others + len(decision.scores) - len(best),
        refused=decision.refusals_by_filter,
        last=last,
        last_others=decision.last_others + len(decision.last) - len(last),
    )


def _refusal(refusal: Refusal) -> str:
    return f"{refusal.reason} (never fits)" if refusal.ever else refusal.reason


def _moved(task: Task, state: State, now: float, **changes: Any) -> Task:
    # `changed_at` is when the state began: a restart's delay and a check's grace are counted from it.
    return replace(task, state=state, changed_at=task.changed_at if state == task.state else now, **changes)


def _unchecked(task: Task, now: float) -> Mapping[str, Any]:
    """How a task that begins to run stands with its check; one without a check is well from now on."""
    return {
        "health": Health.STARTING if task.spec.health else Health.UNCHECKED,
        "healthy_since": None if task.spec.health else now,
        "checked_at": 0.0,
        "check_failures": 0,
        "check_successes": 0,
    }


def _checked(answer: Checked) -> Mapping[str, Any]:
    return {
        "health": answer.health,
        "healthy_since": answer.healthy_since,
        "checked_at": answer.at,
        "check_failures": answer.failures,
        "check_successes": answer.successes,
    }


def _still_kept(task: Task, now: float) -> float | None:
    is_over = task.quarantined_until is not None and task.quarantined_until <= now
    return None if is_over else task.quarantined_until


def _told_of(task: Task) -> tuple[object, ...]:
    return task.state, task.reason, task.health, task.node


def _told(outcome: Outcome) -> Mapping[str, str]:
    cure = {"cure": outcome.cure} if outcome.cure else {}
    return {**outcome.detail, **cure}


def _differences(before: Task | None, after: Task) -> Mapping[str, str]:
    unset: Mapping[str, Any] = {
        "health": Health.UNCHECKED,
        "container": None,
        "exit_code": None,
        "restarts": 0,
        "reschedules": 0,
        "ports": {},
        "devices": {},
        "quarantined_until": None,
    }
    known = {name: getattr(before, name) for name in unset} if before else unset
    now = {name: getattr(after, name) for name in unset}
    return {name: _words(value) for name, value in now.items() if value != known[name]}


def _joined(found: object) -> str:
    return ",".join(found) if isinstance(found, tuple) else str(found)


def _words(value: object) -> str:
    if isinstance(value, Mapping):
        return " ".join(f"{name}={_joined(found)}" for name, found in value.items())
    return "" if value is None else str(value)
