"""Stories that change: what is noted, when it is told, to whom, and once."""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import pytest
from sqlalchemy import Engine, event

from tests.parallel import in_processes
from tests.store.rows import HOUR, NOON, add_article, add_feed, at_once, change, claimed, row, rows
from tests.store.test_articles import TEXT, WEATHER, fetched, processed
from tests.store.test_stories import TEXT_HASH, add_endpoint
from tests.webhooks.schemas import check_body
from worker.settings import Settings
from worker.store import articles, open_engine, stories
from worker.store.claims import claim, due_stages
from worker.store.models import Article, Delivery, Endpoint, Event, Story
from worker.store.sessions import writing
from worker.webhooks import Rules

MINUTE = timedelta(minutes=1)
LATER = NOON + MINUTE
LONG = " ".join(f"word{number}" for number in range(200))


def publish(engine: Engine, now: datetime = NOON) -> int | None:
    """Publish what is due; the story of the last article."""
    return stories.publish(engine, claimed(engine, "publish", now), MINUTE)[-1].story_id


def opened(engine: Engine, **values: Any) -> int:
    """A story of one article."""
    add_article(engine, "publish", content_hash=TEXT_HASH, **values)
    story_id = publish(engine)
    assert story_id is not None
    return story_id


def joined(engine: Engine, now: datetime = NOON, **values: Any) -> None:
    add_article(engine, "publish", content_hash=TEXT_HASH, **values)
    publish(engine, now)


def revised(
    engine: Engine, now: datetime = NOON, article_id: int | None = None, **new: Any
) -> None:
    """Have an article, the first one by default, fetched again, where its page says this now."""
    mine = article_id or rows(engine, Article)[0]["id"]
    with writing(engine) as connection:
        connection.execute(
            Article.__table__.update().where(Article.id == mine).values(stage="fetch")
        )
    articles.save_fetched(engine, claimed(engine, "fetch", now), [fetched(mine)])
    outcome = processed(mine, article=replace(WEATHER, **new), next_stage="publish")
    articles.save_processed(engine, claimed(engine, "process", now), [outcome])
    publish(engine, now)


def noted(engine: Engine) -> tuple[Sequence[str] | None, datetime | None]:
    story = row(engine, Story)
    return story["changes"], story["update_due_at"]


def tell(engine: Engine, now: datetime) -> list[int]:
    due = stories.updates_due(engine, 20, now)
    return [story_id for story_id in due if stories.tell_update(engine, story_id, now)]


def updates(engine: Engine) -> list[dict[str, Any]]:
    """The data of each update that was told; of each delivery, as far as that has its own."""
    bodies = {one["id"]: one["body"] for one in rows(engine, Event, type="story.updated")}
    for delivery in rows(engine, Delivery):
        if delivery["event_id"] in bodies and delivery["body"]:
            bodies[delivery["event_id"]] = delivery["body"]
    for body in bodies.values():
        check_body(body)
    return [json.loads(body)["data"] for body in bodies.values()]


def told(engine: Engine) -> list[str]:
    """The endpoints that are to be told of an update."""
    ids = {one["id"] for one in rows(engine, Event, type="story.updated")}
    names = {one["id"]: one["name"] for one in rows(engine, Endpoint)}
    return [names[one["endpoint_id"]] for one in rows(engine, Delivery) if one["event_id"] in ids]


