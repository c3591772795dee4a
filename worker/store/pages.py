"""Raw pages: kept compressed, so that an article can be cleaned again without fetching it."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import zstandard
from sqlalchemy import Connection, Engine, delete, insert, select, text

from worker.articles import Page
from worker.store import models
from worker.store.sessions import read_now, writing

_DAYS_AHEAD = 4


def pack(page: Page) -> Page:
    """`page` with its body compressed (zstd), as it is kept."""
    # Level 6 takes 7 % off the size, and three times as long.
    return replace(page, body=zstandard.compress(page.body, level=3))


def save(connection: Connection, article_id: int, packed: Sequence[Page]) -> None:
    """Keep these packed pages as the article's, in place of those of an earlier fetch."""
    connection.execute(delete(models.Page).where(models.Page.article_id == article_id))
    connection.execute(
        insert(models.Page),
        [
            {
                "article_id": article_id,
                "part": part,
                "fetched_at": page.fetched_at,
                "url": page.url,
                "charset": page.charset,
                "body": page.body,
            }
            for part, page in enumerate(packed)
        ],
    )


def load(connection: Connection, article_ids: Sequence[int]) -> dict[int, list[Page]]:
    """The kept pages of these articles, in reading order."""
    rows = connection.execute(
        select(models.Page.__table__)
        .where(models.Page.article_id.in_(article_ids))
        .order_by(models.Page.article_id, models.Page.part)
    ).mappings()
    decompressor = zstandard.ZstdDecompressor()
    found: dict[int, list[Page]] = {}
    for row in rows:
        body = decompressor.decompress(row["body"])
        page = Page(row["url"], body, row["charset"], row["fetched_at"])
        found.setdefault(row["article_id"], []).append(page)
    return found


def maintain(engine: Engine, keep: timedelta, now: datetime | None = None) -> int:
    """Drop pages older than `keep` and prepare the days to come; returns how many rows
    (SQLite) or days (PostgreSQL) went.
    """
    with writing(engine) as connection:
        now = now or read_now(connection)
        prepare_days(connection, now)
        if engine.dialect.name == "postgresql":
            return _drop_days(connection, now - keep)
        old = delete(models.Page).where(models.Page.fetched_at < now - keep)
        return connection.execute(old).rowcount


def prepare_days(connection: Connection, now: datetime) -> None:
    """Give the coming days a partition each, on PostgreSQL; without one a page goes to the default
    partition, from which it is deleted row by row.
    """
    if connection.dialect.name != "postgresql":
        return
    # A day whose rows went to the default partition can no longer have one of its own.
    latest = connection.execute(text("SELECT max(fetched_at) FROM pages_default")).scalar()
    for ahead in range(_DAYS_AHEAD):
        day = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        day += timedelta(days=ahead)
        if latest is None or latest < day:
            until = day + timedelta(days=1)
            connection.exec_driver_sql(
                f"CREATE TABLE IF NOT EXISTS {_name(day)} PARTITION OF pages "
                f"FOR VALUES FROM ('{day.isoformat()}') TO ('{until.isoformat()}')"
            )


def _drop_days(connection: Connection, oldest: datetime) -> int:
    partitions = connection.execute(
        text(
            "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid "
            "WHERE i.inhparent = 'pages'::regclass AND c.relname LIKE 'pages\\_2%'"
        )
    ).scalars()
    old = [name for name in partitions if name < _name(oldest)]
    for name in old:
        connection.exec_driver_sql(f"DROP TABLE {name}")
    connection.execute(
        text("DELETE FROM pages_default WHERE fetched_at < :oldest"), {"oldest": oldest}
    )
    return len(old)


def _name(day: datetime) -> str:
    return f"pages_{day.astimezone(UTC):%Y%m%d}"
