"""Asking the service for something: what changes the fleet is begun, and answered with its operation."""

from fastapi import Request, Response

from cube.api.access import Caller
from cube.api.answers import operation_view
from cube.api.desk import Desk, answer, base_of
from cube.api.schema import Waits
from cube.manager.operations import Ask
from cube.manager.operations import Request as Asked


def begin(
    desk: Desk, who: Caller, request: Request, waits: Waits, what: str, ask: Ask, *,
    job: str | None = None, key: str | None = None,
) -> Response:  # fmt: skip
    """Begin it in the caller's name; 202, and where it is followed. `job` and `key` as in `Asked`."""
    asked = Asked(what=what, actor=who.name, timeout=waits.timeout, wait=waits.lock_wait, job=job, key=key)
    begun = desk.operations.begin(asked, ask)
    where = f"{base_of(request)}/operations/{begun.id}"
    return answer(operation_view(begun), 202, {"Location": where})
