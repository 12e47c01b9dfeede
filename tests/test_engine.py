"""The engine: what is asked of it for a task, and what is made of its answers, whole and cut."""

import json
import socket
import threading
from dataclasses import replace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cube.connection import Channel, ConnectionFailed
from cube.model.action import Fetch, Start, Verdict
from cube.model.job import CheckKind, HealthCheck, Port, SecretUse, TaskSpec, Volume
from cube.model.labels import labels_of, spec_of
from cube.model.node import Login
from cube.model.observation import ContainerState, PostMortem
from cube.model.resources import Resources
from cube.model.secret import Secret
from cube.model.task import Slot, State, Task
from cube.model.transit import Transit
from cube.worker import effects, sdk
from cube.worker.belongings import Porter, no_secrets, no_templates
from cube.worker.container import Claim, container_config, container_of
from cube.worker.engine import EngineError, EngineSilentError, frames, lines, list_containers, read_logs
from cube.worker.lines import Lines
from cube.worker.worker import Patience, Worker
from tests import build
from tests.wire import answering, channel_over, response

PORTER = Porter(connect=lambda: cast("Any", None), secret=no_secrets, render=no_templates)
CLAIM = Claim(cluster="lab", owner="store-1", epoch=3)

SPEC = TaskSpec(
    image="web:1",
    command=("serve", "--verbose"),
    env={"B": "2", "A": "1 = one"},
    user="1000",
    resources=Resources(cpu=250, memory=64 * 1024**2),
    ports=(
        Port(name="http", container=80),
        Port(name="admin", container=80, public=True),
        Port(name="dns", container=53, protocol="udp", host=5353),
    ),
    volumes=(Volume(source="data", target="/data"), Volume(source="/srv", target="/srv", read_only=True)),
    health=HealthCheck(kind=CheckKind.HTTP, port="http", path="/health"),
    stop_signal="SIGINT",
    stop_grace=2.5,
)

TASK = Task(
    id="0123456789abcdef",
    slot=Slot(job="shop", group="web", index=2),
    version=7,
    spec=SPEC,
    state=State.SCHEDULED,
    order=1,
    created_at=1.0,
    changed_at=1.0,
    node="n1",
    ports={"http": 20001, "admin": 20002, "dns": 5353},
)


class FallsSilent:
    """A connection to an engine that begins to pull, and then says nothing any more."""

    is_alive = True

    def __init__(self, end: socket.socket) -> None:
        self._end = end

    def channel(self, _address: object, *, deadline: float) -> Channel:  # noqa: ARG002 - the worker sets another
        ours, theirs = socket.socketpair()
        threading.Thread(target=self._serve, args=(theirs,), daemon=True).start()
        return channel_over(ours)

    def _serve(self, theirs: socket.socket) -> None:
        with theirs:
            if b"/_ping" in theirs.recv(65536):
                theirs.sendall(response(b"OK"))
                return
            said = b'{"status": "Pulling fs layer", "id": "a1"}\r\n'
            head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
            theirs.sendall(head + b"%x\r\n%s\r\n" % (len(said), said))
            self._end.recv(1)

    def close(self) -> None:
        """Nothing is open."""


def test_a_pull_that_stalls_is_given_up_and_says_so() -> None:
    """It has no other end for half an hour: a large image over a thin line takes what it takes."""
    heard: list[Transit] = []
    ours, theirs = socket.socketpair()
    connection = cast("Any", FallsSilent(theirs))
    with ours, theirs:
        worker = Worker(build.node("n1"), lambda: connection, CLAIM, patience=Patience(stall=0.2))
        wanted = Fetch(node="n1", image="web:1", pinned="", job="shop", reason="it is new")
        outcome = worker.perform(wanted, heard.append)
    assert outcome.verdict is Verdict.FAILED
    assert "image web:1 is not on node n1 and cannot be pulled: the pull broke off" in outcome.why
    assert "imed out" in outcome.why
    assert [transit.layers for transit in heard][-1:] == [1], "it had begun"


