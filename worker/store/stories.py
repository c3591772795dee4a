"""Statements of the room `stories`: publish articles, and read stories back."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Literal

from sqlalchemy import Connection, Engine, RowMapping, func, insert, select, text, update

from worker.http import redacted
from worker.reasons import Reason
from worker.store import models, tallies, webhooks
from worker.store.articles import step, was_revised, was_translated
from worker.store.claims import MAX_EXPIRIES, Claim, finish
from worker.store.dialects import insert_new
from worker.store.sessions import read_now, reading, writing
from worker.stories import Facts, Opens, decide, topics
from worker.webhooks import (
    Rules,
    StoryFacts,
    StoryUpdate,
    Subject,
    Verdict,
    judge,
    judge_sources,
    source_of,
    story_created,
    story_updated,
    wants,
)
from worker.webhooks.events import STORY_CREATED, STORY_UPDATED, Change, created_key

_PUBLISH_LOCK = 0x6B61626172  # one publisher at a time decides what is new
_ON_ITS_WAY = timedelta(
    seconds=5
)  # until an article that goes through the stages is looked at again
_NOT_TOLD = ("text", "lead", "feed_entry")


@dataclass(frozen=True, slots=True)
class Published:
    """What became of a claimed article."""

    article_id: int
    result: Literal["opened", "joined", "failed"]
    story_id: int | None
    reason: Reason | None = None


def publish(engine: Engine, claim: Claim, update_wait: timedelta = timedelta(0)) -> list[Published]:
    """Let each claimed article open or join its story, with event and deliveries, in one
    transaction; articles whose lease was lost meanwhile are left out. `update_wait` is for
    `changed`.

    Publishers take turns, so that two articles of one story never both open it. An article whose
    publishing took its process down three times ends as failed.
    """
    with reading(engine) as connection:
        feeds = _feeds(connection, claim.rows)
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
                told = _Told(endpoints, matches[row["id"]], feed, update_wait)
                published.append(_publish(connection, row, claim, told))
        held = [one for one in published if one]
        tallies.add(connection, "publish", claim.now, [(one.result, one.reason) for one in held])
    return held


def changed(
    connection: Connection, story_id: int, change: Change, now: datetime, wait: timedelta
) -> None:
    """Note that a story changed: who wants to hear of that is told after `wait`, of all that
    changed by then.

    Nothing is noted of a story that was never told, or while nobody listens.
    """
    if not webhooks.is_anybody_told(connection, STORY_UPDATED):
        return
    story, event = models.Story, models.Event
    was_told = select(event.id).where(event.event_key == created_key(story_id)).exists()
    mine = select(story.changes, story.update_due_at).where(story.id == story_id, was_told)
    noted = connection.execute(mine.with_for_update()).first()
    if noted is not None:
        values = {
            "changes": list(dict.fromkeys([*(noted.changes or ()), change])),
            "update_due_at": noted.update_due_at or now + wait,
        }
        connection.execute(update(story).where(story.id == story_id).values(values))


def updates_due(engine: Engine, limit: int, now: datetime | None = None) -> list[int]:
    """Up to `limit` stories whose changes are to be told now."""
    story = models.Story
    with reading(engine) as connection:
        due = select(story.id).where(story.update_due_at <= (now or read_now(connection)))
        return list(connection.scalars(due.order_by(story.update_due_at).limit(limit)))


def tell_update(engine: Engine, story_id: int, now: datetime | None = None) -> bool:
    """Tell how a story changed, as it stands now; False when it is not due (any more).

    However many processes do this, it is told once. If its article is on its way through the stages
    again, it is due when that has arrived.
    """
    with reading(engine) as connection:
        now = now or read_now(connection)
        lead = _lead(connection, story_id)
        rows = [lead] if lead else []
        feeds, subjects = _feeds(connection, rows), _subjects(connection, rows)
        rules = webhooks.rules(connection, STORY_UPDATED)
    # Before the transaction, for which others may wait.
    matches = webhooks.matching(rules, subjects[lead["id"]]) if lead else {}
    feed = feeds.get(lead["feed_id"]) if lead else None
    with writing(engine) as connection:
        told = _Told(webhooks.listeners(connection), matches, feed)
        return _tell_update(connection, story_id, told, now)


def put_off(engine: Engine, story_id: int, wait: timedelta) -> None:
    """Tell how a story changed no sooner than after `wait`."""
    story = models.Story
    with writing(engine) as connection:
        mine = update(story).where(story.id == story_id, story.update_due_at.is_not(None))
        connection.execute(mine.values(update_due_at=read_now(connection) + wait))


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
    """What telling of an article's story takes: who listens, whose rules match, its feed, and how
    long changes wait.
    """

    endpoints: Sequence[RowMapping]
    matches: Mapping[int, webhooks.Match]
    feed: RowMapping | None
    update_wait: timedelta = timedelta(0)


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
    delivery, event = models.Delivery, models.Event
    with reading(engine) as connection:
        lead = _lead(connection, story_id)
        if lead is None:
            return None
        subject = _subjects(connection, [lead])[lead["id"]]
        sources = count_sources(connection, story_id)
        told = connection.scalars(
            select(event.type).where(event.story_id == story_id).order_by(event.id)
        )
        types = tuple(dict.fromkeys(told))
        mine = (
            select(delivery.id, delivery.endpoint_id, delivery.state)
            .join(event, event.id == delivery.event_id)
            .where(event.story_id == story_id)
            .order_by(delivery.id)
        )
        deliveries = [dict(row) for row in connection.execute(mine).mappings()]
    found = types or (STORY_CREATED,)
    subscribed = any(wants(event_types, one) for one in found)
    of_types = Verdict("event_types", tuple(event_types), found, subscribed)
    verdicts = (of_types, *judge(rules, subject), *judge_sources(rules, sources))
    return Judged(verdicts, bool(types), deliveries)


def _lead(connection: Connection, story_id: int) -> RowMapping | None:
    """The article that a story's events tell of."""
    article = models.Article
    columns = [column for column in article.__table__.c if column.name not in _NOT_TOLD]
    mine = select(*columns).where(article.id == _lead_id(connection, story_id))
    return connection.execute(mine).mappings().first()


