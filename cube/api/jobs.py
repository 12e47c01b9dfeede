"""Jobs: what is wanted, and everything that changes it."""

from collections.abc import Callable
from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Header, Path, Request, Response

from cube.api.access import Caller
from cube.api.answers import OperationView, plan_data
from cube.api.asking import begin
from cube.api.desk import AtDesk, Desk, Who, answer, known_job, refuse_changed, tag_of
from cube.api.problem import responses
from cube.api.schema import Dispatch, Maintaining, Return, Scaling, Source, Submission, Waits
from cube.errors import InputError
from cube.manager import templates
from cube.manager.manager import Manager
from cube.manager.report import Report
from cube.manager.turn import Run
from cube.model.job import Hooks, Job
from cube.model.rollout import Rollout
from cube.model.token import Role
from cube.scheduler.algorithms import ALGORITHMS
from cube.spec.parse import parse
from cube.store.rows import JobVersion
from cube.vault.vault import fingerprinted
from cube.view.fleet import JobView

router = APIRouter(tags=["jobs"])

Name = Annotated[str, Path(max_length=255, description="The job's name.")]
IfMatch = Annotated[str | None, Header(description='The version that is meant, as "3": else 412.')]
Key = Annotated[str | None, Header(alias="Idempotency-Key", max_length=255)]
CHANGES: dict[str, Any] = {
    "status_code": 202,
    "response_model": OperationView,
    "responses": responses(400, 401, 403, 404, 409, 412, 422, 429),
}
Change = Callable[[Manager, str, Run], Report]
READS = responses(401, 403, 404, 422, 429)


@router.get("/jobs", response_model=list[JobView], responses=READS)
def list_jobs(desk: AtDesk) -> Response:
    """Every job, and how far it is."""
    return answer(desk.standings.now().jobs)


@router.get("/jobs/{name}", response_model=Job, responses=READS)
def read_job(desk: AtDesk, name: Name) -> Response:
    """The newest version of a job; its ETag is what `If-Match` takes."""
    job = known_job(desk, name)
    return answer(job, headers={"ETag": tag_of(job)})


@router.get("/jobs/{name}/status", response_model=JobView, responses=READS)
def read_status(desk: AtDesk, name: Name) -> Response:
    """How far a job is."""
    known_job(desk, name)
    return answer(next(view for view in desk.standings.now().jobs if view.name == name))


@router.get("/jobs/{name}/versions", response_model=list[JobVersion], responses=READS)
def list_versions(desk: AtDesk, name: Name) -> Response:
    """Every version of a job, the oldest first: when, by whom and why it was made."""
    known_job(desk, name)
    return answer(desk.manager.store.versions(name))


@router.get("/deployments", response_model=list[Rollout], responses=READS)
def list_deployments(desk: AtDesk) -> Response:
    """How far the newest version of each job has come."""
    return answer(tuple(desk.manager.store.rollouts().values()))


@router.get("/deployments/{name}", response_model=list[Rollout], responses=READS)
def list_deployments_of(desk: AtDesk, name: Name) -> Response:
    """How far each version of a job has come, the oldest first."""
    known_job(desk, name)
    return answer(desk.manager.store.rollouts_of(name))


@router.post("/plan", response_model=dict[str, Any], responses=responses(400, 401, 403, 409, 422, 429))
def plan(desk: AtDesk, body: Source) -> Response:
    """What a deploy of this job file would do first. Changes nothing."""
    job = job_of(desk, body)
    found, _ = desk.manager.preview(job)
    return answer({"job": job.name, **plan_data(found), "fingerprint": found.fingerprint})


@router.post("/jobs", **CHANGES)
def submit(
    desk: AtDesk, who: Who, request: Request, body: Submission, if_match: IfMatch = None, key: Key = None
) -> Response:
    """Make the fleet run a job as its file says. The operation says how that goes.

    The same file again changes nothing. `Idempotency-Key`: the same one again is the same operation.
    """
    job = job_of(desk, body)
    _refuse_hooks(job, who)
    known = desk.manager.store.job(job.name)
    if known is not None:
        refuse_changed(known, if_match)

    return begin(
        desk, who, request, body, f"deploy {job.name}",
        lambda manager, run: manager.deploy(job, run, expected=body.expected), job=job.name, key=key,
    )  # fmt: skip


@router.delete("/jobs/{name}", **CHANGES)
def remove(desk: AtDesk, who: Who, request: Request, name: Name, if_match: IfMatch = None) -> Response:
    """Stop a job and forget it; its events stay."""
    return _change(desk, who, request, name, if_match, Waits(), "remove", Manager.remove)


