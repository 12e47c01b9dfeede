"""`cube top` under textual's pilot: what it shows, and what its keys do."""

import asyncio
import re
import socket
import sys
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial, partialmethod

import pytest
from textual.app import App
from textual.pilot import Pilot
from textual.widgets import DataTable, RichLog, Static
from typer.testing import CliRunner

from cube.api import stream
from cube.cli import reach
from cube.cli import top as command
from cube.cli.main import app
from cube.errors import CubeError, InputError, UnreachableError
from cube.manager.tasks import LogLine
from cube.model.node import Cluster
from cube.model.task import Health, State, Task, TaskEvent
from cube.remote.link import Link
from cube.remote.manager import remote_office
from cube.top.screen import Question, Top
from cube.top.source import FleetSource, Log, Source
from cube.view.fleet import ClusterView, Recorded, job_views, node_views
from tests.build import CLUSTER, NOW, job, node, seen, task, unknown
from tests.stage import run, staged
from tests.test_api import Api, api_over


@dataclass
class Ended:
    """A log that comes to its end by itself."""

    lines: Iterable[LogLine | CubeError]

    def __iter__(self) -> Iterator[LogLine | CubeError]:
        return iter(self.lines)

    def close(self) -> None:
        """Nobody waits for more."""


class Fleet:
    """A source that stands still until a test moves it."""

    def __init__(self) -> None:
        self.cordons: list[str] = []
        self.acts: list[str] = []
        self.failure: CubeError | None = None
        self.tasks: tuple[Task, ...] = (
            task(0, health=Health.HEALTHY),
            task(1, node="node2", state=State.FAILED, reason="exit code 1"),
            task(0, job="mail", node="node3"),
        )

    def look(self) -> ClusterView:
        if self.failure:
            raise self.failure
        nodes = node_views(
            Cluster(name=CLUSTER, nodes=tuple(map(node, ("node1", "node2", "node3")))),
            {"node1": seen("node1"), "node2": seen("node2"), "node3": unknown("node3")},
            self.tasks,
            Recorded(samples={}, cordons={}),
        )
        jobs = job_views((job("web", 2), job("mail", 1)), self.tasks, {}, {"node3"})
        return ClusterView(
            cluster=CLUSTER,
            at=NOW,
            nodes=nodes,
            jobs=jobs,
            tasks=self.tasks,
            events=self.history(self.tasks[-1]),
        )

    def history(self, task: Task) -> tuple[TaskEvent, ...]:
        return (
            TaskEvent(
                number=1,
                at=NOW - 60,
                task=task.id,
                slot=task.slot,
                version=1,
                source=State.RUNNING,
                target=State.FAILED,
                node=task.node,
                reason="exit code 1",
                actor="service",
            ),
        )

    def logs(self, task: Task) -> Log:
        text = b"hello [bold]you[/] \x1b[31m\n"
        line = LogLine(task=task, at="2026-11-21T00:00:00Z", stream="stdout", text=text)
        return Ended((line, UnreachableError("the connection is lost", where="node1")))

    def drain(self, node: str) -> str:
        self.acts.append(f"drain {node}")
        return "2 changes"

    def cordon(self, node: str) -> str:
        self.acts.append(f"cordon {node}")
        raise CubeError("another Cube is at work")

    def uncordon(self, node: str) -> str:
        self.acts.append(f"uncordon {node}")
        return "gets new tasks again"


def played(fleet: Source, act: Callable[[Pilot[None]], Awaitable[None]]) -> None:
    """The terminal over that fleet, while the act runs."""

    async def play() -> None:
        async with Top(fleet, every=0.2).run_test(size=(120, 30)) as pilot:
            await until(pilot, lambda: table(pilot).row_count)
            await act(pilot)

    asyncio.run(play())


async def until(pilot: Pilot[None], holds: Callable[[], object]) -> None:
    for _ in range(400):
        if holds():
            return
        await pilot.pause(0.02)
    pytest.fail("it never came to hold")


def table(pilot: Pilot[None]) -> DataTable[object]:
    return pilot.app.screen_stack[0].query_one(DataTable)


def column(pilot: Pilot[None], index: int) -> list[str]:
    return [str(table(pilot).get_row_at(row)[index]) for row in range(table(pilot).row_count)]


def text(pilot: Pilot[None], name: str) -> str:
    return str(pilot.app.screen_stack[0].query_one(name, Static).render())


