"""Statements of WebSub: what feeds have at their hubs, and what hubs push."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Engine, RowMapping, case, select, update

from worker.feeds import Feed, PollOutcome
from worker.feeds.websub import Answer, Request, Subscription
from worker.http.politeness import host_of
from worker.reasons import Reason
from worker.store import entries, hosts, models, polls, tallies
from worker.store.dialects import insert_or_update
from worker.store.sessions import read_now, reading, writing

_VARIABLES = 500  # of a statement; SQLite takes 32,766
_FOLLOWED = ("active", "failing")


@dataclass(frozen=True, slots=True)
class Target:
    """Whom a callback's token stands for; `now` is the store's time."""

    subscription: Subscription
    feed: Feed
    now: datetime


def known(engine: Engine, feed_ids: Collection[int]) -> dict[int, Subscription]:
    """The subscriptions of these feeds, by the feed's id."""
    ids = sorted(feed_ids)
    found: dict[int, Subscription] = {}
    with reading(engine) as connection:
        for start in range(0, len(ids), _VARIABLES):
            mine = models.Subscription.feed_id.in_(ids[start : start + _VARIABLES])
            rows = connection.execute(select(models.Subscription.__table__).where(mine)).mappings()
            found |= {row["feed_id"]: _known(row) for row in rows}
    return found


def find(engine: Engine, token: str) -> Target | None:
    """Whom `token` stands for; None when nobody, or a feed that is not followed any more."""
    with reading(engine) as connection:
        now = read_now(connection)
        subscription = select(models.Subscription.__table__).filter_by(token=token)
        if (row := connection.execute(subscription).mappings().first()) is None:
            return None
        feed = select(models.Feed.__table__).where(
            models.Feed.id == row["feed_id"], models.Feed.state.in_(_FOLLOWED)
        )
        found = connection.execute(feed).mappings().first()
    return Target(_known(row), polls.known(found), now) if found else None


def asked(engine: Engine, feed_id: int, request: Request) -> bool:
    """Note that the hub is being asked, before it is; False when it is not to be, since the feed
    is gone or the hub wants to be left alone.

    A subscription that is being renewed goes on; any other begins anew.
    """
    with writing(engine) as connection:
        now = read_now(connection)
        feed = select(models.Feed.id).where(models.Feed.id == feed_id)
        if connection.execute(feed.with_for_update(read=True, key_share=True)).first() is None:
            return False
        resting = select(models.Host.host).where(
            models.Host.host == host_of(request.hub), models.Host.cool_down_until > now
        )
        if connection.execute(resting).first() is not None:
            return False
        state = models.Subscription.state
        again = (
            update(models.Subscription)
            .where(
                models.Subscription.feed_id == feed_id, models.Subscription.token == request.token
            )
            .values(
                state=case((state == "denied", "asked"), else_=state),
                asked_at=now,
                failures=models.Subscription.failures + 1,
            )
        )
        if connection.execute(again).rowcount:
            return True
        values = {
            "feed_id": feed_id,
            "hub": request.hub,
            "topic": request.topic,
            "token": request.token,
            "secret": request.secret,
            "state": "asked",
            "asked_at": now,
            "verified_at": None,
            "lease_ends_at": None,
            "pushed_at": None,
            "failures": 1,
            "detail": None,
        }
        connection.execute(insert_or_update(connection, models.Subscription, "feed_id", values))
    return True


def failed(engine: Engine, request: Request, answer: Answer) -> None:
    """Note why the hub did not take the request, and for how long it wants to be left alone."""
    with writing(engine) as connection:
        connection.execute(
            update(models.Subscription)
            .where(models.Subscription.token == request.token)
            .values(detail=answer.detail)
        )
        if answer.cool_down:
            until = read_now(connection) + answer.cool_down
            hosts.cool_down(connection, host_of(request.hub), until)


def save(engine: Engine, subscription: Subscription) -> bool:
    """Store what a hub's verification or denial made of a subscription; False when it has been
    replaced meanwhile.
    """
    statement = (
        update(models.Subscription)
        .where(models.Subscription.token == subscription.token)
        .values(
            state=subscription.state,
            verified_at=subscription.verified_at,
            lease_ends_at=subscription.lease_ends_at,
            failures=subscription.failures,
            detail=subscription.detail,
        )
    )
    with writing(engine) as connection:
        return connection.execute(statement).rowcount == 1


def ingest(engine: Engine, outcome: PollOutcome) -> int | None:
    """Store the news of a pushed document in one transaction; returns how many articles are to be
    fetched, None when the feed's entries are told apart in another way since it was read.

    The feed's row is locked first, as for a poll's outcome: whoever of the two comes second finds
    what the first has stored. When the feed is next due, and what a poll knows of the document at
    its URL, stays as it is.
    """
    feed = outcome.feed
    mine = models.Feed.id == feed.id
    lock = select(models.Feed.identity_by).where(mine).with_for_update(key_share=True)
    with writing(engine) as connection:
        if (row := connection.execute(lock).first()) is None:
            return 0
        if row.identity_by not in {None, feed.identity_by}:
            return None
        now = read_now(connection)
        learned = {
            "identity_by": feed.identity_by,
            "gap_seconds": feed.gap_seconds,
            "newest_at": feed.newest_at,
        }
        connection.execute(update(models.Feed).where(mine).values(**learned))
        connection.execute(
            update(models.Subscription)
            .where(models.Subscription.feed_id == feed.id)
            .values(pushed_at=now)
        )
        articles = entries.take(connection, [outcome], now)
        tallies.add(connection, "poll", now, [("pushed", None)])
    return articles


def refused(engine: Engine, reason: Reason) -> None:
    """Count a push that was of no use."""
    with writing(engine) as connection:
        tallies.add(connection, "poll", read_now(connection), [("refused", reason)])


def _known(row: RowMapping) -> Subscription:
    return Subscription(
        feed_id=row["feed_id"],
        hub=row["hub"],
        topic=row["topic"],
        token=row["token"],
        secret=row["secret"],
        state=row["state"],
        asked_at=row["asked_at"],
        verified_at=row["verified_at"],
        lease_ends_at=row["lease_ends_at"],
        pushed_at=row["pushed_at"],
        failures=row["failures"],
        detail=row["detail"],
    )
