"""Claim, lease and fence: how many processes share one list of work (design, invariant 3).

A claim is one atomic statement that hands out rows under a new lease token. Whoever finishes a row
says which token it held: once the lease ran out and somebody else claimed the row, that matches
nothing and the late result is dropped. The token is what makes this correct; `SKIP LOCKED` only
keeps claimers out of each other's way.
"""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    RowMapping,
    Select,
    Table,
    Update,
    and_,
    case,
    exists,
    literal_column,
    or_,
    select,
    true,
    update,
)

from worker.settings import STAGES, Stage
from worker.store.models import Article, Base, Delivery, Endpoint, Feed, Story
from worker.store.sessions import read_now, reading, writing

MAX_EXPIRIES = 3

# Written out, not bound: a partial index serves only a query that names its condition.
_POLLED: ColumnElement[bool] = literal_column("feeds.state IN ('active', 'failing')")
_PENDING: ColumnElement[bool] = literal_column("deliveries.state = 'pending'")

# What is not read by whoever claims for these stages, and may be long (or there are many columns).
_NOT_NEEDED: dict[Stage, tuple[str, ...]] = {
    "poll": (
        "title", "title_given", "site_url", "language", "tags", "declared", "polled_at", "schedule",
        "created_at",
    ),
    "fetch": ("feed_entry", "text", "summary"),
    "process": ("text", "summary"),
    "translate": ("feed_entry", "text"),
    "publish": ("feed_entry", "text"),
}  # fmt: skip


@dataclass(frozen=True)
class Claim:
    """Rows held under one lease, without long columns that their stage does not read. `now` is the
    store's time of the claim.

    `full` says that there may be more to claim.
    """

    stage: Stage
    token: str
    now: datetime
    lease: timedelta
    rows: Sequence[RowMapping]
    full: bool

    @property
    def work_seconds(self) -> float:
        """How long work on the batch may take: half the lease, so that its results still count."""
        return self.lease.total_seconds() / 2


def claim(
    engine: Engine, stage: Stage, limit: int, lease: timedelta, now: datetime | None = None
) -> Claim | None:
    """Claim up to `limit` due rows of `stage`, oldest first; None when nothing is due.

    A row whose last lease ran out is claimed alone: if it is what killed its holder, it takes
    nothing else with it. `now` stands in for the store's clock, in tests.
    """
    with reading(engine) as connection:
        now = now or read_now(connection)
        following = connection.execute(_next(stage, now, limit)).all()
    if not following:
        return None
    expired = [row_id for row_id, lease_until in following if lease_until is not None]
    with writing(engine) as connection:
        token = secrets.token_hex(16)
        if expired and (rows := _take(connection, stage, 1, token, now, now + lease, expired)):
            return Claim(stage, token, now, lease, rows, full=True)
        if rows := _take(connection, stage, limit, token, now, now + lease):
            return Claim(stage, token, now, lease, rows, full=len(rows) == limit)
    return None


def claim_one(
    engine: Engine, stage: Stage, row_id: int, lease: timedelta, now: datetime | None = None
) -> Claim | None:
    """Claim this one row of `stage`, due or not; None when somebody holds it, or it is not there.

    `now` stands in for the store's clock, in tests.
    """
    table = _TABLES[stage]
    with writing(engine) as connection:
        now = now or read_now(connection)
        token = secrets.token_hex(16)
        statement = (
            update(table)
            .where(table.c.id == row_id, _is_free_anyhow(stage, now))
            .values(
                lease_token=token,
                lease_until=now + lease,
                attempts=table.c.attempts + 1,
                expiries=table.c.expiries + case((table.c.lease_until.is_(None), 0), else_=1),
            )
        )
        rows = connection.execute(statement.returning(*_needed(stage))).mappings().all()
    return Claim(stage, token, now, lease, rows, full=False) if rows else None


def due_stages(engine: Engine, now: datetime | None = None) -> list[Stage]:
    """The stages that have something due, in the order in which data flows; takes no lock."""
    with reading(engine) as connection:
        now = now or read_now(connection)
        due = connection.execute(select(*(_is_anything_due(stage, now) for stage in STAGES)))
        return [stage for stage, is_due in zip(STAGES, due.one(), strict=True) if is_due]


def finish(
    connection: Connection, stage: Stage, row_id: int, token: str, values: Mapping[str, Any]
) -> bool:
    """Write a row's outcome and give the row back; False when the lease was lost meanwhile.

    `values` are the outcome's columns; the counts of claims start anew unless they are among them.
    """
    return _give_back(connection, stage, row_id, token, {"attempts": 0, "expiries": 0, **values})


def release(
    connection: Connection,
    stage: Stage,
    row_id: int,
    token: str,
    due_at: datetime,
    *,
    counts: bool = True,
) -> bool:
    """Give a row back undone, due again at `due_at`; False when the lease was lost meanwhile.

    With `counts` off the claim was no attempt at all.
    """
    values: dict[str, Any] = {"due_at": due_at}
    if not counts:
        values["attempts"] = _TABLES[stage].c.attempts - 1
    return _give_back(connection, stage, row_id, token, values)


