import asyncio
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine

from tests.store import outbox
from tests.store.rows import (
    HOUR,
    LEASE,
    NOON,
    add_article,
    at_once,
    change,
    claimed,
    row,
    rows,
)
from tests.webhooks.schemas import check_body
from worker import webhooks as room
from worker.http import Client
from worker.reasons import Reason
from worker.settings import HttpSettings, WebhookSettings
from worker.store import stories, webhooks
from worker.store.claims import Claim, claim, due_stages
from worker.store.models import Attempt, Delivery, Endpoint, Event, Tally
from worker.store.webhooks import Round, Wanted
from worker.webhooks import AttemptOutcome
from worker.webhooks.events import EVENT_TYPES

SECRET = room.generate_secret()
SECOND = timedelta(seconds=1)


@pytest.fixture
def endpoint_id(engine: Engine) -> int:
    """An endpoint that existed before noon."""
    webhooks.add(engine, "desk", "https://desk.example/", SECRET, event_types=EVENT_TYPES)
    change(engine, Endpoint, due_at=NOON)
    found: int = row(engine, Endpoint)["id"]
    return found


def tell(engine: Engine, stories_count: int = 1) -> None:
    """Publish stories at noon."""
    for _ in range(stories_count):
        add_article(engine, "publish")
    stories.publish(engine, claimed(engine, "publish"))


def begin(
    engine: Engine, batch: Claim, endpoint_id: int, limit: int = 10, now: datetime = NOON
) -> Sequence[room.Delivery]:
    return outbox.begin(engine, batch, endpoint_id, limit, now)


def outcome(delivery: room.Delivery, state: Any, **values: Any) -> AttemptOutcome:
    made: dict[str, Any] = {
        "due_at": None,
        "status": 200,
        "reason": None,
        "detail": "",
        "excerpt": "",
    }
    return AttemptOutcome(delivery.id, delivery.attempt, state, **made | values)


def failed(delivery: room.Delivery, state: str = "pending", **values: Any) -> AttemptOutcome:
    made = {"due_at": NOON + HOUR, "status": 500, "reason": Reason.SERVER_ERROR, "detail": "500"}
    return outcome(delivery, state, **made | values)


class TestAdd:
    def test_an_endpoint_is_added_once(self, engine: Engine) -> None:
        options: dict[str, Any] = {"event_types": EVENT_TYPES, "allow_private": True}
        assert webhooks.add(engine, "desk", "https://desk.example/", SECRET, **options)
        assert not webhooks.add(engine, "desk", "https://other.example/", SECRET, **options)
        endpoint = row(engine, Endpoint)
        assert (endpoint["url"], endpoint["state"]) == ("https://desk.example/", "active")
        assert (endpoint["allow_private"], endpoint["allow_http"]) == (True, False)
        known = webhooks.known(endpoint)
        assert (known.id, known.secret, known.allow_private) == (endpoint["id"], SECRET, True)

    def test_a_listing_counts_deliveries_and_keeps_secrets(
        self, engine: Engine, endpoint_id: int
    ) -> None:
        tell(engine, 3)
        batch = claimed(engine, "deliver")
        first, second = begin(engine, batch, endpoint_id, 2)
        done = [outcome(first, "sent"), failed(second, "dead", due_at=None)]
        outbox.record(engine, endpoint_id, done, NOON)
        webhooks.add(engine, "idle", "https://idle.example/", SECRET, event_types=())
        desk, idle = webhooks.listing(engine)
        assert desk["deliveries"] == {"sent": 1, "dead": 1, "pending": 1}
        assert idle["deliveries"] == {}
        assert SECRET not in str(webhooks.listing(engine))
        assert batch.token not in str(desk)


