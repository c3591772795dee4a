"""Statements of the room `stories`: publish articles, and read stories back."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Literal

from sqlalchemy import Connection, Engine, RowMapping, func, insert, select, text, update

from worker.http import redacted
from worker.reasons import Reason
from worker.store import models, tallies, webhooks
from worker.store.articles import step
from worker.store.claims import MAX_EXPIRIES, Claim, finish
from worker.store.dialects import insert_new
from worker.store.sessions import reading, writing
from worker.stories import Facts, Opens, decide
from worker.webhooks import (
    Rules,
    StoryFacts,
    Subject,
    Verdict,
    judge,
    judge_sources,
    source_of,
    story_created,
    wants,
)
from worker.webhooks.events import STORY_CREATED, created_key

_PUBLISH_LOCK = 0x6B61626172  # one publisher at a time decides what is new


@dataclass(frozen=True, slots=True)
class Published:
    """What became of a claimed article."""

    article_id: int
    result: Literal["opened", "joined", "failed"]
    story_id: int | None
    reason: Reason | None = None


def publish(engine: Engine, claim: Claim) -> list[Published]:
    """Let each claimed article open or join its story, with event and deliveries, in one
    transaction; articles whose lease was lost meanwhile are left out.

    Publishers take turns, so that two articles of one story never both open it. An article whose
    publishing took its process down three times ends as failed.
    """
    with reading(engine) as connection:
        feeds = _feeds(connection, claim)
        subjects = _subjects(connection, claim.rows)
        rules = webhooks.rules(connection, STORY_CREATED)
    # Before the lock, under which all publishers wait.
    matches = {number: webhooks.matching(rules, one) for number, one in subjects.items()}
    published: list[Published | None] = []
    with writing(engine) as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _PUBLISH_LOCK})
        endpoints = webhooks.listeners(connection)
        for row in claim.rows:
            if row["expiries"] >= MAX_EXPIRIES:
                published.append(_fail(connection, row, claim))
            else:
                feed = feeds.get(row["feed_id"])
                told = _Told(endpoints, matches[row["id"]], feed)
                published.append(_publish(connection, row, claim, told))
        held = [one for one in published if one]
        tallies.add(connection, "publish", claim.now, [(one.result, one.reason) for one in held])
    return held


def listing(engine: Engine, limit: int) -> list[dict[str, Any]]:
    """The newest stories, newest first."""
    with reading(engine) as connection:
        statement = select(models.Story.__table__).order_by(models.Story.id.desc()).limit(limit)
        return [dict(row) for row in connection.execute(statement).mappings()]


def find(engine: Engine, story_id: int) -> tuple[dict[str, Any], list[dict[str, Any]]] | None:
    """A story and its articles in the order in which they came; None when there is none."""
    with reading(engine) as connection:
        story = (
            connection.execute(select(models.Story.__table__).where(models.Story.id == story_id))
            .mappings()
            .first()
        )
        articles = connection.execute(
            select(models.Article.__table__)
            .where(models.Article.story_id == story_id)
            .order_by(models.Article.id)
        )
        return (dict(story), [dict(row) for row in articles.mappings()]) if story else None


@dataclass(frozen=True, slots=True)
class _Told:
    """What telling of an article's story takes: who listens, whose rules match, and its feed."""

    endpoints: Sequence[RowMapping]
    matches: Mapping[int, webhooks.Match]
    feed: RowMapping | None


@dataclass(frozen=True, slots=True)
class Judged:
    """What an endpoint's event types and rules say of a story that is there.

    `is_told`: whether it was told to anybody who wanted it; `deliveries` are those it was told to.
    """

    verdicts: Sequence[Verdict]
    is_told: bool
    deliveries: Sequence[Mapping[str, Any]]

    @property
    def wanted(self) -> bool:
        return all(verdict.passed for verdict in self.verdicts)

    def delivery_to(self, endpoint_id: int) -> Mapping[str, Any] | None:
        """What became of telling this endpoint of it: `id` and `state`."""
        own = [one for one in self.deliveries if one["endpoint_id"] == endpoint_id]
        return {"id": own[0]["id"], "state": own[0]["state"]} if own else None


