"""Statements of the room `webhooks`: endpoints, and the outbox of their deliveries."""

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any, Literal
from urllib.parse import urlsplit

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    Row,
    RowMapping,
    Select,
    and_,
    bindparam,
    case,
    delete,
    exists,
    func,
    insert,
    literal_column,
    null,
    or_,
    select,
    true,
    update,
)

from worker.reasons import Reason
from worker.store import models, tallies
from worker.store.claims import Claim, finish
from worker.store.dialects import insert_new
from worker.store.sessions import read_now, reading, writing
from worker.webhooks import (
    AttemptOutcome,
    Delivery,
    Endpoint,
    EndpointFacts,
    Event,
    Health,
    OldSecret,
    Rate,
    Rules,
    Subject,
    Verdict,
    endpoint_disabled,
    judge,
    judge_sources,
    read_rules,
    store_rules,
    wants,
    with_reason,
)
from worker.webhooks.events import ENDPOINT_DISABLED

INTERNAL = ("secret", "old_secrets", "lease_token")  # of an endpoint: not to be shown
_ALL = Rules()
_ATTEMPTS = models.Base.metadata.tables[models.Attempt.__tablename__]
_DELIVERIES = models.Base.metadata.tables[models.Delivery.__tablename__]
_ENDPOINTS = models.Base.metadata.tables[models.Endpoint.__tablename__]
_EVENTS = models.Base.metadata.tables[models.Event.__tablename__]
_PENDING: ColumnElement[bool] = literal_column("deliveries.state = 'pending'")


