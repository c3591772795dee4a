"""`kabar deliveries`."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine

from tests.cli.rows import add_endpoint, publish
from tests.cli.running import Commands
from tests.store import outbox
from tests.store.rows import NOON, change, claimed, row, rows
from worker.reasons import Reason
from worker.store.models import Attempt, Delivery, Endpoint
from worker.webhooks import AttemptOutcome

HOOK = "https://example.org/hook"


def attempt(engine: Engine, **outcome: Any) -> None:
    """An attempt of the one delivery, that comes to `outcome`."""
    change(engine, Endpoint, due_at=NOON)
    change(engine, Delivery, due_at=NOON)
    batch = claimed(engine, "deliver")
    endpoint = row(engine, Endpoint)["id"]
    (begun, *_) = outbox.begin(engine, batch, endpoint, 1, NOON)
    came: dict[str, Any] = {"due_at": None, "status": 200, "reason": None, "detail": ""}
    made = AttemptOutcome(begun.id, begun.attempt, **{**came, "excerpt": "", **outcome})
    outbox.record(engine, endpoint, [made], NOON + timedelta(seconds=1))
    outbox.give_back(engine, batch, endpoint)


def test_deliveries_are_listed(kabar: Commands, either_store: Engine) -> None:
    add_endpoint(either_store, "desk", HOOK)
    add_endpoint(either_store, "night", HOOK)
    first, second = publish(either_store), publish(either_store)
    listed = kabar("deliveries", "list", "--json").json
    assert [(one["endpoint"], one["story_id"]) for one in listed] == [
        ("night", second), ("desk", second), ("night", first), ("desk", first),
    ]  # fmt: skip
    assert {(one["type"], one["state"]) for one in listed} == {("story.created", "pending")}
    assert listed[0]["created_at"] == "2026-03-04T12:00:00+00:00"
    assert listed[0]["webhook_id"].startswith("msg_")
    assert len(kabar("deliveries", "list", "--limit", "3", "--json").json) == 3

    lines = kabar("deliveries", "list").out.splitlines()
    assert len(lines) == 5
    assert lines[1].split()[3:] == ["night", "story.created", str(second), "pending", "0"]


def test_those_of_an_endpoint_and_in_a_state(kabar: Commands, either_store: Engine) -> None:
    add_endpoint(either_store, "desk", HOOK)
    publish(either_store)
    change(either_store, Delivery, state="dead")
    publish(either_store)
    add_endpoint(either_store, "night", HOOK)
    number = str(row(either_store, Endpoint, name="desk")["id"])

    def listed(*options: str) -> list[str]:
        return [one["state"] for one in kabar("deliveries", "list", *options, "--json").json]

    assert listed("--state", "dead") == ["dead"]
    assert listed("--endpoint", "desk") == listed("--endpoint", number) == ["pending", "dead"]
    assert listed("--failed") == ["dead"]
    assert listed("--since", "2h") == [], "they were made at noon of another day"
    assert len(listed("--until", "2h")) == len(listed())
    assert listed("--endpoint", "desk", "--state", "sent") == listed("--endpoint", "night") == []


def test_an_endpoint_that_is_not_there(kabar: Commands, store: Engine) -> None:
    add_endpoint(store, "desk", HOOK)
    error = kabar("deliveries", "list", "--endpoint", "dsk").error
    assert error == "kabar: there is no endpoint dsk; did you mean desk?"


def test_a_state_that_there_is_not(kabar: Commands, store: Engine) -> None:
    done = kabar("deliveries", "list", "--state", "failed")
    assert done.code == 2
    assert "'failed' is not one of 'pending', 'sent', " in done.error


def test_none_yet(kabar: Commands, store: Engine) -> None:
    assert "`kabar endpoints list`" in kabar("deliveries", "list").out
    assert kabar("deliveries", "list", "--json").json == []


def test_a_delivery_and_its_attempts(kabar: Commands, either_store: Engine) -> None:
    add_endpoint(either_store, "desk", HOOK)
    publish(either_store)
    number = str(rows(either_store, Delivery)[0]["id"])
    assert kabar("deliveries", "show", number).out.endswith("\nno attempt yet\n")

    attempt(either_store, state="pending", due_at=NOON, status=503, reason=Reason.SERVER_ERROR,
            detail="503 Service Unavailable", excerpt="try\nlater \x1b[31m")  # fmt: skip
    out = kabar("deliveries", "show", number).out
    at = NOON.astimezone().strftime("%Y-%m-%d %H:%M:%S")
    first, second, *fields, _, line = out.splitlines()
    assert [field.split()[0] for field in fields] == ["story", "made", "reason"]
    assert first.startswith(f"delivery {number} of story.created (msg_")
    assert first.endswith(") to desk: pending")
    assert second == f"next attempt: {at}"
    assert line.split()[:1] == ["1"]
    assert "failed   503     server_error  503 Service Unavailable  try later  [31m" in line

    attempt(either_store, state="sent")
    document = kabar("deliveries", "show", number, "--json").json
    assert (document["state"], document["ended_at"]) == ("sent", "2026-03-04T12:00:01+00:00")
    assert [
        (one["number"], one["outcome"], one["status"], one["reason"])
        for one in document["attempts"]
    ] == [(1, "failed", 503, "server_error"), (2, "sent", 200, None)]
    assert document["attempts"][0]["excerpt"] == "try\nlater \x1b[31m"
    assert "next attempt" not in kabar("deliveries", "show", number).out


def test_an_attempt_whose_process_died(kabar: Commands, store: Engine) -> None:
    add_endpoint(store, "desk", HOOK)
    publish(store)
    change(store, Endpoint, due_at=NOON)
    outbox.begin(store, claimed(store, "deliver"), 1, 1, NOON)
    assert "unknown" in kabar("deliveries", "show", "1").out


def test_a_delivery_that_is_not_there(kabar: Commands, store: Engine) -> None:
    error = kabar("deliveries", "show", "7").error
    assert error == "kabar: there is no delivery 7: `kabar deliveries list` shows the newest"


@pytest.mark.parametrize("number", ["0", "9" * 30, "seven"])
def test_what_is_no_number(kabar: Commands, store: Engine, number: str) -> None:
    done = kabar("deliveries", "show", number)
    assert done.code == 2
    assert "Invalid value for 'ID'" in done.error


class TestReplay:
    def test_a_delivery_is_sent_again(self, kabar: Commands, either_store: Engine) -> None:
        add_endpoint(either_store, "desk", HOOK)
        publish(either_store)
        attempt(either_store, state="dead", status=500, reason=Reason.SERVER_ERROR)
        number = row(either_store, Delivery)["id"]
        out = kabar("deliveries", "replay", str(number), "99").out
        assert out == (
            "1 delivery will be sent again\ndelivery 99 is left as it is: in flight, or not there\n"
        )
        assert row(either_store, Delivery)["state"] == "pending"
        attempt(either_store, state="sent")
        assert [one["number"] for one in rows(either_store, Attempt)] == [1, 2]

    def test_all_that_failed(self, kabar: Commands, either_store: Engine) -> None:
        add_endpoint(either_store, "desk", HOOK)
        add_endpoint(either_store, "night", HOOK)
        publish(either_store)
        change(either_store, Delivery, state="dead", created_at=datetime.now(UTC))
        failed = ("--failed", "--since", "2h", "--endpoint", "desk")
        assert kabar("deliveries", "replay", *failed, "--dry-run").out == (
            "1 delivery would be sent again\n"
        )
        assert kabar("deliveries", "replay", *failed, "--dry-run", "--json").json == {
            "deliveries": 1
        }
        desk = row(either_store, Endpoint, name="desk")["id"]
        due = row(either_store, Delivery, endpoint_id=desk)["id"]
        done = kabar("deliveries", "replay", *failed, "--json").json
        assert done == {"due": [due], "held": []}
        assert kabar("deliveries", "replay", *failed).out == "0 deliveries will be sent again\n"
        assert [one["state"] for one in rows(either_store, Delivery)] == ["pending", "dead"]

    def test_for_a_disabled_endpoint(self, kabar: Commands, store: Engine) -> None:
        add_endpoint(store, "desk", HOOK)
        publish(store)
        change(store, Endpoint, state="disabled")
        change(store, Delivery, state="dead")
        out = kabar("deliveries", "replay", "--state", "dead").out
        assert out.startswith("0 deliveries will be sent again\n1 delivery held: the endpoint is")


class TestCancel:
    def test_what_waits_is_cancelled(self, kabar: Commands, either_store: Engine) -> None:
        add_endpoint(either_store, "desk", HOOK)
        publish(either_store)
        publish(either_store)
        first, second = (str(one["id"]) for one in rows(either_store, Delivery))
        assert kabar("deliveries", "cancel", first, "--dry-run").out == (
            "1 delivery would be cancelled\n"
        )
        assert kabar("deliveries", "cancel", first).out == "1 delivery cancelled\n"
        assert kabar("deliveries", "cancel", first).out == (
            "0 deliveries cancelled\n"
            f"delivery {first} is left as it is: sent, dead or cancelled already, or not there\n"
        )
        waiting = ("--state", "pending", "--json")
        assert kabar("deliveries", "cancel", *waiting).json == {"cancelled": [int(second)]}
        (listed, _) = kabar("deliveries", "list", "--state", "cancelled", "--json").json
        assert listed["reason"] == "cancelled"


@pytest.mark.parametrize("verb", ["replay", "cancel"])
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "which deliveries? name some, or give --failed or --state"),
        (["--endpoint", "desk"], "which deliveries?"),
        (["--failed", "--since", "soon"], "--since soon: 2d, 12h or 30m was expected"),
        (["--failed", "--endpoint", "dsk"], "did you mean desk?"),
        (["0"], "greater than or equal to 1"),
    ],
)
def test_what_is_not_meant(
    kabar: Commands, store: Engine, verb: str, arguments: list[str], message: str
) -> None:
    add_endpoint(store, "desk", HOOK)
    publish(store)
    before = row(store, Delivery)
    done = kabar("deliveries", verb, *arguments)
    assert done.code in {1, 2}
    assert message in done.error
    assert row(store, Delivery) == before
