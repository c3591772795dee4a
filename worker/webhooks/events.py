"""Events: what an endpoint is told, as the exact bytes that are signed and sent."""

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

STORY_CREATED = "story.created"
EVENT_TYPES = (STORY_CREATED,)

_SUMMARY = 2_000  # characters; the spec wants bodies under 20 kB, and a character is up to 12 bytes
_TITLE = 500


@dataclass(frozen=True, slots=True)
class Event:
    """An event, named by its key: the same thing told twice has the same key and id."""

    event_key: str
    webhook_id: str
    type: str
    occurred_at: datetime
    body: bytes


@dataclass(frozen=True, slots=True)
class StoryFacts:
    """What `story.created` tells; ids are those of the store."""

    story_id: int
    article_id: int
    title: str
    summary: str | None
    language: str | None
    url: str | None
    published_at: datetime | None
    first_seen_at: datetime
    translations: Mapping[str, Any]
    translation_status: str | None
    publisher: str | None
    authors: Sequence[str]
    word_count: int | None
    image: str | None
    degradations: Sequence[Mapping[str, Any]]
    feed_id: int | None
    feed_title: str | None
    feed_url: str | None


def story_created(facts: StoryFacts, now: datetime) -> Event:
    """The event that tells of a new story, opened at `now`."""
    key = f"{STORY_CREATED}:{facts.story_id}"
    body = {"type": STORY_CREATED, "timestamp": now.isoformat(), "data": _data(facts)}
    return Event(
        event_key=key,
        webhook_id=_webhook_id(key, facts),
        type=STORY_CREATED,
        occurred_at=now,
        body=json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace"),
    )


def _data(facts: StoryFacts) -> dict[str, Any]:
    return {
        "story": {
            "id": str(facts.story_id),
            "title": facts.title[:_TITLE],
            "summary": facts.summary[:_SUMMARY] if facts.summary else None,
            "language": facts.language,
            "translations": facts.translations,
            "translation_status": facts.translation_status,
            "published_at": facts.published_at.isoformat() if facts.published_at else None,
            "first_seen_at": facts.first_seen_at.isoformat(),
            "url": facts.url,
            "image": facts.image,
        },
        "article": {
            "id": str(facts.article_id),
            "url": facts.url,
            "title": facts.title[:_TITLE],
            "publisher": facts.publisher,
            "authors": list(facts.authors)[:10],
            "word_count": facts.word_count,
            "degradations": list(facts.degradations),
        },
        "feed": {
            "id": str(facts.feed_id) if facts.feed_id is not None else None,
            "title": facts.feed_title,
            "url": facts.feed_url,
        },
    }


def _webhook_id(key: str, facts: StoryFacts) -> str:
    # The store's ids start again in a new store; with the time that the story was first seen, two
    # stores that serve one receiver do not meet.
    name = f"kabar\x1f{key}\x1f{facts.first_seen_at.isoformat()}".encode()
    digest = base64.b32encode(hashlib.sha256(name).digest()[:20]).decode().lower()
    return f"msg_{digest}"
