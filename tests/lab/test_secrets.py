"""Secrets on real nodes: where they are to be, and nowhere else: a canary is looked for everywhere."""

import json
import subprocess
import threading
from collections.abc import Iterable
from pathlib import Path
from secrets import token_hex
from typing import Self

import pytest

from cube.lab import faults
from tests.lab.desk import Desk

pytestmark = [pytest.mark.lab, pytest.mark.usefixtures("fleet")]

JOB = """
job: vault
groups:
  main:
    image: cube-busybox:1
    command: [sleep, "100000"]
    user: "1234:5678"
    memory: 16MiB
    secrets:
      from-env: /etc/app/env.txt
      from-file: {}
      from-command: {}
      sealed: {}
    stop: {grace: 0s}
    restart: {attempts: 1, delay: 1s}
  named:
    image: with-users:1
    constraints: ["node.name = node1"]
    command: [sleep, "100000"]
    user: daemon
    memory: 16MiB
    secrets: {sealed: /sealed, loud: {env: LOUD}}
    stop: {grace: 0s}
"""

LOUD = """
job: loud
groups:
  main:
    image: cube-busybox:1
    command: [sh, -c, "echo $LOUD; cat /sealed; exit 3"]
    memory: 16MiB
    secrets: {sealed: /sealed, loud: {env: LOUD}}
    restart: {attempts: 1, delay: 0s}
"""

CHANGING = """
job: vault
groups:
  main:
    image: cube-busybox:1
    command: [sleep, "100000"]
    user: "1234"
    memory: 16MiB
    secrets: [sealed]
    templates: {/etc/app.conf: app.j2}
    stop: {grace: 0s}
    restart: {attempts: 1, delay: 1s}
    update: {min_healthy_time: 0s}
"""

WITH_USERS = """
docker image inspect with-users:1 >/dev/null 2>&1 && exit 0
made=$(docker create cube-busybox:1 true)
docker cp /etc/passwd "$made:/etc/passwd" && docker cp /etc/group "$made:/etc/group"
docker commit "$made" with-users:1 && docker rm "$made"
"""


