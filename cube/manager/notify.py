"""Notices: a webhook or a command is told what somebody should know at once."""

import json
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from http.client import HTTPException
from typing import Any
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from cube.errors import CubeError, InputError
from cube.model.codec import to_data
from cube.model.task import State, TaskEvent
from cube.reconciler.silence import tells_of_loss
from cube.store.store import Store

PAUSE = 1.0
"""Seconds between two looks for new events."""

PATIENCE = 15.0
"""Seconds that a webhook or a command may take; what comes after waits meanwhile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Notices:
    """Where they go: `url` is sent JSON, `command` gets it on its standard input; either may be missing.

    Whoever knows a webhook's URL may use it: no message shows more of it than the host.
    """

    url: str | None = field(default=None, repr=False)
    command: tuple[str, ...] = ()


def checked_url(text: str, where: str) -> str:
    """The URL without what stands around it. Raises InputError, which does not quote it."""
    url = text.strip()
    with suppress(ValueError):
        parts = urlsplit(url)
        is_whole = url.isascii() and url.isprintable() and " " not in url
        if is_whole and parts.scheme in ("http", "https") and parts.hostname and parts.port != 0:
            return url
    raise InputError("this is no URL", where=where, cure="Write one: https://HOST/PATH")


def kind_of(event: TaskEvent) -> str | None:
    """What somebody should know of: failed, lost, silent, rollback, rollout, backup, brake. None: nothing."""
    if event.target is State.FAILED:
        return "failed"
    if event.task and tells_of_loss(event):
        return "lost"
    if not event.task and event.slot.job:
        return _kind_of_job(event.reason)
    if not event.task and not event.node and event.reason.endswith("we who are cut off"):
        return "brake"
    return "silent" if event.node and event.reason.startswith("does not answer") else None


def notice_of(event: TaskEvent, kind: str, cluster: str) -> Mapping[str, Any]:
    """What is told: the event, its kind, and a sentence."""
    about = str(event.slot) if event.slot.group else event.slot.job or event.node or cluster
    return {
        "kind": kind,
        "cluster": cluster,
        "text": f"{cluster}: {about}: {event.reason}",
        "event": {**to_data(event), "detail": {}},
    }


class Notifier:
    """Reads events as they are recorded, and tells of some, in a thread of its own."""

    def __init__(
        self, store: Store, cluster: str, notices: Notices, warn: Callable[[CubeError], None]
    ) -> None:
        self._store = store
        self._cluster = cluster
        self._notices = notices
        self._warn = warn
        self._ending = threading.Event()
        self._last = max((event.number for event in store.events(limit=1)), default=0)
        self._thread = threading.Thread(target=self._run, name="cube-notifier", daemon=True)

    def begin(self) -> None:
        """Tell of every event from now on."""
        self._thread.start()

    def end(self) -> None:
        """Tell no more; what is on its way is waited for."""
        self._ending.set()
        self._thread.join(PATIENCE)

    def _run(self) -> None:
        while not self._ending.wait(PAUSE):
            try:
                for event in self._store.events(after=self._last):
                    kind = self._to_tell(event)
                    self._last = event.number
                    if kind is not None:
                        tell(self._notices, notice_of(event, kind, self._cluster))
            except CubeError as error:
                self._warn(error)

    def _to_tell(self, event: TaskEvent) -> str | None:
        """What to tell of it as; None where nobody has to know, or another manager tells."""
        kind = kind_of(event)
        return kind if kind is not None and self._store.shares.take_notice(event.number) else None


def tell(notices: Notices, notice: Mapping[str, Any]) -> None:
    """Send it. Raises CubeError where nobody took it; it is not sent again."""
    body = json.dumps(notice).encode()
    if notices.url:
        _post(notices.url, body)
    if notices.command:
        _run(notices.command, body)


def _post(url: str, body: bytes) -> None:
    request = Request(url, data=body, headers={"Content-Type": "application/json"})  # noqa: S310 - the operator's
    try:
        with urlopen(request, timeout=PATIENCE):  # noqa: S310 - as above; its scheme was checked
            pass
    except (OSError, HTTPException) as error:
        why = str(error) or type(error).__name__
        raise CubeError("a notice was not taken", where=str(urlsplit(url).hostname), why=why) from error


def _run(command: Sequence[str], body: bytes) -> None:
    try:
        done = subprocess.run(  # noqa: S603 - the operator's own command, as a list
            command, input=body, timeout=PATIENCE, check=False, stdout=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CubeError("a notice was not taken", where=command[0], why=str(error)) from error
    if done.returncode:
        raise CubeError("a notice was not taken", where=command[0], why=f"it exited with {done.returncode}")


def _kind_of_job(reason: str) -> str | None:
    if reason.startswith(("went back to version", "rolled back to version")):
        return "rollback"
    begins = {"the rollout of version": "rollout", "backup of": "backup"}
    kinds = (kind for begin, kind in begins.items() if reason.startswith(begin) and " failed: " in reason)
    return next(kinds, None)
