"""Outcomes of polls: all that one brings, for many feeds at once, in one transaction."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import (
    BindParameter,
    Connection,
    Engine,
    Row,
    RowMapping,
    Table,
    Update,
    bindparam,
    case,
    func,
    or_,
    select,
    update,
)

from worker.feeds import Feed, Move, PollOutcome
from worker.http import redacted
from worker.http.politeness import host_of
from worker.store import entries, hosts, models, moves, tallies, webhooks
from worker.store.claims import Claim
from worker.store.sessions import read_now, writing
from worker.webhooks import Event, FeedFacts, feed_failing, feed_recovered, wants

_FEEDS: Table = models.Base.metadata.tables[models.Feed.__tablename__]
_FREE = {"lease_token": None, "lease_until": None, "attempts": 0, "expiries": 0}


@dataclass(frozen=True, slots=True)
class Saved:
    """What came of a group of polls: articles to be fetched, and events to be delivered."""

    articles: int
    events: int


def known(row: RowMapping) -> Feed:
    """A claimed row as the room knows it."""
    move = Move(row["moved_to"], row["moved_polls"], row["moved_at"]) if row["moved_to"] else None
    return Feed(
        id=row["id"],
        url=row["url"],
        interval_seconds=row["interval_seconds"],
        options=row["options"] or {},
        state=row["state"],
        etag=row["etag"],
        last_modified=row["last_modified"],
        body_hash=row["body_hash"],
        changed_at=row["changed_at"],
        listed_at=row["listed_at"],
        succeeded_at=row["succeeded_at"],
        failures=row["failures"],
        failure_score=row["failure_score"],
        failing_at=row["failing_at"],
        status=row["status"],
        identity_by=row["identity_by"],
        gap_seconds=row["gap_seconds"],
        newest_at=row["newest_at"],
        hint_seconds=row["hint_seconds"],
        skip_hours=tuple(row["skip_hours"] or ()),
        skip_days=tuple(row["skip_days"] or ()),
        move=move,
    )


def save(engine: Engine, claim: Claim, outcomes: Iterable[PollOutcome]) -> Saved:
    """Execute poll outcomes in one transaction.

    The outcome of a feed whose lease was lost meanwhile changes nothing. What identifies a
    document (its hash, its validators) is stored with its entries, or not at all.
    """
    rows = {row["id"]: row for row in claim.rows}
    with writing(engine) as connection:
        held = _held(connection, claim, list(outcomes))
        _cool_down(connection, held)
        staying = [outcome for outcome in held if _stays(connection, outcome, claim.now)]
        _give_back(connection, staying, rows, claim.now)
        articles = entries.take(connection, staying, claim.now)
        events = _tell(connection, staying, rows, claim.now)
        tallies.add(connection, "poll", claim.now, [(o.result, o.reason) for o in held])
    return Saved(articles, events)


def _held(
    connection: Connection, claim: Claim, outcomes: Sequence[PollOutcome]
) -> list[PollOutcome]:
    """The outcomes of feeds that are still leased, which are locked by this."""
    mine = _FEEDS.c.id.in_([outcome.feed.id for outcome in outcomes])
    moved = [outcome.moved_to for outcome in outcomes if outcome.moved_to]
    statement = (
        select(_FEEDS.c.id, _FEEDS.c.lease_token, _FEEDS.c.identity_by)
        # In one order everywhere, those to merge with included, or two polls wait for each other.
        .where(or_(mine, _FEEDS.c.url.in_(moved)) if moved else mine)
        .order_by(_FEEDS.c.id)
        .with_for_update(key_share=True)
    )
    locked = {row.id: row for row in connection.execute(statement)}
    return [
        _read_by(outcome, locked[outcome.feed.id])
        for outcome in outcomes
        if outcome.feed.id in locked and locked[outcome.feed.id].lease_token == claim.token
    ]


def _read_by(outcome: PollOutcome, row: Row[*tuple[Any, ...]]) -> PollOutcome:
    """The outcome without its document if that was read by other identities than count meanwhile:
    then it is read again at the next poll.
    """
    if not outcome.entries or row.identity_by in {None, outcome.feed.identity_by}:
        return outcome
    unread = replace(outcome.feed, etag=None, last_modified=None, body_hash=None)
    return replace(outcome, feed=unread, entries=())


def _cool_down(connection: Connection, outcomes: Sequence[PollOutcome]) -> None:
    asked = [(host_of(one.feed.url), one.cool_down) for one in outcomes if one.cool_down]
    if not asked:
        return
    now = read_now(connection)
    for host, wait in sorted(asked):  # in one order everywhere
        if host:
            hosts.cool_down(connection, host, now + wait)


def _stays(connection: Connection, outcome: PollOutcome, now: datetime) -> bool:
    """Follow the feed to where it moved; False if it went up in the one that is there."""
    if outcome.moved_to is None:
        return True
    return moves.move(connection, outcome.feed.id, outcome.moved_to, now)


def _give_back(
    connection: Connection,
    outcomes: Sequence[PollOutcome],
    rows: Mapping[int, RowMapping],
    now: datetime,
) -> None:
    """Write what is known of the feeds now, and free them; of most that is nothing but times."""
    brief, full = [], []
    for outcome in outcomes:
        values = _polled(outcome, now)
        learned = _learned(outcome.feed)
        if outcome.result == "unchanged" and _is_known(outcome.feed, learned, rows):
            brief.append(values)
        else:
            full.append(values | learned | _said(outcome))
    if brief:
        connection.execute(_brief(), brief)
    if full:
        connection.execute(_full(), full)


def _is_known(feed: Feed, learned: Mapping[str, Any], rows: Mapping[int, RowMapping]) -> bool:
    row = rows[feed.id]
    return row["state"] == feed.state and all(row[name] == learned[name] for name in learned)


@cache
def _brief() -> Update:
    return update(_FEEDS).where(_FEEDS.c.id == bindparam("feed_id")).values(**_FREE)


@cache
def _full() -> Update:
    is_put_aside = or_(_FEEDS.c.state == "paused", _FEEDS.c.state == "undeclared")
    return _brief().values(
        # By the user, meanwhile.
        state=case((is_put_aside, _FEEDS.c.state), else_=_new("state")),
        # Kept once it is chosen: another would make all entries new.
        identity_by=func.coalesce(_FEEDS.c.identity_by, _new("identity_by")),
        title=case(
            (_FEEDS.c.title_given, _FEEDS.c.title),
            else_=func.coalesce(_new("title"), _FEEDS.c.title),
        ),
        site_url=func.coalesce(_new("site_url"), _FEEDS.c.site_url),
        language=func.coalesce(_new("language"), _FEEDS.c.language),
    )


def _new(column: str) -> BindParameter[Any]:
    return bindparam(f"new_{column}", type_=_FEEDS.c[column].type)


def _polled(outcome: PollOutcome, now: datetime) -> dict[str, Any]:
    return {
        "feed_id": outcome.feed.id,
        "due_at": outcome.due_at,
        "polled_at": now,
        "succeeded_at": outcome.feed.succeeded_at,
        "status": outcome.status,
        "reason": outcome.reason,
        "detail": outcome.detail or None,
        "schedule": [
            {
                "name": one.name,
                "at": one.at.isoformat(),
                "detail": one.detail,
                "effective": one.effective,
            }
            for one in outcome.why
        ],
    }


def _learned(feed: Feed) -> dict[str, Any]:
    move = feed.move
    return {
        "etag": feed.etag,
        "last_modified": feed.last_modified,
        "body_hash": feed.body_hash,
        "changed_at": feed.changed_at,
        "failures": feed.failures,
        "failure_score": feed.failure_score,
        "failing_at": feed.failing_at,
        "gap_seconds": feed.gap_seconds,
        "newest_at": feed.newest_at,
        "hint_seconds": feed.hint_seconds,
        "skip_hours": list(feed.skip_hours) or None,
        "skip_days": list(feed.skip_days) or None,
        "moved_to": move.url if move else None,
        "moved_polls": move.polls if move else 0,
        "moved_at": move.since if move else None,
    }


def _said(outcome: PollOutcome) -> dict[str, Any]:
    return {
        "new_state": outcome.feed.state,
        "new_identity_by": outcome.feed.identity_by,
        "new_title": outcome.title or None,
        "new_site_url": outcome.site_url or None,
        "new_language": outcome.language or None,
    }


def _tell(
    connection: Connection,
    outcomes: Sequence[PollOutcome],
    rows: Mapping[int, RowMapping],
    now: datetime,
) -> int:
    """Tell the endpoints that subscribed which feeds fail or answer again; how many events."""
    eventful = [outcome for outcome in outcomes if outcome.event]
    if not eventful:
        return 0
    listeners = webhooks.listeners(connection)
    told = 0
    for outcome in eventful:
        event = _event(connection, outcome, rows[outcome.feed.id], now)
        if any(wants(endpoint["event_types"], event.type) for endpoint in listeners):
            told += webhooks.tell(connection, event, listeners)
    return told


def _event(
    connection: Connection, outcome: PollOutcome, before: RowMapping, now: datetime
) -> Event:
    current = select(_FEEDS).where(_FEEDS.c.id == outcome.feed.id)
    row = connection.execute(current).mappings().one()
    # That it is over says nothing of what it was.
    failed = row if outcome.event == "failing" else before
    facts = FeedFacts(
        feed_id=row["id"],
        title=row["title"],
        url=redacted(row["url"]),
        site_url=row["site_url"],
        state=row["state"],
        failing_since=failed["failing_at"] or now,
        failures=failed["failures"],
        reason=failed["reason"],
        detail=failed["detail"],
        last_success_at=row["succeeded_at"],
        next_poll_at=row["due_at"],
    )
    return (feed_failing if outcome.event == "failing" else feed_recovered)(facts, now)
