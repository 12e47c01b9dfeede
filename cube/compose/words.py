"""Amounts as Compose writes them, in the words of a job file. All raise ValueError."""

import re
from fractions import Fraction

from cube.document.check import shown

_DURATION = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(h|ms|us|µs|ns|m|s|d|w)")
_NANOSECONDS = {
    "ns": 1, "us": 10**3, "µs": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9,
    "d": 86400 * 10**9, "w": 7 * 86400 * 10**9,
}  # fmt: skip
_SIZE = re.compile(r"(\d+(?:\.\d+)?) ?([bkmgt])?b?", re.IGNORECASE)
_POWERS = {"b": 0, "k": 10, "m": 20, "g": 30, "t": 40}
_CPUS = re.compile(r"\d{1,6}(?:\.\d{1,9})?|\.\d{1,9}")


def nanoseconds(text: str) -> int:
    """Of `1m30s`, `1.5h`, `250ms` or `0`."""
    parts = _DURATION.findall(text)
    if text == "0":
        return 0
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ValueError(f"{shown(text)} is no duration; write one such as 10s, 1m30s or 250ms")
    return int(sum(Fraction(number) * _NANOSECONDS[unit] for number, unit in parts))


def duration(text: str) -> str:
    """As a job file writes it, to the millisecond."""
    return of_milliseconds(nanoseconds(text) // 10**6)


def of_milliseconds(amount: int) -> str:
    """As a job file writes that many of them."""
    units = (("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1))
    pieces = []
    for unit, size in units:
        count, amount = divmod(amount, size)
        pieces += [f"{count}{unit}"] if count else []
    return "".join(pieces) or "0s"


def size(text: str) -> str:
    """`512m` and its like count in 1024s: 512MiB."""
    found = _SIZE.fullmatch(text)
    if found is None:
        raise ValueError(f"{shown(text)} is no size; write one such as 512m or 1gb")
    amount = int(Fraction(found[1]) * 2 ** _POWERS[(found[2] or "b").lower()])
    for unit, power in (("GiB", 30), ("MiB", 20), ("KiB", 10)):
        if amount and amount % 2**power == 0:
            return f"{amount >> power}{unit}"
    return str(amount)


def cpus(text: str) -> str:
    """Cores, as millicores where they are not whole."""
    if not _CPUS.fullmatch(text):
        raise ValueError(f"{shown(text)} is no number of CPUs; write one such as 0.5 or 2")
    amount = Fraction(text) * 1000
    return str(amount // 1000) if amount % 1000 == 0 else f"{max(int(amount), 1)}m"


def name(text: str) -> str:
    """A name that Cube takes, as near as can be."""
    return re.sub(r"[^a-z0-9-]+", "-", text.lower()).strip("-").lstrip("-0123456789") or text


def signal(text: str) -> str:
    """With its `SIG`."""
    return text.upper() if text.upper().startswith("SIG") or text.isdigit() else f"SIG{text.upper()}"