def test_a_container_gets_what_the_spec_asks_for() -> None:
    config = container_config(TASK, CLAIM)
    assert config["Image"] == "web:1"
    assert config["Cmd"] == ["serve", "--verbose"]
    assert config["Env"] == ["A=1 = one", "B=2"]
    assert config["User"] == "1000"
    assert config["StopSignal"] == "SIGINT"
    assert config["StopTimeout"] == 3
    assert config["HostConfig"]["CpuShares"] == 256
    assert config["HostConfig"]["Memory"] == config["HostConfig"]["MemorySwap"] == 64 * 1024**2


def test_what_the_spec_leaves_open_is_the_images_own() -> None:
    config = container_config(replace(TASK, spec=TaskSpec(image="web:1"), ports={}), CLAIM)
    assert not {"Cmd", "Entrypoint", "User"} & set(config)


def test_a_container_is_confined_unless_the_job_says_otherwise() -> None:
    limits = container_config(TASK, CLAIM)["HostConfig"]
    assert limits["SecurityOpt"] == ["no-new-privileges:true"]
    assert limits["PidsLimit"] == 512
    assert limits["CapDrop"] == ["AUDIT_WRITE", "MKNOD", "NET_RAW", "SETFCAP"]
    assert limits["RestartPolicy"] == {"Name": "no"}
    assert limits["LogConfig"] == {"Type": "json-file", "Config": {"max-size": "10m", "max-file": "3"}}
    assert limits["Init"] is True
    allowed = replace(TASK, spec=replace(SPEC, allow_new_privileges=True))
    assert container_config(allowed, CLAIM)["HostConfig"]["SecurityOpt"] == []


@pytest.mark.parametrize("kind", list(CheckKind))
def test_only_the_images_own_check_is_left_to_the_engine(kind: CheckKind) -> None:
    asked = replace(TASK, spec=replace(SPEC, health=HealthCheck(kind=kind, port="http")))
    config = container_config(asked, CLAIM)
    assert ("Healthcheck" not in config) == (kind is CheckKind.IMAGE)
    assert config.get("Healthcheck") in (None, {"Test": ["NONE"]})


def test_a_task_without_a_check_keeps_the_images_own() -> None:
    assert "Healthcheck" not in container_config(replace(TASK, spec=replace(SPEC, health=None)), CLAIM)


def test_a_port_is_bound_to_the_loopback_unless_it_is_public() -> None:
    config = container_config(TASK, CLAIM)
    assert config["ExposedPorts"] == {"80/tcp": {}, "53/udp": {}}
    assert config["HostConfig"]["PortBindings"] == {
        "80/tcp": [
            {"HostIp": "127.0.0.1", "HostPort": "20001"},
            {"HostIp": "0.0.0.0", "HostPort": "20002"},
        ],
        "53/udp": [{"HostIp": "127.0.0.1", "HostPort": "5353"}],
    }


def test_a_volume_is_mounted_by_name_and_a_path_as_it_is() -> None:
    volume, path = container_config(TASK, CLAIM)["HostConfig"]["Mounts"]
    assert (volume["Type"], volume["Source"], volume["Target"], volume["ReadOnly"]) == (
        "volume",
        "data",
        "/data",
        False,
    )
    assert volume["VolumeOptions"] == {"Labels": {"cube.cluster": "lab"}}
    assert (path["Type"], path["Source"], path["ReadOnly"]) == ("bind", "/srv", True)


def test_the_labels_are_enough_to_rebuild_the_task() -> None:
    """P9: losing the store loses nothing."""
    labels = container_config(TASK, CLAIM)["Labels"]
    assert labels == labels_of(TASK, cluster="lab", owner="store-1", epoch=3)
    assert spec_of(labels) == SPEC


