"""Human units: what they mean, and that everything else is refused."""

import contextlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cube.model.units import cpu, duration, size


@pytest.mark.parametrize(
    ("text", "millicores"), [("500m", 500), ("0.5", 500), ("2", 2000), ("1.25", 1250), ("0", 0)]
)
def test_cpu(text: str, millicores: int) -> None:
    assert cpu(text) == millicores


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("512MiB", 512 << 20),
        ("1G", 10**9),
        ("1.5GiB", 3 << 29),
        ("1048576", 1 << 20),
        ("10 kB", 10_000),
        ("0", 0),
    ],
)
def test_size(text: str, amount: int) -> None:
    assert size(text) == amount


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("10s", 10), ("5m", 300), ("1h30m", 5400), ("2d", 172800), ("250ms", 0.25), ("1.5s", 1.5)],
)
def test_duration(text: str, seconds: float) -> None:
    assert duration(text) == seconds


@pytest.mark.parametrize("parse", [cpu, size, duration])
@pytest.mark.parametrize(
    "text", ["", "-1", "nan", "inf", "1e309", "4 cores", "1.", "٣", "1m1m", "99999999999999999999T"]
)
def test_everything_else_is_refused(parse: Callable[[str], float], text: str) -> None:
    with pytest.raises(ValueError, match=r"is no|is more"):
        parse(text)


@given(st.text(max_size=12))
def test_no_text_breaks_them(text: str) -> None:
    for parse in (cpu, size, duration):
        with contextlib.suppress(ValueError):
            assert parse(text) >= 0
