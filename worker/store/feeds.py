"""Statements of the room `feeds`: the list of feeds that are followed."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal, TypeVar

from sqlalchemy import (
    Connection,
    Engine,
    Table,
    bindparam,
    case,
    delete,
    func,
    or_,
    select,
    text,
    update,
)

from worker.feeds import declared
from worker.feeds.declared import Declared
from worker.feeds.schedule import spread
from worker.store import models
from worker.store.dialects import insert_new, insert_or_update
from worker.store.sessions import read_now, reading, writing

T = TypeVar("T")

_FEEDS: Table = models.Base.metadata.tables[models.Feed.__tablename__]
_FILE = "feeds"
_FILE_LOCK = 0x6B61626166  # one process at a time applies the file
_VARIABLES = 500  # of a statement; SQLite takes 32,766, plans are shared best when alike
_APART = timedelta(milliseconds=10)  # between the first polls of feeds that are added together
_LONGEST_SPREAD = timedelta(minutes=15)


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
    return add_many(engine, [Declared(url, title, interval_seconds)]) == 1


def add_many(engine: Engine, feeds: Sequence[Declared]) -> int:
    """Add those feeds that are not there yet, under their URL or a new one that they moved to;
    returns how many.

    A single one is due at once; many come due one after the other. Raises `KabarError`
    when what is said of one cannot be used; then none is added.
    """
    for feed in feeds:
        declared.check(feed)
    with writing(engine) as connection:
        return len(_insert(connection, feeds, read_now(connection), declared=False))


def apply_file(engine: Engine, path: Path) -> FileChange | None:
    """Make the list of feeds what the file at `path` declares; None when nothing was to do.

    New feeds are added, as in `add_many`. What the file no longer lists is paused, not deleted, and
    resumed when it is listed again; feeds that were added by hand are left alone. A feed that has
    moved is still the one that the file lists under its former URL. A file that is not there
    declares nothing at all. Any number of processes may call this at once. Raises `KabarError`
    when the file cannot be understood; then none of it counts.
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
        added = _insert(connection, file.feeds, now, declared=True)
        _declare(connection, [feed for feed in file.feeds if feed.url not in added], now)
        return FileChange(len(added), _pause_others(connection, file.feeds))


def listing(engine: Engine, *, failing: bool = False) -> list[dict[str, Any]]:
    """All feeds, in the order in which they were added; or those that are failing or gone."""
    statement = select(models.Feed.__table__).order_by(models.Feed.id)
    if failing:
        statement = statement.where(models.Feed.state.in_(("failing", "gone")))
    with reading(engine) as connection:
        return [dict(row) for row in connection.execute(statement).mappings()]


def find(engine: Engine, asked: str) -> dict[str, Any] | None:
    """The feed with this number or URL, be it a former one, with its count of `articles`; None
    when there is none.
    """
    former = select(models.FormerUrl.feed_id).where(models.FormerUrl.url == asked)
    wanted = or_(
        models.Feed.id == models.as_id(asked),
        models.Feed.url == asked,
        models.Feed.id.in_(former),
    )
    # A present URL wins over a former one.
    statement = select(models.Feed.__table__).where(wanted).order_by(models.Feed.url != asked)
    with reading(engine) as connection:
        row = connection.execute(statement).mappings().first()
        if row is None:
            return None
        count = select(func.count()).where(
            models.Entry.feed_id == row["id"], models.Entry.article_id.is_not(None)
        )
        return {**row, "articles": connection.execute(count).scalar_one()}


def set_state(engine: Engine, feed_id: int, state: Literal["active", "paused"]) -> None:
    """Pause a feed, or follow it again, due at once.

    One that was failing before it was paused still is; one that was gone begins anew.
    """
    mine = update(models.Feed).where(models.Feed.id == feed_id)
    anew = {"failures": 0, "failure_score": 0, "failing_at": None}
    with writing(engine) as connection:
        if state == "paused":
            connection.execute(mine.values(state=state))
            return
        connection.execute(mine.where(models.Feed.state == "gone").values(**anew))
        is_failing = models.Feed.failing_at.is_not(None)
        state_now = case((is_failing, "failing"), else_="active")
        connection.execute(mine.values(state=state_now, due_at=read_now(connection)))