def add(
    engine: Engine,
    name: str,
    url: str,
    secret: str,
    *,
    event_types: Collection[str],
    rules: Rules = _ALL,
    allow_private: bool = False,
    allow_http: bool = False,
    kind: Literal["webhook", "chat"] = "webhook",
    max_per_minute: int | None = None,
) -> bool:
    """Add an endpoint; False when the name is taken."""
    with writing(engine) as connection:
        now = read_now(connection)
        statement = insert_new(connection, models.Endpoint).values(
            name=name,
            url=url,
            secret=secret,
            event_types=list(event_types),
            rules=store_rules(rules),
            allow_private=allow_private,
            allow_http=allow_http,
            kind=kind,
            max_per_minute=max_per_minute,
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
        {key: value for key, value in row.items() if key not in INTERNAL}
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
        _locked(connection, [endpoint_id])
        connection.execute(delete(models.Attempt).where(models.Attempt.delivery_id.in_(deliveries)))
        connection.execute(delete(models.Delivery).where(mine))
        connection.execute(delete(models.Endpoint).where(models.Endpoint.id == endpoint_id))


def route(engine: Engine, endpoint_id: int, event_types: Collection[str], rules: Rules) -> None:
    """Tell an endpoint of other events and stories from now on."""
    with writing(engine) as connection:
        connection.execute(
            update(models.Endpoint)
            .where(models.Endpoint.id == endpoint_id)
            .values(event_types=list(event_types), rules=store_rules(rules))
        )


def limit(engine: Engine, endpoint_id: int, max_per_minute: int | None) -> None:
    """Send an endpoint no more than this in a minute; None: as much as there is."""
    with writing(engine) as connection:
        connection.execute(
            update(models.Endpoint)
            .where(models.Endpoint.id == endpoint_id)
            .values(max_per_minute=max_per_minute, rate_next_at=None)
        )


def pause(engine: Engine, endpoint_id: int) -> bool:
    """Send an active endpoint nothing until it is resumed; False when it was not active.

    What is in flight ends; what is told meanwhile waits.
    """
    statement = (
        update(models.Endpoint)
        .where(models.Endpoint.id == endpoint_id, models.Endpoint.state == "active")
        .values(state="paused")
    )
    with writing(engine) as connection:
        return connection.execute(statement).rowcount == 1


def resume(engine: Engine, endpoint_id: int, now: datetime | None = None) -> int:
    """Serve a paused, disabled or resting endpoint again, as one that never failed; how many
    deliveries were held and are due now.

    Each of those has its whole schedule of attempts before it again.
    """
    endpoint = models.Endpoint
    with writing(engine) as connection:
        # As a whole, so that no teller who saw it disabled still holds a delivery back after this.
        connection.execute(select(endpoint.id).where(endpoint.id == endpoint_id).with_for_update())
        now = now or read_now(connection)
        connection.execute(
            update(endpoint)
            .where(endpoint.id == endpoint_id)
            .values(state="active", reason=None, due_at=now, **asdict(Health()))
        )
        held = update(models.Delivery).where(
            models.Delivery.endpoint_id == endpoint_id, models.Delivery.state == "held"
        )
        return connection.execute(held.values(_anew(now))).rowcount


def rotate(
    engine: Engine, endpoint_id: int, secret: str, grace: timedelta, now: datetime | None = None
) -> datetime:
    """Give an endpoint a new secret; the old ones sign beside it until the time returned."""
    endpoint = models.Endpoint
    with writing(engine) as connection:
        now = now or read_now(connection)
        row = connection.execute(
            select(endpoint.secret, endpoint.old_secrets)
            .where(endpoint.id == endpoint_id)
            .with_for_update()
        ).one()
        until = now + grace
        old = [one for one in row.old_secrets or () if datetime.fromisoformat(one["until"]) > now]
        if grace:
            old.append({"secret": row.secret, "until": until.isoformat()})
        connection.execute(
            update(endpoint)
            .where(endpoint.id == endpoint_id)
            .values(secret=secret, old_secrets=old or None)
        )
    return until


def reseal(engine: Engine, again: Callable[[str], str]) -> int:
    """Keep each endpoint's secrets as `again` makes them of what is kept; how many endpoints."""
    endpoint = models.Endpoint
    with writing(engine) as connection:
        rows = connection.execute(
            select(endpoint.id, endpoint.secret, endpoint.old_secrets)
            .order_by(endpoint.id)
            .with_for_update()
        ).all()
        for row in rows:
            old = [{**one, "secret": again(one["secret"])} for one in row.old_secrets or ()]
            connection.execute(
                update(endpoint)
                .where(endpoint.id == row.id)
                .values(secret=again(row.secret), old_secrets=old or None)
            )
    return len(rows)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which deliveries are meant: those for which all of this holds.

    `failed`: dead, held back, or waiting after an attempt that failed. `since` and `until` are how
    long ago they were made, at most and at least.
    """

    ids: Sequence[int] | None = None
    endpoint_id: int | None = None
    state: str | None = None
    failed: bool = False
    since: timedelta | None = None
    until: timedelta | None = None


def deliveries(engine: Engine, limit: int, wanted: Wanted) -> list[dict[str, Any]]:
    """The newest of these deliveries, newest first, with the names of endpoint and event."""
    with reading(engine) as connection:
        conditions = _conditions(wanted, read_now(connection))
        statement = _deliveries().where(*conditions).order_by(models.Delivery.id.desc())
        return [dict(row) for row in connection.execute(statement.limit(limit)).mappings()]


@dataclass(frozen=True, slots=True)
class Replayed:
    """The deliveries that are to be sent again; `held` are those whose endpoint is disabled."""

    due: Sequence[int]
    held: Sequence[int]


def replay(engine: Engine, wanted: Wanted, now: datetime | None = None) -> Replayed:
    """Send these deliveries again, with the ids and bytes that they have, in a schedule begun anew.

    What is in flight, or was when its sender died, is left alone: it goes on by itself.
    """
    delivery = models.Delivery
    disabled = exists().where(
        models.Endpoint.id == delivery.endpoint_id, models.Endpoint.state == "disabled"
    )
    with writing(engine) as connection:
        _lock_all(connection)
        now = now or read_now(connection)
        anew = _anew(now) | {
            "state": case((disabled, "held"), else_="pending"),
            "reason": case((disabled, Reason.ENDPOINT_DISABLED.value), else_=null()),
        }
        statement = (
            update(delivery)
            .where(*_conditions(wanted, now), ~_in_flight())
            .values(anew)
            .returning(delivery.id, delivery.state)
        )
        rows = sorted(connection.execute(statement).all())
    return Replayed(
        [row_id for row_id, state in rows if state == "pending"],
        [row_id for row_id, state in rows if state == "held"],
    )


def cancel(engine: Engine, wanted: Wanted, now: datetime | None = None) -> list[int]:
    """Never send these deliveries, as far as they are waiting or held; returns which.

    An attempt that is in flight reaches its receiver, but no other follows.
    """
    delivery = models.Delivery
    with writing(engine) as connection:
        _lock_all(connection)
        now = now or read_now(connection)
        statement = (
            update(delivery)
            .where(*_conditions(wanted, now), delivery.state.in_(("pending", "held")))
            .values(state="cancelled", reason=Reason.CANCELLED, ended_at=now)
            .returning(delivery.id)
        )
        cancelled = sorted(connection.execute(statement).scalars())
        ends = [("cancelled", Reason.CANCELLED)] * len(cancelled)
        tallies.add(connection, "deliver", now, ends)
    return cancelled


def count(engine: Engine, wanted: Wanted, *, to: Literal["replay", "cancel"]) -> int:
    """How many deliveries `replay` or `cancel` would change."""
    delivery = models.Delivery
    changed = ~_in_flight() if to == "replay" else delivery.state.in_(("pending", "held"))
    with reading(engine) as connection:
        conditions = _conditions(wanted, read_now(connection))
        statement = select(func.count()).select_from(delivery).where(*conditions, changed)
        return connection.execute(statement).scalar_one()


def _lock_all(connection: Connection) -> None:
    """Lock the endpoints before deliveries of theirs, as who sends them does, but not against
    whoever inserts some. So none is resumed meanwhile, and nobody waits in a circle.
    """
    endpoint = models.Endpoint
    connection.execute(
        select(endpoint.id).order_by(endpoint.id).with_for_update(key_share=True)
    ).all()


def _conditions(wanted: Wanted, now: datetime) -> list[ColumnElement[bool]]:
    delivery = models.Delivery
    conditions: list[ColumnElement[bool]] = []
    if wanted.ids is not None:
        conditions.append(delivery.id.in_(wanted.ids))
    if wanted.endpoint_id is not None:
        conditions.append(delivery.endpoint_id == wanted.endpoint_id)
    if wanted.state is not None:
        conditions.append(delivery.state == wanted.state)
    if wanted.failed:
        waiting = and_(delivery.state == "pending", delivery.reason.is_not(None))
        conditions.append(or_(delivery.state.in_(("dead", "held")), waiting))
    if wanted.since is not None:
        conditions.append(delivery.created_at >= now - wanted.since)
    if wanted.until is not None:
        conditions.append(delivery.created_at <= now - wanted.until)
    return conditions


def _in_flight() -> ColumnElement[bool]:
    delivery, attempt = models.Delivery, models.Attempt
    return and_(
        delivery.state == "pending",
        exists().where(
            attempt.delivery_id == delivery.id,
            attempt.number == delivery.attempts,
            attempt.outcome == "unknown",
        ),
    )


def _anew(now: datetime) -> dict[str, Any]:
    return {
        "state": "pending",
        "reason": None,
        "due_at": now,
        "ended_at": None,
        "earlier_attempts": models.Delivery.attempts,
    }


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
            *(column for column in models.Delivery.__table__.c if column.name != "body"),
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


def is_anybody_told(connection: Connection, event_type: str) -> bool:
    """Whether an endpoint subscribed to a type of events; what is for a paused one waits."""
    return any(
        wants(types, event_type)
        for types in connection.scalars(select(models.Endpoint.event_types))
    )


def rules(connection: Connection, event_type: str) -> dict[int, Rules]:
    """The rules of each endpoint that subscribed to a type of events, by its number."""
    endpoint = models.Endpoint
    rows = connection.execute(select(endpoint.id, endpoint.event_types, endpoint.rules)).all()
    return {row.id: read_rules(row.rules) for row in rows if wants(row.event_types, event_type)}


@dataclass(frozen=True, slots=True)
class Match:
    """A story that passes an endpoint's rules: what they say, and what it still waits for."""

    verdicts: Sequence[Verdict] = ()
    min_sources: int = 1


def matching(rules: Mapping[int, Rules], subject: Subject) -> dict[int, Match]:
    """The endpoints whose rules a story passes, `min_sources` aside."""
    judged = {endpoint_id: (one, judge(one, subject)) for endpoint_id, one in rules.items()}
    return {
        endpoint_id: Match(verdicts, one.min_sources)
        for endpoint_id, (one, verdicts) in judged.items()
        if all(verdict.passed for verdict in verdicts)
    }


def tell_story(
    connection: Connection,
    event: Event,
    listeners: Sequence[RowMapping],
    story_id: int,
    matches: Mapping[int, Match],
) -> None:
    """Put the event of a new story into the outbox, for those listeners whose rules it passes.

    Who wants to hear of it from several publishers waits until `tell_awaited`.
    """
    matched = [one for one in listeners if one["id"] in matches]
    at_once = [one for one in matched if matches[one["id"]].min_sources <= 1]
    verdicts = {one["id"]: matches[one["id"]].verdicts for one in at_once}
    bodies = {number: with_reason(event.body, said) for number, said in verdicts.items() if said}
    tell(connection, event, at_once, story_id, bodies)
    later = [
        {
            "story_id": story_id,
            "endpoint_id": one["id"],
            "min_sources": matches[one["id"]].min_sources,
            "verdicts": [asdict(verdict) for verdict in matches[one["id"]].verdicts],
        }
        for one in matched
        if one not in at_once and wants(one["event_types"], event.type)
    ]
    if later:
        connection.execute(insert_new(connection, models.Awaited), later)


def tell_update(
    connection: Connection,
    event: Event,
    listeners: Sequence[RowMapping],
    story_id: int,
    matches: Mapping[int, Match],
    sources: int,
) -> None:
    """Put the event of a changed story into the outbox, for those whose rules it passes now that
    so many publishers (`sources`) carry it.
    """
    said = {
        number: (*match.verdicts, *judge_sources(Rules(min_sources=match.min_sources), sources))
        for number, match in matches.items()
        if match.min_sources <= sources
    }
    bodies = {number: with_reason(event.body, rules) for number, rules in said.items() if rules}
    tell(connection, event, [one for one in listeners if one["id"] in said], story_id, bodies)


def tell_awaited(
    connection: Connection,
    event_key: str,
    listeners: Sequence[RowMapping],
    story_id: int,
    sources: Callable[[], int],
    now: datetime,
) -> None:
    """Tell of a story those who waited for as many `sources` (asked only if somebody waits)."""
    awaited = models.Awaited
    mine = awaited.story_id == story_id
    rows = connection.execute(select(awaited.__table__).where(mine)).mappings().all()
    if not rows:
        return
    told = connection.execute(
        select(models.Event.id, models.Event.body).where(models.Event.event_key == event_key)
    ).one()
    number = sources()
    ready = {row["endpoint_id"]: row for row in rows if row["min_sources"] <= number}
    bodies = {
        endpoint_id: with_reason(told.body, _said(row, number))
        for endpoint_id, row in ready.items()
    }
    ones = [one for one in listeners if one["id"] in ready]
    _enqueue(connection, told.id, ones, now, bodies)
    connection.execute(delete(awaited).where(mine, awaited.endpoint_id.in_(ready)))


def _said(row: RowMapping, sources: int) -> list[Verdict]:
    before = [
        Verdict(one["rule"], tuple(one["wanted"]), tuple(one["found"]), one["passed"])
        for one in row["verdicts"]
    ]
    return [*before, *judge_sources(Rules(min_sources=row["min_sources"]), sources)]


def stop_waiting(engine: Engine, age: timedelta, now: datetime | None = None) -> int:
    """Forget who waits for more publishers of stories that were opened that long ago; how many."""
    awaited, story = models.Awaited, models.Story
    with writing(engine) as connection:
        before = (now or read_now(connection)) - age
        is_old = exists().where(story.id == awaited.story_id, story.opened_at < before)
        return connection.execute(delete(awaited).where(is_old)).rowcount


def tell(
    connection: Connection,
    event: Event,
    listeners: Sequence[RowMapping],
    story_id: int | None = None,
    bodies: Mapping[int, bytes] = MappingProxyType({}),
) -> bool:
    """Put an event into the outbox with a delivery to each listener that subscribed to its type.

    `bodies` are what some of them (by number) are sent in place of the event's own. Returns whether
    it is new: the same event is told once, however often this is called.
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
    if event_id is not None:
        told = [one for one in listeners if wants(one["event_types"], event.type)]
        _enqueue(connection, event_id, told, event.occurred_at, bodies)
    return event_id is not None


def _enqueue(
    connection: Connection,
    event_id: int,
    endpoints: Sequence[RowMapping],
    now: datetime,
    bodies: Mapping[int, bytes],
) -> None:
    rows = [
        {
            "event_id": event_id,
            "endpoint_id": endpoint["id"],
            "body": bodies.get(endpoint["id"]),
            "state": "held" if endpoint["state"] == "disabled" else "pending",
            "reason": Reason.ENDPOINT_DISABLED if endpoint["state"] == "disabled" else None,
            "due_at": now,
            "created_at": now,
        }
        for endpoint in endpoints
    ]
    if rows:
        connection.execute(insert_new(connection, models.Delivery), rows)


def known(row: RowMapping | Mapping[str, Any]) -> Endpoint:
    """A row as the room knows it."""
    return Endpoint(
        id=row["id"],
        name=row["name"],
        url=row["url"],
        secret=row["secret"],
        allow_private=row["allow_private"],
        allow_http=row["allow_http"],
        old_secrets=tuple(
            OldSecret(one["secret"], datetime.fromisoformat(one["until"]))
            for one in row["old_secrets"] or ()
        ),
        kind=row["kind"],
    )


@dataclass(frozen=True, slots=True)
class Round:
    """What an endpoint's attempts, made side by side, came to; and how many may begin next."""

    outcomes: Sequence[AttemptOutcome]
    limit: int


@dataclass(frozen=True, slots=True)
class Begun:
    """Attempts that were begun at `now`, by endpoint. `is_due`: something waits already for one of
    the endpoints that were given back, and whoever was woken for it found the endpoint leased.
    """

    deliveries: Mapping[int, Sequence[Delivery]]
    now: datetime
    is_due: bool


def next_rounds(
    engine: Engine, claim: Claim, rounds: Mapping[int, Round], now: datetime | None = None
) -> Begun:
    """Record what came of these leased endpoints' rounds and begin their next ones, all in one
    transaction; an endpoint that has none is given back.
    """
    with writing(engine) as connection:
        now = now or read_now(connection)
        record(connection, {key: one.outcomes for key, one in rounds.items()}, now)
        begun = begin(connection, claim, {key: one.limit for key, one in rounds.items()}, now)
        done = [endpoint_id for endpoint_id in rounds if endpoint_id not in begun]
        return Begun(begun, now, bool(done) and give_back(connection, claim, done, now))


def begin(
    connection: Connection, claim: Claim, limits: Mapping[int, int], now: datetime
) -> dict[int, list[Delivery]]:
    """Begin attempts for due deliveries of leased endpoints, for each up to its limit; returns them
    by endpoint, those left out for which nothing begins.

    Each attempt is on record before it is sent. Until its outcome is known the delivery is due
    again when the lease ends: whoever dies between sending and recording repeats it, with the same
    id and bytes. Nothing begins when the lease was lost or the endpoint paused meanwhile, while the
    endpoint rests, or above its rate.
    """
    free = {
        endpoint["id"]: endpoint
        for endpoint in _locked(connection, [key for key, limit in limits.items() if limit])
        if (endpoint["lease_token"], endpoint["state"]) == (claim.token, "active")
    }
    most = {key: _most(endpoint, limits[key], now) for key, endpoint in free.items()}
    picked = _pick(connection, {key: number for key, number in most.items() if number}, now)
    if not picked:
        return {}
    connection.execute(
        update(_DELIVERIES)
        .where(_DELIVERIES.c.id.in_([row.id for row in picked]))
        .values(attempts=_DELIVERIES.c.attempts + 1, due_at=claim.now + claim.lease)
    )
    connection.execute(
        insert(_ATTEMPTS),
        [{"delivery_id": row.id, "number": row.attempts + 1, "started_at": now} for row in picked],
    )
    begun: dict[int, list[Delivery]] = {}
    for row in picked:
        body = row.body if row.own is None else row.own
        begun.setdefault(row.endpoint_id, []).append(
            Delivery(row.id, row.webhook_id, body, row.attempts + 1, row.earlier_attempts)
        )
    for endpoint_id, mine in begun.items():
        if rate := _rate(free[endpoint_id]):
            connection.execute(
                update(models.Endpoint)
                .where(models.Endpoint.id == endpoint_id)
                .values(rate_next_at=rate.after(len(mine), now).next_at)
            )
    return begun


def _most(endpoint: RowMapping, limit: int, now: datetime) -> int:
    rate = _rate(endpoint)
    most = _health(endpoint).most(limit, now)
    return rate.most(most, now) if rate else most


def _pick(
    connection: Connection, most: Mapping[int, int], now: datetime
) -> Sequence[Row[*tuple[Any, ...]]]:
    """The oldest due deliveries of locked endpoints, of each no more than its number."""
    if connection.dialect.name == "sqlite":  # where a statement costs no round trip
        return [
            row
            for endpoint_id, number in most.items()
            for row in connection.execute(
                _DUE, {"endpoint_id": endpoint_id, "now": now, "most": number}
            )
        ]
    largest = max(most.values(), default=0)
    which = {"endpoint_ids": list(most), "now": now, "most": largest}
    rows = connection.execute(_DUE_OF_EACH, which).all() if largest else []
    taken: Counter[int] = Counter()
    picked = []
    for row in rows:
        taken[row.endpoint_id] += 1
        if taken[row.endpoint_id] <= most[row.endpoint_id]:
            picked.append(row)
    return picked


def record(
    connection: Connection, outcomes: Mapping[int, Sequence[AttemptOutcome]], now: datetime
) -> None:
    """Execute attempts' outcomes, by endpoint.

    A late outcome counts only while its attempt is the delivery's last one, so that a stopped
    process that wakes up flips nothing. An endpoint that is gone (410), or has failed for too long,
    is disabled, and what is left for it is held; the others that subscribed to that are told.
    """
    every = [outcome for mine in outcomes.values() for outcome in mine]
    if not every:
        return
    endpoints = _locked(connection, outcomes)
    connection.execute(_ENDED_ATTEMPT, [_attempt_values(one, now) for one in every])
    connection.execute(_ENDED_DELIVERY, [_delivery_values(one, now) for one in every])
    tallies.add(connection, "deliver", now, [(one.state, one.reason) for one in every])
    for endpoint in endpoints:
        if mine := outcomes[endpoint["id"]]:
            _heed(connection, endpoint, mine, now)


def _due_of(endpoint_id: ColumnElement[int]) -> Select[*tuple[Any, ...]]:
    return (
        select(_DELIVERIES)
        .where(
            _DELIVERIES.c.endpoint_id == endpoint_id,
            _PENDING,
            _DELIVERIES.c.due_at <= bindparam("now"),
        )
        .order_by(_DELIVERIES.c.due_at, _DELIVERIES.c.id)
        .limit(bindparam("most"))
    )


def _with_events(due: Any, rows: Any) -> Select[*tuple[Any, ...]]:
    return (
        select(
            due.c.id,
            due.c.endpoint_id,
            due.c.attempts,
            due.c.earlier_attempts,
            due.c.body.label("own"),
            _EVENTS.c.webhook_id,
            _EVENTS.c.body,
        )
        .select_from(rows.join(_EVENTS, _EVENTS.c.id == due.c.event_id))
        .order_by(due.c.due_at, due.c.id)
    )


# Made once: they are executed for every few deliveries, and to make them takes as long.
_OF_ONE = _due_of(bindparam("endpoint_id")).subquery("due")
_DUE = _with_events(_OF_ONE, _OF_ONE)
_EACH = _ENDPOINTS.alias("each")
_OF_EACH = _due_of(_EACH.c.id).lateral("due")
_DUE_OF_EACH = _with_events(_OF_EACH, _EACH.join(_OF_EACH, true())).where(
    _EACH.c.id.in_(bindparam("endpoint_ids", expanding=True))
)
_ENDED_ATTEMPT = (
    update(_ATTEMPTS)
    .where(_ATTEMPTS.c.delivery_id == bindparam("of"), _ATTEMPTS.c.number == bindparam("which"))
    .values({name: bindparam(name) for name in (
        "ended_at", "duration_seconds", "outcome", "status", "reason", "detail", "excerpt",
    )})
)  # fmt: skip
_ENDED_DELIVERY = (
    update(_DELIVERIES)
    .where(
        _DELIVERIES.c.id == bindparam("which"),
        _DELIVERIES.c.attempts == bindparam("attempt"),
        _PENDING,
    )
    .values({name: bindparam(name) for name in ("state", "reason", "due_at", "ended_at")})
)


def _attempt_values(outcome: AttemptOutcome, now: datetime) -> dict[str, Any]:
    return {
        "of": outcome.delivery_id,
        "which": outcome.attempt,
        "ended_at": now,
        "duration_seconds": outcome.duration_seconds,
        "outcome": "failed" if outcome.reason else "sent",
        "status": outcome.status,
        "reason": outcome.reason,
        "detail": outcome.detail or None,
        "excerpt": outcome.excerpt or None,
    }


def _delivery_values(outcome: AttemptOutcome, now: datetime) -> dict[str, Any]:
    return {
        "which": outcome.delivery_id,
        "attempt": outcome.attempt,
        "state": outcome.state,
        "reason": outcome.reason,
        "due_at": outcome.due_at or now,
        "ended_at": None if outcome.state == "pending" else now,
    }


def _locked(connection: Connection, endpoint_ids: Collection[int]) -> Sequence[RowMapping]:
    """The rows of endpoints, in order, locked before any of their deliveries is: `resume` does it
    in that order.

    Not against whoever inserts a delivery for them.
    """
    endpoint = models.Endpoint.__table__
    statement = select(endpoint).where(endpoint.c.id.in_(endpoint_ids)).order_by(endpoint.c.id)
    return connection.execute(statement.with_for_update(key_share=True)).mappings().all()


def _health(endpoint: RowMapping | Mapping[str, Any]) -> Health:
    return Health(**{field.name: endpoint[field.name] for field in fields(Health)})


def _rate(endpoint: RowMapping | Mapping[str, Any]) -> Rate | None:
    most = endpoint["max_per_minute"]
    return Rate(most, endpoint["rate_next_at"]) if most else None


def _heed(
    connection: Connection,
    endpoint: RowMapping,
    outcomes: Sequence[AttemptOutcome],
    now: datetime,
) -> None:
    """Keep what attempts say of their endpoint, and disable it if they say so."""
    before = _health(endpoint)
    health = before.after(outcomes, endpoint["id"], now)
    if health != before:
        values = asdict(health)
        connection.execute(
            update(models.Endpoint).where(models.Endpoint.id == endpoint["id"]).values(**values)
        )
    if gone := next((outcome for outcome in outcomes if outcome.endpoint_gone), None):
        _disable(connection, endpoint["id"], gone.reason or Reason.GONE, gone.detail, now)
    elif health.is_lost(now):
        _disable(connection, endpoint["id"], Reason.KEPT_FAILING, outcomes[-1].detail, now)


def _disable(
    connection: Connection, endpoint_id: int, reason: Reason, detail: str, now: datetime
) -> None:
    endpoint, delivery = models.Endpoint, models.Delivery
    disabled = connection.execute(
        update(endpoint)
        .where(endpoint.id == endpoint_id, endpoint.state != "disabled")
        .values(state="disabled", reason=reason)
        .returning(endpoint.name, endpoint.url, endpoint.kind)
    ).first()
    connection.execute(
        update(delivery)
        .where(delivery.endpoint_id == endpoint_id, _PENDING)
        .values(state="held", reason=Reason.ENDPOINT_DISABLED)
    )
    others = [one for one in listeners(connection) if one["id"] != endpoint_id]
    if disabled is None or not any(wants(o["event_types"], ENDPOINT_DISABLED) for o in others):
        return
    mine = select(func.count()).where(delivery.endpoint_id == endpoint_id, delivery.state == "held")
    facts = EndpointFacts(
        endpoint_id=endpoint_id,
        name=disabled.name,
        host=urlsplit(disabled.url).hostname if disabled.kind == "webhook" else None,
        reason=reason,
        detail=detail,
        held=connection.execute(mine).scalar_one(),
    )
    tell(connection, endpoint_disabled(facts, now), others)


def give_back(
    connection: Connection, claim: Claim, endpoint_ids: Collection[int], now: datetime
) -> bool:
    """Give leased endpoints back; each is due again whenever one of its deliveries is, though not
    while it rests, or before its rate lets something go. Returns whether one is already.
    """
    free: list[int] = []
    for endpoint in _locked(connection, endpoint_ids):
        # Behind those that have waited longer: a claim takes the oldest first.
        due_at = max(now, _free_at(endpoint) or now)
        finish(connection, "deliver", endpoint["id"], claim.token, {"due_at": due_at})
        free += [endpoint["id"]] if due_at == now else []
    due = exists().where(
        models.Delivery.endpoint_id.in_(free), _PENDING, models.Delivery.due_at <= now
    )
    return bool(free and connection.execute(select(due)).scalar())


def next_attempt_at(
    engine: Engine, endpoint: RowMapping | Mapping[str, Any], delivery_id: int | None = None
) -> datetime | None:
    """When an active endpoint is sent something next (or this delivery), as far as that is known
    now; None when nothing waits for it.
    """
    delivery = models.Delivery
    first = select(func.min(delivery.due_at)).where(
        delivery.endpoint_id == endpoint["id"],
        _PENDING,
        true() if delivery_id is None else delivery.id == delivery_id,
    )
    with reading(engine) as connection:
        due_at = connection.execute(first).scalar()
    if due_at is None or endpoint["state"] != "active":
        return None
    return max(due_at, _free_at(endpoint) or due_at)


def _free_at(endpoint: RowMapping | Mapping[str, Any]) -> datetime | None:
    """When an endpoint has rested, and its rate lets something go; None when that is so already."""
    times = (endpoint["resting_until"], endpoint["rate_next_at"])
    return max((time for time in times if time), default=None)


def set_aside(engine: Engine, claim: Claim, endpoint_id: int, until: datetime) -> None:
    """Give a leased endpoint back that took its process down, not to be tried before `until`."""
    with writing(engine) as connection:
        finish(connection, "deliver", endpoint_id, claim.token, {"due_at": until})
