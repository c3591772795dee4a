"""Events: what an endpoint is told, as the exact bytes that are signed and sent."""

import base64
import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from worker.webhooks.match import Verdict

STORY_CREATED = "story.created"
STORY_UPDATED = "story.updated"
FEED_FAILING = "feed.failing"
FEED_RECOVERED = "feed.recovered"
ENDPOINT_DISABLED = "endpoint.disabled"
TEST_PING = "test.ping"
# That an endpoint may subscribe to.
EVENT_TYPES = (STORY_CREATED, STORY_UPDATED, FEED_FAILING, FEED_RECOVERED, ENDPOINT_DISABLED)
Change = Literal["article", "text", "translation"]

_MAX_BODY = 18_000  # bytes; with the reason "usually smaller than 20kb", as the spec says
_MAX_REASON = 1_900  # bytes
_TEXT = 2_000  # characters of a text, before a body that is too large makes it less
_TITLE = 500
_LINK = 1_500  # bytes; a longer link is left out, for half a link leads nowhere
_MANY = 10  # items of a list
_CONTROL = re.compile(r"[\x00-\x1f\x7f]+")  # JSON spends six bytes on each


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
    """What is told of a story, and of the article that opened it; ids are those of the store."""

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
    credited_sources: Sequence[str]
    topics: Sequence[str]
    word_count: int | None
    image: str | None
    degradations: Sequence[Mapping[str, Any]]
    feed_id: int | None
    feed_title: str | None
    feed_url: str | None


@dataclass(frozen=True, slots=True)
class StoryUpdate:
    """What `story.updated` tells: the story as it stands now, and what of it changed.

    `number` counts the story's updates from 1. `publishers` are those that carry it.
    """

    facts: StoryFacts
    number: int
    changes: Sequence[Change]
    article_count: int
    publishers: Sequence[str]


@dataclass(frozen=True, slots=True)
class FeedFacts:
    """What `feed.failing` and `feed.recovered` tell; `url` is redacted.

    `failing_since` to `detail` are those of the failures that began or are over now.
    """

    feed_id: int
    title: str | None
    url: str
    site_url: str | None
    state: str
    failing_since: datetime
    failures: int
    reason: str | None
    detail: str | None
    last_success_at: datetime | None
    next_poll_at: datetime


@dataclass(frozen=True, slots=True)
class EndpointFacts:
    """What `endpoint.disabled` tells. Of the URL only the host: its path may be what lets one in.

    `held` deliveries wait for it to be resumed.
    """

    endpoint_id: int
    name: str
    host: str | None
    reason: str
    detail: str | None
    held: int


def story_created(facts: StoryFacts, now: datetime) -> Event:
    """The event that tells of a new story, opened at `now`. Its body is under 18,000 bytes.

    Its `reason` says that no rules were asked; see `with_reason`.
    """
    return _story_event(
        STORY_CREATED, created_key(facts.story_id), facts, now, lambda limit: _data(facts, limit)
    )


def story_updated(update: StoryUpdate, now: datetime) -> Event:
    """The event that tells how a story changed. For body and `reason` see `story_created`."""
    key = f"{STORY_UPDATED}:{update.facts.story_id}:{update.number}"
    return _story_event(
        STORY_UPDATED, key, update.facts, now, lambda limit: _updated_data(update, limit)
    )


def created_key(story_id: int) -> str:
    """The key of the event that tells of a new story."""
    return f"{STORY_CREATED}:{story_id}"


def with_reason(body: bytes, verdicts: Sequence[Verdict]) -> bytes:
    """The body of a story's event for an endpoint whose rules say this: under 20,000 bytes."""
    document = json.loads(body)
    document["data"]["reason"] = _reason(verdicts)
    return _packed(document)


def feed_failing(facts: FeedFacts, now: datetime) -> Event:
    """The event that tells of a feed that has come to count as failing."""
    return _feed_event(FEED_FAILING, facts, now)


def feed_recovered(facts: FeedFacts, now: datetime) -> Event:
    """The event that tells of a feed that counted as failing, and answers again."""
    return _feed_event(FEED_RECOVERED, facts, now)


def endpoint_disabled(facts: EndpointFacts, now: datetime) -> Event:
    """The event that tells the others of an endpoint that is sent nothing any more."""
    key = f"{ENDPOINT_DISABLED}:{facts.endpoint_id}:{now.isoformat()}"
    document = {
        "type": ENDPOINT_DISABLED,
        "timestamp": now.isoformat(),
        "data": {
            "endpoint": {
                "id": str(facts.endpoint_id),
                "name": _cut(facts.name, _TITLE),
                "host": _cut(facts.host, _TITLE),
                "state": "disabled",
            },
            "reason": facts.reason,
            "detail": _cut(facts.detail, _TITLE),
            "held": facts.held,
        },
    }
    return Event(key, _webhook_id(key, now), ENDPOINT_DISABLED, now, _packed(document))


