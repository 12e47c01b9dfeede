"""`cube simulate --replay`: the recorded history once more, through whatever algorithm."""

import json
import time  # noqa: TID251 - what is recorded lies in the past of a real clock
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from random import Random  # noqa: TID251 - the simulator draws from one seed

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cube.cli import relived
from cube.cli.options import Output
from cube.errors import InputError
from cube.manager.manager import Manager
from cube.manager.office import Office
from cube.manager.turn import Loop, Run
from cube.model.job import Job, JobType, Port, TaskSpec
from cube.model.node import Cluster
from cube.model.resources import Resources
from cube.model.task import Slot, State, TaskEvent
from cube.scheduler.algorithms import ALGORITHMS
from cube.scheduler.state import Load, NodeState, Request
from cube.simulator.clock import VirtualClock
from cube.simulator.faults import SimulatedFleet, Site
from cube.simulator.machine import Machine
from cube.store.store import open_store
from cube.whatif.history import Account, Stay, as_it_was, chosen_by, relive, stays_of
from tests.build import GIB, job, node, spec

RUN = Run(until=float("inf"), actor="ann")
NAMES = ("node1", "node2")


def fleet(memory: int = GIB) -> dict[str, NodeState]:
    room, idle = Resources(cpu=4000, memory=memory, disk=GIB), Load(cpu=0, memory=0)
    return {name: NodeState(node=node(name), capacity=room, load=idle) for name in NAMES}