class TestBegin:
    def test_an_attempt_is_on_record_before_it_is_sent(
        self, engine: Engine, endpoint_id: int
    ) -> None:
        tell(engine)
        (begun,) = begin(engine, claimed(engine, "deliver"), endpoint_id)
        told = row(engine, Event)
        assert (begun.webhook_id, begun.body) == (told["webhook_id"], told["body"])
        assert begun.attempt == 1
        attempt = row(engine, Attempt)
        assert (attempt["delivery_id"], attempt["number"]) == (begun.id, 1)
        assert (attempt["outcome"], attempt["started_at"], attempt["ended_at"]) == (
            "unknown",
            NOON,
            None,
        )

    def test_it_is_due_again_when_the_lease_ends(self, engine: Engine, endpoint_id: int) -> None:
        tell(engine)
        batch = claimed(engine, "deliver")
        (first,) = begin(engine, batch, endpoint_id)
        assert not begin(engine, batch, endpoint_id)
        delivery = row(engine, Delivery)
        assert (delivery["state"], delivery["attempts"]) == ("pending", 1)
        assert delivery["due_at"] == NOON + LEASE

        later = claimed(engine, "deliver", NOON + HOUR)
        (second,) = begin(engine, later, endpoint_id, now=NOON + HOUR)
        assert (second.id, second.webhook_id, second.body) == (
            first.id,
            first.webhook_id,
            first.body,
        )
        assert second.attempt == 2

    def test_the_oldest_first_and_no_more_than_asked_for(
        self, engine: Engine, endpoint_id: int
    ) -> None:
        tell(engine, 5)
        batch = claimed(engine, "deliver")
        taken = [[d.id for d in begin(engine, batch, endpoint_id, 2)] for _ in range(4)]
        ids = [delivery["id"] for delivery in rows(engine, Delivery)]
        assert taken == [ids[:2], ids[2:4], ids[4:], []]

    def test_only_the_endpoints_own(self, engine: Engine, endpoint_id: int) -> None:
        webhooks.add(engine, "night", "https://night.example/", SECRET, event_types=EVENT_TYPES)
        change(engine, Endpoint, due_at=NOON)
        tell(engine)
        batch = claimed(engine, "deliver")
        (begun,) = begin(engine, batch, endpoint_id)
        assert row(engine, Delivery, id=begun.id)["endpoint_id"] == endpoint_id

    def test_a_late_holder_begins_nothing(self, engine: Engine, endpoint_id: int) -> None:
        tell(engine)
        late = claimed(engine, "deliver")
        holder = claimed(engine, "deliver", NOON + HOUR)
        assert not begin(engine, late, endpoint_id, now=NOON + HOUR)
        assert rows(engine, Attempt) == []
        assert len(begin(engine, holder, endpoint_id, now=NOON + HOUR)) == 1

    def test_the_clock_is_the_stores(self, engine: Engine, endpoint_id: int) -> None:
        tell(engine)
        batch = claimed(engine, "deliver")
        begun = webhooks.next_rounds(engine, batch, {endpoint_id: Round((), 10)})
        assert len(begun.deliveries[endpoint_id]) == 1
        assert begun.now.utcoffset() is not None
        assert row(engine, Attempt)["started_at"] == begun.now

    def test_a_paused_endpoint_begins_nothing_more(self, engine: Engine, endpoint_id: int) -> None:
        tell(engine, 2)
        batch = claimed(engine, "deliver")
        (begun,) = begin(engine, batch, endpoint_id, 1)
        assert webhooks.pause(engine, endpoint_id)
        assert not begin(engine, batch, endpoint_id)
        outbox.record(engine, endpoint_id, [outcome(begun, "sent")], NOON)
        assert [one["state"] for one in rows(engine, Delivery)] == ["sent", "pending"]


