"""Fetch an article's page: one GET, and one pure decision about what came back."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Literal

from worker.articles import blocked
from worker.articles.page import Page
from worker.articles.pages import Gathered
from worker.feeds.schedule import cool_down
from worker.http import Client, Response
from worker.http.politeness import host_of
from worker.http.robots import Robots
from worker.reasons import Reason
from worker.settings import FetchSettings

_ACCEPT = "text/html, application/xhtml+xml;q=0.9, */*;q=0.1"
_HTML = {"text/html", "application/xhtml+xml", ""}
_PATIENCE = timedelta(minutes=15)  # for a page; a story that comes later than that is no news
_PATIENCE_OF_SILENT = timedelta(days=1)  # nobody waits for those
_WAITS = 4  # as long as patience reaches, one after the other, until it is at its end
# The page would fail likewise, and that no other try will cure.
_HOPELESS = frozenset({Reason.INVALID_URL, Reason.ADDRESS_DENIED})


_MARKS = {
    b"%PDF-": "PDF", b"\x89PNG": "an image", b"\xff\xd8\xff": "an image", b"GIF8": "an image",
    b"PK\x03\x04": "an archive", b"\x1f\x8b": "an archive",
}  # fmt: skip
_MOST_SPACE = 1_024  # bytes, before anything begins


@dataclass(frozen=True, slots=True)
class Article:
    """What we know of an article before its page is fetched; `attempts` counts this claim too.

    A `silent` one will raise no alert.
    """

    id: int
    url: str | None
    attempts: int
    first_seen_at: datetime | None = None
    silent: bool = False


@dataclass(frozen=True, slots=True)
class FetchOutcome:
    """What a fetch came to: pages, another try at `due_at`, or what the feed said instead.

    Of `pages` that are not all parts of the article `reason` is INCOMPLETE. `cool_downs` are for
    how long whole hosts want to be left alone. One that does not `count` was no try.
    """

    article_id: int
    result: Literal["fetched", "retry", "degraded"]
    due_at: datetime
    pages: tuple[Page, ...] = ()
    status: int | None = None
    reason: Reason | None = None
    detail: str = ""
    cool_downs: Mapping[str, timedelta] = field(default_factory=dict)
    counts: bool = True


def put_off(article: Article, until: datetime, now: datetime) -> FetchOutcome | None:
    """None when an article can wait for its host until then, which is no try of its own; else the
    outcome: what the feed said.
    """
    patience = _patience(article)
    seen_at = article.first_seen_at or now
    if until - now <= patience and until - seen_at <= _WAITS * patience:
        return None
    detail = f"its host is to be left alone until {until:%Y-%m-%d %H:%M} UTC"
    return _degraded(article, None, Reason.RATE_LIMITED, detail, now)


def deferred(article: Article, host: str, until: datetime, now: datetime) -> FetchOutcome:
    """The outcome for an article whose page is on `host`, as its own host says, which can be asked
    then.
    """
    if outcome := put_off(article, until, now):
        return outcome
    detail = f"it is at {host}, whose turn is at {until:%H:%M:%S} UTC"
    reason = Reason.RATE_LIMITED
    return FetchOutcome(article.id, "retry", until, reason=reason, detail=detail, counts=False)


def forbidden(
    article: Article, robots: Robots, user_agent: str, now: datetime, settings: FetchSettings
) -> FetchOutcome | None:
    """None when robots.txt lets the article's page be fetched by `user_agent`; else the outcome.

    Where robots.txt could not be asked for, that is a failure of the page.
    """
    if article.url is None or robots.allows(article.url, user_agent):
        return None
    if not robots.unreachable:
        return _degraded(article, None, Reason.ROBOTS_DENIED, "", now)
    file = robots.file
    reason = file.reason or Reason.ROBOTS_DENIED
    why = (
        file.reason.text if file.reason else f"status {file.status}" if file.status else "no answer"
    )
    detail = f"robots.txt could not be asked for: {why}"
    if reason in _HOPELESS:
        return _degraded(article, None, reason, detail, now)
    return _failed(article, None, reason, detail, file.until - now, now, settings)


async def request(client: Client, url: str, *, most_seconds: float | None = None) -> Response:
    """Ask for the page at `url`, for `most_seconds` at most. A redirect to another host is not
    followed, since that one has its own rules: see `Response.onward`.
    """
    return await client.get(
        url, headers={"Accept": _ACCEPT}, timeout_seconds=most_seconds, same_host=True
    )


def decide(
    article: Article, response: Response | None, now: datetime, settings: FetchSettings
) -> FetchOutcome:
    """What the response means for the article; None is the response of an entry without a link."""
    if response is None:
        return _degraded(article, None, Reason.NO_LINK, "", now)
    if response.error:
        return _answered_badly(article, response, response.error, now, settings)
    if response.content_type not in _HTML:
        return _degraded(article, response.status, Reason.NOT_HTML, response.content_type, now)
    if kind := _sniffed(response.body):
        detail = f"{kind}, sent as {response.content_type or 'nothing in particular'}"
        return _degraded(article, response.status, Reason.NOT_HTML, detail, now)
    page = Page(response.final_url, response.body, response.charset, now)
    return FetchOutcome(article.id, "fetched", now, (page,), response.status)


def completed(outcome: FetchOutcome, gathered: Gathered) -> FetchOutcome:
    """The outcome of a fetch whose article was gathered from where its first page led."""
    if not gathered.missing:
        return replace(outcome, pages=gathered.pages)
    return replace(outcome, pages=gathered.pages, reason=Reason.INCOMPLETE, detail=gathered.missing)


def crashed(article: Article, now: datetime) -> FetchOutcome:
    """The outcome for an article whose fetches took their process down, time and again."""
    return _degraded(article, None, Reason.CRASHED, "", now)


def _sniffed(body: bytes) -> str:
    """What a body is that is no HTML, whatever it was sent as; empty when it may be HTML."""
    start = body[:_MOST_SPACE].lstrip()
    for mark, kind in _MARKS.items():
        if start.startswith(mark):
            return kind
    if not start.startswith((b"{", b"[")):
        return ""
    try:
        json.loads(body)
    except (ValueError, RecursionError):
        return ""
    return "JSON"


def _answered_badly(
    article: Article, response: Response, reason: Reason, now: datetime, settings: FetchSettings
) -> FetchOutcome:
    found = blocked.judge_answer(response.status, response.body)
    if found:
        outcome = _degraded(article, response.status, found.reason, found.detail, now)
    elif response.permanent:
        outcome = _degraded(article, response.status, reason, response.detail, now)
    else:
        asked = response.retry_after(now) or timedelta()
        outcome = _failed(article, response.status, reason, response.detail, asked, now, settings)
    asked_for = cool_down(response, now)
    rests = {host_of(response.final_url): asked_for} if asked_for else {}
    return replace(outcome, cool_downs=rests)


def _failed(
    article: Article,
    status: int | None,
    reason: Reason,
    detail: str,
    asked: timedelta,
    now: datetime,
    settings: FetchSettings,
) -> FetchOutcome:
    """Another try, not before `asked` is over; or none, where there were enough of them or that is
    too long: the story is told from what the feed said.
    """
    tries_left = len(settings.retry_seconds) - (article.attempts - 1)
    if tries_left <= 0 or asked > _patience(article):
        return _degraded(article, status, reason, detail, now)
    wait = timedelta(seconds=settings.retry_seconds[-tries_left])
    due_at = now + max(wait, asked)
    return FetchOutcome(article.id, "retry", due_at, status=status, reason=reason, detail=detail)


def _degraded(
    article: Article, status: int | None, reason: Reason, detail: str, now: datetime
) -> FetchOutcome:
    return FetchOutcome(
        article.id, "degraded", now, status=status, reason=reason, detail=detail or reason.text
    )


def _patience(article: Article) -> timedelta:
    return _PATIENCE_OF_SILENT if article.silent else _PATIENCE
