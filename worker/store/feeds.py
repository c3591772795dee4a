"""Statements of the room `feeds`: the list of feeds, and what a poll's outcome changes."""

import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

from sqlalchemy import Connection, Engine, RowMapping, func, insert, select, update

from worker.feeds import Entry, Feed, PollOutcome
from worker.settings import Settings
from worker.store import articles, models, tallies
from worker.store.claims import Claim, finish
from worker.store.dialects import insert_new
from worker.store.sessions import StoreError, open_engine, read_now, reading, writing

_LONGEST_URL = 2_000  # PostgreSQL indexes no more than 2,700 bytes
_LONGEST_INTERVAL = 31_536_000  # a year
_VARIABLES = 500  # of a statement; SQLite takes 32,766, plans are shared best when alike


def add(
    engine: Engine, url: str, *, title: str | None = None, interval_seconds: float | None = None
) -> bool:
    """Add a feed, due at once; False when it is there already.

    Raises `StoreError` when `url` cannot be a feed's, or the interval cannot be waited for.
    """
    check_url(url)
    _check_interval(interval_seconds)
    with writing(engine) as connection:
        now = read_now(connection)
        row = {
            "url": url,
            "title": title,
            "interval_seconds": interval_seconds,
            "due_at": now,
            "created_at": now,
        }
        statement = insert_new(connection, models.Feed).values(**row).returning(models.Feed.id)
        return connection.execute(statement).first() is not None


def check_url(url: str) -> None:
    """Raise `StoreError` unless `url` is an absolute http(s) URL."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or len(url) > _LONGEST_URL:
        raise StoreError(f"{url!r} is no URL of the form https://host/path")


def add_from_file(settings: Settings) -> int:
    """Add the feeds of `settings.feeds_file` that are not there yet; returns how many.

    A file that is not there adds none. Raises `StoreError` when it cannot be understood; then
    none of it is added.
    """
    path = settings.feeds_file
    if not path.is_file():
        return 0
    try:
        rows = _read(path)
    except (StoreError, ValueError, OSError) as error:
        raise StoreError(f"{path}: {error}") from None
    engine = open_engine(settings, pooled=False)
    return sum(add(engine, **row) for row in rows)


def _read(path: Path) -> list[dict[str, Any]]:
    document = tomllib.loads(path.read_text(encoding="utf-8"))
    if unknown := set(document) - {"feeds"}:
        raise ValueError(f"no such key {sorted(unknown)[0]!r}; each feed is a [[feeds]]")
    listed = document.get("feeds", [])
    if not isinstance(listed, list):
        raise ValueError(f"feeds = {listed!r}: a list of [[feeds]] was expected")  # noqa: TRY004
    return [_listed(item) for item in listed]


def _listed(item: Any) -> dict[str, Any]:
    known = {"url", "title", "interval_seconds"}
    url = item.get("url") if isinstance(item, dict) else None
    if not isinstance(url, str):
        raise ValueError(f"[[feeds]] needs a url, found {item!r}")  # noqa: TRY004
    check_url(url)
    if unknown := set(item) - known:
        raise ValueError(f"[[feeds]] {url}: no such key {sorted(unknown)[0]!r}")
    if not isinstance(title := item.get("title", ""), str):
        raise ValueError(f"[[feeds]] {url}: title = {title!r}: a text was expected")  # noqa: TRY004
    _check_interval(item.get("interval_seconds"))
    return dict(item)


def _check_interval(seconds: object) -> None:
    if seconds is None:
        return
    is_number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
    if not is_number or not 1 <= cast("float", seconds) <= _LONGEST_INTERVAL:
        raise StoreError(
            f"interval_seconds = {seconds!r}: seconds from 1 to {_LONGEST_INTERVAL} were expected"
        )


def listing(engine: Engine) -> list[dict[str, Any]]:
    """All feeds, in the order in which they were added, with their count of articles."""
    count = (
        select(func.count())
        .where(models.Entry.feed_id == models.Feed.id, models.Entry.article_id.is_not(None))
        .scalar_subquery()
        .label("articles")
    )
    with reading(engine) as connection:
        statement = select(models.Feed.__table__, count).order_by(models.Feed.id)
        return [dict(row) for row in connection.execute(statement).mappings()]


def known(row: RowMapping) -> Feed:
    """A claimed row as the room knows it."""
    return Feed(
        id=row["id"],
        url=row["url"],
        interval_seconds=row["interval_seconds"],
        etag=row["etag"],
        last_modified=row["last_modified"],
        body_hash=row["body_hash"],
        changed_at=row["changed_at"],
        failures=row["failures"],
    )


def save(
    engine: Engine, claim: Claim, outcomes: Iterable[PollOutcome], *, settings: Settings
) -> int:
    """Execute poll outcomes in one transaction; returns how many articles came of them.

    The outcome of a feed whose lease was lost meanwhile changes nothing.
    """
    with writing(engine) as connection:
        held = [
            outcome
            for outcome in outcomes
            if finish(
                connection, "poll", outcome.feed.id, claim.token, _columns(outcome, claim.now)
            )
        ]
        news = [_compare(connection, outcome, claim.now, settings) for outcome in held]
        # All articles of the group at once: `create` takes them in an order that all polls share.
        ids = articles.create(connection, [one for each in news for one in each.wanted], claim.now)
        for each in news:
            _insert(connection, each, ids, claim.now)
        _revise(connection, [change for each in news for change in each.changed], claim.now)
        tallies.add(connection, "poll", claim.now, [(o.result, o.reason) for o in held])
    return len(ids)


@dataclass(frozen=True, slots=True)
class _News:
    """What a poll's document holds that the store does not; `wanted` are to become articles."""

    feed: Feed
    fresh: Sequence[Entry]
    wanted: Sequence[articles.Listed]
    changed: Sequence[tuple[RowMapping, Entry]]


