"""The commands that steer jobs, nodes and the state itself, typed as a person types them."""

import json
import signal
import time  # noqa: TID251 - real nodes take real time
from pathlib import Path

import pytest

from tests.lab.desk import SLEEPER, Desk, wait_until

pytestmark = [pytest.mark.lab, pytest.mark.usefixtures("fleet")]

RUNNER = """
job: runner
type: parameterized
parameters: {required: [code]}
groups:
  main:
    image: cube-busybox:1
    command: [sh, -c, "echo last words; exit $CUBE_PARAM_CODE"]
    memory: 16MiB
    restart: {attempts: 1, delay: 0s}
    reschedule: {attempts: 0}
"""


class TestVersions:
    def test_rollback_brings_the_last_good_version_back_and_history_tells_p7(self, desk: Desk) -> None:
        desk.cube("deploy", desk.write(SLEEPER, mark="old"))
        assert "version 2 is in place" in desk.cube("deploy", desk.write(SLEEPER, mark="new")).stdout
        desk.cube("rollback", "sleeper")
        found = desk.data("history", "sleeper")
        assert [row["reason"] for row in found] == ["deployed", "deployed", "rolled back to version 1"]
        assert found[2]["changes"] == ["groups.main.env.MARK: new -> old"]
        assert {row["version"] for row in desk.data("status", "sleeper") if row["state"] == "Running"} == {3}

    def test_a_paused_rollout_that_is_not_there_is_refused(self, desk: Desk) -> None:
        desk.cube("deploy", desk.write(SLEEPER))
        assert "no rollout of job sleeper is under way" in desk.cube("pause", "sleeper", code=2).stderr
        assert "not paused" in desk.cube("resume", "sleeper", code=2).stderr


CANARIES = """
job: web
groups:
  main:
    count: {count}
    image: cube-demo:1
    env: {{VERSION: "{mark}"}}
    memory: 32MiB
    ports: {{http: {{container: 8080, public: true}}}}
    health: {{http: /health, port: http, interval: 1s, timeout: 1s}}
    stop: {{grace: 1s}}
    update: {{canary: 1, min_healthy_time: 1s}}
"""


class TestCanaries:
    def test_are_followed_by_the_rest_when_they_are_promoted_unless_that_is_paused_p19(
        self, desk: Desk
    ) -> None:
        desk.cube("deploy", desk.write(CANARIES, mark="old"))
        old = set(desk.containers())
        desk.cube("deploy", desk.write(CANARIES, mark="new"))
        assert old < set(desk.containers())
        assert running(desk) == [1, 1, 1, 2], "beside the old ones, which serve on"
        desk.cube("pause", "web")
        desk.cube("promote", "web", code=2)
        assert running(desk) == [1, 1, 1, 2]
        desk.cube("resume", "web")
        assert running(desk) == [1, 1, 1, 2], "a rollout that goes on waits for its canaries again"
        assert "version 2 is in place" in desk.cube("promote", "web").stdout
        assert running(desk) == [2, 2, 2]
        assert not old & set(desk.containers())


def running(desk: Desk) -> list[int]:
    """The versions of the tasks that run, as Cube tells them; there are as many containers."""
    found = sorted(row["version"] for row in desk.data("status", "web") if row["state"] == "Running")
    assert len(desk.containers()) == len(found)
    return found


COMPOSE = """
name: shop
services:
  web:
    image: cube-demo:${TAG:?which one?}
    ports: ["8080"]
    environment: {GREETING: "${GREETING}", STORE: "http://store:18080/health"}
    env_file: [web.env]
    depends_on: {prepare: {condition: service_completed_successfully}, store: {condition: service_started}}
    healthcheck: {test: ["CMD", "true"], interval: 1s, timeout: 1s}
    mem_limit: 32m
    volumes: ["data:/data", "./greet.conf:/etc/greet.conf:ro"]
    configs: [{source: note, target: /etc/note}]
    x-cube: {count: 2}
  prepare: {image: "cube-busybox:1", command: "sh -c 'exit 0'", mem_limit: 16m}
  store: {image: "cube-demo:1", ports: ["18080:8080"], mem_limit: 16m}
volumes: {data: }
configs: {note: {content: "{{ for $TAG }}"}}
"""


