"""How a key of a job file is declared: its grammar, its default as one would write it, its meaning.

All of it is also the reference of docs/jobs.md (reference.py).
"""

from collections.abc import Callable
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, PlainValidator

from cube.spec import grammar

T = TypeVar("T")


def scalar(parse: Callable[[str], T]) -> PlainValidator:
    """Text to a value by a function that raises ValueError with a sentence for a person."""

    def validate(value: object) -> T:
        if not isinstance(value, str):
            raise ValueError(f"write a single value, not a {'list' if isinstance(value, list) else 'table'}")  # noqa: TRY004 - pydantic wants ValueError
        return parse(value)

    return PlainValidator(validate)


def key(default: str, meaning: str, *, example: str = "") -> Any:
    """A key that may be left out; it then stands for `default`, as if that had been written."""
    return Field(default=default, validate_default=True, description=meaning, examples=[example or default])


def needed(meaning: str, *, example: str) -> Any:
    """A key that must be written."""
    return Field(description=meaning, examples=[example])


def optional(meaning: str, *, example: str) -> Any:
    """A key that may be left out, and stands for nothing then."""
    return Field(default=None, description=meaning, examples=[example])


def nested(factory: Callable[[], Any], meaning: str, *, example: str, limit: int | None = None) -> Any:
    """A table or a list, of at most so many entries; `factory` makes what it is where nobody writes it."""
    return Field(default_factory=factory, description=meaning, examples=[example], max_length=limit)


Name = Annotated[str, scalar(grammar.name)]
Switch = Annotated[bool, scalar(grammar.boolean)]
Argument = Annotated[str, scalar(grammar.bounded(32768))]
Targets = dict[Annotated[str, scalar(grammar.bounded(256))], Annotated[int, scalar(grammar.whole(1, 100))]]
Arguments = Annotated[list[Argument], Field(min_length=1, max_length=1000)]


class Written(BaseModel):
    """A table whose keys are all known."""

    # Most commands read no job: what checks one is built when the first is checked.
    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)
