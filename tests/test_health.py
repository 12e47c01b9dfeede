"""Health checks: which answers are good, what can be asked at all, and that no answer takes too long."""

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest

from cube.connection import Channel, ChannelRefused, after, remaining
from cube.model.job import CheckKind, HealthCheck, Port, TaskSpec
from cube.model.observation import Cause, Container, ContainerState
from cube.model.task import Health
from cube.worker import command, health
from cube.worker.engine import EngineError
from cube.worker.health import Check, Reach, ask, checks_of
from cube.worker.inspection import Inspected, OwnCheck
from tests.wire import Engine, answering, channel_over

CONTAINER = Container(
    id="c1",
    name="c1",
    image="web:1",
    image_id="sha256:1",
    state=ContainerState.RUNNING,
    created_at=1.0,
    identity=None,
    address="172.17.0.2",
)
RUNS = Inspected(state=ContainerState.RUNNING, exit_code=0, oom_killed=False)
CLOCK = 1_800_000_000.0


def check(kind: CheckKind = CheckKind.HTTP, **how: Any) -> Check:
    asked = HealthCheck(kind=kind, port="http", **{"path": "/health", "timeout": 1.0, **how})
    return Check(container=CONTAINER, how=asked, port=80, inspected=RUNS)


def reach(forward: Callable[[str, int, float], Channel] | None = None, engine: Engine | None = None) -> Reach:
    def nowhere(*_: Any) -> Channel:
        raise AssertionError("it was asked")

    return Reach(
        forward=forward or nowhere, open_engine=engine.open_channel if engine else nowhere, clock=CLOCK
    )


def asked_over(channel: Channel, **how: Any) -> Health:
    return ask(check(**how), reach(lambda *_: channel)).health


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n", Health.HEALTHY),
        (b"HTTP/1.1 204 No Content\r\n\r\n", Health.HEALTHY),
        (b"HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/\r\n\r\n", Health.HEALTHY),
        (b"HTTP/1.1 404 Not Found\r\n\r\n", Health.UNHEALTHY),
        (b"HTTP/1.1 503 Busy\r\n\r\n", Health.UNHEALTHY),
        (b"garbage\r\n\r\n", Health.UNHEALTHY),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n", Health.UNHEALTHY),
        (b"", Health.UNHEALTHY),
    ],
)
def test_http_is_healthy_when_it_answers_2xx_or_3xx(answer: bytes, expected: Health) -> None:
    """Fault F66: nothing is followed anywhere."""
    with answering(answer) as channel:
        assert asked_over(channel) is expected


@pytest.mark.parametrize(
    ("status", "expected"), [(199, "un"), (200, ""), (204, ""), (205, "un"), (404, "un")]
)
def test_the_status_must_be_within_the_range_that_is_written(status: int, expected: str) -> None:
    with answering(f"HTTP/1.1 {status} So\r\n\r\n".encode()) as channel:
        assert asked_over(channel, status=(200, 204)) == f"{expected}healthy"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"database: up", Health.HEALTHY),
        (b"x" * 65000 + b"database: up", Health.HEALTHY),
        (b"x" * 65530 + b"database: up", Health.UNHEALTHY),
        (b"database: down", Health.UNHEALTHY),
        (b"", Health.UNHEALTHY),
    ],
)
def test_the_body_must_hold_the_text_in_its_first_64_kib(body: bytes, expected: Health) -> None:
    with answering(b"HTTP/1.1 200 OK\r\n\r\n" + body) as channel:
        assert asked_over(channel, body="base: up") is expected


def test_a_text_is_found_in_an_answer_that_never_ends() -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        theirs.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nup!\r\n")
        assert asked_over(channel_over(ours), body="up!", timeout=30.0) is Health.HEALTHY


def test_the_request_is_what_the_job_wrote() -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        theirs.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        theirs.shutdown(socket.SHUT_WR)
        asked_over(channel_over(ours), path="/health?deep=1", headers={"X-Probe": "a b", "Accept": "*/*"})
        head, *lines = theirs.recv(65536).decode().rstrip().split("\r\n")
    assert head == "GET /health?deep=1 HTTP/1.1"
    assert {"Host: 172.17.0.2", "X-Probe: a b", "Accept: */*", "Connection: close"} < set(lines)


