import json
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from sqlalchemy import Engine, event, insert

from tests.parallel import in_processes
from tests.store import outbox
from tests.store.rows import (
    HOUR,
    LEASE,
    NOON,
    add_article,
    add_feed,
    at_once,
    change,
    claimed,
    row,
    rows,
)
from tests.webhooks.schemas import check_body
from worker.reasons import Reason
from worker.settings import Settings
from worker.store import open_engine, stories, webhooks
from worker.store.claims import claim
from worker.store.models import (
    Article,
    Awaited,
    Delivery,
    Endpoint,
    Entry,
    Event,
    Story,
)
from worker.store.sessions import writing
from worker.store.stories import Published
from worker.webhooks import Rules, generate_secret
from worker.webhooks.events import EVENT_TYPES

TEXT_HASH = "c" * 64


def add_endpoint(engine: Engine, name: str = "desk", **values: Any) -> None:
    subscribed = {"event_types": EVENT_TYPES, **values}
    assert webhooks.add(engine, name, f"https://{name}.example/", generate_secret(), **subscribed)


def publish(engine: Engine) -> list[Published]:
    return stories.publish(engine, claimed(engine, "publish"))


class TestOpen:
    def test_an_article_opens_a_story_with_event_and_deliveries(self, engine: Engine) -> None:
        add_endpoint(engine, "desk")
        add_endpoint(engine, "night")
        add_endpoint(engine, "deaf", event_types=["story.updated"])
        feed_id = add_feed(engine, title="A feed")
        article_id = add_article(
            engine, "publish", feed_id=feed_id, title="Rain", summary="It rains.", authors=["B"],
            credited_sources=["Antara"], section="Weather", tags=["weather", "rain"],
        )  # fmt: skip
        (published,) = publish(engine)

        story = row(engine, Story)
        assert published == Published(article_id, "opened", story["id"])
        assert (story["title"], story["summary"], story["language"]) == ("Rain", "It rains.", "en")
        assert (story["article_count"], story["opened_at"]) == (1, NOON)
        article = row(engine, Article)
        assert (article["stage"], article["story_id"]) == ("done", story["id"])
        assert article["history"][-1]["outcome"] == "opened"
        told = row(engine, Event)
        assert (told["type"], told["story_id"]) == ("story.created", story["id"])
        body = json.loads(told["body"])
        assert body["type"] == "story.created"
        assert body["data"]["story"]["id"] == str(story["id"])
        assert body["data"]["story"]["title"] == "Rain"
        assert body["data"]["story"]["topics"] == ["Weather", "rain"]
        assert body["data"]["article"]["credited_sources"] == ["Antara"]
        check_body(told["body"])
        assert body["data"]["feed"] == {
            "id": str(feed_id),
            "title": "A feed",
            "url": "https://example.org/feed",
        }
        endpoints = {endpoint["id"]: endpoint["name"] for endpoint in rows(engine, Endpoint)}
        assert {
            (endpoints[delivery["endpoint_id"]], delivery["state"], delivery["due_at"])
            for delivery in rows(engine, Delivery)
        } == {("desk", "pending", NOON), ("night", "pending", NOON)}
        assert claim(engine, "deliver", 10, LEASE) is not None

    def test_a_silent_article_opens_without_an_event(self, engine: Engine) -> None:
        add_endpoint(engine)
        add_article(engine, "publish", silent=True)
        (published,) = publish(engine)
        assert published.result == "opened"
        assert row(engine, Story)["id"] == published.story_id
        assert rows(engine, Event) == rows(engine, Delivery) == []

    def test_what_is_for_a_disabled_endpoint_is_held_with_the_reason(self, engine: Engine) -> None:
        add_endpoint(engine)
        change(engine, Endpoint, state="disabled")
        add_article(engine, "publish")
        publish(engine)
        held = row(engine, Delivery)
        assert (held["state"], held["reason"]) == ("held", "endpoint_disabled")

    def test_what_is_for_a_paused_endpoint_waits(self, engine: Engine) -> None:
        add_endpoint(engine)
        change(engine, Endpoint, state="paused")
        add_article(engine, "publish")
        publish(engine)
        assert row(engine, Delivery)["state"] == "pending"
        assert claim(engine, "deliver", 10, LEASE) is None

    def test_without_endpoints_the_event_is_kept(self, engine: Engine) -> None:
        add_article(engine, "publish")
        publish(engine)
        assert len(rows(engine, Event)) == 1

    def test_two_articles_of_one_batch_are_one_story(self, engine: Engine) -> None:
        add_endpoint(engine)
        first = add_article(engine, "publish", content_hash=TEXT_HASH)
        second = add_article(engine, "publish", content_hash=TEXT_HASH)
        published = publish(engine)
        story_id = row(engine, Story)["id"]
        assert published == [
            Published(first, "opened", story_id),
            Published(second, "joined", story_id),
        ]
        assert len(rows(engine, Event)) == len(rows(engine, Delivery)) == 1


