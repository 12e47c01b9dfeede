"""The worker against a real node: what it sees, what it does, and what it makes of a failing machine."""

import io
import os
import time  # noqa: TID251 - real nodes take real time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cube.cli.main import app
from cube.connection import after
from cube.connection.dialer import Dialer
from cube.errors import UnreachableError
from cube.lab import faults
from cube.manager.fleet import opener, trust_in
from cube.manager.nodes import run_on
from cube.manager.tasks import converse
from cube.model.action import Verdict
from cube.model.architecture import architecture
from cube.model.job import Logging, Port, Tmpfs, Ulimit, Volume
from cube.model.observation import Cause, ContainerState, Seen, Unknown
from cube.model.resources import Resources
from cube.model.task import Task
from cube.worker.doctor import Grade, examine
from cube.worker.terminal import Ends
from cube.worker.worker import Worker
from tests.lab.machine import (
    CLAIM,
    SLEEP,
    Machine,
    a_machine,
    a_worker,
    engine_of,
    only,
    run_in,
    seen,
    start,
    stop,
    task_of,
    until,
)

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    with a_machine(tmp_path_factory.mktemp("lab")) as machine:
        yield machine


@pytest.fixture
def worker(machine: Machine) -> Iterator[Worker]:
    with a_worker(machine) as worker:
        yield worker


def test_a_node_is_seen_with_its_figures_and_every_container_on_it(machine: Machine, worker: Worker) -> None:
    machine.run("docker", "run", "-d", "--name", "foreign", "cube-busybox:1", *SLEEP)
    task = task_of(worker)
    start(worker, task)
    observation = seen(worker)
    assert abs(observation.stats.clock - time.time()) < 5
    assert observation.stats.memory_total > observation.stats.memory_available > 0
    assert observation.stats.disk_total > observation.stats.disk_free > 0
    assert observation.engine.api_version
    ours, foreign = sorted(observation.containers, key=lambda each: each.identity is None)
    assert ours.identity is not None
    assert (ours.identity.task, ours.identity.epoch, ours.name) == (task.id, 2, task.container_name)
    assert (foreign.name, foreign.identity) == ("foreign", None)
    machine.run("docker", "exec", "foreign", "sh", "-c", "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done")
    before, now = observation.stats.uses, seen(worker).stats.uses
    assert before.keys() == now.keys() == {ours.id, foreign.id}
    assert all(use.memory > 0 for use in now.values())
    assert now[foreign.id].cpu > before[foreign.id].cpu + 0.02 > now[ours.id].cpu


def test_a_node_tells_which_machine_it_is_and_which_volumes_it_has(machine: Machine, worker: Worker) -> None:
    machine.run("docker", "volume", "create", "photos")
    found = seen(worker)
    assert found.stats.architecture == architecture(os.uname().machine)
    assert found.volumes is not None
    assert "photos" in found.volumes


def test_a_start_that_is_repeated_finds_the_container_again(worker: Worker) -> None:
    """P4, P10: never two containers of one task."""
    task = task_of(worker)
    first, second = start(worker, task), start(worker, task)
    assert (first.verdict, second.verdict) == (Verdict.OK, Verdict.OK)
    assert first.container == second.container == only(worker).id


def test_a_container_that_a_lost_reply_left_behind_is_adopted(worker: Worker) -> None:
    """P3, P4: fault F25, the create happened and nobody heard."""
    task = task_of(worker)
    made = start(worker, task)
    with engine_of(worker) as client:
        client.stop(made.container, timeout=0)
    again = start(worker, task)
    assert (again.verdict, again.container) == (Verdict.OK, made.container)
    assert only(worker).state is ContainerState.RUNNING


def test_a_name_that_is_not_ours_is_left_alone(machine: Machine, worker: Worker) -> None:
    """P5: fault F27."""
    task = task_of(worker)
    machine.run("docker", "run", "-d", "--name", task.container_name, "cube-busybox:1", *SLEEP)
    outcome = start(worker, task)
    assert outcome.verdict is Verdict.FAILED
    assert task.container_name in outcome.why
    assert only(worker).state is ContainerState.RUNNING
    assert only(worker).identity is None