@pytest.mark.parametrize(
    "how",
    [
        {"path": "/\r\nHost: evil"},
        {"path": "/ HTTP/1.1\r\n\r\nGET /admin"},
        {"path": "/\n"},
        {"path": "/a b"},
        {"path": "/é"},
        {"path": ""},
        {"headers": {"X": "a\r\n\r\nGET /admin HTTP/1.1"}},
        {"headers": {"X": "a\r\n folded"}},
        {"headers": {"X": "a\0"}},
        {"headers": {"X": "\ud800"}},
        {"headers": {"X: y\r\nZ": "a"}},
        {"headers": {"": "a"}},
    ],
)
def test_nothing_that_could_smuggle_a_second_request_is_sent_p18(how: dict[str, Any]) -> None:
    """A label may be anybody's: what the job file refuses is refused here again."""
    assert ask(check(**how), reach()).health is Health.UNCHECKED


def test_a_task_that_accepts_and_never_answers_is_unhealthy_in_time_p1() -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        assert asked_over(channel_over(ours), timeout=0.05) is Health.UNHEALTHY


def test_a_task_that_answers_drop_by_drop_is_unhealthy_in_time_p1() -> None:
    """Fault F66: each byte comes in time, the answer does not."""
    ours, theirs = socket.socketpair()
    over = threading.Event()

    def drip() -> None:
        with suppress(OSError):
            while not over.wait(0.01):
                theirs.sendall(b"x")

    dripping = threading.Thread(target=drip)
    dripping.start()
    began = after(0)
    with theirs:
        assert asked_over(channel_over(ours, seconds=60), timeout=0.2) is Health.UNHEALTHY
        assert remaining(began + 10) > 0
        over.set()
        dripping.join()


@pytest.mark.parametrize(
    ("timeout", "expected"), [(2.0, 2.0), (1e9, 60.0), (float("inf"), 60.0), (float("nan"), 60.0), (-1.0, 0)]
)
def test_no_check_waits_for_longer_than_a_minute_p1(timeout: float, expected: float) -> None:
    assert check(timeout=timeout).timeout == expected


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (TimeoutError(), Health.UNHEALTHY),
        (ChannelRefused(Cause.REFUSED, where="n1", why="Connect failed"), Health.UNHEALTHY),
        (ChannelRefused(Cause.REFUSED, where="n1", why="Administratively prohibited"), Health.UNCHECKED),
    ],
)
def test_a_node_that_forbids_the_question_has_not_answered_it_p3(error: Exception, expected: Health) -> None:
    def refuse(*_: Any) -> Channel:
        raise error

    assert ask(check(CheckKind.TCP), reach(refuse)).health is expected


def spec(kind: CheckKind = CheckKind.HTTP, container_port: int = 80) -> TaskSpec:
    how = HealthCheck(kind=kind, port="http")
    return TaskSpec(image="web:1", ports=(Port(name="http", container=container_port),), health=how)


def test_only_running_containers_with_a_check_are_asked() -> None:
    ended, plain = replace(CONTAINER, id="c2", state=ContainerState.EXITED), replace(CONTAINER, id="c3")
    away = replace(CONTAINER, id="c4", name="c4-quarantined")
    specs = {"c1": spec(), "c2": spec(), "c3": replace(spec(), health=None), "c4": spec(), "gone": spec()}
    asked = list(checks_of((CONTAINER, ended, plain, away), specs, {"c1": RUNS}))
    assert [(one.container.id, one.port, one.inspected) for one in asked] == [("c1", 80, RUNS)]


@pytest.mark.parametrize("port", [0, -1, 65536, 2**40])
def test_a_port_that_is_none_is_not_asked_p2(port: int) -> None:
    """Whoever may start containers on a node cannot blind Cube by a label."""
    (asked,) = checks_of((CONTAINER,), {"c1": spec(container_port=port)}, {})
    assert ask(asked, reach()).health is Health.UNCHECKED


def test_a_container_without_an_address_is_not_asked() -> None:
    nowhere = replace(check(), container=replace(CONTAINER, address=""))
    assert ask(nowhere, reach()).health is Health.UNCHECKED


@pytest.mark.parametrize(
    ("status", "age", "expected"),
    [
        ("healthy", 0.0, Health.HEALTHY),
        ("healthy", 31.0, Health.HEALTHY),
        ("healthy", 33.0, Health.UNCHECKED),
        ("unhealthy", 1.0, Health.UNHEALTHY),
        ("unhealthy", 33.0, Health.UNCHECKED),
        ("starting", 1.0, Health.UNCHECKED),
        ("levitating", 1.0, Health.UNCHECKED),
    ],
)
def test_the_engines_word_is_believed_while_it_is_fresh(status: str, age: float, expected: Health) -> None:
    """Fault F23: three intervals of 10 s, and 2 s for the answer."""
    own = OwnCheck(status=status, ended_at=CLOCK - age, interval=10.0, timeout=2.0)
    asked = replace(check(CheckKind.IMAGE), inspected=replace(RUNS, own_check=own))
    assert ask(asked, reach()).health is expected


