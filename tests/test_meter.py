"""How far a pull is: what is made of the lines of an engine, and how often it is told."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from cube.model.transit import Transit
from cube.worker.meter import STATES, Meter

START = Transit(node="node1", image="shop/web:7", job="web")


def line(name: str, status: str, current: Any = None, total: Any = None, **more: Any) -> dict[str, Any]:
    detail = {"current": current, "total": total, **more}
    return {"id": name, "status": status, "progressDetail": detail if current is not None else {}}


def heard(*lines: dict[str, Any], seconds: float = 1.0) -> tuple[list[Transit], Meter]:
    """What is told of these lines, one of which comes every so many seconds."""
    told: list[Transit] = []
    times = iter(range(len(lines)))
    meter = Meter(START, told.append, clock=lambda: next(times) * seconds)
    for each in lines:
        meter.hear(each)
    return told, meter


def far(transit: Transit) -> tuple[int, int, int, int]:
    return transit.got, transit.size, transit.done, transit.layers


def test_the_bytes_and_layers_of_a_pull_are_counted_as_the_engine_tells_of_them() -> None:
    told, meter = heard(
        {"id": "7", "status": "Pulling from shop/web"},
        {"id": "a", "status": "Already exists", "progressDetail": {}},
        line("b", "Pulling fs layer"),
        line("c", "Pulling fs layer"),
        line("b", "Downloading", 10, 100),
        line("c", "Download complete"),
        line("b", "Download complete"),
        line("c", "Extracting", 5, 20),
        line("c", "Pull complete"),
        line("b", "Extracting", 1, 9, units="s"),
        line("b", "Pull complete"),
        {"status": "Digest: sha256:1"},
    )
    assert [far(each) for each in told] == [
        (0, 0, 0, 1), (0, 0, 0, 2), (10, 100, 0, 2), (10, 100, 0, 2), (100, 100, 0, 2),
        (120, 120, 0, 2), (120, 120, 1, 2), (120, 120, 1, 2), (120, 120, 2, 2),
    ]  # fmt: skip
    assert meter.detail == {"bytes": "120", "layers": "2", "seconds": "8.0"}


def test_it_is_told_at_once_and_then_no_more_than_once_a_second() -> None:
    told, _ = heard(*(line("a", "Downloading", got, 100) for got in range(101)), seconds=0.25)
    assert [each.got for each in told] == list(range(0, 101, 4))


def test_of_what_was_there_nothing_is_told() -> None:
    told, meter = heard(
        {"id": "7", "status": "Pulling from shop/web"}, {"id": "a", "status": "Already exists"}
    )
    assert (told, meter.detail) == ([], {})


STRANGE = (
    st.none()
    | st.lists(st.none(), max_size=1)
    | st.integers(-5, 5)
    | st.text(max_size=3)
    | st.floats(allow_nan=False)
)


@given(
    st.lists(
        st.fixed_dictionaries(
            {},
            optional={
                "id": st.sampled_from("ab") | STRANGE,
                "status": st.sampled_from(sorted(STATES)) | STRANGE,
                "progressDetail": STRANGE
                | st.fixed_dictionaries(
                    {}, optional={"current": STRANGE, "total": STRANGE, "units": STRANGE}
                ),
            },
        ),
        max_size=30,
    )
)
def test_whatever_an_engine_says_no_more_has_come_than_is_known_of(lines: list[dict[str, Any]]) -> None:
    told, _ = heard(*lines)
    assert all(0 <= each.got <= each.size and 0 <= each.done <= each.layers for each in told)