def test_a_container_of_another_cluster_is_never_stopped(machine: Machine, worker: Worker) -> None:
    """P5: fault F37, whatever the plan says."""
    made = start(worker, task_of(worker))
    other = machine.make_worker(replace(CLAIM, cluster="another"))
    outcome = stop(other, made.container)
    other.close()
    assert outcome.verdict is Verdict.FAILED
    assert "another" in outcome.why
    assert only(worker).state is ContainerState.RUNNING


def test_a_manager_that_was_relieved_stops_nothing(machine: Machine, worker: Worker) -> None:
    made = start(worker, task_of(worker))
    relieved = machine.make_worker(replace(CLAIM, epoch=1))
    outcome = stop(relieved, made.container)
    relieved.close()
    assert outcome.verdict is Verdict.FAILED
    assert "taken over" in outcome.why
    assert only(worker).state is ContainerState.RUNNING


def test_a_stop_removes_the_container_and_may_be_repeated(worker: Worker) -> None:
    """P10, P20."""
    made = start(worker, task_of(worker))
    assert stop(worker, made.container).verdict is Verdict.OK
    assert stop(worker, made.container).verdict is Verdict.OK
    assert seen(worker).containers == ()


def test_a_container_that_ignores_its_signal_is_killed_after_its_grace(worker: Worker) -> None:
    """P1, P20: fault F33."""
    made = start(worker, task_of(worker, "sh", "-c", "trap '' TERM; while :; do sleep 1; done"))
    assert stop(worker, made.container, grace=1).verdict is Verdict.OK
    assert seen(worker).containers == ()


def test_a_container_that_dies_at_once_says_how_and_with_which_last_words(worker: Worker) -> None:
    outcome = start(worker, task_of(worker, "sh", "-c", "echo last words; exit 3"))
    if outcome.verdict is Verdict.FAILED:
        assert outcome.detail["exit_code"] == "3"
        assert "last words" in outcome.detail["log"]
    until(lambda: only(worker).exit_code == 3)
    assert only(worker).oom_killed is False


def test_a_program_that_does_not_exist_is_told_by_name(worker: Worker) -> None:
    outcome = start(worker, task_of(worker, "/no/such/program"))
    if outcome.verdict is Verdict.FAILED:
        assert "/no/such/program" in outcome.why + outcome.detail.get("log", "")
    until(lambda: only(worker).exit_code == 127)


def test_a_batch_task_that_is_done_already_was_started_well(worker: Worker) -> None:
    assert start(worker, task_of(worker, "true")).verdict is Verdict.OK


def test_a_missing_image_is_one_clear_word(worker: Worker) -> None:
    outcome = start(worker, task_of(worker, image="no-such-image:9"))
    assert outcome.verdict is Verdict.FAILED
    assert f"image no-such-image:9 is not on node {worker.node.name} and cannot be pulled" in outcome.why
    assert "cube image push" in outcome.cure


def test_a_port_that_somebody_holds_is_named(machine: Machine, worker: Worker) -> None:
    """P12, P13: fault F28."""
    web = (Port(name="http", container=80),)
    start(worker, _web(worker, web))
    outcome = start(worker, _web(worker, web))
    assert outcome.verdict is Verdict.FAILED
    assert "port is already" in outcome.why
    assert "20080" in outcome.why


def _web(worker: Worker, ports: tuple[Port, ...]) -> Task:
    task = task_of(worker, ports={port.name: 20080 for port in ports})
    return replace(task, spec=replace(task.spec, ports=ports))


def test_a_host_path_that_does_not_exist_is_not_made(machine: Machine, worker: Worker) -> None:
    outcome = start(worker, task_of(worker, volumes=(Volume(source="/no/such/path", target="/data"),)))
    assert outcome.verdict is Verdict.FAILED
    assert "/no/such/path" in outcome.why


