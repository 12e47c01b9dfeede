"""The whole `cube` command against real nodes, as a person types it: every exit code, every promise."""

import os
import signal
import sqlite3
import subprocess
import time  # noqa: TID251 - real nodes take real time
from contextlib import closing
from urllib.request import urlopen

import pytest

from cube.lab import faults
from tests.lab.desk import SERVER, SLEEPER, Desk, wait_until

pytestmark = [pytest.mark.lab, pytest.mark.usefixtures("fleet")]


class TestDeploy:
    def test_starts_what_the_file_says_and_says_so_p12(self, desk: Desk) -> None:
        done = desk.cube("deploy", desk.write(SLEEPER))
        assert "job sleeper: 3 changes; 3 running" in done.stdout
        assert [name[:20] for name in desk.containers()] == [f"cube-sleeper-main-{n}-" for n in range(3)]

    def test_again_changes_nothing_p10(self, desk: Desk) -> None:
        file = desk.write(SLEEPER)
        desk.cube("deploy", file)
        before, since = desk.ids(), f"{time.time():.6f}"  # a whole second would hold the end of the first
        assert "job sleeper: 0 changes; 3 running" in desk.cube("deploy", file).stdout
        assert desk.ids() == before
        for number in range(3):
            events = desk.on(
                number, "docker", "events", "--since", since, "--until", str(int(time.time()) + 1)
            )
            assert events == "", "an engine was asked to change something"

    def test_of_a_changed_spec_replaces_the_tasks(self, desk: Desk) -> None:
        desk.cube("deploy", desk.write(SLEEPER))
        before = desk.ids()
        desk.cube("deploy", desk.write(SLEEPER, mark="2"))
        assert len(desk.ids()) == 3
        assert not desk.ids() & before

    def test_serves_its_page_through_the_published_port(self, desk: Desk) -> None:
        desk.cube("deploy", desk.write(SERVER, image="cube-demo:1"))
        (row, *_) = desk.data("status", "server")
        assert row["health"] == "healthy"
        address = next(node.address for node in desk.nodes if node.name == row["node"])
        port = row["ports"].removeprefix("http=")
        with urlopen(f"http://{address}:{port}/", timeout=5) as page:
            assert b"version 1" in page.read()

    def test_of_an_image_that_nobody_has_fails_and_names_the_node_and_the_cure(self, desk: Desk) -> None:
        done = desk.cube("deploy", desk.write(SLEEPER, image="nowhere:7", count=1), code=1)
        assert "image nowhere:7 is not on node node" in done.stdout
        assert "cube image push" in done.stdout

    def test_of_what_cannot_start_fails_after_its_restarts_and_says_why_p8(self, desk: Desk) -> None:
        path = desk.folder / "crash.yml"
        path.write_text(
            "job: crash\ngroups:\n  main:\n    image: cube-busybox:1\n"
            "    user: no-such-user\n    restart: {attempts: 1, delay: 1s}\n"
        )
        done = desk.cube("deploy", str(path), code=1)
        assert done.stdout.count("start  crash/main[0] on") == 2, "once, and one restart"
        assert "no-such-user" in done.stdout

    def test_that_failed_gets_a_new_try_when_it_is_asked_again(self, desk: Desk) -> None:
        file = desk.write(SLEEPER, image="later:1", count=1)
        desk.cube("deploy", file, code=1)
        for number in range(3):
            desk.on(number, "docker", "tag", "cube-busybox:1", "later:1")
        desk.cube("deploy", file)
        for number in range(3):
            desk.on(number, "docker", "rmi", "later:1")

    def test_of_more_than_fits_waits_with_a_reason_for_every_node_p13(self, desk: Desk) -> None:
        done = desk.cube("deploy", desk.write(SLEEPER, cpu="64", count=1), code=1)
        assert done.stdout.count("cpu: 64000m asked") == 3

    def test_on_a_fixed_host_port_puts_one_task_on_each_node_p13(self, desk: Desk) -> None:
        done = desk.cube("deploy", desk.write(SERVER, image="cube-demo:1", host="18080", count=4), code=1)
        assert "host port 18080: taken" in done.stdout
        assert len(desk.containers()) == 3

    def test_of_a_sick_version_leaves_the_others_serving_p19(self, desk: Desk) -> None:
        desk.cube("deploy", desk.write(SERVER, image="cube-demo:1"))
        done = desk.cube("deploy", desk.write(SERVER, image="cube-busybox:1"), code=1)
        assert "failed version 2 of server" in done.stdout
        running = [found for found in desk.data("status", "server") if found["state"] == "Running"]
        assert [found["version"] for found in running] == [1, 1, 1]

    def test_of_a_batch_job_records_its_exit_code(self, desk: Desk) -> None:
        path = desk.folder / "batch.yml"
        path.write_text(
            "job: batch\ntype: batch\n"
            "groups:\n  main: {image: cube-busybox:1, command: [echo, done], memory: 16MiB}\n"
        )
        desk.cube("deploy", str(path))
        wait_until(lambda: desk.cube("reconcile") and desk.data("status", "batch")[0]["state"] == "Completed")
        assert desk.data("status", "batch")[0]["exit_code"] == 0
        assert "done" in desk.cube("logs", "batch").stdout


