"""Statements of the room `webhooks`: endpoints, and the outbox of their deliveries."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    RowMapping,
    Select,
    delete,
    exists,
    func,
    insert,
    literal_column,
    or_,
    select,
    update,
)

from worker.reasons import Reason
from worker.store import models, tallies
from worker.store.claims import Claim, finish
from worker.store.dialects import insert_new
from worker.store.sessions import read_now, reading, writing
from worker.webhooks import AttemptOutcome, Delivery, Endpoint, Event, wants

_PENDING: ColumnElement[bool] = literal_column("deliveries.state = 'pending'")


def add(
    engine: Engine,
    name: str,
    url: str,
    secret: str,
    *,
    event_types: Collection[str],
    allow_private: bool = False,
    allow_http: bool = False,
) -> bool:
    """Add an endpoint; False when the name is taken."""
    with writing(engine) as connection:
        now = read_now(connection)
        statement = insert_new(connection, models.Endpoint).values(
            name=name,
            url=url,
            secret=secret,
            event_types=list(event_types),
            allow_private=allow_private,
            allow_http=allow_http,
            due_at=now,
            created_at=now,
        )
        added = connection.execute(statement.returning(models.Endpoint.id)).first()
        return added is not None


def listing(engine: Engine) -> list[dict[str, Any]]:
    """All endpoints with their counts of deliveries by state; without their secrets."""
    with reading(engine) as connection:
        endpoints = (
            connection.execute(select(models.Endpoint.__table__).order_by(models.Endpoint.id))
            .mappings()
            .all()
        )
        counts = connection.execute(
            select(models.Delivery.endpoint_id, models.Delivery.state, func.count()).group_by(
                models.Delivery.endpoint_id, models.Delivery.state
            )
        ).all()
    return [
        {key: value for key, value in row.items() if key not in {"secret", "lease_token"}}
        | {"deliveries": {state: n for endpoint, state, n in counts if endpoint == row["id"]}}
        for row in endpoints
    ]


def find(engine: Engine, asked: str) -> dict[str, Any] | None:
    """The endpoint with this name or number, its secret included; None when there is none."""
    endpoint = models.Endpoint
    wanted = or_(endpoint.name == asked, endpoint.id == models.as_id(asked))
    # A name wins over a number: an endpoint may be called 7.
    statement = select(endpoint.__table__).where(wanted).order_by(endpoint.name != asked)
    with reading(engine) as connection:
        row = connection.execute(statement).mappings().first()
    return dict(row) if row else None


def remove(engine: Engine, endpoint_id: int) -> None:
    """Tell an endpoint nothing any more, and forget what it was told."""
    with writing(engine) as connection:
        mine = models.Delivery.endpoint_id == endpoint_id
        deliveries = select(models.Delivery.id).where(mine)
        connection.execute(delete(models.Attempt).where(models.Attempt.delivery_id.in_(deliveries)))
        connection.execute(delete(models.Delivery).where(mine))
        connection.execute(delete(models.Endpoint).where(models.Endpoint.id == endpoint_id))


def deliveries(
    engine: Engine, limit: int, endpoint: str | None = None, state: str | None = None
) -> list[dict[str, Any]]:
    """The newest deliveries, newest first, with the names of endpoint and event."""
    statement = _deliveries().order_by(models.Delivery.id.desc()).limit(limit)
    if endpoint:
        statement = statement.where(models.Endpoint.name == endpoint)
    if state:
        statement = statement.where(models.Delivery.state == state)
    with reading(engine) as connection:
        return [dict(row) for row in connection.execute(statement).mappings()]


def delivery(
    engine: Engine, delivery_id: int
) -> tuple[dict[str, Any], list[dict[str, Any]]] | None:
    """A delivery and its attempts, in order; None when there is none."""
    attempts = (
        select(models.Attempt.__table__)
        .where(models.Attempt.delivery_id == delivery_id)
        .order_by(models.Attempt.number)
    )
    with reading(engine) as connection:
        one = _deliveries().where(models.Delivery.id == delivery_id)
        row = connection.execute(one).mappings().first()
        rows = connection.execute(attempts).mappings().all()
    return (dict(row), [dict(attempt) for attempt in rows]) if row else None


def _deliveries() -> Select[Any]:
    return (
        select(
            models.Delivery.__table__,
            models.Endpoint.name.label("endpoint"),
            models.Event.type,
            models.Event.webhook_id,
            models.Event.story_id,
        )
        .join(models.Endpoint, models.Endpoint.id == models.Delivery.endpoint_id)
        .join(models.Event, models.Event.id == models.Delivery.event_id)
    )


def listeners(connection: Connection) -> Sequence[RowMapping]:
    """All endpoints with what they subscribed to; held as far as the deliveries to come will hold
    them: one that is being removed is waited for.
    """
    statement = select(
        models.Endpoint.id, models.Endpoint.state, models.Endpoint.event_types
    ).with_for_update(read=True, key_share=True)
    return connection.execute(statement).mappings().all()


def tell(
    connection: Connection,
    event: Event,
    listeners: Sequence[RowMapping],
    story_id: int | None = None,
) -> bool:
    """Put an event into the outbox with a delivery to each listener that subscribed to its type.

    Returns whether it is new: the same event is told once, however often this is called.
    """
    statement = insert_new(connection, models.Event).values(
        event_key=event.event_key,
        webhook_id=event.webhook_id,
        type=event.type,
        story_id=story_id,
        body=event.body,
        occurred_at=event.occurred_at,
    )
    event_id = connection.execute(statement.returning(models.Event.id)).scalar()
    rows = [
        {
            "event_id": event_id,
            "endpoint_id": endpoint["id"],
            "state": "held" if endpoint["state"] == "disabled" else "pending",
            "reason": Reason.ENDPOINT_DISABLED if endpoint["state"] == "disabled" else None,
            "due_at": event.occurred_at,
            "created_at": event.occurred_at,
        }
        for endpoint in listeners
        if wants(endpoint["event_types"], event.type)
    ]
    if event_id is not None and rows:
        connection.execute(insert_new(connection, models.Delivery), rows)
    return event_id is not None


def known(row: RowMapping | Mapping[str, Any]) -> Endpoint:
    """A row as the room knows it."""
    return Endpoint(
        id=row["id"],
        name=row["name"],
        url=row["url"],
        secret=row["secret"],
        allow_private=row["allow_private"],
        allow_http=row["allow_http"],
    )


def begin(
    engine: Engine, claim: Claim, endpoint_id: int, limit: int, now: datetime | None = None
) -> tuple[list[Delivery], datetime]:
    """Begin attempts for up to `limit` due deliveries of a leased endpoint; with the store's time.

    Each attempt is on record before it is sent. Until its outcome is known the delivery is due
    again when the lease ends: whoever dies between sending and recording repeats it, with the same
    id and bytes. Nothing begins when the lease was lost meanwhile.
    """
    with writing(engine) as connection:
        now = now or read_now(connection)
        picked = (
            select(models.Delivery.id)
            .where(
                models.Delivery.endpoint_id == endpoint_id,
                _PENDING,
                models.Delivery.due_at <= now,
                exists().where(
                    models.Endpoint.id == endpoint_id, models.Endpoint.lease_token == claim.token
                ),
            )
            .order_by(models.Delivery.due_at, models.Delivery.id)
            .limit(limit)
        )
        statement = (
            update(models.Delivery)
            .where(models.Delivery.id.in_(picked))
            .values(attempts=models.Delivery.attempts + 1, due_at=claim.now + claim.lease)
            .returning(models.Delivery.id, models.Delivery.event_id, models.Delivery.attempts)
        )
        begun = connection.execute(statement).all()
        if not begun:
            return [], now
        connection.execute(
            insert(models.Attempt),
            [
                {"delivery_id": delivery_id, "number": number, "started_at": now}
                for delivery_id, _, number in begun
            ],
        )
        events = connection.execute(
            select(models.Event.id, models.Event.webhook_id, models.Event.body).where(
                models.Event.id.in_({event_id for _, event_id, _ in begun})
            )
        ).mappings()
        by_id = {event["id"]: event for event in events}
    return [
        Delivery(delivery_id, by_id[event_id]["webhook_id"], by_id[event_id]["body"], number)
        for delivery_id, event_id, number in sorted(begun)
    ], now


def record(
    engine: Engine,
    endpoint_id: int,
    outcomes: Sequence[AttemptOutcome],
    now: datetime | None = None,
) -> None:
    """Execute attempts' outcomes in one transaction.

    A late outcome counts only while its attempt is the delivery's last one, so that a stopped
    process that wakes up flips nothing. An endpoint that is gone (410) is disabled, and what is
    left for it is held.
    """
    with writing(engine) as connection:
        now = now or read_now(connection)
        for outcome in outcomes:
            connection.execute(
                update(models.Attempt)
                .where(
                    models.Attempt.delivery_id == outcome.delivery_id,
                    models.Attempt.number == outcome.attempt,
                )
                .values(
                    ended_at=now,
                    outcome="failed" if outcome.reason else "sent",
                    status=outcome.status,
                    reason=outcome.reason,
                    detail=outcome.detail or None,
                    excerpt=outcome.excerpt or None,
                )
            )
            connection.execute(
                update(models.Delivery)
                .where(
                    models.Delivery.id == outcome.delivery_id,
                    models.Delivery.attempts == outcome.attempt,
                    _PENDING,
                )
                .values(
                    state=outcome.state,
                    reason=outcome.reason,
                    due_at=outcome.due_at or now,
                    ended_at=None if outcome.state == "pending" else now,
                )
            )
        tallies.add(connection, "deliver", now, [(o.state, o.reason) for o in outcomes])
        if any(outcome.endpoint_gone for outcome in outcomes):
            connection.execute(
                update(models.Endpoint)
                .where(models.Endpoint.id == endpoint_id)
                .values(state="disabled", reason=Reason.GONE)
            )
            connection.execute(
                update(models.Delivery)
                .where(models.Delivery.endpoint_id == endpoint_id, _PENDING)
                .values(state="held", reason=Reason.ENDPOINT_DISABLED)
            )


def give_back(engine: Engine, claim: Claim, endpoint_id: int, now: datetime | None = None) -> bool:
    """Give a leased endpoint back; it is due again whenever one of its deliveries is.

    Returns whether one is already: whoever was woken for it found the endpoint leased.
    """
    with writing(engine) as connection:
        now = now or read_now(connection)
        # Behind those that have waited longer: a claim takes the oldest first.
        finish(connection, "deliver", endpoint_id, claim.token, {"due_at": now})
        due = exists().where(
            models.Delivery.endpoint_id == endpoint_id,
            _PENDING,
            models.Delivery.due_at <= now,
        )
        return bool(connection.execute(select(due)).scalar())


def set_aside(engine: Engine, claim: Claim, endpoint_id: int, until: datetime) -> None:
    """Give a leased endpoint back that took its process down, not to be tried before `until`."""
    with writing(engine) as connection:
        finish(connection, "deliver", endpoint_id, claim.token, {"due_at": until})
