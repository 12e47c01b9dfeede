"""Post-mortems: the end of the log, however much of it can be had, and never a reason not to go on."""

import json
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest

from cube.connection import Channel, ConnectionFailed
from cube.errors import InputError
from cube.model.job import SecretUse, TaskSpec
from cube.model.observation import Cause, PostMortem
from cube.model.secret import Secret
from cube.worker.belongings import Porter, no_templates
from cube.worker.hiding import NOT_KEPT, Hide, hiding, masked
from cube.worker.post_mortem import LINES, MAX_LOG, ended_badly, take
from tests.build import task
from tests.wire import answering, channel_over, response

FOUND: dict[str, Any] = {
    "Id": "c1",
    "State": {
        "Status": "exited",
        "ExitCode": 3,
        "OOMKilled": True,
        "StartedAt": "2026-11-21T07:00:00Z",
        "FinishedAt": "2026-11-21T07:01:00Z",
        "Health": {
            "Status": "unhealthy",
            "Log": [{"End": "2026-11-21T07:00:59Z", "ExitCode": 1, "Output": "no answer\n"}],
        },
    },
    "Config": {},
}


def frames(*lines: bytes) -> bytes:
    return b"".join(bytes([1, 0, 0, 0]) + len(line).to_bytes(4, "big") + line for line in lines)


def told(body: bytes, found: dict[str, Any] = FOUND, hide: Hide = str, **how: Any) -> PostMortem:
    with answering(response(body, **how)) as channel:
        return take(found, lambda: channel, hide, at=7.0)


def test_it_holds_how_the_container_ended_and_what_it_said() -> None:
    assert told(frames(b"2026-11-21T07:00:58Z no database\n", b"2026-11-21T07:00:59Z bye\n")) == PostMortem(
        at=7.0,
        container="c1",
        exit_code=3,
        oom_killed=True,
        started_at="2026-11-21T07:00:00Z",
        finished_at="2026-11-21T07:01:00Z",
        log="2026-11-21T07:00:58Z no database\n2026-11-21T07:00:59Z bye",
        checks=("2026-11-21T07:00:59Z exit code 1: no answer",),
    )


def test_one_that_still_runs_has_no_exit_code_yet() -> None:
    state = FOUND["State"] | {"Status": "running", "ExitCode": 0, "OOMKilled": False}
    found = told(b"", FOUND | {"State": state})
    assert (found.exit_code, found.finished_at) == (None, "")


def test_the_log_is_cut_at_its_beginning_and_between_lines() -> None:
    lines = [f"{number} ".encode() + b"x" * 2000 + b"\n" for number in range(LINES)]
    log = told(frames(*lines)).log
    assert MAX_LOG - 2100 < len(log) <= MAX_LOG
    assert log.split("\n")[0].startswith("68 x")
    assert log.endswith("x" * 2000)


def test_a_line_that_is_longer_than_all_may_be_keeps_its_end() -> None:
    log = told(frames(b"a" * MAX_LOG, b"the end\n")).log
    assert len(log) == MAX_LOG
    assert log.endswith("athe end")


def test_what_is_no_text_is_kept_readable() -> None:
    assert told(frames(b"\xff\xfe\n")).log == "\ufffd\ufffd"


def test_a_log_that_breaks_off_is_kept_so_far() -> None:
    log = told(frames(b"first\n") + b"\1\0\0\0\0\0\0\7lost", length=1000).log
    first, last = log.split("\n")
    assert first == "first"
    assert last.startswith("(the log broke off: ")


def refused() -> Channel:
    raise ConnectionFailed(Cause.LOST, where="n1")


def test_a_container_that_cannot_tell_is_told_of_all_the_same() -> None:
    """A driver that keeps no log, or a connection that is lost, holds up nothing."""
    message = json.dumps({"message": "configured logging driver does not support reading"}).encode()
    kept = told(message, status="501 Not Implemented")
    assert (kept.exit_code, kept.log) == (
        3,
        "(the log broke off: configured logging driver does not support reading)",
    )
    assert take(FOUND, refused, str, at=7.0).log == "(the log broke off: connection lost)"


