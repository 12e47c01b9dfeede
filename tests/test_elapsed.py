"""Waits that were begun under another clock."""

from hypothesis import given
from hypothesis import strategies as st

from cube.reconciler.elapsed import due_at, is_within

stamps = st.floats(0, 2e9)
waits = st.floats(0, 1e6)


@given(since=stamps, wait=waits, now=stamps)
def test_p7_a_clock_that_is_set_back_holds_up_nothing_for_longer_than_the_wait(
    since: float, wait: float, now: float
) -> None:
    assert due_at(since, wait, now) <= now + wait


@given(since=stamps, wait=waits)
def test_a_wait_ends_when_its_seconds_are_over(since: float, wait: float) -> None:
    assert due_at(since, wait, since) == since + wait
    assert not is_within(since, wait, since + wait)


@given(wait=waits, ahead=st.floats(1, 1e6))
def test_a_stamp_from_the_future_counts_as_long_ago(wait: float, ahead: float) -> None:
    assert due_at(1e9 + ahead, wait, 1e9) == 1e9
    assert not is_within(1e9 + ahead, wait, 1e9)
