"""Signing in: a token, kept by the browser where no script can read it and no other site can send it."""

from http import HTTPStatus

from fastapi import Response
from fastapi.responses import RedirectResponse

from cube.api.page.draw import HEADERS, html
from cube.errors import CubeError

COOKIE = "cube_token"
OPEN = ("/login", "/logout", "/assets/")
"""What anybody may ask for; no path of these tells anything."""

PAGES = ("", "node", "job", "task", "live", *(path.strip("/") for path in OPEN))
"""The first words of the paths that a browser shows."""


def is_of_the_page(path: str) -> bool:
    """A person in a browser reads the answer."""
    return path.split("/")[1] in PAGES


def is_open(path: str) -> bool:
    """Nobody needs a token there."""
    return path.startswith(OPEN)


def refused(path: str, error: CubeError, status: HTTPStatus) -> Response:
    """What went wrong, for a person: with the form to sign in where a token is what is missing."""
    must_sign_in = status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.TOO_MANY_REQUESTS)
    values = {
        "title": "Sign in" if must_sign_in else status.phrase, "error": error,
        "must_sign_in": must_sign_in, "is_missing": status is HTTPStatus.UNAUTHORIZED, "next": path,
    }  # fmt: skip
    return html("problem.html", values, status)


def signed_in(token: str, target: str, *, is_secure: bool) -> Response:
    """Back to where the browser came from; the gate says there whether the token is good."""
    answer = RedirectResponse(_local(target), HTTPStatus.SEE_OTHER, HEADERS)
    answer.set_cookie(COOKIE, token, httponly=True, samesite="strict", secure=is_secure, path="/")
    return answer


def signed_out() -> Response:
    """Without the token."""
    answer = RedirectResponse("/login", HTTPStatus.SEE_OTHER, HEADERS)
    answer.delete_cookie(COOKIE, httponly=True, samesite="strict", path="/")
    return answer


def _local(target: str) -> str:
    """A path of this manager, never an address elsewhere."""
    is_ours = target.startswith("/") and not target.startswith(("//", "/\\")) and target.isprintable()
    return target if is_ours and is_of_the_page(target) and not is_open(target) else "/"
