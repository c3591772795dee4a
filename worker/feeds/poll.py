"""Poll a feed: one conditional GET, and one pure decision about what came back."""

import asyncio
import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any, Literal
from urllib.parse import urlsplit

from worker.errors import KabarError
from worker.feeds import declared, options, schedule
from worker.feeds.parse import Document, Entry, FeedError, IdentityBy, parse
from worker.feeds.schedule import Input
from worker.http import Client, Response, redacted
from worker.reasons import Reason
from worker.settings import PollSettings

_ACCEPT = (
    "application/atom+xml, application/rss+xml, application/rdf+xml, application/feed+json, "
    "application/xml;q=0.9, application/json;q=0.8, */*;q=0.5"
)

_SITEMAP_INDEX = re.compile(rb"<(?:\w+:)?sitemapindex\b")
_MOST_CHILDREN = 3  # of a sitemap index; a poll asks for them one after the other

# Polls that must meet a permanent redirect before it is believed, and over how long: the sign-in
# page of a network must not rewrite a list.
_MOVE_POLLS = 3
_MOVE_TIME = timedelta(days=1)

# What a failure weighs (after Media Cloud's rss-fetcher): one that somebody must mend, and one that
# passes; all others may be either. Working feeds do answer 404 and 500 for a while.
_HARD, _SOFT, _TEMPORARY = 1.0, 0.5, 0.25
_WEIGHTS = {
    Reason.INVALID_URL: _HARD,
    Reason.INVALID_CONFIGURATION: _HARD,
    Reason.ADDRESS_DENIED: _HARD,
    Reason.ROBOTS_DENIED: _HARD,
    Reason.TOO_LARGE: _HARD,
    Reason.REDIRECTED: _HARD,
    Reason.UNAUTHORIZED: _HARD,
    Reason.GONE: _HARD,
    Reason.CLIENT_ERROR: _HARD,
    Reason.UNEXPECTED_STATUS: _HARD,
    Reason.CRASHED: _HARD,
    Reason.DNS_FAILED: _TEMPORARY,  # a resolver of ours that is down fails all feeds at once
}


@dataclass(frozen=True, slots=True)
class Move:
    """A permanent redirect that polls have met: to where, how often, and when first."""

    url: str
    polls: int
    since: datetime


@dataclass(frozen=True, slots=True)
class Hub:
    """Where a feed's document says that its news are pushed from (W3C WebSub section 4)."""

    url: str
    topic: str


@dataclass(frozen=True, slots=True)
class Feed:
    """What we know of a feed before a poll.

    `interval_seconds` and `options` are the user's. `failure_score` weighs the failures in a row,
    `gap_seconds` is the expected time between two entries, `newest_at` the newest entry's
    publication (to the minute), `hint_seconds`, `skip_hours` and `skip_days` what the document
    asked for. `changed_at` is when a poll last brought another document, `listed_at` when one last
    brought an entry that was new, `failing_at` since when the feed counts as failing. `pushed_at`
    is when a hub last sent something, `lease_ends_at` until when it will.
    """

    id: int
    url: str
    interval_seconds: float | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    state: Literal["active", "failing", "gone"] = "active"
    etag: str | None = None
    last_modified: str | None = None
    body_hash: str | None = None
    changed_at: datetime | None = None
    listed_at: datetime | None = None
    succeeded_at: datetime | None = None
    failures: int = 0
    failure_score: float = 0.0
    failing_at: datetime | None = None
    status: int | None = None
    identity_by: IdentityBy | None = None
    gap_seconds: float | None = None
    newest_at: datetime | None = None
    hint_seconds: float | None = None
    skip_hours: tuple[int, ...] = ()
    skip_days: tuple[int, ...] = ()
    move: Move | None = None
    pushed_at: datetime | None = None
    lease_ends_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class PollOutcome:
    """What a poll came to. `feed` is what we know from now on; `entries` are all that it listed.

    Of entries that the store does not know, those whose identity is in `passed_over` become no
    article, and those in `silent` one that raises no alert. `event` is what endpoints are told of
    the feed, `moved_to` the URL to ask from now on, `cool_down` for how long its whole host wants
    to be left alone, `hub` where its news could be pushed from. `why` led to `due_at`.
    """

    result: Literal["changed", "unchanged", "failed"]
    feed: Feed
    due_at: datetime
    why: tuple[Input, ...] = ()
    status: int | None = None
    reason: Reason | None = None
    detail: str = ""
    title: str | None = None
    site_url: str | None = None
    language: str | None = None
    entries: tuple[Entry, ...] = ()
    passed_over: frozenset[str] = frozenset()
    silent: frozenset[str] = frozenset()
    event: Literal["failing", "recovered"] | None = None
    moved_to: str | None = None
    cool_down: timedelta | None = None
    hub: Hub | None = None


