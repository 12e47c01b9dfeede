"""The API over a real socket: who may do what, what is refused at the gate, and how it fails."""

import asyncio
import json
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

import pytest
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from starlette.routing import Mount, WebSocketRoute

from cube.api.app import MOST, guarded, make_app
from cube.api.desk import Desk
from cube.api.failures import FAILURES, MINUTE, Failures
from cube.api.feed import STALE, Feed
from cube.api.health import read_health
from cube.api.problem import status_of
from cube.api.server import Address, listening, refuse_unsafe
from cube.api.standing import Standings
from cube.book.event import read_event
from cube.book.job import job_of
from cube.cli import composing, settle, submitting
from cube.errors import ChangedError, CubeError, InputError, LockedError, UnreachableError
from cube.manager.manager import Manager
from cube.manager.operations import Operations
from cube.manager.tokens import make_token
from cube.manager.turn import Run
from cube.model.precondition import Precondition
from cube.model.task import TaskEvent
from cube.model.token import Role
from cube.remote.link import Link
from cube.remote.manager import remote_office
from cube.spec.parse import parse
from tests.stage import BOOK_EVENT, NAMES, TASK, Stage, free_port, run, staged

JOB = "job: web\ngroups:\n  main:\n    count: 2\n    image: app:1\n    cpu: 100m\n    memory: 64MiB\n"


