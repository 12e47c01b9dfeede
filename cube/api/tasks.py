"""Tasks: where they are and how, why there, and what they write."""

import json
from collections.abc import Iterator
from contextlib import nullcontext
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Response
from fastapi.responses import StreamingResponse

from cube.api.desk import AtDesk, answer, known_job, known_node, known_task
from cube.api.problem import responses, status_of
from cube.api.stream import LINES, from_thread, with_pulse
from cube.errors import CubeError, InputError
from cube.manager.tasks import Extract, Following, LogLine, read_logs
from cube.model.action import Decision
from cube.model.task import State, Task, TaskEvent
from cube.reconciler.fitting import fittings
from cube.store.changes import decision_of
from cube.store.rows import Death

router = APIRouter(tags=["tasks"])

Id = Annotated[str, Path(max_length=64, description="The task's whole id.")]
Filter = Annotated[str | None, Query(max_length=255)]
READS = responses(404, 422)


@router.get("/tasks", response_model=list[Task], responses=READS)
def list_tasks(
    desk: AtDesk, job: Filter = None, node: Filter = None, state: State | None = None, every: bool = False
) -> Response:
    """The newest task of every slot, or `every` one that is remembered."""
    standing = desk.standings.now()
    of_node = standing.tasks if node is None else standing.of_node.get(node, ())
    tasks = desk.manager.store.tasks(job) if every else of_node
    return answer(
        [
            task
            for task in tasks
            if job in (None, task.slot.job) and node in (None, task.node) and state in (None, task.state)
        ]
    )


@router.get("/tasks/{id}", response_model=Task, responses=READS)
def read_task(desk: AtDesk, id: Id) -> Response:
    """One task."""
    return answer(known_task(desk, id))


@router.get("/tasks/{id}/events", response_model=list[TaskEvent], responses=READS)
def list_events(desk: AtDesk, id: Id) -> Response:
    """What happened to a task, from the first on."""
    known_task(desk, id)
    return answer(desk.manager.store.events(task=id))


@router.get("/tasks/{id}/why", response_model=dict[str, Any], responses=READS)
def why(desk: AtDesk, id: Id) -> Response:
    """Why a task is where it is, or waits: every node's score or refusal, as it was decided."""
    task = known_task(desk, id)
    events = desk.manager.store.events(task=id)
    decided = [(event, found) for event in events if (found := decision_of(event)) is not None]
    event, decision = decided[-1] if decided else (None, Decision(scores={}))
    return answer({"task": task, "event": event, "decision": decision})


@router.get("/tasks/{id}/postmortems", response_model=list[Death], responses=READS)
def list_post_mortems(desk: AtDesk, id: Id) -> Response:
    """What the containers of a task left behind that ended badly."""
    known_task(desk, id)
    return answer(desk.manager.store.post_mortems(id))


@router.get("/why-not/{job}/{node}", response_model=list[dict[str, Any]], responses=READS)
def why_not(desk: AtDesk, job: Id, node: Id) -> Response:
    """Whether a node could take one task more of each group of a job, and why or why not."""
    wanted = known_job(desk, job)
    known_node(desk, node)
    world = desk.service.world(desk.service.look())
    return answer(fittings(world, wanted, node, desk.service.scheduler))


def _followed(desk: AtDesk, follow: bool = False) -> Iterator[None]:
    """One follower more, until it is answered in full."""
    with desk.followers if follow else nullcontext():
        yield


@router.get(
    "/tasks/{id}/logs",
    dependencies=[Depends(_followed)],
    responses={200: {"content": {LINES: {"schema": {"type": "string"}}}}, **READS},
    response_class=StreamingResponse,
)
def logs(
    desk: AtDesk,
    id: Id,
    follow: bool = False,
    tail: Annotated[int | None, Query(ge=0, le=1_000_000)] = 1000,
    since: Annotated[float | None, Query(ge=0, le=1e11)] = None,
) -> Response:
    """What a task has written, a JSON object a line; with `follow` as it comes, until the task ends.

    While it writes nothing an empty line is sent from time to time.
    """
    task = known_task(desk, id)
    if not task.node or not task.container:
        raise InputError(f"task {task.slot} has no container")
    extract = Extract(tail=tail, since=since)
    workers = desk.service.workers
    if not follow:
        found = from_thread(lambda: map(_line, read_logs(workers, (task,), extract)))
    else:
        following = Following(workers, (task,), extract)
        found = with_pulse(from_thread(lambda: map(_line, following), leave=following.close), "\n")
    return StreamingResponse(found, media_type=LINES)


def _line(line: LogLine | CubeError) -> str:
    return json.dumps(line_data(line)) + "\n"


def line_data(line: LogLine | CubeError) -> dict[str, Any]:
    """A line, or why there is none."""
    if isinstance(line, CubeError):
        return {"error": line.what, "where": line.where, "why": line.why, "status": status_of(line)}
    text = line.text.rstrip(b"\r\n").decode("utf-8", "replace")
    return {"task": line.task.id, "at": line.at, "stream": line.stream, "text": text}
