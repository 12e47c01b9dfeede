"""Many processes on one state, and processes that are killed: no update is lost, no event is a lie."""

import os
import random  # noqa: TID251 - drawn from the test's own seed
import signal
import subprocess
import sys
import time  # noqa: TID251 - other processes take their time
from pathlib import Path

import pytest

from cube.store.store import open_store

WRITER = """
import sys, time
from pathlib import Path
from cube.model.action import Decision, Outcome, Place, Plan, Verdict
from cube.model.job import Group, Job, TaskSpec
from cube.model.task import Slot
from cube.store.store import open_store

path, name, turns = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
spec = TaskSpec(image="app:1", env={"BODY": "x" * 3000})
store = open_store(path)
for number in range(turns):
    now = time.time()
    job = Job(name="shared", groups=(Group(name=name, spec=spec, count=number),))
    job = store.put_job(job, now=now, actor=name, reason="")
    slots = [Slot(job="shared", group=name, index=index) for index in range(3)]
    same = {"version": job.version, "spec": spec, "node": "n", "ports": {}, "reason": ""}
    places = tuple(Place(slot=slot, decision=Decision(scores={}), **same) for slot in slots)
    for effect in store.record_plan(Plan(actions=places), now=now, actor=name):
        store.record_outcome(effect, Outcome(verdict=Verdict.OK, container="c"), now=now, actor=name)
    print(len(slots), flush=True)
"""


def write(path: Path, name: str, turns: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WRITER, str(path), name, str(turns)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_four_processes_at_once_lose_nothing(tmp_path: Path) -> None:
    """P11: F51. They also make the file all at the same time."""
    path, turns = tmp_path / "cube.db", 12
    writers = [write(path, f"writer{number}", turns) for number in range(4)]
    for writer in writers:
        _, complaint = writer.communicate(timeout=100)
        assert (writer.returncode, complaint) == (0, "")
    store = open_store(path)
    assert [version.job.version for version in store.versions("shared")] == list(range(1, 4 * turns + 1))
    assert len(store.tasks()) == 4 * turns * 3
    assert sum(bool(event.task) for event in store.events()) == 4 * turns * 3 * 2
    assert store.check() == ()
    store.close()


@pytest.mark.parametrize("seed", range(8))
def test_a_killed_writer_leaves_whole_changes(tmp_path: Path, seed: int) -> None:
    """P9, P11: F45. Nothing half-done, nothing that was reported is gone, nothing to unlock."""
    path, moment = tmp_path / "cube.db", random.Random(seed)
    writer = write(path, f"writer{seed}", 10_000)
    assert writer.stdout is not None
    reported = sum(int(writer.stdout.readline()) for _ in range(3))
    time.sleep(moment.random() / 10)
    os.kill(writer.pid, signal.SIGKILL)
    reported += sum(int(line) for line in writer.communicate()[0].split())
    store = open_store(path)
    assert store.check() == ()
    assert len(store.events()) >= 2 * reported
    assert len(store.tasks()) % 3 == 0
    store.close()


def test_a_writer_killed_while_it_makes_the_file_is_no_obstacle(tmp_path: Path) -> None:
    """P9: no manual step."""
    path = tmp_path / "cube.db"
    for delay in (0.06, 0.09, 0.12, 0.15):
        writer = write(path, "writer", 1)
        time.sleep(delay)
        os.kill(writer.pid, signal.SIGKILL)
        writer.communicate()
        store = open_store(path)
        assert store.check() == ()
        store.close()