class TestRecord:
    @pytest.fixture
    def batch(self, engine: Engine, endpoint_id: int) -> Claim:
        """A lease of the endpoint, for which three deliveries are due."""
        tell(engine, 3)
        return claimed(engine, "deliver")

    def test_each_delivery_goes_where_its_outcome_says(
        self, engine: Engine, endpoint_id: int, batch: Claim
    ) -> None:
        sent, pending, dead = begin(engine, batch, endpoint_id)
        outcomes = [
            outcome(sent, "sent", status=204, excerpt="thanks"),
            failed(pending),
            failed(dead, "dead", due_at=None),
        ]
        outbox.record(engine, endpoint_id, outcomes, NOON + LEASE / 2)

        found = [
            (d["state"], d["reason"], d["due_at"], d["ended_at"]) for d in rows(engine, Delivery)
        ]
        now = NOON + LEASE / 2
        assert found == [
            ("sent", None, now, now),
            ("pending", "server_error", NOON + HOUR, None),
            ("dead", "server_error", now, now),
        ]
        attempts = [
            (a["outcome"], a["status"], a["reason"], a["detail"], a["excerpt"], a["ended_at"])
            for a in rows(engine, Attempt)
        ]
        assert attempts == [
            ("sent", 204, None, None, "thanks", now),
            ("failed", 500, "server_error", "500", None, now),
            ("failed", 500, "server_error", "500", None, now),
        ]

    def test_the_late_outcome_of_an_old_attempt_flips_nothing(
        self, engine: Engine, endpoint_id: int, batch: Claim
    ) -> None:
        old, *_ = begin(engine, batch, endpoint_id)
        later = claimed(engine, "deliver", NOON + HOUR)
        new, *_ = begin(engine, later, endpoint_id, now=NOON + HOUR)
        assert (new.id, new.attempt) == (old.id, 2)

        outbox.record(engine, endpoint_id, [failed(old, "dead", due_at=None)], NOON + HOUR)
        assert row(engine, Delivery, id=old.id)["state"] == "pending"
        first, second = rows(engine, Attempt, delivery_id=old.id)
        assert (first["outcome"], second["outcome"]) == ("failed", "unknown")

        outbox.record(engine, endpoint_id, [outcome(new, "sent")], NOON + HOUR)
        outbox.record(engine, endpoint_id, [failed(new)], NOON + HOUR)
        assert row(engine, Delivery, id=old.id)["state"] == "sent"

    def test_an_endpoint_that_is_gone_is_disabled_and_its_deliveries_held(
        self, engine: Engine, endpoint_id: int, batch: Claim
    ) -> None:
        first, second, _ = begin(engine, batch, endpoint_id)
        gone = failed(
            second, "held", due_at=None, status=410, reason=Reason.GONE, endpoint_gone=True
        )
        outbox.record(engine, endpoint_id, [outcome(first, "sent"), gone], NOON)
        outbox.give_back(engine, batch, endpoint_id)

        endpoint = row(engine, Endpoint)
        assert (endpoint["state"], endpoint["reason"]) == ("disabled", "gone")
        assert [(d["state"], d["reason"]) for d in rows(engine, Delivery)] == [
            ("sent", None),
            ("held", "gone"),
            ("held", "endpoint_disabled"),
        ]
        assert claim(engine, "deliver", 10, LEASE, NOON + 2 * HOUR) is None

    def test_another_endpoint_stays_as_it_is(
        self, engine: Engine, endpoint_id: int, batch: Claim
    ) -> None:
        webhooks.add(
            engine, "night", "https://night.example/", SECRET, event_types=["story.created"]
        )
        tell(engine)
        gone = failed(begin(engine, batch, endpoint_id)[0], "held", endpoint_gone=True)
        outbox.record(engine, endpoint_id, [gone], NOON)
        night = row(engine, Endpoint, name="night")
        assert night["state"] == "active"
        assert row(engine, Delivery, endpoint_id=night["id"])["state"] == "pending"

    def test_the_others_are_told_of_it_once(
        self, engine: Engine, endpoint_id: int, batch: Claim
    ) -> None:
        change(engine, Endpoint, url="https://user:word@desk.example:8443/token")
        subscribed: dict[str, Any] = {"event_types": ["endpoint.disabled"]}
        webhooks.add(engine, "ops", "https://ops.example/", SECRET, **subscribed)
        first, second, _ = begin(engine, batch, endpoint_id)
        for one, at in ((first, NOON), (second, NOON + LEASE)):
            gone = failed(
                one, "held", due_at=None, reason=Reason.GONE, detail="410 Gone", endpoint_gone=True
            )
            outbox.record(engine, endpoint_id, [gone], at)
        event = row(engine, Event, type="endpoint.disabled")
        assert json.loads(event["body"])["data"] == {
            "endpoint": {
                "id": str(endpoint_id), "name": "desk", "host": "desk.example",
                "state": "disabled",
            },
            "reason": "gone",
            "detail": "410 Gone",
            "held": 3,
        }  # fmt: skip
        check_body(event["body"])
        told = row(engine, Delivery, event_id=event["id"])
        assert told["endpoint_id"] == row(engine, Endpoint, name="ops")["id"]
        assert told["state"] == "pending"

    def test_nobody_is_told_who_did_not_subscribe(
        self, engine: Engine, endpoint_id: int, batch: Claim
    ) -> None:
        gone = failed(begin(engine, batch, endpoint_id)[0], "held", endpoint_gone=True)
        outbox.record(engine, endpoint_id, [gone], NOON)
        assert rows(engine, Event, type="endpoint.disabled") == []

    def test_an_answer_that_a_database_has_no_place_for(
        self, engine: Engine, endpoint_id: int, batch: Claim
    ) -> None:
        begun, *_ = begin(engine, batch, endpoint_id)
        outbox.record(engine, endpoint_id, [outcome(begun, "sent", excerpt="o\0k")], NOON)
        assert row(engine, Delivery, id=begun.id)["state"] == "sent"
        assert row(engine, Attempt, delivery_id=begun.id)["excerpt"] == "o\ufffdk"

    def test_an_attempt_keeps_how_long_its_request_took(
        self, engine: Engine, endpoint_id: int, batch: Claim
    ) -> None:
        begun, *_ = begin(engine, batch, endpoint_id)
        done = outcome(begun, "sent", duration_seconds=0.25)
        outbox.record(engine, endpoint_id, [done], NOON + HOUR)
        attempt = row(engine, Attempt, delivery_id=begun.id)
        assert (attempt["duration_seconds"], attempt["ended_at"]) == (0.25, NOON + HOUR)


def leased_anew(engine: Engine, now: datetime) -> Claim:
    """A lease of the endpoint for somebody else; all that waits for it is due."""
    change(engine, Endpoint, lease_token=None, lease_until=None, due_at=now)
    change(engine, Delivery, due_at=NOON)
    return claimed(engine, "deliver", now)


def fail(
    engine: Engine, batch: Claim, endpoint_id: int, number: int, now: datetime, **values: Any
) -> None:
    """Let so many attempts fail at once."""
    begun = begin(engine, batch, endpoint_id, number, now)
    assert len(begun) == number
    outbox.record(engine, endpoint_id, [failed(one, **values) for one in begun], now)


