"""A plan in a file, bound to what it saw: it is carried out as it was shown, or not at all. Pure."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cube.errors import InputError
from cube.model.codec import from_data, to_data
from cube.model.job import Job

FORMAT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A job file as a manager somewhere else is sent it: its text, its name, and what its templates know.

    `templates` are the texts of the files that it names, by their names below the project's `templates`.
    """

    source: str
    file: str
    variables: Mapping[str, str]
    environment: Mapping[str, str]
    templates: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class BoundPlan:
    """The deploy of a job, as it was planned for one cluster from one store.

    `changes` is the fingerprint of its first wave. `made_at` in seconds since the epoch. `source` is what a
    manager somewhere else was sent to read the job from; None: it was read here.
    """

    cluster: str
    owner: str
    job: Job
    changes: tuple[str, ...]
    made_at: float
    source: Source | None = None
    format: int = FORMAT


def text_of(plan: BoundPlan) -> str:
    """What the file holds: JSON, for people to read and for `bound_plan` to read back."""
    return json.dumps(to_data(plan), indent=2) + "\n"


def bound_plan(text: str, source: str) -> BoundPlan:
    """The plan that `text_of` wrote; `source` is what its place is called by.

    Raises InputError for a text that is no plan, or one of another Cube's format.
    """
    try:
        data: Any = json.loads(text)
        if data["format"] != FORMAT:
            raise _unusable(source, f"its format is {data['format']}, and this Cube knows {FORMAT}")
        return from_data(BoundPlan, data)
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise _unusable(source, f"it is no plan of Cube's: {type(error).__name__}: {error}") from None


def check_place(plan: BoundPlan, *, cluster: str, owner: str, source: str) -> None:
    """Raises InputError for a plan that was made for another cluster, or from another store."""
    if plan.cluster != cluster:
        raise _unusable(source, f"it was made for cluster {plan.cluster}, and this is {cluster}")
    if plan.owner != owner:
        raise _unusable(source, "it was made from another state file")


def _unusable(source: str, why: str) -> InputError:
    return InputError(
        "the plan cannot be used", where=source, why=why, cure="Make another: cube plan FILE --out PLAN"
    )
