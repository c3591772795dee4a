"""`kabar status`."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine, update

from tests.cli.rows import add_endpoint, publish
from tests.cli.running import Commands
from tests.servers.valkey import Valkey
from tests.store.rows import HOUR, NOON, add_article, add_feed, change
from worker.cli.status import bottleneck
from worker.reasons import Reason
from worker.settings import STAGES, Stage
from worker.store import processes, tallies
from worker.store.models import Delivery, Endpoint, Process
from worker.store.sessions import writing
from worker.store.status import StageStatus


def test_what_waits_and_who_lives(kabar: Commands, either_store: Engine) -> None:
    add_feed(either_store, due_at=NOON)
    add_article(either_store, "publish", due_at=NOON)
    processes.Heart(("io",), NOON).beat(either_store)
    status = kabar("status", "--json").json
    stages = {stage["stage"]: stage for stage in status["stages"]}
    assert list(stages) == ["poll", "fetch", "process", "translate", "publish", "deliver"]
    assert stages["poll"]["waiting"] == stages["publish"]["waiting"] == 1
    assert stages["fetch"] == {
        "stage": "fetch",
        "waiting": 0,
        "later": 0,
        "in_work": 0,
        "oldest_due_at": None,
        "per_minute": 0,
    }
    assert stages["poll"]["oldest_due_at"] == NOON.isoformat()
    assert [process["role"] for process in status["processes"]] == ["io"]


def test_as_a_table(kabar: Commands, store: Engine) -> None:
    add_article(store, "publish", due_at=NOON)
    out = kabar("status").out
    assert re.search(r"^publish +1 +0 +0 +\d{4}-", out, re.MULTILINE)
    assert "no process was heard of: start `kabar up`" in out


def test_how_much_each_stage_does(kabar: Commands, either_store: Engine) -> None:
    now = datetime.now(UTC)
    with writing(either_store) as connection:
        tallies.add(connection, "fetch", now, [("fetched", None), ("failed", Reason.GONE)] * 3)
        tallies.add(connection, "fetch", now - HOUR, [("fetched", None)] * 100)
        tallies.add(connection, "publish", now, [("opened", None)])
    stages = kabar("status", "--json").json["stages"]
    rates = {stage["stage"]: stage["per_minute"] for stage in stages}
    assert rates == dict.fromkeys(STAGES, 0) | {"fetch": 6, "publish": 1}
    assert re.search(r"^fetch +0 +0 +0 +6 +", kabar("status").out, re.MULTILINE)


def test_how_much_waits_in_each_queue(
    kabar: Commands, store: Engine, valkey: Valkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KABAR_BROKER__URL", valkey.url)
    with valkey.client() as client:
        client.rpush("kabar:fetch", "a", "b")
        client.rpush("kabar:control", "c")
    status = kabar("status", "--json").json
    assert status["queues"] == dict.fromkeys(STAGES, 0) | {"fetch": 2, "control": 1}
    assert status["broker_problem"] is None
    assert re.search(r"^fetch .* 2 *$", kabar("status").out, re.MULTILINE)


def test_a_broker_that_is_down(
    kabar: Commands, store: Engine, free_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KABAR_BROKER__URL", f"redis://:sesame@127.0.0.1:{free_port}/0")
    add_article(store, "publish", due_at=NOON)
    done = kabar("status", "--json")
    assert done.json["queues"] is None
    assert done.json["broker_problem"].startswith(
        f"the broker at redis://:***@127.0.0.1:{free_port}/0"
    )
    assert {stage["stage"]: stage["waiting"] for stage in done.json["stages"]}["publish"] == 1
    out = kabar("status").out
    assert re.search(r"^publish .* \? *$", out, re.MULTILINE)
    assert "does not answer" in out
    assert "sesame" not in out + done.out
    assert kabar("stories", "list", "--json").json == []


def test_a_broker_that_is_frozen(
    kabar: Commands, store: Engine, valkey: Valkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KABAR_BROKER__URL", valkey.url)
    valkey.freeze()
    assert "does not answer" in kabar("status", "--json").json["broker_problem"]


def test_a_broker_url_that_is_none(
    kabar: Commands, store: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KABAR_BROKER__URL", "carrier-pigeon://coop")
    assert "carrier-pigeon://coop" in kabar("status", "--json").json["broker_problem"]


def test_no_broker_yet(kabar: Commands, store: Engine) -> None:
    assert "`kabar up`" in kabar("status", "--json").json["broker_problem"]


def test_feeds_and_endpoints_that_fail(kabar: Commands, either_store: Engine) -> None:
    add_feed(either_store, "https://fine.example/")
    add_feed(either_store, "https://bad.example/", failures=3, reason="timeout", detail="too slow")
    add_endpoint(either_store, "fine", "https://fine.example/hook")
    add_endpoint(either_store, "gone", "https://gone.example/hook")
    with writing(either_store) as connection:
        connection.execute(
            update(Endpoint)
            .where(Endpoint.name == "gone")
            .values(state="disabled", reason=Reason.GONE)
        )
    status = kabar("status", "--json").json
    assert [one["url"] for one in status["failing_feeds"]] == ["https://bad.example/"]
    assert status["failing_feeds"][0]["detail"] == "too slow"
    assert [one["name"] for one in status["failing_endpoints"]] == ["gone"]
    out = kabar("status").out
    assert "1 of the feeds fail, such as https://bad.example/: `kabar feeds list`" in out
    assert "1 of the endpoints fail, such as gone: `kabar endpoints list`" in out


def test_an_endpoint_with_dead_deliveries_fails(kabar: Commands, store: Engine) -> None:
    add_endpoint(store, "desk", "https://example.org/hook")
    publish(store)
    assert kabar("status", "--json").json["failing_endpoints"] == []
    change(store, Delivery, state="dead")
    (failing,) = kabar("status", "--json").json["failing_endpoints"]
    assert failing["deliveries"] == {"dead": 1}


def test_a_silent_process_is_told_from_a_live_one(kabar: Commands, store: Engine) -> None:
    processes.Heart(("io",), NOON).beat(store)
    assert kabar("status", "--json").json["processes"][0]["healthy"] is True
    change(store, Process, seen_at=NOON)
    (process,) = kabar("status", "--json").json["processes"]
    assert (process["healthy"], process["seen_at"]) == (False, "2026-03-04T12:00:00+00:00")
    assert re.search(r"^io@.+ silent *$", kabar("status").out, re.MULTILINE)


def waits(stage: Stage, seconds: float | None) -> StageStatus:
    due_at = None if seconds is None else NOON - timedelta(seconds=seconds)
    return StageStatus(stage, 0 if seconds is None else 1, 0, 0, due_at)


@pytest.mark.parametrize(
    ("waiting", "found"),
    [
        ({}, None),
        ({"fetch": 1}, None),
        ({"fetch": 30}, None),
        ({"fetch": 31}, "fetch"),
        ({"poll": 40, "fetch": 50, "publish": 31}, "fetch"),
        ({"deliver": 86_400, "poll": 5}, "deliver"),
    ],
)
def test_the_bottleneck(waiting: dict[Stage, float], found: str | None) -> None:
    stages = [waits(stage, waiting.get(stage)) for stage in STAGES]
    assert bottleneck(stages, NOON) == found


def test_a_stage_that_does_not_keep_up_is_named(kabar: Commands, store: Engine) -> None:
    add_article(store, "process", due_at=NOON)
    assert kabar("status", "--json").json["bottleneck"] == "process"
    assert "bottleneck: process does not keep up" in kabar("status").out


def test_how_much_is_untranslated_and_why(kabar: Commands, either_store: Engine) -> None:
    now = datetime.now(UTC)
    for language, reason in (("th", "no_engine"), ("th", "no_engine"), ("id", "rejected")):
        add_article(
            either_store, "done", language=language, translation_reason=reason, first_seen_at=now
        )
    add_article(either_store, "done", translation_reason="rejected", first_seen_at=NOON)
    assert kabar("status", "--json").json["untranslated"] == [
        {"language": "th", "reason": "no_engine", "number": 2},
        {"language": "id", "reason": "rejected", "number": 1},
    ]
    assert "3 articles are untranslated (2 th no_engine, 1 id rejected)" in kabar("status").out


def test_of_many_kinds_of_untranslated_the_most_are_named(kabar: Commands, store: Engine) -> None:
    for language in ("th", "my", "lo", "km"):
        add_article(
            store, "done", language=language, translation_reason="no_engine",
            first_seen_at=datetime.now(UTC),
        )  # fmt: skip
    assert re.search(r"4 articles are untranslated \(.+, .+, .+, …\)", kabar("status").out)