class TestNoted:
    def test_a_further_article_is_told_after_a_while(self, engine: Engine) -> None:
        add_endpoint(engine)
        opened(engine)
        assert noted(engine) == (None, None)
        joined(engine)
        assert noted(engine) == (["article"], LATER)

    def test_what_follows_does_not_put_it_off(self, engine: Engine) -> None:
        add_endpoint(engine)
        opened(engine)
        joined(engine)
        joined(engine, NOON + MINUTE / 2)
        revised(engine, NOON + MINUTE / 2, title="Other")
        assert noted(engine) == (["article", "text"], LATER)

    def test_it_is_off_unless_somebody_subscribed(self, engine: Engine) -> None:
        add_endpoint(engine, event_types=["story.created"])
        opened(engine)
        joined(engine)
        revised(engine, title="Other")
        assert noted(engine) == (None, None)

    @pytest.mark.parametrize("state", ["paused", "disabled"])
    def test_it_is_kept_for_one_that_is_sent_nothing_now(self, engine: Engine, state: str) -> None:
        add_endpoint(engine)
        change(engine, Endpoint, state=state)
        opened(engine)
        joined(engine)
        assert tell(engine, LATER) == [row(engine, Story)["id"]]
        states = [one["state"] for one in rows(engine, Delivery)]
        assert states == 2 * ["held" if state == "disabled" else "pending"]

    def test_of_what_was_there_before_its_feed_was_followed_nothing_is_told(
        self, engine: Engine
    ) -> None:
        add_endpoint(engine)
        opened(engine, silent=True)
        add_article(engine, "publish")
        publish(engine)  # another story, which is told
        joined(engine)
        revised(engine, title="Other")
        assert [story["changes"] for story in rows(engine, Story)] == [None, None]

    @pytest.mark.parametrize(
        ("new", "is_told"),
        [
            ({}, False),
            ({"title": "Rain, over the HARBOUR!"}, False),
            ({"title": "Storm over the harbour"}, True),
            ({"paragraphs": (TEXT,)}, True),
            ({"paragraphs": (LONG.upper(),)}, False),
            ({"paragraphs": (f"{LONG} Mended.",)}, False),
            ({"authors": ("Somebody",), "section": "Other"}, False),
        ],
        ids=["nothing", "marks", "title", "text", "case", "a word", "about it"],
    )
    def test_a_text_that_was_edited(
        self, engine: Engine, new: dict[str, Any], is_told: bool
    ) -> None:
        add_endpoint(engine)
        opened(engine, title=WEATHER.title, text=LONG)
        revised(engine, **{"paragraphs": (LONG,), **new})
        assert noted(engine) == ((["text"], LATER) if is_told else (None, None))
        last = [line["outcome"] for line in row(engine, Article)["history"][-2:]]
        assert last == ["revised" if is_told else "processed", "joined"]

    def test_the_story_is_renewed_with_its_article(self, engine: Engine) -> None:
        opened(engine, title="Old", text=TEXT)
        revised(engine, NOON + HOUR, title="New")
        story = row(engine, Story)
        assert (story["title"], story["summary"]) == ("New", "Forty words.")
        assert (story["url"], story["updated_at"]) == ("https://www.example.org/rain", NOON + HOUR)
        assert (story["article_count"], story["opened_at"]) == (1, NOON)

    def test_a_text_of_another_of_its_articles_is_not_the_storys(self, engine: Engine) -> None:
        add_endpoint(engine)
        opened(engine, title="First")
        joined(engine, title="Second", text=TEXT)
        tell(engine, LATER)
        revised(engine, LATER, rows(engine, Article)[1]["id"], title="Other")
        assert noted(engine) == (None, None)
        assert row(engine, Story)["title"] == "First"

    def test_the_storys_article_is_the_one_that_was_told(self, engine: Engine) -> None:
        """Which need not be the one that was listed first."""
        add_endpoint(engine)
        slow = add_article(engine, "fetch", content_hash=TEXT_HASH, title="Slow")
        opened(engine, title="Quick", text=TEXT)
        with writing(engine) as connection:
            mine = Article.__table__.update().where(Article.id == slow)
            connection.execute(mine.values(stage="publish"))
        publish(engine)
        assert tell(engine, LATER)
        (data,) = updates(engine)
        assert (data["story"]["title"], data["story"]["article_count"]) == ("Quick", 2)

    def test_a_page_that_is_gone_is_no_news(self, engine: Engine) -> None:
        add_endpoint(engine)
        opened(engine, title="Old", text=TEXT)
        gone = [{"stage": "fetch", "reason": "gone"}]
        history = [{"stage": "fetch", "outcome": "degraded"}]
        change(engine, Article, stage="process", degradations=gone, history=history)
        outcome = processed(row(engine, Article)["id"], next_stage="publish")
        articles.save_processed(engine, claimed(engine, "process"), [outcome])
        publish(engine)
        assert noted(engine) == (None, None)

    def test_an_edit_is_noted_once(self, engine: Engine) -> None:
        """However often its article is published afterwards: translations may come late."""
        add_endpoint(engine)
        opened(engine, text=TEXT)
        revised(engine, title="Other")
        assert tell(engine, LATER)
        change(engine, Article, stage="publish")
        publish(engine)
        assert noted(engine) == (None, None)

    def test_cleaned_again_from_its_kept_pages_it_tells_nobody(self, engine: Engine) -> None:
        add_endpoint(engine)
        opened(engine, title="Old", text=TEXT)
        change(engine, Article, stage="process")
        outcome = processed(row(engine, Article)["id"], next_stage="publish")
        articles.save_processed(engine, claimed(engine, "process"), [outcome])
        publish(engine)
        assert noted(engine) == (None, None)
        assert row(engine, Story)["title"] == WEATHER.title

    def test_a_translation_that_came_late(self, engine: Engine) -> None:
        add_endpoint(engine)
        story_id = opened(engine)
        for _ in range(2):
            with writing(engine) as connection:
                stories.changed(connection, story_id, "translation", NOON, MINUTE)
        assert noted(engine) == (["translation"], LATER)


