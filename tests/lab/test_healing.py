"""Healing on real nodes: what dies, hides or is tampered with is made good elsewhere or in its place."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from cube.lab import faults
from tests.lab.desk import Desk, stopped, sweep, wait_until

pytestmark = [pytest.mark.lab, pytest.mark.usefixtures("fleet")]

TASKS = """
job: web
groups:
  main:
    count: {count}
    image: cube-busybox:1
    command: [sleep, "100000"]
    env: {{MARK: "{mark}"}}
    memory: 32MiB
    lost_after: 2s
    restart: {{attempts: 0}}
    reschedule: {{delay: 0s}}
    stop: {{grace: 0s}}
"""

SERVERS = """
job: web
groups:
  main:
    count: {count}
    image: cube-demo:1
    memory: 32MiB
    ports: {{http: {{container: 8080, public: true}}}}
    health: {{http: /health, port: http, interval: 1s, timeout: 1s, failures: 2}}
    on_unhealthy: quarantine
    reschedule: {{delay: 0s}}
    stop: {{grace: 0s}}
    update: {{min_healthy_time: 1s}}
"""


def renamed(file: str, name: str) -> str:
    """The same job file, whose job is called otherwise."""
    path = Path(file)
    path.write_text(path.read_text().replace("job: web", f"job: {name}"))
    return file


@contextmanager
def undone(desk: Desk, fault: Callable[..., None]) -> Iterator[None]:
    """The fault is on the third node, and undone at the end."""
    fault(desk.engine, desk.nodes[2])
    try:
        yield
    finally:
        faults.heal(desk.engine, desk.nodes[2])


@contextmanager
def without_sshd(desk: Desk, node: int) -> Iterator[None]:
    """No process listens for SSH on the node: its kernel refuses at once."""
    desk.on(node, "sh", "-c", "pkill -x sshd; while pgrep -x sshd >/dev/null; do sleep 0.05; done")
    try:
        yield
    finally:
        desk.on(node, "/usr/sbin/sshd")


SILENT: dict[str, Callable[[Desk], Any]] = {
    "killed": lambda desk: undone(desk, faults.kill),
    "engine stopped": lambda desk: undone(desk, faults.stop_engine),
    "paused": lambda desk: undone(desk, faults.pause),
    "partitioned": lambda desk: undone(desk, faults.partition),
    "sshd frozen": lambda desk: stopped(desk, 2, "sshd"),
    "sshd stopped": lambda desk: without_sshd(desk, 2),
}
"""Ways in which a node stops to answer."""

DEADLY = ("killed", "engine stopped")
"""Those that the node's tasks do not survive."""


class TestANodeThatFallsSilent:
    @pytest.mark.parametrize("how", SILENT)
    def test_has_its_tasks_run_elsewhere_after_three_looks_and_no_doubles_when_it_is_back_p4_p6(
        self, desk: Desk, how: str
    ) -> None:
        desk.cube("deploy", desk.write(TASKS, count=3))
        before, others = desk.containers(), elsewhere(desk)
        with SILENT[how](desk):
            for look in (1, 2):
                assert sweep(desk) == 3, f"at look {look} it is unknown"
                assert elsewhere(desk) == others, f"at look {look} nothing is moved"
            wait_until(lambda: sweep(desk) == 3 and len(elsewhere(desk)) == 3)
            assert len(elsewhere(desk)) == 3
            moved = elsewhere(desk)
        stays = moved if how in DEADLY else before
        assert "start" not in desk.cube("reconcile").stdout, "its first act is to remove doubles"
        wait_until(lambda: sweep(desk) == 0 and desk.containers() == stays)
        assert desk.containers() == stays, "of two that live the older stays"
        assert len(desk.ids()) == 3, "the double is gone, running or not"
        assert desk.cube("reconcile").stdout == ""

    def test_rids_itself_first_of_what_was_stopped_changed_or_scaled_away_meanwhile_p4_p6(
        self, desk: Desk
    ) -> None:
        """Fault F63: what nobody wants any more goes from it, and what is wanted is there once."""
        asked = "none", "one", "changed"
        for name in asked:
            desk.cube("deploy", renamed(desk.write(TASKS, count=3, mark="old"), name))
        with SILENT["partitioned"](desk):
            desk.cube("stop", "none", code=3)
            desk.cube("scale", "one", "main=1", code=3)
            desk.cube("deploy", renamed(desk.write(TASKS, count=3, mark="new"), "changed"), code=3)
        assert "start" not in desk.cube("reconcile").stdout.splitlines()[0]
        wait_until(lambda: sweep(desk) == 0 and not desk.cube("reconcile").stdout)
        names = desk.containers()
        assert [sum(f"-{name}-" in found for found in names) for name in asked] == [0, 1, 3]
        assert len(desk.ids()) == 4, "nothing that has ended is left either"
        assert {row["version"] for row in desk.data("status", "changed") if row["state"] == "Running"} == {2}

    def test_that_is_back_before_that_has_lost_nothing_p4(self, desk: Desk) -> None:
        desk.cube("deploy", desk.write(TASKS, count=3))
        before = desk.ids()
        with SILENT["sshd frozen"](desk):
            desk.cube("reconcile", code=3)
        assert desk.cube("reconcile").stdout == ""
        assert desk.ids() == before

    def test_in_the_company_of_all_others_loses_nothing_for_it_is_we_who_are_cut_off_p8(
        self, desk: Desk
    ) -> None:
        desk.cube("deploy", desk.write(TASKS, count=3))
        before = desk.ids()
        with stopped(desk, 0, "sshd"), stopped(desk, 1, "sshd"), stopped(desk, 2, "sshd"):
            for _ in range(3):
                assert "start" not in desk.cube("reconcile", code=3).stdout
        assert desk.cube("reconcile").stdout == ""
        assert desk.ids() == before


