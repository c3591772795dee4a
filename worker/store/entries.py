"""Entries: what documents list is compared with what is known, and what is new becomes articles."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from sqlalchemy import (
    Connection,
    Row,
    Select,
    Table,
    and_,
    bindparam,
    delete,
    insert,
    select,
    update,
)

from worker.feeds import Entry, PollOutcome
from worker.feeds.identity import Marks, identities
from worker.store import articles, models
from worker.store.articles import Listed
from worker.store.dialects import Given, GivenTable, given

_SEEN = timedelta(days=1)  # `seen_at` moves no more often: most polls write to no known entry
_KEPT = timedelta(days=90)  # after a document listed an entry for the last time
_RESTAMPED = 3  # entries; of fewer, all may well have been edited
_RENEWED = 2  # entries, and also
_RENEWED_SHARE = 0.05  # of a document: so many guids that changed are no accident

_ENTRIES: Table = models.Base.metadata.tables[models.Entry.__tablename__]
_KNOWN = (
    _ENTRIES.c.id, _ENTRIES.c.feed_id, _ENTRIES.c.identity, _ENTRIES.c.link,
    _ENTRIES.c.article_id, _ENTRIES.c.revision, _ENTRIES.c.updated_at, _ENTRIES.c.seen_at,
)  # fmt: skip

_Row = Row[*tuple[Any, ...]]


def take(connection: Connection, outcomes: Sequence[PollOutcome], now: datetime) -> int:
    """Store what polls listed; returns how many articles are to be fetched, new or changed.

    The caller holds the feeds' rows: two documents of one feed are never compared at once.
    """
    listings = _compare(connection, [outcome for outcome in outcomes if outcome.entries])
    if not listings:
        return 0
    _renew(connection, listings)
    # All articles of the group at once: `create` takes them in an order that all polls share.
    ids = articles.create(connection, [one for each in listings for one in each.wanted()], now)
    _insert(connection, listings, ids, now)
    _see(connection, listings, now)
    return len(ids) + _revise(connection, listings, now)


@dataclass(slots=True)
class _Listing:
    """A document's entries: those that the store knows, each with its row, and the others.

    `links` are the keys of the others' links; `names` the identities that all have from now on,
    once that is not the document's.
    """

    outcome: PollOutcome
    known: list[tuple[_Row, Entry]] = field(default_factory=list)
    fresh: list[Entry] = field(default_factory=list)
    links: dict[str, str] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)

    @property
    def feed_id(self) -> int:
        return self.outcome.feed.id

    def wanted(self) -> Iterator[Listed]:
        """The entries that are to become articles."""
        for entry in self.fresh:
            if entry.identity not in self.outcome.passed_over:
                silent = entry.identity in self.outcome.silent
                yield Listed(self.outcome.feed, entry, silent, self.links[entry.identity])


def _compare(connection: Connection, outcomes: Sequence[PollOutcome]) -> list[_Listing]:
    named = [(outcome.feed.id, entry.identity) for outcome in outcomes for entry in outcome.entries]
    rows = {(row.feed_id, row.identity): row for row in _find(connection, "identity", named)}
    listings = []
    for outcome in outcomes:
        listing = _Listing(outcome)
        for entry in outcome.entries:
            if row := rows.get((outcome.feed.id, entry.identity)):
                listing.known.append((row, entry))
            else:
                listing.fresh.append(entry)
                listing.links[entry.identity] = articles.key(outcome.feed, entry)
        listings.append(listing)
    return listings


def _find(connection: Connection, column: str, wanted: Sequence[tuple[int, str]]) -> Sequence[_Row]:
    """The rows that have a feed's id and this column's value among `wanted`."""
    if not wanted:
        return []
    statement, names = _lookup(connection.dialect.name, column)
    return connection.execute(statement, names.parameters(wanted)).all()


@cache
def _lookup(dialect: str, column: str) -> tuple[Select[*tuple[Any, ...]], GivenTable]:
    names = given(dialect, Given("feed_id", int), Given(column, str))
    of_names = and_(
        _ENTRIES.c.feed_id == names.table.c.feed_id,
        _ENTRIES.c[column] == names.table.c[column],
    )
    return select(*_KNOWN).select_from(names.table).join(_ENTRIES, of_names), names


def _renew(connection: Connection, listings: Sequence[_Listing]) -> None:
    """Know entries again whose guid has changed.

    An entry is one of those that the document lists no longer when it has that one's link, and no
    other that it lists has. The row takes the new name, and nothing is news. Where many guids
    change, the feed's entries are told apart by their links from now on.
    """
    by_guid = [each for each in listings if each.outcome.feed.identity_by in {None, "guid"}]
    wanted = [
        (each.feed_id, _link(each, entry)) for each in by_guid for entry in each.fresh if entry.url
    ]
    rows: dict[int, dict[str, _Row]] = {}
    for row in sorted(_find(connection, "link", wanted), key=lambda row: int(row.id)):
        rows.setdefault(row.feed_id, {})[row.link] = row  # the newest that has the link
    renamed: list[dict[str, Any]] = []
    for each in by_guid:
        if renewed := _renewed(each, rows.get(each.feed_id, {})):
            if _is_habit(each, len(renewed)):
                _go_by_link(connection, each)
            else:
                renamed += renewed
    _rename(connection, renamed)


def _renewed(listing: _Listing, rows: dict[str, _Row]) -> list[dict[str, Any]]:
    """Move the entries that are known by their link to the known ones; the rows' new names."""
    listed = {entry.identity for entry in listing.outcome.entries}
    stale = {link: row for link, row in rows.items() if row.identity not in listed}
    if not stale:
        return []
    urls = Counter(entry.url for entry in listing.outcome.entries)
    renewed = []
    for entry in tuple(listing.fresh):
        row = stale.get(_link(listing, entry)) if urls[entry.url] == 1 else None
        if row is not None:
            stale.pop(row.link)
            listing.fresh.remove(entry)
            listing.known.append((row, entry))
            renewed.append({"entry_id": row.id, "identity": entry.identity})
    return renewed


