"""A document against a pydantic schema: the checked value, or every problem with its place and its cure."""

import difflib
import types
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Any, NamedTuple, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from cube.document.reader import Document, Listing, Mark, Scalar, Table, at, plain
from cube.errors import InputError

MAX_LISTED = 200
"""How many problems are told, with their place and cure: a hostile file has a hundred thousand."""

Path = tuple[str | int, ...]
Checked = TypeVar("Checked", bound=BaseModel)


class Problem(NamedTuple):
    """What is wrong with the value at `path`; with `key`, with its key."""

    path: Path
    what: str
    key: bool = False


def check(schema: type[Checked], document: Document, *, strange: Mapping[str, str] | None = None) -> Checked:
    """The document as a value of the schema, whose validators are given text, lists and tables.

    `strange` says what to tell people who write a key that they know from elsewhere.
    Raises InputError that lists every problem as `file:line:column: what is wrong`.
    """
    if empty := list(_empty(document, ())):
        raise refusal(document, empty)
    return fitted(schema, plain(document), document, strange=strange)


def fitted(
    schema: type[Checked], data: Any, document: Document, *, strange: Mapping[str, str] | None = None
) -> Checked:
    """The data as a value of the schema; `document` tells where its parts stand. Raises as `check`."""
    try:
        return schema.model_validate(data)
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False)
    problems = [_problem(schema, detail, strange or {}) for detail in details[:MAX_LISTED]]
    raise refusal(document, problems, more=len(details) - len(problems))


def refusal(document: Document, problems: Sequence[Problem], *, more: int = 0) -> InputError:
    """All problems as one error, in the order in which they stand in the file; `more` are only counted."""
    weighed = {(at(document, path, key=key), what) for path, what, key in problems[:MAX_LISTED]}
    found = sorted(weighed, key=lambda pair: _order(*pair))
    more += max(len(problems) - MAX_LISTED, 0) + max(len(found) - MAX_LISTED, 0)
    if len(found) == 1:
        return InputError(found[0][1], where=str(found[0][0]))
    lines = [f"{mark}: {what}" for mark, what in found[:MAX_LISTED]]
    return InputError("\n".join([*lines, f"and {more} more"] if more else lines))


def shown(text: str) -> str:
    """What somebody wrote, as part of a message: quoted, short, in its own letters, none in disguise."""
    short = text if len(text) <= 60 else text[:57] + "..."
    return repr(short) if _looks_as_it_is(short) else ascii(short)


def _looks_as_it_is(text: str) -> bool:
    """Beside ASCII it has only letters, of Latin or all of another script: none passes for what it is not."""
    strange = [character for character in text if not character.isascii()]
    if not all(unicodedata.category(character)[0] in "LM" for character in strange):
        return False
    is_latin = all(unicodedata.name(character, "").startswith("LATIN ") for character in strange)
    return is_latin or not any(character.isascii() and character.isalpha() for character in text)


def _order(mark: Mark, what: str) -> tuple[int, int, str]:
    return mark.line, mark.column, what


def _empty(document: Document, path: Path) -> Iterator[Problem]:
    match document:
        case Scalar(is_null=True):
            missing = 'a value is missing; write "" for an empty text, or remove the key'
            yield Problem(path, missing if path else "there is nothing in this file")
        case Listing(items=items):
            for index, item in enumerate(items):
                yield from _empty(item, (*path, index))
        case Table(entries=entries):
            for key, value in entries:
                yield from _empty(value, (*path, key.text))


def _problem(schema: type[BaseModel], detail: Any, strange: Mapping[str, str]) -> Problem:
    path: Path = detail["loc"]
    match detail["type"]:
        case "extra_forbidden":
            advice = strange.get(str(path[-1])) or _advice(schema, path)
            return Problem(path, f"unknown key {shown(str(path[-1]))}; {advice}", key=True)
        case "missing":
            return Problem(path[:-1], f"the key '{path[-1]}' is missing")
        case "value_error" if path[-1] == "[key]":
            return Problem(path[:-1], str(detail["ctx"]["error"]), key=True)
        case "value_error":
            return Problem(path, str(detail["ctx"]["error"]))
    return Problem(path, _saying(detail))


def _saying(detail: Any) -> str:
    """What pydantic found, in the words of this program."""
    match detail["type"]:
        case "list_type":
            return "write a list, such as [one, two]"
        case "dict_type" | "model_type":
            return "write a table of keys and values"
        case "too_short":
            return f"at least {detail['ctx']['min_length']} is needed here, and there is none"
        case "too_long":
            return f"at most {detail['ctx']['max_length']} are allowed here"
    return str(detail["msg"])


def _advice(schema: type[BaseModel], path: Path) -> str:
    known = sorted(_keys(schema, path[:-1]))
    close = difflib.get_close_matches(str(path[-1]), known, n=1)
    return f"did you mean '{close[0]}'?" if close else f"known are {', '.join(known)}"


def _keys(schema: Any, path: Path) -> Iterable[str]:
    """The keys that the table at `path` may have."""
    for step in path:
        schema = _inside(schema, step)
    return {field.alias or name for name, field in schema.model_fields.items()}


def _inside(schema: Any, step: str | int) -> Any:
    """The type of what is under `step` in a value of type `schema`."""
    if isinstance(schema, type) and issubclass(schema, BaseModel):
        return _bare(schema.model_fields[str(step)].annotation)
    return _bare(get_args(schema)[-1])


def _bare(annotation: Any) -> Any:
    """The annotation without Annotated and without None."""
    if get_origin(annotation) is Annotated:
        return _bare(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        return _bare(next(arg for arg in get_args(annotation) if arg is not types.NoneType))
    return annotation
