"""Statements of the room `feeds`: the list of feeds that are followed."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal, TypeVar

from sqlalchemy import (
    Connection,
    Engine,
    Row,
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
from worker.store.dialects import Given, given, insert_new, insert_or_update
from worker.store.sessions import read_now, reading, writing

T = TypeVar("T")

_FEEDS: Table = models.Base.metadata.tables[models.Feed.__tablename__]
_FILE = "feeds"
_FILE_LOCK = 0x6B61626166  # one process at a time applies the file
_VARIABLES = 500  # of a statement; SQLite takes 32,766, plans are shared best when alike
_APART = timedelta(milliseconds=10)  # between the first polls of feeds that are added together
_LONGEST_SPREAD = timedelta(minutes=15)
_COMPARED = (
    _FEEDS.c.id, _FEEDS.c.url, _FEEDS.c.state, _FEEDS.c.declared, _FEEDS.c.title,
    _FEEDS.c.title_given, _FEEDS.c.interval_seconds, _FEEDS.c.tags, _FEEDS.c.options,
)  # fmt: skip

_Row = Row[*tuple[Any, ...]]


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
        former = _former(connection, [feed.url for feed in feeds])
        new = [feed for feed in feeds if feed.url not in former]
        return _insert(connection, new, read_now(connection), declared=False)


def apply_file(engine: Engine, path: Path) -> FileChange | None:
    """Make the list of feeds what the file at `path` declares; None when nothing was to do, or
    another process is doing it.

    New feeds are added, as in `add_many`. What the file no longer lists is paused, not deleted, and
    resumed when it is listed again; feeds that were added by hand are left alone. A feed that has
    moved is still the one that the file lists under its former URL. A file that is not there
    declares nothing at all. Any number of processes may call this at once. Raises `KabarError`
    when the file cannot be understood; then none of it counts.
    """
    with reading(engine) as connection:
        applied = _applied(connection)
    if declared.digest(path) in {None, applied}:
        return None
    file = declared.read(path)
    listed = {_as_stored(engine, feed.url): feed for feed in file.feeds}
    difference = _compare(engine, listed)
    with writing(engine) as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _FILE_LOCK})
        if _applied(connection) != applied:  # by another process, after what was compared
            return None
        now = read_now(connection)
        change, is_all = _apply(connection, listed, difference, now)
        if is_all:  # else the rest is done when this is called again
            values = {"name": _FILE, "digest": file.digest, "applied_at": now}
            connection.execute(insert_or_update(connection, models.File, "name", values))
        return change


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


def _applied(connection: Connection) -> str | None:
    digest = select(models.File.digest).where(models.File.name == _FILE)
    return connection.execute(digest).scalar()


def _as_stored(engine: Engine, url: str) -> str:
    return models.PlainText().process_bind_param(url, engine.dialect) or ""


@dataclass(frozen=True, slots=True)
class _Difference:
    """The ids of feeds that are not as the file has them, and what else it lists."""

    feed_ids: Sequence[int]
    new: Sequence[Declared]


def _compare(engine: Engine, listed: Mapping[str, Declared]) -> _Difference:
    """Compare all feeds with what the file lists. Nothing is locked: it takes a second for 100,000,
    and nobody is to wait that long.
    """
    with reading(engine) as connection:
        rows = connection.execute(select(*_COMPARED)).all()
        # After the feeds: one that moves in between is found under one of its URLs.
        former = _all_former(connection)
    known = {row.url for row in rows}.union(former)
    return _Difference(
        [row.id for row, _ in _differing(rows, listed, former)],
        [feed for url, feed in listed.items() if url not in known],
    )


def _apply(
    connection: Connection, listed: Mapping[str, Declared], difference: _Difference, now: datetime
) -> tuple[FileChange, bool]:
    """Make the feeds what the file lists; what that changed, and whether it was all there is to do.

    Polls go on meanwhile, and may have moved feeds since they were compared; what counts is what a
    row is once it is locked.
    """
    rows = _lock(connection, difference.feed_ids)
    differing = _differing(rows, listed, _all_former(connection))
    _declare(connection, [(row.id, said) for row, said in differing if said], now)
    paused = _pause(connection, [row.id for row, said in differing if said is None])
    added = _insert(connection, difference.new, now, declared=True)
    # Less if a feed went up in another one, or somebody else added one.
    is_all = len(rows) == len(difference.feed_ids) and added == len(difference.new)
    return FileChange(added, paused), is_all


def _differing(
    rows: Sequence[_Row], listed: Mapping[str, Declared], former: Mapping[str, int]
) -> list[tuple[_Row, Declared | None]]:
    """The feeds that are not as the file has them, each with what that says of it; None if it is to
    be paused.
    """
    moved = {feed_id: listed[url] for url, feed_id in former.items() if url in listed}
    said_of = [(row, listed.get(row.url) or moved.get(row.id)) for row in rows]
    return [
        (row, said)
        for row, said in said_of
        if (row.declared if said is None else not _is_as_said(row, said))
    ]


def _is_as_said(row: _Row, said: Declared) -> bool:
    return (
        row.declared
        and row.state != "undeclared"
        and (not said.title or row.title == said.title)
        and all(getattr(row, name) == value for name, value in _given(said).items())
    )


def _lock(connection: Connection, feed_ids: Sequence[int]) -> Sequence[_Row]:
    """Lock these feeds as polls do, in the same order; their rows, as they are now."""
    ids = given(connection.dialect.name, Given("id", int))
    statement = (
        select(*_COMPARED)
        .join_from(_FEEDS, ids.table, _FEEDS.c.id == ids.table.c.id)
        .order_by(_FEEDS.c.id)
        .with_for_update(key_share=True, of=_FEEDS)
    )
    return connection.execute(statement, ids.parameters([(each,) for each in feed_ids])).all()


def _insert(
    connection: Connection, feeds: Sequence[Declared], now: datetime, *, declared: bool
) -> int:
    """Insert what is not there; how many."""
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
    ]
    if not rows:
        return 0
    statement = insert_new(connection, models.Feed).returning(models.Feed.id)
    return len(connection.execute(statement, rows).all())


def _given(feed: Declared) -> dict[str, Any]:
    return {
        "title_given": bool(feed.title),
        "interval_seconds": feed.interval_seconds,
        "tags": list(feed.tags) or None,
        "options": dict(feed.options) or None,
    }


def _former(connection: Connection, urls: Sequence[str]) -> set[str]:
    """Those of `urls` that feeds moved away from."""
    found: set[str] = set()
    for part in _parts(urls):
        statement = select(models.FormerUrl.url).where(models.FormerUrl.url.in_(part))
        found.update(connection.execute(statement).scalars())
    return found


def _all_former(connection: Connection) -> dict[str, int]:
    """The ids of feeds by the URLs that they moved away from."""
    rows = connection.execute(select(models.FormerUrl.url, models.FormerUrl.feed_id))
    return {row.url: row.feed_id for row in rows}


def _declare(connection: Connection, feeds: Sequence[tuple[int, Declared]], now: datetime) -> None:
    """Bring feeds that are there to what is declared of them."""
    if not feeds:
        return
    within = min(len(feeds) * _APART, _LONGEST_SPREAD)
    rows = [
        {
            "feed_id": feed_id,
            "new_title": feed.title or None,
            "new_due_at": now + spread(feed.url, within),
            **_given(feed),
        }
        for feed_id, feed in feeds
    ]
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
    connection.execute(statement, rows)


def _pause(connection: Connection, feed_ids: Sequence[int]) -> int:
    for part in _parts(feed_ids):
        connection.execute(
            update(models.Feed)
            .where(models.Feed.id.in_(part))
            .values(declared=False, state="undeclared")
        )
    return len(feed_ids)


def _parts(values: Sequence[T]) -> Iterator[Sequence[T]]:
    for start in range(0, len(values), _VARIABLES):
        yield values[start : start + _VARIABLES]
