"""The lock: one holder at a time, named to the others, and never outliving its process."""

import os
import signal
import subprocess
import sys
import time  # noqa: TID251 - other processes take their time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cube.errors import InputError, LockedError
from cube.store.lease import start_of
from cube.store.lock import hold
from cube.store.store import Store, open_store

HOLDER = """
import sys, time
from pathlib import Path
from cube.store.lock import hold
from cube.store.store import open_store

with hold(open_store(Path(sys.argv[1])), command="cube deploy web") as epoch:
    print(epoch, flush=True)
    time.sleep(float(sys.argv[2]))
"""


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A store on disk."""
    store = open_store(tmp_path / "cube.db")
    yield store
    store.close()


def holder(store: Store, *, seconds: float) -> subprocess.Popen[str]:
    """Another process that holds the lock by now."""
    command = [sys.executable, "-c", HOLDER, str(store.path), str(seconds)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "1\n"
    return process


def test_a_second_cube_is_told_who_is_at_work(store: Store) -> None:
    """P12: F48, F50."""
    process = holder(store, seconds=60)
    named = rf"`cube deploy web` of \S+ \(pid {process.pid} on \S+\) has it since 20"
    try:
        with pytest.raises(LockedError, match=named) as caught, hold(store, command="cube scale"):
            pytest.fail("two at work")
        assert caught.value.exit_code == 4
        assert str(store.path) in str(caught.value)
    finally:
        process.kill()
        process.communicate()


def test_within_one_process_too(store: Store) -> None:
    with hold(store, command="cube deploy"), pytest.raises(LockedError), hold(store, command="cube stop"):
        pytest.fail("two at work")


def test_waiting_ends_when_the_holder_does(store: Store) -> None:
    process = holder(store, seconds=0.3)
    with hold(store, command="cube scale", wait=30) as epoch:
        assert epoch == 1
    process.communicate()


def test_waiting_is_bounded(store: Store) -> None:
    """P1."""
    with hold(store, command="cube deploy"):
        began = time.monotonic()
        with pytest.raises(LockedError), hold(store, command="cube stop", wait=0.2):
            pytest.fail("two at work")
    assert 0.2 <= time.monotonic() - began < 5


def test_a_killed_holder_is_followed_at_once_by_a_higher_epoch(store: Store) -> None:
    """P9: no manual unlock."""
    process = holder(store, seconds=60)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    left = store.lease()
    assert left is not None
    assert left.pid == process.pid
    with hold(store, command="cube reconcile") as epoch:
        assert epoch == store.epoch == 2


def test_a_stopped_holder_keeps_the_lock(store: Store) -> None:
    """F58: one that sleeps may wake, so nobody takes over from it."""
    process = holder(store, seconds=60)
    os.kill(process.pid, signal.SIGSTOP)
    try:
        with pytest.raises(LockedError), hold(store, command="cube reconcile", wait=0.1):
            pytest.fail("two at work")
    finally:
        process.kill()
        process.communicate()


def test_a_command_that_fails_gives_the_lock_back(store: Store) -> None:
    for _ in range(2):
        with pytest.raises(ZeroDivisionError), hold(store, command="cube deploy") as epoch:
            assert epoch // 0
    assert store.lease() is None
    assert store.epoch == 1


def test_a_child_process_does_not_keep_it(store: Store) -> None:
    """O_CLOEXEC: what the holder starts, and leaves behind, holds nothing."""
    with hold(store, command="cube deploy"):
        child = subprocess.Popen(["sleep", "60"], close_fds=False)
    with hold(store, command="cube deploy") as epoch:
        assert epoch == 1
    child.kill()
    child.wait()


def test_a_link_in_the_place_of_the_lock_is_refused(store: Store) -> None:
    assert store.path is not None
    target = store.path.with_name("precious")
    store.path.with_name("cube.db.lock").symlink_to(target)
    with pytest.raises(InputError, match="lock file"), hold(store, command="cube deploy"):
        pytest.fail("held a link")
    assert not target.exists()


def test_a_store_in_memory_needs_none() -> None:
    store = open_store(":memory:")
    with hold(store, command="cube deploy") as one, hold(store, command="cube stop") as two:
        assert one == two == 1


def test_a_process_is_known_by_when_it_began() -> None:
    assert start_of(os.getpid()) == start_of(os.getpid()) != start_of(1) != ""
    assert start_of(2**22 + 1) == ""
