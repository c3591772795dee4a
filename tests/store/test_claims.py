import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import Any

import pytest
from sqlalchemy import Engine, RowMapping, insert, select, update

from tests.conftest import MakeSettings
from tests.parallel import in_processes
from tests.store.rows import at_once
from worker.settings import STAGES, Settings, Stage
from worker.store import open_engine, polls
from worker.store.claims import (
    MAX_EXPIRIES,
    Claim,
    claim,
    claim_one,
    due_stages,
    finish,
    release,
)
from worker.store.models import Article, Delivery, Endpoint, Event, Feed
from worker.store.sessions import reading, writing
from worker.webhooks.events import test_ping as ping

PROCESSES = 8
NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)
LEASE = timedelta(seconds=60)
SECOND = timedelta(seconds=1)
PING = ping("desk", NOON).body
LATER = NOON + LEASE + SECOND


class TestProcesses:
    """Eight processes at once: no row twice, none forgotten, no `database is locked`."""

    def test_each_row_is_claimed_once(self, engine: Engine, store_settings: Settings) -> None:
        ids = add_articles(engine, 300, "process")
        done = in_processes(PROCESSES, drain, store_settings, "process", 4)
        assert sorted(chain(*done)) == ids
        assert stages_of_articles(engine) == {"done"}

    def test_each_expired_row_is_claimed_once_and_alone(
        self, engine: Engine, store_settings: Settings
    ) -> None:
        ids = add_articles(engine, 60, "process")
        expire(engine, ids)
        done = in_processes(PROCESSES, drain, store_settings, "process", 4)
        assert sorted(chain(*done)) == ids

    def test_each_endpoint_is_claimed_once(self, engine: Engine, store_settings: Settings) -> None:
        ids = [add_endpoint(engine, name=f"e{number}", due=[NOON]) for number in range(60)]
        done = in_processes(PROCESSES, drain, store_settings, "deliver", 4)
        assert sorted(chain(*done)) == ids

    def test_writers_in_many_stages_do_not_lock_each_other_out(
        self, engine: Engine, store_settings: Settings
    ) -> None:
        add_articles(engine, 60, "fetch")
        moved = in_processes(PROCESSES, walk, store_settings)
        assert sum(moved) == 60 * len(WALK)
        assert stages_of_articles(engine) == {"done"}


