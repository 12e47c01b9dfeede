"""Moves: a task that is to run on another node, and the few that gain most."""

from typing import Any

from fastapi import APIRouter, Request, Response

from cube.api.answers import OperationView
from cube.api.asking import begin
from cube.api.desk import AtDesk, Who
from cube.api.problem import responses
from cube.api.schema import Moving, Rebalancing
from cube.manager import moves

router = APIRouter(tags=["nodes"])

CHANGES: dict[str, Any] = {
    "status_code": 202,
    "response_model": OperationView,
    "responses": responses(400, 404, 409, 422),
}


@router.post("/move", **CHANGES)
def move(desk: AtDesk, who: Who, request: Request, body: Moving) -> Response:
    """Move one task to a node; dropped where that cannot take it."""
    task, node = body.task, body.node
    return begin(
        desk, who, request, body, f"move {task} to {node}",
        lambda manager, run: moves.move(manager, task, node, run),
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
