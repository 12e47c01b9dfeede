"""Asking the service for something: what changes the fleet is begun, and answered with its operation."""

from hashlib import sha256

from fastapi import Request, Response

from cube.api.access import Caller
from cube.api.answers import operation_view
from cube.api.desk import Desk, answer, base_of, given_by
from cube.api.schema import Waits
from cube.errors import ChangedError
from cube.manager.operations import Ask, Check, Operation
from cube.manager.operations import Request as Asked

RECORDED = 5.0
"""Seconds that an answer waits until what was asked for is recorded; a hook that runs before takes longer."""


def begin(
    desk: Desk, who: Caller, request: Request, waits: Waits, what: str, ask: Ask, *,
    job: str | None = None, key: str | None = None, if_match: str | None = None,
    check: Check = lambda _manager: None,
) -> Response:  # fmt: skip
    """Begin it in the caller's name; 202, and where it is followed. `job`, `key` and `check` as in `Asked`.

    With `If-Match` the answer waits until it is recorded. Raises ChangedError where the job is another then,
    InputError for what cannot be asked.
    """
    asked = Asked(
        what=what, actor=who.name, timeout=waits.timeout, wait=waits.lock_wait, job=job, key=key,
        digest=_digest(request, waits), given=given_by(if_match), check=check,
    )  # fmt: skip
    begun = desk.operations.begin(asked, ask)
    if asked.given is not None:
        begun.wait_recorded(RECORDED)
        if isinstance(begun.error, ChangedError):
            raise begun.error
    return accepted(request, begun)


def accepted(request: Request, begun: Operation) -> Response:
    """The operation as it stands, and where it is followed."""
    where = f"{base_of(request)}/operations/{begun.id}"
    return answer(operation_view(begun), 202, {"Location": where})


def _digest(request: Request, body: Waits) -> str:
    """What two requests have in common that ask for the same."""
    text = f"{request.method} {request.url.path} {body.model_dump_json()}"
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