class TestClaim:
    def test_nothing_due_is_none(self, engine: Engine) -> None:
        add_articles(engine, 1, "process", due_at=NOON + SECOND)
        assert claim(engine, "process", 10, LEASE, NOON) is None
        assert claim(engine, "fetch", 10, LEASE, LATER) is None

    def test_oldest_first_and_no_more_than_asked_for(self, engine: Engine) -> None:
        minutes = list(range(7))
        random.Random(7).shuffle(minutes)
        for minute in minutes:
            add_articles(engine, 1, "process", due_at=NOON - timedelta(minutes=minute))
        add_articles(engine, 1, "process", due_at=NOON + SECOND)

        batches = [claimed(engine, 3), claimed(engine, 3), claimed(engine, 3)]
        assert [ages(batch) for batch in batches] == [[6, 5, 4], [3, 2, 1], [0]]
        assert [batch.full for batch in batches] == [True, True, False]
        assert claim(engine, "process", 3, LEASE, NOON) is None

    def test_a_row_comes_with_its_lease(self, engine: Engine) -> None:
        add_articles(engine, 1, "process")
        batch = claimed(engine)
        (row,) = batch.rows
        assert (row["lease_token"], row["lease_until"]) == (batch.token, NOON + LEASE)
        assert (row["attempts"], row["expiries"]) == (1, 0)
        assert batch.work_seconds == 30

    @pytest.mark.parametrize(
        ("stage", "left_out"),
        [
            ("fetch", {"feed_entry", "text", "summary"}),
            ("process", {"text", "summary"}),
            ("translate", {"feed_entry", "text"}),
            ("publish", {"feed_entry", "text"}),
        ],
    )
    def test_a_row_comes_without_what_its_stage_does_not_read(
        self, engine: Engine, stage: Stage, left_out: set[str]
    ) -> None:
        add_articles(engine, 1, stage)
        batch = claim(engine, stage, 1, LEASE, NOON)
        assert batch is not None
        (row,) = batch.rows
        assert set(Article.__table__.columns.keys()) - set(row) == left_out

    def test_a_feed_comes_without_what_no_poll_reads(self, engine: Engine) -> None:
        add_feed(engine, "active")
        batch = claim(engine, "poll", 1, LEASE, NOON)
        assert batch is not None
        left_out = set(Feed.__table__.columns.keys()) - set(batch.rows[0])
        assert {"title", "schedule", "tags"} <= left_out
        assert polls.known(batch.rows[0]).url == batch.rows[0]["url"]

    def test_what_expired_comes_when_it_is_among_the_oldest(self, engine: Engine) -> None:
        (late,) = add_articles(engine, 1, "process")
        expire(engine, [late])
        older = add_articles(engine, 3, "process", due_at=NOON - SECOND)
        batches = [claim(engine, "process", 2, LEASE, NOON + SECOND) for _ in range(3)]
        assert [ids_of(batch) for batch in batches if batch] == [older[:2], [late], older[2:]]

    def test_rows_that_another_is_claiming_are_passed_over(
        self, make_settings: MakeSettings, migrated_postgres_url: str
    ) -> None:
        engine = open_engine(make_settings(store={"url": migrated_postgres_url}))
        one, other = add_articles(engine, 2, "process")
        with writing(engine) as connection:  # as another process holds it between claim and commit
            connection.execute(select(Article.id).where(Article.id == one).with_for_update())
            assert ids_of(claimed(engine)) == [other]
            assert claim(engine, "process", 10, LEASE, NOON) is None
        assert ids_of(claimed(engine)) == [one]
        engine.dispose()

    def test_each_claim_has_a_token_of_its_own(self, engine: Engine) -> None:
        add_articles(engine, 2, "process")
        assert claimed(engine, 1).token != claimed(engine, 1).token

    def test_the_clock_is_the_stores(self, engine: Engine) -> None:
        now = datetime.now(UTC)
        add_articles(engine, 1, "process", due_at=now - timedelta(minutes=10))
        add_articles(engine, 1, "process", due_at=now + timedelta(minutes=10))
        batch = claim(engine, "process", 10, LEASE)
        assert batch is not None
        assert len(batch.rows) == 1
        assert abs(batch.now - now) < timedelta(minutes=5)

    @pytest.mark.parametrize(
        ("state", "is_claimed"),
        [("active", True), ("failing", True), ("paused", False), ("gone", False)],
    )
    def test_feeds_are_claimed_by_state(self, engine: Engine, state: str, is_claimed: bool) -> None:
        add_feed(engine, state)
        assert (claim(engine, "poll", 10, LEASE, NOON) is not None) == is_claimed

    @pytest.mark.parametrize(
        ("endpoint", "due", "is_claimed"),
        [
            ({}, [NOON], True),
            ({}, [NOON + SECOND, NOON], True),
            ({}, [NOON + SECOND], False),
            ({}, [], False),
            ({"due_at": NOON + SECOND}, [NOON], False),
            ({"state": "paused"}, [NOON], False),
            ({"state": "disabled"}, [NOON], False),
        ],
    )
    def test_endpoints_are_claimed_for_what_is_due(
        self, engine: Engine, endpoint: dict[str, Any], due: list[datetime], is_claimed: bool
    ) -> None:
        add_endpoint(engine, due=due, **endpoint)
        assert (claim(engine, "deliver", 10, LEASE, NOON) is not None) == is_claimed

    def test_a_delivery_that_ended_is_not_due(self, engine: Engine) -> None:
        add_endpoint(engine, due=[NOON], delivery_state="sent")
        assert claim(engine, "deliver", 10, LEASE, NOON) is None


