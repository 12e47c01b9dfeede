"""The figures of the service, for Prometheus."""

from fastapi import APIRouter, Response

from cube.api import nodes
from cube.api.desk import AtDesk
from cube.api.problem import responses
from cube.view.metrics import MEDIA_TYPE, metrics

router = APIRouter(tags=["metrics"])


@router.get(
    "/metrics",
    response_class=Response,
    responses={200: {"content": {MEDIA_TYPE: {"schema": {"type": "string"}}}}, **responses()},
)
def read_metrics(desk: AtDesk) -> Response:
    """Nodes, jobs, tasks, and what the loop has done, in Prometheus' text format."""
    standing = desk.standings.now()
    text = metrics(nodes.views(desk), standing.jobs, standing.tasks, desk.service.turning)
    return Response(text, media_type=MEDIA_TYPE)
