"""What goes wrong in practice, through the whole `cube` command: it ends in time, says so, and is mended.

The rows F1 to F55 of the fault matrix that Cube's present scope covers and that no other file holds.
"""

import json
import os
import pty
import select
import signal
import subprocess
import time  # noqa: TID251 - real nodes take real time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
import yaml

from cube.lab import faults
from tests.lab.desk import BOUND, SERVER, SLEEPER, Desk, stopped, sweep, wait_until

pytestmark = [pytest.mark.lab, pytest.mark.usefixtures("fleet")]

ENDS_BADLY = """
job: {name}
type: {type}
groups:
  main:
    image: cube-busybox:1
    command: [sh, -c, "echo last words; sleep {seconds}; exit 4"]
    memory: 16MiB
    restart: {{attempts: 2, delay: 1s}}
"""


def starts(desk: Desk, job: str) -> int:
    """How often a task of that job was started, as recorded."""
    return sum(event["change"] == "Scheduled -> Running" for event in desk.data("events", "--job", job))


def the_container(desk: Desk, node: int) -> str:
    """The name of the one container of Cube's on that node."""
    return desk.on(node, "docker", "ps", "-a", "--filter", "label=cube.cluster", "--format", "{{.Names}}")


class TestATaskThatEndsBadly:
    def test_is_restarted_as_its_policy_says_and_then_left_p8(self, desk: Desk) -> None:
        file = desk.folder / "crash.yml"
        file.write_text(ENDS_BADLY.format(name="crash", type="service", seconds=1))
        subprocess.run(desk.command("deploy", str(file)), cwd=desk.folder, timeout=BOUND, check=False)
        wait_until(lambda: desk.data("status", "crash")[0]["state"] == "Failed" or sweep(desk))
        assert "exited with 4" in desk.cube("reconcile", code=1).stdout
        before = len(desk.data("events", "--job", "crash"))
        assert "start" not in desk.cube("reconcile", code=1).stdout
        assert len(desk.data("events", "--job", "crash")) == before, (
            "a sweep that does nothing records nothing"
        )
        assert desk.data("status", "crash")[0]["restarts"] == 2
        assert desk.cube("logs", "crash").stdout.count("last words") == 3

    @pytest.mark.parametrize("seconds", [0, 1])
    def test_of_a_batch_job_keeps_its_exit_code_and_its_log_p12(self, desk: Desk, seconds: int) -> None:
        file = desk.folder / "batch.yml"
        file.write_text(ENDS_BADLY.format(name="batch", type="batch", seconds=seconds))
        subprocess.run(desk.command("deploy", str(file)), cwd=desk.folder, timeout=BOUND, check=False)
        wait_until(lambda: desk.data("status", "batch")[0]["state"] == "Failed" or sweep(desk))
        desk.cube("reconcile", code=1)
        assert desk.data("status", "batch")[0]["exit_code"] == 4
        assert "last words" in desk.cube("logs", "batch").stdout