def _columns(outcome: PollOutcome, now: datetime) -> dict[str, Any]:
    feed = outcome.feed
    values = {
        "due_at": outcome.due_at,
        "etag": feed.etag,
        "last_modified": feed.last_modified,
        "body_hash": feed.body_hash,
        "changed_at": feed.changed_at,
        "polled_at": now,
        "failures": feed.failures,
        "status": outcome.status,
        "reason": outcome.reason,
        "detail": outcome.detail or None,
    }
    said = {"title": outcome.title, "site_url": outcome.site_url, "language": outcome.language}
    return values | {name: value for name, value in said.items() if value}


def _compare(
    connection: Connection, outcome: PollOutcome, now: datetime, settings: Settings
) -> _News:
    seen = _seen(connection, outcome, now)
    fresh = [entry for entry in outcome.entries if entry.identity not in seen]
    changed = [
        (seen[entry.identity], entry)
        for entry in outcome.entries
        if entry.identity in seen and seen[entry.identity]["revision"] != entry.revision
    ]
    wanted = _newest(fresh, settings.poll.backfill) if outcome.first_sight else fresh
    silent = outcome.first_sight and not settings.poll.backfill_alerts
    listed = [articles.Listed(outcome.feed, entry, silent) for entry in wanted]
    return _News(outcome.feed, fresh, listed, changed)


def _seen(connection: Connection, outcome: PollOutcome, now: datetime) -> dict[str, RowMapping]:
    found: dict[str, RowMapping] = {}
    identities = [entry.identity for entry in outcome.entries]
    for start in range(0, len(identities), _VARIABLES):
        part = identities[start : start + _VARIABLES]
        mine = (models.Entry.feed_id == outcome.feed.id, models.Entry.identity.in_(part))
        rows = connection.execute(select(models.Entry.__table__).where(*mine)).mappings()
        found |= {row["identity"]: row for row in rows}
        connection.execute(update(models.Entry).where(*mine).values(seen_at=now))
    return found


def _newest(entries: list[Entry], count: int) -> list[Entry]:
    # Documents list the newest first; the sort is stable, so undated entries keep that order.
    dated = sorted(
        entries, key=lambda e: e.published_at.timestamp() if e.published_at else 0, reverse=True
    )
    return dated[:count]


def _insert(
    connection: Connection, news: _News, article_ids: dict[tuple[int, str], int], now: datetime
) -> None:
    rows = [
        {
            "feed_id": news.feed.id,
            "identity": entry.identity,
            "article_id": article_ids.get((news.feed.id, entry.identity)),
            "revision": entry.revision,
            "first_seen_at": now,
            "seen_at": now,
        }
        for entry in news.fresh
    ]
    if rows:
        connection.execute(insert(models.Entry), rows)


def _revise(
    connection: Connection, changed: Sequence[tuple[RowMapping, Entry]], now: datetime
) -> None:
    # In the articles' order, for the same reason as in `save`.
    for row, entry in sorted(changed, key=lambda change: change[0]["article_id"] or 0):
        connection.execute(
            update(models.Entry).where(models.Entry.id == row["id"]).values(revision=entry.revision)
        )
        if row["article_id"] is not None:
            articles.revise(connection, row["article_id"], entry, now)