def test_a_task_is_confined(worker: Worker) -> None:
    made = start(worker, task_of(worker, resources=Resources(cpu=500, memory=64 * 1024**2)))
    output = io.BytesIO()
    script = "grep -E 'NoNewPrivs|CapBnd' /proc/self/status"
    assert made.container is not None
    ends = Ends(stdin=None, stdout=output, stderr=io.BytesIO())
    assert converse(worker.execute(made.container, ["sh", "-c", script]), ends) == 0
    facts = dict(line.split(":\t") for line in output.getvalue().decode().splitlines())
    assert facts["NoNewPrivs"] == "1"
    net_raw = 1 << 13
    assert not int(facts["CapBnd"], 16) & net_raw


def test_memory_that_ran_out_is_told(worker: Worker) -> None:
    """Fault F32."""
    start(worker, task_of(worker, "tail", "/dev/zero", resources=Resources(memory=16 * 1024**2)))
    until(lambda: only(worker).state is ContainerState.EXITED)
    assert (only(worker).exit_code, only(worker).oom_killed) == (137, True)


def test_logs_tell_the_streams_apart_and_follow_to_the_end(worker: Worker) -> None:
    made = start(worker, task_of(worker, "sh", "-c", "echo out; echo err >&2; sleep 1; echo late"))
    assert made.container is not None
    lines = [(stream, line.split(b" ", 1)[1]) for stream, line in worker.logs(made.container, follow=True)]
    assert sorted(lines) == [("stderr", b"err"), ("stdout", b"late"), ("stdout", b"out")]
    assert len(list(worker.logs(made.container, tail=1))) == 1


def test_whoever_waits_for_a_silent_log_can_be_called_away(worker: Worker) -> None:
    made = start(worker, task_of(worker, "sh", "-c", "echo out; sleep 100"))
    assert made.container is not None
    lines = worker.logs(made.container, follow=True)
    coming = iter(lines)
    assert next(coming)[1].endswith(b" out")
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(next, coming)
        lines.close()
        with pytest.raises(UnreachableError):
            waiting.result(10)
    assert len(list(worker.logs(made.container))) == 1, "the connection is as it was"


def test_a_command_in_a_container_keeps_its_streams_and_status(worker: Worker) -> None:
    made = start(worker, task_of(worker))
    assert made.container is not None
    read, write = os.pipe()
    os.write(write, b"to be copied")
    os.close(write)
    with os.fdopen(read, "rb") as stdin:
        stdout, stderr = io.BytesIO(), io.BytesIO()
        ends = Ends(stdin=stdin, stdout=stdout, stderr=stderr)
        argv = ["sh", "-c", "cat; echo bad >&2; exit 7"]
        status = converse(worker.execute(made.container, argv, has_input=True), ends)
    assert (status, stdout.getvalue(), stderr.getvalue()) == (7, b"to be copied", b"bad\n")


def test_a_command_and_its_followed_log_may_take_longer_than_any_answer(
    machine: Machine, worker: Worker
) -> None:
    made = start(worker, task_of(worker, "sh", "-c", "sleep 2; echo late"))
    assert made.container is not None
    hurried = machine.make_worker(listing=0.5)
    ends = Ends(stdin=None, stdout=io.BytesIO(), stderr=io.BytesIO())
    assert converse(hurried.execute(made.container, ["sh", "-c", "sleep 0.7; exit 5"]), ends) == 5
    assert [line.split(b" ")[1] for _, line in hurried.logs(made.container, follow=True)] == [b"late"]
    hurried.close()


