"""What a container leaves behind, taken before it is restarted or removed, with whatever can be had."""

from collections import deque
from collections.abc import Callable

from cube.connection import Channel
from cube.errors import CubeError
from cube.model.observation import PostMortem
from cube.worker.container import Json
from cube.worker.engine import EngineError, read_logs
from cube.worker.hiding import Hide
from cube.worker.inspection import Inspected, inspected_of

LINES = 100
MAX_LOG = 64 * 1024
"""Bytes of log, those that were written last."""


def has_ended(found: Json) -> bool:
    """The inspected container ran, and its process is over."""
    inspected = _read(found)
    return inspected is not None and inspected.has_ended


def ended_badly(found: Json) -> bool:
    """The same, and not as a program ends that is done."""
    inspected = _read(found)
    return inspected is not None and inspected.ended_badly


def take(found: Json, open_channel: Callable[[], Channel], hide: Hide, *, at: float) -> PostMortem:
    """The post-mortem of an inspected container, at that time (seconds since the epoch). Raises nothing.

    What it said is kept as `hide` makes it. A log that cannot be had is told with its reason in its place.
    """
    inspected, container = _read(found), str(found.get("Id"))
    log = _cut(hide(_last_lines(open_channel, container)))
    if inspected is None:
        return PostMortem(
            at=at,
            container=container,
            exit_code=None,
            oom_killed=False,
            started_at="",
            finished_at="",
            log=log,
        )
    return PostMortem(
        at=at,
        container=container,
        exit_code=inspected.exit_code if inspected.has_ended else None,
        oom_killed=inspected.oom_killed,
        started_at=inspected.started_at,
        finished_at=inspected.finished_at if inspected.has_ended else "",
        log=log,
        checks=tuple(map(hide, inspected.checks)),
    )


def _read(found: Json) -> Inspected | None:
    try:
        return inspected_of(found)
    except EngineError:
        return None


def _last_lines(open_channel: Callable[[], Channel], container: str) -> str:
    """Each with its timestamp; what had come when the log broke off, or its deadline passed, is kept."""
    last: deque[bytes] = deque(maxlen=LINES)
    try:
        for _, line in read_logs(open_channel(), container, follow=False, tail=LINES, since=None):
            last.append(line[-MAX_LOG:])
    except CubeError as error:
        last.append(f"(the log broke off: {error.why or error.what})".encode())
    return b"\n".join(last).decode("utf-8", "replace")


def _cut(log: str) -> str:
    """Whole lines, as long as one of them fits."""
    kept = log.encode()
    if len(kept) <= MAX_LOG:
        return log
    end = kept[-MAX_LOG:]
    return (end.partition(b"\n")[2] or end).decode("utf-8", "replace")