def told(engine: Engine) -> list[tuple[str, Any]]:
    """Who is to be told, with the reason in the body that is sent; in the order of deliveries."""
    names = {one["id"]: one["name"] for one in rows(engine, Endpoint)}
    change(engine, Endpoint, due_at=NOON)
    batch = claim(engine, "deliver", 10, LEASE, NOON + HOUR)
    if batch is None:
        return []
    begun = []
    for one in batch.rows:
        sent = outbox.begin(engine, batch, one["id"], 10, NOON + HOUR)
        for each in sent:
            check_body(each.body)
        begun += [(names[one["id"]], json.loads(each.body)["data"]["reason"]) for each in sent]
    return begun


class TestRules:
    def test_only_those_whose_rules_match_are_told_and_why(self, engine: Engine) -> None:
        tagged = add_feed(engine, tags=["daerah/lembah"])
        other = add_feed(engine, "https://example.org/other")
        add_endpoint(engine, "all")
        add_endpoint(engine, "tag", rules=Rules(feed_tags=("daerah",)))
        add_endpoint(engine, "feed", rules=Rules(feeds=(other,)))
        add_endpoint(engine, "word", rules=Rules(all_of=("banjir", "flood"), languages=("id",)))
        add_endpoint(engine, "topic", rules=Rules(topics=("CUACA", "olahraga")))
        add_endpoint(engine, "sport", rules=Rules(topics=("olahraga",)))
        add_endpoint(engine, "english", rules=Rules(languages=("en",)))
        add_endpoint(engine, "calm", rules=Rules(none_of=("flood*",)))
        translations = {"en": {"title": "Flood", "summary": None}, "fr": None}
        article = add_article(
            engine, "publish", feed_id=tagged, title="Banjir", language="id",
            translations=translations, section="Daerah", tags=["Cuaca"],
        )  # fmt: skip
        with writing(engine) as connection:
            connection.execute(
                insert(Entry).values(
                    feed_id=other, identity="x", article_id=article, revision="",
                    first_seen_at=NOON, seen_at=NOON,
                )
            )  # fmt: skip
        publish(engine)
        assert told(engine) == [
            ("all", {"rules": []}),
            ("tag", {"rules": [{"rule": "feed_tags", "matched": ["daerah"]}]}),
            ("feed", {"rules": [{"rule": "feeds", "matched": [str(other)]}]}),
            ("word", {"rules": [{"rule": "languages", "matched": ["id"]},
                                {"rule": "all_of", "matched": ["banjir", "flood"]}]}),
            ("topic", {"rules": [{"rule": "topics", "matched": ["CUACA"]}]}),
        ]  # fmt: skip
        assert len({one["event_id"] for one in rows(engine, Delivery)}) == 1

    def test_some_are_told_when_enough_publishers_carry_it(self, engine: Engine) -> None:
        add_endpoint(engine, "wire", rules=Rules(min_sources=2, any_of=("rain",)))
        add_endpoint(engine, "three", rules=Rules(min_sources=3))
        add_endpoint(engine, "snow", rules=Rules(min_sources=2, any_of=("snow",)))
        add_endpoint(engine, "deaf", event_types=["feed.failing"], rules=Rules(min_sources=2))
        for publisher in ("One", "one", "Two"):
            assert told(engine) == []
            add_article(
                engine, "publish", publisher=publisher, content_hash=TEXT_HASH, title="Rain"
            )
            publish(engine)
        assert told(engine) == [
            ("wire", {"rules": [{"rule": "any_of", "matched": ["rain"]},
                                {"rule": "min_sources", "matched": ["2"]}]}),
        ]  # fmt: skip
        (left,) = rows(engine, Awaited)
        assert left["endpoint_id"] == row(engine, Endpoint, name="three")["id"]
        add_article(engine, "publish", publisher="Three", content_hash=TEXT_HASH)
        publish(engine)
        assert told(engine) == [("three", {"rules": [{"rule": "min_sources", "matched": ["3"]}]})]
        assert rows(engine, Awaited) == []
        assert len(rows(engine, Event)) == 1

    def test_of_a_silent_story_nobody_is_told_later_either(self, engine: Engine) -> None:
        add_endpoint(engine, rules=Rules(min_sources=2))
        for publisher in ("One", "Two"):
            add_article(engine, "publish", publisher=publisher, content_hash=TEXT_HASH, silent=True)
            publish(engine)
        assert rows(engine, Awaited) == rows(engine, Delivery) == []

    def test_nobody_waits_for_an_endpoint_that_was_removed(self, engine: Engine) -> None:
        add_endpoint(engine, rules=Rules(min_sources=2))
        add_article(engine, "publish", publisher="One", content_hash=TEXT_HASH)
        publish(engine)
        assert len(rows(engine, Awaited)) == 1
        webhooks.remove(engine, row(engine, Endpoint)["id"])
        assert rows(engine, Awaited) == []

    def test_after_a_week_nobody_waits_any_more(self, engine: Engine) -> None:
        add_endpoint(engine, rules=Rules(min_sources=2))
        add_article(engine, "publish", publisher="One", content_hash=TEXT_HASH)
        publish(engine)
        week = timedelta(days=7)
        assert webhooks.stop_waiting(engine, week, NOON + week) == 0
        assert webhooks.stop_waiting(engine, week, NOON + week + HOUR) == 1
        add_article(engine, "publish", publisher="Two", content_hash=TEXT_HASH)
        publish(engine)
        assert rows(engine, Awaited) == rows(engine, Delivery) == []

    def test_rules_hold_from_when_they_are_given(self, engine: Engine) -> None:
        add_endpoint(engine)
        endpoint = row(engine, Endpoint)["id"]
        webhooks.route(engine, endpoint, ["story.created"], Rules(languages=("id",)))
        add_article(engine, "publish", language="en")
        publish(engine)
        assert rows(engine, Delivery) == []
        webhooks.route(engine, endpoint, ["story.created"], Rules())
        add_article(engine, "publish", language="en")
        publish(engine)
        assert row(engine, Delivery)["body"] is None