class TestPlan:
    def test_changes_nothing_and_tells_by_its_exit_code(self, desk: Desk) -> None:
        file = desk.write(SLEEPER)
        done = desk.cube("plan", file, "--detailed-exitcode", code=2)
        assert "+ start sleeper/main[0] on node" in done.stdout
        assert desk.containers() == []
        desk.cube("deploy", file)
        assert "no change" in desk.cube("plan", file, "--detailed-exitcode").stdout


class TestAJob:
    def test_is_scaled_up_and_down_and_what_stays_is_left_where_it_is_p7(self, desk: Desk) -> None:
        desk.cube("deploy", desk.write(SLEEPER))
        before = desk.containers()
        desk.cube("scale", "sleeper", "main=5")
        assert len(desk.containers()) == 5
        assert set(before) < set(desk.containers())
        desk.cube("scale", "sleeper", "main=1")
        assert desk.containers() == before[:1], "the first slot has its first task"

    def test_that_is_stopped_leaves_nothing_p20(self, desk: Desk) -> None:
        desk.cube("deploy", desk.write(SLEEPER))
        desk.cube("stop", "sleeper")
        assert desk.ids() == set()
        assert desk.data("status")[0]["state"] == "stopped"

    def test_that_is_removed_is_forgotten(self, desk: Desk) -> None:
        desk.cube("deploy", desk.write(SLEEPER))
        desk.cube("remove", "sleeper")
        assert desk.data("status") == []
        assert desk.data("events", "--job", "sleeper"), "its events stay"

    def test_leaves_foreign_containers_alone_p5(self, desk: Desk) -> None:
        desk.on(0, "docker", "run", "-d", "--name", "postgres", "cube-busybox:1", "sleep", "1000")
        desk.cube("deploy", desk.write(SLEEPER))
        desk.cube("stop", "sleeper")
        assert desk.on(0, "docker", "ps", "--format", "{{.Names}}") == "postgres"

    def test_lets_a_command_run_inside_and_keeps_its_exit_status_p16(self, desk: Desk) -> None:
        desk.cube("deploy", desk.write(SLEEPER, mark="$(id) 'x' \\\\"))
        done = desk.cube("exec", "sleeper/main[0]", "--", "sh", "-c", 'printf %s "$MARK"; exit 7', code=7)
        assert done.stdout == "$(id) 'x' \\"


class TestASweep:
    def test_is_quiet_where_nothing_happened(self, desk: Desk) -> None:
        desk.cube("deploy", desk.write(SLEEPER))
        assert desk.cube("reconcile").stdout == ""

    def test_brings_back_a_container_that_somebody_removed(self, desk: Desk) -> None:
        desk.cube("deploy", desk.write(SLEEPER))
        desk.on(0, "sh", "-c", "docker rm -f $(docker ps -q)")
        assert len(desk.containers()) == 2
        desk.cube("reconcile")
        assert len(desk.containers()) == 3
        reasons = [event["reason"] for event in desk.data("events")]
        assert "its container is gone" in reasons

    def test_starts_again_what_died_when_its_node_was_restarted(self, desk: Desk) -> None:
        desk.cube("deploy", desk.write(SLEEPER))
        faults.kill(desk.engine, desk.nodes[0])
        faults.start(desk.engine, desk.nodes[0])
        wait_until(lambda: desk.cube("reconcile") and len(desk.containers()) == 3)
        assert len(desk.containers()) == 3