def judged(
    engine: Engine, story_id: int, event_types: Collection[str], rules: Rules
) -> Judged | None:
    """What event types and rules say of a story as it stands now; None when there is none."""
    event = models.Event
    with reading(engine) as connection:
        told = connection.execute(
            select(event.id, event.body).where(event.event_key == created_key(story_id))
        ).first()
        lead = _lead(connection, story_id, told.body if told else None)
        if lead is None:
            return None
        subject = _subjects(connection, [lead])[lead["id"]]
        sources = count_sources(connection, story_id)
        delivery = models.Delivery
        mine = select(delivery.id, delivery.endpoint_id, delivery.state).where(
            delivery.event_id == (told.id if told else None)
        )
        deliveries = [dict(row) for row in connection.execute(mine).mappings()]
    subscribed = wants(event_types, STORY_CREATED)
    types = Verdict("event_types", tuple(event_types), (STORY_CREATED,), subscribed)
    verdicts = (types, *judge(rules, subject), *judge_sources(rules, sources))
    return Judged(verdicts, told is not None, deliveries)


def _lead(connection: Connection, story_id: int, body: bytes | None) -> RowMapping | None:
    """The article that a story's event tells of; of one that was not told, the first."""
    article = models.Article
    mine = select(article.__table__).where(article.story_id == story_id).order_by(article.id)
    rows = connection.execute(mine).mappings().all()
    named = json.loads(body)["data"]["article"]["id"] if body else None
    return next((row for row in rows if str(row["id"]) == named), rows[0] if rows else None)


def _publish(
    connection: Connection, row: RowMapping, claim: Claim, told: _Told
) -> Published | None:
    outcome = decide(Facts(row["id"], row["story_id"], row["silent"]), _candidate(connection, row))
    result: Literal["opened", "joined"] = "opened" if isinstance(outcome, Opens) else "joined"
    line = step("publish", claim.now, row["attempts"], result)
    values = {"stage": "done", "history": [*row["history"], line]}
    if not finish(connection, "publish", row["id"], claim.token, values):
        return None
    if isinstance(outcome, Opens):
        story_id = _open(connection, row, claim.now)
        _enter(connection, row, story_id)
        if outcome.alert:
            event = story_created(_facts(row, story_id, told.feed), claim.now)
            webhooks.tell_story(connection, event, told.endpoints, story_id, told.matches)
    else:
        story_id = outcome.story_id
        if row["story_id"] is None:
            _enter(connection, row, story_id)
            _count_in(connection, story_id, claim.now)
            key, sources = created_key(story_id), partial(count_sources, connection, story_id)
            webhooks.tell_awaited(connection, key, told.endpoints, story_id, sources, claim.now)
    _remember(connection, row, story_id)
    return Published(row["id"], result, story_id)


def count_sources(connection: Connection, story_id: int) -> int:
    """How many publishers carry a story."""
    article = models.Article
    mine = select(article.publisher, article.canonical_url).where(article.story_id == story_id)
    return len({source_of(*row) for row in connection.execute(mine)})


def _subjects(connection: Connection, rows: Sequence[RowMapping]) -> dict[int, Subject]:
    """What rules look at, by article; of all the feeds that list it, not of the first alone."""
    ids = [row["id"] for row in rows]
    listed = connection.execute(
        select(models.Entry.article_id, models.Feed.id, models.Feed.tags)
        .join(models.Feed, models.Feed.id == models.Entry.feed_id)
        .where(models.Entry.article_id.in_(ids))
    ).all()
    first = connection.execute(
        select(models.Article.id, models.Feed.id, models.Feed.tags)
        .join(models.Feed, models.Feed.id == models.Article.feed_id)
        .where(models.Article.id.in_(ids))
    ).all()
    feeds: dict[int, list[tuple[int, list[Any]]]] = {}
    for article_id, feed_id, tags in (*first, *listed):
        feeds.setdefault(article_id, []).append((feed_id, tags or []))
    return {row["id"]: _subject(row, feeds.get(row["id"], [])) for row in rows}