def test_four_starts_at_once_get_four_containers(worker: Worker) -> None:
    tasks = [task_of(worker) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        outcomes = list(pool.map(lambda task: start(worker, task), tasks))
    assert [outcome.verdict for outcome in outcomes] == [Verdict.OK] * 4
    assert {c.id for c in seen(worker).containers} == {outcome.container for outcome in outcomes}


def test_a_hung_engine_is_told_from_a_dead_node(machine: Machine, worker: Worker) -> None:
    """P1, P3: fault F21. The machine's own figures are still shown."""
    hurried = machine.make_worker(listing=0.5, act=0.5)
    seen(hurried)
    machine.run("pkill", "-STOP", "-x", "dockerd")
    try:
        observation = hurried.observe(1.0)
        outcome = start(hurried, task_of(hurried))
    finally:
        machine.run("pkill", "-CONT", "-x", "dockerd")
        hurried.close()
    assert isinstance(observation, Unknown)
    assert observation.cause is Cause.DOCKER_SILENT
    assert observation.stats is not None
    assert outcome.verdict is Verdict.UNKNOWN


def test_a_stopped_engine_is_told_with_its_cure(machine: Machine, worker: Worker) -> None:
    """P3: fault F24. A node without an engine is no empty node."""
    seen(worker)
    faults.stop_engine(machine.client, machine.lab_node)
    try:
        observation = worker.observe(1.0)
        grades = {finding.about: finding.grade for finding in examine(worker)}
    finally:
        faults.start_engine(machine.client, machine.lab_node)
    assert isinstance(observation, Unknown)
    assert observation.cause is Cause.DOCKER_STOPPED
    assert "start docker" in observation.cure
    assert observation.stats is not None
    assert grades["engine"] is Grade.BAD
    seen(worker)


def test_an_engine_that_was_killed_is_unknown_and_seen_when_it_is_back(
    machine: Machine, worker: Worker
) -> None:
    """P3: fault F22. Its socket is still there, and nobody listens."""
    seen(worker)
    machine.run("sh", "-c", "touch /run/engine-stopped; pkill -KILL -x dockerd")
    try:
        observation = worker.observe(1.0)
    finally:
        faults.start_engine(machine.client, machine.lab_node)
    assert isinstance(observation, Unknown)
    # LOST: it died in the middle of its answer.
    assert observation.cause in (Cause.DOCKER_STOPPED, Cause.DOCKER_SILENT, Cause.LOST)
    assert observation.stats is not None
    until(lambda: isinstance(worker.observe(1.0), Seen))


def test_a_frozen_node_is_unknown_by_its_deadline_and_seen_when_it_thaws(
    machine: Machine, worker: Worker
) -> None:
    """P1, P3."""
    hurried = machine.make_worker(probe=0.5)
    seen(hurried)
    faults.pause(machine.client, machine.lab_node)
    try:
        observation = hurried.observe(1.0)
    finally:
        faults.unpause(machine.client, machine.lab_node)
    assert isinstance(observation, Unknown)
    assert observation.cause is Cause.TIMEOUT
    until(lambda: isinstance(hurried.observe(1.0), Seen))
    hurried.close()


def test_the_doctor_finds_nothing_wrong_with_a_good_node(worker: Worker) -> None:
    findings = list(examine(worker))
    assert {finding.grade for finding in findings} == {Grade.GOOD}, findings
    assert [finding.about for finding in findings] == [
        "connect", "host key", "authenticate", "round trip", "clock", "disk",
        "sudo", "sshd limits", "socket permission", "engine", "storage driver",
    ]  # fmt: skip


def test_the_doctor_names_the_step_that_failed(machine: Machine, worker: Worker, tmp_path: Path) -> None:
    other_key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJPInqIAIOu4NQ9+2yqMWTOO4qX+TkyRqYtGYWRKcXoX"
    node = replace(worker.node, access=replace(worker.node.access, host_key=other_key))
    with Dialer(trust_in(tmp_path)) as dialer:
        findings = list(examine(Worker(node, opener(dialer, node), CLAIM)))
    assert [(finding.about, finding.grade) for finding in findings] == [
        ("connect", Grade.GOOD),
        ("host key", Grade.BAD),
    ]
    assert "cube node trust" in findings[-1].cure


def test_a_command_on_nodes_keeps_each_status_and_no_shell_reads_it(worker: Worker, tmp_path: Path) -> None:
    """P2, P16."""
    away = replace(worker.node, name="away", access=replace(worker.node.access, port=1))
    replies = {
        reply.node: reply
        for reply in run_on([worker.node, away], ["echo", "$(id)", "a  b;"], state_dir=tmp_path, seconds=10)
    }
    answer = replies[worker.node.name].answer
    assert answer is not None
    assert (answer.exit_status, answer.stdout) == (0, b"$(id) a  b;\n")
    assert replies["away"].answer is None


def test_reading_is_quick(worker: Worker) -> None:
    """Not a benchmark: ten times the target, so that only a new round trip or a sleep fails it."""
    seen(worker)
    began = time.monotonic()
    for _ in range(5):
        seen(worker)
    assert (time.monotonic() - began) / 5 < 0.15


def test_a_closed_worker_opens_another_connection_and_counts_it(worker: Worker) -> None:
    seen(worker)
    before = worker.connections
    worker.close()
    assert worker.connection().run(":", deadline=after(5)).exit_status == 0
    assert (before, worker.connections) == (1, 2)


def test_the_node_commands_answer_by_their_exit_status(
    machine: Machine, worker: Worker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """P12, P14: a stranger's host key is shown, and pinned only by somebody's word."""
    monkeypatch.chdir(tmp_path)
    access = worker.node.access
    Path("inventory.yml").write_text(
        f"all:\n  hosts:\n    n1: {{ansible_host: {access.address}, ansible_port: {access.port},"
        f" ansible_user: root, ansible_ssh_private_key_file: {access.identity_file}}}\n"
    )

    def cube(*words: str) -> tuple[int, str]:
        result = CliRunner().invoke(app, [*words[:2], "-i", "inventory.yml", *words[2:]])
        return result.exit_code, result.output

    status, output = cube("node", "check", "n1")
    assert (status, "cube node trust" in output) == (1, True)
    assert cube("node", "trust", "n1")[0] != 0
    assert cube("node", "trust", "n1", "--fingerprint", "SHA256:another")[0] != 0
    assert not Path(".cube/known_hosts").exists()
    assert cube("node", "trust", "n1", "--yes")[0] == 0
    assert cube("worker", "start", "n1")[0] == 0
    assert cube("node", "exec", "all", "--", "sh", "-c", "exit 7")[0] == 7
    assert "$(id)" in cube("node", "exec", "all", "-o", "json", "--", "echo", "$(id)")[1]


def test_a_container_has_the_settings_that_its_job_asks_for(worker: Worker) -> None:
    task = task_of(
        worker,
        working_dir="/tmp",
        hostname="shop.example",
        group_add=("1234",),
        cap_add=("NET_RAW",),
        cap_drop=("ALL",),
        read_only=True,
        tmpfs=(Tmpfs(target="/scratch", size=1 << 20, mode=0o1710),),
        shm_size=2 << 20,
        ulimits=(Ulimit(name="core", soft=100, hard=200),),
        cpu_limit=500,
        extra_hosts={"mail": "10.0.0.7"},
        logging=Logging(driver="local", options={"max-size": "1m"}),
        init=False,
    )
    outcome = start(worker, task)
    assert outcome.container is not None, outcome
    script = (
        "pwd; hostname; id -G; grep CapEff /proc/1/status; touch /x 2>&1; touch /scratch/x && echo written; "
        "df -k /dev/shm | tail -1 | tr -s ' ' | cut -d' ' -f2; "
        "grep 'core file' /proc/1/limits | tr -s ' ' | cut -d' ' -f5,6; grep mail /etc/hosts; "
        "stat -c %a /scratch"
    )
    told = run_in(worker, outcome.container, "sh", "-c", script).splitlines()
    assert told[:2] == ["/tmp", "shop.example"]
    assert "1234" in told[2]
    assert int(told[3].split()[1], 16) == 1 << 13, "NET_RAW alone"
    assert "Read-only" in told[4]
    # Not of open files: runc, a Go program, raises its own limit of those now and then, and passes it on.
    assert told[5:8] == ["written", "2048", "100 200"]
    assert (told[8].split(), told[9]) == (["10.0.0.7", "mail"], "1710")
    assert only(worker).drift == "", "what Cube set is no drift"
    with engine_of(worker) as engine:
        found = engine.inspect_container(outcome.container)["HostConfig"]
    assert (found["NanoCpus"], found["LogConfig"]["Type"], found["Init"]) == (500_000_000, "local", False)