def _offer(what: str, about: str, change: Change) -> None:
    """A route for what needs no more than the job's name."""

    @router.post(f"/jobs/{{name}}/{what}", name=what, description=about, **CHANGES)
    def ask(
        desk: AtDesk, who: Who, request: Request, name: Name, body: Waits, if_match: IfMatch = None
    ) -> Response:
        return _change(desk, who, request, name, if_match, body, what, change)


for _what, _about, _how in (
    ("remove", "As DELETE, with its own patience.", Manager.remove),
    ("stop", "Stop every task of a job; it stays known.", Manager.stop),
    ("promote", "Let a new version take the place of every old task.", Manager.promote),
    ("pause", "Replace no further task, until somebody resumes the rollout.", Manager.pause),
    ("resume", "Go on with a rollout that was paused.", Manager.resume),
    ("end-maintenance", "Let a job's tasks answer requests again.", Manager.end_maintenance),
):
    _offer(_what, _about, _how)


@router.post("/jobs/{name}/scale", **CHANGES)
def scale(
    desk: AtDesk, who: Who, request: Request, name: Name, body: Scaling, if_match: IfMatch = None
) -> Response:
    """Run another number of tasks, until the next deploy says otherwise."""
    counts = body.counts
    return _change(
        desk, who, request, name, if_match, body, "scale", lambda m, job, run: m.scale(job, counts, run)
    )


@router.post("/jobs/{name}/rollback", **CHANGES)
def rollback(
    desk: AtDesk, who: Who, request: Request, name: Name, body: Return, if_match: IfMatch = None
) -> Response:
    """Go back to an earlier version."""
    to = body.version
    return _change(
        desk, who, request, name, if_match, body, "rollback", lambda m, job, run: m.rollback(job, to, run)
    )


@router.post("/jobs/{name}/maintenance", **CHANGES)
def maintain(
    desk: AtDesk, who: Who, request: Request, name: Name, body: Maintaining, if_match: IfMatch = None
) -> Response:
    """Have proxies answer requests for a job by a page; its tasks are left as they are."""
    after = body.retry_after
    return _change(
        desk, who, request, name, if_match, body, "maintenance",
        lambda m, job, run: m.begin_maintenance(job, after, run),
    )  # fmt: skip


@router.post("/jobs/{name}/dispatch", **CHANGES)
def dispatch(
    desk: AtDesk, who: Who, request: Request, name: Name, body: Dispatch, key: Key = None
) -> Response:
    """Begin a run of a parameterized job. `Idempotency-Key`: the same one again begins no other."""
    known_job(desk, name)
    values = dict(body.values)
    return begin(
        desk, who, request, body, f"dispatch {name}", lambda m, run: m.dispatch(name, values, run),
        job=name, key=key,
    )  # fmt: skip


def job_of(desk: Desk, body: Source) -> Job:
    """The job that the file describes, its templates rendered here. Raises InputError."""
    cluster = desk.manager.cluster
    variables = {
        "var": {**cluster.variables, **body.variables},
        "env": dict(body.environment),
        "cluster": {"name": cluster.name, "nodes": [node.name for node in cluster.nodes]},
    }
    job = parse(body.source, body.file, variables, schedulers=tuple(ALGORITHMS))
    if any(each.source for group in job.groups for each in group.spec.templates):
        cure = "Deploy it where its template files are."
        raise InputError("files from templates do not go through a manager", where=job.name, cure=cure)
    filled = templates.filled(job, {})
    templates.tried(filled, cluster)
    return fingerprinted(filled, desk.service.vault)


def _refuse_hooks(job: Job, who: Caller) -> None:
    """A hook is a command on the manager's own machine."""
    if replace(job.hooks, timeout=Hooks().timeout) != Hooks() and not who.role.may(Role.ADMIN):
        raise InputError(
            "this job has hooks",
            where=job.name,
            why="they run on the manager's machine, and only an admin's token may bring them there",
            cure="Leave hooks out, or deploy it with the role admin.",
        )


def _change(
    desk: Desk, who: Caller, request: Request, name: str, if_match: str | None, waits: Waits, what: str,
    change: Change,
) -> Response:  # fmt: skip
    refuse_changed(known_job(desk, name), if_match)
    said = f"{what} {name}"
    return begin(desk, who, request, waits, said, lambda manager, run: change(manager, name, run), job=name)
