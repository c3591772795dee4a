from typing import Any

import pytest
from sqlalchemy import Engine

from tests.store import outbox
from tests.store.rows import HOUR, NOON, add_article, add_feed, change, claimed, row
from worker.settings import STAGES, Stage
from worker.store import status, stories, webhooks
from worker.store.models import Article, Delivery, Endpoint, Feed
from worker.store.status import StageStatus
from worker.webhooks import generate_secret
from worker.webhooks.events import EVENT_TYPES


def stage(engine: Engine, name: Stage, now: Any = NOON) -> StageStatus:
    return {one.stage: one for one in status.stages(engine, now)}[name]


def test_nothing_waits_in_an_empty_store(engine: Engine) -> None:
    assert status.stages(engine) == [StageStatus(name, 0, 0, 0, None) for name in STAGES]


@pytest.mark.parametrize("name", ["fetch", "process", "translate", "publish"])
def test_articles_wait_come_later_or_are_held(engine: Engine, name: Stage) -> None:
    add_article(engine, name, due_at=NOON - 2 * HOUR)
    claimed(engine, name)
    add_article(engine, name, due_at=NOON - HOUR)
    add_article(engine, name)
    add_article(engine, name, due_at=NOON + HOUR)
    add_article(engine, "done", due_at=NOON - 9 * HOUR)
    assert stage(engine, name) == StageStatus(name, 2, 1, 1, NOON - HOUR)
    others = [one for one in status.stages(engine, NOON) if one.stage != name]
    assert {(one.waiting, one.later, one.in_work) for one in others} == {(0, 0, 0)}


def test_what_a_dead_process_holds_waits(engine: Engine) -> None:
    add_article(engine, "fetch")
    claimed(engine, "fetch")
    assert stage(engine, "fetch", NOON + HOUR) == StageStatus("fetch", 1, 0, 0, NOON)


def test_feeds_wait_to_be_polled(engine: Engine) -> None:
    add_feed(engine, "https://a.example/", due_at=NOON - HOUR)
    claimed(engine, "poll")
    for number, due_at in enumerate([NOON - HOUR / 2, NOON, NOON + HOUR]):
        add_feed(engine, f"https://{number}.example/", due_at=due_at, state="failing")
    add_feed(engine, "https://p.example/", due_at=NOON - 9 * HOUR, state="paused")
    assert stage(engine, "poll") == StageStatus("poll", 2, 1, 1, NOON - HOUR / 2)


def test_deliveries_wait_to_be_sent(engine: Engine) -> None:
    webhooks.add(engine, "desk", "https://d.example/", generate_secret(), event_types=EVENT_TYPES)
    change(engine, Endpoint, due_at=NOON)
    for _ in range(3):
        add_article(engine, "publish")
    stories.publish(engine, claimed(engine, "publish"))
    assert stage(engine, "deliver") == StageStatus("deliver", 3, 0, 0, NOON)

    batch = claimed(engine, "deliver")
    outbox.begin(engine, batch, row(engine, Endpoint)["id"], 1, NOON)
    assert stage(engine, "deliver") == StageStatus("deliver", 2, 1, 0, NOON)
    change(engine, Delivery, state="sent")
    assert stage(engine, "deliver") == StageStatus("deliver", 0, 0, 0, None)


def test_the_clock_is_the_stores(engine: Engine) -> None:
    add_feed(engine, due_at=NOON)
    assert status.stages(engine)[0].waiting == 1
    change(engine, Feed, due_at=NOON.replace(year=2999))
    add_article(engine, "fetch", due_at=NOON.replace(year=2999))
    assert [(one.stage, one.later) for one in status.stages(engine)][:2] == [
        ("poll", 1),
        ("fetch", 1),
    ]
    change(engine, Article, stage="done")
    assert stage(engine, "fetch").later == 0
