"""Statements of the room `feeds`: the list of feeds, and what a poll's outcome changes."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from sqlalchemy import (
    Connection,
    Engine,
    RowMapping,
    delete,
    func,
    insert,
    or_,
    select,
    text,
    update,
)

from worker.feeds import Entry, Feed, PollOutcome, declared
from worker.feeds.declared import Declared
from worker.settings import Settings
from worker.store import articles, models, tallies
from worker.store.claims import Claim, finish
from worker.store.dialects import insert_new, insert_or_update
from worker.store.sessions import read_now, reading, writing

_FILE = "feeds"
_FILE_LOCK = 0x6B61626166  # one process at a time applies the file
_VARIABLES = 500  # of a statement; SQLite takes 32,766, plans are shared best when alike


@dataclass(frozen=True, slots=True)
class FileChange:
    """What a declarative file changed: how many feeds were added, and how many paused."""

    added: int
    paused: int


def add(
    engine: Engine, url: str, *, title: str | None = None, interval_seconds: float | None = None
) -> bool:
    """Add a feed, due at once; False when it is there already.

    Raises `KabarError` when `url` cannot be a feed's, or the interval cannot be waited for.
    """
    declared.check_url(url)
    declared.check_interval(interval_seconds)
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


def apply_file(engine: Engine, path: Path) -> FileChange | None:
    """Make the list of feeds what the file at `path` declares; None when nothing was to do.

    New feeds are added, due at once. What the file no longer lists is paused, not deleted, and
    resumed when it is listed again; feeds that were added by hand are left alone. A file that is
    not there declares nothing at all. Any number of processes may call this at once. Raises
    `KabarError` when the file cannot be understood; then none of it counts.
    """
    if declared.digest(path) in {None, _applied(engine)}:
        return None
    file = declared.read(path)
    with writing(engine) as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _FILE_LOCK})
        now = read_now(connection)
        applied = {"name": _FILE, "digest": file.digest, "applied_at": now}
        connection.execute(insert_or_update(connection, models.File, "name", applied))
        added = [feed for feed in file.feeds if _declare(connection, feed, now)]
        return FileChange(len(added), _pause_others(connection, file.feeds))


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


def find(engine: Engine, asked: str) -> dict[str, Any] | None:
    """The feed with this number or URL; None when there is none."""
    wanted = or_(models.Feed.id == models.as_id(asked), models.Feed.url == asked)
    with reading(engine) as connection:
        row = connection.execute(select(models.Feed.__table__).where(wanted)).mappings().first()
    return dict(row) if row else None


def set_state(engine: Engine, feed_id: int, state: Literal["active", "paused"]) -> None:
    """Pause a feed, or follow it again, due at once."""
    with writing(engine) as connection:
        values: dict[str, Any] = {"state": state}
        if state == "active":
            values["due_at"] = read_now(connection)
        connection.execute(update(models.Feed).where(models.Feed.id == feed_id).values(**values))


def remove(engine: Engine, feed_id: int) -> None:
    """Follow a feed no more, and forget what it listed; its articles and stories stay."""
    with writing(engine) as connection:
        connection.execute(delete(models.Feed).where(models.Feed.id == feed_id))


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


def _applied(engine: Engine) -> str | None:
    with reading(engine) as connection:
        digest = select(models.File.digest).where(models.File.name == _FILE)
        return connection.execute(digest).scalar()


def _declare(connection: Connection, feed: Declared, now: datetime) -> bool:
    """Add or update a declared feed; whether it is new."""
    given: dict[str, Any] = {"interval_seconds": feed.interval_seconds, "declared": True}
    if feed.title:
        given["title"] = feed.title
    row = {"url": feed.url, "due_at": now, "created_at": now, **given}
    statement = insert_new(connection, models.Feed).values(**row).returning(models.Feed.id)
    if connection.execute(statement).first():
        return True
    mine = models.Feed.url == feed.url
    connection.execute(update(models.Feed).where(mine).values(**given))
    connection.execute(
        update(models.Feed)
        .where(mine, models.Feed.state == "undeclared")
        .values(state="active", due_at=now)
    )
    return False


def _pause_others(connection: Connection, listed: Sequence[Declared]) -> int:
    urls = {feed.url for feed in listed}
    declared_urls = connection.execute(
        select(models.Feed.id, models.Feed.url).where(models.Feed.declared)
    ).all()
    gone = [feed_id for feed_id, url in declared_urls if url not in urls]
    for start in range(0, len(gone), _VARIABLES):
        connection.execute(
            update(models.Feed)
            .where(models.Feed.id.in_(gone[start : start + _VARIABLES]))
            .values(declared=False, state="undeclared")
        )
    return len(gone)


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