async def request(client: Client, feed: Feed, *, most_seconds: float | None = None) -> Response:
    """Ask for the feed's document, unless it is the one that we know.

    `most_seconds` cuts the time limit that the feed's options may set.
    """
    headers = {}
    if feed.etag:
        headers["If-None-Match"] = feed.etag
    if feed.last_modified:
        headers["If-Modified-Since"] = feed.last_modified
    return await _get(client, feed, feed.url, headers, most_seconds)


async def request_children(
    client: Client, feed: Feed, response: Response, *, most_seconds: float | None = None
) -> tuple[Response, ...]:
    """Ask for the newest sitemaps of the index that came, if it is one: `decide` takes them.

    Those on other hosts are left out: our turn at the feed's host is no turn there. What has not
    come within `most_seconds` in all has timed out.
    """
    if not response.ok or not _SITEMAP_INDEX.search(response.body[:2_048]):
        return ()
    try:
        listed = parse(response.body, response.final_url, response.headers).children
    except FeedError:  # that is for `decide` to say
        return ()
    host = urlsplit(response.final_url).netloc
    near = [url for url in listed if urlsplit(url).netloc == host][:_MOST_CHILDREN]
    came: list[Response] = []
    try:
        async with asyncio.timeout(most_seconds):
            for url in near:
                came += [await _get(client, feed, url, {}, most_seconds)]
    except TimeoutError:
        late = near[len(came)]
        came.append(Response(late, late, failure=Reason.TIMEOUT, detail=Reason.TIMEOUT.text))
    return tuple(came)


async def _get(
    client: Client, feed: Feed, url: str, headers: Mapping[str, str], most_seconds: float | None
) -> Response:
    try:
        wanted = options.resolve(feed.options, most_seconds)
    except KabarError as error:
        shown = redacted(url)
        return Response(shown, shown, failure=Reason.INVALID_CONFIGURATION, detail=str(error))
    return await client.get(
        url,
        headers={"Accept": _ACCEPT, **wanted.headers, **headers},
        timeout_seconds=wanted.timeout_seconds,
        proxy=wanted.proxy,
        verify_tls=wanted.verify_tls,
    )


def decide(
    feed: Feed,
    response: Response,
    now: datetime,
    settings: PollSettings,
    children: Sequence[Response] = (),
) -> PollOutcome:
    """What the response means for the feed, and when it is due again.

    `children` are the sitemaps that a sitemap index led to.
    """
    if response.error:
        return _failed(feed, response, response.error, response.detail, now, settings)
    if not response.modified:
        if feed.changed_at is None and not (feed.etag or feed.last_modified):
            detail = "304 to a request for whatever there is"
            return _failed(feed, response, Reason.UNEXPECTED_STATUS, detail, now, settings)
        return _succeeded("unchanged", feed, _doubting(feed, now), response, now, settings)
    came = [child for child in children if not child.error]
    if children and not came:
        refused = children[0]
        reason = refused.error or Reason.UNEXPECTED_STATUS
        return _failed(feed, refused, reason, f"{refused.url}: {refused.detail}", now, settings)
    known = _with_validators(feed, response, came)
    if known.body_hash == feed.body_hash:
        return _succeeded("unchanged", feed, known, response, now, settings)
    try:
        document = _read(feed, response, came)
    except FeedError as error:
        return _failed(feed, response, error.reason, error.detail, now, settings)
    return _changed(feed, known, document, response, now, settings)


def crashed(feed: Feed, now: datetime, settings: PollSettings) -> PollOutcome:
    """The outcome for a feed whose polls took their process down, time and again."""
    return _failed(feed, None, Reason.CRASHED, Reason.CRASHED.text, now, settings)