class TestAHandOnTheNode:
    def test_that_renames_a_container_and_starts_it_again_leaves_one_p4(self, desk: Desk) -> None:
        desk.cube("deploy", desk.write(SLEEPER))
        desk.on(0, "docker", "rename", the_container(desk, 0), "renamed")
        desk.on(0, "docker", "stop", "-t", "0", "renamed")
        sweep(desk)
        desk.on(0, "sh", "-c", "docker start renamed || true")
        wait_until(lambda: sweep(desk) == 0 and len(desk.ids()) == 3)
        assert len(desk.containers()) == 3
        assert len(desk.ids()) == 3

    def test_that_pauses_a_container_has_another_begun_in_its_place_p7_p11(self, desk: Desk) -> None:
        desk.cube("deploy", desk.write(SLEEPER))
        name = the_container(desk, 0)
        desk.on(0, "docker", "pause", name)
        desk.cube("reconcile")
        assert "changed by hand: paused" in desk.cube("events", "--job", "sleeper").stdout
        assert name not in desk.containers()
        assert len(desk.containers()) == 3
        assert sweep(desk) == 0

    def test_that_takes_a_container_s_name_keeps_it_and_a_deploy_goes_round_it_p5(self, desk: Desk) -> None:
        file = desk.write(SLEEPER)
        desk.cube("deploy", file)
        name = the_container(desk, 0)
        desk.on(0, "docker", "rm", "-f", name)
        foreign = desk.on(0, "docker", "run", "-d", "--name", name, "cube-busybox:1", "sleep", "1000")
        assert f"the name {name} is taken on node1" in desk.cube("reconcile", code=1).stdout
        desk.cube("deploy", file)
        assert foreign in desk.ids()
        assert len(desk.containers()) == 3

    def test_that_holds_a_port_is_named_and_not_fought_over_p8(self, desk: Desk) -> None:
        listen = (
            "perl -MIO::Socket::INET -e '$s = IO::Socket::INET->new(LocalPort => 18081, Listen => 1); sleep'"
        )
        for number in range(3):
            desk.on(number, "sh", "-c", f"{listen} >/dev/null 2>&1 & echo $! > /run/holder")
        try:
            done = desk.cube("deploy", desk.write(SERVER, image="cube-demo:1", host="18081", count=1), code=1)
        finally:
            for number in range(3):
                desk.on(number, "sh", "-c", "kill $(cat /run/holder)")
        assert "a port is already taken on node" in done.stdout
        assert "ss -ltnp" in done.stdout
        assert done.stdout.count("start  server/main[0]") == 1, "it has no restarts"
        assert "+ start server/main[0]" in desk.cube("plan", str(desk.folder / "job.yml")).stdout

    def test_that_forges_labels_of_another_cluster_is_left_alone_p5(self, desk: Desk) -> None:
        desk.cube("deploy", desk.write(SLEEPER))
        labels = desk.on(0, "docker", "inspect", "-f", "{{json .Config.Labels}}", the_container(desk, 0))
        forged = labels.replace('"cube.cluster":"', '"cube.cluster":"not-')
        assert forged != labels
        words = [f"--label={key}" for key in pairs(forged)]
        foreign = desk.on(0, "docker", "run", "-d", *words, "cube-busybox:1", "sleep", "1000")
        assert desk.cube("reconcile").stdout == ""
        desk.cube("remove", "sleeper")
        assert desk.ids() == {foreign}


class TestAnEngine:
    def test_that_hangs_is_told_from_a_dead_node_and_mended_when_it_goes_on_p1_p2(self, desk: Desk) -> None:
        file = desk.write(SLEEPER, count=6)
        with stopped(desk, 1, "dockerd"):
            started = time.monotonic()
            desk.cube("deploy", file, code=3)
            assert time.monotonic() - started < BOUND
            (row,) = [row for row in desk.data("nodes", code=3) if row["node"] == "node2"]
            assert row["memory"], "what /proc says is still shown"
        desk.cube("deploy", file)
        assert len(desk.containers()) == 6

    def test_that_is_killed_and_comes_back_gets_each_task_once_p4(self, desk: Desk) -> None:
        desk.cube("deploy", desk.write(SLEEPER, count=6))
        desk.on(0, "sh", "-c", "pkill -KILL -x dockerd")
        faults.start_engine(desk.engine, desk.nodes[0])
        wait_until(lambda: sweep(desk) == 0 and len(desk.containers()) == 6)
        assert len(desk.containers()) == 6
        assert len(desk.ids()) == 6

    def test_whose_disk_is_full_says_so_and_works_when_there_is_room_p12(self, desk: Desk) -> None:
        file = desk.write(SLEEPER, count=3)
        with full_disk(desk, 0):
            done = desk.cube("deploy", file, code=1)
            assert "no space left on device" in done.stdout
            assert len(desk.containers()) == 2
        desk.cube("deploy", file)
        assert len(desk.containers()) == 3