@pytest.mark.parametrize("found", [{}, {"Id": "c1"}, {"Id": "c1", "State": None}, {"State": {"Status": "x"}}])
def test_one_that_cannot_be_read_is_told_with_what_there_is(found: dict[str, Any]) -> None:
    post_mortem = take(found, refused, str, at=7.0)
    assert (post_mortem.exit_code, post_mortem.oom_killed) == (None, False)
    assert ended_badly(found) is False


def test_a_log_without_end_is_not_waited_for_p1(endless: Callable[[], Channel]) -> None:
    log = take(FOUND, endless, str, at=7.0).log
    assert log.startswith("2026 line")
    assert "broke off" in log.split("\n")[-1]


def porter_of(**secrets: str) -> Porter:
    def ask(name: str, _fingerprint: str) -> Secret:
        if name not in secrets:
            raise InputError(f"there is no secret {name!r}")
        return Secret(name, secrets[name].encode())

    return Porter(connect=lambda: cast("Any", None), secret=ask, render=no_templates)


def given(*names: str) -> dict[str, Any]:
    """The container of a task that is given those secrets."""
    uses = tuple(SecretUse(name=name, target=f"/{name}") for name in names)
    labels = {"cube.spec": TaskSpec(image="app:1", secrets=uses).canonical}
    check = {"End": "2026-11-21T07:00:59Z", "ExitCode": 1, "Output": "pass hunter2 is wrong"}
    health = {"Status": "unhealthy", "Log": [check]}
    return FOUND | {"Config": {"Labels": labels}, "State": FOUND["State"] | {"Health": health}}


def test_p15_the_last_words_of_a_task_hold_none_of_its_secrets() -> None:
    found = given("db", "key", "pin")
    porter = porter_of(db="hunter2", key="-- BEGIN --\nhunter2hunter3\n-- END --\n", pin="123", other="2026")
    words = (b"2026-11-21 cannot log in: hunter2!", b"2026 hunter2hunter3", b"2026 -- END -- 123")
    kept = told(frames(*(b"%s\n" % line for line in words)), found, hide=hiding(found, porter))
    assert kept.log == "2026-11-21 cannot log in: ***!\n2026 ***\n2026 *** 123"
    assert kept.checks == ("2026-11-21T07:00:59Z exit code 1: pass *** is wrong",)


def test_p15_a_value_that_was_given_is_masked_once_there_is_another() -> None:
    now = {"db": "the-old-one"}
    porter = Porter(
        connect=lambda: cast("Any", None), secret=lambda name, _: Secret(name, now[name].encode()),
        render=no_templates,
    )  # fmt: skip
    use = SecretUse(name="db", env="DB")
    porter.variables(task(spec=TaskSpec(image="app:1", secrets=(use,))))
    now["db"] = "the-new-one"
    porter.variables(task(spec=TaskSpec(image="app:1", secrets=(use,))))
    assert masked("the-old-one, the-new-one", porter.given((use,))) == "***, ***"


def test_p15_words_that_cannot_be_masked_are_not_kept() -> None:
    found = given("gone")
    kept = told(frames(b"2026 hunter2\n"), found, hide=hiding(found, porter_of()))
    assert (kept.log, kept.checks, kept.exit_code) == (NOT_KEPT, (NOT_KEPT,), 3)


def test_a_container_that_is_not_of_cubes_says_what_it_says() -> None:
    assert hiding(FOUND, porter_of(db="hunter2"))("hunter2") == "hunter2"


@pytest.fixture
def endless() -> Iterator[Callable[[], Channel]]:
    """A channel that expires soon, to an engine that writes for ever."""
    ours, theirs = socket.socketpair()
    over = threading.Event()

    def write() -> None:
        head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        piece = frames(b"2026 line\n")
        try:
            theirs.sendall(head)
            while not over.wait(0.001):
                theirs.sendall(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
        except OSError:
            return

    writing = threading.Thread(target=write)
    writing.start()
    yield lambda: channel_over(ours, seconds=0.2)
    over.set()
    theirs.close()
    writing.join()
