"""The connection against a real sshd: what it promises when the machine, its sshd or the wire misbehaves."""

import contextlib
import gc
import http.client
import os
import socket
import struct
import subprocess
import threading
import time  # noqa: TID251 - real nodes take real time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from docker import DockerClient

from cube.connection import ChannelRefused, ConnectionFailed, HostKeyRefused, after
from cube.connection.dialer import Dialer, Trust
from cube.connection.known_hosts import parse_key, pin
from cube.connection.ssh import Connection
from cube.errors import CubeError
from cube.lab import faults
from cube.lab.fleet import Lab, LabNode
from cube.model.node import Access, Hop
from cube.model.observation import Cause

pytestmark = pytest.mark.lab

DOCKER = "/var/run/docker.sock"
PORT = 2201
OTHER_KEY = "-f /dev/null -h /run/other"


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """A lab node, a shell on it past SSH, and how Cube reaches it."""

    shell: Callable[[str], str]
    access: Access
    key: Path


@pytest.fixture
def machine(engine: DockerClient, lab: Lab, node: LabNode) -> Machine:
    container = engine.containers.get(node.container)

    def shell(script: str) -> str:
        status, output = container.exec_run(["sh", "-ec", script])
        assert status == 0, output
        assert isinstance(output, bytes)
        return output.decode(errors="replace").strip()

    access = Access(
        address=node.address,
        port=node.port,
        user="root",
        identity_file=str(lab.key),
        host_key=node.host_key,
    )
    return Machine(shell=shell, access=access, key=lab.key)


@pytest.fixture
def sshd(machine: Machine) -> Iterator[Callable[..., Access]]:
    """Starts one more sshd on the node, with options of the test's, and tells how to reach it."""
    stop = (
        "[ ! -e /run/test-sshd.pid ] || { p=$(cat /run/test-sshd.pid); pkill -9 -P $p || true; kill -9 $p; }"
    )

    def start(*options: str, extra: str = "") -> Access:
        flags = " ".join(f"-o {option}" for option in ("LogLevel=DEBUG2", *options))
        machine.shell(
            f"rm -f /run/test-sshd.*; /usr/sbin/sshd -p {PORT} -E /run/test-sshd.log "
            f"-o PidFile=/run/test-sshd.pid {flags} {extra}; "
            "until [ -s /run/test-sshd.pid ]; do sleep 0.02; done"
        )
        return replace(machine.access, port=PORT)

    yield start
    machine.shell(f"{stop}; rm -f /run/test-sshd.pid")


@pytest.fixture
def dialer(machine: Machine) -> Iterator[Dialer]:
    """No thread and no file may be left behind, whatever the test did."""
    threads, files = threading.active_count(), open_files()
    with Dialer(Trust()) as dialer:
        yield dialer
    assert eventually(lambda: threading.active_count() <= threads), threading.enumerate()
    assert eventually(lambda: gc.collect() >= 0 and open_files() <= files)


@pytest.fixture
def connection(dialer: Dialer, machine: Machine) -> Iterator[Connection]:
    with dialer.connect("node1", machine.access, deadline=after(20)) as connection:
        yield connection


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def eventually(holds: Callable[[], bool], *, within: float = 10) -> bool:
    end = time.monotonic() + within
    while not holds():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


def failure(call: Callable[[], Any]) -> ConnectionFailed:
    with pytest.raises(ConnectionFailed) as caught:
        call()
    assert caught.value.cure
    return caught.value


def ping(channel: Any) -> bytes:
    """Docker's answer to a ping, through http.client, as the worker speaks."""
    http_connection = http.client.HTTPConnection("docker")
    http_connection.sock = channel
    http_connection.request("GET", "/_ping")
    body = http_connection.getresponse().read()
    http_connection.close()
    return body


# What works


def test_a_script_gets_its_stdin_and_answers_in_full(connection: Connection) -> None:
    answer = connection.run("cat; echo oops >&2; exit 3", stdin=b"\0\xff'", deadline=after(10))
    assert (answer.exit_status, answer.stdout, answer.stderr) == (3, b"\0\xff'", b"oops\n")
    assert not answer.truncated


