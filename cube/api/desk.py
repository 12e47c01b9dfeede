"""The desk: what the routes work with, and the answers that they give."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from fastapi import Depends, Request, Response
from starlette.requests import HTTPConnection

from cube.api.access import Caller
from cube.api.doors import COMMANDS, FOLLOWERS, LENDERS, UPLOADS, Doors
from cube.api.feed import Feed
from cube.api.standing import Standings
from cube.errors import InputError
from cube.manager.manager import Manager
from cube.manager.operations import Operations
from cube.manager.service import Service
from cube.model.codec import to_data
from cube.model.job import Job
from cube.model.node import Node
from cube.model.precondition import Precondition
from cube.model.task import Task

JSON = "application/json"
_TAG = re.compile(r'"[0-9]{1,18}"')
"""What `tag_of` makes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """One service, a manager over it, what it was asked to do, the events as they come, and the record.

    `doors`: through them comes what is too large to be kept.
    """

    service: Service
    manager: Manager
    operations: Operations
    feed: Feed
    standings: Standings
    doors: Doors = field(default_factory=lambda: Doors(UPLOADS, "requests of this kind are being sent"))
    commands: Doors = field(default_factory=lambda: Doors(COMMANDS, "commands run"))
    lenders: Doors = field(default_factory=lambda: Doors(LENDERS, "commands lend images"))
    followers: Doors = field(default_factory=lambda: Doors(FOLLOWERS, "logs are followed"))


class NotFoundError(InputError):
    """What a path names is not there."""


async def _desk(connection: HTTPConnection) -> Desk:
    desk: Desk = connection.app.state.desk
    return desk


async def _caller(connection: HTTPConnection) -> Caller:
    caller: Caller = connection.scope["caller"]
    return caller


AtDesk = Annotated[Desk, Depends(_desk)]
Who = Annotated[Caller, Depends(_caller)]


def answer(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A model value as JSON."""
    body = json.dumps(to_data(value), separators=(",", ":"))
    return Response(body, status_code=status, media_type=JSON, headers=headers)


def known_job(desk: Desk, name: str) -> Job:
    """The newest version of the job. Raises NotFoundError."""
    job = desk.manager.store.job(name)
    if job is None:
        raise _missing(desk, "job", name, (found.name for found in desk.manager.store.jobs()))
    return job


def known_task(desk: Desk, identity: str) -> Task:
    """The task with that id. Raises NotFoundError."""
    found = _of_id(desk.standings.now().tasks, identity) or _of_id(desk.manager.store.tasks(), identity)
    if found is None:
        raise NotFoundError(f"there is no task {identity!r}", where=desk.manager.cluster.name)
    return found


def known_node(desk: Desk, name: str) -> Node:
    """The node of that name. Raises NotFoundError."""
    node = desk.manager.cluster.node(name)
    if node is None:
        raise _missing(desk, "node", name, (found.name for found in desk.manager.cluster.nodes))
    return node


def given_by(if_match: str | None) -> Precondition | None:
    """What the header `If-Match` takes for granted; a tag that is none of ours fits no version."""
    if if_match is None:
        return None
    tags = {tag.strip() for tag in if_match.split(",")}
    if "*" in tags:
        return Precondition()
    return Precondition(versions=frozenset(int(tag[1:-1]) for tag in tags if _TAG.fullmatch(tag)))


def tag_of(job: Job) -> str:
    """The job's version as an entity tag."""
    return f'"{job.version}"'


def base_of(request: Request) -> str:
    """What the API's own addresses begin with."""
    return str(request.base_url).rstrip("/") + "/api/v1"


def _missing(desk: Desk, kind: str, name: str, known: Iterable[str]) -> NotFoundError:
    some = ", ".join(sorted(known)[:10]) or "none"
    where = desk.manager.cluster.name
    return NotFoundError(f"there is no {kind} {name!r}", where=where, cure=f"Known {kind}s: {some}.")


def _of_id(tasks: Iterable[Task], identity: str) -> Task | None:
    return next((task for task in tasks if task.id == identity), None)
