"""Tokens: who may ask for what; for those alone who may give them."""

import time
from typing import Annotated, Any

from fastapi import APIRouter, Path, Response

from cube.api.desk import AtDesk, NotFoundError, Who, answer
from cube.api.problem import responses
from cube.api.schema import NewToken
from cube.manager.tokens import make_token
from cube.model.codec import to_data
from cube.model.token import Token

router = APIRouter(tags=["tokens"])

FAILS = responses(400, 404, 422)


@router.get("/tokens", response_model=list[dict[str, Any]], responses=FAILS)
def list_tokens(desk: AtDesk) -> Response:
    """Every token, without its hash."""
    return answer([_shown(token) for token in desk.manager.store.tokens()])


@router.post("/tokens", status_code=201, response_model=dict[str, Any], responses=FAILS)
def create_token(desk: AtDesk, who: Who, body: NewToken) -> Response:
    """Make a token; this answer alone holds it."""
    store = desk.manager.store
    text = make_token(store, body.name, body.role, good_for=body.expires_in, actor=who.name)
    kept = next(token for token in store.tokens() if token.name == body.name)
    return answer({"token": text, **_shown(kept)}, 201)


@router.delete("/tokens/{name}", status_code=204, responses=FAILS)
def revoke_token(desk: AtDesk, who: Who, name: Annotated[str, Path(max_length=64)]) -> Response:
    """Let nobody use it any more."""
    if not desk.manager.store.revoke_token(name, now=time.time(), actor=who.name):
        raise NotFoundError(f"there is no token {name!r}")
    return Response(status_code=204)


def _shown(token: Token) -> dict[str, Any]:
    return {name: value for name, value in to_data(token).items() if name != "digest"}
