"""What many ask at once: the record is read once for all of them, and never older than the question."""

import asyncio
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

from cube.api.gate import Gate
from cube.api.standing import Standings
from cube.manager.tokens import make_token
from cube.model.node import Cordon
from cube.store.rows import Sweep
from cube.store.store import open_store
from tests.build import NOW, job, seen, unknown
from tests.stage import run, staged


def test_the_record_is_read_once_until_something_is_recorded_by_whomever(tmp_path: Path) -> None:
    with (
        closing(open_store(tmp_path / "state.db")) as store,
        closing(open_store(tmp_path / "state.db")) as other,
    ):
        standings = Standings(store)
        first = standings.now()
        assert standings.now() is first
        for number, writer in enumerate((store, other)):
            writer.put_job(job(f"job{number}"), now=NOW, actor="ann", reason="deployed")
            assert len(standings.now().jobs) == number + 1
        last = standings.now()
        other.put_cordon(Cordon(node="node1", at=NOW, actor="ann"))
        assert standings.now() is not last
        assert standings.now() == last


def test_a_look_alone_lets_nothing_be_read_anew_and_a_node_that_falls_silent_does() -> None:
    with closing(open_store(":memory:")) as store:
        store.put_job(job("web"), now=NOW, actor="ann", reason="deployed")
        standings, tasks = Standings(store), store.current_tasks()
        first = standings.now()
        store.put_observations([seen("node1")])
        store.put_sweep(Sweep(started=NOW, finished=NOW, result=""))
        assert standings.now() is first
        assert store.current_tasks() is tasks
        store.put_observations([unknown("node1")])
        assert standings.now() is not first


def test_the_standing_is_what_the_store_says_of_tasks_nodes_and_jobs() -> None:
    with staged() as stage:
        stage.manager.deploy(job("web", 3), run())
        found = Standings(stage.store).now()
        assert found.tasks == stage.store.current_tasks()
        assert {node: [task.node for task in mine] for node, mine in found.of_node.items()} == {
            node: [node] for node in ("node1", "node2", "node3")
        }
        assert [(view.name, view.running) for view in found.jobs] == [("web", 3)]


async def _answers_nothing(_scope: Any, _receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})


def test_who_comes_while_the_tokens_are_read_for_the_first_time_is_not_turned_away() -> None:
    with closing(open_store(":memory:")) as store:
        token = make_token(store, "ann", "read", good_for=60, actor="ann")
        goes, statuses = threading.Event(), list[int]()

        def slowly() -> Any:
            goes.wait(10)
            return store.tokens()

        gate = Gate(_answers_nothing, hosts=["cube"], tokens=slowly, record=lambda _who, _what: None)
        headers = [(b"host", b"cube"), (b"authorization", f"Bearer {token}".encode())]
        scope = {"type": "http", "method": "GET", "path": "/nodes", "headers": headers}

        async def send(message: Any) -> None:
            statuses.append(message.get("status", 0))

        async def ask() -> None:
            asking = [asyncio.ensure_future(gate(dict(scope), None, send)) for _ in range(2)]  # type: ignore[arg-type]
            await asyncio.sleep(0)
            goes.set()
            await asyncio.gather(*asking)

        asyncio.run(ask())
        assert [status for status in statuses if status] == [200, 200]
