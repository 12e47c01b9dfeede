"""Moves: a task that is to run on another node, and the few that gain most."""

from typing import Any

from fastapi import APIRouter, Request, Response

from cube.api.answers import OperationView
from cube.api.asking import begin
from cube.api.desk import AtDesk, Who
from cube.api.jobs import Key
from cube.api.problem import responses
from cube.api.schema import Moving, Rebalancing
from cube.manager import moves
from cube.manager.moves_with_data import Asked, movable, move_with_data

router = APIRouter(tags=["nodes"])

CHANGES: dict[str, Any] = {
    "status_code": 202,
    "response_model": OperationView,
    "responses": responses(400, 404, 409, 422),
}


@router.post("/move", **CHANGES)
def move(desk: AtDesk, who: Who, request: Request, body: Moving, key: Key = None) -> Response:
    """Move one task to a node; dropped where that cannot take it.

    With its data it is stopped while the last of that is copied; where that fails it is started again where
    it was. `Idempotency-Key`: the same one again is the same operation.
    """
    task, node = body.task, body.node
    if body.with_data:
        asked = Asked(task=task, node=node, keep=body.keep_old)
        return begin(
            desk, who, request, body, f"move {task} to {node} with its data",
            lambda manager, run: move_with_data(manager, asked, run), key=key,
            check=lambda manager: movable(manager, asked),
        )  # fmt: skip
    return begin(
        desk, who, request, body, f"move {task} to {node}",
        lambda manager, run: moves.move(manager, task, node, run), key=key,
        check=lambda manager: moves.wish(manager, task, node, who.name),
    )  # fmt: skip


@router.post("/rebalance", **CHANGES)
def rebalance(desk: AtDesk, who: Who, request: Request, body: Rebalancing = Rebalancing()) -> Response:
    """Move the tasks that gain most by it, one at a time."""
    return begin(
        desk, who, request, body, "rebalance",
        lambda manager, run: moves.rebalance(
            manager, run, max_moves=body.max_moves, min_gain=body.min_gain
        ),
    )  # fmt: skip