def test_each_number_shows_a_table_and_a_node_that_is_unknown_is_called_so_p3() -> None:
    async def act(pilot: Pilot[None]) -> None:
        assert column(pilot, 0) == ["node1", "node2", "node3"]
        assert column(pilot, 1) == ["ready", "ready", "unknown"]
        assert "1 UNKNOWN" in text(pilot, "#summary")
        assert "1 FAILED" in text(pilot, "#summary")
        await pilot.press("3")
        assert column(pilot, 0) == ["web/main[1]", "web/main[0]", "mail/main[0]"]
        assert column(pilot, 1) == ["Failed", "Running", "unknown"]
        await pilot.press("2")
        assert column(pilot, 0) == ["web", "mail"]
        await pilot.press("4")
        assert column(pilot, 2) == ["Running -> Failed"]

    played(Fleet(), act)


def test_it_follows_the_fleet_keeps_the_cursor_and_outlives_a_look_that_fails() -> None:
    fleet = Fleet()

    async def act(pilot: Pilot[None]) -> None:
        await pilot.press("3", "j")
        fleet.tasks = (*fleet.tasks, task(7, node="node1", state=State.FAILED))
        await until(pilot, lambda: table(pilot).row_count == 4)
        assert column(pilot, 0)[table(pilot).cursor_row] == "web/main[0]"
        fleet.failure = UnreachableError("the state cannot be read")
        await until(pilot, lambda: "cannot be read" in text(pilot, "#said"))
        fleet.failure, fleet.tasks = None, fleet.tasks[:1]
        await until(pilot, lambda: table(pilot).row_count == 1)
        assert text(pilot, "#said") == "", "what failed is not told of a look that succeeded"

    played(fleet, act)


def test_words_filter_and_enter_goes_from_a_node_to_its_tasks() -> None:
    async def act(pilot: Pilot[None]) -> None:
        await pilot.press("j", "enter")
        await pilot.pause()
        assert column(pilot, 0) == ["web/main[1]"]
        await pilot.press("escape")
        await pilot.pause()
        assert table(pilot).row_count == 3
        await pilot.press("slash", *"mail", "enter")
        await pilot.pause()
        assert column(pilot, 0) == ["mail/main[0]"]

    played(Fleet(), act)


def test_logs_are_shown_as_text_with_what_went_wrong_and_escape_leads_back() -> None:
    async def act(pilot: Pilot[None]) -> None:
        await pilot.press("3", "l")
        await until(
            pilot,
            lambda: (
                len(pilot.app.screen.query(RichLog)) and len(pilot.app.screen.query_one(RichLog).lines) > 1
            ),
        )
        lines = [line.text for line in pilot.app.screen.query_one(RichLog).lines]
        assert lines[0].rstrip() == "hello [bold]you[/] \N{REPLACEMENT CHARACTER}[31m"
        assert "the connection is lost" in lines[1]
        await pilot.press("escape", "d")
        await until(
            pilot, lambda: len(pilot.app.screen.query(RichLog)) and pilot.app.screen.query_one(RichLog).lines
        )
        assert "exit code 1" in pilot.app.screen.query_one(RichLog).lines[0].text

    played(Fleet(), act)


def test_a_node_is_drained_only_after_a_yes_and_a_refusal_is_told() -> None:
    fleet = Fleet()

    async def act(pilot: Pilot[None]) -> None:
        for answer in ("n", "escape", "enter"):
            await pilot.press("D")
            assert isinstance(pilot.app.screen, Question)
            await pilot.press(answer)
            await pilot.pause()
            assert not isinstance(pilot.app.screen, Question)
        assert fleet.acts == []
        await pilot.press("D", "y")
        await until(pilot, lambda: "drain node1: 2 changes" in text(pilot, "#said"))
        await pilot.press("c", "y")
        await until(pilot, lambda: "another Cube is at work" in text(pilot, "#said"))
        assert fleet.acts == ["drain node1", "cordon node1"]

    played(fleet, act)


@pytest.fixture
def api() -> Iterator[Api]:
    with staged() as stage, api_over(stage) as found:
        yield found


@pytest.fixture(params=["ann", "token operate"])
def source(api: Api, request: pytest.FixtureRequest) -> Iterator[Source]:
    """The same over a manager of one's own and through one, each by whom its events say."""
    if request.param == "ann":
        manager = api.stage.manager
        yield FleetSource(manager, api.stage.machines, lambda **_: nullcontext(manager), "ann")
    else:
        place = remote_office(api.link, None, "/nowhere")
        with reach.looking_on_for_long(place) as (manager, hands):
            yield FleetSource(manager, hands, partial(reach.at_work, place), "nobody")