def listed(**changes: Any) -> dict[str, Any]:
    return {
        "Id": "c1",
        "Names": ["/other/alias", "/cube-shop-web-2-01234567"],
        "Image": "web:1",
        "ImageID": "sha256:1",
        "Created": 1700000000,
        "State": "running",
        "Status": "Up 2 minutes",
        "Labels": labels_of(TASK, cluster="lab", owner="store-1", epoch=3),
        "Ports": [
            {"PrivatePort": 80, "PublicPort": 20001, "Type": "tcp", "IP": "127.0.0.1"},
            {"PrivatePort": 80, "PublicPort": 20001, "Type": "tcp", "IP": "::"},
            {"PrivatePort": 443, "Type": "tcp"},
        ],
        "NetworkSettings": {"Networks": {"bridge": {"IPAddress": "172.17.0.2"}}},
        **changes,
    }


def test_a_listed_container_is_read() -> None:
    container = container_of(listed())
    assert container.name == "cube-shop-web-2-01234567"
    assert container.state is ContainerState.RUNNING
    assert container.host_ports == (20001,)
    assert container.address == "172.17.0.2"
    assert container.identity is not None
    assert (container.identity.task, container.identity.epoch) == (TASK.id, 3)


@pytest.mark.parametrize("labels", [None, {}, {"cube.cluster": "lab"}, {"cube.epoch": "x"}])
def test_a_container_without_our_whole_labels_is_not_ours(labels: dict[str, str] | None) -> None:
    """P5: hands off."""
    assert container_of(listed(Labels=labels, Ports=None, NetworkSettings=None)).identity is None


def test_a_listing_is_read_with_the_specs_of_ours_that_run() -> None:
    items = json.dumps([listed(), listed(Id="c2", State="exited"), listed(Id="x", Labels={})])
    with answering(response(items.encode())) as channel:
        listing = list_containers(channel, cluster="lab")
    assert (listing.engine.version, listing.engine.api_version) == ("20.10.24", "1.41")
    assert [(c.id, c.state) for c in listing.containers] == [
        ("c1", ContainerState.RUNNING),
        ("c2", ContainerState.EXITED),
        ("x", ContainerState.RUNNING),
    ]
    assert listing.specs == {"c1": SPEC}


@pytest.mark.parametrize(
    "spec",
    ["", "[1]", "null", '"x"', '{"image": "x", "health": "x"}', '{"image": "x", "ports": {"a": 1}}',
     '{"image": "x", "env": [1]}', '{"image": "x", "command": "sh"}', '{"image": 7}', "[" * 100_000],
)  # fmt: skip
def test_a_container_with_a_spec_that_nobody_can_read_is_listed_all_the_same(spec: str) -> None:
    """P2: whoever may start containers on a node cannot blind Cube by a label."""
    labels = labels_of(TASK, cluster="lab", owner="store-1", epoch=3) | {"cube.spec": spec}
    body = json.dumps([listed(State="running", Labels=labels)]).encode()
    with answering(response(body)) as channel:
        listing = list_containers(channel, cluster="lab")
    assert len(listing.containers) == 1
    assert not listing.specs


WHOLE = json.dumps([listed(Id=f"c{n}") for n in range(3)]).encode()


@given(st.integers(min_value=0, max_value=len(WHOLE) - 1))
def test_a_listing_cut_anywhere_is_an_error_and_never_a_shorter_list(cut: int) -> None:
    """P3: unknown is not absent (fault F7)."""
    with (
        answering(response(WHOLE[:cut], length=len(WHOLE))) as channel,
        pytest.raises((EngineError, EngineSilentError)),
    ):
        list_containers(channel, cluster="lab")


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 200 OK\r\n",
        response(b"{}"),
        response(b"null"),
        response(b'[{"Id": "c1"}]'),
        response(b"[1]"),
        response(b'{"message": "daemon is shutting down"}', status="503 Service Unavailable"),
        response(json.dumps([listed(State="levitating")]).encode()),
        b"SSH-2.0-OpenSSH_9.2\r\n",
    ],
)
def test_a_strange_answer_is_an_error(answer: bytes) -> None:
    """P3: unknown is not absent."""
    with answering(answer) as channel, pytest.raises((EngineError, EngineSilentError)):
        list_containers(channel, cluster="lab")


