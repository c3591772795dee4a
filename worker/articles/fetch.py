"""Fetch an article's page: one GET, and one pure decision about what came back."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from worker.http import Client, Response
from worker.reasons import Reason
from worker.settings import FetchSettings

_ACCEPT = "text/html, application/xhtml+xml;q=0.9, */*;q=0.1"
_HTML = {"text/html", "application/xhtml+xml", ""}
_PATIENCE = timedelta(minutes=15)  # for a page; a story that comes later than that is no news


@dataclass(frozen=True, slots=True)
class Article:
    """What we know of an article before its page is fetched; `attempts` counts this claim too."""

    id: int
    url: str | None
    attempts: int


@dataclass(frozen=True, slots=True)
class Page:
    """A page as it came: body in bytes, `charset` as the response's header named it."""

    url: str
    body: bytes
    charset: str | None
    fetched_at: datetime


@dataclass(frozen=True, slots=True)
class FetchOutcome:
    """What a fetch came to: a page, another try at `due_at`, or what the feed said instead."""

    article_id: int
    result: Literal["fetched", "retry", "degraded"]
    due_at: datetime
    page: Page | None = None
    status: int | None = None
    reason: Reason | None = None
    detail: str = ""


async def request(client: Client, url: str) -> Response:
    """Ask for the page at `url`."""
    return await client.get(url, headers={"Accept": _ACCEPT})


def decide(
    article: Article, response: Response | None, now: datetime, settings: FetchSettings
) -> FetchOutcome:
    """What the response means for the article; None is the response of an entry without a link."""
    if response is None:
        return _degraded(article, None, Reason.NO_LINK, "", now)
    if response.error:
        return _failed(article, response, response.error, now, settings)
    if response.content_type not in _HTML:
        return _degraded(article, response, Reason.NOT_HTML, response.content_type, now)
    page = Page(response.final_url, response.body, response.charset, now)
    return FetchOutcome(article.id, "fetched", now, page, response.status)


def crashed(article: Article, now: datetime) -> FetchOutcome:
    """The outcome for an article whose fetches took their process down, time and again."""
    return _degraded(article, None, Reason.CRASHED, "", now)


def _failed(
    article: Article, response: Response, reason: Reason, now: datetime, settings: FetchSettings
) -> FetchOutcome:
    tries_left = len(settings.retry_seconds) - (article.attempts - 1)
    if response.permanent or tries_left <= 0:
        return _degraded(article, response, reason, response.detail, now)
    wait = timedelta(seconds=settings.retry_seconds[-tries_left])
    asked = response.retry_after(now) or timedelta()
    if asked > _PATIENCE:  # we do stay away for so long: the story is told from what the feed said
        return _degraded(article, response, reason, response.detail, now)
    return FetchOutcome(
        article.id,
        "retry",
        now + max(wait, asked),
        status=response.status,
        reason=reason,
        detail=response.detail,
    )


def _degraded(
    article: Article, response: Response | None, reason: Reason, detail: str, now: datetime
) -> FetchOutcome:
    status = response.status if response else None
    return FetchOutcome(
        article.id, "degraded", now, status=status, reason=reason, detail=detail or reason.text
    )