@pytest.mark.parametrize("inspected", [None, RUNS])
def test_an_image_without_a_check_of_its_own_is_unchecked(inspected: Inspected | None) -> None:
    assert ask(replace(check(CheckKind.IMAGE), inspected=inspected), reach()).health is Health.UNCHECKED


@pytest.fixture
def engine() -> Iterator[Engine]:
    engine = Engine({"/containers/c1/exec": (201, b'{"Id": "e1"}'), "/exec/e1/start": (200, b"")})
    yield engine
    engine.close()


def state(*, running: bool, code: int | None = None, argv: tuple[str, ...] = ("test", "-e", "/ready")) -> Any:
    process = {"entrypoint": argv[0], "arguments": list(argv[1:])}
    return 200, json.dumps({"Running": running, "ExitCode": code, "ProcessConfig": process}).encode()


def a_command(execs: tuple[str, ...] = (), **how: Any) -> Check:
    asked = check(CheckKind.EXEC, command=("test", "-e", "/ready"), **how)
    return replace(asked, inspected=replace(RUNS, execs=execs))


@pytest.mark.parametrize(
    ("code", "expected"), [(0, Health.HEALTHY), (1, Health.UNHEALTHY), (127, Health.UNHEALTHY)]
)
def test_a_command_is_healthy_that_ends_with_0(engine: Engine, code: int, expected: Health) -> None:
    engine.routes = {**engine.routes, "/exec/e1/json": state(running=False, code=code)}
    assert ask(a_command(), reach(engine=engine)).health is expected


def test_a_program_that_does_not_exist_is_unhealthy(engine: Engine) -> None:
    engine.routes = {
        **engine.routes,
        "/exec/e1/start": (400, b'{"message": "no such file"}'),
        "/exec/e1/json": state(running=False, code=126),
    }
    assert ask(a_command(), reach(engine=engine)).health is Health.UNHEALTHY


def test_a_command_that_outlives_its_timeout_is_unhealthy_in_time_p1(engine: Engine) -> None:
    engine.routes = {**engine.routes, "/exec/e1/json": state(running=True)}
    assert ask(a_command(timeout=0.05), reach(engine=engine)).health is Health.UNHEALTHY


def test_a_command_that_still_hangs_is_waited_for_and_not_run_again(engine: Engine) -> None:
    engine.routes = {
        "/exec/shell/json": state(running=True, argv=("sh",)),
        "/exec/e0/json": state(running=True),
    }
    hung = a_command(execs=("shell", "ended", "e0"), timeout=0.05)
    assert ask(hung, reach(engine=engine)).health is Health.UNHEALTHY
    assert not [asked for asked in engine.asked if asked.startswith("POST")]


def test_one_that_has_ended_meanwhile_is_run_again(engine: Engine) -> None:
    engine.routes = {
        **engine.routes,
        "/exec/e0/json": state(running=False, code=1),
        "/exec/e1/json": state(running=False, code=0),
    }
    assert ask(a_command(execs=("e0",)), reach(engine=engine)).health is Health.HEALTHY


@pytest.mark.parametrize(
    "routes",
    [
        {},
        {"/containers/c1/exec": (409, b'{"message": "container is paused"}')},
        {
            "/containers/c1/exec": (201, b'{"Id": "e1"}'),
            "/exec/e1/start": (409, b'{"message": "not running"}'),
        },
        {
            "/containers/c1/exec": (201, b'{"Id": "e1"}'),
            "/exec/e1/start": (200, b""),
            "/exec/e1/json": state(running=False),
        },
    ],
)
def test_what_the_engine_cannot_run_says_nothing_of_the_task_p3(engine: Engine, routes: Any) -> None:
    engine.routes = routes
    assert ask(a_command(), reach(engine=engine)).health is Health.UNCHECKED


def test_a_container_that_could_not_be_inspected_is_not_asked_p3(engine: Engine) -> None:
    assert ask(replace(a_command(), inspected=None), reach(engine=engine)).health is Health.UNCHECKED
    assert engine.asked == []


def test_how_a_command_ended_that_was_forgotten_is_unknown(engine: Engine) -> None:
    with pytest.raises(EngineError):
        command.exit_code(engine.open_channel(), "c1", ["true"], under_way=(), timeout=1.0)


