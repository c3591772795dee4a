"""When a feed is polled next: its rhythm, what its publisher asks for, and a spread over all."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from math import exp, log, sqrt
from typing import TYPE_CHECKING

from worker.http import Response
from worker.settings import PollSettings

if TYPE_CHECKING:  # poll.py builds on this module
    from worker.feeds.poll import Feed

_YEAR = timedelta(days=365)
_DAY = timedelta(days=1)
_HOUR = timedelta(hours=1)

# Of a new gap in the estimate: half of the weight lies on the last 2.4 gaps, so four entries of a
# burst bring it two thirds of the way, while one odd gap moves a steady feed by a quarter.
_ALPHA = 0.25
_SILENCE_SHARE = 24  # an hour's wait for each day of silence: a month of it is the longest wait
_WRONG_ZONE = timedelta(hours=26)  # from UTC+14 labelled as UTC-12; beyond that it is no news date
_LATE_SAVE = timedelta(minutes=10)  # an outcome is saved under the time of its batch's claim

_SPREAD_SHARE = 10  # waits are up to a tenth longer, by the URL's hash
_LONGEST_ASKED = timedelta(days=7)  # some send a point in time where seconds belong
_COOL_DOWN = timedelta(minutes=10)  # after a 429 that names no time
_LONGEST_COOL_DOWN = _DAY  # for a whole host; the feed itself waits as long as it was told to

_PUSHED_INTERVAL = timedelta(hours=6)
_PUSH_DELAY = timedelta(minutes=5)  # hubs have had this long; what a poll finds later, they missed


@dataclass(frozen=True, slots=True)
class Input:
    """One thing that the time of the next poll follows from: which, and the earliest time that it
    alone would give. `effective` marks the one that decided.
    """

    name: str
    at: datetime
    detail: str = ""
    effective: bool = False


def next_poll(
    feed: "Feed", response: Response | None, now: datetime, settings: PollSettings
) -> tuple[datetime, tuple[Input, ...]]:
    """When to poll a feed again, and all that this follows from.

    `feed` is what we know after this poll, `response` what came; None when the poll crashed.
    The latest of the feed's own pace and of what was asked for decides. Skipped hours and days
    (RSS 2.0, in UTC) move that on.
    """
    paces = _paces(feed, now, settings)
    asked = _asked_for(feed, response, paces[-1].at - now, now, settings)
    decisive = max(paces[-1], *asked, key=lambda each: each.at) if asked else paces[-1]
    later = spread(feed.url, (decisive.at - now) / _SPREAD_SHARE)
    inputs = [*paces, *asked, Input("spread", decisive.at + later, f"{_about(later)} later")]
    due_at = inputs[-1].at
    if feed.interval_seconds is None and (allowed := _not_skipped(feed, due_at)) != due_at:
        decisive = Input("skip", allowed, "the feed asks for quiet until then")
        inputs.append(decisive)
        due_at = allowed
    return due_at, tuple(replace(each, effective=each is decisive) for each in inputs)


def cool_down(response: Response, now: datetime) -> timedelta | None:
    """For how long the whole host wants to be left alone, a day at most; None if it does not say.

    429 (RFC 6585 section 4) and 503 with Retry-After speak for the host, other statuses for the
    one resource.
    """
    asked = response.retry_after(now) or timedelta()
    if response.status == 429:
        asked = asked or _COOL_DOWN
    elif response.status != 503:
        return None
    return min(asked, _LONGEST_COOL_DOWN) or None


def spread(url: str, within: timedelta) -> timedelta:
    """A part of `within`, always the same for `url`: feeds that were added together drift apart."""
    digest = hashlib.blake2b(url.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return within * (int.from_bytes(digest) / 2**64)


def learn(feed: "Feed", published: Iterable[datetime], now: datetime) -> "Feed":
    """The feed with what the publication times in a document say about its rhythm.

    `gap_seconds` is a moving average of the logarithms of the gaps between entries (gaps go from
    minutes to weeks: a plain one would forget a busy day over one night). Entries of one minute
    are one event. Where a document has no dates, the times at which polls found something new
    stand in for them, one change late.
    """
    if _changed_for_nothing(feed):
        return feed  # such as a feed that dates its entries anew whenever it is asked
    times = [time for time in published if time <= now + _WRONG_ZONE]
    if not times and feed.listed_at:
        times = [feed.listed_at]
    minutes = sorted({time.replace(second=0, microsecond=0) for time in times})
    known = [feed.newest_at] if feed.newest_at else []
    events = known + [minute for minute in minutes if not known or minute > known[0]]
    if not events:
        return feed
    gap = feed.gap_seconds
    for before, after in pairwise(events):
        gap = _average(gap, (after - before).total_seconds())
    return replace(feed, gap_seconds=gap, newest_at=events[-1])


def _changed_for_nothing(feed: "Feed") -> bool:
    """Whether the document changed the last time without an entry that was new."""
    if feed.listed_at is None or feed.changed_at is None:
        return False
    return feed.listed_at < feed.changed_at - _LATE_SAVE


def _average(average: float | None, gap: float) -> float:
    if average is None:
        return gap
    return exp((1 - _ALPHA) * log(average) + _ALPHA * log(gap))


def _paces(feed: "Feed", now: datetime, settings: PollSettings) -> list[Input]:
    """What the time of the next poll would be if nobody asked for anything; the last counts."""
    if feed.interval_seconds is not None:
        own = timedelta(seconds=feed.interval_seconds)
        paces = [Input("override", now + own, f"every {_about(own)}, as set for this feed")]
    else:
        paces = _adaptive(feed, now, settings)
    if feed.failures:
        paces.append(_backoff(feed, paces[-1].at - now, now, settings))
    return paces


def _adaptive(feed: "Feed", now: datetime, settings: PollSettings) -> list[Input]:
    paces = [_rhythm(feed, now, settings)]
    wait = paces[0].at - now
    if (clamped := _clamped(wait, settings)) != wait:
        limit = settings.min_interval_seconds if clamped > wait else settings.max_interval_seconds
        word = "least" if clamped > wait else "most"
        detail = f"at {word} {_about(timedelta(seconds=limit))}"
        paces.append(Input("clamp", now + clamped, detail))
    if feed.lease_ends_at and _is_pushed(feed, now):
        # At half of the lease at the latest: it is renewed in a poll.
        wait = min(max(clamped, _PUSHED_INTERVAL), (feed.lease_ends_at - now) / 2)
        paces.append(Input("push", now + _clamped(wait, settings), "a hub sends what is new"))
    return paces


def _rhythm(feed: "Feed", now: datetime, settings: PollSettings) -> Input:
    """The pace that follows from how often the feed publishes, and for how long it has not.

    Half of the expected gap between two entries: most polls then find something or nearly so. For
    feeds whose gap is above `interval_seconds`, half of the geometric mean of the two: with a given
    number of polls over all feeds, entries wait least when each feed is polled in proportion to the
    root of its rate (Sia, Cho and Cho, "Efficient Monitoring Algorithm for Fast News Alerts",
    2007). Silence beyond the expected gap slows it down in proportion.
    """
    usual = settings.interval_seconds
    gap = feed.gap_seconds if feed.gap_seconds is not None else usual
    last = feed.newest_at or feed.changed_at or now
    silence = max((now - last).total_seconds(), 0)
    if feed.gap_seconds is None:
        name, wait, detail = "unknown", usual, "its rhythm is not known"
    else:
        name, wait = "rhythm", sqrt(gap * min(gap, usual)) / 2
        detail = f"about {_about(timedelta(seconds=gap))} between entries"
    if (slowed := (silence - gap) / _SILENCE_SHARE) > wait:
        wait, detail = slowed, f"{detail}, silent for {_about(timedelta(seconds=silence))}"
    return Input(name, now + timedelta(seconds=wait), detail)


def _clamped(wait: timedelta, settings: PollSettings) -> timedelta:
    least = timedelta(seconds=settings.min_interval_seconds)
    return max(least, min(wait, _with_room(settings.max_interval_seconds)))


def _with_room(most_seconds: float) -> timedelta:
    """The wait that is `most_seconds` at most after it was spread."""
    return timedelta(seconds=most_seconds) * _SPREAD_SHARE / (_SPREAD_SHARE + 1)


def _is_pushed(feed: "Feed", now: datetime) -> bool:
    """Whether a hub sends what the feed publishes: a lease, a recent push, nothing missed."""
    if not feed.lease_ends_at or not feed.pushed_at or feed.lease_ends_at <= now:
        return False
    recent = max(_DAY, timedelta(seconds=2 * (feed.gap_seconds or 0)))
    missed = feed.newest_at is not None and feed.newest_at > feed.pushed_at + _PUSH_DELAY
    return feed.pushed_at >= now - recent and not missed


def _backoff(feed: "Feed", usual: timedelta, now: datetime, settings: PollSettings) -> Input:
    """Twice the wait at the first failure and with each hard one in a row, less with those that
    pass by themselves.
    """
    most = max(usual, _with_room(settings.max_backoff_seconds))
    wait = min(usual * 2 ** min(max(feed.failure_score, 1), 20), most)
    times = "failure" if feed.failures == 1 else "failures in a row"
    return Input("backoff", now + wait, f"{feed.failures} {times}")


def _asked_for(
    feed: "Feed", response: Response | None, pace: timedelta, now: datetime, settings: PollSettings
) -> list[Input]:
    """The times before which the feed must not be polled, or its publisher would rather not."""
    longest = timedelta(seconds=settings.max_interval_seconds)
    if response is None:
        return [Input("crashed", now + longest, "its polls took their process down")]
    asked = _demanded(feed, response, pace, now, longest)
    if feed.interval_seconds is not None:  # the user knows better what to make of mere hints
        return asked
    hints = [("cache-control", response.cache_for(now)), ("ttl", _hint(feed))]
    return asked + [
        Input(name, now + min(hint, longest), _about(hint)) for name, hint in hints if hint
    ]


def _demanded(
    feed: "Feed", response: Response, pace: timedelta, now: datetime, longest: timedelta
) -> list[Input]:
    demanded = []
    if retry_after := response.retry_after(now):
        wait = min(retry_after, _LONGEST_ASKED)
        demanded.append(Input("retry-after", now + wait, _about(retry_after)))
    elif resting := cool_down(response, now):
        demanded.append(Input("cool-down", now + resting, "429 without Retry-After"))
    if response.status == 429:
        # Twice the pace, then as long as there was no answer: that doubles it each time.
        since = now - feed.succeeded_at if feed.succeeded_at else timedelta()
        wait = min(max(2 * pace, since), max(pace, longest))
        demanded.append(Input("rate-limited", now + wait, "asked too often"))
    return demanded


def _hint(feed: "Feed") -> timedelta:
    return timedelta(seconds=max(0, min(feed.hint_seconds or 0, _YEAR.total_seconds())))


def _not_skipped(feed: "Feed", at: datetime) -> datetime:
    """The first time from `at` on in an hour and on a day that the feed does not skip.

    `at` itself where all are skipped: nobody means that.
    """
    hours, days = set(feed.skip_hours), set(feed.skip_days)
    allowed = at.astimezone(UTC)
    for _ in range(8 * 24):
        if allowed.hour not in hours and allowed.weekday() not in days:
            # Not all at the stroke of the hour.
            return at if allowed == at else allowed + spread(feed.url, _HOUR / 4)
        allowed = allowed.replace(minute=0, second=0, microsecond=0) + _HOUR
    return at


def _about(wait: timedelta) -> str:
    seconds = wait.total_seconds()
    for unit, name in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= unit:
            return f"{seconds / unit:.3g} {name}"
    return f"{seconds:.2g} s"
