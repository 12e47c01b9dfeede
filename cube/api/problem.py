"""What went wrong, as RFC 9457 has it: a problem document, with Cube's words for where, why and the cure."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.routing import Match

from cube.api.desk import NotFoundError
from cube.api.doors import BusyError
from cube.api.page import sign_in
from cube.book import wire
from cube.errors import ChangedError, CubeError, InputError, InternalError, LockedError, UnreachableError

MEDIA_TYPE = "application/problem+json"

STATUSES: Mapping[type[CubeError], HTTPStatus] = {
    NotFoundError: HTTPStatus.NOT_FOUND,
    ChangedError: HTTPStatus.PRECONDITION_FAILED,
    BusyError: HTTPStatus.TOO_MANY_REQUESTS,
    InputError: HTTPStatus.UNPROCESSABLE_ENTITY,
    LockedError: HTTPStatus.LOCKED,
    UnreachableError: HTTPStatus.SERVICE_UNAVAILABLE,
    InternalError: HTTPStatus.INTERNAL_SERVER_ERROR,
    CubeError: HTTPStatus.CONFLICT,
}
"""The first that fits is taken."""

EVERYWHERE = (
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    HTTPStatus.INTERNAL_SERVER_ERROR,
    HTTPStatus.SERVICE_UNAVAILABLE,
)
"""A body beyond the limit, a bug in Cube, and a manager that ends or cannot read its state."""

GUARDED = (
    HTTPStatus.UNAUTHORIZED,
    HTTPStatus.FORBIDDEN,
    HTTPStatus.MISDIRECTED_REQUEST,
    HTTPStatus.TOO_MANY_REQUESTS,
    *EVERYWHERE,
)
"""What the gate answers, too: to who shows no good token, or may not, and under a name that is not ours."""

METHODS = ("DELETE", "GET", "POST", "PUT")
"""What routes are asked by; HEAD goes with GET."""


class Problem(BaseModel):
    """A problem document. `exit_code` is what the command would have ended with.

    `field` is what of the body is meant, where it is a part of that.
    """

    type: str = "about:blank"
    title: Annotated[str, Field(examples=["Not Found"])]
    status: Annotated[int, Field(examples=[404])]
    detail: Annotated[str, Field(examples=["there is no job 'web'"])]
    exit_code: Annotated[int, Field(examples=[2])] = 1
    where: str = ""
    why: str = ""
    cure: Annotated[str, Field(examples=["Known jobs: shop, mail."])] = ""
    field: Annotated[str, Field(examples=["counts.web"])] = ""


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """How a route may fail beside what every one behind the gate may, for its documentation."""
    return failures(*statuses, *GUARDED)


def failures(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """How a route may fail, for its documentation."""
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {
        status: {"description": HTTPStatus(status).phrase, "content": content, "model": Problem}
        for status in sorted(set(statuses))
    }


def status_of(error: CubeError) -> HTTPStatus:
    """The status that the error is told with."""
    return next(status for kind, status in STATUSES.items() if isinstance(error, kind))


def response_of(error: CubeError, status: HTTPStatus, headers: Mapping[str, str] | None = None) -> Response:
    """The problem document of an error, as an answer."""
    text = problem_of(error, status).model_dump_json()
    return Response(text, status_code=status, media_type=MEDIA_TYPE, headers=headers)


def problem_of(error: CubeError, status: HTTPStatus | None = None) -> Problem:
    """The problem document of an error; `status` None: the one that it is told with."""
    status = status or status_of(error)
    return Problem(
        title=status.phrase, status=status, detail=error.what, exit_code=error.exit_code,
        where=error.where, why=error.why, cure=error.cure, field=error.field,
    )  # fmt: skip


def told(
    path: str, error: CubeError, status: HTTPStatus, headers: Mapping[str, str] | None = None
) -> Response:
    """The error in the words of whom the path is for."""
    if wire.is_of_the_book(path):
        text = wire.error_text(status, error)
        return Response(text, status_code=status, media_type="application/json", headers=headers)
    if sign_in.is_of_the_page(path):
        return sign_in.refused(path, error, status)
    return response_of(error, status, headers)


def install(app: FastAPI) -> None:
    """Every failure of every route becomes one of these documents."""

    @app.exception_handler(CubeError)
    def _cube(request: Request, error: CubeError) -> Response:
        return told(request.url.path, error, status_of(error))

    @app.exception_handler(RequestValidationError)
    def _validation(request: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        is_json = first["type"] != "json_invalid"
        where = ".".join(str(part) for part in first["loc"]) if is_json else "body"
        why = str(first["msg"]) if is_json else f"it is no JSON: {first['ctx']['error']}"
        field = where.partition(".")[2] if first["loc"][0] == "body" else ""
        bad = InputError("the request cannot be used", where=where, why=why, field=field)
        is_usual = is_json and not wire.is_of_the_book(request.url.path)
        status = HTTPStatus.UNPROCESSABLE_ENTITY if is_usual else HTTPStatus.BAD_REQUEST
        return told(request.url.path, bad, status)

    @app.exception_handler(HTTPException)
    def _http(request: Request, error: HTTPException) -> Response:
        status = HTTPStatus(error.status_code)
        text = InputError(str(error.detail).lower() if error.detail else status.phrase)
        headers = _allowed(request) if status is HTTPStatus.METHOD_NOT_ALLOWED else error.headers
        return told(request.url.path, text, status, headers)

    @app.exception_handler(Exception)
    def _bug(request: Request, error: Exception) -> Response:
        bug = InternalError("this is a bug in Cube", why=type(error).__name__)
        return told(request.url.path, bug, HTTPStatus.INTERNAL_SERVER_ERROR)


def _allowed(request: Request) -> dict[str, str]:
    """What the path may be asked by: every route of it, where the router names the first one's alone."""
    found = {
        method
        for method in METHODS
        for route in request.app.routes
        if route.matches({**request.scope, "method": method})[0] is Match.FULL
    }
    return {"Allow": ", ".join(sorted(found | ({"HEAD"} if "GET" in found else set())))}