class TestClaimOne:
    def test_a_row_that_is_not_due(self, engine: Engine) -> None:
        one, other = add_articles(engine, 2, "process", due_at=NOON + 60 * LEASE)
        batch = claim_one(engine, "process", one, LEASE, NOON)
        assert batch is not None
        assert (ids_of(batch), counts_of(batch), batch.full) == ([one], (1, 0), False)
        assert (batch.now, batch.lease) == (NOON, LEASE)
        assert row(engine, one)["lease_until"] == NOON + LEASE
        assert not {"text", "summary"} & set(batch.rows[0])
        with writing(engine) as connection:
            assert finish(connection, "process", one, batch.token, {"stage": "done"})
            assert not finish(connection, "process", other, batch.token, {"stage": "done"})

    def test_a_row_that_somebody_holds(self, engine: Engine) -> None:
        (row_id,) = add_articles(engine, 1, "process")
        claimed(engine)
        before = row(engine, row_id)
        assert claim_one(engine, "process", row_id, LEASE, NOON + LEASE) is None
        assert row(engine, row_id) == before

    def test_a_row_whose_lease_ran_out(self, engine: Engine) -> None:
        (row_id,) = add_articles(engine, 1, "process")
        late = claimed(engine)
        batch = claim_one(engine, "process", row_id, LEASE, LATER)
        assert batch is not None
        assert (counts_of(batch), batch.token == late.token) == ((2, 1), False)

    def test_a_row_that_is_not_there(self, engine: Engine) -> None:
        assert claim_one(engine, "process", 5, LEASE, NOON) is None

    def test_one_of_many_gets_it(self, engine: Engine) -> None:
        (row_id,) = add_articles(engine, 1, "process")
        held = at_once(*[lambda: claim_one(engine, "process", row_id, LEASE)] * 4)
        assert len([batch for batch in held if batch]) == 1


class TestExpiry:
    def test_a_held_row_is_nobody_elses(self, engine: Engine) -> None:
        add_articles(engine, 1, "process")
        claimed(engine)
        assert claim(engine, "process", 10, LEASE, NOON + LEASE) is None

    def test_a_row_whose_lease_ran_out_is_claimed_alone(self, engine: Engine) -> None:
        poison, *others = add_articles(engine, 3, "process")
        (row,) = claimed(engine, 1).rows
        assert row["id"] == poison

        again = claimed(engine, 10, LATER)
        assert ids_of(again) == [poison]
        assert again.full  # so that the others are not left waiting
        assert ids_of(claimed(engine, 10, LATER)) == others

    def test_a_whole_batch_that_expired_is_claimed_one_by_one(self, engine: Engine) -> None:
        ids = add_articles(engine, 3, "process")
        claimed(engine, 10)
        assert [ids_of(claimed(engine, 10, LATER)) for _ in ids] == [[row_id] for row_id in ids]
        assert claim(engine, "process", 10, LEASE, LATER) is None

    def test_expiries_are_counted(self, engine: Engine) -> None:
        add_articles(engine, 1, "process")
        counts = [counts_of(claimed(engine, 10, NOON + n * 2 * LEASE)) for n in range(4)]
        assert counts == [(1, 0), (2, 1), (3, 2), (4, MAX_EXPIRIES)]


class TestFence:
    def test_a_late_holder_changes_nothing(self, engine: Engine) -> None:
        (row_id,) = add_articles(engine, 1, "process")
        late = claimed(engine)
        holder = claimed(engine, 10, LATER)
        before = row(engine, row_id)

        with writing(engine) as connection:
            assert not finish(connection, "process", row_id, late.token, {"stage": "done"})
            assert not release(connection, "process", row_id, late.token, NOON)
        assert row(engine, row_id) == before

        with writing(engine) as connection:
            assert finish(connection, "process", row_id, holder.token, {"stage": "translate"})
            assert not finish(connection, "process", row_id, holder.token, {"stage": "done"})
        assert row(engine, row_id)["stage"] == "translate"

    def test_a_late_holder_still_counts_while_nobody_else_claimed(self, engine: Engine) -> None:
        (row_id,) = add_articles(engine, 1, "process")
        holder = claimed(engine)
        assert due_stages(engine, LATER) == ["process"]
        with writing(engine) as connection:
            assert finish(connection, "process", row_id, holder.token, {"stage": "done"})

    def test_a_token_opens_its_own_rows_only(self, engine: Engine) -> None:
        one, other = add_articles(engine, 2, "process")
        first, _second = claimed(engine, 1), claimed(engine, 1)
        with writing(engine) as connection:
            assert not finish(connection, "process", other, first.token, {"stage": "done"})
            assert finish(connection, "process", one, first.token, {"stage": "done"})


