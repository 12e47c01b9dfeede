"""Hooks: a job's own commands around its deploy, on the operator's machine."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from random import Random  # noqa: TID251 - the simulator draws from one seed

import pytest

from cube.errors import CubeError
from cube.manager.hooks import run_before
from cube.manager.manager import Manager
from cube.manager.turn import Loop, Run
from cube.model.job import Hooks, Job
from cube.model.node import Cluster
from cube.model.observation import Observation
from cube.scheduler.algorithms import ALGORITHMS
from cube.simulator.clock import VirtualClock
from cube.simulator.faults import SimulatedFleet, Site
from cube.simulator.machine import Machine
from cube.store.store import open_store
from tests.build import job, node, spec

RUN = Run(until=float("inf"), actor="ann")
TELL = 'echo "$CUBE_HOOK $CUBE_JOB $CUBE_VERSION $CUBE_CLUSTER $CUBE_RESULT" >> "$1"'


@contextmanager
def managed(kind: type[SimulatedFleet] = SimulatedFleet) -> Iterator[Manager]:
    store = open_store(":memory:")
    machine = Machine(name="node1", cluster="sim", owner=store.owner, program=lambda _spec: None)
    clock = VirtualClock()
    fleet = kind(site=Site(machines={"node1": machine}), clock=clock, random=Random(1))
    cluster = Cluster(name="sim", nodes=(node("node1"),))
    yield Manager(Loop(cluster, store, fleet, scheduler=ALGORITHMS["spread"], clock=clock))
    store.close()


@pytest.fixture
def manager() -> Iterator[Manager]:
    with managed() as made:
        yield made


def shell(script: str, *words: str) -> tuple[str, ...]:
    return ("sh", "-c", script, "sh", *words)


def hooked(before: Sequence[str] = (), after: Sequence[str] = (), timeout: float = 20.0) -> Job:
    return job(hooks=Hooks(before=tuple(before), after=tuple(after), timeout=timeout))


def test_both_are_told_the_version_that_is_deployed(manager: Manager, tmp_path: Path) -> None:
    told = tmp_path / "told"
    first = hooked(shell(TELL, str(told)), shell(TELL, str(told)))
    for wanted in (first, first, replace(first, groups=job(task=spec("app:2")).groups)):
        assert manager.deploy(wanted, RUN).exit_code == 0
    assert [line.split() for line in told.read_text().splitlines()] == [
        found
        for version in ("1", "1", "2")
        for found in (["before", "web", version, "sim"], ["after", "web", version, "sim", "succeeded"])
    ]


def test_unless_the_one_before_ends_with_0_nothing_is_touched(manager: Manager) -> None:
    with pytest.raises(CubeError, match=r"before the deploy failed: sh exited with 7\n  Nothing was changed"):
        manager.deploy(hooked(shell("exit 7")), RUN)
    assert (manager.store.jobs(), manager.store.tasks()) == ((), ())


def test_what_changed_while_the_one_before_ran_is_seen_p3(tmp_path: Path) -> None:
    """An effect follows a look that is no older than the hook."""
    told, looks = tmp_path / "told", list[bool]()

    class Watched(SimulatedFleet):
        def observe(self, names: Iterable[str], now: float) -> Mapping[str, Observation]:
            looks.append(told.exists())
            return super().observe(names, now)

    with managed(Watched) as manager:
        manager.deploy(hooked(shell(TELL, str(told))), RUN)
    assert looks[:2] == [False, True]


def test_one_that_hangs_is_ended_with_all_that_it_began(tmp_path: Path) -> None:
    held = tmp_path / "held"
    os.mkfifo(held)
    end = os.open(held, os.O_RDONLY | os.O_NONBLOCK)
    hangs = shell('exec 3> "$1"; sleep 1000 & wait', str(held))
    with pytest.raises(CubeError, match="sh took longer than"):
        run_before(hooked(hangs, timeout=0.5), "sim")
    os.set_blocking(end, True)  # the read ends when the last process that holds the other end is gone
    assert os.read(end, 1) == b""
    os.close(end)


def test_one_that_is_killed_is_told_by_its_signal() -> None:
    with pytest.raises(CubeError, match="sh was ended by SIGKILL"):
        run_before(hooked(shell("kill -9 $$")), "sim")


def test_what_one_prints_is_no_part_of_the_answer(capfd: pytest.CaptureFixture[str]) -> None:
    run_before(hooked(shell("echo hello")), "sim")
    assert tuple(capfd.readouterr()) == ("", "hello\n")


def test_one_that_is_not_there_is_told_with_the_way_on() -> None:
    with pytest.raises(CubeError, match=r"./none cannot be run: No such file[^\n]*\n  Name a program"):
        run_before(hooked(("./none",)), "sim")