def overdue(feed: Feed, now: datetime, settings: PollSettings) -> PollOutcome:
    """The outcome for a feed whose polls came to no end while their batches lasted, time and again:
    each request was answered in time, but the document, say, takes too long to parse.
    """
    detail = "several polls in a row came to no end in time; its document may be slow to read"
    shown = redacted(feed.url)
    response = Response(shown, shown, failure=Reason.TIMEOUT, detail=detail)
    return _failed(feed, response, Reason.TIMEOUT, detail, now, settings)


def _doubting(feed: Feed, now: datetime) -> Feed:
    """The feed, without its validators each time that its days without a change have doubled.

    Some servers say 304 for good. Asked for the whole document after 1, 2, 4, 8... days, such a
    one is found out, and a feed that is merely silent costs next to nothing.
    """
    if feed.changed_at is None or feed.succeeded_at is None:
        return feed
    days, before = (
        max(time - feed.changed_at, timedelta()).days for time in (now, feed.succeeded_at)
    )
    if days.bit_length() == before.bit_length():
        return feed
    return replace(feed, etag=None, last_modified=None)


def _with_validators(feed: Feed, response: Response, children: Sequence[Response]) -> Feed:
    # `Expires: 0` or `no-store` do not make a validator worse: they ask for just such a request.
    # Of the standard library's hashes SHA-256 is the fastest here but one (SHA-1, by a twentieth),
    # where the processor knows it; BLAKE2b takes 1.4 times as long.
    digest = hashlib.sha256(response.body)
    for child in children:
        digest.update(child.body)
    return replace(
        feed,
        # A sitemap may change while the index that lists it does not.
        etag=None if children else response.etag,
        last_modified=None if children else response.last_modified,
        body_hash=digest.hexdigest(),
    )


def _read(feed: Feed, response: Response, children: Sequence[Response]) -> Document:
    """Parse what came; a sitemap index with the sitemaps that it led to as one document.

    Raises `FeedError`; of several sitemaps only when none is of use.
    """
    index = _parse(response, feed.identity_by)
    if not children:
        return index
    by, parts = feed.identity_by, []
    for child in children:
        try:
            parts.append(_parse(child, by))
        except FeedError:
            if child is children[-1] and not parts:
                raise
        else:
            by = parts[-1].identity_by
    entries = {entry.identity: entry for part in parts for entry in part.entries}
    return replace(
        index,
        title=index.title or parts[0].title,
        language=index.language or parts[0].language,
        entries=tuple(entries.values()),
        identity_by=by,
        complete=index.complete and all(part.complete for part in parts),
    )


def _parse(response: Response, identity_by: IdentityBy | None) -> Document:
    return parse(response.body, response.final_url, response.headers, identity_by=identity_by)


def _changed(
    feed: Feed,
    known: Feed,
    document: Document,
    response: Response,
    now: datetime,
    settings: PollSettings,
) -> PollOutcome:
    if not document.complete:  # the next poll is to bring the rest of it
        known = replace(known, etag=None, last_modified=None, body_hash=None)
    dates = [entry.published_at for entry in document.entries if entry.published_at]
    known = replace(
        schedule.learn(known, dates, now),
        changed_at=now,
        identity_by=document.identity_by,
        hint_seconds=document.hint_seconds,
        skip_hours=document.skip_hours,
        skip_days=document.skip_days,
    )
    outcome = _succeeded("changed", feed, known, response, now, settings)
    passed_over, silent = _muted(feed, document.entries, now, settings)
    return replace(
        outcome,
        title=document.title,
        site_url=document.site_url,
        language=document.language,
        entries=document.entries,
        passed_over=passed_over,
        silent=silent,
        hub=_hub(response, document),
    )


def _muted(
    feed: Feed, entries: Sequence[Entry], now: datetime, settings: PollSettings
) -> tuple[frozenset[str], frozenset[str]]:
    """The identities of the entries to pass over, and of those to raise no alert for."""
    if feed.changed_at is None:
        taken = _identities(_backfill(entries, settings.backfill))
        silent = frozenset() if settings.backfill_alerts else taken
        return _identities(entries) - taken, silent
    oldest = now - timedelta(seconds=settings.alert_max_age_seconds)
    late = [each for each in entries if each.published_at and each.published_at < oldest]
    return frozenset(), _identities(late)


def _identities(entries: Iterable[Entry]) -> frozenset[str]:
    return frozenset(entry.identity for entry in entries)


