"""Nodes: how they are, and who may have new tasks."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import chain
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response

from cube.api.answers import OperationView
from cube.api.asking import begin
from cube.api.desk import AtDesk, Desk, Who, answer, known_node
from cube.api.problem import responses
from cube.api.schema import Drain, Supposition, Waits
from cube.manager.left_behind import refuse_data_left
from cube.manager.turn import Run
from cube.manager.wanted import left_on, scaled_by_path
from cube.model.measure import Usage
from cube.model.node import Access
from cube.model.observation import Seen
from cube.scheduler.algorithms import name_of
from cube.view.fleet import NodeView, Recorded, node_views
from cube.view.usage import RECENT, usages
from cube.whatif.change import Change
from cube.whatif.play import play

router = APIRouter(tags=["nodes"])

Name = Annotated[str, Path(max_length=255, description="The node's name.")]
READS = responses(404, 422)
CHANGES: dict[str, Any] = {"responses": responses(400, 404, 409, 422, 423)}


@router.get("/cluster", response_model=dict[str, Any], responses=READS)
def read_cluster(desk: AtDesk) -> Response:
    """The cluster, its nodes and its groups, without the inventory's variables and the ways to log in."""
    cluster = desk.manager.cluster
    nodes = tuple(replace(node, access=Access(address=node.access.address)) for node in cluster.nodes)
    shown = replace(cluster, nodes=nodes, variables={})
    return answer({"cluster": shown, "scheduler": name_of(desk.service.scheduler)})


@router.get("/nodes", response_model=list[NodeView], responses=READS)
def list_nodes(desk: AtDesk) -> Response:
    """Every node as it was last seen: what it has, what is promised on it, what is in use."""
    return answer(views(desk))


@router.get("/nodes/{name}", response_model=NodeView, responses=READS)
def read_node(desk: AtDesk, name: Name) -> Response:
    """One node."""
    known_node(desk, name)
    return answer(views(desk, (name,))[0])


@router.get("/nodes/{name}/observation", response_model=dict[str, Any], responses=READS)
def read_observation(desk: AtDesk, name: Name) -> Response:
    """All that the last look at a node showed: its stats, its engine and every container."""
    known_node(desk, name)
    found = desk.service.look()[name]
    return answer({"seen": isinstance(found, Seen), "observation": found})


@router.get("/nodes/{name}/stats", response_model=list[Usage], responses=READS)
def read_stats(
    desk: AtDesk,
    name: Name,
    since: Annotated[
        float | None, Query(ge=0, le=1e11, description="Seconds since the epoch; 6 hours ago without it.")
    ] = None,
) -> Response:
    """How a node was used, from each time that it was measured to the next."""
    known_node(desk, name)
    begin = desk.service.clock.now() - RECENT if since is None else since
    return answer(usages(desk.manager.store.measures(name, begin)))


@router.post("/nodes/{name}/cordon", status_code=204, **CHANGES)
def cordon(desk: AtDesk, who: Who, name: Name) -> Response:
    """Keep new tasks away from a node."""
    known_node(desk, name)
    desk.manager.cordon(name, Run(until=0.0, actor=who.name))
    return Response(status_code=204)


@router.post("/nodes/{name}/uncordon", status_code=204, **CHANGES)
def uncordon(desk: AtDesk, who: Who, name: Name) -> Response:
    """Let a node have new tasks again."""
    if name not in desk.manager.store.cordons():
        known_node(desk, name)
    desk.manager.uncordon(name, Run(until=0.0, actor=who.name))
    desk.service.wake()
    return Response(status_code=204)


@router.post("/nodes/{name}/drain", status_code=202, response_model=OperationView, **CHANGES)
def drain(desk: AtDesk, who: Who, request: Request, name: Name, body: Drain = Drain()) -> Response:
    """Move every task of a node elsewhere."""
    known_node(desk, name)
    deadline, leave_data = body.deadline, body.leave_data
    return begin(
        desk, who, request, body, f"drain {name}",
        lambda manager, run: manager.drain(name, run, deadline=deadline, leave_data=leave_data),
        check=lambda manager: None if leave_data else refuse_data_left(manager.store, name),
    )  # fmt: skip


@router.post("/nodes/{name}/forget", status_code=202, response_model=OperationView, **CHANGES)
def forget(desk: AtDesk, who: Who, request: Request, name: Name, body: Waits = Waits()) -> Response:
    """Take the tasks of a node that has left the inventory for ended."""
    return begin(
        desk, who, request, body, f"forget {name}", lambda manager, run: manager.forget_node(name, run),
        check=lambda manager: left_on(manager.loop, name),
    )  # fmt: skip


@router.post("/simulate", response_model=dict[str, Any], responses=responses(400, 404, 409, 422))
def simulate(desk: AtDesk, body: Supposition = Supposition()) -> Response:
    """What would be if nodes were lost, or groups had other counts. Changes nothing."""
    world = desk.service.world(desk.service.look())
    for name in body.lose:
        known_node(desk, name)
    wanted = scaled_by_path({job.name: job for job in world.jobs}, body.scale, where="scale")
    change = Change(lost=frozenset(body.lose), jobs=wanted)
    return answer(play(world, change, desk.service.scheduler))


def views(desk: Desk, names: Sequence[str] | None = None) -> tuple[NodeView, ...]:
    """Those nodes, by default every one of the inventory, in its order."""
    observed, standing = desk.service.look(names), desk.standings.now()
    tasks = chain.from_iterable(standing.of_node.get(name, ()) for name in observed)
    recorded = Recorded(samples=desk.service.samples, cordons=desk.manager.store.cordons())
    return node_views(desk.manager.cluster, observed, tasks, recorded)