class TestJoin:
    @pytest.mark.parametrize("shared", [{"canonical_key": "same"}, {"content_hash": TEXT_HASH}])
    def test_an_article_joins_by_url_or_content(
        self, engine: Engine, shared: dict[str, str]
    ) -> None:
        add_endpoint(engine)
        add_article(engine, "publish", **shared)
        (opened,) = publish(engine)
        second = add_article(engine, "publish", **shared, due_at=NOON + HOUR)
        (joined,) = stories.publish(engine, claimed(engine, "publish", NOON + HOUR))

        assert joined == Published(second, "joined", opened.story_id)
        story = row(engine, Story)
        assert (story["article_count"], story["updated_at"]) == (2, NOON + HOUR)
        assert row(engine, Article, id=second)["story_id"] == opened.story_id
        assert len(rows(engine, Event)) == 1

    def test_the_oldest_of_two_stories_is_joined(self, engine: Engine) -> None:
        add_article(engine, "publish", canonical_key="old")
        add_article(engine, "publish", content_hash=TEXT_HASH)
        old, _ = publish(engine)
        add_article(engine, "publish", canonical_key="old", content_hash=TEXT_HASH)
        (joined,) = publish(engine)
        assert joined.story_id == old.story_id

    def test_short_texts_and_missing_urls_are_no_bond(self, engine: Engine) -> None:
        """Articles of entries without a link have neither URL nor, when short, content."""
        for _ in range(3):
            add_article(engine, "publish", url=None, canonical_url=None, canonical_key=None)
        assert [published.result for published in publish(engine)] == 3 * ["opened"]
        assert len(rows(engine, Story)) == 3

    def test_an_article_without_a_link_joins_by_content(self, engine: Engine) -> None:
        add_article(engine, "publish", content_hash=TEXT_HASH)
        bare = {"url": None, "canonical_url": None, "canonical_key": None}
        add_article(engine, "publish", **bare, content_hash=TEXT_HASH)
        assert [published.result for published in publish(engine)] == ["opened", "joined"]

    def test_an_update_stays_in_its_story_and_tells_nobody(self, engine: Engine) -> None:
        add_endpoint(engine)
        article_id = add_article(engine, "publish")
        (opened,) = publish(engine)
        change(engine, Article, stage="publish", canonical_key="moved")
        (again,) = publish(engine)
        assert again == Published(article_id, "joined", opened.story_id)
        assert row(engine, Story)["article_count"] == 1
        assert len(rows(engine, Event)) == len(rows(engine, Delivery)) == 1

    def test_what_joins_a_silent_story_is_silent(self, engine: Engine) -> None:
        add_article(engine, "publish", content_hash=TEXT_HASH, silent=True)
        publish(engine)
        add_article(engine, "publish", content_hash=TEXT_HASH)
        assert publish(engine)[0].result == "joined"
        assert rows(engine, Event) == []