class TestAComposeFile:
    def test_is_deployed_as_the_job_that_it_is_and_a_second_time_changes_nothing(self, desk: Desk) -> None:
        (desk.folder / "compose.yaml").write_text(COMPOSE)
        (desk.folder / ".env").write_text("TAG=1\nGREETING='hello, you'\n")
        (desk.folder / "web.env").write_text("COLOR=blue\n")
        (desk.folder / "greet.conf").write_text("loud = yes\n")
        desk.cube("deploy", "compose.yaml")
        before = desk.ids()
        assert "0 changes" in desk.cube("deploy", "compose.yaml").stdout
        assert desk.ids() == before
        rows = {row["task"]: row["state"] for row in desk.data("status", "shop")}
        assert rows == {
            "shop/web[0]": "Running", "shop/web[1]": "Running", "shop/prepare[0]": "Completed",
            "shop/store[0]": "Running",
        }  # fmt: skip
        said = desk.cube(
            "exec", "shop/web[0]", "--", "sh", "-c",
            "echo $GREETING $COLOR; grep -c ' /data ' /proc/mounts; cat /etc/greet.conf /etc/note; echo; "
            "wget -qO- $STORE",
        )  # fmt: skip
        assert said.stdout.splitlines()[:4] == ["hello, you blue", "1", "loud = yes", "{{ for 1 }}"]
        assert said.stdout.splitlines()[4], "the store has answered, on whatever node it is"

    def test_that_cannot_be_honoured_touches_nothing(self, desk: Desk) -> None:
        (desk.folder / "bad.yaml").write_text(COMPOSE.replace("mem_limit: 32m", "privileged: true"))
        refused = desk.cube("deploy", "bad.yaml", code=2)
        assert "bad.yaml:5:12: the variable TAG is needed: which one?" in refused.stderr
        (desk.folder / ".env").write_text("TAG=1\n")
        refused = desk.cube("deploy", "bad.yaml", code=2)
        assert "bad.yaml:11:17: privileged: " in refused.stderr
        assert desk.ids() == set()


class TestAPlanInAFile:
    def test_is_carried_out_once_and_refused_when_the_fleet_has_moved_on(self, desk: Desk) -> None:
        desk.cube("plan", desk.write(SLEEPER), "--out", "a.plan")
        assert (desk.folder / "a.plan").stat().st_mode & 0o777 == 0o600
        desk.cube("deploy", "--plan", "a.plan")
        before = desk.ids()
        refused = desk.cube("deploy", "--plan", "a.plan", code=1)
        assert "the fleet has moved on" in refused.stderr
        assert desk.ids() == before


class TestRuns:
    def test_that_fail_leave_a_post_mortem_of_each_try(self, desk: Desk) -> None:
        path = desk.folder / "runner.yml"
        path.write_text(RUNNER)
        desk.cube("deploy", str(path))
        desk.cube("dispatch", "runner", "-v", "code=0")
        desk.cube("dispatch", "runner", "-v", "code=7", code=1)
        death = desk.data("postmortem", "runner.2")[0]
        assert death["exit_code"] == 7
        assert death["log"].endswith("last words")
        shown = desk.cube("status").stdout
        assert "2 ended runs" in shown, "many runs do not flood the list"

    def test_that_failed_for_good_after_a_while_are_kept_for_cube_logs(self, desk: Desk) -> None:
        path = desk.folder / "runner.yml"
        waits = "trap 'exit $CUBE_PARAM_CODE' TERM; sleep 600 & wait"
        path.write_text(RUNNER.replace("exit $CUBE_PARAM_CODE", waits).replace("attempts: 1", "attempts: 0"))
        desk.cube("deploy", str(path))
        desk.cube("dispatch", "runner", "-v", "code=7")
        killing = "(sleep 1; kill 1) >/dev/null 2>&1 &"  # once the exec itself has ended well
        desk.cube("exec", "runner.1/main[0]", "--", "sh", "-c", killing)
        wait_until(lambda: desk.containers() == [])
        assert "exited with 7" in desk.cube("reconcile", code=1).stdout
        told = desk.cube("postmortem", "runner.1").stdout
        assert "exited with 7; its container is kept: cube logs runner.1/main[0]" in told
        assert "last words" in desk.cube("logs", "runner.1/main[0]").stdout


class TestADrain:
    def test_empties_the_node_and_exits_0_only_then_p12(self, desk: Desk) -> None:
        desk.cube("deploy", desk.write(SLEEPER))
        done = desk.cube("node", "drain", "node1")
        assert "node1: no task is left" in done.stdout
        assert desk.containers_on(0) == []
        assert len(desk.containers()) == 3
        states = {row["node"]: row["state"] for row in desk.data("nodes")}
        assert states == {"node1": "draining", "node2": "ready", "node3": "ready"}
        assert "gets new tasks again" in desk.cube("node", "uncordon", "node1").stdout

    def test_that_has_nowhere_to_go_says_what_stays_and_why_p12(self, desk: Desk) -> None:
        desk.cube("deploy", desk.write(SLEEPER))
        desk.cube("node", "cordon", "node2")
        desk.cube("node", "cordon", "node3")
        done = desk.cube("node", "drain", "node1", "--timeout", "5s", code=1)
        assert "stays  sleeper/main[" in done.stdout
        assert "fits nowhere" in done.stdout
        assert len(desk.containers()) == 3
        for node in ("node1", "node2", "node3"):
            desk.cube("node", "uncordon", node)