@given(st.lists(st.tuples(st.sampled_from(["stdout", "stderr"]), st.binary(min_size=1, max_size=40))))
def test_frames_give_back_what_each_stream_wrote(written: list[tuple[str, bytes]]) -> None:
    stream = b"".join(
        bytes([2 if name == "stderr" else 1, 0, 0, 0]) + len(data).to_bytes(4, "big") + data
        for name, data in written
    )
    position = 0

    def read(count: int) -> bytes:
        nonlocal position
        position += count
        return stream[position - count : position]

    assert list(frames(read)) == written


@given(st.lists(st.tuples(st.sampled_from(["stdout", "stderr"]), st.binary(max_size=40))))
def test_lines_are_whole_however_they_were_cut(pieces: list[tuple[str, bytes]]) -> None:
    for name in ("stdout", "stderr"):
        text = b"".join(data for stream, data in pieces if stream == name)
        expected = text.split(b"\n")
        if not expected[-1]:
            expected.pop()
        assert [line for stream, line in lines(iter(pieces)) if stream == name] == expected


def no_witness(_found: Any) -> PostMortem:
    raise AssertionError("nothing has ended")


MEANS = effects.Means(claim=CLAIM, witness=no_witness, porter=PORTER)


def test_lines_that_are_left_are_lost_and_never_at_their_end() -> None:
    head = b"HTTP/1.1 200 OK\r\nServer: Docker/20.10.24 (linux)\r\n\r\n"
    with answering(head + b"\x01\0\0\0\0\0\0\x04out\n") as channel:
        followed = Lines(channel, read_logs(channel, "c1", follow=True, tail=None, since=None))
        coming = iter(followed)
        assert next(coming) == ("stdout", b"out")
        followed.close()
        with pytest.raises(ConnectionFailed):
            next(coming)


@pytest.mark.parametrize("hangs_up", [True, False])
def test_a_pull_that_breaks_off_or_stalls_fails_the_start(hangs_up: bool) -> None:
    """P1: whichever library the broken stream's error comes from, there is an outcome, and in time."""
    absent = response(b'{"message":"No such image: web:1"}', status="404 Not Found")
    begun = b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n13\r\n{"status":"Pulling"\r\n'
    ours: list[socket.socket] = []

    def open_channel(_seconds: float) -> Channel:
        near, far = socket.socketpair()
        far.sendall(begun if ours else absent)
        if hangs_up:
            far.shutdown(socket.SHUT_WR)
        ours.extend((near, far))
        return cast("Channel", near)

    with sdk.open_client(open_channel, api_version="1.41", timeout=1, stall=1) as client:
        outcome = effects.perform(client, Start(task=TASK, reason=""), MEANS)
    assert (outcome.verdict, "the pull broke off" in outcome.why) == (Verdict.FAILED, True)
    for end in ours:
        end.close()


def test_p15_a_reason_that_the_engine_gives_quotes_no_secret_of_the_task() -> None:
    use = SecretUse(name="db", env="DB")
    porter = replace(PORTER, secret=lambda name, _fingerprint: Secret(name, b"hunter2"))
    refused = response(b'{"message":"invalid environment: DB=hunter2"}', status="400 Bad Request")
    start = Start(task=replace(TASK, spec=replace(TASK.spec, secrets=(use,))), reason="")
    with (
        answering(refused) as channel,
        sdk.open_client(lambda _: channel, api_version="1.41", timeout=5, stall=5) as client,
    ):
        outcome = effects.perform(client, start, replace(MEANS, porter=porter))
    assert (outcome.verdict, outcome.why) == (
        Verdict.FAILED,
        "the engine refused: invalid environment: DB=***",
    )


def test_a_login_is_told_for_its_own_registry_alone_without_the_end_of_a_line() -> None:
    porter = replace(
        PORTER,
        secret=lambda name, _fingerprint: Secret(name, b"pass word\n"),
        registries={"docker.io": Login(user="me", secret="hub")},
    )
    assert porter.login("nginx") == {
        "username": "me",
        "password": "pass word",
        "serveraddress": "https://index.docker.io/v1/",
    }
    assert porter.login("registry.example/nginx") is None