def _backfill(entries: Sequence[Entry], wanted: int | str | date) -> Sequence[Entry]:
    """Those of a feed's first document that become articles."""
    match wanted:
        case "all":
            return entries
        case date():
            return [
                entry
                for entry in entries
                if entry.published_at and entry.published_at.astimezone(UTC).date() >= wanted
            ]
        case int():
            # Documents list the newest first; the sort is stable: undated entries keep that order.
            return sorted(
                entries,
                key=lambda entry: entry.published_at.timestamp() if entry.published_at else 0,
                reverse=True,
            )[:wanted]
    return ()


def _succeeded(
    result: Literal["changed", "unchanged"],
    feed: Feed,
    known: Feed,
    response: Response,
    now: datetime,
    settings: PollSettings,
) -> PollOutcome:
    """The outcome for a feed that answered: `feed` is it before the poll, `known` after it."""
    move = _move(feed, response, now)
    moved_to = move.url if move and _is_believed(move, now) else None
    known = replace(
        known,
        state="active",
        succeeded_at=now,
        status=response.status,
        failures=0,
        failure_score=0.0,
        failing_at=None,
        move=None if moved_to else move,
    )
    due_at, why = schedule.next_poll(known, response, now, settings)
    return PollOutcome(
        result,
        known,
        due_at,
        why,
        status=response.status,
        event="recovered" if feed.failing_at else None,
        moved_to=moved_to,
        hub=_hub(response),
    )


def _move(feed: Feed, response: Response, now: datetime) -> Move | None:
    """The permanent redirect that this poll met, with the polls before that met the same."""
    to = response.moved_to
    if to is None or "@" in urlsplit(feed.url).netloc:  # else the userinfo would be lost
        return None
    if options.are_secret(feed.options) and not options.is_same_site(feed.url, to):
        return None  # what was meant for this site would be sent to another one
    try:
        declared.check_url(to)
    except KabarError:  # too long to be kept
        return None
    if feed.move and feed.move.url == to:
        return replace(feed.move, polls=feed.move.polls + 1)
    return Move(to, 1, now)


def _is_believed(move: Move, now: datetime) -> bool:
    return move.polls >= _MOVE_POLLS and now - move.since >= _MOVE_TIME


def _hub(response: Response, document: Document | None = None) -> Hub | None:
    """The first hub; headers come before what the document says (W3C WebSub section 4).

    Without the document only what headers say in full counts: it may name another topic.
    """
    hubs, topics = response.links.get("hub", ()), response.links.get("self", ())
    if document:
        hubs = hubs or document.hub_urls
        topics = topics or (document.self_url or response.final_url,)
    return Hub(hubs[0], topics[0]) if hubs and topics else None


def _failed(
    feed: Feed,
    response: Response | None,
    reason: Reason,
    detail: str,
    now: datetime,
    settings: PollSettings,
) -> PollOutcome:
    known = _counted(feed, response, reason, now, settings)
    due_at, why = schedule.next_poll(known, response, now, settings)
    if known.state == "gone":
        why = (Input("gone", due_at, "410 twice in a row: not polled any more", effective=True),)
    return PollOutcome(
        "failed",
        known,
        due_at,
        why,
        status=known.status,
        reason=reason,
        detail=detail,
        event="failing" if known.failing_at and not feed.failing_at else None,
        cool_down=schedule.cool_down(response, now) if response else None,
    )


def _counted(
    feed: Feed, response: Response | None, reason: Reason, now: datetime, settings: PollSettings
) -> Feed:
    """The feed after a failure. One that asks for fewer requests has not failed."""
    known = replace(
        feed, status=response.status if response else None, move=_kept_move(feed, response)
    )
    if reason is Reason.RATE_LIMITED:
        return known
    score = feed.failure_score + _WEIGHTS.get(reason, _SOFT)
    known = replace(known, failures=feed.failures + 1, failure_score=score)
    if reason is Reason.GONE and feed.status == 410:
        return replace(known, state="gone", failing_at=feed.failing_at or now)
    if score >= settings.failing_after:
        return replace(known, state="failing", failing_at=feed.failing_at or now)
    return known


def _kept_move(feed: Feed, response: Response | None) -> Move | None:
    """The move that polls have met so far, unless this one got an answer without it."""
    if response is None or response.status is None:
        return feed.move
    return feed.move if feed.move and feed.move.url == response.moved_to else None
