"""A file with an event, as the book's clients send it: JSON, and what is wrong with it has its place."""

import json
import re
from typing import Any

from cube.book.job import Place
from cube.book.schema import BookEvent
from cube.document.check import fitted
from cube.document.reader import MAX_BYTES, Mark, at, check_text, read
from cube.errors import InputError

_SURROGATE = re.compile(r"\\u[dD][89a-fA-F][0-9a-fA-F]{2}")
"""Half of a character as JSON may escape it; YAML, which tells the places, has no such word."""

CURE = 'Write a task event: {"ID": "...", "State": 2, "Task": {"ID": "...", "Image": "..."}}.'


def read_event(text: str, source: str) -> tuple[BookEvent, Place]:
    """The event that the text holds, and where the fields of its task stand.

    Raises InputError that lists every problem as `file:line:column: what is wrong`.
    """
    check_text(text, source, MAX_BYTES)
    data = _decoded(text, source)
    document = read(_SURROGATE.sub(r"\\u0020", text), source)
    return fitted(BookEvent, data, document), lambda field: at(document, ("Task", field))


def _decoded(text: str, source: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        where = str(Mark(source, error.lineno, error.colno))
        raise InputError("this is not JSON", where=where, why=error.msg, cure=CURE) from None
    except (ValueError, RecursionError) as error:
        raise InputError("this is not JSON", where=source, why=str(error), cure=CURE) from None
