"""Whether this manager can be asked: for what stands before several of them."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field

from cube.api.desk import AtDesk, answer
from cube.api.problem import EVERYWHERE, failures
from cube.errors import UnreachableError

PATH = "/healthz"
"""What anybody may ask for, under a name that the manager is called by."""

PLACES = (HTTPStatus.FORBIDDEN, HTTPStatus.MISDIRECTED_REQUEST)
"""What the gate answers also where no token is needed: to a page from elsewhere, and under another name."""

router = APIRouter(tags=["health"])


class Health(BaseModel):
    """It answers, and reads the state."""

    status: Annotated[str, Field(examples=["ok"])]


@router.get(PATH, response_model=Health, responses=failures(*PLACES, *EVERYWHERE))
async def read_health(desk: AtDesk) -> Response:
    """200 as long as the manager reads the state, else 503; needs no token."""
    if not desk.feed.is_fresh:
        raise UnreachableError("the state has not been read for some seconds")
    return answer({"status": "ok"})
