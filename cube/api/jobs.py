"""Jobs: what is wanted, and everything that changes it."""

from collections.abc import Callable
from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Header, Path, Request, Response

from cube.api.access import Caller
from cube.api.answers import OperationView, plan_data
from cube.api.asking import begin
from cube.api.desk import AtDesk, Desk, Who, answer, known_job, tag_of
from cube.api.problem import responses
from cube.api.schema import Dispatch, Maintaining, Return, Scaling, Source, Submission, Waits
from cube.errors import InputError
from cube.manager import templates, wanted
from cube.manager.manager import Manager
from cube.manager.report import Report
from cube.manager.turn import Run, Settling
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
    "responses": responses(400, 404, 409, 412, 422),
}
Change = Callable[[Manager, str, Run], Report]
Check = Callable[[Settling, Job], object]
READS = responses(404, 422)


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


@router.post("/plan", response_model=dict[str, Any], responses=responses(400, 409, 422))
def plan(desk: AtDesk, who: Who, body: Source) -> Response:
    """What a deploy of this job file would do first. It changes nothing; with secrets it needs `operate`."""
    job = job_of(desk, who, body)
    found, _ = desk.manager.preview(job)
    return answer({"job": job.name, **plan_data(found), "fingerprint": found.fingerprint})


@router.post("/jobs", **CHANGES)
def submit(
    desk: AtDesk, who: Who, request: Request, body: Submission, if_match: IfMatch = None, key: Key = None
) -> Response:
    """Make the fleet run a job as its file says. The operation says how that goes.

    The same file again changes nothing. `Idempotency-Key`: the same one again is the same operation.
    """
    job = job_of(desk, who, body)
    _refuse_hooks(job, who)
    return begin(
        desk, who, request, body, f"deploy {job.name}",
        lambda manager, run: manager.deploy(job, run, expected=body.expected), job=job.name, key=key,
        if_match=if_match, check=lambda manager: wanted.refuse_another_type(manager.loop, job),
    )  # fmt: skip


@router.delete("/jobs/{name}", **CHANGES)
def remove(desk: AtDesk, who: Who, request: Request, name: Name, if_match: IfMatch = None) -> Response:
    """Stop a job and forget it; its events stay."""
    return _change(desk, who, request, name, if_match, Waits(), "remove", Manager.remove, _anything)


def _anything(_loop: Settling, _job: Job) -> None:
    """Nothing can be said against it."""


def _offer(what: str, about: str, change: Change, check: Check) -> None:
    """A route for what needs no more than the job's name."""

    @router.post(f"/jobs/{{name}}/{what}", name=what, description=about, **CHANGES)
    def ask(
        desk: AtDesk, who: Who, request: Request, name: Name, body: Waits = Waits(), if_match: IfMatch = None
    ) -> Response:
        return _change(desk, who, request, name, if_match, body, what, change, check)


_offer("remove", "As DELETE, with its own patience.", Manager.remove, _anything)
_offer("stop", "Stop every task of a job; it stays known.", Manager.stop, _anything)
_offer(
    "promote", "Let a new version take the place of every old task.", Manager.promote,
    wanted.rollout_under_way,
)  # fmt: skip
_offer(
    "pause", "Replace no further task, until somebody resumes the rollout.", Manager.pause,
    wanted.rollout_under_way,
)  # fmt: skip
_offer("resume", "Go on with a rollout that was paused.", Manager.resume, wanted.paused_rollout)
_offer("end-maintenance", "Let a job's tasks answer requests again.", Manager.end_maintenance, _anything)


@router.post("/jobs/{name}/scale", **CHANGES)
def scale(
    desk: AtDesk, who: Who, request: Request, name: Name, body: Scaling, if_match: IfMatch = None
) -> Response:
    """Run another number of tasks, until the next deploy says otherwise."""
    counts = body.counts
    return _change(
        desk, who, request, name, if_match, body, "scale", lambda m, job, run: m.scale(job, counts, run),
        lambda _loop, job: wanted.scaled(job, counts),
    )  # fmt: skip


@router.post("/jobs/{name}/rollback", **CHANGES)
def rollback(
    desk: AtDesk, who: Who, request: Request, name: Name, body: Return = Return(), if_match: IfMatch = None
) -> Response:
    """Go back to an earlier version."""
    to = body.version
    return _change(
        desk, who, request, name, if_match, body, "rollback", lambda m, job, run: m.rollback(job, to, run),
        lambda loop, job: wanted.earlier(loop, job, to),
    )  # fmt: skip


@router.post("/jobs/{name}/maintenance", **CHANGES)
def maintain(
    desk: AtDesk,
    who: Who,
    request: Request,
    name: Name,
    body: Maintaining = Maintaining(),
    if_match: IfMatch = None,
) -> Response:
    """Have proxies answer requests for a job by a page; its tasks are left as they are."""
    after = body.retry_after
    return _change(
        desk, who, request, name, if_match, body, "maintenance",
        lambda m, job, run: m.begin_maintenance(job, after, run), wanted.refuse_unserved,
    )  # fmt: skip


@router.post("/jobs/{name}/dispatch", **CHANGES)
def dispatch(
    desk: AtDesk, who: Who, request: Request, name: Name, body: Dispatch = Dispatch(), key: Key = None
) -> Response:
    """Begin a run of a parameterized job. `Idempotency-Key`: the same one again begins no other."""
    known_job(desk, name)
    values = dict(body.values)
    return begin(
        desk, who, request, body, f"dispatch {name}", lambda m, run: m.dispatch(name, values, run),
        job=name, key=key,
        check=lambda m: wanted.dispatched(m.job(name), values, now=desk.service.clock.now()),
    )  # fmt: skip


class UnsentError(InputError):
    """A file that the job names did not come with it."""

    def __init__(self, job: Job, name: str) -> None:
        cure = "Send its text with the job file, as `templates`."
        super().__init__(f"the template {name} was not sent", where=job.name, cure=cure)
        self.job = job


def job_of(desk: Desk, who: Caller, body: Source) -> Job:
    """The job that the file describes, rendered here for that caller. Raises InputError, UnsentError."""
    cluster = desk.manager.cluster
    variables = {
        "var": {**cluster.variables, **body.variables},
        "env": dict(body.environment),
        "cluster": {"name": cluster.name, "nodes": [node.name for node in cluster.nodes]},
    }
    job = parse(body.source, body.file, variables, schedulers=tuple(ALGORITHMS))
    _refuse_secrets(job, who)
    if unsent := set(templates.unread_in(job)) - body.templates.keys():
        raise UnsentError(job, min(unsent))
    texts = {name: templates.checked(text, f"templates/{name}") for name, text in body.templates.items()}
    filled = templates.filled(job, texts)
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


def _refuse_secrets(job: Job, who: Caller) -> None:
    """Where a secret comes from may be a command on the manager's machine, and is asked anew each time."""
    if any(group.spec.secrets for group in job.groups) and not who.role.may(Role.OPERATE):
        why = "their sources would be asked, and for a token of the role read the manager runs nothing"
        cure = "Use a token of the role operate."
        raise InputError("this job has secrets", where=job.name, why=why, cure=cure)


def _change(
    desk: Desk, who: Caller, request: Request, name: str, if_match: str | None, waits: Waits, what: str,
    change: Change, check: Check,
) -> Response:  # fmt: skip
    known_job(desk, name)
    return begin(
        desk, who, request, waits, f"{what} {name}", lambda manager, run: change(manager, name, run),
        job=name, if_match=if_match, check=lambda manager: check(manager.loop, manager.job(name)),
    )  # fmt: skip