class TestGivingBack:
    def test_finish_starts_the_counts_anew(self, engine: Engine) -> None:
        (row_id,) = add_articles(engine, 1, "process")
        claimed(engine)
        holder = claimed(engine, 10, LATER)
        with writing(engine) as connection:
            finish(connection, "process", row_id, holder.token, {"stage": "publish"})
        found = row(engine, row_id)
        assert (found["stage"], found["attempts"], found["expiries"]) == ("publish", 0, 0)
        assert (found["lease_token"], found["lease_until"]) == (None, None)

    def test_finish_keeps_counts_that_the_outcome_names(self, engine: Engine) -> None:
        (row_id,) = add_articles(engine, 1, "fetch")
        holder = claimed(engine, stage="fetch")
        with writing(engine) as connection:
            finish(connection, "fetch", row_id, holder.token, {"attempts": 1, "due_at": LATER})
        assert (row(engine, row_id)["attempts"], row(engine, row_id)["due_at"]) == (1, LATER)

    def test_a_released_row_waits_and_keeps_its_counts(self, engine: Engine) -> None:
        (row_id,) = add_articles(engine, 1, "process")
        holder = claimed(engine)
        with writing(engine) as connection:
            assert release(connection, "process", row_id, holder.token, LATER)
        assert claim(engine, "process", 10, LEASE, LATER - SECOND) is None
        again = claimed(engine, 10, LATER)
        assert (ids_of(again), counts_of(again)) == ([row_id], (2, 0))

    def test_a_claim_that_was_no_attempt_is_not_counted(self, engine: Engine) -> None:
        (row_id,) = add_articles(engine, 1, "process")
        holder = claimed(engine)
        with writing(engine) as connection:
            assert release(connection, "process", row_id, holder.token, LATER, counts=False)
        again = claimed(engine, 10, LATER)
        assert (ids_of(again), counts_of(again)) == ([row_id], (1, 0))


class TestDueStages:
    def test_nothing_is_due(self, engine: Engine) -> None:
        add_articles(engine, 1, "publish", due_at=NOON + SECOND)
        assert due_stages(engine, NOON) == []

    def test_stages_are_listed_as_data_flows(self, engine: Engine) -> None:
        add_endpoint(engine, due=[NOON])
        for stage in ("translate", "publish", "process", "fetch", "done"):
            add_articles(engine, 1, stage)
        add_feed(engine, "active")
        assert due_stages(engine, NOON) == list(STAGES)

    def test_a_held_row_is_due_when_its_lease_ran_out(self, engine: Engine) -> None:
        add_articles(engine, 1, "process")
        claimed(engine)
        assert due_stages(engine, NOON + LEASE) == []
        assert due_stages(engine, LATER) == ["process"]


WALK: tuple[Stage, ...] = ("fetch", "process", "translate", "publish")


def drain(settings: Settings, stage: Stage, limit: int) -> list[int]:
    """Claim and finish until nothing is left; runs in a process of its own."""
    engine = open_engine(settings)
    done: list[int] = []
    ended = {"stage": "done"} if stage != "deliver" else {"state": "paused"}
    while batch := claim(engine, stage, limit, LEASE):
        with writing(engine) as connection:
            for row_id in ids_of(batch):
                assert finish(connection, stage, row_id, batch.token, ended)
        done += ids_of(batch)
    return done


