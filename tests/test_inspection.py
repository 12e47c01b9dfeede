"""What the engine tells of one container: read whole, or unknown; and unknown for that one alone."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from cube.model.observation import Container, ContainerState
from cube.worker.engine import EngineError
from cube.worker.inspection import Inspections, inspect_each, inspected_of
from tests.wire import Engine


def container(name: str, state: ContainerState = ContainerState.EXITED) -> Container:
    return Container(
        id=name, name=name, image="a:1", image_id="sha256:1", state=state, created_at=1.0, identity=None
    )


def told(status: str = "exited", code: int = 3, **more: Any) -> dict[str, Any]:
    return {"State": {"Status": status, "ExitCode": code, "OOMKilled": False, **more}}


def answer(item: Any) -> tuple[int, bytes]:
    return 200, json.dumps(item).encode()


@pytest.fixture
def engine() -> Iterator[Engine]:
    engine = Engine({f"/containers/{name}/json": answer(told()) for name in ("a", "b", "c")})
    yield engine
    engine.close()


def inspected(engine: Engine, *, in_all: float = 5.0) -> Inspections:
    return inspect_each(engine.open_channel, ["a", "b", "c"], each=0.1, in_all=in_all)


def test_each_is_told_how_it_ended(engine: Engine) -> None:
    found = inspected(engine).applied([container("a"), container("x")])
    assert [(one.id, one.exit_code, one.oom_killed) for one in found] == [("a", 3, False), ("x", None, None)]


@pytest.mark.parametrize(
    "trouble", [None, (200, b"nu"), (200, b"[]"), (200, b'{"State": null}'), (500, b'{"message": "no"}')]
)
def test_one_that_cannot_be_told_of_is_unknown_alone_p2_p3(
    engine: Engine, trouble: tuple[int, bytes] | None
) -> None:
    """Fault F38: its inspect hangs, or is nonsense."""
    engine.routes = {**engine.routes, "/containers/b/json": trouble}
    found = inspected(engine).applied([container("a"), container("b"), container("c")])
    assert [(one.id, one.state, one.exit_code) for one in found] == [
        ("a", ContainerState.EXITED, 3),
        ("b", ContainerState.EXITED, None),
        ("c", ContainerState.EXITED, 3),
    ]


def test_those_for_which_no_time_is_left_are_unknown_p1(engine: Engine) -> None:
    engine.routes = dict.fromkeys(engine.routes)
    found = inspected(engine, in_all=0.15)
    assert (found.told, found.gone) == ({}, frozenset())
    assert len(engine.asked) == 2


def test_one_that_was_removed_meanwhile_is_not_there(engine: Engine) -> None:
    engine.routes = {**engine.routes, "/containers/b/json": (404, b'{"message": "No such container"}')}
    found = inspected(engine).applied([container("a"), container("b")])
    assert [one.id for one in found] == ["a"]


def test_one_that_was_started_meanwhile_has_not_ended_p12(engine: Engine) -> None:
    """Exit code 0 would read as a batch task that is done."""
    engine.routes = {"/containers/a/json": answer(told("running", 0))}
    (found,) = inspected(engine).applied([container("a")])
    assert (found.state, found.exit_code) == (ContainerState.RUNNING, None)


def test_one_that_ended_meanwhile_has_ended(engine: Engine) -> None:
    (found,) = inspected(engine).applied([container("a", ContainerState.RUNNING)])
    assert (found.state, found.exit_code) == (ContainerState.EXITED, 3)


@pytest.mark.parametrize(
    ("status", "code", "oom", "badly"),
    [
        ("exited", 0, False, False),
        ("exited", 1, False, True),
        ("exited", 0, True, True),
        ("dead", 0, False, True),
        ("running", 0, False, False),
        ("created", 127, False, False),
    ],
)
def test_what_ended_badly_is_told_from_what_is_done(status: str, code: int, oom: bool, badly: bool) -> None:
    item = told(status, code) | {"Name": "/a"}
    item["State"]["OOMKilled"] = oom
    assert inspected_of(item).ended_badly is badly


def test_the_images_own_check_is_read_with_its_times() -> None:
    log = [
        {"Start": "2026-11-21T07:00:00Z", "End": "2026-11-21T07:00:01.5Z", "ExitCode": 0, "Output": "fine\n"},
        {"Start": "x", "End": "2026-11-21T08:00:11.123456789+01:00", "ExitCode": 1, "Output": "bad\n"},
    ]
    config = {"Healthcheck": {"Interval": 5_000_000_000}}
    item = told("running", Health={"Status": "unhealthy", "Log": log}) | {"Config": config}
    found = inspected_of(item)
    assert found.own_check is not None
    assert (found.own_check.status, found.own_check.interval, found.own_check.timeout) == (
        "unhealthy",
        5.0,
        30.0,
    )
    assert found.own_check.ended_at == pytest.approx(1795244411.123456)
    assert found.checks == (
        "2026-11-21T07:00:01.5Z exit code 0: fine",
        "2026-11-21T08:00:11.123456789+01:00 exit code 1: bad",
    )


@pytest.mark.parametrize("item", [[], {}, {"State": {}}, {"State": None}, told("levitating"), told(code="x")])  # type: ignore[arg-type]
def test_an_answer_that_is_none_is_an_error_p3(item: Any) -> None:
    with pytest.raises(EngineError):
        inspected_of(item)
