"""Notices: which events they tell of, and to whom."""

import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from cube.errors import CubeError
from cube.manager.notify import Notices, Notifier, kind_of, notice_of, tell
from cube.model.task import Slot, State, TaskEvent
from cube.store.store import open_store
from tests.build import NOW


def event(**changes: Any) -> TaskEvent:
    values: dict[str, Any] = {
        "number": 1, "at": NOW, "task": "t", "slot": Slot(job="web", group="main", index=0), "version": 1,
        "source": State.RUNNING, "target": State.RUNNING, "node": "node1", "reason": "", "actor": "ann",
    }  # fmt: skip
    return TaskEvent(**(values | changes))


OF_JOB: dict[str, Any] = {
    "task": "",
    "target": None,
    "slot": Slot(job="web", group="", index=0),
    "node": None,
}
OF_NODE: dict[str, Any] = {"task": "", "target": None, "slot": Slot(job="", group="", index=0)}


@pytest.mark.parametrize(("found", "kind"), [
    (event(target=State.FAILED, reason="exited with 1"), "failed"),
    (event(reason="node1 is lost"), "lost"),
    (event(**OF_JOB, reason="went back to version 1: it failed"), "rollback"),
    (event(**OF_JOB, reason="the rollout of version 2 failed: not healthy"), "rollout"),
    (event(**OF_NODE, reason="does not answer: timed out, nothing"), "silent"),
    (event(**OF_NODE, reason="3 of 4 nodes are silent: it may be we who are cut off"), "brake"),
    (event(reason="started"), None),
    (event(**OF_JOB, reason="deployed: version 1"), None),
    (event(**OF_NODE, reason="cordoned"), None),
])  # fmt: skip
def test_only_what_somebody_should_know_is_told(found: TaskEvent, kind: str | None) -> None:
    assert kind_of(found) == kind


def test_a_webhook_and_a_command_are_told_in_a_sentence(tmp_path: Path) -> None:
    heard: list[Any] = []

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            heard.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_words: object) -> None:
            """Nobody reads it."""

    with HTTPServer(("127.0.0.1", 0), Hook) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        script = f"import sys; open({str(tmp_path / 'told')!r}, 'w').write(sys.stdin.read())"
        notices = Notices(
            url=f"http://127.0.0.1:{server.server_port}", command=(sys.executable, "-c", script)
        )
        tell(notices, notice_of(event(target=State.FAILED, reason="exited with 1"), "failed", "lab"))
    assert heard[0]["text"] == "lab: web/main[0]: exited with 1"
    assert json.loads((tmp_path / "told").read_text()) == heard[0]


def test_what_nobody_takes_is_warned_of_and_the_rest_is_told(tmp_path: Path) -> None:
    with pytest.raises(CubeError, match="not taken"):
        tell(Notices(command=("/nowhere/at/all",)), {})
    store, warnings, warned = open_store(":memory:"), list[CubeError](), threading.Event()

    def warn(error: CubeError) -> None:
        warnings.append(error)
        warned.set()

    notifier = Notifier(store, "lab", Notices(command=(sys.executable, "-c", "exit(3)")), warn)
    notifier.begin()
    store.put_silences([], [("node1", "does not answer: timed out, nothing")], now=NOW)
    assert warned.wait(20)
    notifier.end()
    store.close()
    assert "exited with 3" in str(warnings[0])