@pytest.mark.parametrize(
    ("answer", "how", "why"),
    [
        (b"HTTP/1.1 503 Busy\r\n\r\n", {}, "GET /health: status 503 in place of 200-399"),
        (b"HTTP/1.1 200 OK\r\n\r\n", {"status": (404, 404)}, "GET /health: status 200 in place of 404"),
        (b"HTTP/1.1 200 OK\r\n\r\nno", {"body": "up"}, "GET /health: the answer does not contain 'up'"),
        (b"garbage\r\n\r\n", {}, "port 80 gave no answer of HTTP: BadStatusLine"),
        (b"", {}, "port 80 gave no answer of HTTP: RemoteDisconnected"),
    ],
)
def test_a_bad_answer_of_http_is_told_with_what_was_wanted_p12(
    answer: bytes, how: dict[str, Any], why: str
) -> None:
    with answering(answer) as channel:
        told = ask(check(**how), reach(lambda *_: channel))
    assert (told.health, told.why) == (Health.UNHEALTHY, why)


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (TimeoutError(), "port 80 gave no answer within 1s"),
        (ChannelRefused(Cause.REFUSED, where="n1", why="Connect failed"), "port 80 accepts no connection"),
        (
            ChannelRefused(Cause.REFUSED, where="n1", why="Administratively prohibited"),
            "the node's sshd forbids to ask it: AllowTcpForwarding",
        ),
    ],
)
def test_a_port_that_cannot_be_asked_is_told_with_the_reason_p12(error: Exception, why: str) -> None:
    def refuse(*_: Any) -> Channel:
        raise error

    assert ask(check(CheckKind.TCP), reach(refuse)).why == why


def test_a_command_that_fails_or_hangs_is_named_p12(engine: Engine) -> None:
    engine.routes = {**engine.routes, "/exec/e1/json": state(running=False, code=3)}
    assert ask(a_command(), reach(engine=engine)).why == "test exited with 3"
    engine.routes = {**engine.routes, "/exec/e1/json": state(running=True)}
    assert ask(a_command(timeout=0.05), reach(engine=engine)).why == "test did not end within 0.05s"


def test_an_image_that_has_no_check_is_told_so_p12() -> None:
    assert ask(replace(check(CheckKind.IMAGE), inspected=RUNS), reach()).why == "its image has no HEALTHCHECK"


def test_what_one_check_says_is_told_of_no_other_container() -> None:
    well, plain = CONTAINER, replace(CONTAINER, id="c2")
    own = OwnCheck(status="healthy", ended_at=CLOCK, interval=10.0, timeout=2.0)
    asked = replace(check(CheckKind.IMAGE), inspected=replace(RUNS, own_check=own))
    told = health.Rounds().with_health((well, plain), (asked,), reach())
    assert [(found.health, found.check) for found in told] == [(Health.HEALTHY, ""), (Health.UNCHECKED, "")]


class TestLookAfterLook:
    """A manager that looks every second, at a task whose check has an interval of ten."""

    @pytest.fixture
    def asked(self) -> list[float]:
        """When the task was asked."""
        return []

    @pytest.fixture
    def look(self, asked: list[float]) -> Callable[..., Health]:
        """A look at that second; what listens at the port answers well, or not at all."""
        now = 0.0
        rounds = health.Rounds(lambda: now)

        def look(at: float, *, answers: bool = True, since: str = "noon") -> Health:
            nonlocal now
            now = at

            def forward(*_: Any) -> Channel:
                asked.append(at)
                if not answers:
                    raise TimeoutError
                ours, theirs = socket.socketpair()
                theirs.close()
                return channel_over(ours)

            one = replace(check(CheckKind.TCP, interval=10.0), inspected=replace(RUNS, started_at=since))
            return rounds.with_health((CONTAINER,), (one,), reach(forward))[0].health

        return look

    def test_who_answers_well_is_asked_once_in_an_interval(self, asked: list[float], look: Any) -> None:
        assert {look(float(at)) for at in range(31)} == {Health.HEALTHY}
        assert asked == [0.0, 9.0, 18.0, 27.0]

    def test_a_look_that_comes_a_moment_early_asks_all_the_same(self, asked: list[float], look: Any) -> None:
        for at in (0.0, 9.99, 19.98):
            look(at)
        assert asked == [0.0, 9.99, 19.98]

    def test_who_does_not_is_asked_at_every_look_until_it_does(self, asked: list[float], look: Any) -> None:
        for at in (0.0, 1.0, 2.0):
            assert look(at, answers=False) is Health.UNHEALTHY
        assert (look(3.0), look(4.0)) == (Health.HEALTHY, Health.HEALTHY)
        assert asked == [0.0, 1.0, 2.0, 3.0]

    def test_an_answer_says_nothing_of_the_next_process(self, asked: list[float], look: Any) -> None:
        look(0.0)
        assert look(1.0, answers=False, since="a second after noon") is Health.UNHEALTHY
        assert asked == [0.0, 1.0]

    def test_a_good_answer_that_is_over_is_not_repeated(self, look: Any) -> None:
        look(0.0)
        assert look(8.9, answers=False) is Health.HEALTHY
        assert look(9.0, answers=False) is Health.UNHEALTHY