class TestTold:
    def test_it_tells_the_story_as_it_stands(self, engine: Engine) -> None:
        add_endpoint(engine)
        feed_id = add_feed(engine, title="A feed")
        story_id = opened(
            engine, feed_id=feed_id, publisher="One", title="Banjir", language="id",
            section="Daerah", tags=["daerah", "Cuaca"], credited_sources=["Antara"],
            translations={"en": None}, translation_status="waiting",
        )  # fmt: skip
        joined(engine, publisher="Two")
        joined(engine, publisher="one")
        joined(engine, publisher=None, canonical_url="https://www.three.example/1")
        translated = {"title": "Flood", "summary": None, "engine": "x", "model": "y", "quality": []}
        with writing(engine) as connection:
            connection.execute(
                Article.__table__.update()
                .where(Article.title == "Banjir")
                .values(translations={"en": translated}, translation_status="translated")
            )
            stories.changed(connection, story_id, "translation", NOON, MINUTE)
        assert tell(engine, LATER - MINUTE / 60) == []
        assert tell(engine, LATER) == [story_id]

        (data,) = updates(engine)
        assert data["changes"] == ["article", "translation"]
        story = data["story"]
        assert (story["id"], story["title"], story["language"]) == (str(story_id), "Banjir", "id")
        assert (story["article_count"], story["publishers"]) == (4, ["One", "Two", "three.example"])
        assert (story["topics"], story["translation_status"]) == (["Daerah", "Cuaca"], "translated")
        assert story["translations"] == {"en": translated}
        assert data["article"]["credited_sources"] == ["Antara"]
        assert data["feed"]["title"] == "A feed"
        told_of = row(engine, Event, type="story.updated")
        assert told_of["event_key"] == f"story.updated:{story_id}:1"
        assert (told_of["story_id"], told_of["occurred_at"]) == (story_id, LATER)
        assert told(engine) == ["desk"]

    def test_the_next_change_is_another_update(self, engine: Engine) -> None:
        add_endpoint(engine)
        story_id = opened(engine)
        for number in (1, 2):
            joined(engine, NOON + number * HOUR)
            assert tell(engine, NOON + number * HOUR + MINUTE) == [story_id]
            assert noted(engine) == (None, None)
            assert tell(engine, NOON + number * HOUR + MINUTE) == []
        keys = [one["event_key"] for one in rows(engine, Event)]
        assert keys[1:] == [f"story.updated:{story_id}:{number}" for number in (1, 2)]
        assert [data["story"]["article_count"] for data in updates(engine)] == [2, 3]
        assert row(engine, Story)["updates"] == 2

    def test_the_rules_are_asked_again_and_say_why(self, engine: Engine) -> None:
        """A story may pass them only now, when its translation is there."""
        add_endpoint(engine, "flood", rules=Rules(any_of=("flood",)))
        add_endpoint(engine, "snow", rules=Rules(any_of=("snow",)))
        add_endpoint(engine, "topic", rules=Rules(topics=("weather",), min_sources=2))
        add_endpoint(engine, "three", rules=Rules(min_sources=3))
        add_endpoint(engine, "deaf", event_types=["story.created"])
        opened(engine, title="Banjir", publisher="One", section="Weather")
        change(engine, Article, translations={"en": {"title": "Flood", "summary": None}})
        joined(engine, publisher="Two", section="Other", title="Else")
        assert tell(engine, LATER)
        assert told(engine) == ["flood", "topic"]
        of_update = row(engine, Event, type="story.updated")["id"]
        reasons = [
            json.loads(one["body"])["data"]["reason"]["rules"]
            for one in rows(engine, Delivery, event_id=of_update)
        ]
        assert reasons == [
            [{"rule": "any_of", "matched": ["flood"]}],
            [{"rule": "topics", "matched": ["weather"]}, {"rule": "min_sources", "matched": ["2"]}],
        ]

    def test_an_article_on_its_way_is_waited_for(self, engine: Engine) -> None:
        """Its text is new; its translations would be missing for a moment."""
        add_endpoint(engine)
        story_id = opened(engine)
        joined(engine)
        change(engine, Article, stage="translate", translate_by=LATER + MINUTE)
        assert tell(engine, LATER) == []
        assert noted(engine) == (["article"], LATER + timedelta(seconds=5))
        change(engine, Article, stage="publish", translate_by=None)
        assert tell(engine, LATER + MINUTE) == []
        change(engine, Article, stage="done")
        assert tell(engine, LATER + 2 * MINUTE) == [story_id]

    @pytest.mark.parametrize("stage", ["fetch", "process", "translate", "failed"])
    def test_one_that_may_take_long_is_not(self, engine: Engine, stage: str) -> None:
        add_endpoint(engine)
        story_id = opened(engine)
        joined(engine)
        change(engine, Article, stage=stage)
        assert tell(engine, LATER) == [story_id]

    def test_the_stage_that_does_it_has_something_due(self, engine: Engine) -> None:
        add_endpoint(engine)
        opened(engine)
        joined(engine)
        change(engine, Endpoint, state="paused")
        assert due_stages(engine, NOON) == []
        assert due_stages(engine, LATER) == ["publish"]
        tell(engine, LATER)
        assert due_stages(engine, LATER) == []

    def test_event_and_story_stand_or_fall_together(self, engine: Engine) -> None:
        add_endpoint(engine)
        opened(engine)
        joined(engine)
        before = row(engine, Story)

        def fail(*arguments: Any) -> None:
            if "INSERT INTO deliveries" in arguments[2]:
                raise ConnectionError("gone in the middle")

        event.listen(engine, "after_cursor_execute", fail)
        with pytest.raises(ConnectionError, match="gone in the middle"):
            tell(engine, LATER)
        event.remove(engine, "after_cursor_execute", fail)
        assert row(engine, Story) == before
        assert len(rows(engine, Event)) == 1
        assert tell(engine, LATER) == [before["id"]]

    def test_the_endpoint_test_says_what_came_of_it(self, engine: Engine) -> None:
        add_endpoint(engine, event_types=["story.updated"])
        endpoint = row(engine, Endpoint)["id"]
        story_id = opened(engine, section="Weather")
        rules = Rules(topics=("weather", "rain"))
        before = stories.judged(engine, story_id, ["story.updated"], rules)
        assert before is not None
        assert not before.wanted  # it was never updated
        joined(engine)
        tell(engine, LATER)
        after = stories.judged(engine, story_id, ["story.updated"], rules)
        assert after is not None
        assert after.wanted
        assert [(one.rule, one.found) for one in after.verdicts] == [
            ("event_types", ("story.created", "story.updated")), ("topics", ("weather",)),
        ]  # fmt: skip
        delivery = after.delivery_to(endpoint)
        assert delivery == {"id": row(engine, Delivery)["id"], "state": "pending"}


