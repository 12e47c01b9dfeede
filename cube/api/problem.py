"""What went wrong, as RFC 9457 has it: a problem document, with Cube's words for where, why and the cure."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from cube.api.desk import ChangedError, NotFoundError
from cube.api.page import sign_in
from cube.book import wire
from cube.errors import CubeError, InputError, InternalError, LockedError, UnreachableError

MEDIA_TYPE = "application/problem+json"

STATUSES: Mapping[type[CubeError], HTTPStatus] = {
    NotFoundError: HTTPStatus.NOT_FOUND,
    ChangedError: HTTPStatus.PRECONDITION_FAILED,
    InputError: HTTPStatus.UNPROCESSABLE_ENTITY,
    LockedError: HTTPStatus.LOCKED,
    UnreachableError: HTTPStatus.SERVICE_UNAVAILABLE,
    InternalError: HTTPStatus.INTERNAL_SERVER_ERROR,
    CubeError: HTTPStatus.CONFLICT,
}
"""The first that fits is taken."""


class Problem(BaseModel):
    """A problem document. `exit_code` is what the command would have ended with."""

    type: str = "about:blank"
    title: Annotated[str, Field(examples=["Not Found"])]
    status: Annotated[int, Field(examples=[404])]
    detail: Annotated[str, Field(examples=["there is no job 'web'"])]
    exit_code: Annotated[int, Field(examples=[2])] = 1
    where: str = ""
    why: str = ""
    cure: Annotated[str, Field(examples=["Known jobs: shop, mail."])] = ""


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """How a route may fail, for its documentation."""
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {
        status: {"description": HTTPStatus(status).phrase, "content": content, "model": Problem}
        for status in statuses
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
        where=error.where, why=error.why, cure=error.cure,
    )  # fmt: skip


def told(
    path: str, error: CubeError, status: HTTPStatus, headers: Mapping[str, str] | None = None
) -> Response:
    """The error in the words of whom the path is for."""
    if wire.is_of_the_book(path):
        return Response(wire.error_text(status, error), status_code=status, media_type="application/json")
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
        where = ".".join(str(part) for part in first["loc"])
        bad = InputError("the request cannot be used", where=where, why=str(first["msg"]))
        is_book = wire.is_of_the_book(request.url.path)
        status = HTTPStatus.BAD_REQUEST if is_book else HTTPStatus.UNPROCESSABLE_ENTITY
        return told(request.url.path, bad, status)

    @app.exception_handler(HTTPException)
    def _http(request: Request, error: HTTPException) -> Response:
        status = HTTPStatus(error.status_code)
        text = InputError(str(error.detail).lower() if error.detail else status.phrase)
        return told(request.url.path, text, status, error.headers)

    @app.exception_handler(Exception)
    def _bug(request: Request, error: Exception) -> Response:
        bug = InternalError("this is a bug in Cube", why=type(error).__name__)
        return told(request.url.path, bug, HTTPStatus.INTERNAL_SERVER_ERROR)