class TestResting:
    def test_after_five_failures_nothing_begins_and_nothing_is_counted(
        self, engine: Engine, endpoint_id: int
    ) -> None:
        tell(engine, 9)
        batch = claimed(engine, "deliver")
        fail(engine, batch, endpoint_id, 5, NOON)
        before = rows(engine, Delivery)
        assert not begin(engine, batch, endpoint_id)
        assert not outbox.give_back(engine, batch, endpoint_id, NOON)
        endpoint = row(engine, Endpoint)
        rests_until = endpoint["resting_until"]
        assert endpoint["due_at"] == rests_until > NOON + 30 * SECOND
        assert (endpoint["failures"], endpoint["failing_at"], endpoint["rests"]) == (5, NOON, 1)
        assert claim(engine, "deliver", 10, LEASE, rests_until - SECOND) is None
        assert due_stages(engine, rests_until - SECOND) == []
        assert rows(engine, Delivery) == before, "neither attempts nor times have moved"

        assert due_stages(engine, rests_until) == ["deliver"]
        again = claimed(engine, "deliver", rests_until)
        assert len(begin(engine, again, endpoint_id, now=rests_until)) == 1, "to see if it answers"

    def test_a_new_lease_does_not_wake_it(self, engine: Engine, endpoint_id: int) -> None:
        """What is due is no word on whether it rests: its row may have been left as it was."""
        tell(engine, 6)
        fail(engine, claimed(engine, "deliver"), endpoint_id, 5, NOON)
        again = leased_anew(engine, NOON + 10 * SECOND)
        assert not begin(engine, again, endpoint_id, now=NOON + 10 * SECOND)

    def test_whoever_comes_there_is_one_to_see_if_it_answers(
        self, engine: Engine, endpoint_id: int
    ) -> None:
        tell(engine, 9)
        fail(engine, claimed(engine, "deliver"), endpoint_id, 5, NOON)
        at = NOON + HOUR
        change(engine, Endpoint, lease_token=None, lease_until=None)

        def come() -> int:
            batch = claim(engine, "deliver", 10, LEASE, at)
            return len(begin(engine, batch, endpoint_id, now=at)) if batch else 0

        assert sorted(at_once(*[come] * 4)) == [0, 0, 0, 1]

    def test_one_success_closes_it(self, engine: Engine, endpoint_id: int) -> None:
        tell(engine, 9)
        batch = claimed(engine, "deliver")
        fail(engine, batch, endpoint_id, 5, NOON)
        at = NOON + LEASE / 1.5
        (probe,) = begin(engine, batch, endpoint_id, now=at)
        outbox.record(engine, endpoint_id, [outcome(probe, "sent")], at)
        endpoint = row(engine, Endpoint)
        assert (endpoint["failures"], endpoint["failing_at"]) == (0, None)
        assert (endpoint["resting_until"], endpoint["rests"]) == (None, 0)
        assert len(begin(engine, batch, endpoint_id, now=at)) == 3
        assert outbox.give_back(engine, batch, endpoint_id, at) is False

    def test_what_it_asks_for_holds_for_all_of_its_deliveries(
        self, engine: Engine, endpoint_id: int
    ) -> None:
        webhooks.add(engine, "night", "https://night.example/", SECRET, event_types=EVENT_TYPES)
        change(engine, Endpoint, due_at=NOON)
        tell(engine, 3)
        batch = claimed(engine, "deliver")
        fail(engine, batch, endpoint_id, 1, NOON, status=429, rest=2 * HOUR)
        assert not begin(engine, batch, endpoint_id, now=NOON + 2 * HOUR - SECOND)
        night = row(engine, Endpoint, name="night")
        assert night["resting_until"] is None
        assert len(begin(engine, batch, night["id"])) == 3

    def test_it_is_served_at_once_when_resumed(self, engine: Engine, endpoint_id: int) -> None:
        tell(engine, 6)
        batch = claimed(engine, "deliver")
        fail(engine, batch, endpoint_id, 5, NOON)
        outbox.give_back(engine, batch, endpoint_id, NOON)
        assert webhooks.resume(engine, endpoint_id, NOON + SECOND) == 0
        batch = claimed(engine, "deliver", NOON + SECOND)
        assert len(begin(engine, batch, endpoint_id, now=NOON + SECOND)) == 1
        assert row(engine, Endpoint)["failures"] == 0

    def test_when_it_is_sent_something_next(self, engine: Engine, endpoint_id: int) -> None:
        def next_at(delivery_id: int | None = None) -> datetime | None:
            return webhooks.next_attempt_at(engine, row(engine, Endpoint), delivery_id)

        assert next_at() is None
        tell(engine, 6)
        assert next_at() == NOON
        fail(engine, claimed(engine, "deliver"), endpoint_id, 5, NOON)
        assert next_at() == row(engine, Endpoint)["resting_until"]
        first = rows(engine, Delivery)[0]["id"]
        assert next_at(first) == NOON + HOUR
        change(engine, Endpoint, state="paused")
        assert next_at() is None


