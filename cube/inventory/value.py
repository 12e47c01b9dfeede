"""Variables as they were written: where, and what they mean to Ansible and to Cube.

Ansible types what it reads (YAML 1.1, or Python literals in INI); Cube reads its own keys as text, so
that a label `1.10` stays `1.10`. Both views are made when they are asked for.
"""

import ast
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cube.document.reader import Document, Listing, Mark, Scalar, Table, plain, typed

MAX_LITERAL = 64 << 10


@dataclass(frozen=True, slots=True)
class Literal:
    """The right side of `key=value` in an INI inventory."""

    text: str


@dataclass(frozen=True, slots=True)
class Data:
    """What a program printed as JSON, or what Cube itself concluded."""

    value: Any


@dataclass(frozen=True, slots=True)
class Variable:
    """One variable of a group or a host, and where it stands."""

    content: Document | Literal | Data
    mark: Mark

    def value(self) -> Any:
        """What Ansible would see. Raises InputError for what only looks like a number or a date."""
        match self.content:
            case Literal(text=text):
                return _literal(text)
            case Data(value=value):
                return value
            case document:
                return typed(document)

    def written(self) -> Any:
        """As `value`, but scalars are text where the file tells how they were written; None: left empty."""
        match self.content:
            case Scalar(is_null=True):
                return None
            case Scalar(tag=str(tag)) if tag == "!vault":
                return typed(self.content)
            case Scalar() | Listing() | Table():
                return plain(self.content)
            case Literal(text=text):
                value = _literal(text)
                return value if isinstance(value, str | list | dict) else text
            case Data(value=value):
                return value


Variables = Mapping[str, Variable]


def _literal(text: str) -> Any:
    """The Python literal that the text is, else the text, as Ansible reads INI."""
    if len(text) > MAX_LITERAL:
        return text
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)
            return _jsonable(ast.literal_eval(text))
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return text


def _jsonable(value: Any) -> Any:
    if isinstance(value, list | tuple | set):
        return [_jsonable(item) for item in value]
    if isinstance(value, dict):
        return {_jsonable(key): _jsonable(item) for key, item in value.items()}
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if value is ...:
        return "..."
    return str(value) if isinstance(value, complex) else value
