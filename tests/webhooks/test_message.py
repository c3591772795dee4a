"""Messages: what people read of an event."""

from dataclasses import replace
from typing import Any

import pytest

from tests.webhooks.test_events import FACTS, FEED, NOW
from worker.webhooks import (
    EndpointFacts,
    StoryUpdate,
    endpoint_disabled,
    feed_failing,
    feed_recovered,
    story_created,
    story_updated,
)
from worker.webhooks.events import EVENT_TYPES
from worker.webhooks.events import test_ping as ping
from worker.webhooks.message import _WRITERS, Message, message

URL = FACTS.url


def story(**changes: Any) -> Message:
    return message(story_created(replace(FACTS, **changes), NOW).body)


def test_a_story_is_told_in_the_readers_language() -> None:
    assert story() == Message(
        "Bridge opened", f"People cross.\n\nKabar Lembah · translated from id\n\n{URL}"
    )


@pytest.mark.parametrize("translations", [{}, {"en": None, "fr": None}])
def test_or_in_its_own(translations: dict[str, Any]) -> None:
    told = story(translations=translations)
    assert told.title == FACTS.title
    assert told.text == f"{FACTS.summary}\n\nKabar Lembah · id\n\n{URL}"


def test_what_is_not_known_is_left_out() -> None:
    bare = story(translations={}, summary=None, language=None, publisher=None, url=None)
    assert bare == Message(FACTS.title, "Kabar Lembah (RSS)")
    assert story(
        publisher=None, feed_title=None, language=None, translations={}, url=None
    ).text == (FACTS.summary)


def test_a_summary_that_was_not_translated_is_left_out() -> None:
    told = story(translations={"en": {"title": "Bridge opened", "summary": None}})
    assert told.text == f"Kabar Lembah · translated from id\n\n{URL}"


def test_an_update_says_what_changed_and_who_carries_it() -> None:
    update = StoryUpdate(FACTS, 2, ["article", "translation"], 3, ["Kabar Lembah", "Warta"])
    assert message(story_updated(update, NOW).body) == Message(
        "Update: Bridge opened",
        "(another article joined, now translated)\n\nPeople cross.\n\n"
        f"Kabar Lembah, Warta · translated from id\n\n{URL}",
    )


def test_a_long_summary_is_cut_and_a_link_is_not() -> None:
    url = "https://kabar.example/" + "x" * 1_400
    told = story(translations={}, summary="word " * 1_000, url=url)
    summary, _, link = told.text.split("\n\n")
    assert len(summary) <= 1_001
    assert summary.endswith("word…")
    assert link == url


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Hello @everyone", "Hello @\u200beveryone"),
        ("<@123> and <!channel>", "<\u200b@\u200b123> and <\u200b!channel>"),
        ("<@&77>", "<\u200b@&77>"),
        ("mail desk@kabar.example, 3 < 4 @ noon", "mail desk@kabar.example, 3 < 4 @ noon"),
    ],
)
def test_nobody_is_called_by_what_a_feed_says(text: str, shown: str) -> None:
    told = story(translations={}, title=text, summary=text)
    assert told.title == shown
    assert told.text.startswith(f"{shown}\n\n")


def test_feeds() -> None:
    assert message(feed_failing(FEED, NOW).body) == Message(
        "Feed fails: Kabar Lembah (RSS)",
        "6 times in a row since 2026-11-24T11:59:00+00:00. no complete answer within 30 s\n\n"
        "The next try is at 2026-11-24T13:00:00+00:00.\n\nhttps://lembah.example/rss",
    )
    recovered = message(feed_recovered(replace(FEED, title=None), NOW).body)
    assert recovered.title == "Feed answers again: https://lembah.example/rss"


def test_endpoints() -> None:
    facts = EndpointFacts(4, "desk", "desk.example", "gone", "410 Gone", 3)
    assert message(endpoint_disabled(facts, NOW).body) == Message(
        "Endpoint disabled: desk",
        "410 Gone\n\n3 deliveries are held; `kabar endpoints resume desk` sends them.",
    )
    facts = replace(facts, detail="")
    assert message(endpoint_disabled(facts, NOW).body).text.startswith("gone\n\n")


def test_a_ping() -> None:
    assert message(ping("desk", NOW).body) == Message("Test", "Kabar reaches this endpoint.")


def test_each_type_has_its_form() -> None:
    assert {*EVENT_TYPES, "test.ping"} == {*_WRITERS}
    assert message(b'{"type":"story.of.another.time"}') == Message("story.of.another.time", "")