class TestRate:
    @pytest.fixture(autouse=True)
    def _rate(self, engine: Engine, endpoint_id: int) -> None:
        webhooks.limit(engine, endpoint_id, 6)

    def test_what_is_above_it_waits_and_counts_no_attempt(
        self, engine: Engine, endpoint_id: int
    ) -> None:
        tell(engine, 3)
        batch = claimed(engine, "deliver")
        assert len(begin(engine, batch, endpoint_id)) == 1
        assert not begin(engine, batch, endpoint_id)
        assert [one["attempts"] for one in rows(engine, Delivery)] == [1, 0, 0]
        assert not outbox.give_back(engine, batch, endpoint_id, NOON)
        assert claim(engine, "deliver", 10, LEASE, NOON + 9 * SECOND) is None
        later = claimed(engine, "deliver", NOON + 10 * SECOND)
        assert len(begin(engine, later, endpoint_id, now=NOON + 10 * SECOND)) == 1

    def test_it_holds_for_whoever_has_the_lease(self, engine: Engine, endpoint_id: int) -> None:
        tell(engine, 100)
        times = []
        for second in range(0, 180, 3):
            now = NOON + second * SECOND
            batch = leased_anew(engine, now)
            times += [now] * len(begin(engine, batch, endpoint_id, 4, now))
        assert 15 <= len(times) <= 18
        for first in times:
            assert sum(first <= time < first + 60 * SECOND for time in times) <= 6

    def test_what_was_not_due_costs_nothing(self, engine: Engine, endpoint_id: int) -> None:
        webhooks.limit(engine, endpoint_id, 100)
        tell(engine, 4)
        batch = claimed(engine, "deliver")
        assert len(begin(engine, batch, endpoint_id, 10)) == 4
        tell(engine, 9)
        assert len(begin(engine, batch, endpoint_id, 10)) == 6, "a tenth at once, in all"

    def test_it_holds_side_by_side(self, engine: Engine, endpoint_id: int) -> None:
        tell(engine, 9)
        batch = claimed(engine, "deliver")
        begun = at_once(*[lambda: len(begin(engine, batch, endpoint_id))] * 4)
        assert sorted(begun) == [0, 0, 0, 1]

    def test_nothing_due_costs_nothing(self, engine: Engine, endpoint_id: int) -> None:
        tell(engine)
        batch = claimed(engine, "deliver")
        assert not begin(engine, batch, endpoint_id, now=NOON - SECOND)
        assert row(engine, Endpoint)["rate_next_at"] is None

    def test_without_one_all_goes(self, engine: Engine, endpoint_id: int) -> None:
        tell(engine, 9)
        batch = claimed(engine, "deliver")
        begin(engine, batch, endpoint_id)
        webhooks.limit(engine, endpoint_id, None)
        assert len(begin(engine, batch, endpoint_id)) == 8


class TestGivingUp:
    def test_after_120_hours_without_a_success(self, engine: Engine, endpoint_id: int) -> None:
        webhooks.add(
            engine, "ops", "https://ops.example/", SECRET, event_types=["endpoint.disabled"]
        )
        tell(engine, 2)
        lost_at = NOON + 120 * HOUR
        change(engine, Endpoint, failures=9, failing_at=NOON, due_at=NOON)
        batch = claimed(engine, "deliver", lost_at)
        fail(engine, batch, endpoint_id, 1, lost_at, detail="500 Oops")
        outbox.give_back(engine, batch, endpoint_id, lost_at)

        desk = row(engine, Endpoint, name="desk")
        assert (desk["state"], desk["reason"]) == ("disabled", "kept_failing")
        held = {
            (one["state"], one["reason"]) for one in rows(engine, Delivery, endpoint_id=desk["id"])
        }
        assert held == {("held", "endpoint_disabled")}
        event = row(engine, Event, type="endpoint.disabled")
        check_body(event["body"])
        data = json.loads(event["body"])["data"]
        assert (data["reason"], data["detail"], data["held"]) == ("kept_failing", "500 Oops", 2)
        tell(engine)
        assert {one["state"] for one in rows(engine, Delivery, endpoint_id=desk["id"])} == {"held"}

        assert webhooks.resume(engine, endpoint_id, lost_at + HOUR) == 3
        batch = claimed(engine, "deliver", lost_at + HOUR)
        fail(engine, batch, endpoint_id, 1, lost_at + HOUR)
        assert row(engine, Endpoint, name="desk")["state"] == "active", "its clock began anew"

    def test_a_success_begins_the_clock_anew(self, engine: Engine, endpoint_id: int) -> None:
        tell(engine, 12)
        change(engine, Endpoint, failures=40, failing_at=NOON)
        at = NOON + 119 * HOUR
        batch = claimed(engine, "deliver", at)
        (one,) = begin(engine, batch, endpoint_id, 1, at)
        outbox.record(engine, endpoint_id, [outcome(one, "sent")], at)
        at = NOON + 121 * HOUR
        fail(engine, leased_anew(engine, at), endpoint_id, 10, at)
        endpoint = row(engine, Endpoint)
        assert (endpoint["state"], endpoint["failing_at"]) == ("active", at)

    def test_of_a_chat_no_host_is_told(self, engine: Engine, endpoint_id: int) -> None:
        webhooks.add(
            engine, "chat", "slack://T...2/A...D/", "slack://sesame", kind="chat",
            event_types=EVENT_TYPES,
        )  # fmt: skip
        change(engine, Endpoint, due_at=NOON)
        tell(engine)
        number = row(engine, Endpoint, name="chat")["id"]
        gone = failed(begin(engine, claimed(engine, "deliver"), number)[0], endpoint_gone=True)
        outbox.record(engine, number, [gone], NOON)
        body = row(engine, Event, type="endpoint.disabled")["body"]
        check_body(body)
        told = json.loads(body)
        assert told["data"]["endpoint"]["host"] is None
        assert "sesame" not in str(webhooks.listing(engine))


