"""Model values to plain JSON data and back, for the store and for container labels."""

import types
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from functools import cache
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")


def to_data(value: Any) -> Any:
    """The value as dicts, lists, strings and numbers. Every field is named: nothing depends on a default."""
    if is_dataclass(value):
        return {field.name: to_data(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Mapping):
        return {str(key): to_data(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [to_data(item) for item in value]
    return value


def from_data(kind: type[T], data: Any) -> T:
    """The value of that kind that `to_data` wrote; a field that an older Cube did not know takes its default.

    Raises KeyError, TypeError or ValueError where the data is not of that kind.
    """
    value: T = _decode(kind, data)
    return value


@cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)


def _decode(hint: Any, data: Any) -> Any:
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        return None if data is None else _decode(_without_none(hint), data)
    if origin is tuple:
        return _decode_tuple(get_args(hint), data)
    if origin is not None and issubclass(origin, Mapping):
        return {key: _decode(get_args(hint)[1], item) for key, item in data.items()}
    if is_dataclass(hint):
        return _decode_dataclass(hint, data)
    if isinstance(hint, type) and issubclass(hint, Enum | float):
        return hint(data)
    if not isinstance(data, hint):
        raise TypeError(f"expected {hint.__name__}, got {data!r}")
    return data


def _decode_dataclass(kind: Any, data: Any) -> Any:
    known = _hints(kind)
    return kind(**{name: _decode(known[name], item) for name, item in data.items() if name in known})


def _without_none(hint: Any) -> Any:
    return next(arg for arg in get_args(hint) if arg is not types.NoneType)


def _decode_tuple(items: tuple[Any, ...], data: Any) -> tuple[Any, ...]:
    if len(items) == 2 and items[1] is Ellipsis:
        return tuple(_decode(items[0], item) for item in data)
    return tuple(_decode(hint, item) for hint, item in zip(items, data, strict=True))
