"""What the loop tells while it runs, as lines that a person can follow."""

from collections.abc import Callable, Sequence

from cube.cli import render, rows, why_told
from cube.manager.report import Done, Remark, Report, Step
from cube.model.action import (
    Conclude,
    Effect,
    EndMove,
    Fetch,
    Launch,
    Note,
    Place,
    Plan,
    Push,
    Quarantine,
    Refresh,
    Revert,
    Start,
    Stop,
    Verdict,
    Wait,
)
from cube.model.image import as_called
from cube.model.job import Job, JobType
from cube.model.rollout import Rollout, RolloutState
from cube.model.task import State, Task
from cube.reconciler.periodic import next_runs
from cube.whatif.needs import Need

Shown = Push | Fetch | Refresh | Place | Launch | Start | Stop | Quarantine | Revert | Wait
"""The actions that a plan shows; the others only record what is seen."""

SIGNS = {
    Push: ">", Fetch: ">", Refresh: "~", Place: "+", Launch: "+", Start: "~", Stop: "-", Quarantine: "-",
    Revert: "<", Wait: "?",
}  # fmt: skip
STYLES = {Verdict.OK: None, Verdict.FAILED: "red", Verdict.UNKNOWN: "yellow", Verdict.STALE: "yellow"}
VERBS = {
    Start: "start", Stop: "stop", Quarantine: "cut off", Push: "push", Fetch: "fetch", Refresh: "refresh",
}  # fmt: skip

Say = Callable[[str, str | None], None]
"""Prints a line in a colour."""


def tell(step: Step, say: Say) -> None:
    """One step of a run: an effect as it ends, or what was only seen."""
    if isinstance(step, Done):
        _tell_done(step, say)
    if isinstance(step, Remark):
        say(f"  {step.text}", None)
    for action in step.actions if isinstance(step, Plan) else ():
        match action:
            case Note(target=State.FAILED, task=task):
                say(f"  failed {task.slot} on {task.node}: {action.reason}", "red")
            case Conclude(state=RolloutState.FAILED):
                say(f"  failed version {action.version} of {action.job}: {action.reason}", "red")
            case EndMove():
                say(f"  {action}", None if action.is_done else "yellow")
            case Revert() | Launch():
                say(f"  {_described(action)}", None)


def print_plan(plan: Plan) -> None:
    """Every action of the wave with its reason, and what will follow."""
    for action in plan.actions:
        if isinstance(action, Note) and action.target is State.FAILED:
            render.line(f"  ! failed {action.task.slot} on {action.task.node}: {action.reason}")
        if isinstance(action, EndMove):
            render.line(f"  ! {action}")
        if isinstance(action, Shown):
            render.line(f"  {SIGNS[type(action)]} {_described(action)}")
        if isinstance(action, Place):
            render.line(f"           {why_told.why_this(action)}")
        if isinstance(action, Wait):
            _print_refusals(action)
    for held in plan.held:
        render.line(f"    {held}")
    is_seen = any(isinstance(action, Shown) for action in plan.actions)
    pushes = sum(isinstance(action, Push) for action in plan.actions)
    fetches = sum(isinstance(action, Fetch) for action in plan.actions)
    starts = sum(isinstance(action, Place | Start) for action in plan.actions)
    stops = sum(isinstance(action, Stop | Quarantine) for action in plan.actions)
    waits = sum(isinstance(action, Wait) for action in plan.actions)
    refreshes = sum(isinstance(action, Refresh) for action in plan.actions)
    first = f"{pushes} to push first, " if pushes else ""
    first += f"{fetches} to fetch first, " if fetches else ""
    more = f", {refreshes} to refresh" if refreshes else ""
    told = f"{first}{starts} to start, {stops} to stop, {waits} to wait{more}"
    render.line(told if is_seen else "no change")


def print_plan_and_why(plan: Plan) -> None:
    """The same, and then of each decision all that is told of it."""
    print_plan(plan)
    why_told.print_decisions(plan)


def print_needs(needs: Sequence[Need]) -> None:
    """What another scheduler than the tightest costs in nodes, if anything."""
    if needs and needs[0].nodes > needs[1].nodes and not needs[1].stuck:
        told = ", ".join(f"{need.scheduler} {need.nodes}" for need in needs)
        render.line(f"nodes that all services need: {told}")


def print_report(report: Report, seconds: float | None = None) -> None:
    """How it stands at the end: one line per trouble, and a summary with the seconds that it took."""
    for wait in report.waiting:
        render.line(f"  waits  {wait.slot}: {wait.reason}", "yellow")
        _print_refusals(wait)
    for held in report.held:
        if report.rollout is None or not held.waits_for_a_person:
            render.line(f"  held   {held}", "yellow")
    for task in report.failed:
        render.line(f"  failed {task.slot} on {task.node}: {task.reason}", "red")
    for task in report.unproven:
        why = report.check_of(task) or "its check has not answered well yet"
        render.line(f"  not known to be healthy {task.slot} on {task.node}: {why}", "yellow")
    render.warn(report.plan.warnings)
    if report.rollout and (said := rollout_end(report, report.rollout)):
        render.line(f"  {said[0]}", said[1])
    for name in sorted({task.slot.job for task in report.failed} & report.plan.later.keys()):
        at = render.moment(report.plan.later[name])
        render.line(f"  the first sweep after {at} goes on with {name}: cube reconcile")
    for name in sorted(_jobs_with_trouble(report)):
        render.line(f"  what failed left its last words: cube postmortem {name}")
    mine = [task for task in report.tasks if report.job in (None, task.slot.job)]
    running = sum(task.state is State.RUNNING and report.sees(task.node) for task in mine)
    ended = sum(task.state is State.COMPLETED and task.exit_code == 0 for task in mine) if report.job else 0
    stand = [f"{running} running"] * (running > 0 or not ended) + [f"{ended} completed"] * (ended > 0)
    subject = f"job {report.job}" if report.job else "fleet"
    took = "" if seconds is None else f" ({seconds:.1f} s)"
    render.line(f"{subject}: {report.summary}; {', '.join(stand)}{took}")