class TestPausing:
    def test_what_is_told_meanwhile_waits(self, engine: Engine, endpoint_id: int) -> None:
        assert webhooks.pause(engine, endpoint_id)
        assert not webhooks.pause(engine, endpoint_id)
        tell(engine)
        assert claim(engine, "deliver", 10, LEASE, NOON) is None
        assert webhooks.resume(engine, endpoint_id, NOON + HOUR) == 0
        batch = claimed(engine, "deliver", NOON + HOUR)
        assert len(begin(engine, batch, endpoint_id, now=NOON + HOUR)) == 1

    def test_a_disabled_endpoint_is_not_paused(self, engine: Engine, endpoint_id: int) -> None:
        change(engine, Endpoint, state="disabled", reason="gone")
        assert not webhooks.pause(engine, endpoint_id)
        assert row(engine, Endpoint)["state"] == "disabled"

    def test_what_was_held_goes_out_when_it_is_resumed(
        self, engine: Engine, endpoint_id: int
    ) -> None:
        tell(engine, 2)
        batch = claimed(engine, "deliver")
        first, _ = begin(engine, batch, endpoint_id)
        gone = failed(first, "held", due_at=None, reason=Reason.GONE, endpoint_gone=True)
        outbox.record(engine, endpoint_id, [gone], NOON)
        outbox.give_back(engine, batch, endpoint_id, NOON)
        tell(engine)
        before = {one["id"]: one["webhook_id"] for one in rows(engine, Event)}

        assert webhooks.resume(engine, endpoint_id, NOON + HOUR) == 3
        endpoint = row(engine, Endpoint)
        assert (endpoint["state"], endpoint["reason"]) == ("active", None)
        stand = {(d["state"], d["reason"], d["due_at"]) for d in rows(engine, Delivery)}
        assert stand == {("pending", None, NOON + HOUR)}
        assert {d["ended_at"] for d in rows(engine, Delivery)} == {None}
        again = begin(engine, claimed(engine, "deliver", NOON + HOUR), endpoint_id, now=NOON + HOUR)
        assert [one.webhook_id for one in again] == list(before.values())
        assert [(one.attempt, one.turn) for one in again] == [(2, 1), (2, 1), (1, 1)]
        assert webhooks.resume(engine, endpoint_id, NOON + HOUR) == 0

    def test_only_its_own_deliveries_are_freed(self, engine: Engine, endpoint_id: int) -> None:
        webhooks.add(engine, "night", "https://night.example/", SECRET, event_types=EVENT_TYPES)
        change(engine, Endpoint, state="disabled")
        tell(engine)
        assert webhooks.resume(engine, endpoint_id, NOON) == 1
        night = row(engine, Endpoint, name="night")
        assert night["state"] == "disabled"
        assert row(engine, Delivery, endpoint_id=night["id"])["state"] == "held"


def ended(engine: Engine, *ends: tuple[str, Reason | None]) -> list[int]:
    """Deliveries of the one endpoint that ended so; their numbers."""
    endpoint = row(engine, Endpoint)["id"]
    tell(engine, len(ends))
    batch = claimed(engine, "deliver")
    begun = begin(engine, batch, endpoint)
    done = [outcome(one, state, reason=reason) for one, (state, reason) in
            zip(begun, ends, strict=True)]  # fmt: skip
    outbox.record(engine, endpoint, done, NOON)
    outbox.give_back(engine, batch, endpoint, NOON)
    return [one.id for one in begun]