def lines(pilot: Pilot[None]) -> list[str]:
    return [line.text for found in pilot.app.screen.query(RichLog) for line in found.lines]


def test_it_shows_and_does_through_a_manager_what_it_does_here_p12(
    api: Api, source: Source, request: pytest.FixtureRequest
) -> None:
    api.stage.manager.deploy(job(count=2, min_healthy_time=0.0), run())
    home = str(api.stage.running()["web/main[0]"])
    stats = api.stage.machines[home].machine.observe(NOW).stats
    assert stats is not None

    async def act(pilot: Pilot[None]) -> None:
        names = ["node1", "node2", "node3"]
        assert (column(pilot, 0), column(pilot, 1)) == (names, ["ready"] * 3)
        assert column(pilot, 5) == [f"{stats.load[0]:.2f}"] * 3
        await pilot.press("3")
        assert column(pilot, 0) == ["web/main[0]", "web/main[1]"]
        await pilot.press("d")
        await until(pilot, lambda: any("Running" in line for line in lines(pilot)))
        await pilot.press("escape", "c", "y")
        await until(pilot, lambda: f"cordon {home}: gets no new tasks" in text(pilot, "#said"))
        await pilot.press("1")
        await until(pilot, lambda: column(pilot, 1)[names.index(home)] == "cordoned")
        assert api.stage.store.cordons()[home].actor == request.node.callspec.params["source"]
        await pilot.press(*"j" * names.index(home), "D", "y")
        await until(pilot, lambda: "2 changes" in text(pilot, "#said"))
        assert api.stage.running()["web/main[0]"] != home
        await pilot.press("u", "y")
        await until(pilot, lambda: f"uncordon {home}: gets new tasks again" in text(pilot, "#said"))
        assert api.stage.store.cordons() == {}

    played(source, act)


def test_a_silent_log_that_is_left_is_followed_by_nobody_any_more(
    api: Api, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "PULSE", 0.1)
    api.stage.manager.deploy(job(count=1, min_healthy_time=0.0), run())
    machine = api.stage.machines[str(api.stage.running()["web/main[0]"])]
    machine.is_silent = True

    async def act(pilot: Pilot[None]) -> None:
        await pilot.press("3", "l")
        await until(pilot, lambda: any("hello from" in line for line in lines(pilot)))
        (log,) = machine.logged
        assert not log.is_left.is_set()
        await pilot.press("escape")
        await until(pilot, log.is_left.is_set)
        assert table(pilot).row_count == 1

    played(source, act)


def test_a_manager_that_does_not_answer_is_told_and_keeps_neither_the_screen_nor_its_end(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reach, "GLANCE", 0.5)
    place = remote_office(api.link, None, "/nowhere")
    with socket.create_server(("127.0.0.1", 0)) as mute:
        gone = replace(place, link=Link(url=f"http://127.0.0.1:{mute.getsockname()[1]}"))
        with reach.looking_on_for_long(gone) as (manager, hands):
            source = FleetSource(manager, hands, partial(reach.at_work, gone), "ann")

            async def play() -> None:
                async with Top(source, every=0.1).run_test() as pilot:
                    await pilot.press("3")
                    assert str(table(pilot).ordered_columns[0].label) == "TASK"
                    await until(pilot, lambda: "the manager does not answer" in text(pilot, "#said"))

            asyncio.run(asyncio.wait_for(play(), 10))


def test_the_command_goes_through_the_manager_that_is_named(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = list[str]()

    async def act(pilot: Pilot[None]) -> None:
        await until(pilot, lambda: table(pilot).row_count)
        shown.extend(column(pilot, 0))
        await pilot.press("q")

    monkeypatch.setattr(Top, "run", partialmethod(App.run, headless=True, auto_pilot=act))
    far = {"CUBE_MANAGER": f"http://127.0.0.1:{api.port}", "CUBE_TOKEN": api.tokens["read"]}
    result = CliRunner().invoke(app, ["top"], env=far)
    assert (result.exit_code, shown) == (0, ["node1", "node2", "node3"]), result


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "textual", None)
    monkeypatch.delitem(sys.modules, "cube.top.screen", raising=False)
    with pytest.raises(InputError, match=re.escape("pip install 'cube[top]'")):
        command.top()