def _subject(row: RowMapping, feeds: Sequence[tuple[int, Sequence[str]]]) -> Subject:
    translations = (row["translations"] or {}).values()
    told = [row, *(one for one in translations if one)]
    return Subject(
        language=row["language"],
        feed_ids={feed_id for feed_id, _ in feeds},
        feed_tags={tag for _, tags in feeds for tag in tags},
        publisher=row["publisher"],
        url=row["canonical_url"],
        texts=[text for one in told for text in (one.get("title"), one.get("summary")) if text],
    )


def _candidate(connection: Connection, row: RowMapping) -> int | None:
    oldest = select(func.min(models.StoryKey.story_id)).where(models.StoryKey.key.in_(_keys(row)))
    return connection.execute(oldest).scalar()


def _keys(row: RowMapping) -> list[str]:
    return [key for key in (row["canonical_key"], row["content_hash"]) if key]


def _open(connection: Connection, row: RowMapping, now: datetime) -> int:
    statement = (
        insert(models.Story)
        .values(
            title=row["title"] or row["url"] or "",
            summary=row["summary"],
            language=row["language"],
            url=row["canonical_url"],
            article_count=1,
            opened_at=now,
            updated_at=now,
        )
        .returning(models.Story.id)
    )
    return connection.execute(statement).scalar_one()


def _enter(connection: Connection, row: RowMapping, story_id: int) -> None:
    connection.execute(
        update(models.Article).where(models.Article.id == row["id"]).values(story_id=story_id)
    )


def _remember(connection: Connection, row: RowMapping, story_id: int) -> None:
    rows = [{"key": key, "story_id": story_id} for key in _keys(row)]
    if rows:
        connection.execute(insert_new(connection, models.StoryKey), rows)


def _count_in(connection: Connection, story_id: int, now: datetime) -> None:
    connection.execute(
        update(models.Story)
        .where(models.Story.id == story_id)
        .values(article_count=models.Story.article_count + 1, updated_at=now)
    )


def _fail(connection: Connection, row: RowMapping, claim: Claim) -> Published | None:
    line = step("publish", claim.now, row["attempts"], "failed", Reason.CRASHED)
    values = {
        "stage": "failed",
        "reason": Reason.CRASHED,
        "history": [*row["history"], line],
    }
    held = finish(connection, "publish", row["id"], claim.token, values)
    return Published(row["id"], "failed", None, Reason.CRASHED) if held else None


def _facts(row: RowMapping, story_id: int, feed: RowMapping | None) -> StoryFacts:
    return StoryFacts(
        story_id=story_id,
        article_id=row["id"],
        title=row["title"] or row["url"] or "",
        summary=row["summary"],
        language=row["language"],
        url=row["canonical_url"],
        published_at=row["published_at"],
        first_seen_at=row["first_seen_at"],
        translations=row["translations"] or {},
        translation_status=row["translation_status"],
        publisher=row["publisher"],
        authors=row["authors"] or (),
        word_count=row["word_count"],
        image=row["image"],
        degradations=row["degradations"],
        feed_id=row["feed_id"],
        feed_title=feed["title"] if feed else None,
        feed_url=redacted(feed["url"]) if feed else None,
    )


def _feeds(connection: Connection, claim: Claim) -> dict[int, RowMapping]:
    ids = {row["feed_id"] for row in claim.rows if row["feed_id"] is not None}
    statement = select(models.Feed.id, models.Feed.title, models.Feed.url)
    rows = connection.execute(statement.where(models.Feed.id.in_(ids))).mappings()
    return {row["id"]: row for row in rows}