class TestANode:
    @pytest.mark.parametrize(("cut", "mend"), [("partition", "heal"), ("pause", "unpause"), ("kill", "heal")])
    def test_that_goes_away_in_the_middle_of_a_deploy_holds_up_no_other_and_gets_no_doubles_p2_p3_p4(
        self, desk: Desk, cut: str, mend: str
    ) -> None:
        file, started = desk.write(SLEEPER, count=9), time.monotonic()
        running = desk.begin("deploy", file)
        getattr(faults, cut)(desk.engine, desk.nodes[2])
        output, errors = running.communicate(timeout=BOUND)
        assert running.returncode in (1, 3), output + errors
        assert "Traceback" not in errors
        assert "node3" in errors
        assert time.monotonic() - started < BOUND
        assert len(desk.containers_on(0) + desk.containers_on(1)) >= 6, "the others have theirs"
        getattr(faults, mend)(desk.engine, desk.nodes[2])
        faults.heal(desk.engine, desk.nodes[2])
        desk.cube("deploy", file)
        assert len(desk.containers()) == 9
        assert len(desk.ids()) == 9
        assert desk.cube("reconcile").stdout == ""

    def test_whose_ssh_server_freezes_costs_only_its_own_row_p1(self, desk: Desk) -> None:
        with stopped(desk, 1, "sshd"):
            started = time.monotonic()
            rows = {row["node"]: row["state"] for row in desk.data("nodes", code=3)}
        assert time.monotonic() - started < BOUND
        assert rows == {"node1": "ready", "node2": "unknown", "node3": "ready"}

    def test_that_refuses_the_key_is_named_with_the_cure_p2(self, desk: Desk) -> None:
        with moved_away(desk, 1, "/root/.ssh/authorized_keys"):
            done = desk.cube("deploy", desk.write(SLEEPER), code=3)
        assert "node2: unknown: key refused" in done.stderr
        assert "3 running" in done.stdout

    def test_that_shows_another_host_key_gets_no_credential_p14(self, desk: Desk) -> None:
        another = desk.on(
            1, "sh", "-c", "rm -f /run/k; ssh-keygen -q -t ed25519 -N '' -f /run/k; cat /run/k.pub"
        )
        assert another
        with swapped(desk, 1, "/run/k", "/etc/ssh/ssh_host_ed25519_key"):
            done = desk.cube("reconcile", code=3)
        assert "node2: unknown: host key changed" in done.stderr


class TestTheState:
    @pytest.mark.parametrize("damage", ["truncated", "garbage", "emptied"])
    def test_that_is_damaged_is_refused_and_the_fleet_left_alone_p9(self, desk: Desk, damage: str) -> None:
        file, state = desk.write(SLEEPER), desk.folder / "state.db"
        desk.cube("deploy", file, "--state", str(state))
        before, sound = desk.ids(), state.read_bytes()
        state.write_bytes({"truncated": sound[:5000], "garbage": os.urandom(9000), "emptied": b""}[damage])
        for command in (("deploy", file), ("reconcile",)):
            done = subprocess.run(
                desk.command(*command, "--state", str(state)),
                cwd=desk.folder, capture_output=True, text=True, timeout=BOUND, check=False,
            )  # fmt: skip
            assert done.returncode in (1, 2), done.stdout + done.stderr
            assert "bug in Cube" not in done.stderr
        assert desk.ids() == before
        state.write_bytes(sound)
        assert desk.cube("reconcile", "--state", str(state)).stdout == ""

    def test_that_is_an_older_backup_stops_nothing_that_still_is_wanted_p6_p9(self, desk: Desk) -> None:
        state, backup = str(desk.folder / "state.db"), desk.folder / "backup.db"
        desk.cube("deploy", desk.write(SLEEPER), "--state", state)
        desk.cube("state", "backup", str(backup), "--state", state)
        before = desk.ids()
        desk.cube("scale", "sleeper", "main=5", "--state", state)
        backup.replace(state)
        desk.cube("reconcile", "--state", state)
        assert desk.ids() == before, "what the backup knows stays, what it does not know is an orphan"

    def test_that_is_busy_is_waited_for_where_that_was_asked_p1(self, desk: Desk) -> None:
        file = desk.write(SLEEPER, count=12)
        running = desk.begin("deploy", file)
        desk.cube("deploy", file, "--lock-wait", "60s")
        running.communicate(timeout=BOUND)
        assert running.returncode == 0
        assert len(desk.containers()) == 12


