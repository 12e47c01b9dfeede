"""The API over a real socket: who may do what, what is refused at the gate, and how it fails."""

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from cube.api.app import guarded, make_app
from cube.api.desk import Desk
from cube.api.failures import FAILURES, MINUTE, Failures
from cube.api.feed import Feed
from cube.api.server import Address, listening, refuse_unsafe
from cube.api.standing import Standings
from cube.book.event import read_event
from cube.book.job import job_of
from cube.cli import composing, settle, submitting
from cube.errors import CubeError, InputError
from cube.manager.operations import Operations
from cube.manager.tokens import make_token
from cube.model.token import Role
from cube.remote.link import Link
from cube.remote.manager import remote_office
from tests.stage import BOOK_EVENT, TASK, Stage, free_port, staged

JOB = "job: web\ngroups:\n  main:\n    count: 2\n    image: app:1\n    cpu: 100m\n    memory: 64MiB\n"


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
    ("POST", "/api/v1/nodes/{name}/cordon"): OPERATE,
    ("POST", "/api/v1/nodes/{name}/uncordon"): OPERATE,
    ("POST", "/api/v1/nodes/{name}/drain"): OPERATE,
    ("GET", "/api/v1/events"): READ,
    ("GET", "/api/v1/events/stream"): READ,
    ("GET", "/api/v1/operations"): READ,
    ("GET", "/api/v1/operations/{id}"): READ,
    ("GET", "/api/v1/operations/{id}/report"): READ,
    ("GET", "/api/v1/operations/{id}/steps"): READ,
    ("GET", "/api/v1/tokens"): ADMIN,
    ("POST", "/api/v1/tokens"): ADMIN,
    ("DELETE", "/api/v1/tokens/{name}"): ADMIN,
    ("GET", "/tasks"): READ,
    ("POST", "/tasks"): OPERATE,
    ("GET", "/tasks/{id}"): READ,
    ("DELETE", "/tasks/{id}"): OPERATE,
    ("GET", "/nodes"): READ,
    ("GET", "/metrics"): READ,
}
ENDLESS = "/api/v1/events/stream"
"""An answer without an end: it is asked for by a test of its own."""

ROLES = ("nobody", "read", "operate", "admin")


def test_every_route_is_in_the_table_of_roles_p18(api: Api) -> None:
    paths = make_app(api.desk).openapi()["paths"]
    assert {(method.upper(), path) for path, methods in paths.items() for method in methods} == set(TABLE)


@pytest.mark.parametrize(("method", "path"), [route for route in TABLE if route[1] != ENDLESS])
def test_a_role_may_do_what_the_table_says_and_no_more_p18(api: Api, method: str, path: str) -> None:
    """A body that is none, and names that nobody has: what is let in fails there, and changes nothing."""
    filled = (
        path.replace("{name}", "nobody")
        .replace("{id}", "nobody")
        .replace("{job}", "x")
        .replace("{node}", "x")
        .replace("{question}", "x")
    )
    for rank, role in enumerate(ROLES):
        answer = api.ask(method, filled, "[" if method == "POST" else None, role=role)
        if rank == ANYBODY:
            assert answer.status in (401, 429), role
        elif rank < TABLE[method, path]:
            assert answer.status == 403, role
        else:
            assert answer.status not in (401, 403), (role, answer)


def test_a_host_that_is_not_ours_is_refused_whatever_it_asks_for_p18(api: Api) -> None:
    for path in ("/tasks", "/api/v1/jobs", "/nowhere"):
        assert api.ask("GET", path, Host="evil.example").status == 421
        assert api.ask("GET", path, Host=f"cube.example:{api.port}").status != 421


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


def test_the_same_key_is_the_same_operation(api: Api) -> None:
    first, again = (api.ask("POST", "/api/v1/jobs", {"source": JOB}, Idempotency_Key="one") for _ in range(2))
    assert first.data["id"] == again.data["id"]
    assert (
        api.ask("POST", "/api/v1/jobs", {"source": JOB}, Idempotency_Key="two").data["id"] != first.data["id"]
    )
    api.done(api.ask("DELETE", "/api/v1/jobs/web"))


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
        assert self.find(api)["FinishTime"].endswith("Z")

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
    refused = api.ask("POST", "/api/v1/jobs", {"source": text.replace("KEY", "templates: {/a.conf: a.j2}")})
    assert (refused.status, "templates do not go through a manager" in str(refused.data)) == (422, True)
    texts = ", ".join(f"/{name}: {{text: {name * 40_000}}}" for name in "ab")
    refused = api.ask("POST", "/api/v1/jobs", {"source": text.replace("KEY", f"templates: {{{texts}}}")})
    assert (refused.status, "of group main are too large" in str(refused.data)) == (422, True)
    assert api.ask("GET", "/api/v1/jobs/vault").status == 404


def test_a_compose_file_goes_through_a_manager_as_the_job_that_it_is(api: Api, tmp_path: Path) -> None:
    file = tmp_path / "compose.yaml"
    file.write_text(
        "name: shop\nservices: {web: {image: 'app:1', mem_limit: 32m, environment: {A: '{{ x }} $$HOME'}}}\n"
    )
    office = remote_office(Link(url=f"http://127.0.0.1:{api.port}", token=api.tokens["operate"]), None)
    job = settle.read_job([file], [], [], office)
    assert job == composing.job_of({file: file.read_text()}, [])
    assert job.groups[0].spec.env == {"A": "{{ x }} $HOME"}
    file.write_text("name: shop\nservices: {web: {image: 'app:1', privileged: true}}\n")
    with pytest.raises(InputError, match=r"compose\.yaml:2:46: privileged"):
        settle.read_job([file], [], [], office)


def test_a_task_of_the_book_goes_through_a_manager_as_the_job_that_it_is(api: Api) -> None:
    office = remote_office(Link(url=f"http://127.0.0.1:{api.port}", token=api.tokens["operate"]), None)
    event, place = read_event(
        json.dumps(BOOK_EVENT | {"Task": BOOK_EVENT["Task"] | {"Name": "{{ x }}"}}), "f"
    )
    job = submitting.read_task(event.Task, place, office)
    assert job == job_of(event.Task, place)
    assert job.groups[0].spec.labels["book.name"] == "{{ x }}"
