"""The page's routes: what is looked at, what follows it as it changes, and the buttons."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from http import HTTPStatus
from pathlib import Path as File
from typing import Annotated
from urllib.parse import parse_qs, quote

from fastapi import APIRouter, Depends, FastAPI, Path, Query, Request, Response
from fastapi.responses import RedirectResponse
from starlette.staticfiles import StaticFiles

from cube.api.access import Caller
from cube.api.desk import AtDesk, Desk, Who, given_by, known_job, known_node
from cube.api.page.board import Board
from cube.api.page.draw import HEADERS, html
from cube.api.page.sign_in import signed_in, signed_out
from cube.api.page.views import Drawings, View, drawn, values
from cube.api.stream import live, sse
from cube.errors import InputError
from cube.manager.operations import Ask
from cube.manager.operations import Request as Asked
from cube.model.job import Job
from cube.model.maintenance import RETRY_AFTER
from cube.model.precondition import Precondition

PAUSE = 1.0
"""Seconds between two looks at what a browser follows."""

TIMEOUT = 600.0
"""Seconds after which an operation is given up."""

MOST = 8192
"""Bytes that a form may have."""

router = APIRouter(include_in_schema=False, max_body_size=MOST)

Name = Annotated[str, Path(max_length=255)]
Words = Annotated[str, Query(alias="q", max_length=200)]


def install(app: FastAPI) -> None:
    """Put the page into the application."""
    app.state.board = Board(app.state.desk)
    app.state.drawings = Drawings(app.state.desk, app.state.board)
    app.include_router(router)
    app.mount("/assets", StaticFiles(directory=File(__file__).parent / "assets"))


def _board(request: Request) -> Board:
    board: Board = request.app.state.board
    return board


def _drawings(request: Request) -> Drawings:
    drawings: Drawings = request.app.state.drawings
    return drawings


async def _form(request: Request) -> Mapping[str, str]:
    """What a form sent, the last of each name."""
    fields = parse_qs((await request.body()).decode("utf-8", "replace"), keep_blank_values=True)
    return {name: found[-1] for name, found in fields.items()}


AtBoard = Annotated[Board, Depends(_board)]
AtDrawings = Annotated[Drawings, Depends(_drawings)]
Form = Annotated[Mapping[str, str], Depends(_form)]


@router.get("/")
def show_fleet(desk: AtDesk, board: AtBoard, who: Who, q: Words = "") -> Response:
    """The whole cluster."""
    return _page(desk, board, who, View(name="fleet", query=q))


@router.get("/node/{name}")
def show_node(desk: AtDesk, board: AtBoard, who: Who, name: Name, q: Words = "") -> Response:
    """One node, and what is on it."""
    return _page(desk, board, who, View(name="node", key=name, query=q))


@router.get("/job/{name}")
def show_job(desk: AtDesk, board: AtBoard, who: Who, name: Name, q: Words = "") -> Response:
    """One job: its rollout, its tasks, its versions."""
    return _page(desk, board, who, View(name="job", key=name, query=q))


@router.get("/task/{name}")
def show_task(desk: AtDesk, board: AtBoard, who: Who, name: Name) -> Response:
    """One task: its history, its logs, and why it is where it is."""
    return _page(desk, board, who, View(name="task", key=name))


@router.get("/live/{kind}")
async def follow(
    drawings: AtDrawings,
    who: Who,
    kind: Name,
    key: Annotated[str, Query(max_length=255)] = "",
    q: Words = "",
) -> Response:  # fmt: skip
    """Each part of a page as HTML, whenever it has changed."""
    view = _known(kind, key, q)

    async def parts() -> AsyncIterator[str]:
        shown: dict[str, str] = {}
        while True:
            found = await asyncio.to_thread(drawings.now, view, who)
            for part, text in found.items():
                if shown.get(part) != text:
                    yield sse({"part": part, "html": text}, event="part")
            shown.update(found)
            await asyncio.sleep(PAUSE)

    return live(parts())


@router.get("/login")
def show_login() -> Response:
    """The form that takes a token."""
    return html("problem.html", {"title": "Sign in", "error": None, "must_sign_in": True, "next": "/"})


@router.post("/login")
def sign_in(request: Request, form: Form) -> Response:
    """Let the browser keep a token."""
    token = "".join(form.get("token", "").split())
    return signed_in(token, form.get("next", "/"), is_secure=request.url.scheme == "https")


@router.post("/logout")
def sign_out() -> Response:
    """Let the browser forget its token."""
    return signed_out()


@router.post("/node/{name}/{action}")
def act_on_node(desk: AtDesk, who: Who, name: Name, action: Name, form: Form) -> Response:
    """Drain, cordon or uncordon a node."""
    known_node(desk, name)
    leave_data = "leave_data" in form
    acts: Mapping[str, Ask] = {
        "drain": lambda manager, run: manager.drain(name, run, deadline=None, leave_data=leave_data),
        "cordon": lambda manager, run: manager.cordon(name, run),
        "uncordon": lambda manager, run: manager.uncordon(name, run),
    }
    return _begun(desk, who, action, name, None, acts)


@router.post("/job/{name}/{action}")
def act_on_job(desk: AtDesk, who: Who, name: Name, action: Name, form: Form) -> Response:
    """Change a job, as it was when the button was drawn."""
    job = known_job(desk, name)
    acts: Mapping[str, Ask] = {
        "rollback": lambda manager, run: manager.rollback(name, _number(form, "version"), run),
        "scale": lambda manager, run: manager.scale(name, _counts(job, form), run),
        "stop": lambda manager, run: manager.stop(name, run),
        "promote": lambda manager, run: manager.promote(name, run),
        "pause": lambda manager, run: manager.pause(name, run),
        "resume": lambda manager, run: manager.resume(name, run),
        "maintenance": lambda manager, run: manager.begin_maintenance(name, RETRY_AFTER, run),
        "end-maintenance": lambda manager, run: manager.end_maintenance(name, run),
    }
    return _begun(desk, who, action, name, name, acts, given_by(form.get("seen")))


def _begun(
    desk: Desk, who: Caller, action: str, name: str, job: str | None, acts: Mapping[str, Ask],
    given: Precondition | None = None,
) -> Response:  # fmt: skip
    if action not in acts:
        raise InputError(f"there is no action {action!r}", cure=f"Known ones: {', '.join(acts)}.")
    asked = Asked(what=f"{action} {name}", actor=who.name, timeout=TIMEOUT, wait=10.0, job=job, given=given)
    desk.operations.begin(asked, acts[action])
    desk.service.wake()
    back = f"/{'job' if job else 'node'}/{quote(name, safe='')}"
    return RedirectResponse(back, HTTPStatus.SEE_OTHER, HEADERS)


def _page(desk: Desk, board: Board, who: Caller, view: View) -> Response:
    found = values(desk, board.now(), view, who)
    return html(f"view_{view.name}.html", {**found, "parts": drawn(view, found)})


def _known(kind: str, key: str, query: str) -> View:
    if kind not in ("fleet", "node", "job", "task"):
        raise InputError(f"there is no page {kind!r}")
    return View(name=kind, key=key, query=query)


def _number(form: Mapping[str, str], name: str) -> int | None:
    """The number in a field; None: it is empty. Raises InputError."""
    text = form.get(name, "")
    if text and (not text.isdecimal() or len(text) > 9):
        raise InputError(f"{text[:20]!r} is no number", where=name)
    return int(text) if text else None


def _counts(job: Job, form: Mapping[str, str]) -> dict[str, int]:
    found = {group.name: _number(form, f"count-{group.name}") for group in job.groups}
    return {name: count for name, count in found.items() if count is not None}
