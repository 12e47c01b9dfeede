"""Model values to plain JSON data and back, for the store and for container labels."""

import types
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from functools import cache
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")
Decode = Callable[[Any], Any]

_PLAIN = frozenset({str, int, float, bool, type(None)})


def to_data(value: Any) -> Any:
    """The value as dicts, lists, strings and numbers. Every field is named: nothing depends on a default."""
    kind = value.__class__
    if kind in _PLAIN:
        return value
    if names := _field_names(kind):
        items = ((name, getattr(value, name)) for name in names)
        return {name: item if item.__class__ in _PLAIN else to_data(item) for name, item in items}
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
    hint: Any = kind  # mypy takes no type for hashable
    value: T = _decoder(hint)(data)
    return value


@cache
def _field_names(kind: type) -> tuple[str, ...]:
    return tuple(field.name for field in fields(kind)) if is_dataclass(kind) else ()


@cache
def _decoder(hint: Any) -> Decode:
    """What reads data of that type. Made once: reading the type itself takes ten times as long."""
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        return _optional(_decoder(_without_none(hint)))
    if origin is tuple:
        return _tuple(get_args(hint))
    if origin is not None and issubclass(origin, Mapping):
        return _mapping(_decoder(get_args(hint)[1]))
    if is_dataclass(hint):
        return _dataclass(hint)
    if issubclass(hint, Enum | float):
        convert: Decode = hint
        return convert
    return _plain(hint)


def _optional(decode: Decode) -> Decode:
    return lambda data: None if data is None else decode(data)


def _mapping(decode: Decode) -> Decode:
    return lambda data: {key: decode(item) for key, item in _plain(dict)(data).items()}


def _tuple(items: tuple[Any, ...]) -> Decode:
    if len(items) == 2 and items[1] is Ellipsis:
        decode = _decoder(items[0])
        return lambda data: tuple(decode(item) for item in _plain(list)(data))
    decoders = tuple(_decoder(item) for item in items)
    return lambda data: tuple(decode(item) for decode, item in zip(decoders, _plain(list)(data), strict=True))


def _dataclass(kind: Any) -> Decode:
    decoders = {name: _decoder(hint) for name, hint in get_type_hints(kind).items()}

    def decode(data: Any) -> Any:
        known = {name: item for name, item in _plain(dict)(data).items() if name in decoders}
        return kind(**{name: decoders[name](item) for name, item in known.items()})

    return decode


@cache
def _plain(kind: Any) -> Decode:
    def decode(data: Any) -> Any:
        if not isinstance(data, kind):
            raise TypeError(f"expected {kind.__name__}, got {data!r}")
        return data

    return decode


def _without_none(hint: Any) -> Any:
    return next(arg for arg in get_args(hint) if arg is not types.NoneType)
