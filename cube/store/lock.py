"""The lock: one Cube at a time works on a state. It dies with its holder, by whatever death.

At a file it is the kernel's, and free at once; at a server it is a lease, which its holder renews.
"""

import fcntl
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path

from cube.errors import CubeError, InputError, LockedError
from cube.store.lease import lease_of_this_process
from cube.store.store import Store

PAUSE = 0.05
"""Seconds between two tries; the kernel offers no wait with a limit."""

LONGER_PAUSE = 0.25
"""As PAUSE, where each try is a question to a server."""


@contextmanager
def hold(store: Store, *, command: str, wait: float = 0.0) -> Iterator[int]:
    """Work on the state alone; yields the epoch, which is one higher than before if the last holder died.

    Raises LockedError, naming who holds it and since when, if it is not free within `wait` seconds.
    A store in memory has nobody to share with.
    """
    if store.path is None:
        with _leased(store, command, wait) if store.term else nullcontext(store.epoch) as epoch:
            yield epoch
        return
    handle = _open(store.path.with_name(f"{store.path.name}.lock"))
    try:
        _lock(handle, store, wait)
        try:
            yield store.take_lease(lease_of_this_process(command=command, now=time.time()))
        finally:
            # A lease that cannot be taken back (a full disk) is taken over by the next holder.
            with suppress(CubeError):
                store.drop_lease()
    finally:
        os.close(handle)


@contextmanager
def _leased(store: Store, command: str, wait: float) -> Iterator[int]:
    epoch, ended = _enter(store, command, wait), threading.Event()
    threading.Thread(target=_renew, args=(store, ended), name="cube-lease", daemon=True).start()
    try:
        yield epoch
    finally:
        ended.set()
        with suppress(CubeError):
            store.drop_lease()


def _enter(store: Store, command: str, wait: float) -> int:
    deadline = time.monotonic() + wait
    while True:
        try:
            return store.take_lease(lease_of_this_process(command=command, now=time.time()))
        except LockedError:
            if time.monotonic() >= deadline:
                raise
        time.sleep(LONGER_PAUSE)


def _renew(store: Store, ended: threading.Event) -> None:
    """Twice in vain is once too little: a third try is in time."""
    while not ended.wait((store.term or 0.0) / 4):
        try:
            store.renew_lease()
        except LockedError:
            return
        except CubeError:
            continue  # The server may be back for the next try; whoever acts asks `may_act` first.


def _open(path: Path) -> int:
    # The file is never removed: who waits for the old one and who makes a new one would both hold "the" lock.
    try:
        return os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        why = error.strerror or str(error)
        cure = "see that it is a file of yours, in a directory that may be written"
        raise InputError("the lock file cannot be used", where=str(path), why=why, cure=cure) from error


def _lock(handle: int, store: Store, wait: float) -> None:
    deadline = time.monotonic() + wait
    while not _try(handle):
        if time.monotonic() >= deadline:
            why = str(store.lease() or "another Cube has it, and has not said its name yet")
            cure = "wait until it has ended; its lock ends with it, however it ends"
            raise LockedError("the state is in use", where=str(store.path), why=why, cure=cure)
        time.sleep(PAUSE)


def _try(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
