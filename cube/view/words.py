"""Amounts and times in words: short, and the same in a table, at the terminal and on the page."""

from datetime import UTC, datetime


def age(seconds: float) -> str:
    """How long, in the largest unit that says enough: 12s, 5m, 3h, 2d."""
    for length, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds >= length:
            return f"{seconds / length:.0f}{unit}"
    return f"{max(seconds, 0):.0f}s"


def utc(at: float) -> str:
    """A time, to the minute, as every clock shows it: 2026-11-28 14:05 UTC."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M UTC")


def size(amount: float) -> str:
    """Bytes for a person: 512MiB, 7.7GiB."""
    for unit in ("B", "KiB", "MiB"):
        if abs(amount) < 1024:
            return f"{amount:.0f}{unit}"
        amount /= 1024
    return f"{amount:.1f}GiB" if abs(amount) < 1024 else f"{amount / 1024:.1f}TiB"


def cores(millicores: float) -> str:
    """Cores for a person: 0.25, 4."""
    return f"{millicores / 1000:.2f}".rstrip("0").rstrip(".")
