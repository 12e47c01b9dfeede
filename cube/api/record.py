"""The record, question by question, as commands read it that work through a manager."""

from collections.abc import Callable, Mapping
from typing import Annotated, Any, NamedTuple

from fastapi import APIRouter, Path, Query, Response

from cube.api.answers import observation_data
from cube.api.desk import AtDesk, Desk, NotFoundError, Who, answer, known_node
from cube.api.jobs import UnsentError, job_of
from cube.api.problem import responses
from cube.api.schema import Source
from cube.model.job import Job

router = APIRouter(tags=["record"])


PAGE = 1000
"""Events of an answer where nobody says how many."""


class Asked(NamedTuple):
    """What a question may be narrowed by."""

    name: str | None
    task: str | None
    since: float | None
    after: int | None
    limit: int | None
    node: str | None


QUESTIONS: Mapping[str, Callable[[Desk, Asked], Any]] = {
    "identity": lambda desk, _: {"owner": desk.manager.store.owner, "epoch": desk.manager.store.epoch},
    "jobs": lambda desk, _: desk.manager.store.jobs(),
    "versions": lambda desk, asked: desk.manager.store.versions(asked.name or ""),
    "rollouts": lambda desk, _: tuple(desk.manager.store.rollouts().values()),
    "rollouts-of": lambda desk, asked: desk.manager.store.rollouts_of(asked.name or ""),
    "stable-version": lambda desk, asked: desk.manager.store.stable_version(asked.name or ""),
    "tasks": lambda desk, asked: desk.manager.store.tasks(asked.name),
    "current-tasks": lambda desk, _: desk.manager.store.current_tasks(),
    "former-tasks": lambda desk, _: desk.manager.store.former_tasks(),
    "events": lambda desk, asked: desk.manager.store.events(
        job=asked.name, task=asked.task, since=asked.since, after=asked.after, limit=asked.limit
    ),
    "events-after": lambda desk, asked: desk.manager.store.events_after(
        asked.after or 0, asked.limit or PAGE, job=asked.name, task=asked.task, since=asked.since
    ),
    "post-mortems": lambda desk, asked: desk.manager.store.post_mortems(asked.name or ""),
    "cordons": lambda desk, _: tuple(desk.manager.store.cordons().values()),
    "silences": lambda desk, _: tuple(desk.manager.store.silences().values()),
    "moves": lambda desk, _: tuple(desk.manager.store.moves().values()),
    "maintenances": lambda desk, _: tuple(desk.manager.store.maintenances().values()),
    "left-volumes": lambda desk, _: tuple(desk.manager.store.left.all().values()),
    "looks": lambda desk, _: desk.manager.store.looks(),
    "samples": lambda desk, _: desk.service.samples,
    "measures": lambda desk, asked: desk.manager.store.measures(asked.name or "", asked.since or 0.0),
    "sweeps": lambda desk, asked: desk.manager.store.sweeps(asked.limit or 10),
    "observed": lambda desk, _: {
        name: observation_data(found) for name, found in desk.service.look().items()
    },
    "digest": lambda desk, asked: desk.service.digest(
        asked.name or "", known_node(desk, asked.node or "").name
    ),
}


@router.get("/record/{question}", response_model=dict[str, Any], responses=responses(404, 422))
def read_record(
    desk: AtDesk,
    question: Annotated[str, Path(max_length=64, examples=["current-tasks"])],
    name: Annotated[str | None, Query(max_length=512)] = None,
    task: Annotated[str | None, Query(max_length=64)] = None,
    since: Annotated[float | None, Query(ge=0, le=1e11)] = None,
    after: Annotated[int | None, Query(ge=0, le=2**53)] = None,
    limit: Annotated[int | None, Query(ge=1, le=1_000_000)] = None,
    node: Annotated[str | None, Query(max_length=255)] = None,
) -> Response:
    """All that is remembered of one kind, in the model's own form, as the commands read it."""
    if question not in QUESTIONS:
        known = ", ".join(QUESTIONS)
        raise NotFoundError(f"there is no question {question!r}", cure=f"Known: {known}.")
    return answer({"answer": QUESTIONS[question](desk, Asked(name, task, since, after, limit, node))})


@router.post("/parse", response_model=Job, responses=responses(400, 422))
def parse(desk: AtDesk, who: Who, body: Source) -> Response:
    """The job that a job file describes, its templates rendered with the manager's inventory.

    Where files that it names were not sent, their texts are null, and nothing else of it was tried.
    With secrets it needs the role operate.
    """
    try:
        return answer(job_of(desk, who, body))
    except UnsentError as unsent:
        return answer(unsent.job)
