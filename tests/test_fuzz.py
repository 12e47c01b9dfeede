"""Schemathesis over the whole API: no 5xx, and no answer that its own description does not promise."""

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.openapi import from_dict
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from cube.api.app import make_app
from cube.vault.source import Source, SourceKind
from cube.vault.vault import MAX_BYTES, Vault
from tests.build import job
from tests.stage import run, staged
from tests.test_api import ENDLESS, TABLE, Api, api_over

CASES = 8
"""Of each route."""

VAULT = Vault(
    sealed=lambda: {"db": "s3cret", "strange": "\udcff", "empty": "", "large": "x" * (MAX_BYTES + 1)},
    sources=lambda: {
        "variable": Source(kind=SourceKind.ENV, value=("TOLD",)),
        "unset": Source(kind=SourceKind.ENV, value=("UNTOLD",)),
        "missing": Source(kind=SourceKind.FILE, value=("nothing/there",)),
        "folder": Source(kind=SourceKind.FILE, value=("/",)),
        "program": Source(kind=SourceKind.COMMAND, value=("printf", "\\377")),
        "failing": Source(kind=SourceKind.COMMAND, value=("false",)),
        "no-program": Source(kind=SourceKind.COMMAND, value=("/nowhere/a-program",)),
    },
    environment={"TOLD": "\udcfe bytes"},
    key=lambda: b"k",
)
"""What of these can be had, and what cannot, in each way."""

SECRETS = ("db", "strange", "empty", "large", *VAULT.sources(), "unknown")
USES = ("{}", "{file: /run/key}", "{env: KEY}", "{env: OTHER, file: /run/other}")
CHECKS = [
    not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance
]  # fmt: skip
CALM = settings(
    max_examples=CASES,
    derandomize=True,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(scope="module")
def api() -> Iterator[Api]:
    with staged(vault=VAULT) as stage, api_over(stage) as found:
        stage.manager.deploy(job("web", 2), run())
        yield found


@pytest.fixture(scope="module")
def schema(api: Api) -> Any:
    return from_dict(make_app(api.desk).openapi())


@pytest.fixture(scope="module")
def known(api: Api) -> dict[str, str]:
    """A name that there is for each part of a path that is one."""
    (task, *_) = api.stage.store.current_tasks()
    return {
        "id": task.id,
        "operation": str(api.ask("POST", "/api/v1/reconcile", {}, role="operate").data["id"]),
        "name": "web",
        "job": "web",
        "node": "node1",
        "question": "tasks",
        "volume": "web-data",
    }


def harm(route: tuple[str, str]) -> tuple[bool, bool]:
    """What takes away comes last, so that there is something to ask for."""
    method, path = route
    return method == "DELETE" or path.endswith("/remove"), method != "GET"


ROUTES = sorted([route for route in TABLE if route[1] != ENDLESS], key=harm)


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_whatever_is_sent_is_answered_as_described(
    api: Api, schema: Any, known: dict[str, str], method: str, path: str
) -> None:
    """Half of it is as the description has it, half is not; of the names in the path half are there."""
    operation = schema[path][method]
    names = {name: text for name, text in known.items() if f"{{{name}}}" in path}
    if "/operations/{id}" in path:
        names["id"] = known["operation"]
    cases: list[st.SearchStrategy[Any]] = [
        operation.as_strategy(mode, path_parameters=fixed)
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
        for fixed in ((names, None) if names else (None,))
    ]
    token = {"Authorization": f"Bearer {api.tokens['admin']}"}

    @CALM
    @given(st.one_of(*cases))
    def sent(case: Any) -> None:
        case.call_and_validate(base_url=f"http://127.0.0.1:{api.port}", headers=token, checks=CHECKS)

    sent()


@pytest.mark.parametrize("path", ["/api/v1/parse", "/api/v1/plan", "/api/v1/jobs"])
def test_a_job_with_secrets_is_answered_as_described_wherever_they_come_from(
    api: Api, schema: Any, path: str
) -> None:
    """Whether they can be had or not; what is deployed ends as a job does, never by a bug."""
    token = {"Authorization": f"Bearer {api.tokens['operate']}"}
    begun: list[str] = []

    @CALM
    @given(st.dictionaries(st.sampled_from(SECRETS), st.sampled_from(USES), min_size=1, max_size=2))
    def sent(uses: dict[str, str]) -> None:
        told = ", ".join(f"{name}: {use}" for name, use in uses.items())
        source = f"job: vault\ngroups: {{main: {{image: 'app:1', secrets: {{{told}}}}}}}\n"
        body = {"source": source} | ({"timeout": 0.5} if path.endswith("/jobs") else {})
        case = schema[path]["POST"].Case(body=body, media_type="application/json")
        base = f"http://127.0.0.1:{api.port}"
        answer = case.call_and_validate(base_url=base, headers=token, checks=CHECKS)
        assert "s3cret" not in answer.text
        begun.extend([answer.json()["id"]] if answer.status_code == 202 else [])

    sent()
    ends = [api.ask("GET", f"/api/v1/operations/{identity}?wait=20").data["error"] for identity in begun]
    assert bool(ends) is (path == "/api/v1/jobs")
    assert not [end for end in ends if end and "bug" in end["detail"]]
