"""Notices: which events they tell of, and to whom."""

import json
import sys
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from cube.cli.managing import Terms, install
from cube.errors import CubeError, InputError
from cube.manager.notify import Notices, Notifier, checked_url, kind_of, notice_of, tell
from cube.model.action import Outcome, Start, Verdict
from cube.model.job import Group, Job
from cube.model.node import Cordon, Silence
from cube.model.observation import Observation
from cube.model.policy import Condition, Order
from cube.model.task import Slot, State, TaskEvent
from cube.reconciler.reconcile import reconcile
from cube.scheduler.algorithms import ALGORITHMS, DEFAULT_ALGORITHM
from cube.store.address import StatePlace
from cube.store.store import open_store
from tests.build import GIB, NOW, container, job, seen, unknown, world
from tests.stage import run, staged


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


SMALL, LARGE = 2**20, 8 * GIB
GONE = Silence(node="node1", at=NOW, misses=9, seconds=900.0)


class Fleet:
    """A store, and turns over it: what each plans is recorded, and comes about."""

    def __init__(self, *groups: Group) -> None:
        self.store = open_store(":memory:")
        self.want(Job(name="web", groups=groups or job().groups))
        self.turn(node1=LARGE)

    def want(self, wanted: Job) -> None:
        self.store.put_job(wanted, now=NOW, actor="ann", reason="deployed")

    def turn(self, *drained: str, **memory: int) -> None:
        """The nodes that answer have that much memory; node1 is long silent where it is not among them."""
        tasks = self.store.current_tasks()
        looks: list[Observation] = [] if "node1" in memory else [unknown("node1")]
        for name, size in memory.items():
            running = [container(task) for task in tasks if task.node == name and task.container]
            looks.append(seen(name, *running, memory=size))
        found = world(
            jobs=self.store.jobs(), tasks=tasks, former=self.store.former_tasks(), observed=looks,
            silences=[] if "node1" in memory else [GONE],
            cordons=[Cordon(node=name, at=NOW, actor="ann", draining=True) for name in drained],
        )  # fmt: skip
        plan = reconcile(found, ALGORITHMS[DEFAULT_ALGORITHM])
        for effect in self.store.record_plan(plan, now=NOW, actor="ann"):
            made = container(effect.task).id if isinstance(effect, Start) else None
            self.store.record_outcome(
                effect, Outcome(verdict=Verdict.OK, container=made), now=NOW, actor="ann"
            )

    @property
    def told(self) -> list[tuple[str, str]]:
        kinds = [(kind_of(found), found) for found in self.store.events()]
        return [(kind, f"{found.slot} {found.reason}") for kind, found in kinds if kind]


def test_a_lost_task_is_told_once_when_it_gets_another_place() -> None:
    fleet = Fleet()
    for _ in range(3):
        fleet.turn(node2=LARGE)
    (task,) = [found for found in fleet.store.current_tasks() if found.node == "node2"]
    assert task.state is State.RUNNING
    ((kind, told),) = fleet.told
    assert (kind, told.startswith("web/main[0] node1 is lost: best of 1 node, score ")) == ("lost", True)


def test_a_lost_task_is_told_once_where_it_must_wait_and_not_again_when_it_gets_a_place() -> None:
    fleet = Fleet()
    for _ in range(3):
        fleet.turn(node2=SMALL)
    told = [("lost", "web/main[0] node1 is lost: fits on none of 2 nodes")]
    assert fleet.told == told
    fleet.turn(node2=SMALL, node3=SMALL)
    fleet.turn(node2=SMALL, node3=LARGE)
    assert fleet.told == told
    assert [found.node for found in fleet.store.current_tasks()] == ["node1", "node3"]


def test_a_lost_task_that_waits_for_another_group_is_told_once() -> None:
    (base,) = job().groups
    fleet = Fleet(base, replace(base, name="app", depends_on={"main": Condition.HEALTHY}))
    fleet.turn(node1=LARGE)
    for _ in range(2):
        fleet.turn(node2=SMALL)
    assert sorted(told for _, told in fleet.told) == [
        "web/app[0] node1 is lost: waits for group main to be healthy",
        "web/main[0] node1 is lost: fits on none of 2 nodes",
    ]


def test_what_becomes_of_a_lost_task_s_successor_is_no_second_loss() -> None:
    fleet = Fleet(*job(order=Order.STOP_FIRST).groups)
    fleet.turn(node2=LARGE, node3=SMALL)
    before = fleet.told
    fleet.turn("node2", node2=LARGE, node3=LARGE)
    fleet.turn("node2", node2=LARGE, node3=LARGE)
    assert [found.node for found in fleet.store.current_tasks()][-1] == "node3"
    assert fleet.told == before


def test_a_rollback_is_told_whoever_wanted_it() -> None:
    with staged() as stage:
        for count in (1, 2):
            stage.manager.want(replace(job(count=count)), run())
        stage.manager.rollback("web", 1, run())
        told = [found.reason for found in stage.store.events() if kind_of(found) == "rollback"]
    assert told == ["rolled back to version 1: version 3"]


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


def test_of_several_managers_at_one_state_one_tells_of_each_event(place: StatePlace, tmp_path: Path) -> None:
    """Also while one of them is late: the others do not wait for it, and it repeats nothing."""
    file = tmp_path / "told"
    file.touch()
    script = f"import sys; open({str(file)!r}, 'a').write(sys.stdin.read() + '\\n')"
    stores = [open_store(place) for _ in range(3)]
    notices = Notices(command=(sys.executable, "-c", script))
    failed: list[CubeError] = []
    notifiers = [Notifier(store, "lab", notices, failed.append) for store in stores]
    for notifier in notifiers[:2]:
        notifier.begin()
    for number in range(4):
        what = f"does not answer: timed out, {number}"
        stores[0].put_silences([], [(f"node{number}", what)], of=(), now=NOW)
    tries = 200
    while len(file.read_text().splitlines()) < 4 and (tries := tries - 1):
        threading.Event().wait(0.1)
    for notifier in notifiers[:2]:
        notifier.end()
    late = notifiers[2]
    assert [late._to_tell(found) for found in stores[2].events()] == [None] * 4
    told = [json.loads(line)["event"]["node"] for line in file.read_text().splitlines()]
    assert not failed
    assert sorted(told) == [f"node{number}" for number in range(4)]
    for store in stores:
        store.close()
