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
from tests.build import job
from tests.stage import run, staged
from tests.test_api import ENDLESS, TABLE, Api, api_over

CASES = 8
"""Of each route."""

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
    with staged() as stage, api_over(stage) as found:
        stage.manager.deploy(job("web", 2), run())
        yield found


@pytest.fixture(scope="module")
def schema(api: Api) -> Any:
    return from_dict(make_app(api.desk).openapi())


@pytest.fixture(scope="module")
def known(api: Api) -> dict[str, str]:
    """A name that there is for each part of a path that is one."""
    (task, *_) = api.stage.store.current_tasks()
    return {"id": task.id, "name": "web", "job": "web", "node": "node1", "question": "tasks"}


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
