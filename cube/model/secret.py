"""A secret's value, on its way."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Secret:
    """Bytes that no message, log or traceback is to show: it tells its name only."""

    name: str
    _value: bytes = field(repr=False)

    def reveal(self) -> bytes:
        """The value itself."""
        return self._value

    def __str__(self) -> str:
        return f"secret {self.name}"
