"""Statements of the room `stories`: publish articles, and read stories back."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
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
from worker.webhooks import StoryFacts, story_created

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
                published.append(_publish(connection, row, claim, endpoints, feed))
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


def _publish(
    connection: Connection,
    row: RowMapping,
    claim: Claim,
    endpoints: Sequence[RowMapping],
    feed: RowMapping | None,
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
            event = story_created(_facts(row, story_id, feed), claim.now)
            webhooks.tell(connection, event, endpoints, story_id)
    else:
        story_id = outcome.story_id
        if row["story_id"] is None:
            _enter(connection, row, story_id)
            _count_in(connection, story_id, claim.now)
    _remember(connection, row, story_id)
    return Published(row["id"], result, story_id)


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