class TestFailure:
    def test_three_expiries_end_an_article(self, engine: Engine) -> None:
        add_endpoint(engine)
        poison = add_article(engine, "publish", expiries=3)
        good = add_article(engine, "publish")
        published = publish(engine)
        assert Published(poison, "failed", None, Reason.CRASHED) in published
        article = row(engine, Article, id=poison)
        assert (article["stage"], article["reason"], article["story_id"]) == (
            "failed",
            "crashed",
            None,
        )
        assert (article["history"][-1]["outcome"], article["history"][-1]["reason"]) == (
            "failed",
            "crashed",
        )
        assert row(engine, Article, id=good)["stage"] == "done"
        assert len(rows(engine, Event)) == 1

    def test_a_late_publisher_changes_nothing(self, engine: Engine) -> None:
        add_endpoint(engine)
        add_article(engine, "publish")
        add_article(engine, "publish", expiries=3)
        late = claimed(engine, "publish")
        for _ in late.rows:
            claimed(engine, "publish", NOON + HOUR)
        before = rows(engine, Article)
        assert stories.publish(engine, late) == []
        assert rows(engine, Article) == before
        assert rows(engine, Story) == rows(engine, Event) == []

    def test_story_and_event_stand_or_fall_together(self, engine: Engine) -> None:
        """An error after the outbox was written: nothing of it stays."""
        add_endpoint(engine)
        add_article(engine, "publish")
        batch = claimed(engine, "publish")
        before = rows(engine, Article)

        def fail(*arguments: Any) -> None:
            if "INSERT INTO deliveries" in arguments[2]:
                raise ConnectionError("gone in the middle")

        event.listen(engine, "after_cursor_execute", fail)
        with pytest.raises(ConnectionError, match="gone in the middle"):
            stories.publish(engine, batch)
        event.remove(engine, "after_cursor_execute", fail)

        assert rows(engine, Story) == rows(engine, Event) == rows(engine, Delivery) == []
        assert rows(engine, Article) == before
        assert len(stories.publish(engine, batch)) == 1
        assert len(rows(engine, Story)) == len(rows(engine, Event)) == len(rows(engine, Delivery))


class TestAtOnce:
    def test_eight_publishers_open_one_story(
        self, engine: Engine, store_settings: Settings
    ) -> None:
        add_endpoint(engine, "desk")
        add_endpoint(engine, "night")
        for _ in range(8):
            add_article(engine, "publish", content_hash=TEXT_HASH)
        batches = [claimed(engine, "publish", limit=1) for _ in range(8)]
        engines = [open_engine(store_settings) for _ in batches]
        published = at_once(
            *(partial(stories.publish, *pair) for pair in zip(engines, batches, strict=True))
        )
        for one in engines:
            one.dispose()

        results = sorted(one.result for batch in published for one in batch)
        assert results == 7 * ["joined"] + ["opened"]
        story = row(engine, Story)
        assert story["article_count"] == 8
        assert {article["story_id"] for article in rows(engine, Article)} == {story["id"]}
        assert len(rows(engine, Event)) == 1
        assert len(rows(engine, Delivery)) == 2

    def test_eight_processes_publish_a_flood(
        self, engine: Engine, store_settings: Settings
    ) -> None:
        """Forty articles of ten stories, claimed three at a time."""
        add_endpoint(engine)
        for number in range(40):
            add_article(engine, "publish", content_hash=f"{number % 10:064}")
        results = in_processes(8, publish_all, store_settings)
        assert sorted(one for each in results for one in each) == 30 * ["joined"] + 10 * ["opened"]
        assert [story["article_count"] for story in rows(engine, Story)] == 10 * [4]
        assert len(rows(engine, Event)) == len(rows(engine, Delivery)) == 10


class TestReading:
    def test_the_newest_come_first(self, engine: Engine) -> None:
        for title in ("one", "two", "three"):
            add_article(engine, "publish", title=title)
        publish(engine)
        assert [story["title"] for story in stories.listing(engine, 2)] == ["three", "two"]

    def test_a_story_comes_with_its_articles(self, engine: Engine) -> None:
        ids = [add_article(engine, "publish", content_hash=TEXT_HASH) for _ in range(2)]
        add_article(engine, "publish")
        publish(engine)
        story_id = row(engine, Article, id=ids[0])["story_id"]
        found = stories.find(engine, story_id)
        assert found is not None
        story, articles = found
        assert (story["id"], story["article_count"]) == (story_id, 2)
        assert [article["id"] for article in articles] == ids

    def test_a_story_that_is_not_there(self, engine: Engine) -> None:
        assert stories.find(engine, 1) is None


def publish_all(settings: Settings) -> list[str]:
    """Publish until nothing is left; runs in a process of its own."""
    engine = open_engine(settings)
    results: list[str] = []
    while batch := claim(engine, "publish", 3, LEASE):
        results += [published.result for published in stories.publish(engine, batch)]
    return results
