"""Health: when an endpoint is left alone, and when it is given up."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.reasons import Reason
from worker.webhooks import AttemptOutcome, Health

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)


def outcome(reason: Reason | None, rest: timedelta | None = None) -> AttemptOutcome:
    state = "pending" if reason else "sent"
    return AttemptOutcome(1, 1, state, None, None, reason, "", "", rest=rest)  # type: ignore[arg-type]


SENT = outcome(None)
FAILED = outcome(Reason.SERVER_ERROR)
BUSY = outcome(Reason.RATE_LIMITED, timedelta())


def asking(rest: timedelta) -> AttemptOutcome:
    return outcome(Reason.RATE_LIMITED, rest)


def after(*groups: list[AttemptOutcome], health: Health | None = None) -> Health:
    """What groups of outcomes make of an endpoint; each comes when it has rested."""
    health, now = health or Health(), NOW
    for group in groups:
        now = max(now, health.resting_until or now)
        health = health.after(group, 7, now)
    return health


def rest(health: Health, since: datetime) -> timedelta:
    assert health.resting_until is not None
    return health.resting_until - since


class TestResting:
    def test_five_failures_in_a_row(self) -> None:
        four = after([FAILED], [FAILED, FAILED], [FAILED])
        assert (four.failures, four.failing_at, four.resting_until) == (4, NOW, None)
        assert four.most(4, NOW) == 4
        five = after([FAILED], health=four)
        assert (five.failures, five.rests) == (5, 1)
        assert 30 * SECOND <= rest(five, NOW) <= 36 * SECOND

    def test_one_that_succeeds_among_them_counts_for_all(self) -> None:
        assert after([FAILED] * 4, [FAILED, SENT]) == Health()

    def test_then_one_at_a_time_until_one_is_sent(self) -> None:
        health = after([FAILED] * 5)
        assert health.resting_until is not None
        assert health.most(4, health.resting_until - SECOND) == 0
        assert health.most(4, health.resting_until) == 1
        assert health.most(0, health.resting_until) == 0
        assert after([SENT], health=health) == Health()
        assert Health().most(4, NOW) == 4

    def test_each_rest_is_twice_as_long_up_to_half_an_hour(self) -> None:
        health, now, rests = after([FAILED] * 5), NOW, []
        for _ in range(40):
            rests.append(rest(health, now))
            now = health.resting_until or now
            health = health.after([FAILED], 7, now)
        for number, length in enumerate(rests):
            usual = min(30 * SECOND * 2 ** min(number, 20), 30 * MINUTE)
            assert usual <= length <= usual * 1.2
        assert health.failures == 45

    def test_one_that_is_busy_rests_at_once(self) -> None:
        health = after([BUSY])
        assert 30 * SECOND <= rest(health, NOW) <= 36 * SECOND
        assert (health.failures, health.rests) == (1, 1)
        assert health.most(4, NOW + MINUTE) == 1

    def test_one_that_fails_after_its_rest_rests_again(self) -> None:
        health = after([BUSY], [FAILED])
        assert (health.failures, health.rests) == (2, 2)

    def test_one_that_takes_some_and_is_busy_rests_too(self) -> None:
        health = after([FAILED, asking(HOUR), SENT])
        assert (health.failures, health.failing_at, health.rests) == (0, None, 1)
        assert rest(health, NOW) >= HOUR

    def test_the_longest_that_it_asks_for_counts(self) -> None:
        health = after([asking(MINUTE), asking(HOUR), FAILED])
        assert HOUR <= rest(health, NOW) <= HOUR + 6 * SECOND

    def test_not_all_that_failed_together_come_back_together(self) -> None:
        ends = {Health().after([BUSY], number, NOW).resting_until for number in range(50)}
        assert len(ends) == 50

    @given(
        st.lists(
            st.lists(
                st.sampled_from([SENT, FAILED, BUSY])
                | st.timedeltas(timedelta(), 24 * HOUR).map(asking),
                min_size=1, max_size=4,
            ),
            max_size=30,
        ),
        st.integers(1, 2**40),
    )  # fmt: skip
    def test_it_is_never_left_alone_for_less_than_it_asks(
        self, groups: list[list[AttemptOutcome]], endpoint_id: int
    ) -> None:
        health, now = Health(), NOW
        for group in groups:
            now = max(now, health.resting_until or now)
            health = health.after(group, endpoint_id, now)
            asked = max((one.rest for one in group if one.rest is not None), default=None)
            if asked is not None:
                assert rest(health, now) >= asked
                assert health.most(9, now + asked - SECOND / 1_000) == 0
            if health.resting_until:
                assert rest(health, now) <= max(asked or timedelta(), 30 * MINUTE) + 6 * MINUTE
            else:
                assert health.failures < 5
            assert (health.failing_at is None) == (health.failures == 0)


class TestLost:
    @pytest.mark.parametrize(
        ("failures", "hours", "lost"),
        [(10, 120, True), (9, 500, False), (10, 119.9, False), (500, 121, True), (0, 0, False)],
    )
    def test_after_120_hours_and_ten_attempts(
        self, failures: int, hours: float, lost: bool
    ) -> None:
        health = Health(failures, NOW if failures else None)
        assert health.is_lost(NOW + hours * HOUR) is lost

    def test_a_success_starts_the_clock_anew(self) -> None:
        health = Health(50, NOW).after([SENT], 7, NOW + 119 * HOUR)
        health = health.after([FAILED] * 10, 7, NOW + 120 * HOUR)
        assert not health.is_lost(NOW + 239 * HOUR)
        assert health.is_lost(NOW + 240 * HOUR)