def stay(number: int, where: str, span: tuple[float, float | None], *, memory: int = GIB // 2) -> Stay:
    """A task of a job of its own; its events are numbered by their time."""
    began, ended = span
    asked = job(f"job{number}", task=TaskSpec(image="app:1", resources=Resources(cpu=100, memory=memory)))
    return Stay(
        task=f"task{number}",
        request=Request.of(asked, asked.groups[0], index=0, order=number),
        node=where,
        began=began,
        came=int(began * 10) + 1,
        ended=ended,
        went=None if ended is None else int(ended * 10),
    )


def lived(stays: Sequence[Stay], scheduler: str | None, *, since: float = 0.0) -> Account:
    choose = as_it_was if scheduler is None else chosen_by(ALGORITHMS[scheduler])
    return relive(choose, fleet(), stays, since=since, until=100.0)


class TestAHistory:
    STAYS = (stay(1, "node1", (0, 50)), stay(2, "node2", (10, None)))

    def test_as_it_was_is_told_over_time(self) -> None:
        found = lived(self.STAYS, None)
        assert (found.placed, found.elsewhere, found.nodes_most) == (2, 0, 2)
        assert found.nodes_mean == pytest.approx((10 * 1 + 40 * 2 + 50 * 1) / 100)

    def test_through_another_algorithm_needs_other_nodes(self) -> None:
        tight, spread = lived(self.STAYS, "tight"), lived(self.STAYS, "spread")
        assert (tight.nodes_most, tight.elsewhere) == (1, 1)
        assert (spread.nodes_most, spread.elsewhere) == (2, 0)

    def test_leaves_what_was_there_at_its_beginning_where_it_was(self) -> None:
        assert lived(self.STAYS, "tight", since=20).elsewhere == 0
        assert lived(self.STAYS, "tight", since=60).placed == 1

    def test_lets_what_fits_nowhere_wait_for_room(self) -> None:
        spans: list[tuple[float, float | None]] = [(0, 90), (1, 91), (2, 80), (5, None)]
        large = [stay(number, "node1", span, memory=GIB) for number, span in enumerate(spans)]
        found = lived(large, "tight")
        assert (found.placed, found.waited, found.never) == (3, 1, 1)

    def test_knows_a_task_that_takes_a_slot_over_as_nobodys_neighbour(self) -> None:
        """Else an update would be placed otherwise than it was."""
        two = job(count=2)
        stays = [
            Stay(
                task=f"{index} {number}",
                request=Request.of(two, two.groups[0], index=index, order=number),
                node=NAMES[index],
                began=at,
                came=number,
                ended=ends,
                went=gone,
            )
            for number, index, at, ends, gone in [
                (1, 0, 0, 20, 5),
                (2, 1, 0, None, None),
                (4, 0, 10, None, None),
            ]
        ]
        beside = stay(9, "node1", (0, None), memory=GIB // 8)
        assert lived([beside, *stays], "spread").elsewhere == 0

    @settings(max_examples=60)
    @given(
        st.lists(
            st.tuples(st.integers(0, 50), st.integers(1, 49), st.integers(1, 5), st.sampled_from(NAMES)),
            max_size=25,
        ),
        st.sampled_from(["tight", "spread", "roundrobin", "epvm"]),
    )
    def test_promises_no_node_more_than_it_has_and_ends_as_it_began_p13(
        self, drawn: list[tuple[int, int, int, str]], scheduler: str
    ) -> None:
        stays = [
            stay(
                number, where, (began + number / 1000, began + length + number / 1000), memory=size * GIB // 6
            )
            for number, (began, length, size, where) in enumerate(drawn)
        ]
        for choose in (as_it_was, chosen_by(ALGORITHMS[scheduler])):
            found = relive(choose, fleet(), stays, since=0.0, until=100.0)
            assert found.placed + found.never == len(stays)
            if choose is not as_it_was:
                assert all(moment.memory <= 1 and moment.cpu <= 1 for moment in found.course)
            assert not found.course or (found.course[-1].nodes, found.course[-1].memory) == (0, 0.0)


class TestStays:
    def test_are_those_of_known_versions_and_follow_a_node_that_is_renamed(self) -> None:
        each = job("each", type=JobType.SYSTEM)
        events = [
            event(1, "a", State.PENDING, None),
            event(2, "a", State.SCHEDULED, "node1"),
            event(3, "a", State.RUNNING, "node1x"),
            event(4, "b", State.RUNNING, "node2", name="gone"),
            event(5, "", None, "node2"),
            event(6, "a", State.COMPLETED, "node1x"),
        ]
        (found,) = stays_of(events, {("each", 1): each})
        assert (found.task, found.node, found.request.node) == ("a", "node1x", "node1x")
        assert (found.began, found.ended, found.went) == (2.0, 6.0, 6)


def event(number: int, task: str, target: State | None, where: str | None, name: str = "each") -> TaskEvent:
    slot = Slot(job=name, group="main", index=0)
    about = {"number": number, "at": float(number), "task": task, "slot": slot, "version": 1}
    return TaskEvent(**about, source=None, target=target, node=where, reason="", actor="me")  # type: ignore[arg-type]


class TestTheCommand:
    @pytest.fixture
    def place(self, tmp_path: Path) -> Office:
        """Two nodes had an update of a job with ports, a system job, and a job that was removed."""
        cluster = Cluster(name="sim", nodes=tuple(node(name) for name in NAMES))
        with closing(open_store(tmp_path / "sim.db")) as store:
            machines = {name: Machine(name=name, cluster="sim", owner=store.owner) for name in NAMES}
            clock = VirtualClock(time.time() - 7200)
            over = SimulatedFleet(site=Site(machines=machines), clock=clock, random=Random(1))
            loop = Loop(cluster, store, over, scheduler=ALGORITHMS["spread"], clock=clock)
            for wanted in self.history():
                Manager(loop).deploy(wanted, RUN)
                clock.sleep(600)
            Manager(loop).remove("gone", RUN)
            loop.look()
        return Office(cluster=cluster, state=tmp_path / "sim.db", keys=tmp_path, scheduler="spread")

    def history(self) -> tuple[Job, ...]:
        ports = (Port(name="http", container=80, host=8080),)
        return (
            job(count=2, task=spec(ports=ports)),
            job("each", type=JobType.SYSTEM),
            job("gone"),
            job(count=2, task=spec("app:2", ports=ports)),
        )

    def test_plays_what_it_placed_itself_as_it_was_p12(
        self, place: Office, capsys: pytest.CaptureFixture[str], tmp_path: Path
    ) -> None:
        relived.show(place, "spread,tight", None, tmp_path / "plot.png", Output.JSON)
        told = capsys.readouterr()
        was, spread, tight = json.loads(told.out)
        same = ("placed", "waited", "never", "elsewhere", "nodes_mean", "course")
        assert [was[name] for name in same] == [spread[name] for name in same]
        assert (was["placed"], was["elsewhere"], tight["scheduler"]) == (6, 0, "tight")
        assert "left out: 1 task of forgotten jobs" in told.err
        assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")

    def test_draws_it_in_lines_too(self, place: Office, capsys: pytest.CaptureFixture[str]) -> None:
        relived.show(place, None, None, None, Output.TABLE)
        told = capsys.readouterr().out
        assert "as it was: nodes with a task" in told
        assert "spread: nodes with a task" in told

    def test_refuses_a_time_without_a_task(self, place: Office) -> None:
        with pytest.raises(InputError, match="is not over yet"):
            relived.show(place, None, 4e9, None, Output.TABLE)
        with pytest.raises(InputError, match="there is no scheduler"):
            relived.show(place, "spread,none", None, None, Output.TABLE)


def test_a_cluster_without_a_history_has_none_to_play(tmp_path: Path) -> None:
    cluster = Cluster(name="sim", nodes=(node("node1"),))
    place = Office(cluster=cluster, state=tmp_path / "sim.db", keys=tmp_path, scheduler="spread")
    with pytest.raises(InputError, match="no look at the nodes"):
        relived.show(place, None, None, None, Output.TABLE)
