"""Every key of the Compose specification's schema is put into the job, told or refused: none is dropped."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from check_jsonschema.builtin_schemas import get_builtin_schema

from cube.errors import InputError
from tests.test_compose import CASES, converted, job_file

Path = tuple[str, ...]
Tree = dict[str, Any]

SCHEMA: Tree = get_builtin_schema("vendor.compose-spec")
SAMPLES: dict[Path, list[Any]] = {
    tuple(path.split(".")): values
    for path, values in yaml.load((CASES / "every-key.yaml").read_text(), Loader=yaml.BaseLoader).items()
}
WHOLE = [
    path for path in SAMPLES if not any(other[: len(path)] == path for other in SAMPLES if other != path)
]
"""What is within these is put, told or refused with them."""

FRAME = """
name: every
services:
  a:
    image: x
    mem_limit: 64m
    restart: always
    volumes: [v:/v]
    configs: [c]
    secrets: [s]
    networks: [n]
  b: {image: y, mem_limit: 64m, restart: always}
volumes: {v: {}}
configs: {c: {content: text}}
secrets: {s: {}}
networks: {n: {}}
"""
NAMES = {
    "services": "a", "volumes": "v", "configs": "c", "secrets": "s", "networks": "n", "depends_on": "b",
    "ulimits": "nofile",
}  # fmt: skip
"""Those that stand for any name."""

BESIDE: dict[str, Tree] = {
    "configs.*.environment": {},
    "configs.*.file": {},
    "services.*.configs.[]": {"source": "c"},
    "services.*.depends_on.*": {"condition": "service_started"},
    "services.*.deploy.resources.reservations.devices.[]": {"capabilities": ["gpu"], "count": "1"},
    "services.*.env_file.[]": {"path": "gone.env"},
    "services.*.gpus.[]": {"count": "1"},
    "services.*.healthcheck": {"test": ["CMD", "a"]},
    "services.*.ports.[]": {"target": "80"},
    "services.*.secrets.[]": {"source": "s"},
    "services.*.ulimits.*": {"soft": "1", "hard": "2"},
    "services.*.volumes.[]": {"type": "volume", "source": "v", "target": "/x"},
    "services.*.volumes.[].bind.": {"type": "bind", "source": "/srv", "target": "/x"},
    "services.*.volumes.[].tmpfs.": {"type": "tmpfs", "target": "/x"},
}
"""What stands beside a key at that path, so that it can be one; with a dot at the end, beside its table."""


def inner(node: Tree) -> Iterator[tuple[Path, Tree]]:
    """What is within it, by the step that leads there; none to another way of writing the same."""
    for kind in ("oneOf", "anyOf", "allOf"):
        yield from (((), each) for each in node.get(kind, ()))
    if "$ref" in node:
        yield (), SCHEMA["$defs"][node["$ref"].split("/")[-1]]
    yield from (((key,), value) for key, value in node.get("properties", {}).items())
    patterns = node.get("patternProperties", {}).items()
    yield from ((("*",), value) for pattern, value in patterns if pattern != "^x-")
    for kind, step in (("additionalProperties", "*"), ("items", "[]")):
        if isinstance(node.get(kind), dict):
            yield (step,), node[kind]


def walked(node: Tree, path: Path = ()) -> Iterator[tuple[Path, bool]]:
    """The path of every key in the schema, and of every table whose keys are known."""
    if "properties" in node:
        yield path, True
    for steps, child in inner(node):
        if steps and steps[0] not in ("*", "[]"):
            yield (*path, *steps), False
        yield from walked(child, (*path, *steps))


KEYS = sorted({path for path, is_table in walked(SCHEMA) if not is_table})
TABLES = sorted({path for path, is_table in walked(SCHEMA) if is_table and path and path[0] != "jobs"})


def is_within_a_whole(path: Path) -> bool:
    return any(path[: len(whole)] == whole for whole in WHOLE)


def laid(path: Path, value: Any) -> str:
    """A Compose file that has this value there; without the key, if it is None."""
    document = yaml.load(FRAME, Loader=yaml.BaseLoader)
    names = [NAMES.get(path[index - 1], "any") if step == "*" else step for index, step in enumerate(path)]
    table = document
    for index, name in enumerate(names[:-1]):
        here = ".".join(path[: index + 1])
        if name == "[]":
            table = table[0]
        elif path[index + 1] == "[]":
            table[name] = [dict(item_of(path, index))]
            table = table[name]
        else:
            own = BESIDE.get(f"{here}.{path[index + 1]}") if index + 2 == len(path) else None
            if own is not None or not isinstance(table.get(name), dict):
                table[name] = dict(own or BESIDE.get(here, {}))
            table = table[name]
    if value is None:
        table.pop(names[-1], None)
    else:
        table[names[-1]] = value
    return str(yaml.safe_dump(document, sort_keys=False))


def item_of(path: Path, index: int) -> Tree:
    """What stands in the one item of the list that is there."""
    return BESIDE.get(f"{'.'.join(path[: index + 3])}.") or BESIDE.get(".".join(path[: index + 2]), {})


def outcome(text: str) -> str:
    """What a person gets to see, wherever it stands."""
    try:
        found = job_file(converted(text))
    except InputError as error:
        found = str(error)
    return re.sub(r"compose\.yaml:\d+:\d+", "", found)


def test_every_key_of_the_specification_has_samples() -> None:
    known = {path[:end] for path in SAMPLES for end in range(1, len(path) + 1)}
    missing = [".".join(path) for path in KEYS if path not in known and not is_within_a_whole(path)]
    assert missing == []
    strange = [".".join(path) for path in SAMPLES if path not in KEYS and path[-1] != "*"]
    assert strange == []


@pytest.mark.parametrize(
    ("path", "value"),
    [(path, value) for path, values in SAMPLES.items() for value in values],
    ids=lambda each: ".".join(each) if isinstance(each, tuple) else str(each),
)
def test_p17_no_key_is_dropped(path: Path, value: Any) -> None:
    assert outcome(laid(path, value)) != outcome(laid(path, None))


@pytest.mark.parametrize("path", [path for path in TABLES if not is_within_a_whole(path)], ids=".".join)
def test_p17_a_slip_in_a_key_is_refused_with_its_place(path: Path) -> None:
    text = laid((*path, "bogus"), "1")
    line = next(number for number, each in enumerate(text.splitlines(), 1) if "bogus" in each)
    with pytest.raises(InputError, match=rf"compose\.yaml:{line}:\d+: .*'bogus'"):
        converted(text)


@pytest.mark.parametrize("path", ["networks.*.ipam", "networks.*.ipam.config.[]", "services.*.ulimits.*"])
def test_p17_a_slip_in_what_is_told_as_a_whole_is_refused_too(path: str) -> None:
    with pytest.raises(InputError, match="Compose has no key 'bogus' here"):
        converted(laid((*path.split("."), "bogus"), "1"))
