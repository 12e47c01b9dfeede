"""What changed between two values, field by field, in the words of a job file."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cube.model.codec import to_data
from cube.model.job import Job


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One field: its path, such as `groups.web.image`, and its value before and after; None: none."""

    path: str
    before: str | None
    after: str | None

    def __str__(self) -> str:
        if self.before is None:
            return f"{self.path}: {self.after} (new)"
        return f"{self.path}: {self.before} -> {'(gone)' if self.after is None else self.after}"


def differences(before: Job, after: Job) -> tuple[Difference, ...]:
    """The fields in which the two jobs differ, by path; their version numbers do not count."""
    old, new = _fields(before), _fields(after)
    paths = [*old, *(path for path in new if path not in old)]
    return tuple(
        Difference(path=path, before=old.get(path), after=new.get(path))
        for path in paths
        if path != "version" and old.get(path) != new.get(path)
    )


def _fields(job: Job) -> Mapping[str, str]:
    found: dict[str, str] = {}
    _gather(to_data(job), "", found)
    return found


def _gather(value: Any, path: str, found: dict[str, str]) -> None:
    """The leaves under the path. What is in a group's spec stands in the group itself, as in a job file."""
    table = _as_table(value)
    if table is None:
        found[path] = value if isinstance(value, str) else json.dumps(value)
        return
    for name, item in table.items():
        own = path if name == "spec" else f"{path}.{name}" if path else name
        _gather(item, own, found)


def _as_table(value: Any) -> Mapping[str, Any] | None:
    """A table, or a list of things with names, by name; None for a single value."""
    if isinstance(value, Mapping):
        return value
    if (
        isinstance(value, list)
        and value
        and all(isinstance(item, Mapping) and "name" in item for item in value)
    ):
        return {item["name"]: {key: part for key, part in item.items() if key != "name"} for item in value}
    return None