class TestTimeTravel:
    def test_status_at_a_moment_is_what_was_recorded_then_p11(self, desk: Desk) -> None:
        desk.cube("deploy", desk.write(SLEEPER))
        then = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(time.time() + 1))
        before = desk.data("status", "sleeper")
        wait_until(lambda: time.strftime("%Y-%m-%d %H:%M:%S") > then)
        desk.cube("stop", "sleeper")
        past = desk.data("status", "sleeper", "--at", then)
        same = ("id", "node", "state", "health", "ports", "restarts", "version")
        assert [[row[key] for key in same] for row in past] == [[row[key] for key in same] for row in before]

    def test_following_events_ends_cleanly_on_an_interrupt(self, desk: Desk) -> None:
        desk.cube("deploy", desk.write(SLEEPER))
        following = desk.begin("events", "-n", "1", "-f")
        following.send_signal(signal.SIGINT)
        _, complaint = following.communicate(timeout=20)
        assert (following.returncode, complaint) == (0, "")


class TestAWatch:
    def test_mends_what_breaks_lets_others_in_and_ends_on_sigterm_p9(self, desk: Desk) -> None:
        desk.cube("deploy", desk.write(SLEEPER))
        desk.on(0, "sh", "-c", "docker rm -f $(docker ps -q --filter label=cube.cluster)")
        watching = desk.begin("reconcile", "--watch", "--every", "1s")
        wait_until(lambda: len(desk.containers()) == 3)
        assert len(desk.containers()) == 3
        desk.cube("scale", "sleeper", "main=4", "--lock-wait", "20s")
        watching.send_signal(signal.SIGTERM)
        _, complaint = watching.communicate(timeout=30)
        assert (watching.returncode, complaint) == (0, "")


class TestRecover:
    def test_rebuilds_a_lost_state_and_restarts_nothing_p7(self, desk: Desk) -> None:
        desk.cube("deploy", desk.write(SLEEPER))
        before = desk.ids()
        (found,) = (desk.folder / ".cube").glob("*.db")
        lost = desk.folder / "lost"
        found.rename(lost)
        assert "another store" in desk.cube("deploy", desk.write(SLEEPER), code=1).stderr
        assert "nobody is here to agree" in desk.cube("recover", code=2).stderr
        desk.cube("recover", "--yes")
        desk.cube("reconcile")
        assert desk.ids() == before
        assert "0 changes; 3 running" in desk.cube("deploy", desk.write(SLEEPER)).stdout
        assert desk.ids() == before
        assert "is not lost" in desk.cube("recover", "--yes", code=2).stderr


class TestAdopt:
    def test_a_container_of_others_is_replaced_and_kept(self, desk: Desk) -> None:
        run = [
            "docker",
            "run",
            "-d",
            "--name",
            "theirs",
            "-m",
            "32m",
            "--stop-timeout",
            "1",
            "-e",
            "A={{ b }}",
        ]
        desk.on(0, *run, "cube-busybox:1", "sleep", "100000")
        shown = desk.cube("adopt", "node1", "theirs").stdout
        (desk.folder / "theirs.yml").write_text(shown)
        assert desk.on(0, "docker", "ps", "-q", "--filter", "name=theirs"), "showing it stops nothing"
        desk.cube("adopt", "node1", "theirs", "--yes")
        assert "0 changes; 1 running" in desk.cube("deploy", str(desk.folder / "theirs.yml")).stdout
        (name,) = desk.containers_on(0)
        assert (
            json.loads(desk.on(0, "docker", "inspect", "-f", "{{json .Config.Env}}", name))[0] == "A={{ b }}"
        )
        desk.on(0, "docker", "rm", "-f", "theirs-before-cube")

    def test_one_that_does_not_come_up_as_cube_s_is_put_back_as_it_was(self, desk: Desk) -> None:
        run = ["docker", "run", "-d", "--name", "capped", "--restart", "always", "--cap-add", "SYS_ADMIN"]
        desk.on(1, *run, "cube-busybox:1", "sh", "-c", "hostname x && exec sleep 100000")
        desk.cube("adopt", "node2", "capped", "--yes", code=1)
        told = "{{.Name}} {{.State.Running}} {{.HostConfig.RestartPolicy.Name}}"
        assert desk.on(1, "docker", "inspect", "-f", told, "capped") == "/capped true always"
        assert desk.containers_on(1) == []
        desk.on(1, "docker", "rm", "-f", "capped")


def test_no_command_leaves_more_than_its_state_behind(desk: Desk) -> None:
    desk.cube("deploy", desk.write(SLEEPER))
    assert {path.name for path in Path(desk.folder).iterdir()} == {".cube", "job.yml"}