def walk(settings: Settings) -> int:
    """Move rows through all stages until nothing is left; returns how many moves that took."""
    engine = open_engine(settings)
    moved = 0
    for _ in range(10_000):
        with reading(engine) as connection:
            if not connection.execute(select(Article.id).where(Article.stage != "done")).first():
                return moved
        for stage in due_stages(engine):
            moved += move(engine, stage)
    raise AssertionError("no end of it")


def move(engine: Engine, stage: Stage) -> int:
    batch = claim(engine, stage, 5, LEASE)
    if batch is None:
        return 0
    following = dict(zip(WALK, (*WALK[1:], "done"), strict=True))[stage]
    with writing(engine) as connection:
        for row_id in ids_of(batch):
            assert finish(connection, stage, row_id, batch.token, {"stage": following})
    return len(batch.rows)


def claimed(
    engine: Engine, limit: int = 10, now: datetime = NOON, stage: Stage = "process"
) -> Claim:
    batch = claim(engine, stage, limit, LEASE, now)
    assert batch is not None, "nothing was due"
    return batch


def ids_of(batch: Claim) -> list[int]:
    return [row["id"] for row in batch.rows]


def ages(batch: Claim) -> list[float]:
    return [(NOON - row["due_at"]) / timedelta(minutes=1) for row in batch.rows]


def counts_of(batch: Claim) -> tuple[int, int]:
    (row,) = batch.rows
    return row["attempts"], row["expiries"]


def add_articles(engine: Engine, count: int, stage: str, due_at: datetime = NOON) -> list[int]:
    rows = [
        {
            "url_key": f"{random.getrandbits(128):032x}",
            "stage": stage,
            "due_at": due_at,
            "first_seen_at": NOON,
            "feed_entry": {},
            "degradations": [],
            "history": [],
        }
        for _ in range(count)
    ]
    with writing(engine) as connection:
        return sorted(connection.execute(insert(Article).returning(Article.id), rows).scalars())


def add_feed(engine: Engine, state: str) -> None:
    with writing(engine) as connection:
        feed = {"url": "https://example.org/feed", "created_at": NOON, "due_at": NOON}
        connection.execute(insert(Feed).values(state=state, **feed))


def add_endpoint(
    engine: Engine,
    *,
    due: Sequence[datetime],
    delivery_state: str = "pending",
    name: str = "desk",
    **values: Any,
) -> int:
    """An endpoint with one delivery for each time of `due`."""
    endpoint = {
        "name": name,
        "url": "https://example.org/hook",
        "secret": "",
        "event_types": [],
        "created_at": NOON,
        "due_at": NOON,
        **values,
    }
    with writing(engine) as connection:
        endpoint_id: int = connection.execute(
            insert(Endpoint).values(endpoint).returning(Endpoint.id)
        ).scalar_one()
        for number, due_at in enumerate(due):
            event = {"event_key": f"{name}-{number}", "webhook_id": f"msg_{name}_{number}"}
            event_id = connection.execute(
                insert(Event)
                .values(type="test.ping", body=PING, occurred_at=NOON, **event)
                .returning(Event.id)
            ).scalar_one()
            delivery = {"event_id": event_id, "endpoint_id": endpoint_id, "created_at": NOON}
            connection.execute(
                insert(Delivery).values(state=delivery_state, due_at=due_at, **delivery)
            )
    return endpoint_id


def expire(engine: Engine, ids: Sequence[int]) -> None:
    with writing(engine) as connection:
        held = {"lease_token": "gone", "lease_until": NOON}
        connection.execute(update(Article).where(Article.id.in_(ids)).values(held))


def stages_of_articles(engine: Engine) -> set[str]:
    with reading(engine) as connection:
        return set(connection.execute(select(Article.stage)).scalars())


def row(engine: Engine, row_id: int) -> RowMapping:
    with reading(engine) as connection:
        query = select(Article.__table__).where(Article.id == row_id)
        return connection.execute(query).mappings().one()
