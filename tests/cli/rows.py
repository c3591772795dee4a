"""Rows that the commands show, made by the statements that make them in the service."""

from sqlalchemy import Engine

from tests.store.rows import add_article, claimed
from worker.store import stories, webhooks
from worker.webhooks import generate_secret
from worker.webhooks.events import EVENT_TYPES


def publish(engine: Engine, **values: object) -> int:
    """A story; its number."""
    add_article(engine, "publish", **values)
    (published,) = stories.publish(engine, claimed(engine, "publish"))
    assert published.story_id is not None
    return published.story_id


def add_endpoint(engine: Engine, name: str, url: str, **allowed: bool) -> str:
    """An endpoint that is told of stories; its signing secret."""
    secret = generate_secret()
    assert webhooks.add(engine, name, url, secret, event_types=EVENT_TYPES, **allowed)
    return secret