class TestANodeThatIsSwitchedOffAndOn:
    def test_runs_its_own_tasks_again_each_once_p4(self, desk: Desk) -> None:
        desk.cube("deploy", desk.write(TASKS, count=6))
        faults.kill(desk.engine, desk.nodes[0])
        faults.start(desk.engine, desk.nodes[0])
        wait_until(lambda: sweep(desk) == 0 and len(desk.containers()) == 6)
        assert len(desk.containers()) == 6
        assert len(desk.ids()) == 6
        assert desk.cube("reconcile").stdout == ""


class TestAHand:
    def test_that_changes_a_container_is_told_and_undone_p11(self, desk: Desk) -> None:
        desk.cube("deploy", desk.write(TASKS, count=3))
        name = desk.containers_on(0)[0]
        desk.on(0, "docker", "update", "--memory", "64m", "--memory-swap", "64m", name)
        desk.cube("reconcile")
        wait_until(lambda: sweep(desk) == 0 and not desk.cube("reconcile").stdout)
        assert len(desk.containers()) == 3
        assert name not in desk.containers()
        reasons = [event["reason"] for event in desk.data("events", "--job", "web")]
        assert any("memory limit 67108864 in place of 33554432" in reason for reason in reasons)

    def test_that_removes_image_and_container_moves_the_task_to_a_node_that_has_it_p4(
        self, desk: Desk
    ) -> None:
        desk.cube("deploy", desk.write(TASKS, count=3))
        (name,) = desk.containers_on(0)
        desk.on(0, "docker", "rm", "-f", name)
        with without_image(desk, 0, "cube-busybox:1"):
            wait_until(lambda: sweep(desk) == 0 and len(desk.containers()) == 3)
            assert desk.containers_on(0) == []
            assert len(desk.containers()) == 3
        assert desk.cube("reconcile").stdout == ""


class TestASickTask:
    def test_is_put_in_quarantine_and_another_serves_in_its_place_p19(self, desk: Desk) -> None:
        desk.cube("deploy", desk.write(SERVERS, count=3))
        (sick,) = desk.containers_on(0)
        tell(desk, 0, sick, "unhealthy")
        away = f"{sick}-quarantined"
        wait_until(lambda: sweep(desk) == 0 and away in desk.containers_on(0) and len(desk.ids()) == 4)
        assert away in desk.containers_on(0), "it runs on, for somebody to look at"
        assert desk.on(0, "docker", "port", away) == "", "and serves nobody"
        rows = desk.data("status", "web")
        assert sorted(row["health"] for row in rows if row["state"] == "Running") == ["healthy"] * 3
        assert "start" not in desk.cube("reconcile").stdout
        assert len(desk.ids()) == 4, "the next sweep changes nothing"


class TestADrain:
    def test_lets_the_old_task_serve_until_the_new_one_is_healthy_p19(self, desk: Desk) -> None:
        desk.cube("deploy", desk.write(SERVERS, count=3))
        done = desk.cube("node", "drain", "node1").stdout
        start, stop = done.index("start  web/main"), done.index("stop   web/main")
        assert start < stop
        assert desk.containers_on(0) == []
        events = desk.data("events", "--job", "web")
        new = max(at(events, "Scheduled -> Running"))
        gone = max(at(events, "Running -> Completed"))
        assert gone - new >= 1, "it was healthy for min_healthy_time before the old one was stopped"

    def test_says_what_cannot_move_and_why_p12(self, desk: Desk) -> None:
        file = desk.folder / "job.yml"
        file.write_text(
            TASKS.format(count=1, mark="1") + '    constraints: ["node.name = node1"]\n', encoding="utf-8"
        )
        desk.cube("deploy", str(file))
        done = desk.cube("node", "drain", "node1", "--timeout", "10s", code=1)
        assert "stays  web/main[0]: version 1 fits nowhere" in done.stdout
        assert len(desk.containers_on(0)) == 1, "what has no other place stays"


def elsewhere(desk: Desk) -> list[str]:
    """What runs on the nodes that are well."""
    return sorted(desk.containers_on(0) + desk.containers_on(1))


def tell(desk: Desk, node: int, container: str, word: str) -> None:
    """Make a demo server healthy or unhealthy."""
    url = f"http://127.0.0.1:8080/{word}"
    desk.on(node, "docker", "exec", container, "wget", "-qO-", url)


def at(events: list[dict[str, Any]], change: str) -> list[float]:
    """When the events of that kind were, in seconds since the epoch."""
    found = [event["at"] for event in events if event["change"] == change]
    return [datetime.fromisoformat(text).timestamp() for text in found]


@contextmanager
def without_image(desk: Desk, node: int, image: str) -> Iterator[None]:
    """The node does not know the image by its name."""
    desk.on(node, "docker", "tag", image, "kept:1")
    desk.on(node, "docker", "rmi", image)
    try:
        yield
    finally:
        desk.on(node, "docker", "tag", "kept:1", image)
        desk.on(node, "docker", "rmi", "kept:1")