HANDSHAKE = {
    "Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}  # fmt: skip


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    text: str

    @property
    def data(self) -> Any:
        return json.loads(self.text)


class Api(NamedTuple):
    stage: Stage
    desk: Desk
    port: int
    tokens: dict[str, str]

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        given = {name.replace("_", "-"): text for name, text in headers.items()}
        role = given.pop("role", "admin")
        if role in self.tokens:
            given["Authorization"] = f"Bearer {self.tokens[role]}"
        connection = HTTPConnection("127.0.0.1", self.port, timeout=20)
        text = body if isinstance(body, str | None) else json.dumps(body)
        connection.request(method, path, text, {"Content-Type": "application/json", **given})
        response = connection.getresponse()
        found = Answer(response.status, dict(response.getheaders()), response.read().decode())
        connection.close()
        return found

    def status(self, method: str, path: str, body: str | None = None, **headers: str) -> int:
        """Of an answer that may have no end; a WEBSOCKET is one where it is begun (101)."""
        role = headers.pop("role", "admin")
        given = {"Authorization": f"Bearer {self.tokens[role]}"} if role in self.tokens else {}
        if method == "WEBSOCKET":
            method, given = "GET", {**given, **HANDSHAKE}
        with closing(HTTPConnection("127.0.0.1", self.port, timeout=20)) as connection:
            connection.request(method, path, body, {**given, **headers})
            return connection.getresponse().status

    @property
    def link(self) -> Link:
        return Link(url=f"http://127.0.0.1:{self.port}", token=self.tokens["operate"])

    def done(self, answer: Answer) -> Any:
        """The operation once it has ended."""
        assert answer.status == 202, answer
        path = f"/api/v1/operations/{answer.data['id']}"
        return self.ask("GET", f"{path}?wait=20").data


@contextmanager
def api_over(stage: Stage) -> Iterator[Api]:
    store, service = stage.store, stage.service
    tokens = {str(role): make_token(store, role, role, good_for=600, actor="ann") for role in Role}
    desk = Desk(
        service=service,
        manager=stage.manager,
        operations=Operations(service, stage.manager),
        feed=Feed(store),
        standings=Standings(store),
    )
    port = free_port()
    app = guarded(desk, hosts=["127.0.0.1", "cube.example"], tokens=store.tokens)
    with listening(app, Address(host="127.0.0.1", port=port)):
        yield Api(stage, desk, port, tokens)


@pytest.fixture(scope="module")
def api() -> Iterator[Api]:
    with staged() as stage, api_over(stage) as found:
        yield found


ANYBODY, READ, OPERATE, ADMIN = 0, 1, 2, 3
TABLE = {
    ("GET", "/api/v1/jobs"): READ,
    ("POST", "/api/v1/jobs"): OPERATE,
    ("GET", "/api/v1/jobs/{name}"): READ,
    ("DELETE", "/api/v1/jobs/{name}"): OPERATE,
    ("GET", "/api/v1/jobs/{name}/status"): READ,
    ("GET", "/api/v1/jobs/{name}/versions"): READ,
    ("POST", "/api/v1/jobs/{name}/stop"): OPERATE,
    ("POST", "/api/v1/jobs/{name}/scale"): OPERATE,
    ("POST", "/api/v1/jobs/{name}/rollback"): OPERATE,
    ("POST", "/api/v1/jobs/{name}/promote"): OPERATE,
    ("POST", "/api/v1/jobs/{name}/pause"): OPERATE,
    ("POST", "/api/v1/jobs/{name}/resume"): OPERATE,
    ("POST", "/api/v1/jobs/{name}/maintenance"): OPERATE,
    ("POST", "/api/v1/jobs/{name}/end-maintenance"): OPERATE,
    ("POST", "/api/v1/jobs/{name}/dispatch"): OPERATE,
    ("GET", "/api/v1/deployments"): READ,
    ("GET", "/api/v1/deployments/{name}"): READ,
    ("POST", "/api/v1/jobs/{name}/remove"): OPERATE,
    ("POST", "/api/v1/nodes/{name}/forget"): OPERATE,
    ("GET", "/api/v1/record/{question}"): READ,
    ("POST", "/api/v1/parse"): READ,
    ("POST", "/api/v1/move"): OPERATE,
    ("POST", "/api/v1/rebalance"): OPERATE,
    ("POST", "/api/v1/plan"): READ,
    ("POST", "/api/v1/simulate"): READ,
    ("POST", "/api/v1/reconcile"): OPERATE,
    ("GET", "/api/v1/tasks"): READ,
    ("GET", "/api/v1/tasks/{id}"): READ,
    ("GET", "/api/v1/tasks/{id}/events"): READ,
    ("GET", "/api/v1/tasks/{id}/why"): READ,
    ("GET", "/api/v1/tasks/{id}/postmortems"): READ,
    ("GET", "/api/v1/tasks/{id}/logs"): READ,
    ("GET", "/api/v1/tasks/{id}/exec"): OPERATE,
    ("GET", "/api/v1/why-not/{job}/{node}"): READ,
    ("GET", "/api/v1/cluster"): READ,
    ("GET", "/api/v1/nodes"): READ,
    ("GET", "/api/v1/nodes/{name}"): READ,
    ("GET", "/api/v1/nodes/{name}/observation"): READ,
    ("GET", "/api/v1/nodes/{name}/stats"): READ,
    ("GET", "/api/v1/nodes/{node}/volumes"): READ,
    ("GET", "/api/v1/nodes/{node}/volumes/{volume}/content"): OPERATE,
    ("PUT", "/api/v1/nodes/{node}/volumes/{volume}/content"): OPERATE,
    ("DELETE", "/api/v1/nodes/{node}/volumes/{volume}"): OPERATE,
    ("DELETE", "/api/v1/nodes/{node}/images"): OPERATE,
    ("GET", "/api/v1/images/push"): OPERATE,
    ("GET", "/api/v1/images/lend"): OPERATE,
    ("POST", "/api/v1/nodes/{name}/cordon"): OPERATE,
    ("POST", "/api/v1/nodes/{name}/uncordon"): OPERATE,
    ("POST", "/api/v1/nodes/{name}/drain"): OPERATE,
    ("GET", "/api/v1/events"): READ,
    ("GET", "/api/v1/events/stream"): READ,
    ("GET", "/api/v1/operations"): READ,
    ("GET", "/api/v1/operations/{id}"): READ,
    ("GET", "/api/v1/operations/{id}/report"): READ,
    ("GET", "/api/v1/operations/{id}/steps"): READ,
    ("GET", "/api/v1/operations/{id}/trace"): READ,
    ("GET", "/api/v1/tokens"): ADMIN,
    ("POST", "/api/v1/tokens"): ADMIN,
    ("DELETE", "/api/v1/tokens/{name}"): ADMIN,
    ("GET", "/tasks"): READ,
    ("POST", "/tasks"): OPERATE,
    ("GET", "/tasks/{id}"): READ,
    ("DELETE", "/tasks/{id}"): OPERATE,
    ("GET", "/nodes"): READ,
    ("GET", "/metrics"): READ,
    ("GET", "/healthz"): ANYBODY,
}
"""What the description tells of."""

BESIDE = {
    ("GET", "/api/v1/openapi.json"): READ,
    ("WEBSOCKET", "/api/v1/tasks/{id}/exec"): OPERATE,
    ("WEBSOCKET", "/api/v1/images/push"): OPERATE,
    ("WEBSOCKET", "/api/v1/images/lend"): OPERATE,
    ("GET", "/"): READ,
    ("GET", "/node/{name}"): READ,
    ("GET", "/job/{name}"): READ,
    ("GET", "/task/{name}"): READ,
    ("GET", "/live/{kind}"): READ,
    ("POST", "/node/{name}/{action}"): OPERATE,
    ("POST", "/job/{name}/{action}"): OPERATE,
    ("GET", "/login"): ANYBODY,
    ("POST", "/login"): ANYBODY,
    ("POST", "/logout"): ANYBODY,
    ("GET", "/assets/{file}"): ANYBODY,
}
"""What it does not tell of: itself, websockets, and the page."""

EVERY = TABLE | BESIDE
ENDLESS = "/api/v1/events/stream"
"""An answer without an end: it is asked for by a test of its own."""

ROLES = ("nobody", "read", "operate", "admin")


def routes_of(app: FastAPI) -> Iterator[tuple[str, str]]:
    """Whatever answers, described or not; where another application does, whatever is below its path."""
    for found in iter_route_contexts(app.routes):
        match found.original_route:
            case Mount(path=path):
                yield "GET", f"{path}/{{file}}"
            case WebSocketRoute():
                yield "WEBSOCKET", str(found.path)
            case _:
                yield from ((method, str(found.path)) for method in found.methods or () if method != "HEAD")


def test_every_route_is_in_the_table_of_roles_p18(api: Api) -> None:
    app = make_app(api.desk)
    assert sorted(routes_of(app)) == sorted(EVERY)
    paths = app.openapi()["paths"]
    described = {(method.upper(), path) for path, methods in paths.items() for method in methods}
    assert described == set(TABLE) | {("HEAD", path) for method, path in TABLE if method == "GET"}


def test_the_description_says_what_needs_a_token_and_how_every_route_may_fail(api: Api) -> None:
    document = make_app(api.desk).openapi()
    assert document["security"] == [{"token": []}]
    assert document["components"]["securitySchemes"]["token"]["scheme"] == "bearer"
    for (method, path), rank in TABLE.items():
        described = document["paths"][path][method.lower()]
        assert (described.get("security") == []) is (rank == ANYBODY), path
        everywhere = {"403", "413", "421", "500", "503"} | ({"401", "429"} if rank != ANYBODY else set())
        assert everywhere <= set(described["responses"]), path


@pytest.mark.parametrize("path", sorted({path for _, path in TABLE}))
def test_a_path_is_asked_as_it_is_described_and_not_otherwise(api: Api, path: str) -> None:
    """HEAD as GET, without its body; by other methods 405, which names those; with a slash more 404."""
    described = {method for method, each in TABLE if each == path}
    filled = re.sub(r"{.*?}", "nobody", path)
    other = api.ask("PATCH", filled)
    assert (other.status, set(other.headers["allow"].split(", ")) - {"HEAD"}) == (405, described)
    assert ("HEAD" in other.headers["allow"]) is ("GET" in described)
    assert api.ask("GET", f"{filled}/").status == 404
    if "GET" in described:
        head = api.ask("HEAD", filled)
        assert head.text == ""
        if path != ENDLESS:
            got = api.ask("GET", filled)
            assert (head.status, head.headers["content-type"]) == (got.status, got.headers["content-type"])


def test_what_is_said_to_be_too_large_is_refused_before_anything_is_done(api: Api) -> None:
    """Also where nobody would have read it."""
    told = {"Content-Length": str(2 * MOST)}
    cordoned = api.ask("POST", "/api/v1/nodes/node1/cordon", " ", **told)
    assert (cordoned.status, cordoned.headers["content-type"]) == (413, "application/problem+json")
    assert api.ask("GET", "/tasks", **told).data == {"HTTPStatusCode": 413, "Message": "content too large"}
    assert not api.stage.store.cordons()


@pytest.mark.parametrize(("method", "path"), EVERY)
def test_a_role_may_do_what_the_table_says_and_no_more_p18(api: Api, method: str, path: str) -> None:
    """A body that is none, and names that nobody has: what is let in fails there, and changes nothing."""
    filled = re.sub(r"{.*?}", "nobody", path)
    for rank, role in enumerate(ROLES):
        status = api.status(method, filled, "[" if method == "POST" else None, role=role)
        if rank >= EVERY[method, path]:
            assert status not in (401, 403, 429), role
        elif rank == ANYBODY:
            assert status == 401, role
        else:
            assert status == 403, role


@pytest.mark.parametrize(("method", "path"), EVERY)
def test_a_host_that_is_not_ours_is_refused_whatever_it_asks_for_p18(
    api: Api, method: str, path: str
) -> None:
    filled = re.sub(r"{.*?}", "nobody", path)
    assert api.status(method, filled, Host="evil.example") == 421
    assert api.status(method, filled, Host=f"cube.example:{api.port}") != 421


def test_a_manager_is_called_by_the_address_on_which_it_listens_and_by_this_machine_s_own_p18() -> None:
    for host, name in (("192.0.2.7", "192.0.2.7"), ("2001:db8::7", "[2001:db8::7]")):
        address = Address(host=host, port=7070)
        assert set(address.hosts) == {name, "localhost", "127.0.0.1", "[::1]"}
        assert address.url == f"http://{name}:7070"


@pytest.mark.parametrize(("path", "role", "most"), [
    ("/login", "nobody", 8192), ("/job/web/stop", "operate", 8192),
    ("/api/v1/plan", "read", MOST), ("/tasks", "operate", MOST),
])  # fmt: skip
@pytest.mark.parametrize("told", [{}, {"content-length": str(2 * MOST)}])
def test_a_body_without_end_is_refused_before_it_is_kept_p18(
    api: Api, path: str, role: str, most: int, told: dict[str, str]
) -> None:
    """Told by its length, or as it comes: so much is read, and no more."""
    piece, sent = b" " * 4096, []

    async def receive() -> Any:
        sent.append(len(piece))
        assert sum(sent) <= most + len(piece)
        return {"type": "http.request", "body": piece, "more_body": True}

    answers: list[Any] = []

    async def send(message: Any) -> None:
        answers.append(message)

    headers = {"host": "127.0.0.1", "authorization": f"Bearer {api.tokens.get(role, '')}", **told}
    scope = {
        "type": "http", "method": "POST", "path": path, "query_string": b"", "scheme": "http",
        "headers": [(name.encode(), text.encode()) for name, text in headers.items()],
    }  # fmt: skip
    app = guarded(api.desk, hosts=["127.0.0.1"], tokens=api.stage.store.tokens)

    async def ask() -> None:
        await app(scope, receive, send)

    asyncio.run(ask())
    assert answers[0]["status"] == 413
    assert b"content too large" in answers[1]["body"].lower()
    assert bool(sent) is not bool(told)


def test_a_page_from_elsewhere_is_refused_and_no_page_may_read_p18(api: Api) -> None:
    assert api.ask("POST", "/tasks", "{}", Origin="http://evil.example").status == 403
    own = api.ask("GET", "/nodes", Origin=f"http://127.0.0.1:{api.port}")
    assert own.status == 200
    assert not [name for name in own.headers if name.lower().startswith("access-control")]


def test_a_wrong_token_is_refused_and_soon_kept_waiting_but_never_a_good_one_p18(api: Api) -> None:
    statuses = [
        api.ask("GET", "/nodes", role="", Authorization="Bearer cube_wrong").status
        for _ in range(FAILURES + 1)
    ]
    assert statuses[-1] == 429
    assert set(statuses) <= {401, 429}
    assert api.ask("GET", "/nodes").status == 200


def test_a_wrong_token_is_recorded_with_its_address_and_no_token_is_not() -> None:
    with staged() as stage, api_over(stage) as api:
        api.ask("GET", "/nodes", role="nobody")
        before = len(stage.store.events())
        for _ in range(FAILURES):
            api.ask("GET", "/nodes", role="", Authorization="Bearer cube_wrong")
        told = [(event.actor, event.reason) for event in stage.store.events()[before:]]
    assert told == [
        ("somebody at 127.0.0.1", "a wrong token"),
        ("somebody at 127.0.0.1", f"{FAILURES} wrong tokens in a minute: it has to wait"),
    ]


def test_failures_are_counted_by_address_and_forgotten_after_a_minute() -> None:
    failures = Failures()
    told = [failures.note("a", float(second)) for second in range(FAILURES)]
    assert [failures.wait_of(address, 9.0) for address in ("a", "b")] == [MINUTE - 9, 0]
    assert [bool(words) for words in told] == [True, *[False] * (FAILURES - 2), True]
    assert failures.wait_of("a", MINUTE) == 0
    assert failures.note("a", MINUTE + 5) == "a wrong token"


def test_a_token_that_has_expired_or_was_revoked_admits_nobody_p18(api: Api) -> None:
    store = api.stage.store
    api.tokens["late"] = make_token(store, "late", "admin", good_for=-1, actor="ann")
    api.tokens["gone"] = make_token(store, "gone", "admin", good_for=60, actor="ann")
    api.stage.until(lambda: api.ask("GET", "/nodes", role="gone").status == 200)
    assert api.ask("GET", "/nodes", role="late").status in (401, 429)
    assert api.ask("DELETE", "/api/v1/tokens/gone").status == 204
    api.stage.until(lambda: api.ask("GET", "/nodes", role="gone").status in (401, 429))
    told = [event for event in store.events() if "gone" in event.reason]
    assert [(event.reason, event.actor) for event in told] == [
        ("token gone made, with the role admin", "ann"),
        ("token gone revoked", "token admin"),
    ]


def test_no_token_is_kept_or_listed_p18(api: Api) -> None:
    made = api.ask("POST", "/api/v1/tokens", {"name": "ci", "role": "read"}).data["token"]
    assert made not in api.ask("GET", "/api/v1/tokens").text
    assert made not in str(api.stage.store.tokens())


@pytest.mark.parametrize(("host", "has_tokens", "is_safe"), [
    ("127.0.0.1", False, True), ("::1", False, True), ("localhost", True, True), ("0.0.0.0", True, False),
    ("10.0.0.1", True, False),
])  # fmt: skip
def test_it_is_never_public_without_tls_p18(host: str, has_tokens: bool, is_safe: bool) -> None:
    address = Address(host=host, port=7070)
    if is_safe:
        refuse_unsafe(address, has_tokens=has_tokens)
    else:
        with pytest.raises(InputError, match="public without TLS"):
            refuse_unsafe(address, has_tokens=has_tokens)
    secured = Address(host="0.0.0.0", port=7070, certificate=Path("c.pem"), key=Path("k.pem"))
    refuse_unsafe(secured, has_tokens=True)
    with pytest.raises(CubeError, match="open to everybody"):
        refuse_unsafe(secured, has_tokens=False)


def test_a_job_is_deployed_scaled_and_removed_by_its_operations(api: Api) -> None:
    deployed = api.done(api.ask("POST", "/api/v1/jobs", {"source": JOB}, role="operate"))
    assert (deployed["exit_code"], deployed["summary"], deployed["actor"]) == (
        0,
        "2 changes",
        "token operate",
    )
    assert api.ask("GET", "/api/v1/jobs/web/status").data["running"] == 2
    tag = api.ask("GET", "/api/v1/jobs/web").headers["etag"]
    scaling = {"counts": {"main": 3}}
    assert api.done(api.ask("POST", "/api/v1/jobs/web/scale", scaling, If_Match=tag))["exit_code"] == 0
    assert api.ask("POST", "/api/v1/jobs/web/scale", scaling, If_Match=tag).status == 412, (
        "it is another version"
    )
    assert api.done(api.ask("POST", "/api/v1/jobs/web/rollback", {}))["exit_code"] == 0
    assert api.ask("GET", "/api/v1/jobs/web/status").data["running"] == 2
    assert [found["job"]["version"] for found in api.ask("GET", "/api/v1/jobs/web/versions").data] == [
        1,
        2,
        3,
    ]
    assert api.done(api.ask("DELETE", "/api/v1/jobs/web"))["exit_code"] == 0
    assert api.ask("GET", "/api/v1/jobs/web").status == 404


def test_whoever_shows_a_token_that_is_not_good_is_told_so_and_not_to_make_their_first(api: Api) -> None:
    for headers, words in (({}, "a token is needed"), ({"Authorization": "Bearer cube_x"}, "is not good")):
        answer = api.ask("GET", "/api/v1/jobs", role="nobody", **headers)
        assert answer.status == 429 or (answer.status, words in answer.data["detail"]) == (401, True)


def test_what_has_a_default_in_full_needs_no_body(api: Api) -> None:
    api.done(api.ask("POST", "/api/v1/jobs", {"source": JOB}))
    for path in ("jobs/web/stop", "reconcile", "rebalance"):
        assert api.done(api.ask("POST", f"/api/v1/{path}"))["exit_code"] == 0
    assert api.ask("POST", "/api/v1/jobs/web/scale").status == 422


@pytest.mark.parametrize("path", ["/api/v1/jobs", "/api/v1/plan", "/tasks"])
def test_what_is_no_json_is_a_bad_request_everywhere(api: Api, path: str) -> None:
    answer = api.ask("POST", path, '{"source": ')
    assert (answer.status, "it is no JSON" in answer.text) == (400, True)


RUNS = "job: runs\ntype: parameterized\nparameters: {required: [day]}\ngroups: {main: {image: 'app:1'}}\n"


@pytest.mark.parametrize(("path", "body", "field"), [
    ("jobs/web/scale", {"counts": {"man": 3}}, "counts.man"),
    ("jobs/web/scale", {"counts": {"main": -1}}, "counts.main"),
    ("jobs/runs/dispatch", {}, "values.day"),
    ("jobs/runs/dispatch", {"values": {"day": "1", "hour": "2"}}, "values.hour"),
    ("jobs/web/dispatch", {}, ""),
    ("jobs/web/rollback", {"version": 7}, "version"),
    ("jobs/web/rollback", {}, "version"),
    ("jobs/web/maintenance", {}, ""),
    ("jobs/runs/pause", {}, ""),
    ("jobs/runs/promote", {}, ""),
    ("jobs/web/resume", {}, ""),
    ("jobs", {"source": JOB + "type: batch\n"}, ""),
    ("move", {"task": "web/main[9]", "node": "node1"}, "task"),
    ("move", {"task": "web", "node": "node1"}, "task"),
    ("move", {"task": "web/main[0]", "node": "node9"}, "node"),
    ("nodes/node1/forget", {}, ""),
    ("nodes/node9/forget", {}, ""),
    ("simulate", {"scale": {"wb": 3}}, "scale.wb"),
    ("simulate", {"scale": {"web/man": 3}}, "scale.web/man"),
])  # fmt: skip
def test_what_cannot_be_is_refused_at_once_and_no_operation_is_made(
    wanting: Api, path: str, body: Any, field: str
) -> None:
    before = wanting.desk.operations.all()
    answer = wanting.ask("POST", f"/api/v1/{path}", body)
    assert (answer.status, answer.data.get("field")) == (422, field), answer
    assert wanting.desk.operations.all() == before


@pytest.fixture(scope="module")
def wanting() -> Iterator[Api]:
    """Two jobs: a service that runs in its first version, and one that is dispatched."""
    with staged() as stage, api_over(stage) as found:
        for source in (JOB, RUNS):
            found.done(found.ask("POST", "/api/v1/jobs", {"source": source}))
        yield found


def test_what_a_key_has_begun_is_not_judged_again(api: Api) -> None:
    """By the second time the job may be stopped: nothing is begun, and nothing refused."""
    api.done(api.ask("POST", "/api/v1/jobs", {"source": RUNS}))
    body = {"values": {"day": "1"}}
    first = api.ask("POST", "/api/v1/jobs/runs/dispatch", body, Idempotency_Key="day-1")
    api.done(first)
    api.done(api.ask("POST", "/api/v1/jobs/runs/stop"))
    again = api.ask("POST", "/api/v1/jobs/runs/dispatch", body, Idempotency_Key="day-1")
    assert (again.status, again.data["id"]) == (202, first.data["id"])
    assert api.ask("POST", "/api/v1/jobs/runs/dispatch", body, Idempotency_Key="day-2").status == 422
    api.done(api.ask("DELETE", "/api/v1/jobs/runs"))


def test_a_supposition_may_name_a_job_of_one_group_alone(wanting: Api) -> None:
    answers = [
        wanting.ask("POST", "/api/v1/simulate", {"scale": {name: 3}}).data for name in ("web", "web/main")
    ]
    assert answers[0] == answers[1]
    assert len(answers[0]["moves"]) == 1


def test_a_balancer_asks_without_a_token_whether_the_state_is_read(api: Api) -> None:
    asked = api.ask("GET", "/healthz", role="nobody", Host="cube.example:7070")
    assert (asked.status, asked.data) == (200, {"status": "ok"})
    with staged() as stage:
        feed = Feed(stage.store)
        silent = replace(api.desk, feed=feed)
        assert asyncio.run(read_health(silent)).status_code == 200
        feed._heard -= STALE
        with pytest.raises(UnreachableError) as refused:
            asyncio.run(read_health(silent))
        assert status_of(refused.value) == 503


def test_a_store_that_does_not_answer_once_is_asked_again() -> None:
    """Whoever listens hears what happened meanwhile."""
    with staged() as stage:

        class Locked(Feed):
            tries = 0

            def _tell(self, found: Sequence[TaskEvent]) -> None:
                self.tries += 1
                if self.tries == 1:
                    raise LockedError("the state is locked")
                super()._tell(found)

        async def hear() -> str:
            feed = Locked(stage.store)
            start = feed.last
            asking = asyncio.create_task(feed.run())
            stage.store.tell_of_node("node1", "it happened", now=0.0, actor="ann")
            async for event in feed.after(start):
                asking.cancel()
                return event.reason
            return ""

        assert asyncio.run(asyncio.wait_for(hear(), 10)) == "it happened"


def test_the_same_key_is_the_same_operation(api: Api) -> None:
    first, again = (api.ask("POST", "/api/v1/jobs", {"source": JOB}, Idempotency_Key="one") for _ in range(2))
    assert first.data["id"] == again.data["id"]
    assert (
        api.ask("POST", "/api/v1/jobs", {"source": JOB}, Idempotency_Key="two").data["id"] != first.data["id"]
    )
    api.done(api.ask("DELETE", "/api/v1/jobs/web"))


def test_a_key_that_comes_with_another_request_is_refused(api: Api) -> None:
    first = api.ask("POST", "/api/v1/jobs", {"source": JOB}, Idempotency_Key="mine")
    other = api.ask("POST", "/api/v1/jobs", {"source": JOB + "# \n"}, Idempotency_Key="mine")
    assert (other.status, "'mine' belongs to another request" in other.text) == (422, True)
    others = api.ask("POST", "/api/v1/jobs", {"source": JOB}, role="operate", Idempotency_Key="mine")
    assert others.data["id"] != first.data["id"], "each token has keys of its own"
    api.done(api.ask("DELETE", "/api/v1/jobs/web"))


@pytest.mark.parametrize("count", [True, "3", 3.0, None])
def test_a_value_of_another_type_is_refused_and_not_turned_into_one_that_fits(api: Api, count: Any) -> None:
    api.done(api.ask("POST", "/api/v1/jobs", {"source": JOB}))
    answer = api.ask("POST", "/api/v1/jobs/web/scale", {"counts": {"main": count}})
    assert (answer.status, answer.data["where"]) == (422, "body.counts.main")
    assert api.ask("POST", "/tasks", {**BOOK_EVENT, "State": str(count)}).status == 400


def test_of_two_who_have_seen_the_same_version_one_changes_it_and_the_other_is_told() -> None:
    with staged() as stage, api_over(stage) as api:
        api.done(api.ask("POST", "/api/v1/jobs", {"source": JOB}))
        statuses: list[int] = []

        def scale(count: int) -> None:
            body = {"counts": {"main": count}}
            statuses.append(api.ask("POST", "/api/v1/jobs/web/scale", body, If_Match='"1"').status)

        both = [threading.Thread(target=scale, args=(count,)) for count in (3, 4)]
        for asking in both:
            asking.start()
        for asking in both:
            asking.join(20)
        assert sorted(statuses) == [202, 412]
        assert [found.job.version for found in stage.store.versions("web")] == [1, 2]


@pytest.mark.parametrize("change", [
    lambda manager, run: manager.stop("web", run),
    lambda manager, run: manager.scale("web", {"main": 3}, run),
    lambda manager, run: manager.rollback("web", 1, run),
    lambda manager, run: manager.pause("web", run),
    lambda manager, run: manager.begin_maintenance("web", 60.0, run),
    lambda manager, run: manager.end_maintenance("web", run),
    lambda manager, run: manager.deploy(parse(JOB, "web.yml", {}), run),
])  # fmt: skip
def test_a_change_is_refused_where_it_would_be_recorded(change: Callable[[Manager, Run], Any]) -> None:
    """Whatever was seen before: somebody else may come in between."""
    served = f"{JOB}    ports: {{http: {{container: 80, public: true}}}}\n    ingress: {{port: http}}\n"
    with staged() as stage:
        for count in (1, 2):
            stage.manager.want(parse(served.replace("count: 2", f"count: {count}"), "web.yml", {}), run())
        before = stage.store.events()
        with pytest.raises(ChangedError, match="job web is in version 2"):
            change(stage.manager, replace(run(), given=Precondition(versions=frozenset({1}))))
        assert not [event for event in stage.store.events()[len(before) :] if event.actor == "ann"]


def test_a_job_that_is_not_there_is_not_what_anybody_has_seen(api: Api) -> None:
    for tag in ('"3"', "*"):
        answer = api.ask("POST", "/api/v1/jobs", {"source": JOB.replace("web", "no")}, If_Match=tag)
        assert (answer.status, answer.data["detail"]) == (412, "there is no job 'no'")
    assert api.ask("GET", "/api/v1/jobs/no").status == 404


def test_what_fails_is_a_problem_document_with_the_words_of_the_command(api: Api) -> None:
    answer = api.ask("POST", "/api/v1/jobs", {"source": "job: web\ngruops: {}\n", "file": "web.yml"})
    assert (answer.status, answer.headers["content-type"]) == (422, "application/problem+json")
    assert answer.data["exit_code"] == 2
    assert "web.yml:2:1" in answer.text


def test_hooks_are_refused_to_who_is_not_an_admin(api: Api) -> None:
    """They are commands on the manager's own machine."""
    hooked = JOB + "hooks: {before: [/bin/true]}\n"
    refused = api.ask("POST", "/api/v1/jobs", {"source": hooked}, role="operate")
    assert refused.status == 422
    assert "hooks" in refused.data["detail"]


def test_an_operation_is_traced_with_what_it_waited_for_and_what_each_node_took() -> None:
    with staged() as stage, api_over(stage) as api:
        begun = api.done(api.ask("POST", "/api/v1/jobs", {"source": JOB}))
        late = api.done(
            api.ask("POST", "/api/v1/jobs", {"source": JOB.replace("app:1", "nowhere:1"), "timeout": 3.0})
        )
        refused = api.done(api.ask("POST", "/api/v1/jobs", {"source": JOB, "expected": ["something else"]}))
        traces = [
            api.ask("GET", f"/api/v1/operations/{each['id']}/trace", role="read").data
            for each in (begun, late, refused)
        ]
    found, bad, other = (trace["resourceSpans"][0]["scopeSpans"][0]["spans"] for trace in traces)
    whole, *parts = found
    assert [span["name"] for span in found] == [
        "deploy web", "wait for the lock", "check and record", "start", "start",
    ]  # fmt: skip
    assert {span["parentSpanId"] for span in parts} == {whole["spanId"]}
    assert {(span["traceId"], span["status"]["code"]) for span in found} == {(UUID(begun["id"]).hex, 1)}
    assert len({span["spanId"] for span in found}) == len(found)
    began, ended = (int(whole[f"{edge}TimeUnixNano"]) for edge in ("start", "end"))
    for span in parts:
        assert began <= int(span["startTimeUnixNano"]) <= int(span["endTimeUnixNano"]) <= ended, span
    told = {each["key"]: each["value"]["stringValue"] for each in found[3]["attributes"]}
    assert told["cube.subject"].startswith("web/main[")
    assert told["cube.node"] in NAMES
    assert any(int(each["value"]["stringValue"]) for plan in whole["events"] for each in plan["attributes"])
    assert {span["name"] for span in bad if span["status"]["code"] == 2} == {"deploy web", "fetch"}
    assert (other[0]["status"]["code"], other[0]["status"]["message"]) == (
        2,
        "the fleet has moved on since the plan was made",
    )


def test_events_are_listed_by_number_and_streamed_as_they_come(api: Api) -> None:
    page = api.ask("GET", "/api/v1/events?after=0&limit=2")
    assert [event["number"] for event in page.data] == [1, 2]
    assert 'events?after=2&limit=2>; rel="next"' in page.headers["link"]
    heard: list[str] = []
    begun = threading.Event()

    def listen() -> None:
        connection = HTTPConnection("127.0.0.1", api.port, timeout=20)
        token = {"Authorization": f"Bearer {api.tokens['read']}"}
        connection.request("GET", "/api/v1/events/stream", headers=token)
        response = connection.getresponse()
        begun.set()
        while not any("cordoned" in line for line in heard):
            heard.append(response.readline().decode())
        connection.close()

    listening_thread = threading.Thread(target=listen)
    listening_thread.start()
    assert begun.wait(20)
    assert api.ask("POST", "/api/v1/nodes/node1/cordon").status == 204
    listening_thread.join(20)
    assert not listening_thread.is_alive()
    assert api.ask("POST", "/api/v1/nodes/node1/uncordon").status == 204


def test_prometheus_finds_what_it_understands(api: Api) -> None:
    answer = api.ask("GET", "/metrics", role="read")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    lines = answer.text.splitlines()
    assert 'cube_node_up{node="node1"} 1' in lines
    assert any(line.startswith("cube_turns_total ") for line in lines)
    named = {line.split()[2] for line in lines if line.startswith("# TYPE ")}
    figures = [line for line in lines if not line.startswith("#")]
    assert {re.split(r"[{ ]", line)[0] for line in figures} <= named
    assert all(float(line.rpartition(" ")[2]) >= 0 for line in figures)


class TestTheBook:
    """As an old client would: raw JSON, and nothing that it does not know."""

    def find(self, api: Api) -> Any:
        return next((task for task in api.ask("GET", "/tasks").data if task["ID"] == TASK), None)

    def test_a_task_is_started_listed_and_stopped(self, api: Api) -> None:
        answer = api.ask("POST", "/tasks", BOOK_EVENT)
        assert answer.status == 201, answer
        assert (answer.data["ID"], answer.data["Name"]) == (TASK, "test-chapter-9.1")
        api.stage.until(lambda: self.find(api)["State"] == 2)
        found = self.find(api)
        assert found["HostPorts"] == {"7777/tcp": [{"HostIp": "0.0.0.0", "HostPort": "7777"}]}
        assert found["ContainerID"]
        assert (found["RestartPolicy"], found["FinishTime"]) == ("always", "0001-01-01T00:00:00Z")
        assert api.ask("DELETE", f"/tasks/{TASK}").status == 204
        api.stage.until(lambda: self.find(api)["State"] == 3)
        ended = self.find(api)
        assert found["StartTime"] < ended["FinishTime"]
        kept = ("ID", "StartTime", "ContainerID", "Image")
        assert {key: ended[key] for key in kept} == {key: found[key] for key in kept}
        assert api.ask("GET", f"/tasks/{TASK}").data == ended

    def test_json_that_does_not_say_what_it_is_is_read(self, api: Api) -> None:
        connection = HTTPConnection("127.0.0.1", api.port, timeout=20)
        token = {"Authorization": f"Bearer {api.tokens['operate']}"}
        connection.request("POST", "/tasks", json.dumps(BOOK_EVENT | {"State": 3}), token)
        assert connection.getresponse().status == 201, "it was stopped before, and is so again"
        connection.close()

    def test_what_it_does_not_know_is_refused(self, api: Api) -> None:
        strange = {**BOOK_EVENT["Task"], "Surprise": 1}
        event = BOOK_EVENT
        bodies: tuple[Any, ...] = ({**event, "Surprise": 1}, {**event, "Task": strange}, {"State": 2}, [])
        for bad in bodies:
            answer = api.ask("POST", "/tasks", bad)
            assert answer.status == 400
            assert answer.data["HTTPStatusCode"] == 400
            assert answer.data["Message"]

    def test_a_task_that_nobody_knows_is_404(self, api: Api) -> None:
        assert api.ask("DELETE", "/tasks/nobody").data == {
            "HTTPStatusCode": 404,
            "Message": "there is no task nobody",
        }

    def test_nodes_have_what_it_reads(self, api: Api) -> None:
        (first, *_) = api.ask("GET", "/nodes").data
        assert first["Name"] == "node1"
        assert set(first) == {
            "Name", "Ip", "Api", "Cores", "Memory", "MemoryAllocated", "Disk", "DiskAllocated", "Role",
            "TaskCount", "Stats",
        }  # fmt: skip


def test_a_job_whose_secrets_or_templates_are_not_there_is_refused_before_anything_is_wanted(
    api: Api,
) -> None:
    text = "job: vault\ngroups: {main: {image: 'app:1', KEY}}"
    refused = api.ask("POST", "/api/v1/jobs", {"source": text.replace("KEY", "secrets: [db]")})
    assert (refused.status, "there is no secret 'db'" in str(refused.data)) == (422, True)
    for question in ("plan", "parse"):
        asked = {"source": text.replace("KEY", "secrets: [db]")}
        refused = api.ask("POST", f"/api/v1/{question}", asked, role="read")
        assert "this job has secrets" in refused.text, "who reads runs no command of the vault's"
        assert "there is no secret" in api.ask("POST", f"/api/v1/{question}", asked, role="operate").text
    refused = api.ask("POST", "/api/v1/jobs", {"source": text.replace("KEY", "templates: {/a.conf: a.j2}")})
    assert (refused.status, "the template a.j2 was not sent" in str(refused.data)) == (422, True)
    texts = ", ".join(f"/{name}: {{text: {name * 40_000}}}" for name in "ab")
    refused = api.ask("POST", "/api/v1/jobs", {"source": text.replace("KEY", f"templates: {{{texts}}}")})
    assert (refused.status, "of group main are too large" in str(refused.data)) == (422, True)
    assert api.ask("GET", "/api/v1/jobs/vault").status == 404


def test_a_compose_file_goes_through_a_manager_as_the_job_that_it_is(api: Api, tmp_path: Path) -> None:
    file = tmp_path / "compose.yaml"
    file.write_text(
        "name: shop\nservices: {web: {image: 'app:1', mem_limit: 32m, environment: {A: '{{ x }} $$HOME'}}}\n"
    )
    office = remote_office(api.link, None, "/nowhere")
    job = settle.read_job([file], [], [], office)
    assert job == composing.job_of({file: file.read_text()}, [])
    assert job.groups[0].spec.env == {"A": "{{ x }} $HOME"}
    file.write_text("name: shop\nservices: {web: {image: 'app:1', privileged: true}}\n")
    with pytest.raises(InputError, match=r"compose\.yaml:2:46: privileged"):
        settle.read_job([file], [], [], office)


def test_a_task_of_the_book_goes_through_a_manager_as_the_job_that_it_is(api: Api) -> None:
    office = remote_office(api.link, None, "/nowhere")
    event, place = read_event(
        json.dumps(BOOK_EVENT | {"Task": BOOK_EVENT["Task"] | {"Name": "{{ x }}"}}), "f"
    )
    job = submitting.read_task(event.Task, place, office)
    assert job == job_of(event.Task, place)
    assert job.groups[0].spec.labels["book.name"] == "{{ x }}"