def _lead_id(connection: Connection, story_id: int) -> int | None:
    """The one that the first event tells of; of a story that was not told, the first article."""
    article, event = models.Article, models.Event
    key = created_key(story_id)
    body = connection.scalar(select(event.body).where(event.event_key == key))
    told = int(json.loads(body)["data"]["article"]["id"]) if body else 0
    mine = select(article.id).where(article.story_id == story_id)
    return connection.scalar(mine.order_by(article.id != told, article.id).limit(1))


def _publish(
    connection: Connection, row: RowMapping, claim: Claim, told: _Told
) -> Published | None:
    outcome = decide(Facts(row["id"], row["story_id"], row["silent"]), _candidate(connection, row))
    result: Literal["opened", "joined"] = "opened" if isinstance(outcome, Opens) else "joined"
    line = step("publish", claim.now, row["attempts"], result)
    is_waiting = row["translation_status"] == "waiting"
    stage = "translate" if is_waiting else "done"
    values = {"stage": stage, "history": [*row["history"], line]}
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
            changed(connection, story_id, "article", claim.now, told.update_wait)
        elif row["id"] == _lead_id(connection, story_id):
            _renew(connection, row, story_id, claim.now)
            if was_revised(row):
                changed(connection, story_id, "text", claim.now, told.update_wait)
            elif was_translated(row):
                changed(connection, story_id, "translation", claim.now, told.update_wait)
    _remember(connection, row, story_id)
    return Published(row["id"], result, story_id)


def _tell_update(connection: Connection, story_id: int, told: _Told, now: datetime) -> bool:
    story = models.Story
    due = select(story.changes, story.updates, story.article_count).where(
        story.id == story_id, story.update_due_at <= now
    )
    noted = connection.execute(due.with_for_update(skip_locked=True)).mappings().first()
    if noted is None:  # somebody else tells of it
        return False
    mine = update(story).where(story.id == story_id)
    lead = _lead(connection, story_id)
    if lead is not None and _is_on_its_way(lead):
        connection.execute(mine.values(update_due_at=now + _ON_ITS_WAY))
        return False
    number = noted["updates"] + 1
    connection.execute(mine.values(update_due_at=None, changes=None, updates=number))
    if lead is None:
        return False
    publishers = _publishers(connection, story_id)
    facts = StoryUpdate(
        facts=_facts(lead, story_id, told.feed),
        number=number,
        changes=noted["changes"],
        article_count=noted["article_count"],
        publishers=publishers,
    )
    webhooks.tell_update(
        connection,
        story_updated(facts, now),
        told.endpoints,
        story_id,
        told.matches,
        len(publishers),
    )
    return True


def _is_on_its_way(lead: RowMapping) -> bool:
    """Whether an article's text is new, and its translations are not there yet but soon."""
    is_waited_for = lead["stage"] == "translate" and lead["translate_by"] is not None
    return is_waited_for or lead["stage"] == "publish"


def count_sources(connection: Connection, story_id: int) -> int:
    """How many publishers carry a story."""
    return len(_publishers(connection, story_id))


def _publishers(connection: Connection, story_id: int) -> list[str]:
    """Who carries a story, in the order in which they came."""
    article = models.Article
    mine = select(article.publisher, article.canonical_url).where(article.story_id == story_id)
    found: dict[str, str] = {}
    for publisher, url in connection.execute(mine.order_by(article.id)):
        source = source_of(publisher, url)
        found.setdefault(source, publisher or source)
    return list(found.values())


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
        topics=topics(row["section"], row["tags"] or ()),
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
        .values(article_count=1, opened_at=now, updated_at=now, **_shown(row))
        .returning(models.Story.id)
    )
    return connection.execute(statement).scalar_one()


def _renew(connection: Connection, row: RowMapping, story_id: int, now: datetime) -> None:
    mine = update(models.Story).where(models.Story.id == story_id)
    connection.execute(mine.values(updated_at=now, **_shown(row)))


def _shown(row: RowMapping) -> dict[str, Any]:
    return {
        "title": row["title"] or row["url"] or "",
        "summary": row["summary"],
        "language": row["language"],
        "url": row["canonical_url"],
    }


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
        credited_sources=row["credited_sources"] or (),
        topics=topics(row["section"], row["tags"] or ()),
        word_count=row["word_count"],
        image=row["image"],
        degradations=row["degradations"],
        feed_id=row["feed_id"],
        feed_title=feed["title"] if feed else None,
        feed_url=redacted(feed["url"]) if feed else None,
    )


def _feeds(connection: Connection, rows: Sequence[RowMapping]) -> dict[int, RowMapping]:
    ids = {row["feed_id"] for row in rows if row["feed_id"] is not None}
    statement = select(models.Feed.id, models.Feed.title, models.Feed.url)
    found = connection.execute(statement.where(models.Feed.id.in_(ids))).mappings()
    return {feed["id"]: feed for feed in found}