def test_p16_arguments_arrive_byte_for_byte(connection: Connection) -> None:
    nasty = ["", " a  b ", "$(touch /tmp/bad)", "`id`", "'\"\\", "-n", "\n", "é\udcff", "*", ";&|"]
    answer = connection.run_argv(["printf", "%s\\0", *nasty], stdin=b"rest", deadline=after(10))
    assert answer.stdout == b"".join(os.fsencode(word) + b"\0" for word in nasty)
    assert connection.run_argv(["cat"], stdin=b"rest", deadline=after(10)).stdout == b"rest"
    assert connection.run_argv(["no-such-program"], deadline=after(10)).exit_status == 127
    assert connection.run("test -e /tmp/bad", deadline=after(10)).exit_status == 1


def test_the_engine_answers_over_a_channel(connection: Connection) -> None:
    assert ping(connection.channel(DOCKER, deadline=after(10))) == b"OK"


def test_a_port_of_the_node_is_reached_through_it(connection: Connection) -> None:
    channel = connection.forward("127.0.0.1", 22, deadline=after(10))
    assert channel.makefile("rb").readline().startswith(b"SSH-2.0")
    channel.close()
    refused = failure(lambda: connection.forward("127.0.0.1", 1, deadline=after(10)))
    assert isinstance(refused, ChannelRefused)
    assert connection.run(":", deadline=after(10)).exit_status == 0


def test_a_file_is_written_whole_with_its_mode(connection: Connection) -> None:
    data = os.urandom(300_000)
    for _ in range(2):
        connection.put(data, "/tmp/a file", mode=0o640, deadline=after(20))
    answer = connection.run("stat -c %a '/tmp/a file'; cat '/tmp/a file'; ls /tmp", deadline=after(10))
    assert answer.stdout == b"640\n" + data + b"a file\n"
    with pytest.raises(CubeError, match="cannot write /nowhere/file"):
        connection.put(b"", "/nowhere/file", mode=0o600, deadline=after(10))
    connection.run("rm '/tmp/a file'", deadline=after(10))


def test_p14_the_key_that_is_learnt_is_the_one_to_pin(
    dialer: Dialer, machine: Machine, tmp_path: Path
) -> None:
    unknown = replace(machine.access, host_key=None)
    assert failure(lambda: dialer.connect("node1", unknown, deadline=after(10))).cause is Cause.NO_HOST_KEY
    learnt = dialer.fetch_host_key("node1", unknown, deadline=after(10))
    assert learnt == parse_key(machine.access.host_key or "")
    known_hosts = tmp_path / "known_hosts"
    pin(known_hosts, machine.access.address, machine.access.port or 22, learnt)
    with Dialer(Trust(known_hosts=(known_hosts,))) as trusting:
        trusting.connect("node1", unknown, deadline=after(10)).close()


# F1, F3, F4, F5: silence


def test_p1_f4_an_sshd_that_is_stopped_before_its_banner(
    dialer: Dialer, machine: Machine, sshd: Callable[..., Access]
) -> None:
    access = sshd()
    machine.shell("kill -STOP $(cat /run/test-sshd.pid)")
    assert failure(lambda: dialer.connect("node1", access, deadline=after(1))).cause is Cause.SILENT


def test_p1_f5_a_session_that_is_stopped_frees_every_kind_of_call(
    dialer: Dialer, machine: Machine, sshd: Callable[..., Access]
) -> None:
    access = sshd()
    calls: dict[str, Callable[[Connection], Any]] = {
        "run": lambda c: c.run(":", deadline=after(0.5)),
        "channel": lambda c: c.channel(DOCKER, deadline=after(0.5)),
        "forward": lambda c: c.forward("127.0.0.1", 22, deadline=after(0.5)),
        "put": lambda c: c.put(b"x", "/tmp/x", mode=0o600, deadline=after(0.5)),
    }
    for call in calls.values():
        with dialer.connect("node1", access, deadline=after(10)) as connection:
            machine.shell("pkill -STOP -P $(cat /run/test-sshd.pid)")
            started = time.monotonic()
            assert failure(lambda: call(connection)).cause is Cause.TIMEOUT  # noqa: B023 - called at once
            assert time.monotonic() - started < 3
            assert not connection.is_alive
        machine.shell("pkill -9 -P $(cat /run/test-sshd.pid)")


def test_p1_p3_f5_a_command_under_way_ends_by_its_deadline_and_takes_no_other_node_along(
    dialer: Dialer, machine: Machine, connection: Connection
) -> None:
    with dialer.connect("twin", machine.access, deadline=after(10)) as twin, ThreadPoolExecutor(2) as pool:
        late = pool.submit(connection.run, "echo half; sleep 60", deadline=after(1))
        other = pool.submit(twin.run, "sleep 2; echo whole", deadline=after(20))
        assert failure(late.result).cause is Cause.TIMEOUT
        assert other.result().stdout == b"whole\n"


