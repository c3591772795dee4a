"""What waits: for each stage how much, and since when the oldest is due."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Engine,
    Select,
    and_,
    case,
    false,
    func,
    literal_column,
    not_,
    select,
)

from worker.settings import STAGES, Stage
from worker.store import models
from worker.store.sessions import read_now, reading


@dataclass(frozen=True, slots=True)
class StageStatus:
    """A stage's work: rows due by now, rows due later, rows somebody holds, and the oldest due."""

    stage: Stage
    waiting: int
    later: int
    in_work: int
    oldest_due_at: datetime | None


def stages(engine: Engine, now: datetime | None = None) -> list[StageStatus]:
    """The status of every stage, in the order in which data flows.

    Rows of `deliver` are deliveries; one that is being sent counts as due later, when it would be
    sent again.
    """
    with reading(engine) as connection:
        now = now or read_now(connection)
        rows = [
            connection.execute(_feeds(now)).one(),
            *connection.execute(_articles(now)),
            connection.execute(_deliveries(now)).one(),
        ]
    found = {row[0]: StageStatus(*row) for row in rows}
    return [found.get(stage, StageStatus(stage, 0, 0, 0, None)) for stage in STAGES]


def _feeds(now: datetime) -> Select[Any]:
    feed = models.Feed
    polled: ColumnElement[bool] = literal_column("feeds.state IN ('active', 'failing')")
    held = func.coalesce(feed.lease_until >= now, false())
    return select(literal_column("'poll'"), *_counts(feed.due_at, held, now)).where(polled)


def _articles(now: datetime) -> Select[Any]:
    article = models.Article
    held = func.coalesce(article.lease_until >= now, false())
    return (
        select(article.stage, *_counts(article.due_at, held, now))
        .where(article.stage.in_(STAGES))
        .group_by(article.stage)
    )


def _deliveries(now: datetime) -> Select[Any]:
    pending: ColumnElement[bool] = literal_column("deliveries.state = 'pending'")
    counts = _counts(models.Delivery.due_at, false(), now)
    return select(literal_column("'deliver'"), *counts).select_from(models.Delivery).where(pending)


def _counts(due_at: Any, held: Any, now: datetime) -> tuple[Any, ...]:
    due = and_(not_(held), due_at <= now)
    later = and_(not_(held), due_at > now)
    return _count(due), _count(later), _count(held), func.min(case((due, due_at)))


def _count(condition: Any) -> Any:
    return func.coalesce(func.sum(case((condition, 1), else_=0)), 0)
