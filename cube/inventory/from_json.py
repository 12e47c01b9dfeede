"""What an executable inventory prints for `--list`: groups as JSON, and `_meta.hostvars`."""

import json
from typing import Any

from cube.document.reader import Mark, check_text
from cube.errors import InputError
from cube.inventory.draft import Draft
from cube.inventory.from_yaml import MAX_BYTES
from cube.inventory.inventory import Inventory
from cube.inventory.value import Data, Variable


def parse_json(text: str, source: str) -> Inventory:
    """The inventory that the text describes. Raises InputError that names the part that is wrong."""
    check_text(text, source, MAX_BYTES)
    groups = _table(_decoded(text, source), "what it printed", source)
    meta = _table(groups.pop("_meta", {}), "_meta", source)
    if "hostvars" not in meta:
        raise InputError(
            "it printed no _meta.hostvars", where=source, cure='Print at least {"_meta": {"hostvars": {}}}.'
        )
    draft = Draft(source)
    for name, body in groups.items():
        _read_group(draft, name, body)
    for host, variables in _table(meta["hostvars"], "_meta.hostvars", source).items():
        if host in draft.hosts:
            draft.set_host(host, _variables(variables, f"_meta.hostvars.{host}", source))
    return draft.finish()


def _decoded(text: str, source: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(
            "it did not print JSON", where=source, why=str(error), cure="Run it by hand with --list."
        ) from None


def _read_group(draft: Draft, name: str, body: Any) -> None:
    whole = Mark(draft.source)
    draft.add_group(name, whole)
    table = {"hosts": body} if isinstance(body, list) else _table(body, f"the group '{name}'", draft.source)
    for key in table:
        if key not in ("hosts", "children", "vars"):
            raise InputError(f"unknown key '{key}' in the group '{name}'", where=draft.source)
    for host in _names(table.get("hosts", []), f"{name}.hosts", draft.source):
        draft.add_host(host, name, whole)
    for key, variable in _variables(table.get("vars", {}), f"{name}.vars", draft.source).items():
        draft.set_group(name, key, variable)
    for child in _names(table.get("children", []), f"{name}.children", draft.source):
        draft.add_group(child, whole)
        draft.add_child(name, child, whole)


def _variables(value: Any, what: str, source: str) -> dict[str, Variable]:
    return {key: Variable(Data(item), Mark(source)) for key, item in _table(value, what, source).items()}


def _table(value: Any, what: str, source: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InputError(f"{what} must be a table", where=source)
    return value


def _names(value: Any, what: str, source: str) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise InputError(f"{what} must be a list of names", where=source)
    return value
