"""Notices: which events they tell of, and to whom."""

import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from cube.cli.managing import Terms, install
from cube.errors import CubeError, InputError
from cube.manager.notify import Notices, Notifier, checked_url, kind_of, notice_of, tell
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
OF_FLEET: dict[str, Any] = {**OF_NODE, "node": None}


@pytest.mark.parametrize(("found", "kind"), [
    (event(target=State.FAILED, reason="exited with 1"), "failed"),
    (event(reason="node1 is lost"), "lost"),
    (event(**OF_JOB, reason="went back to version 1: it failed"), "rollback"),
    (event(**OF_JOB, reason="the rollout of version 2 failed: not healthy"), "rollout"),
    (event(**OF_NODE, reason="does not answer: timed out, nothing"), "silent"),
    (event(**OF_FLEET, reason="3 of 4 nodes are silent: it may be we who are cut off"), "brake"),
    (event(**OF_NODE, reason="'echo we who are cut off' run in web/main[0]"), None),
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


SECRET = "T0KEN-of-the-webhook"


def terms(file: Path | None) -> Terms:
    return Terms(
        listen="127.0.0.1:7070", every="10s", hosts=(), certificate=None, key=None, no_tokens=False,
        notify_url_file=file, notify_command=None, inventory=Path("inv.yml"), state=None, scheduler=None,
    )  # fmt: skip


def test_p15_the_url_of_a_webhook_is_in_no_argument_and_no_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("inv.yml").write_text("all: {hosts: {node1: {ansible_host: 192.0.2.1}}}\n")
    Path("url").write_text(f"http://127.0.0.1:1/{SECRET}\n")
    found = terms(Path("url"))
    assert found.notices.url == f"http://127.0.0.1:1/{SECRET}"
    words = found.words(found.find())
    assert words[words.index("--notify-url-file") + 1] == str(tmp_path / "url")
    with pytest.raises(CubeError, match=r"^127\.0\.0\.1: a notice was not taken: ") as failure:
        tell(found.notices, {})
    assert SECRET not in f"{words} {failure.value} {found.notices}"
    monkeypatch.setenv("CUBE_NOTIFY_URL", f"https://hooks.example/{SECRET}")
    assert terms(None).notices.url == f"https://hooks.example/{SECRET}"
    with pytest.raises(InputError, match="the service will not have this variable"):
        install(terms(None), yes=True)


@pytest.mark.parametrize(
    "text", ["", SECRET, f"ftp://h/{SECRET}", f"http://h/a b{SECRET}", f"http://h:x/{SECRET}"]
)
def test_p15_what_is_no_url_is_refused_and_not_quoted(text: str) -> None:
    with pytest.raises(InputError, match="this is no URL") as refusal:
        checked_url(text, "url.txt")
    assert SECRET not in str(refusal.value)


def test_what_nobody_takes_is_warned_of_and_the_rest_is_told(tmp_path: Path) -> None:
    with pytest.raises(CubeError, match="not taken"):
        tell(Notices(command=("/nowhere/at/all",)), {})
    store, warnings, warned = open_store(":memory:"), list[CubeError](), threading.Event()

    def warn(error: CubeError) -> None:
        warnings.append(error)
        warned.set()

    notifier = Notifier(store, "lab", Notices(command=(sys.executable, "-c", "exit(3)")), warn)
    notifier.begin()
    store.put_silences([], [("node1", "does not answer: timed out, nothing")], of=(), now=NOW)
    assert warned.wait(20)
    notifier.end()
    store.close()
    assert "exited with 3" in str(warnings[0])