def test_p1_p3_f1_a_node_that_is_cut_off_is_a_timeout(
    dialer: Dialer, machine: Machine, engine: DockerClient, node: LabNode
) -> None:
    with dialer.connect("node1", machine.access, deadline=after(10)) as connection:
        faults.partition(engine, node)
        try:
            assert failure(lambda: connection.run(":", deadline=after(1))).cause is Cause.TIMEOUT
            again = failure(lambda: dialer.connect("node1", machine.access, deadline=after(1)))
            assert again.cause is Cause.TIMEOUT
        finally:
            faults.heal(engine, node)


def test_an_engine_that_is_silent_costs_a_channel_not_the_connection(
    machine: Machine, connection: Connection
) -> None:
    machine.shell("pkill -STOP -x dockerd")
    try:
        with pytest.raises(TimeoutError):
            ping(connection.channel(DOCKER, deadline=after(2)))
        assert connection.run("echo here", deadline=after(10)).stdout == b"here\n"
    finally:
        machine.shell("pkill -CONT -x dockerd")


# F3, F7: a wire that breaks


@dataclass(slots=True)
class Relay:
    """Passes bytes on to the node, until it has passed `limit` of the node's: then it resets, or freezes."""

    target: tuple[str, int]
    limit: int
    freezes: bool = False
    server: socket.socket = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        self.server = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._serve, daemon=True).start()

    @property
    def port(self) -> int:
        port: int = self.server.getsockname()[1]
        return port

    def _serve(self) -> None:
        with contextlib.suppress(OSError), self.server:
            near, _ = self.server.accept()
            far = socket.create_connection(self.target)
            threading.Thread(target=self._up, args=(near, far), daemon=True).start()
            self._down(near, far)

    def _up(self, near: socket.socket, far: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := near.recv(65536):
                far.sendall(data)
        for end in (far, near):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)  # closing alone would not wake who reads
            end.close()

    def _down(self, near: socket.socket, far: socket.socket) -> None:
        while self.limit > 0 and (data := far.recv(min(self.limit, 65536))):
            near.sendall(data)
            self.limit -= len(data)
        if not self.freezes:
            near.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            near.shutdown(socket.SHUT_RD)
            near.close()


WHOLE = b"x" * 2000 + b"\n"


@pytest.mark.parametrize("freezes", [False, True], ids=["reset", "freeze"])
def test_p3_f7_an_answer_is_whole_or_a_failure_wherever_the_wire_breaks(
    machine: Machine, dialer: Dialer, *, freezes: bool
) -> None:
    broken = 0
    for limit in (*range(1, 6000, 1000), 1_000_000):
        relay = Relay((machine.access.address, machine.access.port or 22), limit, freezes)
        access = replace(machine.access, address="127.0.0.1", port=relay.port)
        try:
            with dialer.connect("node1", access, deadline=after(1.5)) as connection:
                answer = connection.run("head -c 2000 /dev/zero | tr '\\0' x; echo", deadline=after(1.5))
                assert (answer.exit_status, answer.stdout) == (0, WHOLE)
                assert ping(connection.channel(DOCKER, deadline=after(2))) == b"OK"
        except (ConnectionFailed, TimeoutError):
            broken += 1
    assert broken >= 3


def test_p3_a_channel_never_takes_a_lost_connection_for_the_end_of_data(
    machine: Machine, dialer: Dialer, sshd: Callable[..., Access]
) -> None:
    with dialer.connect("node1", sshd(), deadline=after(10)) as connection:
        channel = connection.channel(DOCKER, deadline=after(20))
        channel.sendall(b"GET /events HTTP/1.0\r\nHost: docker\r\n\r\n")
        reader = channel.makefile("rb")
        while reader.readline().strip():
            pass
        machine.shell("pkill -9 -P $(cat /run/test-sshd.pid)")
        assert failure(reader.readline).cause is Cause.LOST


# F8, F9, F11, F12: what sshd refuses


def test_p12_f8_throttled_handshakes_all_succeed_in_the_end(
    dialer: Dialer, sshd: Callable[..., Access]
) -> None:
    access = sshd("MaxStartups=2:100:3")
    with ThreadPoolExecutor(8) as pool:
        doing = [pool.submit(dialer.connect, "node1", access, deadline=after(30)) for _ in range(8)]
        for done in doing:
            done.result().close()