def _print_refusals(wait: Wait) -> None:
    for line in why_told.why_nowhere(wait.decision):
        render.line(f"           {line}")


def rollout_end(report: Report, rollout: Rollout) -> tuple[str, str | None] | None:
    """How the rollout of the job's newest version stands, and the colour of that; None: nothing to say."""
    version, asked = f"version {rollout.version}", report.asked
    match rollout.state:
        case RolloutState.FAILED:
            return f"{version} failed: {rollout.reason}{_what_serves(report, rollout)}", "red"
        case RolloutState.PAUSED:
            return f"{version} is paused; go on with: cube resume {rollout.job}", "yellow"
        case RolloutState.SUCCEEDED if rollout.version > asked > 0:
            return f"version {asked} failed; what it replaced was brought back as {version}", "red"
        case RolloutState.SUCCEEDED:
            return (f"{version} is in place", None) if _alive(report, rollout.job) else None
        case RolloutState.RUNNING if any(held.waits_for_a_person for held in report.held):
            count = sum(task.version == rollout.version for task in _alive(report, rollout.job))
            run = "canary runs" if count == 1 else "canaries run"
            return f"{version}: {count} {run}; go on with: cube promote {rollout.job}", "yellow"
        case RolloutState.RUNNING:
            return f"{version} is on its way; the next sweep goes on", "yellow"


def what_begins_it(job: Job, now: float) -> str:
    """What a job waits for that runs nothing itself; empty for every other, and for one that is stopped."""
    if job.stopped:
        return ""
    if job.schedule is not None and job.type is JobType.PERIODIC:
        runs = [rows.of_run(at, job.schedule, now) for at in next_runs(job.schedule, now, 1)]
        next_one = f"{runs[0]['run']}, in {runs[0]['in']}" if runs else "never"
        return f"next run: {next_one}, by the first sweep then; more: cube job next {job.name}"
    if job.parameters is not None and job.type is JobType.PARAMETERIZED:
        words = "".join(f" -v {name}=..." for name in job.parameters.required)
        return f"a run begins with: cube dispatch {job.name}{words}"
    return ""


def _jobs_with_trouble(report: Report) -> set[str]:
    rollout = report.rollout
    has_failed = rollout is not None and rollout.state is RolloutState.FAILED
    is_troubled = has_failed or report.has_gone_back
    jobs = {task.slot.job for task in report.failed} | ({rollout.job} if rollout and is_troubled else set())
    # What never had a container left nothing.
    began = {task.slot.job for task in report.tasks if task.container}
    ended = {
        done.effect.task.slot.job for done in report.done if done.outcome.post_mortem and done.effect.task
    }
    return jobs & (began | ended)


def _what_serves(report: Report, rollout: Rollout) -> str:
    older = {task.version for task in _alive(report, rollout.job)} - {rollout.version}
    return "".join(f"; version {version} serves on" for version in sorted(older))


def _alive(report: Report, job: str) -> list[Task]:
    return [task for task in report.tasks if task.slot.job == job and task.state is State.RUNNING]


def _tell_done(done: Done, say: Say) -> None:
    why = f": {done.outcome.why}" if done.outcome.why else ""
    say(f"{in_short(done)}{why}{_more(done)}", STYLES[done.outcome.verdict])
    if done.outcome.cure:
        say(f"         {done.outcome.cure}", None)
    for line in done.outcome.detail.get("log", "").splitlines():
        say(f"         | {line}", None)


def in_short(done: Done) -> str:
    """An effect and its verdict, without the reason."""
    verb, name = VERBS[type(done.effect)], _name(done.effect)
    return f"  {verb:6} {name} on {done.effect.node}  {done.outcome.verdict}"


def _described(action: Shown) -> str:
    return f"{_what(action)}: {action.reason}"


def _what(action: Shown) -> str:
    match action:
        case Place():
            return f"start {action.slot} on {action.node}"
        case Wait():
            return f"wait {action.slot}"
        case Launch():
            return f"run {action.job.name}"
        case Revert():
            return f"{action.job} goes back to version {action.to}"
        case _:
            return f"{VERBS[type(action)]} {_name(action)} on {action.node}"


def _name(effect: Effect) -> str:
    if isinstance(effect, Push | Fetch):
        return as_called(effect.image)
    if isinstance(effect, Stop) and effect.task is None:
        return effect.container_name
    return str(effect.task.slot) if effect.task else ""


def _more(done: Done) -> str:
    """The ports of a task; the bytes of an image, and the node that it came from, if any."""
    effect, detail, more = done.effect, done.outcome.detail, ""
    if isinstance(effect, Start) and effect.task.ports:
        more = "  " + " ".join(f"{name}={port}" for name, port in effect.task.ports.items())
    if "bytes" in detail:
        source = f", from {detail['from']}" if "from" in detail else ""
        more += f"  {render.size(int(detail['bytes']))} in {detail['seconds']} s{source}"
    return more