class TestReplay:
    def test_id_and_bytes_stay_and_the_schedule_begins_anew(
        self, engine: Engine, endpoint_id: int
    ) -> None:
        dead, sent = ended(engine, ("dead", Reason.TIMEOUT), ("sent", None))
        events = rows(engine, Event)
        done = webhooks.replay(engine, Wanted(ids=[dead, sent]), NOON + HOUR)
        assert (done.due, done.held) == ([dead, sent], [])
        batch = claimed(engine, "deliver", NOON + HOUR)
        again = begin(engine, batch, endpoint_id, now=NOON + HOUR)
        assert [(one.webhook_id, one.body) for one in again] == [
            (one["webhook_id"], one["body"]) for one in events
        ]
        assert [(one.attempt, one.earlier, one.turn) for one in again] == [(2, 1, 1)] * 2
        assert rows(engine, Event) == events

    def test_the_second_time_there_is_nothing_left(self, engine: Engine, endpoint_id: int) -> None:
        ended(engine, ("dead", Reason.TIMEOUT), ("sent", None))
        wanted = Wanted(state="dead", endpoint_id=endpoint_id)
        assert webhooks.count(engine, wanted, to="replay") == 1
        assert len(webhooks.replay(engine, wanted, NOON).due) == 1
        assert webhooks.replay(engine, wanted, NOON).due == []

    def test_what_is_in_flight_is_left_alone(self, engine: Engine, endpoint_id: int) -> None:
        tell(engine)
        (begun,) = begin(engine, claimed(engine, "deliver"), endpoint_id)
        wanted = Wanted(ids=[begun.id])
        assert webhooks.count(engine, wanted, to="replay") == 0
        assert webhooks.replay(engine, wanted, NOON).due == []
        assert row(engine, Delivery)["due_at"] == NOON + LEASE
        outbox.record(engine, endpoint_id, [failed(begun)], NOON)
        assert webhooks.replay(engine, wanted, NOON).due == [begun.id]
        assert row(engine, Delivery)["due_at"] == NOON

    def test_for_a_disabled_endpoint_it_is_held(self, engine: Engine, endpoint_id: int) -> None:
        (dead,) = ended(engine, ("dead", Reason.TIMEOUT))
        change(engine, Endpoint, state="disabled")
        done = webhooks.replay(engine, Wanted(ids=[dead]), NOON)
        assert (done.due, done.held) == ([], [dead])
        held = row(engine, Delivery)
        assert (held["state"], held["reason"]) == ("held", "endpoint_disabled")
        assert webhooks.resume(engine, endpoint_id, NOON) == 1

    def test_which_ones_are_meant(self, engine: Engine, endpoint_id: int) -> None:
        dead, sent, retried = ended(
            engine, ("dead", Reason.TIMEOUT), ("sent", None), ("pending", Reason.TIMEOUT)
        )
        change(engine, Endpoint, state="disabled")
        tell(engine)
        held = max(one["id"] for one in rows(engine, Delivery))

        def found(**wanted: Any) -> set[int]:
            return {one["id"] for one in webhooks.deliveries(engine, 10, Wanted(**wanted))}

        assert found() == {dead, sent, retried, held}
        assert found(failed=True) == {dead, retried, held}
        assert found(state="dead") == {dead}
        assert found(ids=[sent, 99]) == {sent}
        assert found(ids=[]) == set()
        assert found(endpoint_id=endpoint_id + 1) == set()
        change(engine, Delivery, created_at=datetime.now(UTC) - 2 * HOUR)
        assert found(since=HOUR) == found(until=3 * HOUR) == set()
        assert found(since=3 * HOUR) == found(until=HOUR) == {dead, sent, retried, held}


class TestCancel:
    def test_what_waits_is_never_sent(self, engine: Engine, endpoint_id: int) -> None:
        tell(engine, 2)
        one, other = (delivery["id"] for delivery in rows(engine, Delivery))
        assert webhooks.cancel(engine, Wanted(ids=[one]), NOON) == [one]
        cancelled = row(engine, Delivery, id=one)
        assert (cancelled["state"], cancelled["reason"], cancelled["ended_at"]) == (
            "cancelled", "cancelled", NOON,
        )  # fmt: skip
        assert [d.id for d in begin(engine, claimed(engine, "deliver"), endpoint_id)] == [other]
        (tally,) = rows(engine, Tally, outcome="cancelled")
        assert (tally["stage"], tally["reason"], tally["number"]) == ("deliver", "cancelled", 1)

    def test_what_has_ended_stays_as_it_is(self, engine: Engine, endpoint_id: int) -> None:
        ended(engine, ("sent", None), ("dead", Reason.TIMEOUT))
        assert webhooks.count(engine, Wanted(endpoint_id=endpoint_id), to="cancel") == 0
        assert webhooks.cancel(engine, Wanted(endpoint_id=endpoint_id), NOON) == []
        assert rows(engine, Tally, outcome="cancelled") == []

    def test_what_is_in_flight_ends_but_does_not_come_back(
        self, engine: Engine, endpoint_id: int
    ) -> None:
        tell(engine)
        (begun,) = begin(engine, claimed(engine, "deliver"), endpoint_id)
        assert webhooks.cancel(engine, Wanted(ids=[begun.id]), NOON) == [begun.id]
        outbox.record(engine, endpoint_id, [failed(begun)], NOON)
        assert row(engine, Delivery)["state"] == "cancelled"
        assert row(engine, Attempt)["outcome"] == "failed"
        assert webhooks.replay(engine, Wanted(ids=[begun.id]), NOON).due == [begun.id]