def test_f9_commands_wait_for_a_session_or_name_what_keeps_them(
    dialer: Dialer, sshd: Callable[..., Access]
) -> None:
    with (
        dialer.connect("node1", sshd("MaxSessions=1"), deadline=after(10)) as connection,
        ThreadPoolExecutor(4) as pool,
    ):
        brief = [pool.submit(connection.run, f"echo {n}", deadline=after(20)) for n in range(8)]
        assert [done.result().stdout for done in brief] == [b"%d\n" % n for n in range(8)]
        long = pool.submit(connection.run, "sleep 4", deadline=after(20))
        time.sleep(0.5)
        assert "MaxSessions" in failure(lambda: connection.run(":", deadline=after(20))).cure
        assert long.result().exit_status == 0


def test_p14_f11_a_refused_key_is_shown_once(
    dialer: Dialer, machine: Machine, sshd: Callable[..., Access], tmp_path: Path
) -> None:
    access = replace(sshd(), identity_file=str(make_key(tmp_path / "stranger")))
    refused = failure(lambda: dialer.connect("node1", access, deadline=after(10)))
    assert refused.cause is Cause.AUTHENTICATION
    assert "root" in refused.why
    assert machine.shell("grep -c '^Failed publickey' /run/test-sshd.log") == "1"
    assert machine.shell("grep -c '^Connection from' /run/test-sshd.log") == "1"


def make_key(file: Path) -> Path:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(file)], check=True)
    return file


@pytest.fixture
def agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Path], None]]:
    """An agent of the test's own; called with a key file, it takes that key."""
    sock = tmp_path / "agent"
    process = subprocess.Popen(["ssh-agent", "-D", "-a", str(sock)], stdout=subprocess.DEVNULL)
    assert eventually(sock.exists)
    monkeypatch.setenv("SSH_AUTH_SOCK", str(sock))

    def add(file: Path) -> None:
        subprocess.run(["ssh-add", "-q", str(file)], check=True, capture_output=True)

    yield add
    process.terminate()
    process.wait()


def test_p14_f12_the_named_key_is_shown_however_many_the_agent_holds(
    dialer: Dialer,
    machine: Machine,
    sshd: Callable[..., Access],
    agent: Callable[[Path], None],
    tmp_path: Path,
) -> None:
    access = sshd()
    for number in range(12):
        agent(make_key(tmp_path / f"key{number}"))
    dialer.connect("node1", access, deadline=after(10)).close()
    assert machine.shell("grep -c '^Failed publickey' /run/test-sshd.log || true") == "0"
    unnamed = replace(access, identity_file=None)
    assert failure(lambda: dialer.connect("node1", unnamed, deadline=after(10))).cause is Cause.AUTHENTICATION
    assert machine.shell("grep -c '^Failed publickey' /run/test-sshd.log") == "4"


# What is left behind is freed when the agent at last lets go of it: by the collector, with a warning.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("answers", [0, 1], ids=["that never lists", "that never signs"])
def test_p1_an_agent(
    dialer: Dialer,
    machine: Machine,
    agent: Callable[[Path], None],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    *,
    answers: int,
) -> None:
    agent(machine.key)
    with slow_agent(tmp_path / "agent", tmp_path / "slow", answers):
        monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "slow"))
        unnamed = replace(machine.access, identity_file=None)
        started = time.monotonic()
        stuck = failure(lambda: dialer.connect("node1", unnamed, deadline=after(1)))
        assert time.monotonic() - started < 4
        assert stuck.cause is (Cause.TIMEOUT if answers else Cause.KEY_FILE)


@contextlib.contextmanager
def slow_agent(real: Path, path: Path, answers: int) -> Iterator[None]:
    """Passes that many answers of the real agent on, and none after them until the end."""
    over = threading.Event()

    def serve() -> None:
        with server.accept()[0] as near, socket.socket(socket.AF_UNIX) as far:
            far.connect(str(real))
            for _ in range(answers):
                far.sendall(near.recv(65536))
                near.sendall(far.recv(65536))
            over.wait()

    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        thread = threading.Thread(target=serve)
        thread.start()
        yield
        over.set()
        thread.join()


