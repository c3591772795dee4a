"""Nobody starves: neither an endpoint while stories are published, nor one behind the others."""

from sqlalchemy import Engine, insert, select

from tests.conftest import MakeSettings
from tests.store import outbox
from tests.store.rows import HOUR, LEASE, NOON, add_article, claimed, rows
from worker.store import open_engine, stories, webhooks, writing
from worker.store.claims import claim
from worker.store.models import Delivery, Endpoint, Event
from worker.webhooks import generate_secret
from worker.webhooks.events import EVENT_TYPES


def _add_endpoint(engine: Engine, name: str) -> None:
    url = f"https://{name}.example/"
    webhooks.add(engine, name, url, generate_secret(), event_types=EVENT_TYPES)
    with writing(engine) as connection:
        connection.execute(Endpoint.__table__.update().values(due_at=NOON))


def _publish_one(engine: Engine) -> None:
    add_article(engine, "publish")
    stories.publish(engine, claimed(engine, "publish"))


def test_an_endpoint_is_claimed_while_another_story_is_being_published(
    make_settings: MakeSettings, migrated_postgres_url: str
) -> None:
    engine = open_engine(make_settings(store={"url": migrated_postgres_url}))
    _add_endpoint(engine, "desk")
    _publish_one(engine)
    with writing(engine) as publishing:
        event = publishing.execute(select(Event.__table__)).mappings().one()
        again = {**event, "id": 1_000, "event_key": "other", "webhook_id": "msg_other"}
        publishing.execute(insert(Event).values(**again))
        publishing.execute(
            insert(Delivery).values(
                event_id=1_000, endpoint_id=1, state="pending", due_at=NOON, created_at=NOON
            )
        )
        assert claim(engine, "deliver", 10, LEASE, NOON + HOUR) is not None
    engine.dispose()


def test_whoever_has_waited_longest_is_served_first(engine: Engine) -> None:
    for name in "abc":
        _add_endpoint(engine, name)
    _publish_one(engine)
    served = []
    for minute in range(3):
        now = NOON + HOUR * (minute + 1)
        batch = claimed(engine, "deliver", now, limit=2)
        served.append({row["name"] for row in batch.rows})
        for row in batch.rows:
            outbox.give_back(engine, batch, row["id"], now)
    assert served[0] == {"a", "b"}
    assert "c" in served[1]
    assert len(rows(engine, Delivery, state="pending")) == 3