class TestSecrets:
    def test_the_old_one_signs_too_for_a_while(self, engine: Engine, endpoint_id: int) -> None:
        new = room.generate_secret()
        assert webhooks.rotate(engine, endpoint_id, new, HOUR, NOON) == NOON + HOUR
        known = webhooks.known(row(engine, Endpoint))
        assert known.secret == new
        assert known.old_secrets == (room.OldSecret(SECRET, NOON + HOUR),)
        newest = room.generate_secret()
        webhooks.rotate(engine, endpoint_id, newest, 2 * HOUR, NOON + HOUR / 2)
        known = webhooks.known(row(engine, Endpoint))
        assert [one.secret for one in known.old_secrets] == [SECRET, new]
        assert not {SECRET, new, newest} & {*str(known).split("'")}

    def test_without_grace_only_the_new_one_signs(self, engine: Engine, endpoint_id: int) -> None:
        new = room.generate_secret()
        webhooks.rotate(engine, endpoint_id, new, HOUR * 0, NOON)
        known = webhooks.known(row(engine, Endpoint))
        assert (known.secret, known.old_secrets) == (new, ())

    def test_those_whose_time_is_over_are_forgotten(self, engine: Engine, endpoint_id: int) -> None:
        webhooks.rotate(engine, endpoint_id, room.generate_secret(), HOUR, NOON)
        webhooks.rotate(engine, endpoint_id, room.generate_secret(), HOUR * 0, NOON + HOUR)
        assert row(engine, Endpoint)["old_secrets"] is None

    def test_all_are_kept_in_another_form(self, engine: Engine, endpoint_id: int) -> None:
        new = room.generate_secret()
        webhooks.rotate(engine, endpoint_id, new, HOUR, NOON)
        webhooks.add(engine, "night", "https://night.example/", SECRET, event_types=())
        assert webhooks.reseal(engine, str.swapcase) == 2
        known = webhooks.known(row(engine, Endpoint, id=endpoint_id))
        assert known.secret == new.swapcase()
        assert known.old_secrets == (room.OldSecret(SECRET.swapcase(), NOON + HOUR),)
        assert row(engine, Endpoint, name="night")["secret"] == SECRET.swapcase()

    def test_a_listing_keeps_the_old_ones_too(self, engine: Engine, endpoint_id: int) -> None:
        webhooks.rotate(engine, endpoint_id, room.generate_secret(), HOUR, NOON)
        assert "whsec_" not in str(webhooks.listing(engine))


class TestGivingBack:
    def test_an_endpoint_is_due_when_something_of_its_is(
        self, engine: Engine, endpoint_id: int
    ) -> None:
        tell(engine)
        batch = claimed(engine, "deliver")
        (begun,) = begin(engine, batch, endpoint_id)
        outbox.record(engine, endpoint_id, [failed(begun)], NOON)
        assert not outbox.give_back(engine, batch, endpoint_id, NOON)
        assert claim(engine, "deliver", 10, LEASE, NOON + HOUR / 2) is None
        assert claim(engine, "deliver", 10, LEASE, NOON + HOUR) is not None

    def test_what_came_meanwhile_is_told(self, engine: Engine, endpoint_id: int) -> None:
        tell(engine)
        batch = claimed(engine, "deliver")
        (begun,) = begin(engine, batch, endpoint_id)
        outbox.record(engine, endpoint_id, [outcome(begun, "sent")], NOON)
        tell(engine)
        assert claim(engine, "deliver", 10, LEASE, NOON) is None
        assert outbox.give_back(engine, batch, endpoint_id, NOON)
        assert claim(engine, "deliver", 10, LEASE, NOON) is not None

    def test_an_endpoint_set_aside_waits_and_starts_anew(
        self, engine: Engine, endpoint_id: int
    ) -> None:
        tell(engine)
        change(engine, Endpoint, expiries=3)
        batch = claimed(engine, "deliver")
        webhooks.set_aside(engine, batch, endpoint_id, NOON + HOUR)
        assert claim(engine, "deliver", 10, LEASE, NOON + HOUR / 2) is None
        again = claimed(engine, "deliver", NOON + HOUR)
        assert again.rows[0]["expiries"] == 0

    def test_a_late_holder_gives_nothing_back(self, engine: Engine, endpoint_id: int) -> None:
        tell(engine)
        late = claimed(engine, "deliver")
        holder = claimed(engine, "deliver", NOON + HOUR)
        outbox.give_back(engine, late, endpoint_id)
        webhooks.set_aside(engine, late, endpoint_id, NOON + 9 * HOUR)
        endpoint = row(engine, Endpoint)
        assert (endpoint["lease_token"], endpoint["due_at"]) == (holder.token, NOON)


def test_a_delivery_that_nobody_may_send_over_http_ends(engine: Engine, endpoint_id: int) -> None:
    """The room says so without a request: the pure decision meets the statements."""
    tell(engine)
    change(engine, Endpoint, url="http://desk.example/")
    batch = claimed(engine, "deliver")
    (begun,) = begin(engine, batch, endpoint_id)

    async def send() -> AttemptOutcome:
        async with Client(HttpSettings()) as client:
            endpoint = webhooks.known(row(engine, Endpoint))
            response = await room.send(client, endpoint, begun, NOON, WebhookSettings())
            return room.decide(begun, response, NOON, WebhookSettings())

    outbox.record(engine, endpoint_id, [asyncio.run(send())], NOON)
    delivery = row(engine, Delivery)
    assert (delivery["state"], delivery["reason"]) == ("dead", "invalid_url")
