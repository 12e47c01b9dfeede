"""Behind the commands that change one desired fact: read what people wrote, let the manager settle, tell."""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import typer

from cube.cli import following, options, progress, render
from cube.cli.closed import in_maintenance
from cube.cli.load import read_text
from cube.cli.office import actor, pairs, seconds
from cube.cli.reach import Place, at_work, looking_on
from cube.errors import InputError
from cube.manager import templates
from cube.manager.bound import BoundPlan, bound_plan, check_place, text_of
from cube.manager.manager import Manager
from cube.manager.office import Office
from cube.manager.report import Remark, Report, Step
from cube.manager.turn import Run
from cube.model.action import Plan
from cube.model.codec import to_data
from cube.model.job import Job
from cube.model.node import Cluster
from cube.model.observation import Unknown
from cube.remote.office import RemoteOffice
from cube.scheduler.algorithms import ALGORITHMS
from cube.spec.parse import parse
from cube.vault.vault import fingerprinted

TEMPLATES = Path("templates")
"""Where the project keeps what files are made of."""

MOST = 10_000
"""Tasks of one group; the same bound as in a job file."""


def settle(
    place: Place,
    command: str,
    ask: Callable[[Manager, Run], Report],
    waits: tuple[str, str],
    output: options.Output,
    *,
    is_quiet: bool = False,
) -> NoReturn:
    """Let a manager do what is asked, tell how it goes, and exit as the report says.

    `waits` are the words for the timeout and for the wait for the lock. `is_quiet`: nothing is printed
    about a run that changed nothing and found nothing odd.
    """
    timeout, lock_wait = seconds(waits[0], "--timeout"), wait_of(waits[1])
    started = time.time()
    is_table = output is options.Output.TABLE
    with (
        at_work(place, command=command, wait=lock_wait) as manager,
        following.telling() if is_table else nullcontext(say_remarks) as tell,
    ):
        report = ask(manager, run_of(started + timeout, tell))
        job = manager.store.job(report.job) if report.job else None
        closed = manager.store.maintenances() if job is not None else {}
    with render.whether_read_or_not():
        if not is_table:
            render.as_json(report_data(report))
        elif not (is_quiet and is_uneventful(report)):
            _print(report, job, time.time() - started)
            for line in in_maintenance(closed, report.job):
                render.line(line, "yellow")
    raise typer.Exit(report.exit_code)


def _print(report: Report, job: Job | None, seconds: float) -> None:
    """`job` is the one that was asked about, as it is known now."""
    if job is None and report.job is not None:
        render.line(f"  job {report.job} is forgotten; its events stay")
    if job is not None and (follows := progress.what_begins_it(job, time.time())):
        render.line(f"  {follows}")
    progress.print_report(report, seconds)


def is_uneventful(report: Report) -> bool:
    """The run changed nothing and found nothing odd."""
    return report.exit_code == 0 and not report.done and not report.plan.warnings


def wait_of(lock_wait: str) -> float:
    """How many seconds to wait for the lock. Raises InputError."""
    return seconds(lock_wait, "--lock-wait")


def run_of(until: float, tell: Callable[[Step], None] | None = None) -> Run:
    """A run of this person's, that ends at `until` (seconds since the epoch) and tells how it goes."""
    return Run(until=until, actor=actor(), tell=tell or say_nothing)


def as_planned(file: Path, place: Place) -> Callable[[Manager, Run], Report]:
    """What carries out the plan in that file, as it stands there or not at all. Raises InputError."""
    plan = bound_plan(read_text(file), str(file))
    if (
        isinstance(place, RemoteOffice)
        and plan.source is not None
        and place.read_source(plan.source) != plan.job
    ):
        why, cure = (
            "the manager reads its job file otherwise than it did",
            "Plan again, look, and deploy that plan.",
        )
        raise InputError("the plan cannot be used", where=str(file), why=why, cure=cure)

    def deploy(manager: Manager, run: Run) -> Report:
        check_place(plan, cluster=manager.cluster.name, owner=manager.store.owner, source=str(file))
        return manager.deploy(plan.job, run, expected=plan.changes)

    return deploy


def refuse_both(files: Sequence[Path] | None, var: Sequence[str] | None) -> None:
    """Raises InputError for a job file, or a variable for one, beside a plan: that holds its job."""
    if files or var:
        what = "a job file" if files else "--var"
        raise InputError(f"{what} and --plan exclude each other", cure="The plan holds the whole job.")


def needed(files: Sequence[Path] | None) -> Sequence[Path]:
    """The job file, or Compose files. Raises InputError where none is named."""
    if not files:
        raise InputError("no job file was named", cure="Name one: cube deploy FILE, or --plan PLAN.")
    return files


def preview(
    place: Place,
    job: Job | None,
    output: options.Output,
    out: Path | None = None,
    *,
    tell: Callable[[Plan], None] = progress.print_plan,
) -> int:
    """Print the first wave of a deploy, or of a sweep: 0 no change, 2 changes, 3 a node is unknown.

    `tell` prints it where no JSON is asked for.
    A deploy's plan is also written to the file `out`. Raises InputError where there is no job to be planned.
    """
    if out is not None and job is None:
        raise InputError("there is no job in this plan", where="--out", cure="Name a job file.")
    with looking_on(place) as manager:
        plan, observed = manager.preview(job)
        needs = manager.needs(job, observed)
        owner = manager.store.owner
    if output is options.Output.JSON:
        render.as_json({**plan_data(plan), "needs": to_data(needs)})
    else:
        tell(plan)
        progress.print_needs(needs)
    render.warn(plan.warnings)
    if out is not None and job is not None:
        _write(out, _bound(place, owner, job, plan))
    if plan.changes:
        return 2
    return 3 if any(isinstance(seen, Unknown) for seen in observed.values()) else 0