def _is_habit(listing: _Listing, renewed: int) -> bool:
    entries = listing.outcome.entries
    if renewed < _RENEWED or renewed <= _RENEWED_SHARE * len(entries):
        return False
    # By links that are missing or shared the entries would be told apart no better.
    links = {_by_link(entry.url) for entry in entries if entry.url}
    return len(links) == len(entries)


def _go_by_link(connection: Connection, listing: _Listing) -> None:
    """Give all entries of a feed, once and for all, the names that go by links."""
    listing.names = {
        entry.identity: _by_link(entry.url) for entry in listing.outcome.entries if entry.url
    }
    names, doubles = _names_by_link(connection, listing)
    connection.execute(delete(_ENTRIES).where(_ENTRIES.c.id.in_(doubles)))
    # By way of names that no document can hold: one's new name may be another's old one.
    for prefix, new in (("\x1f", {id_: str(id_) for id_ in names}), ("", names)):
        _rename(
            connection,
            [{"entry_id": id_, "identity": f"{prefix}{name}"} for id_, name in new.items()],
        )
    known = set(names.values())
    listing.fresh = [entry for entry in listing.fresh if listing.names[entry.identity] not in known]
    connection.execute(
        update(models.Feed).where(models.Feed.id == listing.feed_id).values(identity_by="link")
    )


def _names_by_link(connection: Connection, listing: _Listing) -> tuple[dict[int, str], list[int]]:
    """The new names of a feed's rows by their ids, and the rows that are others by their links."""
    listed = {row.id: listing.names[entry.identity] for row, entry in listing.known}
    statement = (
        select(_ENTRIES.c.id, _ENTRIES.c.identity, models.Article.url)
        .outerjoin(models.Article, models.Article.id == _ENTRIES.c.article_id)
        .where(_ENTRIES.c.feed_id == listing.feed_id)
        .order_by(_ENTRIES.c.id.desc())
    )
    rows = connection.execute(statement).all()
    taken: dict[str, int] = {name: id_ for id_, name in listed.items()}
    for row in rows:
        name = listed.get(row.id) or (_by_link(row.url) if row.url else row.identity)
        taken.setdefault(name, row.id)
    names = {id_: name for name, id_ in taken.items()}
    return names, [row.id for row in rows if row.id not in names]


