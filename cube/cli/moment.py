"""A moment as people write it: a date and time, a time of today, or how long ago."""

from datetime import UTC, datetime

from cube.errors import InputError
from cube.model.units import duration


def moment(text: str, option: str, *, now: float) -> float:
    """Seconds since the epoch of `2026-11-20 14:00`, `14:00`, `2026-11-20T13:00:00Z` or `1h` (ago).

    A time without a zone is that of this machine's clock. Raises InputError.
    """
    words = text.strip().removesuffix("ago").strip()
    try:
        return now - duration(words)
    except ValueError:
        pass
    try:
        return _time(words, now)
    except (ValueError, OverflowError, OSError):
        cure = "Write 2026-11-20 14:00 (with +01:00 or UTC where another zone is meant), 14:00, or 1h."
        raise InputError(f"{text!r} is no time", where=option, cure=cure) from None


def _time(text: str, now: float) -> float:
    is_utc = text.endswith(" UTC")
    written = text.removesuffix(" UTC")
    if len(written) in (5, 8) and written[2:3] == ":":
        written = f"{datetime.fromtimestamp(now).astimezone():%Y-%m-%d} {written}"
    at = datetime.fromisoformat(written)
    return (at.replace(tzinfo=UTC) if is_utc else at).timestamp()
