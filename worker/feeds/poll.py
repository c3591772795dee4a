"""Poll a feed: one conditional GET, and one pure decision about what came back."""

import hashlib
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

from worker.feeds.parse import Entry, FeedError, parse
from worker.http import Client, Response
from worker.reasons import Reason
from worker.settings import PollSettings

_ACCEPT = (
    "application/atom+xml, application/rss+xml, application/rdf+xml, "
    "application/xml;q=0.9, */*;q=0.5"
)


_LONGEST_ASKED = timedelta(days=7)  # some send a point in time where seconds belong


@dataclass(frozen=True, slots=True)
class Feed:
    """What we know of a feed before a poll; `interval_seconds` overrides the settings'."""

    id: int
    url: str
    interval_seconds: float | None = None
    etag: str | None = None
    last_modified: str | None = None
    body_hash: str | None = None
    changed_at: datetime | None = None
    failures: int = 0


@dataclass(frozen=True, slots=True)
class PollOutcome:
    """What a poll came to. `feed` is what we know from now on; `entries` are all that it listed.

    On the first sight of a feed only the newest `backfill` entries become articles.
    """

    result: Literal["changed", "unchanged", "failed"]
    feed: Feed
    due_at: datetime
    status: int | None = None
    reason: Reason | None = None
    detail: str = ""
    title: str | None = None
    site_url: str | None = None
    language: str | None = None
    entries: tuple[Entry, ...] = ()
    first_sight: bool = False


async def request(client: Client, feed: Feed) -> Response:
    """Ask for the feed's document, unless it is the one that we know."""
    headers = {"Accept": _ACCEPT}
    if feed.etag:
        headers["If-None-Match"] = feed.etag
    if feed.last_modified:
        headers["If-Modified-Since"] = feed.last_modified
    return await client.get(feed.url, headers=headers)


def decide(feed: Feed, response: Response, now: datetime, settings: PollSettings) -> PollOutcome:
    """What the response means for the feed, and when it is due again."""
    if response.error:
        return _failed(feed, response, response.error, response.detail, now, settings)
    due_at = now + _interval(feed, settings)
    if not response.modified:
        return PollOutcome("unchanged", replace(feed, failures=0), due_at, response.status)
    body_hash = hashlib.sha256(response.body).hexdigest()
    known = replace(
        feed,
        failures=0,
        etag=response.etag,
        last_modified=response.last_modified,
        body_hash=body_hash,
    )
    if body_hash == feed.body_hash:
        return PollOutcome("unchanged", known, due_at, response.status)
    try:
        document = parse(response.body, response.final_url, response.headers)
    except FeedError as error:
        return _failed(feed, response, error.reason, error.detail, now, settings)
    return PollOutcome(
        "changed",
        replace(known, changed_at=now),
        due_at,
        response.status,
        title=document.title,
        site_url=document.site_url,
        language=document.language,
        entries=document.entries,
        first_sight=feed.changed_at is None,
    )


def crashed(feed: Feed, now: datetime, settings: PollSettings) -> PollOutcome:
    """The outcome for a feed whose polls took their process down, time and again."""
    return PollOutcome(
        "failed",
        replace(feed, failures=feed.failures + 1),
        now + timedelta(seconds=settings.max_interval_seconds),
        reason=Reason.CRASHED,
        detail=Reason.CRASHED.text,
    )


def _failed(
    feed: Feed,
    response: Response,
    reason: Reason,
    detail: str,
    now: datetime,
    settings: PollSettings,
) -> PollOutcome:
    failures = feed.failures + 1
    interval = _interval(feed, settings)
    most = max(interval, timedelta(seconds=settings.max_interval_seconds))
    wait = min(interval * 2 ** min(failures, 20), most)
    asked = min(response.retry_after(now) or timedelta(), _LONGEST_ASKED)
    return PollOutcome(
        "failed",
        replace(feed, failures=failures),
        now + max(wait, asked),
        response.status,
        reason,
        detail,
    )


def _interval(feed: Feed, settings: PollSettings) -> timedelta:
    # Up to a tenth longer by the URL's hash: feeds added together drift apart.
    seconds = feed.interval_seconds or settings.interval_seconds
    spread = int.from_bytes(hashlib.sha256(feed.url.encode()).digest()[:4]) / 2**32
    return timedelta(seconds=seconds * (1 + spread / 10))
