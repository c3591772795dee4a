"""Rates: no minute has more than it may."""

from bisect import bisect_left
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.webhooks import Rate

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
MICROSECOND = timedelta(microseconds=1)


def at(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def begun(per_minute: int, asks: list[tuple[timedelta, int]]) -> list[datetime]:
    """When attempts began, asked for so many at once after such waits."""
    rate, now, times = Rate(per_minute), NOW, []
    for wait, limit in asks:
        now += wait
        number = rate.most(limit, now)
        assert 0 <= number <= limit
        if number:
            rate = rate.after(number, now)
            times += [now] * number
    return times


WAITS = st.one_of(
    st.timedeltas(timedelta(), timedelta(seconds=130)),
    st.timedeltas(timedelta(), timedelta(seconds=2)),
    st.just(timedelta()),
)


@given(st.integers(1, 1_000), st.lists(st.tuples(WAITS, st.integers(1, 100)), max_size=60))
def test_no_minute_has_more_than_it_may(per_minute: int, asks: list[tuple[timedelta, int]]) -> None:
    times = begun(per_minute, asks)
    for begin in times:
        assert sum(begin <= time < begin + MINUTE for time in times) <= per_minute


@pytest.mark.parametrize("per_minute", [1, 2, 7, 10, 11, 19, 20, 60, 600, 997, 60_000])
def test_who_always_asks_gets_nearly_all_and_never_more(per_minute: int) -> None:
    rate, now = Rate(per_minute), NOW
    times: list[datetime] = []
    while now < NOW + 3 * MINUTE and len(times) < 4 * per_minute:
        number = rate.most(per_minute, now)
        times += [now] * number
        rate = rate.after(number, now)
        assert rate.next_at is not None
        now = max(rate.next_at, now + MICROSECOND)
    numbers = [bisect_left(times, time + MINUTE) - bisect_left(times, time) for time in times]
    assert max(numbers) <= per_minute
    assert numbers[bisect_left(times, NOW + 2 * MINUTE)] >= 0.89 * per_minute


def test_a_few_are_spread_evenly() -> None:
    rate = Rate(6)
    assert rate.most(4, NOW) == 1
    rate = rate.after(1, NOW)
    assert rate.next_at == at(10)
    assert rate.most(4, at(10) - MICROSECOND) == 0
    assert rate.most(4, at(10)) == 1


def test_of_many_a_tenth_may_come_at_once() -> None:
    rate = Rate(100)
    assert (rate.most(4, NOW), rate.most(50, NOW)) == (4, 10)
    rate = rate.after(4, NOW)
    assert rate.most(50, NOW) == 6
    assert rate.after(6, NOW).most(50, NOW) == 0
    assert rate.most(50, NOW + MINUTE) == 10


def test_what_begins_none_costs_none() -> None:
    rate = Rate(6).after(1, NOW)
    assert rate.after(0, at(3)).next_at == rate.next_at


def test_a_clock_that_goes_back_lets_nothing_through() -> None:
    assert Rate(6).after(1, NOW).most(4, at(-3_600)) == 0
