"""When a periodic job runs, as people write it: a cron expression and a time zone."""

import difflib
import re
from datetime import UTC, datetime
from zoneinfo import available_timezones

from cronsim import CronSim, CronSimError

from cube.document.check import shown

_EXPRESSION = re.compile(r"[0-9A-Za-z*,/# -]{1,200}")
_FIELDS = "minute, hour, day of month, month, day of week"
_NO_ZONES = frozenset({"localtime", "Factory"})
_ANY_DAY = datetime(2000, 1, 1, tzinfo=UTC)
_NO_SUCH_DAY = ": none of its months has it"


def cron(text: str) -> str:
    """A cron expression of five fields, as Debian's cron reads them, that comes true at some time."""
    if not _EXPRESSION.fullmatch(text) or len(text.split()) != 5:
        raise ValueError(f"{shown(text)} is no cron expression; write five fields: {_FIELDS}")
    try:
        first = next(CronSim(text, _ANY_DAY), None)
    except CronSimError as error:
        found = f"{error}{_NO_SUCH_DAY if 'day-of-month' in str(error) else ''}"
        raise ValueError(f"{shown(text)} is no cron expression: {found}; its fields are {_FIELDS}") from None
    if first is None:
        raise ValueError(f"{shown(text)} never comes: no day in fifty years is what it asks for")
    return " ".join(text.split())


def timezone(text: str) -> str:
    """A time zone of the IANA database, never the machine's own: another machine may go on with the job."""
    known = available_timezones() - _NO_ZONES
    if text in known:
        return text
    close = difflib.get_close_matches(text[:60], sorted(known), n=1)
    advice = f"did you mean '{close[0]}'?" if close else "write one such as UTC or Europe/Berlin"
    raise ValueError(f"{shown(text)} is no time zone of the IANA database; {advice}")
