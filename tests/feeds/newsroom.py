"""A publisher in virtual time, and what polling it by `decide` comes to."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from email.utils import format_datetime

from worker.feeds import Feed, decide
from worker.http import Response
from worker.settings import PollSettings

URL = "https://feeds.example/all/feed.xml"
_LISTED = 10  # entries that the feed's document holds


@dataclass(frozen=True)
class Followed:
    """How a feed was followed: the times of all polls, and how late each entry was found."""

    polls: tuple[datetime, ...]
    delays: tuple[timedelta, ...]

    def polls_between(self, start: datetime, end: datetime) -> int:
        return sum(start <= at < end for at in self.polls)

    @property
    def mean_delay(self) -> timedelta:
        return sum(self.delays, timedelta()) / len(self.delays)


def rss(published: Sequence[datetime | None], extra: str = "") -> bytes:
    """An RSS document, newest entry first as in `published`; None is an entry without a date.

    Guids count from the oldest entry on. `extra` are elements of the channel.
    """
    items = "".join(
        f"<item><guid>n{len(published) - place}</guid><title>Number {place}</title>"
        + (f"<pubDate>{format_datetime(time)}</pubDate>" if time else "")
        + "</item>"
        for place, time in enumerate(published)
    )
    return f'<rss version="2.0"><channel><title>News</title>{extra}{items}</channel></rss>'.encode()


def follow(
    published: Sequence[datetime],
    start: datetime,
    end: datetime,
    settings: PollSettings,
    *,
    dated: bool = True,
    interval_seconds: float | None = None,
) -> Followed:
    """Poll a feed that publishes at these times (in order), from `start` until `end`."""
    feed = Feed(id=1, url=URL, interval_seconds=interval_seconds)
    now, seen = start, 0
    polls: list[datetime] = []
    delays: list[timedelta] = []
    while now < end and len(polls) < 20_000:
        there = sum(time <= now for time in published)
        listed = list(reversed(published[max(there - _LISTED, 0) : there]))
        body = rss([time if dated else None for time in listed], f"<guid>{there}</guid>")
        came = (
            Response(URL, URL, 304)
            if polls and there == seen
            else Response(URL, URL, 200, {"ETag": f'"{there}"'}, body)
        )
        outcome = decide(feed, came, now, settings)
        feed = outcome.feed
        if there != seen:
            feed = replace(feed, listed_at=now)  # as the store does
            delays += [now - time for time in published[seen:there] if polls]
        polls.append(now)
        seen, now = there, outcome.due_at
    return Followed(tuple(polls), tuple(delays))
