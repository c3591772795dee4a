"""A store with at least one row in every table, and with work in every stage and state."""

from datetime import timedelta
from pathlib import Path

import zstandard
from sqlalchemy import Engine, insert

from tests.store import outbox
from tests.store.rows import HOUR, NOON, add_article, add_feed, change, claimed, row
from worker import webhooks as room
from worker.reasons import Reason
from worker.store import feeds, stories, tallies, webhooks
from worker.store.models import (
    CachedTranslation,
    Endpoint,
    Entry,
    FormerUrl,
    Host,
    Page,
    Subscription,
)
from worker.store.sessions import read_now, writing
from worker.webhooks.events import EVENT_TYPES


def fill(engine: Engine, directory: Path) -> None:
    """Fill the store; `directory` takes the feeds file."""
    feed_id = add_feed(engine, title="Berita “Terkini”", state="failing", failures=2)
    add_feed(engine, "https://example.org/held")
    claimed(engine, "poll", limit=1)
    declared = directory / "feeds.toml"
    declared.write_text('[[feeds]]\nurl = "https://example.org/declared"\n')
    feeds.apply_file(engine, declared)
    _publish(engine)
    add_article(engine, "fetch")
    claimed(engine, "fetch")
    add_article(engine, "fetch", due_at=NOON + HOUR)
    article_id = add_article(
        engine, "process", feed_id=feed_id, title="Harga naik \N{BANKNOTE WITH EURO SIGN}",
        authors=["Siti"], translations={"en": {"title": "Prices rise"}}, published_at=NOON,
        lead="Lagi.", editor="Budi", credited_sources=["Antara"], dateline="JAKARTA",
        section="Ekonomi", tags=["beras"], modified_at=NOON,
        history=[{"stage": "poll", "at": NOON.isoformat(), "outcome": "listed"}],
    )  # fmt: skip
    with writing(engine) as connection:
        for days in (0, 3, 400):
            connection.execute(
                insert(Page).values(
                    article_id=article_id, part=days, url="https://example.org/",
                    fetched_at=read_now(connection) - timedelta(days=days),
                    body=zstandard.compress(bytes(range(256))),
                )
            )  # fmt: skip
        seen = {"first_seen_at": NOON, "seen_at": NOON, "revision": "a"}
        connection.execute(
            insert(Entry),
            [{"feed_id": feed_id, "identity": name, "article_id": mine, **seen}
             for name, mine in (("one", article_id), ("two", None))],
        )  # fmt: skip
        connection.execute(insert(FormerUrl).values(url="https://example.org/old", feed_id=feed_id))
        connection.execute(
            insert(Subscription).values(
                feed_id=feed_id, hub="https://hub.example/", topic="https://example.org/feed",
                token="t", secret="s", state="asked", asked_at=NOON,
            )
        )  # fmt: skip
        connection.execute(
            insert(CachedTranslation).values(
                engine="firefox", model="iden", source="id", target="en", text_hash="a" * 64,
                text="Prices rise", flags=["length"], created_at=NOON,
            )
        )  # fmt: skip
        connection.execute(insert(Host).values(host="example.org:81", robots=b"\0\xff"))
        tallies.add(connection, "fetch", NOON, [("degraded", Reason.TIMEOUT)])


def _publish(engine: Engine) -> None:
    """Three stories; one is being told of, two are to be."""
    secret = room.generate_secret()
    webhooks.add(engine, "desk", "https://example.org/hook", secret, event_types=EVENT_TYPES)
    webhooks.add(
        engine, "wire", "https://example.org/wire", secret,
        event_types=EVENT_TYPES, rules=room.Rules(min_sources=2),
    )  # fmt: skip
    change(engine, Endpoint, due_at=NOON)
    for name in ("One", "Two", "Three"):
        add_article(engine, "publish", title=name, content_hash=name)
    published = stories.publish(engine, claimed(engine, "publish"))
    with writing(engine) as connection:
        stories.changed(connection, published[0].story_id or 0, "text", NOON, HOUR)
    outbox.begin(
        engine, claimed(engine, "deliver"), row(engine, Endpoint, name="desk")["id"], 1, NOON
    )