class TestAMachineUnderTwoNames:
    def test_keeps_what_runs_there_and_is_told_of_by_both_p3_p7(self, desk: Desk) -> None:
        desk.cube("deploy", desk.write(SLEEPER, name="web", count=3))
        before = desk.ids()
        inventory = yaml.safe_load(desk.inventory.read_text())
        hosts = inventory["all"]["hosts"]
        name = desk.nodes[0].name
        hosts["other"] = {**hosts[name], "ansible_ssh_common_args": f"-J {desk.nodes[1].name}"}
        for group in inventory["all"]["children"].values():
            group["hosts"]["other"] = None
        file = desk.folder / "twice.yml"
        file.write_text(yaml.safe_dump(inventory))
        desk = replace(desk, inventory=file)
        told = desk.cube("reconcile", code=3).stderr
        assert f"other: unknown: one machine under two names, it has the containers that {name} has" in told
        assert f"{name}: unknown: one machine under two names, it has the containers that other has" in told
        assert desk.ids() == before


class TestTheTerminal:
    def test_ends_a_followed_log_by_ctrl_c(self, desk: Desk) -> None:
        file = desk.folder / "talker.yml"
        file.write_text(
            "job: talker\ngroups:\n  main:\n    image: cube-busybox:1\n"
            "    command: [sh, -c, 'while :; do echo tick; sleep 0.2; done']\n    stop: {grace: 1s}\n"
        )
        desk.cube("deploy", str(file))
        running = desk.begin("logs", "talker", "-f")
        running.send_signal(signal.SIGINT)
        _, errors = running.communicate(timeout=10)
        assert (running.returncode, "Traceback" in errors) == (130, False)

    def test_is_handed_on_to_a_command_in_a_task(self, desk: Desk) -> None:
        desk.cube("deploy", desk.write(SLEEPER, count=1))
        ours, theirs = pty.openpty()
        with subprocess.Popen(
            desk.command("exec", "sleeper", "-t", "--", "sh", "-c", "tty; read line; echo got $line; exit 5"),
            cwd=desk.folder, stdin=theirs, stdout=theirs, stderr=theirs,
        ) as running:  # fmt: skip
            os.close(theirs)
            os.write(ours, b"hello\n")  # typed ahead, before anybody reads
            said = everything(ours, seconds=20)
        assert running.returncode == 5
        assert b"/dev/pts/" in said
        assert b"got hello" in said

    @pytest.mark.parametrize("words", ["events", "exec sleeper -- yes", "logs sleeper", "status -o json"])
    def test_that_reads_no_more_is_no_error(self, desk: Desk, words: str) -> None:
        desk.cube("deploy", desk.write(SLEEPER, count=1))
        command = " ".join(desk.command(*words.split()))
        done = subprocess.run(
            ["/bin/sh", "-c", f"{command} | head -1"],
            cwd=desk.folder, capture_output=True, text=True, timeout=BOUND, check=False,
        )  # fmt: skip
        assert done.stderr == ""


def everything(terminal: int, *, seconds: float) -> bytes:
    """What is said on that terminal until nobody holds its other end, or so long; it is closed then."""
    said, deadline = b"", time.monotonic() + seconds
    try:
        while select.select([terminal], [], [], max(deadline - time.monotonic(), 0))[0]:
            said += os.read(terminal, 4096)
    except OSError:  # a terminal's way to say the end
        pass
    os.close(terminal)
    return said


def pairs(labels: str) -> list[str]:
    return [f"{key}={value}" for key, value in json.loads(labels).items()]


@contextmanager
def full_disk(desk: Desk, node: int) -> Iterator[None]:
    """The engine of the node, which must be empty, can write no new container."""
    place = "/var/lib/docker/containers"
    desk.on(node, "mount", "-t", "tmpfs", "-o", "size=4k", "full", place)
    try:
        yield
    finally:
        desk.on(node, "umount", "-l", place)


@contextmanager
def moved_away(desk: Desk, node: int, path: str) -> Iterator[None]:
    """A file of the node is not there."""
    desk.on(node, "mv", path, f"{path}.away")
    try:
        yield
    finally:
        desk.on(node, "mv", f"{path}.away", path)


@contextmanager
def swapped(desk: Desk, node: int, one: str, other: str) -> Iterator[None]:
    """Two files of the node have each other's content."""
    swap = ["sh", "-c", f"cp -p {one} /run/swap && cp -p {other} {one} && mv /run/swap {other}"]
    desk.on(node, *swap)
    try:
        yield
    finally:
        desk.on(node, *swap)
