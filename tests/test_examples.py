"""The API's description has an example of everything that is sent and answered, and each is what it says."""

from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import pytest

from cube.api.app import make_app
from tests.stage import staged
from tests.test_api import TABLE, api_over


@pytest.fixture(scope="module")
def document() -> Iterator[dict[str, Any]]:
    with staged() as stage, api_over(stage) as api:
        yield make_app(api.desk).openapi()


def contents(operation: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """What is sent, and every good answer, by its media type."""
    for media, content in operation.get("requestBody", {}).get("content", {}).items():
        yield f"sent as {media}", content
    for status, answer in operation["responses"].items():
        if status.startswith("2"):
            for media, content in answer.get("content", {}).items():
                yield f"{status} as {media}", content


@pytest.mark.parametrize(("method", "path"), TABLE)
def test_every_body_and_every_good_answer_has_an_example_that_is_one(
    document: dict[str, Any], method: str, path: str
) -> None:
    for what, content in contents(document["paths"][path][method.lower()]):
        assert "example" in content, what
        schema = {**content.get("schema", {}), "components": document["components"]}
        faults = [str(error) for error in jsonschema_rs.iter_errors(schema, content["example"])]
        assert faults == [], what
