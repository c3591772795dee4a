"""Moves: a feed goes to another URL, or becomes one with the feed that is there already."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, RowMapping, delete, exists, select, update
from sqlalchemy.orm import aliased

from worker import logs
from worker.http import redacted
from worker.store import models
from worker.store.dialects import insert_or_update

log = logs.get(__name__)

_FOLLOWED = {"active", "failing"}
_LEARNED = ("changed_at", "identity_by")
_GIVEN = ("interval_seconds", "options", "title_given")


def move(connection: Connection, feed_id: int, url: str, now: datetime) -> bool:
    """Move a feed to `url`; False when it is no more, since it merged with the one there.

    Both keep their entries and articles. If either is followed, what becomes of them is, and is
    polled at once for what the other may have found: who follows a feed does not lose it because a
    copy is paused. The former URL goes on to name the feed.
    """
    rows = connection.execute(
        select(models.Feed.__table__).where((models.Feed.id == feed_id) | (models.Feed.url == url))
    ).mappings()
    found = {row["id"]: row for row in rows}
    moving = found.pop(feed_id)
    if moving["url"] == url:
        return True
    if found:
        (there,) = found.values()
        _merge(connection, moving, there, now)
        return False
    connection.execute(update(models.Feed).where(models.Feed.id == feed_id).values(url=url))
    _remember(connection, moving["url"], feed_id)
    connection.execute(delete(models.FormerUrl).where(models.FormerUrl.url == url))
    return True


def _remember(connection: Connection, url: str, feed_id: int) -> None:
    former = {"url": url, "feed_id": feed_id}
    connection.execute(insert_or_update(connection, models.FormerUrl, "url", former))


def _merge(connection: Connection, moving: RowMapping, there: RowMapping, now: datetime) -> None:
    _hand_over(connection, moving["id"], there["id"])
    united = _united(moving, there)
    connection.execute(
        update(models.Feed).where(models.Feed.id == there["id"]).values(**united, due_at=now)
    )
    connection.execute(delete(models.Feed).where(models.Feed.id == moving["id"]))
    _remember(connection, moving["url"], there["id"])
    is_resumed = there["state"] not in _FOLLOWED and united["state"] in _FOLLOWED
    say = log.warning if is_resumed else log.info
    say("a feed moved to the URL of another: they are one now", feed=moving["id"],
        url=redacted(moving["url"]), into=there["id"], into_url=redacted(there["url"]),
        into_was=there["state"], state=united["state"])  # fmt: skip


def _hand_over(connection: Connection, giver: int, taker: int) -> None:
    theirs = aliased(models.Entry)
    is_known = exists().where(theirs.feed_id == taker, theirs.identity == models.Entry.identity)
    connection.execute(
        update(models.Entry)
        .where(models.Entry.feed_id == giver, ~is_known)
        .values(feed_id=taker)
        .execution_options(synchronize_session=False)
    )
    for model in (models.Article, models.FormerUrl):
        connection.execute(update(model).where(model.feed_id == giver).values(feed_id=taker))


def _united(moving: RowMapping, there: RowMapping) -> dict[str, Any]:
    values: dict[str, Any] = {
        "declared": moving["declared"] or there["declared"],
        "tags": [*dict.fromkeys([*(there["tags"] or ()), *(moving["tags"] or ())])] or None,
        "state": _state(moving["state"], there["state"]),
    }
    if there["changed_at"] is None:
        # What is known to one that was never polled are the entries of the other.
        values |= _picked(moving, _LEARNED)
    if moving["declared"] and not there["declared"]:
        values |= _picked(moving, _GIVEN)
        values["title"] = moving["title"] or there["title"]
    return values


def _state(moving: str, there: str) -> str:
    if there in _FOLLOWED:
        return there
    if moving in _FOLLOWED:
        return "active"
    return "paused" if moving == "paused" else there  # by hand, while it was polled


def _picked(row: Mapping[Any, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: row[name] for name in names}