def test_ping(endpoint: str, now: datetime) -> Event:
    """An event that tells of nothing, to try an endpoint with."""
    key = f"{TEST_PING}:{endpoint}:{now.isoformat()}"
    document = {
        "type": TEST_PING,
        "timestamp": now.isoformat(),
        "data": {"endpoint": endpoint, "message": "Kabar reaches this endpoint."},
    }
    return Event(key, _webhook_id(key, now), TEST_PING, now, _packed(document))


def _feed_event(kind: str, facts: FeedFacts, now: datetime) -> Event:
    key = f"{kind}:{facts.feed_id}:{facts.failing_since.isoformat()}"
    document = {"type": kind, "timestamp": now.isoformat(), "data": _feed_data(facts)}
    webhook_id = _webhook_id(key, facts.failing_since)
    return Event(key, webhook_id, kind, now, _packed(document))


def _feed_data(facts: FeedFacts) -> dict[str, Any]:
    succeeded_at = facts.last_success_at
    return {
        "feed": {
            "id": str(facts.feed_id),
            "title": _cut(facts.title, _TITLE),
            "url": _link(facts.url),
            "site_url": _link(facts.site_url),
            "state": facts.state,
        },
        "failing_since": facts.failing_since.isoformat(),
        "failures": facts.failures,
        "reason": facts.reason,
        "detail": _cut(facts.detail, _TITLE),
        "last_success_at": succeeded_at.isoformat() if succeeded_at else None,
        "next_poll_at": facts.next_poll_at.isoformat(),
    }


def _story_event(
    kind: str, key: str, facts: StoryFacts, now: datetime, data: Callable[[int], dict[str, Any]]
) -> Event:
    """`data` is given how many characters a text may have; fewer when it was too much."""
    limit = _TEXT
    while True:
        body = _packed({"type": kind, "timestamp": now.isoformat(), "data": data(limit)})
        if len(body) < _MAX_BODY or not limit:
            return Event(key, _webhook_id(key, facts.first_seen_at), kind, now, body)
        limit //= 2


def _updated_data(update: StoryUpdate, limit: int) -> dict[str, Any]:
    data = _data(update.facts, limit)
    data["story"] |= {
        "article_count": update.article_count,
        "publishers": _all_cut(list(update.publishers), min(limit, _TITLE)),
    }
    return {"changes": list(update.changes), **data}


def _data(facts: StoryFacts, limit: int) -> dict[str, Any]:
    title = _cut(facts.title, min(limit, _TITLE))
    return {
        "story": {
            "id": str(facts.story_id),
            "title": title,
            "summary": _cut(facts.summary, limit),
            "language": facts.language,
            "translations": {
                target: _all_cut(translation, limit)
                for target, translation in facts.translations.items()
            },
            "translation_status": facts.translation_status,
            "published_at": facts.published_at.isoformat() if facts.published_at else None,
            "first_seen_at": facts.first_seen_at.isoformat(),
            "url": _link(facts.url),
            "image": _link(facts.image),
            "topics": _all_cut(list(facts.topics), min(limit, _TITLE)),
        },
        "article": {
            "id": str(facts.article_id),
            "url": _link(facts.url),
            "title": title,
            "publisher": _cut(facts.publisher, min(limit, _TITLE)),
            "authors": _all_cut(list(facts.authors), min(limit, _TITLE)),
            "credited_sources": _all_cut(list(facts.credited_sources), min(limit, _TITLE)),
            "word_count": facts.word_count,
            "degradations": _all_cut(list(facts.degradations), min(limit, _TITLE)),
        },
        "feed": {
            "id": str(facts.feed_id) if facts.feed_id is not None else None,
            "title": _cut(facts.feed_title, min(limit, _TITLE)),
            "url": _link(facts.feed_url),
        },
        "reason": _reason(()),
    }


def _reason(verdicts: Sequence[Verdict]) -> dict[str, Any]:
    for most in (_MANY, 1, 0):
        rules = [
            {"rule": one.rule, "matched": [_cut(text, 100) for text in one.found[:most]]}
            for one in verdicts
        ]
        if len(_packed({"rules": rules})) <= _MAX_REASON:
            break
    return {"rules": rules}


def _all_cut(value: Any, limit: int) -> Any:
    """`value` with each text in it cut to `limit` characters and each list to ten items."""
    if isinstance(value, str):
        return _cut(value, limit)
    if isinstance(value, list):
        return [_all_cut(item, limit) for item in value[:_MANY]]
    if isinstance(value, Mapping):
        return {key: _all_cut(item, limit) for key, item in value.items()}
    return value


def _cut(text: str | None, limit: int) -> str | None:
    if text is None:
        return None
    text = _CONTROL.sub(" ", text).encode("utf-8", "replace").decode()
    return text if len(text) <= limit else text[:limit].rstrip() + "…"


def _link(url: str | None) -> str | None:
    return _cut(url, _LINK) if url and len(url.encode("utf-8", "replace")) <= _LINK else None


def _packed(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


def _webhook_id(key: str, at: datetime) -> str:
    # The store's ids start again in a new store; with a time of the thing told, two stores that
    # serve one receiver do not meet.
    name = f"kabar\x1f{key}\x1f{at.isoformat()}".encode()
    digest = base64.b32encode(hashlib.sha256(name).digest()[:20]).decode().lower()
    return f"msg_{digest}"
