"""Where one secret comes from."""

from dataclasses import dataclass
from enum import StrEnum


class SourceKind(StrEnum):
    """Where a secret is kept: in a variable, in a file, or by a program that prints it."""

    ENV = "env"
    FILE = "file"
    COMMAND = "command"


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """`value` is the name of the variable, the path, or the program with its arguments."""

    kind: SourceKind
    value: tuple[str, ...]