def _by_link(url: str) -> str:
    return identities([Marks(None, url, "", "", "")], "link")[0]


def _link(listing: _Listing, entry: Entry) -> str:
    return listing.links[entry.identity][:16]


def _rename(connection: Connection, renamed: Sequence[dict[str, Any]]) -> None:
    if renamed:
        mine = update(_ENTRIES).where(_ENTRIES.c.id == bindparam("entry_id"))
        connection.execute(mine, renamed)


def _insert(
    connection: Connection,
    listings: Sequence[_Listing],
    article_ids: dict[tuple[int, str], int],
    now: datetime,
) -> None:
    rows = [
        {
            "feed_id": each.feed_id,
            "identity": each.names.get(entry.identity, entry.identity),
            "link": _link(each, entry) if entry.url else None,
            "article_id": article_ids.get((each.feed_id, entry.identity)),
            "revision": entry.revision,
            "updated_at": entry.updated_at,
            "first_seen_at": now,
            "seen_at": now,
        }
        for each in listings
        for entry in each.fresh
    ]
    if not rows:
        return
    connection.execute(insert(_ENTRIES), rows)
    listed = sorted({each.feed_id for each in listings if each.fresh})
    connection.execute(update(models.Feed).where(models.Feed.id.in_(listed)).values(listed_at=now))


def _see(connection: Connection, listings: Sequence[_Listing], now: datetime) -> None:
    """Note once a day which entries are listed still, and forget those that long are not."""
    rows = [row for each in listings for row, _ in each.known if row.seen_at <= now - _SEEN]
    if not rows:
        return
    seen = given(connection.dialect.name, Given("id", int))
    ids = seen.parameters([(row.id,) for row in rows])
    connection.execute(
        update(_ENTRIES).where(_ENTRIES.c.id.in_(select(seen.table.c.id))).values(seen_at=now), ids
    )
    connection.execute(
        delete(_ENTRIES).where(
            _ENTRIES.c.feed_id.in_(sorted({row.feed_id for row in rows})),
            _ENTRIES.c.seen_at < now - _KEPT,
        )
    )


def _revise(connection: Connection, listings: Sequence[_Listing], now: datetime) -> int:
    """Store what has changed of known entries; how many articles are fetched again for it."""
    edited = [change for each in listings for change in _edited(each.known)]
    stamps = [
        {
            "entry_id": row.id,
            "revision": entry.revision,
            "updated_at": entry.updated_at or row.updated_at,
        }
        for each in listings
        for row, entry in each.known
        if row.revision != entry.revision or entry.updated_at not in {None, row.updated_at}
    ]
    if stamps:
        mine = update(_ENTRIES).where(_ENTRIES.c.id == bindparam("entry_id"))
        connection.execute(mine, stamps)
    return articles.revise(connection, edited, now)


def _edited(known: Sequence[tuple[_Row, Entry]]) -> list[tuple[int, Entry]]:
    """The articles whose entries were edited, each with the entry as it is now."""
    moved = [_has_moved(row, entry) for row, entry in known]
    # Some feeds stamp all that they list anew whenever they are asked.
    counts = len(moved) < _RESTAMPED or not all(moved)
    return [
        (row.article_id, entry)
        for (row, entry), has_moved in zip(known, moved, strict=True)
        if row.article_id is not None and (_has_new_text(row, entry) or (has_moved and counts))
    ]


def _has_moved(row: _Row, entry: Entry) -> bool:
    return None not in (row.updated_at, entry.updated_at) and row.updated_at != entry.updated_at


def _has_new_text(row: _Row, entry: Entry) -> bool:
    return row.revision not in {"", entry.revision}  # empty: it was made by another rule