def remove(engine: Engine, feed_id: int) -> None:
    """Follow a feed no more, and forget what it listed; its articles and stories stay."""
    with writing(engine) as connection:
        connection.execute(delete(models.Feed).where(models.Feed.id == feed_id))


def _applied(engine: Engine) -> str | None:
    with reading(engine) as connection:
        digest = select(models.File.digest).where(models.File.name == _FILE)
        return connection.execute(digest).scalar()


def _insert(
    connection: Connection, feeds: Sequence[Declared], now: datetime, *, declared: bool
) -> set[str]:
    """Insert what is not there; its URLs."""
    former = _former(connection, [feed.url for feed in feeds])
    within = min(len(feeds) * _APART, _LONGEST_SPREAD)
    rows = [
        {
            "url": feed.url,
            "title": feed.title or None,
            **_given(feed),
            "declared": declared,
            "due_at": now + spread(feed.url, within) if len(feeds) > 1 else now,
            "created_at": now,
        }
        for feed in feeds
        if feed.url not in former
    ]
    if not rows:
        return set()
    statement = insert_new(connection, models.Feed).returning(models.Feed.url)
    return set(connection.execute(statement, rows).scalars())


def _given(feed: Declared) -> dict[str, Any]:
    return {
        "title_given": bool(feed.title),
        "interval_seconds": feed.interval_seconds,
        "tags": list(feed.tags) or None,
        "options": dict(feed.options) or None,
    }


def _former(connection: Connection, urls: Sequence[str]) -> dict[str, int]:
    """The ids of feeds that moved away from one of these URLs, by that URL."""
    former = models.FormerUrl
    found: dict[str, int] = {}
    for part in _parts(urls):
        statement = select(former.url, former.feed_id).where(former.url.in_(part))
        found |= {row.url: row[1] for row in connection.execute(statement)}
    return found


def _declare(connection: Connection, feeds: Sequence[Declared], now: datetime) -> None:
    """Bring feeds that are there to what is declared of them."""
    ids = _ids(connection, [feed.url for feed in feeds])
    within = min(len(feeds) * _APART, _LONGEST_SPREAD)
    rows = [
        {
            "feed_id": ids[feed.url],
            "new_title": feed.title or None,
            "new_due_at": now + spread(feed.url, within),
            **_given(feed),
        }
        for feed in feeds
        if feed.url in ids
    ]
    if not rows:
        return
    is_paused = models.Feed.state == "undeclared"
    statement = (
        update(_FEEDS)
        .where(_FEEDS.c.id == bindparam("feed_id"))
        .values(
            declared=True,
            title=func.coalesce(
                bindparam("new_title", type_=_FEEDS.c.title.type), models.Feed.title
            ),
            state=case((is_paused, "active"), else_=models.Feed.state),
            due_at=case(
                (is_paused, bindparam("new_due_at", type_=_FEEDS.c.due_at.type)),
                else_=models.Feed.due_at,
            ),
        )
    )
    # In the order in which polls lock them.
    connection.execute(statement, sorted(rows, key=lambda row: row["feed_id"]))


def _ids(connection: Connection, urls: Sequence[str]) -> dict[str, int]:
    found = _former(connection, urls)
    for part in _parts(urls):
        statement = select(models.Feed.url, models.Feed.id).where(models.Feed.url.in_(part))
        found |= {row.url: row[1] for row in connection.execute(statement)}
    return found


def _pause_others(connection: Connection, listed: Collection[Declared]) -> int:
    urls = {feed.url for feed in listed}
    former = select(models.FormerUrl.url, models.FormerUrl.feed_id)
    still = {feed_id for url, feed_id in connection.execute(former) if url in urls}
    declared_urls = select(models.Feed.id, models.Feed.url).where(models.Feed.declared)
    gone = [
        feed_id
        for feed_id, url in connection.execute(declared_urls)
        if url not in urls and feed_id not in still
    ]
    for part in _parts(sorted(gone)):
        connection.execute(
            update(models.Feed)
            .where(models.Feed.id.in_(part))
            .values(declared=False, state="undeclared")
        )
    return len(gone)


def _parts(values: Sequence[T]) -> Iterator[Sequence[T]]:
    for start in range(0, len(values), _VARIABLES):
        yield values[start : start + _VARIABLES]
