"""What of a job an export leaves out. A field that nobody thought of is told, never dropped."""

import math
from collections.abc import Collection, Iterator
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from typing import Any

import yaml

from cube.model.codec import to_data
from cube.model.job import Job

_NO_MATTER = frozenset({"Job.version", "Job.stopped", "Job.parent", "Job.launched", "TaskSpec.pinned"})


LONGEST = 200
"""Characters of a value that are shown: enough to know it by."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """The text, and for a person what it does not say, one line each."""

    text: str
    lost: tuple[str, ...]


def unsaid(job: Job, said: Collection[str]) -> Iterator[str]:
    """Each field of the job that is not as it is by itself, and not among those `said`: `Group.count`.

    A policy is said as a whole, or field by field; so are the volumes, the ports and their like of a task.
    """
    yield from _within(job, "", said)


def _within(value: Any, where: str, said: Collection[str]) -> Iterator[str]:
    for each in fields(value):
        name, found = f"{type(value).__name__}.{each.name}", getattr(value, each.name)
        if name in _NO_MATTER or name in said or found == _default(each):
            continue
        if name == "Job.groups":
            for group in found:
                yield from _within(group, f"{where}{group.name}.", said)
        elif _is_in_parts(found, said):
            yield from _within(found, where if each.name == "spec" else f"{where}{each.name}.", said)
        elif isinstance(found, tuple) and all(_is_in_parts(item, said) for item in found):
            for item in found:
                yield from _within(item, f"{where}{each.name}.{getattr(item, fields(item)[0].name)}.", said)
        else:
            yield f"{where}{each.name}: {_shown(found)}"


def _is_in_parts(found: Any, said: Collection[str]) -> bool:
    return is_dataclass(found) and any(other.startswith(f"{type(found).__name__}.") for other in said)


def _default(each: "Field[Any]") -> Any:
    if each.default_factory is not MISSING:
        return each.default_factory()
    return each.default


def _shown(found: Any) -> str:
    data = to_data(found)
    text = f"{data:g}" if isinstance(data, float) else _flow(data)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."


def _flow(data: Any) -> str:
    """As a job file would have it, on one line."""
    if isinstance(data, str):
        return data
    written = yaml.safe_dump(_bare(data), default_flow_style=True, sort_keys=False, width=math.inf)
    return str(written).removesuffix("\n").removesuffix("\n...")


def _bare(data: Any) -> Any:
    """Without what nobody wrote: empty, or kept with the job by Cube itself."""
    if isinstance(data, dict):
        return {
            key: _bare(value) for key, value in data.items() if value is not None and key != "fingerprint"
        }
    return [_bare(each) for each in data] if isinstance(data, list | tuple) else data