@pytest.mark.slow
class TestAtOnce:
    def test_eight_tell_of_it_once(self, engine: Engine, store_settings: Settings) -> None:
        add_endpoint(engine)
        opened(engine)
        joined(engine)
        engines = [open_engine(store_settings) for _ in range(8)]
        results = at_once(*(partial(tell, one, LATER) for one in engines))
        for one in engines:
            one.dispose()
        assert sum(map(len, results)) == 1
        assert len(updates(engine)) == len(told(engine)) == 1
        assert noted(engine) == (None, None)

    def test_eight_processes_join_and_tell(self, engine: Engine, store_settings: Settings) -> None:
        """No change is lost, however they meet."""
        add_endpoint(engine)
        opened(engine)
        for _ in range(24):
            add_article(engine, "publish", content_hash=TEXT_HASH)
        in_processes(8, join_and_tell, store_settings)
        tell(engine, NOON + HOUR)
        assert noted(engine) == (None, None)
        counts = [data["story"]["article_count"] for data in updates(engine)]
        assert counts[-1] == 25
        assert counts == sorted(counts)
        story = row(engine, Story)
        keys = [one["event_key"] for one in rows(engine, Event, type="story.updated")]
        assert keys == [f"story.updated:{story['id']}:{n + 1}" for n in range(story["updates"])]


def join_and_tell(settings: Settings) -> None:
    """Publish until nothing is left, and tell of each change at once; runs in its own process."""
    engine = open_engine(settings)
    while batch := claim(engine, "publish", 1, HOUR, NOON):
        stories.publish(engine, batch, timedelta(0))
        tell(engine, NOON)
    engine.dispose()