def test_the_agent_signs_for_an_encrypted_key_file(
    dialer: Dialer, machine: Machine, agent: Callable[[Path], None], tmp_path: Path
) -> None:
    file = tmp_path / "id"
    file.write_bytes(machine.key.read_bytes())
    file.chmod(0o600)
    public = subprocess.run(["ssh-keygen", "-y", "-f", str(file)], check=True, capture_output=True).stdout
    file.with_suffix(".pub").write_bytes(public)
    agent(file)
    subprocess.run(
        ["ssh-keygen", "-q", "-p", "-N", "secret", "-f", str(file)], check=True, capture_output=True
    )
    access = replace(machine.access, identity_file=str(file))
    dialer.connect("node1", access, deadline=after(10)).close()
    dialer.connect("node1", replace(access, identity_file=None), deadline=after(10)).close()


# F13: the wrong host


def test_p14_f13_a_changed_host_key_gets_no_credential(
    dialer: Dialer, machine: Machine, sshd: Callable[..., Access]
) -> None:
    dialer.connect("node1", sshd(), deadline=after(10)).close()
    assert "userauth-request" in machine.shell("cat /run/test-sshd.log")
    machine.shell(
        "kill $(cat /run/test-sshd.pid); rm -f /run/other; ssh-keygen -q -t ed25519 -N '' -f /run/other"
    )
    access = sshd(extra=OTHER_KEY)
    refused = failure(lambda: dialer.connect("node1", access, deadline=after(10)))
    assert isinstance(refused, HostKeyRefused)
    assert refused.cause is Cause.HOST_KEY
    assert parse_key(access.host_key or "").fingerprint in refused.why
    assert "userauth-request" not in machine.shell("cat /run/test-sshd.log")


def test_p14_a_host_that_lost_the_pinned_type_of_key_is_a_changed_host(
    dialer: Dialer, machine: Machine, sshd: Callable[..., Access]
) -> None:
    machine.shell("rm -f /run/other; ssh-keygen -q -t rsa -N '' -f /run/other")
    access = sshd(extra=OTHER_KEY)
    assert failure(lambda: dialer.connect("node1", access, deadline=after(10))).cause is Cause.HOST_KEY


def test_an_rsa_host_key_is_known_by_its_type(
    dialer: Dialer, machine: Machine, sshd: Callable[..., Access]
) -> None:
    machine.shell("rm -f /run/other; ssh-keygen -q -t rsa -N '' -f /run/other")
    access = replace(sshd(extra=OTHER_KEY), host_key=machine.shell("cat /run/other.pub"))
    dialer.connect("node1", access, deadline=after(10)).close()


# F15: jump hosts


@pytest.fixture
def behind(machine: Machine, sshd: Callable[..., Access], tmp_path: Path) -> Iterator[tuple[Dialer, Access]]:
    """The node's own sshd reached through a second one, as through a jump host."""
    bastion = sshd()
    known_hosts = tmp_path / "known_hosts"
    pin(known_hosts, bastion.address, PORT, parse_key(machine.access.host_key or ""))
    hop = Hop(address=bastion.address, port=PORT, user="root", identity_file=str(machine.key))
    threads, files = threading.active_count(), open_files()
    with Dialer(Trust(known_hosts=(known_hosts,))) as dialer:
        yield dialer, replace(machine.access, address="127.0.0.1", port=22, jumps=(hop,))
    assert eventually(lambda: threading.active_count() <= threads), threading.enumerate()
    assert eventually(lambda: gc.collect() >= 0 and open_files() <= files)


def test_nodes_behind_a_jump_host_share_one_connection_to_it(
    behind: tuple[Dialer, Access], machine: Machine
) -> None:
    dialer, access = behind
    with ThreadPoolExecutor(12) as pool:
        doing = [pool.submit(dialer.connect, f"n{n}", access, deadline=after(30)) for n in range(12)]
        connections = [done.result() for done in doing]
    for connection in connections:
        assert connection.run("echo here", deadline=after(10)).stdout == b"here\n"
        assert ping(connection.channel(DOCKER, deadline=after(10))) == b"OK"
        connection.close()
    assert machine.shell("grep -c '^Connection from' /run/test-sshd.log") == "1"


def test_p1_f15_a_jump_host_that_dies_ends_every_call_and_is_reached_anew(
    behind: tuple[Dialer, Access], machine: Machine
) -> None:
    dialer, access = behind
    with dialer.connect("node1", access, deadline=after(20)) as connection, ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(connection.run, "sleep 60", deadline=after(30))
        time.sleep(0.5)
        machine.shell("pkill -9 -P $(cat /run/test-sshd.pid)")
        busy = time.process_time()
        assert failure(waiting.result).cause is Cause.LOST
        assert failure(lambda: connection.run(":", deadline=after(5))).cause is Cause.LOST
        assert time.process_time() - busy < 1
    dialer.connect("node1", access, deadline=after(20)).close()