class Canaries:
    """A value of its own for each secret, and who has said one."""

    def __init__(self, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        self.desk = desk
        self.values = {
            name: f"canary-{token_hex(8)}" for name in ("env", "file", "command", "sealed", "loud")
        }
        self.cluster = desk.inventory.stem
        folder = desk.folder / "secrets"
        folder.mkdir()
        (desk.folder / "plain.txt").write_text(self.values["file"])
        (desk.folder / "tell.sh").write_text(f"#!/bin/sh\necho {self.values['command']}\n")
        (desk.folder / "tell.sh").chmod(0o700)
        (folder / f"{self.cluster}.yml").write_text(
            "from-env: {env: CANARY}\nfrom-file: {file: plain.txt}\n"
            "from-command: {command: [./tell.sh]}\nloud: {env: CANARY_LOUD}\n"
        )
        monkeypatch.setenv("CANARY", self.values["env"])
        monkeypatch.setenv("CANARY_LOUD", self.values["loud"])
        monkeypatch.setenv("CUBE_AGE_KEY_FILE", str(desk.folder / "age.key"))
        self.seal(self.values["sealed"])
        desk.on(0, "sh", "-c", WITH_USERS)
        for node in range(len(desk.nodes)):  # what other tests left, who removed containers by hand
            desk.on(node, "sh", "-c", "rm -rf /run/cube/*")

    def seal(self, value: str) -> None:
        self.values["sealed"] = value
        self.desk.cube("secret", "set", "sealed", stdin=value + "\n")

    def are_kept_from(self, outputs: Iterable[subprocess.CompletedProcess[str]]) -> None:
        for output in outputs:
            assert self.said_in(output.stdout + output.stderr) == []
        kept = {self.desk.folder / "plain.txt", self.desk.folder / "tell.sh"}
        for file in self.desk.folder.rglob("*"):
            if file.is_file() and file not in kept:
                assert self.said_in(file.read_bytes().decode("latin-1")) == [], file

    def said_in(self, text: str, *, but: tuple[str, ...] = ()) -> list[str]:
        return [name for name, value in self.values.items() if value in text and name not in but]


@pytest.fixture(name="canaries")
def _canaries(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Canaries:
    return Canaries(desk, monkeypatch)


class Listener:
    """Reads the arguments of every process of this machine, and so of its nodes, until told to end."""

    def __init__(self) -> None:
        self.heard: set[str] = set()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._listen)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _listen(self) -> None:
        while not self._over.wait(0.01):
            for process in Path("/proc").iterdir():
                if process.name.isdigit():
                    try:
                        self.heard.add((process / "cmdline").read_bytes().decode("utf-8", "replace"))
                    except OSError:
                        continue


def where(desk: Desk, task: str) -> tuple[int, str]:
    """The node and the name of the container of that task."""
    return next(
        (number, name)
        for number in range(len(desk.nodes))
        for name in desk.containers_on(number)
        if name.startswith(f"cube-{task}-")
    )


def test_a_secret_is_in_the_memory_of_its_task_and_nowhere_else_p15(desk: Desk, canaries: Canaries) -> None:
    (desk.folder / "job.yml").write_text(JOB)
    with Listener() as listener:
        outputs = [
            desk.cube("plan", "job.yml", "--out", "vault.plan"),
            deployed := desk.cube("deploy", "job.yml"),
            desk.cube("exec", "vault/main[0]", "--", "true"),
        ]
    number, name = where(desk, "vault-main-0")
    inside = ["docker", "exec", name]
    values = canaries.values
    places = {"env": "/etc/app/env.txt", "sealed": "/run/secrets/sealed"}
    places |= {each: f"/run/secrets/from-{each}" for each in ("file", "command")}
    for value, path in places.items():
        assert desk.on(number, *inside, "cat", path) == values[value]
        assert desk.on(number, *inside, "stat", "-c", "%a %u %g", path) == "400 1234 5678"
    assert "tmpfs" in desk.on(number, *inside, "grep", " /run/secrets/sealed ", "/proc/mounts")
    other, named = where(desk, "vault-named-0")
    assert desk.on(other, "docker", "exec", named, "stat", "-c", "%U", "/sealed") == "daemon"
    assert desk.on(other, "docker", "exec", named, "sh", "-c", "echo $LOUD") == values["loud"]
    assert "becomes the variable LOUD" in deployed.stderr

    outputs += [desk.cube(*words, "-o", "json") for words in (("status",), ("events",), ("history", "vault"))]
    outputs += [desk.cube("secret", "ls"), desk.cube("logs", "vault/main[0]")]
    canaries.are_kept_from(outputs)
    said = canaries.said_in("\n".join(listener.heard))
    assert any("sleep" in line for line in listener.heard), "it hears what runs on the nodes"
    assert said == [], "in somebody's arguments"
    for node in range(len(desk.nodes)):
        inspected = desk.on(node, "sh", "-c", "docker ps -aq | xargs -r docker inspect")
        assert canaries.said_in(inspected, but=("loud",)) == []
        for canary in (value for name, value in values.items() if name != "loud"):
            script = (
                f"grep -rlaF -e {canary} /var/lib/docker /var/log /tmp /root /etc /home 2>/dev/null || true"
            )
            assert desk.on(node, "sh", "-c", script) == ""

    (desk.folder / "loud.yml").write_text(LOUD)
    outputs = [desk.cube("deploy", "loud.yml", code=1), told := desk.cube("postmortem", "loud/main[0]")]
    canaries.are_kept_from([*outputs, desk.cube("events", "-o", "json")])
    assert told.stdout.count("***") >= 2, "what it said itself is kept, without them"


def test_a_change_is_an_update_a_reboot_brings_all_back_and_removal_leaves_nothing_p15(
    desk: Desk, canaries: Canaries
) -> None:
    (desk.folder / "templates").mkdir()
    (desk.folder / "templates" / "app.j2").write_text("{{ task.name }} on {{ node.name }}\n")
    (desk.folder / "job.yml").write_text(CHANGING)
    desk.cube("deploy", "job.yml")
    before = desk.ids()
    canaries.seal(canaries.values["sealed"])
    assert "0 changes" in desk.cube("deploy", "job.yml").stdout, "the same value, sealed anew, is no change"
    canaries.seal(f"canary-{token_hex(8)}")
    desk.cube("deploy", "job.yml")
    assert not desk.ids() & before
    changes = desk.data("history", "vault")[-1]["changes"]
    assert any("fingerprint" in change for change in changes)
    assert canaries.said_in(json.dumps(changes)) == []

    number, _ = where(desk, "vault-main-0")
    faults.kill(desk.engine, desk.nodes[number])
    faults.start(desk.engine, desk.nodes[number])
    assert desk.asked(number, "sh", "-c", "ls -A /run/cube 2>/dev/null || true") == []
    desk.cube("reconcile")
    inside = ["docker", "exec", where(desk, "vault-main-0")[1]]
    assert desk.on(number, *inside, "cat", "/run/secrets/sealed") == canaries.values["sealed"]
    assert desk.on(number, *inside, "cat", "/etc/app.conf") == f"vault/main[0] on node{number + 1}"
    assert desk.on(number, *inside, "stat", "-c", "%a", "/etc/app.conf") == "444"

    (desk.folder / "templates" / "app.j2").write_text("{{ node.nam }}\n")
    assert "templates/app.j2:1:1: " in desk.cube("deploy", "job.yml", code=2).stderr
    desk.on(number, "docker", "rm", "-f", where(desk, "vault-main-0")[1])
    desk.cube("remove", "vault")
    for node in range(len(desk.nodes)):
        assert desk.on(node, "sh", "-c", "ls -A /run/cube 2>/dev/null || true") == ""


def test_a_secret_that_is_not_to_be_had_is_refused_before_anything_is_touched(
    desk: Desk, canaries: Canaries, monkeypatch: pytest.MonkeyPatch
) -> None:
    (desk.folder / "job.yml").write_text(JOB)
    monkeypatch.delenv("CANARY")
    refused = desk.cube("deploy", "job.yml", code=2)
    assert "the secret 'from-env' cannot be had: $CANARY is not set" in refused.stderr
    (desk.folder / "job.yml").write_text(JOB.replace("sealed: {}", "unknown: {}"))
    monkeypatch.setenv("CANARY", "x")
    assert "there is no secret 'unknown'" in desk.cube("deploy", "job.yml", code=2).stderr
    assert desk.ids() == set()
    assert (desk.folder / ".cube" / "secrets.key").stat().st_mode & 0o777 == 0o600