def counts_of(words: Sequence[str], option: str = "scale", shape: str = "GROUP=COUNT") -> dict[str, int]:
    """Words of that shape as a table. Raises InputError, which names the option."""
    return {name: _count(name, text) for name, text in pairs(words, option, shape).items()}


def read_job(files: Sequence[Path], words: list[str], profiles: list[str], place: Place) -> Job:
    """The job in that file, its templates rendered; or the one that Compose files are. Raises InputError."""
    texts = {file: read_text(file) for file in files}
    if _may_be_compose(texts):
        from cube.cli import composing

        if composing.are_compose(texts):
            if isinstance(place, RemoteOffice):
                written = composing.job_file_of(texts, profiles)
                return _sent(place.read_job(written, str(files[0]), {}, {}), place)
            return sealed(composing.job_of(texts, profiles), place)
    file, *others = files
    if others or profiles:
        what = "a job is one file" if others else "profiles are Compose's, and this is a job file"
        raise InputError(what, where=str(others[0] if others else file))
    if isinstance(place, RemoteOffice):
        return _sent(place.read_job(texts[file], str(file), pairs(words, "--var"), os.environ), place)
    variables = {
        "var": {**place.cluster.variables, **pairs(words, "--var")},
        "env": dict(os.environ),
        "cluster": {"name": place.cluster.name, "nodes": [node.name for node in place.cluster.nodes]},
    }
    return sealed(parse(texts[file], str(file), variables, schedulers=tuple(ALGORITHMS)), place)


def sealed(job: Job, place: Office) -> Job:
    """The job with a fingerprint of each of its secrets. Raises InputError for one that is not to be had."""
    _warn_of_variables(job)
    return fingerprinted(with_templates(job, place.cluster), place.vault)


def _warn_of_variables(job: Job) -> None:
    """Who asks for a secret as a variable is told who can see it."""
    render.warn(
        f"{group.name}: the secret {use.name} becomes the variable {use.env}: the engine keeps it on the "
        "node's disk, and shows it to everybody who may inspect the container"
        for group in job.groups
        for use in group.spec.secrets
        if use.env is not None
    )


def with_templates(job: Job, cluster: Cluster) -> Job:
    """The job with the text of each template, tried on every node. Raises InputError with their places."""
    filled = templates.filled(job, _texts(job))
    templates.tried(filled, cluster)
    return filled


def _sent(job: Job, place: RemoteOffice) -> Job:
    """The job as the manager reads it once it has the template files, which are here; warned of as here."""
    _warn_of_variables(job)
    texts = _texts(job)
    return place.read_source(replace(place.sources[job.name], templates=texts)) if texts else job


def _texts(job: Job) -> Mapping[str, str]:
    files = {name: TEMPLATES / name for name in templates.unread_in(job)}
    return {name: templates.checked(_text_within(file), str(file)) for name, file in files.items()}


def _text_within(file: Path) -> str:
    """Raises InputError also for a link out of the project: what it leads to would be kept with the job."""
    if not file.resolve().is_relative_to(Path.cwd()):
        cure = "Put a copy of what is meant into its place."
        raise InputError("it is a link that leads out of this folder", where=str(file), cure=cure)
    return read_text(file)


def _may_be_compose(texts: Mapping[Path, str]) -> bool:
    """A word that every Compose file has and few job files: who has it not need not be read twice."""
    return any(word in text for text in texts.values() for word in ("services", "include"))


def plan_data(plan: Plan) -> dict[str, Any]:
    """The plan as JSON data: each action with its kind."""
    kinds = [{"action": type(action).__name__.lower(), **to_data(action)} for action in plan.actions]
    return {"actions": kinds, "held": to_data(plan.held), "warnings": list(plan.warnings)}


def report_data(report: Report) -> dict[str, Any]:
    """The report as JSON data."""
    return {
        "job": report.job,
        "exit_code": report.exit_code,
        "summary": report.summary,
        "rollout": to_data(report.rollout),
        "done": to_data(report.done),
        "failed": to_data(report.failed),
        "waiting": to_data(report.waiting),
        "held": to_data(report.held),
        "moves": to_data(report.moves),
        "unknown": to_data(report.unknown),
        "warnings": list(report.plan.warnings),
    }


def _bound(place: Place, owner: str, job: Job, plan: Plan) -> BoundPlan:
    source = place.sources.get(job.name) if isinstance(place, RemoteOffice) else None
    return BoundPlan(
        cluster=place.cluster.name,
        owner=owner,
        job=job,
        changes=plan.fingerprint,
        made_at=time.time(),
        source=source,
    )


def _write(out: Path, plan: BoundPlan) -> None:
    """For its owner alone: it holds the environment of every task."""
    try:
        out.unlink(missing_ok=True)
        with os.fdopen(os.open(out, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file:
            file.write(text_of(plan))
    except OSError as error:
        why = error.strerror or str(error)
        raise InputError("the plan cannot be written", where=str(out), why=why) from None
    typer.echo(f"written to {out}; carry it out with: cube deploy --plan {out}", err=True)


def say_nothing(_step: object) -> None:
    """Tells nobody."""


def say_remarks(step: Step) -> None:
    """Tells, beside the answer, what was done beside the loop's own steps."""
    if isinstance(step, Remark):
        render.note(step.text)


def _count(group: str, text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) > MOST:
        raise InputError(f"{text!r} is not a count", where=group, cure=f"Write a number from 0 to {MOST}.")
    return int(text)