def _next(stage: Stage, now: datetime, limit: int) -> Select[int, datetime | None]:
    """The rows that are next, each with the end of the lease that ran out.

    What was held was the oldest then, so it still comes before what waits: there is no need to go
    over all that is due to find it, or to find that there is none.
    """
    table = _TABLES[stage]
    return (
        select(table.c.id, table.c.lease_until)
        .where(_is_ready(stage, now), _is_free_anyhow(stage, now))
        .order_by(table.c.due_at, table.c.id)
        .limit(limit)
    )


def _take(
    connection: Connection,
    stage: Stage,
    limit: int,
    token: str,
    now: datetime,
    lease_until: datetime,
    expired: Sequence[int] | None = None,
) -> Sequence[RowMapping]:
    """Take what is due and free; or of these rows, what has expired."""
    table = _TABLES[stage]
    is_free = _is_free(stage, now, expired=expired is not None)
    picked = (
        select(table.c.id)
        .where(_is_ready(stage, now), is_free, table.c.id.in_(expired) if expired else true())
        .order_by(table.c.due_at, table.c.id)
        .limit(limit)
    )
    statement = _update_picked(connection, table, picked).values(
        lease_token=token,
        lease_until=lease_until,
        attempts=table.c.attempts + 1,
        expiries=table.c.expiries + int(expired is not None),
    )
    rows = connection.execute(statement.returning(*_needed(stage))).mappings().all()
    return sorted(rows, key=lambda row: (row["due_at"], row["id"]))


def _needed(stage: Stage) -> list[ColumnElement[Any]]:
    return [c for c in _TABLES[stage].c if c.name not in _NOT_NEEDED.get(stage, ())]


def _update_picked(connection: Connection, table: Table, picked: Select[tuple[int]]) -> Update:
    if connection.dialect.name == "sqlite":
        return update(table).where(table.c.id.in_(picked))
    # Materialized, since a sub-select with SKIP LOCKED may be run again in a nested loop and then
    # hands out more than its LIMIT.
    # KEY SHARE, since whoever inserts a delivery holds its endpoint's row to that extent.
    locked = picked.with_for_update(skip_locked=True, key_share=True, of=table)
    rows = locked.cte("picked").prefix_with("MATERIALIZED")
    return update(table).where(table.c.id == rows.c.id)


def _give_back(
    connection: Connection, stage: Stage, row_id: int, token: str, values: Mapping[str, Any]
) -> bool:
    table = _TABLES[stage]
    statement = (
        update(table)
        .where(table.c.id == row_id, table.c.lease_token == token)
        .values(lease_token=None, lease_until=None, **values)
    )
    return connection.execute(statement).rowcount == 1


def _is_anything_due(stage: Stage, now: datetime) -> ColumnElement[Any]:
    is_due = _is_any_row_due(stage, now)
    if stage == "publish":  # by which stories that changed are told of too
        changed = select(_STORIES.c.id).where(_STORIES.c.update_due_at <= now)
        return or_(is_due, changed.exists())
    return is_due


def _is_any_row_due(stage: Stage, now: datetime) -> ColumnElement[bool]:
    table = _TABLES[stage]
    due = select(table.c.id).where(_is_ready(stage, now), _is_free_anyhow(stage, now))
    # In order, since for the first that comes PostgreSQL may read the table from its beginning.
    return due.order_by(table.c.due_at).limit(1).scalar_subquery().is_not(None)


def _is_free_anyhow(stage: Stage, now: datetime) -> ColumnElement[bool]:
    return or_(*(_is_free(stage, now, expired=expired) for expired in (False, True)))


def _is_free(stage: Stage, now: datetime, *, expired: bool) -> ColumnElement[bool]:
    lease_until = _TABLES[stage].c.lease_until
    return lease_until < now if expired else lease_until.is_(None)


def _is_ready(stage: Stage, now: datetime) -> ColumnElement[bool]:
    match stage:
        case "poll":
            return and_(_POLLED, _FEEDS.c.due_at <= now)
        case "deliver":
            something_due = exists().where(
                _DELIVERIES.c.endpoint_id == _ENDPOINTS.c.id, _PENDING, _DELIVERIES.c.due_at <= now
            )
            return and_(_ENDPOINTS.c.state == "active", _ENDPOINTS.c.due_at <= now, something_due)
        case _:
            return and_(_ARTICLES.c.stage == stage, _ARTICLES.c.due_at <= now)


def _table(model: type[Base]) -> Table:
    return Base.metadata.tables[model.__tablename__]


_FEEDS = _table(Feed)
_ARTICLES = _table(Article)
_ENDPOINTS = _table(Endpoint)
_DELIVERIES = _table(Delivery)
_STORIES = _table(Story)
_TABLES: dict[Stage, Table] = {
    "poll": _FEEDS,
    "fetch": _ARTICLES,
    "process": _ARTICLES,
    "translate": _ARTICLES,
    "publish": _ARTICLES,
    "deliver": _ENDPOINTS,
}
