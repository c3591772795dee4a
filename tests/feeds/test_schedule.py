"""When a feed is polled next: its rhythm, what is asked of us, and what follows over weeks."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.feeds.newsroom import URL, follow
from worker.feeds import Feed, Input, spread
from worker.feeds.schedule import cool_down, learn, next_poll
from worker.http import Response
from worker.settings import PollSettings

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)  # a Tuesday
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
SETTINGS = PollSettings()
FEED = Feed(id=7, url=URL)
STEADY = replace(FEED, gap_seconds=3_600, newest_at=NOW, changed_at=NOW, succeeded_at=NOW)


def response(status: int | None = 304, **headers: str) -> Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Response(URL, URL, status, named)


def wait(feed: Feed, came: Response | None = None, settings: PollSettings = SETTINGS) -> timedelta:
    """The wait without its spread."""
    return decisive(feed, came, settings).at - NOW


def decisive(feed: Feed, came: Response | None = None, settings: PollSettings = SETTINGS) -> Input:
    due_at, why = next_poll(feed, came or response(), NOW, settings)
    [chosen] = [each for each in why if each.effective]
    assert chosen.at <= due_at
    return chosen


def about(expected: timedelta) -> object:
    return pytest.approx(expected, abs=timedelta(milliseconds=1))


class TestRhythm:
    @pytest.mark.parametrize(
        ("gap", "expected"),
        [
            (MINUTE, MINUTE),  # the clamp
            (4 * MINUTE, 2 * MINUTE),  # half of the gap
            (15 * MINUTE, 7.5 * MINUTE),
            (HOUR, 15 * MINUTE),  # half of the mean of an hour and 15 minutes
            (DAY, 73.485 * MINUTE),
            (30 * DAY, 6.708 * HOUR),
        ],
    )
    def test_the_pace_follows_the_gap(self, gap: timedelta, expected: timedelta) -> None:
        feed = replace(STEADY, gap_seconds=gap.total_seconds())
        assert wait(feed) == pytest.approx(expected, rel=1e-3)

    def test_a_feed_of_unknown_rhythm(self) -> None:
        assert decisive(FEED).name == "unknown"
        assert wait(FEED) == 15 * MINUTE

    @pytest.mark.parametrize(
        ("silence", "expected"),
        [
            (HOUR, 15 * MINUTE),
            (7 * HOUR, 15 * MINUTE),  # a night: an hourly feed is as usual
            (25 * HOUR, HOUR),
            (10 * DAY + HOUR, 10 * HOUR),
            (25 * DAY, DAY / 1.1),
            (30 * DAY, DAY / 1.1),
        ],
    )
    def test_silence_slows_it_down(self, silence: timedelta, expected: timedelta) -> None:
        assert wait(replace(STEADY, newest_at=NOW - silence)) == about(expected)

    @pytest.mark.parametrize("gap", [60, 3_600, 86_400, 5 * 86_400, None])
    def test_a_feed_dead_for_a_month_goes_to_the_longest(self, gap: float | None) -> None:
        dead = replace(STEADY, gap_seconds=gap, newest_at=NOW - 30 * DAY)
        due_at, _ = next_poll(dead, response(), NOW, SETTINGS)
        assert DAY / 1.1 <= due_at - NOW <= DAY

    def test_a_feed_without_dates_that_never_changes_slows_down_too(self) -> None:
        assert wait(replace(FEED, changed_at=NOW - 10 * DAY)) == about(
            10 * HOUR - timedelta(seconds=37.5)
        )

    def test_a_feed_that_is_dated_ahead_is_not_silent(self) -> None:
        assert wait(replace(STEADY, newest_at=NOW + 20 * HOUR)) == 15 * MINUTE

    @pytest.mark.parametrize(
        ("least", "most", "expected", "detail"),
        [(1_800, 86_400, 1_800, "at least 30 min"), (60, 660, 600, "at most 11 min")],
    )
    def test_the_clamp(self, least: float, most: float, expected: float, detail: str) -> None:
        settings = PollSettings(min_interval_seconds=least, max_interval_seconds=most)
        chosen = decisive(STEADY, settings=settings)
        assert (chosen.name, chosen.detail) == ("clamp", detail)
        assert chosen.at - NOW == about(timedelta(seconds=expected))

    def test_an_interval_of_its_own(self) -> None:
        own = replace(STEADY, interval_seconds=5, newest_at=NOW - 90 * DAY)
        assert (decisive(own).name, wait(own)) == ("override", timedelta(seconds=5))


class TestLearning:
    @staticmethod
    def learned(*ago: timedelta, feed: Feed = FEED) -> Feed:
        return learn(feed, [NOW - each for each in ago], NOW)

    def test_from_the_first_document(self) -> None:
        feed = self.learned(HOUR, 2 * HOUR, 3 * HOUR, 4 * HOUR)
        assert feed.gap_seconds == pytest.approx(3_600)
        assert feed.newest_at == NOW - HOUR

    def test_what_came_since_moves_the_average(self) -> None:
        feed = self.learned(timedelta(), 5 * HOUR, feed=replace(STEADY, newest_at=NOW - 5 * HOUR))
        assert feed.gap_seconds == pytest.approx(3_600 * 5**0.25)
        assert feed.newest_at == NOW

    def test_a_burst_is_soon_believed(self) -> None:
        slow = replace(STEADY, gap_seconds=86_400, newest_at=NOW - DAY)
        feed = self.learned(*(each * 3 * MINUTE for each in range(6)), feed=slow)
        assert feed.gap_seconds is not None
        assert feed.gap_seconds < 3_600
        assert wait(feed) < 15 * MINUTE < wait(slow)

    def test_one_night_does_not_undo_a_busy_day(self) -> None:
        busy = replace(STEADY, gap_seconds=600, newest_at=NOW - 9 * HOUR)
        assert self.learned(timedelta(), feed=busy).gap_seconds == pytest.approx(1_626, rel=1e-3)

    def test_entries_of_one_minute_are_one_event(self) -> None:
        seconds = [timedelta(seconds=each) - MINUTE for each in range(1, 60)]
        at_once = self.learned(*seconds, feed=replace(STEADY, newest_at=NOW - HOUR))
        assert at_once.gap_seconds == pytest.approx(3_600)

    def test_one_event_is_no_gap(self) -> None:
        feed = self.learned(HOUR)
        assert (feed.gap_seconds, feed.newest_at) == (None, NOW - HOUR)
        assert decisive(feed).name == "unknown"

    def test_what_is_known_teaches_nothing(self) -> None:
        assert self.learned(timedelta(), HOUR, DAY, feed=STEADY) == STEADY

    def test_a_wrong_zone_does_not_matter_but_a_date_of_fancy_does(self) -> None:
        ahead = self.learned(-7 * HOUR, -6 * HOUR, -20 * 365 * DAY)
        assert (ahead.gap_seconds, ahead.newest_at) == (pytest.approx(3_600), NOW + 7 * HOUR)

    def test_without_dates_what_polls_found_stands_in(self) -> None:
        feed = FEED
        for hours in (0, 2, 4, 6):
            now = NOW + hours * HOUR
            feed = replace(learn(feed, [], now), changed_at=now, listed_at=now)
        assert feed.gap_seconds == pytest.approx(7_200)
        assert feed.newest_at == NOW + 4 * HOUR  # one change late

    def test_a_document_that_changes_without_news_teaches_nothing(self) -> None:
        fooled = replace(STEADY, newest_at=NOW - DAY, listed_at=NOW - DAY, changed_at=NOW - HOUR)
        assert self.learned(timedelta(), feed=fooled) == fooled
        assert self.learned(timedelta(), feed=replace(fooled, listed_at=NOW - HOUR)) != fooled


class TestAskedFor:
    @pytest.mark.parametrize(
        ("headers", "name", "expected"),
        [
            ({"Retry_After": "7200"}, "retry-after", 2 * HOUR),
            ({"Retry_After": "60"}, "rhythm", 15 * MINUTE),
            ({"Retry_After": "9999999999"}, "retry-after", 7 * DAY),
            ({"Retry_After": "Tue, 24 Nov 2026 15:00:00 GMT"}, "retry-after", 3 * HOUR),
            ({"Cache_Control": "max-age=3600"}, "cache-control", HOUR),
            ({"Cache_Control": "max-age=3600", "Age": "0"}, "cache-control", HOUR),
            ({"Cache_Control": "max-age=31536000"}, "cache-control", DAY),
            ({"Cache_Control": "no-cache"}, "rhythm", 15 * MINUTE),
            ({"Cache_Control": "max-age=7200", "Retry_After": "3600"}, "cache-control", 2 * HOUR),
        ],
    )
    @pytest.mark.parametrize("status", [200, 304])
    def test_headers(
        self, status: int, headers: Mapping[str, str], name: str, expected: timedelta
    ) -> None:
        chosen = decisive(STEADY, response(status, **headers))
        assert (chosen.name, chosen.at - NOW) == (name, expected)

    @pytest.mark.parametrize(
        ("seconds", "expected"),
        [(7_200, 2 * HOUR), (60, 15 * MINUTE), (1e12, DAY), (-5, 15 * MINUTE), (0, 15 * MINUTE)],
    )
    def test_the_documents_ttl(self, seconds: float, expected: timedelta) -> None:
        assert wait(replace(STEADY, hint_seconds=seconds)) == expected

    def test_an_override_shortens_hints_but_not_retry_after(self) -> None:
        own = replace(STEADY, interval_seconds=60, hint_seconds=7_200, skip_hours=(12,))
        hinted = response(Cache_Control="max-age=7200")
        assert wait(own, hinted) == MINUTE
        assert wait(own, response(Retry_After="7200")) == 2 * HOUR
        assert wait(own, response(429)) == 10 * MINUTE

    @pytest.mark.parametrize(
        ("hours", "days", "at"),
        [
            ((13,), (), NOW),
            ((12,), (), datetime(2026, 11, 24, 13, tzinfo=UTC)),
            ((12, 13, 14), (), datetime(2026, 11, 24, 15, tzinfo=UTC)),
            (tuple(range(12, 24)), (), datetime(2026, 11, 25, 0, tzinfo=UTC)),
            ((), (1,), datetime(2026, 11, 25, 0, tzinfo=UTC)),
            ((0,), (1, 2), datetime(2026, 11, 26, 1, tzinfo=UTC)),
            ((), (0, 1, 2, 3, 4, 5), datetime(2026, 11, 29, tzinfo=UTC)),
            (tuple(range(24)), (), NOW),  # nobody means that
            ((), tuple(range(7)), NOW),
            ((99,), (-1,), NOW),
        ],
    )
    def test_skipped_hours_and_days(
        self, hours: Sequence[int], days: Sequence[int], at: datetime
    ) -> None:
        feed = replace(STEADY, skip_hours=tuple(hours), skip_days=tuple(days))
        due_at, why = next_poll(feed, response(), NOW, SETTINGS)
        usual = 15 * MINUTE * 1.1 if at == NOW else 15 * MINUTE
        assert at <= due_at <= at + usual
        assert (why[-1].name == "skip") == (at != NOW)

    @pytest.mark.parametrize(
        ("status", "retry_after", "expected"),
        [
            (429, "120", 2 * MINUTE),
            (429, "", 10 * MINUTE),
            (429, "0", 10 * MINUTE),
            (429, "9999999", DAY),
            (503, "120", 2 * MINUTE),
            (503, "", None),
            (500, "120", None),
            (200, "120", None),
            (None, "", None),
        ],
    )
    def test_cool_down(
        self, status: int | None, retry_after: str, expected: timedelta | None
    ) -> None:
        assert cool_down(response(status, Retry_After=retry_after), NOW) == expected

    def test_rate_limits_that_last_are_waited_for_ever_longer(self) -> None:
        waits, now = [], NOW
        for _ in range(9):
            due_at, _ = next_poll(STEADY, response(429), now, SETTINGS)
            waits.append((due_at - now) / HOUR)
            now = due_at
        assert waits == sorted(waits)
        assert waits[0] == pytest.approx(0.5, rel=0.1)
        assert waits[5] > 8
        assert 24 <= waits[-1] <= 26.4


class TestPushes:
    PUSHED = replace(
        STEADY, newest_at=NOW - HOUR, pushed_at=NOW - HOUR, lease_ends_at=NOW + 10 * DAY
    )

    def test_while_they_arrive_polls_are_rare(self) -> None:
        assert decisive(self.PUSHED).name == "push"
        assert wait(self.PUSHED) == 6 * HOUR

    def test_the_lease_is_renewed_in_time(self) -> None:
        assert wait(replace(self.PUSHED, lease_ends_at=NOW + 4 * HOUR)) == 2 * HOUR
        assert wait(replace(self.PUSHED, lease_ends_at=NOW + MINUTE)) == MINUTE

    @pytest.mark.parametrize(
        "changes",
        [
            {"lease_ends_at": NOW},
            {"lease_ends_at": None},
            {"pushed_at": None},
            {"pushed_at": NOW - DAY - MINUTE, "newest_at": NOW - DAY - MINUTE},
            {"newest_at": NOW - 50 * MINUTE},  # the hub missed that one
        ],
    )
    def test_when_they_stop_all_is_as_before(self, changes: dict[str, datetime | None]) -> None:
        feed = replace(self.PUSHED, **changes)  # type: ignore[arg-type]
        assert decisive(feed).name == "rhythm"

    def test_a_slow_feed_is_pushed_rarely(self) -> None:
        slow = replace(self.PUSHED, gap_seconds=7 * 86_400, pushed_at=NOW - 9 * DAY)
        assert decisive(replace(slow, newest_at=NOW - 9 * DAY)).name == "push"

    def test_an_override_counts_more(self) -> None:
        assert wait(replace(self.PUSHED, interval_seconds=60)) == MINUTE


class TestBackoff:
    def test_it_doubles_with_each_hard_failure(self) -> None:
        waits = [
            wait(replace(STEADY, failures=n, failure_score=n)) / (15 * MINUTE) for n in range(4)
        ]
        assert waits == pytest.approx([1, 2, 4, 8])

    def test_soft_ones_grow_more_slowly(self) -> None:
        waits = [
            wait(replace(STEADY, failures=n, failure_score=n / 2)) / (15 * MINUTE)
            for n in range(1, 7)
        ]
        assert waits == pytest.approx([2, 2, 2**1.5, 4, 2**2.5, 8])

    def test_it_ends_at_a_week(self) -> None:
        due_at, _ = next_poll(
            replace(STEADY, failures=9_999, failure_score=9_999), response(500), NOW, SETTINGS
        )
        assert 7 * DAY / 1.1 <= due_at - NOW <= 7 * DAY

    def test_an_override_backs_off_too(self) -> None:
        own = replace(STEADY, interval_seconds=30 * 86_400, failures=3, failure_score=3)
        assert wait(own) == 30 * DAY  # longer than the longest backoff, and not shortened
        assert wait(replace(own, interval_seconds=60)) == 8 * MINUTE

    def test_a_feed_that_takes_its_process_down_waits_a_day(self) -> None:
        due_at, _ = next_poll(replace(STEADY, failures=1, failure_score=1), None, NOW, SETTINGS)
        assert due_at >= NOW + DAY


class TestSpread:
    def test_it_is_always_the_same_for_a_url(self) -> None:
        assert spread(URL, HOUR) == spread(URL, HOUR)
        assert spread(URL, 2 * HOUR) == about(2 * spread(URL, HOUR))

    def test_it_is_even(self) -> None:
        tenths = [0] * 10
        for number in range(5_000):
            tenths[int(spread(f"{URL}?{number}", 10 * MINUTE) / MINUTE)] += 1
        assert min(tenths) > 400
        assert max(tenths) < 600

    def test_feeds_polled_together_are_not_due_together(self) -> None:
        due = {
            next_poll(Feed(id=n, url=f"{URL}?{n}"), response(), NOW, SETTINGS)[0]
            for n in range(1_000)
        }
        assert len(due) == 1_000
        assert max(due) - min(due) > 0.08 * 15 * MINUTE


def test_the_explanation_names_all_that_led_to_it() -> None:
    feed = replace(
        STEADY, newest_at=NOW - 30 * DAY, hint_seconds=600, skip_hours=tuple(range(23)),
        failures=2, failure_score=1.5,
    )  # fmt: skip
    came = response(503, Retry_After="60", Cache_Control="max-age=300")
    due_at, why = next_poll(feed, came, NOW, SETTINGS)
    assert [(each.name, each.detail) for each in why] == [
        ("rhythm", "about 1 h between entries, silent for 30 d"),
        ("clamp", "at most 1 d"),
        ("backoff", "2 failures in a row"),
        ("retry-after", "1 min"),
        ("cache-control", "5 min"),
        ("ttl", "10 min"),
        ("spread", why[6].detail),
        ("skip", "the feed asks for quiet until then"),
    ]
    assert [each.effective for each in why] == [False] * 7 + [True]
    assert why[-1].at == due_at
    assert due_at.hour == 23


seconds = st.floats(1, 31_536_000)
limits = st.tuples(seconds, seconds).map(sorted)
settings = st.builds(
    lambda usual, limits, backoff: PollSettings(
        interval_seconds=usual,
        min_interval_seconds=limits[0],
        max_interval_seconds=limits[1],
        max_backoff_seconds=backoff,
    ),
    seconds,
    limits,
    seconds,
)
times = st.none() | st.floats(-60, 400).map(lambda days: NOW - days * DAY)
urls = st.text(st.characters(exclude_categories=["Cs"]))
calm = st.builds(
    Feed,
    id=st.just(1),
    url=urls,
    gap_seconds=st.none() | st.floats(60, 1e9),
    newest_at=times,
    changed_at=times,
    succeeded_at=times,
    pushed_at=times,
    lease_ends_at=times,
)
feeds = st.builds(
    lambda feed, own, hint, hours, days, score: replace(
        feed,
        interval_seconds=own,
        hint_seconds=hint,
        skip_hours=hours,
        skip_days=days,
        failures=int(score),
        failure_score=score,
    ),
    calm,
    st.none() | seconds,
    st.none() | st.floats(0, 1e15),
    st.lists(st.integers(0, 23)).map(tuple),
    st.lists(st.integers(0, 6)).map(tuple),
    st.floats(0, 10_000),
)
answers = st.builds(
    lambda status, retry_after, cache: response(
        status, Retry_After=retry_after, Cache_Control=cache
    ),
    st.sampled_from([None, 200, 304, 404, 429, 500, 503]),
    st.one_of(st.integers(0, 10**12).map(str), st.sampled_from(["", "-1", "soon"])),
    st.one_of(st.integers(0, 10**12).map("max-age={}".format), st.just("")),
)


@given(feeds, answers, settings)
def test_never_earlier_than_what_is_asked(
    feed: Feed, came: Response, settings: PollSettings
) -> None:
    due_at, why = next_poll(feed, came, NOW, settings)
    assert due_at >= NOW + min(came.retry_after(NOW) or timedelta(), 7 * DAY)
    assert due_at >= NOW + (cool_down(came, NOW) or timedelta())
    longest = timedelta(seconds=settings.max_interval_seconds)
    if feed.interval_seconds is None:
        assert due_at >= NOW + min(came.cache_for(NOW) or timedelta(), longest)
        assert due_at >= NOW + min(timedelta(seconds=min(feed.hint_seconds or 0, 1e9)), longest)
    else:
        assert due_at - NOW >= timedelta(seconds=feed.interval_seconds)
    assert sum(each.effective for each in why) == 1
    assert next_poll(feed, came, NOW, settings) == (due_at, why)


@given(calm, settings)
def test_always_within_the_clamp_when_nobody_asks(feed: Feed, settings: PollSettings) -> None:
    wait = next_poll(feed, response(), NOW, settings)[0] - NOW
    least, most = settings.min_interval_seconds, settings.max_interval_seconds
    assert least <= wait.total_seconds() + 1e-3
    # A range that is narrower than the spread leaves no room for it below the longest.
    assert wait.total_seconds() - 1e-3 <= max(most, least * 1.1)


@given(feeds, answers, settings)
def test_always_within_bounds(feed: Feed, came: Response, settings: PollSettings) -> None:
    due_at, _ = next_poll(feed, came, NOW, settings)
    most = max(
        settings.min_interval_seconds,
        settings.max_interval_seconds,
        settings.max_backoff_seconds,
        2 * (feed.interval_seconds or 0),
        7 * 86_400,
    )
    assert NOW < due_at <= NOW + timedelta(seconds=1.1 * most) + 8 * DAY


@given(feeds, answers, settings)
def test_skipped_hours_are_never_violated(
    feed: Feed, came: Response, settings: PollSettings
) -> None:
    feed = replace(feed, interval_seconds=None)
    due_at, _ = next_poll(feed, came, NOW, settings)
    hours, days = set(feed.skip_hours), set(feed.skip_days)
    if len(hours) < 24 and len(days) < 7:
        assert due_at.hour not in hours
        assert due_at.weekday() not in days


@given(feeds, settings, st.sampled_from([0.25, 0.5, 1.0]))
def test_waits_grow_with_failures(feed: Feed, settings: PollSettings, weight: float) -> None:
    waits = []
    for number in range(1, 40):
        failing = replace(
            feed, failures=number, failure_score=number * weight, skip_hours=(), skip_days=()
        )
        waits.append(next_poll(failing, response(500), NOW, settings)[0] - NOW)
    usual = next_poll(
        replace(feed, failures=0, skip_hours=(), skip_days=()), response(500), NOW, settings
    )[0]
    assert usual - NOW <= waits[0]
    assert waits == sorted(waits)


@given(calm, st.lists(st.floats(-3, 400).map(lambda days: NOW - days * DAY)), settings)
def test_whatever_the_dates_are_they_can_be_learned_from(
    feed: Feed, published: list[datetime], settings: PollSettings
) -> None:
    learned = learn(feed, published, NOW)
    assert learned.gap_seconds is None or learned.gap_seconds > 0
    assert learn(learned, published, NOW) == learned  # the same document teaches it once
    assert (
        learned.newest_at is None or feed.newest_at is None or learned.newest_at >= feed.newest_at
    )
    assert next_poll(learned, response(), NOW, settings)[0] > NOW


class TestOverWeeks:
    """Feeds followed in virtual time; a fixed interval of 15 minutes would be 96 polls a day (89
    with the spread) and a mean delay of 8 minutes, whatever a feed does.
    """

    START = datetime(2026, 11, 2, tzinfo=UTC)

    def every(self, gap: timedelta, days: int) -> list[datetime]:
        first = self.START - 10 * gap + gap / 3
        return [first + gap * each for each in range(10 + int(days * DAY / gap))]

    def test_an_hourly_feed_is_polled_as_with_a_fixed_interval(self) -> None:
        followed = follow(self.every(HOUR, 7), self.START, self.START + 7 * DAY, SETTINGS)
        assert 80 <= len(followed.polls) / 7 <= 100
        assert followed.mean_delay < 9 * MINUTE

    @pytest.mark.parametrize("dated", [True, False])
    def test_a_daily_feed_takes_a_fifth_of_the_polls(self, dated: bool) -> None:
        published = self.every(DAY, 21)
        followed = follow(published, self.START, self.START + 21 * DAY, SETTINGS, dated=dated)
        assert 15 <= len(followed.polls) / 21 <= 22
        assert followed.mean_delay < 45 * MINUTE
        assert max(followed.delays) < 85 * MINUTE

    def test_a_burst_is_followed_closely_and_then_left_alone(self) -> None:
        burst = [self.START + 9 * HOUR + each * 3 * MINUTE for each in range(20)]
        published = [*(self.START + 9 * HOUR - each * DAY for each in range(9, 0, -1)), *burst]
        followed = follow(published, self.START, self.START + 30 * DAY, SETTINGS)
        within = followed.polls_between(burst[0], burst[-1])
        assert within >= 15
        assert followed.mean_delay < 8 * MINUTE
        by_day = [
            followed.polls_between(self.START + each * DAY, self.START + (each + 1) * DAY)
            for each in range(30)
        ]
        assert by_day[0] < 140
        assert by_day[1:8] == sorted(by_day[1:8], reverse=True)
        assert by_day[-1] <= 2
        assert len(followed.polls) / 30 < 10

    @pytest.mark.parametrize("dated", [True, False])
    def test_a_busy_newsroom_is_polled_faster(self, dated: bool) -> None:
        chance = random.Random(4)
        published, at = [], self.START - DAY
        while at < self.START + 4 * DAY:
            at += timedelta(seconds=chance.expovariate(1 / 720))
            if 6 <= at.hour < 23:
                published.append(at)
        followed = follow(published, self.START, self.START + 4 * DAY, SETTINGS, dated=dated)
        assert followed.mean_delay < 5 * MINUTE
        assert len(followed.polls) / 4 < 350

    def test_a_dead_feed_is_polled_once_a_day_from_the_start(self) -> None:
        published = [self.START - 31 * DAY + each * HOUR for each in range(20)]
        followed = follow(published, self.START, self.START + 30 * DAY, SETTINGS)
        assert len(followed.polls) <= 34
