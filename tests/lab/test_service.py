"""`cube manager start` on real nodes: as an old client, an operator and a dying container would meet it."""

import json
import re
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.client import HTTPConnection
from typing import Any, NamedTuple

import pytest

from cube.lab import faults
from tests.imagery import layer
from tests.lab.desk import SLEEPER, Desk, wait_until
from tests.lab.workshop import Workshop
from tests.stage import BOOK_EVENT, TASK, free_port

pytestmark = [pytest.mark.lab, pytest.mark.usefixtures("fleet")]


class Running(NamedTuple):
    process: subprocess.Popen[str]
    port: int

    def ask(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.request(method, path, json.dumps(body), {"Content-Type": "application/json"})
        response = connection.getresponse()
        text = response.read()
        connection.close()
        return response.status, json.loads(text) if text else None


@pytest.fixture
def manager(desk: Desk) -> Iterator[Running]:
    with managing(desk, "5s") as found:
        yield found


@contextmanager
def managing(desk: Desk, every: str) -> Iterator[Running]:
    port = free_port()
    words = ("--no-tokens", "--listen", f"127.0.0.1:{port}", "--every", every)
    command = ("env", "CUBE_ENGINE=/nowhere", *desk.command("manager", "start"))  # images are the operator's
    process = subprocess.Popen([*command, *words], cwd=desk.folder, text=True, stdout=subprocess.PIPE)
    desk.begun.append(process)
    assert process.stdout is not None
    assert f"http://127.0.0.1:{port}" in process.stdout.readline()
    yield Running(process, port)
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0


def test_a_container_that_dies_is_replaced_at_once_while_a_command_works_beside(desk: Desk) -> None:
    """P6: its engine tells of it, and the next look of its own would be in an hour.

    The manager holds the lock only while it acts.
    """
    with managing(desk, "1h"):
        file = desk.write(SLEEPER)
        assert "3 running" in desk.cube("deploy", file, "--lock-wait", "10s").stdout
        (victim,) = desk.containers_on(0)
        desk.on(0, "docker", "kill", victim)
        wait_until(lambda: desk.data("status", "sleeper")[0]["restarts"] == 1)
        wait_until(lambda: len(desk.containers()) == 3)
        assert len(desk.containers()) == 3
        deaths = [event for event in desk.data("events") if event["change"] == "Running -> Failed"]
        assert len(deaths) == 1


Far = Callable[..., subprocess.CompletedProcess[str]]
"""Runs `cube` through the manager."""

READ = (
    ("status",), ("status", "sleeper"), ("events",), ("history", "sleeper"), ("why", "sleeper/main[0]"),
    ("why-not", "sleeper", "node1"), ("ps",), ("status", "nobody"),
    ("image", "ls"), ("volume", "ls", "--all"), ("simulate", "--replay", "-o", "json"),
)  # fmt: skip
"""What must be told in the same words, whoever is asked."""


def test_commands_through_a_manager_say_and_end_as_they_do_without_p12(
    desk: Desk, manager: Running, workshop: Workshop
) -> None:
    far = partial(_through, desk, manager)
    file = desk.write(SLEEPER)
    done = far("deploy", file)
    assert (done.returncode, "job sleeper: 3 changes; 3 running" in done.stdout) == (0, True), done
    assert "  start  sleeper/main[0] on node1  ok\n" in done.stdout
    assert "job sleeper: 0 changes; 3 running" in far("deploy", file).stdout
    for words in READ:
        told = far(*words)
        own = desk.cube(*words, code=told.returncode)
        assert _lasting(told.stdout) == _lasting(own.stdout), words
        assert _lasting(told.stderr) == _lasting(own.stderr), words
    command = ("exec", "sleeper/main[0]", "--", "sh", "-c", "echo $MARK; echo bad >&2; exit 7")
    inside, own = far(*command), desk.cube(*command, code=7)
    assert (
        (inside.returncode, inside.stdout, inside.stderr)
        == (7, own.stdout, own.stderr)
        == (7, "1\n", "bad\n")
    )
    restores_alike(desk, far)
    moves_alike(desk, far)
    pushes_alike(
        desk, far, workshop.make("1", layer({"app/mark": b"brought"}), Cmd=["/bin/cat", "/app/mark"])
    )
    builds_alike(desk, far, workshop)
    assert far("scale", "sleeper", "main=1").returncode == 0
    assert len(desk.containers()) == 1
    assert far("deploy", desk.write(SLEEPER, image="nowhere:7", count=1)).returncode == 1
    assert far("cron", "install").returncode == 2, "what works where the state is says so"
    assert far("remove", "sleeper").returncode == 0
    assert desk.containers() == []


def restores_alike(desk: Desk, far: Far) -> None:
    """An archive that is here fills a volume there, in the same words."""
    desk.on(0, "docker", "run", "--rm", "-v", "note:/n", "cube-busybox:1", "sh", "-c", "echo hello >/n/a")
    (kept,) = json.loads(far("volume", "backup", "note", "-o", "json").stdout)
    words = ("volume", "restore", "note", "--from", kept["path"], "--node", desk.nodes[1].name)
    told, refused = far(*words), far(*words)
    own = desk.cube(*words, "--lock-wait", "10s", code=2)
    assert (refused.returncode, refused.stderr) == (2, own.stderr)
    own = desk.cube(*words, "--lock-wait", "10s", "--replace")
    assert (told.returncode, _lasting(told.stdout)) == (0, _lasting(own.stdout)), told
    inside = ("docker", "run", "--rm", "-v", "note:/n", "cube-busybox:1", "cat", "/n/a")
    assert (desk.asked(1, *inside), far(*words, "--replace").returncode) == (["hello"], 0)
    assert desk.asked(1, *inside) == ["hello"]


WRITER = """
job: writer
groups:
  main:
    image: cube-busybox:1
    command: [sh, -c, "[ -e /noted/a ] || date >/noted/a; exec sleep 100000"]
    memory: 32MiB
    stop: {grace: 0s}
    volumes: ["noted:/noted"]
    update: {min_healthy_time: 0s}
"""


def moves_alike(desk: Desk, far: Far) -> None:
    """A task goes with what it has written, in the words of a move without a manager."""
    (desk.folder / "writer.yml").write_text(WRITER)
    assert far("deploy", "writer.yml").returncode == 0
    (old,) = (row["node"] for row in desk.data("status", "writer") if row["state"] == "Running")
    new = next(node.name for node in desk.nodes if node.name != old)
    told = far("move", "writer/main[0]", "--to", new, "--with-data")
    assert told.returncode == 0, told
    assert [re.split(":|, too", line)[0].strip() for line in told.stdout.splitlines()] == [
        "copied noted while its task runs",
        f"stop   writer/main[0] on {old}  ok",
        "copied and compared noted",
        f"start  writer/main[0] on {new}  ok",
        f"moved writer/main[0] from {old} to {new}",
        f"noted is kept on {old}",
        "version 1 is in place",
        "job writer",
    ]
    assert far("remove", "writer").returncode == 0


def pushes_alike(desk: Desk, far: Far, image: str) -> None:
    """An image of the engine that is here is on the nodes then, and no other is told to be."""
    pushed = far("image", "push", image)
    assert (pushed.returncode, pushed.stdout.count(f"{image} pushed: ")) == (0, len(desk.nodes)), pushed
    assert desk.asked(1, "docker", "run", "--rm", image) == ["brought"]
    told, own = far("image", "push", image), desk.cube("image", "push", image)
    assert sorted(told.stdout.splitlines()) == sorted(own.stdout.splitlines())
    told, own = far("image", "push", "nowhere:1"), desk.cube("image", "push", "nowhere:1", code=2)
    assert (told.returncode, told.stderr) == (2, own.stderr)


def builds_alike(desk: Desk, far: Far, workshop: Workshop) -> None:
    """What is built here is what runs there: the very bytes, so that a deploy from here changes nothing."""
    name = f"{workshop.name}:built"
    (desk.folder / "app").mkdir()
    (desk.folder / "app" / "Dockerfile").write_text(f"FROM {workshop.make('below')}\n")
    text = SLEEPER.replace("sleeper", "built").replace("    cpu", "    build: {{context: app}}\n    cpu")
    file = desk.write(text, image=name, count=1)
    done = far("deploy", file)
    assert (done.returncode, done.stdout.count(f"  push   {name} on ")) == (0, 1), done
    assert desk.data("history", "built")[-1]["job"]["groups"][0]["spec"]["pinned"] == workshop.id_of(name)
    assert "job built: 0 changes" in desk.cube("deploy", file, "--lock-wait", "10s").stdout
    assert far("remove", "built").returncode == 0


def test_an_old_client_s_file_runs_alike_here_and_through_a_manager_p12(desk: Desk, manager: Running) -> None:
    def write(**changes: object) -> None:
        task = BOOK_EVENT["Task"] | {"Image": "cube-demo:1", "HealthCheck": "", "ExposedPorts": None}
        event = {**BOOK_EVENT, "Task": task | {"PortBindings": None}, **changes}
        (desk.folder / "task.json").write_text(json.dumps(event))

    far = partial(_through, desk, manager)
    here = partial(desk.cube, "run", "-f", "task.json", "--lock-wait", "10s")
    write()
    done = far("run", "-f", "task.json")
    assert (done.returncode, f"job task-{TASK}: 1 change; 1 running" in done.stdout) == (0, True), done
    assert f"job task-{TASK}: 0 changes; 1 running" in here().stdout, "it is the same job from here"
    own, told = here("-o", "json"), far("run", "-o", "json")
    assert json.loads(own.stdout) == json.loads(told.stdout)
    write(State=4)
    own, told = here(code=2), far("run")
    assert (own.returncode, own.stderr) == (told.returncode, told.stderr)
    assert "task.json:1:" in own.stderr
    write(State=3)
    assert far("run").returncode == 0
    assert desk.containers() == []


def _through(desk: Desk, manager: Running, *words: str) -> subprocess.CompletedProcess[str]:
    """Run `cube` through the manager."""
    through = ("--manager", f"http://127.0.0.1:{manager.port}")
    return desk.forks.run((*through, *words), desk.folder, deadline=90)


def _lasting(text: str) -> str:
    """Without what another second changes: ages, times, when somebody looked, and how busy nodes were."""
    lines = [line for line in text.splitlines() if not line.startswith("cluster ")]
    return re.sub(r"\s+\d+[smhd]\b|\d\d:\d\d:\d\d|[+-]?\d+\.\d+|\s+", " ", "\n".join(lines))


def test_an_old_client_s_task_runs_and_outlives_its_node_s_silence_p3(desk: Desk, manager: Running) -> None:
    task = {**BOOK_EVENT["Task"], "Image": "cube-demo:1", "HealthCheck": "/health"}
    task |= {"ExposedPorts": {"8080/tcp": {}}, "PortBindings": {"8080/tcp": "7777"}}
    status, made = manager.ask("POST", "/tasks", {**BOOK_EVENT, "Task": task})
    assert (status, made["ID"]) == (201, TASK)

    def found() -> Any:
        return next(each for each in manager.ask("GET", "/tasks")[1] if each["ID"] == TASK)

    wait_until(lambda: found()["State"] == 2)
    assert found()["HostPorts"]["8080/tcp"][0]["HostPort"] == "7777"
    (slot,) = manager.ask("GET", "/api/v1/tasks")[1]
    number = next(n for n, node in enumerate(desk.nodes) if node.name == slot["node"])
    faults.kill(desk.engine, desk.nodes[number])

    def states() -> dict[str, str]:
        return {each["name"]: each["state"] for each in manager.ask("GET", "/api/v1/nodes")[1]}

    wait_until(lambda: states()[slot["node"]] == "unknown")
    assert found()["State"] == 2, "a node that does not answer is unknown, never empty"
    assert sum(state == "ready" for state in states().values()) == 2
    faults.heal(desk.engine, desk.nodes[number])
    wait_until(lambda: states()[slot["node"]] == "ready" and desk.containers())
    assert manager.ask("DELETE", f"/tasks/{TASK}")[0] == 204
    wait_until(lambda: desk.containers() == [])
    assert desk.containers() == []