class TestANodeThatIsGone:
    def test_is_unknown_and_named_and_nothing_of_it_is_moved_p3_p12(self, desk: Desk) -> None:
        desk.cube("deploy", desk.write(SLEEPER))
        faults.kill(desk.engine, desk.nodes[2])
        done = desk.cube("reconcile", code=3)
        assert "node3: unknown" in done.stderr
        assert "its 1 tasks are left as they are" in done.stderr
        rows = {row["node"]: row["state"] for row in desk.data("nodes", code=3)}
        assert rows == {"node1": "ready", "node2": "ready", "node3": "unknown"}
        assert desk.data("status")[0]["running"] == "2/3, 1 unknown"
        assert {row["state"] for row in desk.data("status", "sleeper")} == {"Running", "unknown"}

    def test_does_not_keep_the_others_from_being_deployed_to_p2(self, desk: Desk) -> None:
        faults.kill(desk.engine, desk.nodes[2])
        done = desk.cube("deploy", desk.write(SLEEPER), code=3)
        assert "3 running" in done.stdout

    def test_by_its_engine_is_told_apart_from_a_dead_machine(self, desk: Desk) -> None:
        faults.stop_engine(desk.engine, desk.nodes[1])
        (row,) = [row for row in desk.data("nodes", code=3) if row["node"] == "node2"]
        assert "Docker" in row["engine"]
        assert row["memory"], "what /proc says is still shown"

    def test_that_hangs_costs_only_its_own_row_and_ends_in_time_p1(self, desk: Desk) -> None:
        faults.pause(desk.engine, desk.nodes[1])
        started = time.monotonic()
        rows = {row["node"]: row["state"] for row in desk.data("nodes", code=3)}
        assert time.monotonic() - started < 30
        assert rows == {"node1": "ready", "node2": "unknown", "node3": "ready"}


class TestAnInterruptedDeploy:
    def test_by_ctrl_c_says_130_and_a_second_run_finishes_it_p9(self, desk: Desk) -> None:
        file = desk.write(SLEEPER, count=12)
        running = desk.begin("deploy", file)
        running.send_signal(signal.SIGINT)
        _, errors = running.communicate(timeout=60)
        assert running.returncode == 130
        assert errors == "cube: interrupted; what was done is recorded\n"
        desk.cube("deploy", file)
        assert len(desk.containers()) == 12

    def test_by_kill_9_leaves_no_lock_and_a_second_run_finishes_it_p9(self, desk: Desk) -> None:
        file = desk.write(SLEEPER, count=12)
        running = desk.begin("deploy", file)
        running.kill()
        running.communicate(timeout=60)
        desk.cube("deploy", file)
        assert len(desk.containers()) == 12
        assert desk.cube("reconcile").stdout == ""

    @pytest.mark.parametrize(
        "signals", [[signal.SIGTERM], [signal.SIGINT, signal.SIGINT]], ids=["term", "ctrl-c twice"]
    )
    def test_by_other_signals_leaves_no_lock_either_and_the_next_sweep_finishes_it_p9(
        self, desk: Desk, signals: list[signal.Signals]
    ) -> None:
        """Fault F47."""
        running = desk.begin("deploy", desk.write(SLEEPER, count=12))
        for number in signals:
            running.send_signal(number)
            time.sleep(0.05)  # or the kernel delivers two as one
        _, errors = running.communicate(timeout=60)
        assert running.returncode in (-signals[0], 130)
        assert "Traceback" not in errors
        desk.cube("reconcile")
        assert len(desk.containers()) == 12
        assert desk.cube("reconcile").stdout == ""

    def test_holds_off_a_second_one_that_names_the_holder(self, desk: Desk) -> None:
        file = desk.write(SLEEPER, count=30)
        running = desk.begin("deploy", file)
        stop_between_writes(desk, running)  # or it might be done before the other one has come
        done = desk.cube("reconcile", code=4)
        running.send_signal(signal.SIGCONT)
        assert "deploy" in done.stderr
        assert str(running.pid) in done.stderr
        running.communicate(timeout=60)
        assert running.returncode == 0


def stop_between_writes(desk: Desk, running: subprocess.Popen[str]) -> None:
    """Stop it where it holds Cube's lock, and not SQLite's: nobody could read who holds the other."""
    (state,) = (desk.folder / ".cube").glob("*.db")
    for _ in range(100):
        running.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, running.pid, os.WSTOPPED | os.WNOWAIT)
        with closing(sqlite3.connect(state, timeout=0, isolation_level=None)) as reader:
            try:
                reader.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError:
                running.send_signal(signal.SIGCONT)
                time.sleep(0.02)
            else:
                return
    pytest.fail("it writes all the time")


class TestTwoStores:
    def test_do_not_drive_one_fleet_the_second_is_refused_p5(self, desk: Desk) -> None:
        file, other = desk.write(SLEEPER), str(desk.folder / "other.db")
        desk.cube("deploy", file)
        before = desk.ids()
        done = desk.cube("deploy", file, "--state", other, code=1)
        assert "driven from another store" in done.stderr
        assert desk.ids() == before
        assert desk.data("status", "--state", other) == [], "what was refused is not wanted"