def test_p1_f15_a_jump_host_that_freezes_ends_every_call_by_its_deadline(
    behind: tuple[Dialer, Access], machine: Machine
) -> None:
    dialer, access = behind
    with dialer.connect("node1", access, deadline=after(20)) as connection:
        machine.shell("pkill -STOP -P $(cat /run/test-sshd.pid)")
        started = time.monotonic()
        assert failure(lambda: connection.run(":", deadline=after(0.5))).cause is Cause.TIMEOUT
        late = failure(lambda: dialer.connect("node2", access, deadline=after(0.5)))
        assert late.cause in (Cause.TIMEOUT, Cause.SILENT)
        assert time.monotonic() - started < 5


def test_p2_nodes_behind_a_dead_jump_host_fail_as_one(
    behind: tuple[Dialer, Access], machine: Machine
) -> None:
    dialer, access = behind
    machine.shell("kill $(cat /run/test-sshd.pid); rm -f /run/test-sshd.pid")
    started = time.monotonic()
    for number in range(20):
        refused = failure(lambda: dialer.connect("node1", access, deadline=after(10)))
        assert refused.cause is Cause.REFUSED, number
        assert "jump host" in refused.where
    assert time.monotonic() - started < 5


# F17, F18, F19: odd but honest machines


def test_p1_f17_rekeying_loses_no_answer(dialer: Dialer, sshd: Callable[..., Access]) -> None:
    access = sshd('"RekeyLimit=64K 5"')
    with dialer.connect("node1", access, deadline=after(10)) as connection:
        for _ in range(150):
            answer = connection.run("head -c 4000 /dev/zero", deadline=after(20))
            assert (answer.exit_status, len(answer.stdout)) == (0, 4000)


def test_p1_f18_much_output_on_both_streams_is_read_and_cut(connection: Connection) -> None:
    noise = "head -c 50000000 /dev/zero & head -c 50000000 /dev/zero >&2; wait"
    answer = connection.run(noise, deadline=after(60))
    assert answer.exit_status == 0
    assert answer.truncated
    assert len(answer.stdout) <= 1024 * 1024
    assert len(answer.stderr) <= 1024 * 1024


def test_p12_f19_what_a_login_prints_is_no_part_of_the_answer(dialer: Dialer, machine: Machine) -> None:
    machine.shell("cp /root/.bashrc /root/.bashrc.kept; sed -i '1i echo junk; echo junk >&2' /root/.bashrc")
    try:
        with dialer.connect("node1", machine.access, deadline=after(10)) as connection:
            answer = connection.run("echo 42", deadline=after(10))
            assert (answer.stdout, answer.stderr) == (b"42\n", b"")
    finally:
        machine.shell("mv /root/.bashrc.kept /root/.bashrc")


def test_p12_f19_a_forced_command_is_named(dialer: Dialer, sshd: Callable[..., Access]) -> None:
    with dialer.connect("node1", sshd('"ForceCommand=echo go away"'), deadline=after(10)) as connection:
        refused = failure(lambda: connection.run("echo 42", deadline=after(10)))
    assert refused.cause is Cause.STRANGE
    assert "go away" in refused.why


def test_where_sshd_forbids_sockets_the_engine_is_reached_through_its_client(
    dialer: Dialer, sshd: Callable[..., Access]
) -> None:
    with dialer.connect("node1", sshd("AllowStreamLocalForwarding=no"), deadline=after(10)) as connection:
        for _ in range(12):
            assert ping(connection.channel(DOCKER, deadline=after(20))) == b"OK"


def test_a_socket_that_is_not_there_is_not_blamed_on_sshd(connection: Connection) -> None:
    refused = failure(lambda: connection.channel("/run/none.sock", deadline=after(10)))
    assert isinstance(refused, ChannelRefused)
    assert refused.cause is Cause.DOCKER_STOPPED
    assert ping(connection.channel(DOCKER, deadline=after(10))) == b"OK"


def test_a_command_that_is_killed_answers_as_in_a_shell(connection: Connection) -> None:
    assert connection.run_argv(["sh", "-c", "kill -9 $$"], deadline=after(10)).exit_status == 137
    assert failure(lambda: connection.run("kill -9 $$", deadline=after(10))).cause is Cause.LOST
