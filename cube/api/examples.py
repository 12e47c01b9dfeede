"""Examples in the API's description: what each route is sent and answers, as a manager did."""

import json
from pathlib import Path
from typing import Any

FILE = Path(__file__).parent / "examples.json"
"""By method and path. `python -m tests.api_examples` writes it."""


def with_examples(document: dict[str, Any]) -> dict[str, Any]:
    """The OpenAPI document with an example for each body, and for each answer that has one."""
    examples = json.loads(FILE.read_text(encoding="utf-8"))
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            _illustrate(operation, examples.get(f"{method.upper()} {path}", {}))
    return document


def _illustrate(operation: dict[str, Any], example: dict[str, Any]) -> None:
    good = [answer for status, answer in operation["responses"].items() if status.startswith("2")]
    for name, parts in (("body", [operation.get("requestBody", {})]), ("answer", good)):
        for part in parts:
            for content in part.get("content", {}).values():
                if name in example:
                    content["example"] = example[name]
