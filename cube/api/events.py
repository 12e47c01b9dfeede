"""Events: what happened, from any number on, and as it happens. Operations: what was asked for."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Header, Path, Query, Request, Response

from cube.api.answers import OperationView, operation_view, report_data, step_data
from cube.api.asking import begin
from cube.api.desk import AtDesk, Desk, NotFoundError, Who, answer, base_of
from cube.api.problem import responses
from cube.api.schema import Waits
from cube.api.stream import EVENTS, live, sse
from cube.api.trace import trace_of
from cube.manager.operations import Operation
from cube.model.task import TaskEvent

router = APIRouter(tags=["events"])

MOST = 1000
Number = Annotated[int | None, Query(ge=0, le=2**53)]
Id = Annotated[str, Path(max_length=64)]
READS = responses(404, 422)
TEXT = {"type": "string"}
ITEM = {"type": "object", "properties": {"id": TEXT, "event": TEXT, "data": TEXT}, "required": ["data"]}
LIVE: dict[str, Any] = {"responses": {200: {"content": {EVENTS: {"itemSchema": ITEM}}}, **READS}}
"""A stream is described by what each event of it is."""


@router.get("/events", response_model=list[TaskEvent], responses=READS)
def list_events(
    desk: AtDesk,
    request: Request,
    after: Number = None,
    job: Annotated[str | None, Query(max_length=255)] = None,
    limit: Annotated[int, Query(ge=1, le=MOST)] = 100,
) -> Response:
    """The newest events, or those that follow the one of that number; `Link` leads on to the next ones."""
    store = desk.manager.store
    found = store.events(job=job, limit=limit) if after is None else store.events_after(after, limit, job=job)
    last = found[-1].number if found else after or 0
    more = f"{base_of(request)}/events?after={last}&limit={limit}"
    return answer(found, headers={"Link": f'<{more}>; rel="next"'})


@router.get("/events/stream", **LIVE)
async def stream_events(
    desk: AtDesk,
    after: Number = None,
    job: Annotated[str | None, Query(max_length=255)] = None,
    last_event_id: Annotated[str | None, Header(max_length=20)] = None,
) -> Response:
    """Each event as it is recorded, after that number, or the last that was heard, or from now on."""
    heard = int(last_event_id) if last_event_id and last_event_id.isdecimal() else None
    start = next((number for number in (heard, after) if number is not None), desk.feed.last)

    async def parts() -> AsyncIterator[str]:
        async for event in desk.feed.after(start):
            if job in (None, event.slot.job):
                yield sse(event, identity=event.number)

    return live(parts())


@router.post(
    "/reconcile",
    status_code=202,
    response_model=OperationView,
    responses=responses(400, 422),
)
def reconcile(desk: AtDesk, who: Who, request: Request, body: Waits = Waits()) -> Response:
    """Put right what is not as it should be, now, and say what is left."""
    return begin(desk, who, request, body, "reconcile", lambda manager, run: manager.reconcile(run))


@router.get("/operations", response_model=list[OperationView], responses=READS)
def list_operations(desk: AtDesk) -> Response:
    """What was asked for since the manager began, the newest last."""
    return answer(tuple(map(operation_view, desk.operations.all())))


@router.get("/operations/{id}", response_model=OperationView, responses=READS)
def read_operation(
    desk: AtDesk, id: Id, wait: Annotated[float, Query(ge=0, le=60, description="Seconds.")] = 0.0
) -> Response:
    """One operation; with `wait` once it has ended, or after that long."""
    found = _operation(desk, id)
    found.wait(wait)
    return answer(operation_view(found))


@router.get("/operations/{id}/report", response_model=dict[str, Any], responses=responses(404, 422))
def read_report(desk: AtDesk, id: Id) -> Response:
    """All that an operation found when it ended; nothing while it goes on."""
    found = _operation(desk, id)
    return answer({"report": report_data(found.report) if found.report else None})


@router.get("/operations/{id}/trace", response_model=dict[str, Any], responses=READS)
def read_trace(desk: AtDesk, id: Id) -> Response:
    """What an operation has waited for, and what each effect took on its node, as OTLP's JSON."""
    return answer(trace_of(_operation(desk, id), time.time()))


@router.get("/operations/{id}/steps", **LIVE)
async def stream_steps(desk: AtDesk, id: Id) -> Response:
    """How an operation goes, step by step from the first, and last its end."""
    found = _operation(desk, id)

    async def parts() -> AsyncIterator[str]:
        told, coming = 0, found.coming[:0]
        while True:
            is_over = found.ended is not None
            for step in found.steps[told:]:
                told += 1
                yield sse(step_data(step), identity=told, event="step")
            before, coming = coming, found.coming
            for transit in coming:
                if transit not in before:
                    yield sse(step_data(transit), event="step")
            if is_over:
                break
            await asyncio.sleep(0.1)
        report = report_data(found.report) if found.report else None
        yield sse({"operation": operation_view(found), "report": report}, event="end")

    return live(parts())


def _operation(desk: Desk, identity: str) -> Operation:
    found = desk.operations.get(identity)
    if found is None:
        raise NotFoundError(f"there is no operation {identity!r}", cure="It is forgotten, or never was.")
    return found
