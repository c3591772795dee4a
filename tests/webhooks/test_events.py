"""Events: their names, their shape and their size."""

import dataclasses
import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from worker.reasons import Reason
from worker.webhooks import (
    FeedFacts,
    StoryFacts,
    StoryUpdate,
    Verdict,
    feed_failing,
    feed_recovered,
    story_created,
    story_updated,
    wants,
    with_reason,
)
from worker.webhooks.events import Change

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
SEEN = NOW - timedelta(minutes=1)
FACTS = StoryFacts(
    story_id=5,
    article_id=7,
    title="Jembatan “lama” dibuka lagi",
    summary="Warga menyeberang lagi. Anak-anak lebih dulu.",
    language="id",
    url="https://lembah.example/berita/jembatan",
    published_at=NOW - timedelta(hours=1),
    first_seen_at=SEEN,
    translations={
        "en": {
            "title": "Bridge opened",
            "summary": "People cross.",
            "engine": "x",
            "model": "y",
            "quality": ["short"],
        },
        "fr": None,
    },
    translation_status="untranslated",
    publisher="Kabar Lembah",
    authors=["Rani Sasmita"],
    credited_sources=["Antara"],
    topics=["Daerah", "jembatan"],
    word_count=120,
    image="https://lembah.example/a.jpg",
    degradations=[{"stage": "translate", "reason": Reason.NO_ENGINE, "detail": None}],
    feed_id=3,
    feed_title="Kabar Lembah (RSS)",
    feed_url="https://lembah.example/rss",
)


def document(facts: StoryFacts) -> dict[str, Any]:
    body = story_created(facts, NOW).body
    assert len(body) < 20_000
    found: dict[str, Any] = json.loads(body.decode("utf-8"))
    return found


def test_it_tells_the_story() -> None:
    assert document(FACTS) == {
        "type": "story.created",
        "timestamp": "2026-11-24T12:00:00+00:00",
        "data": {
            "story": {
                "id": "5",
                "title": "Jembatan “lama” dibuka lagi",
                "summary": "Warga menyeberang lagi. Anak-anak lebih dulu.",
                "language": "id",
                "translations": {
                    "en": {
                        "title": "Bridge opened",
                        "summary": "People cross.",
                        "engine": "x",
                        "model": "y",
                        "quality": ["short"],
                    },
                    "fr": None,
                },
                "translation_status": "untranslated",
                "published_at": "2026-11-24T11:00:00+00:00",
                "first_seen_at": "2026-11-24T11:59:00+00:00",
                "url": "https://lembah.example/berita/jembatan",
                "image": "https://lembah.example/a.jpg",
                "topics": ["Daerah", "jembatan"],
            },
            "article": {
                "id": "7",
                "url": "https://lembah.example/berita/jembatan",
                "title": "Jembatan “lama” dibuka lagi",
                "publisher": "Kabar Lembah",
                "authors": ["Rani Sasmita"],
                "credited_sources": ["Antara"],
                "word_count": 120,
                "degradations": [
                    {"stage": "translate", "reason": "no_engine", "detail": None},
                ],
            },
            "feed": {
                "id": "3",
                "title": "Kabar Lembah (RSS)",
                "url": "https://lembah.example/rss",
            },
            "reason": {"rules": []},
        },
    }


def test_what_is_not_known_is_null() -> None:
    bare = dataclasses.replace(
        FACTS, summary=None, language=None, url=None, published_at=None, translations={},
        translation_status=None, publisher=None, authors=(), word_count=None, image=None,
        credited_sources=(), topics=(),
        degradations=(), feed_id=None, feed_title=None, feed_url=None,
    )  # fmt: skip
    data = document(bare)["data"]
    assert data["story"]["summary"] is data["story"]["url"] is data["story"]["published_at"] is None
    assert data["article"]["authors"] == data["article"]["credited_sources"] == []
    assert data["story"]["topics"] == []
    assert data["feed"] == {"id": None, "title": None, "url": None}


class TestUpdate:
    UPDATE = StoryUpdate(FACTS, 2, ["article", "translation"], 3, ["Kabar Lembah", "Warta"])

    def test_it_tells_what_changed_and_the_story_as_it_stands(self) -> None:
        event = story_updated(self.UPDATE, NOW)
        told, created = json.loads(event.body), document(FACTS)
        assert (event.type, told["type"], event.occurred_at) == (*["story.updated"] * 2, NOW)
        assert told["data"].pop("changes") == ["article", "translation"]
        story = told["data"]["story"]
        assert (story.pop("article_count"), story.pop("publishers")) == (
            3,
            ["Kabar Lembah", "Warta"],
        )
        assert told["data"] == created["data"]

    def test_each_update_has_a_name_of_its_own(self) -> None:
        later = dataclasses.replace(self.UPDATE, number=3)
        events = [story_updated(one, NOW) for one in (self.UPDATE, self.UPDATE, later)]
        keys = ["story.updated:5:2", "story.updated:5:2", "story.updated:5:3"]
        assert [event.event_key for event in events] == keys
        assert events[0] == events[1]
        ids = {story_created(FACTS, NOW).webhook_id, *(event.webhook_id for event in events)}
        assert len(ids) == 3


class TestNames:
    def test_the_same_story_has_the_same_names(self) -> None:
        event = story_created(FACTS, NOW)
        again = story_created(dataclasses.replace(FACTS, title="other"), NOW + timedelta(seconds=1))
        assert event.event_key == again.event_key == "story.created:5"
        assert event.webhook_id == again.webhook_id
        assert story_created(FACTS, NOW) == event

    def test_another_story_has_other_names(self) -> None:
        event = story_created(FACTS, NOW)
        other = story_created(dataclasses.replace(FACTS, story_id=6), NOW)
        assert other.event_key != event.event_key
        assert other.webhook_id != event.webhook_id

    def test_another_store_has_other_ids(self) -> None:
        later = dataclasses.replace(FACTS, first_seen_at=SEEN + timedelta(microseconds=1))
        assert story_created(later, NOW).webhook_id != story_created(FACTS, NOW).webhook_id

    def test_an_id_can_be_signed(self) -> None:
        ids = {
            story_created(dataclasses.replace(FACTS, story_id=n), NOW).webhook_id
            for n in range(200)
        }
        assert len(ids) == 200
        assert all(re.fullmatch(r"msg_[a-z2-7]{32}", webhook_id) for webhook_id in ids)


class TestSize:
    @pytest.mark.parametrize(
        "character", ["a", "é", "川", "😀", '"', "\\", "\n", "\x01", "\x7f", "\ud800", "\u2028"]
    )
    def test_at_the_extreme(self, character: str) -> None:
        long = character * 10_000
        translation = {
            "title": long, "summary": long, "engine": long, "model": long, "quality": [long] * 50,
        }  # fmt: skip
        extreme = StoryFacts(
            story_id=2**63 - 1,
            article_id=2**63 - 1,
            title=long,
            summary=long,
            language="x" * 35,
            url=f"https://x.example/{'a' * 1_400}",
            published_at=NOW,
            first_seen_at=SEEN,
            translations={f"{number}-{'x' * 30}": translation for number in range(20)},
            translation_status="untranslated",
            publisher=long,
            authors=[long] * 50,
            credited_sources=[long] * 50,
            topics=[long] * 50,
            word_count=10**9,
            image=f"https://x.example/{'b' * 1_400}",
            degradations=[{"stage": "process", "reason": "x" * 32, "detail": long}] * 20,
            feed_id=2**63 - 1,
            feed_title=long,
            feed_url=f"https://x.example/{'c' * 1_400}",
        )
        data = document(extreme)["data"]
        assert data["story"]["url"] == extreme.url
        assert data["story"]["title"]
        assert len(data["story"]["translations"]) == 20
        changes: tuple[Change, ...] = ("article", "text", "translation")
        event = story_updated(StoryUpdate(extreme, 2**31 - 1, changes, 2**31 - 1, [long] * 50), NOW)
        told = json.loads(with_reason(event.body, [Verdict("all_of", (), (long,) * 200, True)] * 9))
        assert (told["data"]["changes"], told["data"]["story"]["url"]) == ([*changes], extreme.url)
        assert len(with_reason(event.body, [Verdict("a", (), (long,) * 200, True)] * 9)) < 20_000

    def test_an_ordinary_long_story_is_told_whole(self) -> None:
        summary = "川が氾濫した。" * 85
        told = dataclasses.replace(FACTS, title="川" * 300, summary=summary)
        story = document(told)["data"]["story"]
        assert (story["title"], story["summary"]) == ("川" * 300, summary)

    def test_what_is_cut_says_so(self) -> None:
        story = document(dataclasses.replace(FACTS, title="word " * 200))["data"]["story"]
        assert story["title"] == ("word " * 100).rstrip() + "…"

    def test_a_link_is_whole_or_left_out(self) -> None:
        longest = f"https://x.example/{'a' * 1_482}"
        assert document(dataclasses.replace(FACTS, url=longest))["data"]["story"]["url"] == longest
        over = dataclasses.replace(FACTS, url=longest + "a", image=f"https://x.example/{'é' * 750}")
        assert document(over)["data"]["story"]["url"] is None
        assert document(over)["data"]["story"]["image"] is None


class TestReason:
    def test_it_says_which_rules_matched(self) -> None:
        event = story_created(FACTS, NOW)
        verdicts = (
            Verdict("languages", ("id", "ms"), ("id",), True),
            Verdict("none_of", ("gempa",), (), True),
        )
        told, plain = json.loads(with_reason(event.body, verdicts)), json.loads(event.body)
        assert told["data"].pop("reason") == {
            "rules": [
                {"rule": "languages", "matched": ["id"]},
                {"rule": "none_of", "matched": []},
            ]
        }
        assert plain["data"].pop("reason") == {"rules": []}
        assert told == plain

    def test_with_the_largest_of_stories_and_reasons_the_body_is_small(self) -> None:
        long = "\u20ac" * 9_999
        translations = {str(number): {"title": long, "summary": long} for number in range(9)}
        event = story_created(dataclasses.replace(FACTS, translations=translations), NOW)
        verdicts = [Verdict(f"rule{n}", (), (long,) * 200, True) for n in range(8)]
        body = with_reason(event.body, verdicts)
        assert len(body) < 20_000
        assert [one["rule"] for one in json.loads(body)["data"]["reason"]["rules"]] == [
            one.rule for one in verdicts
        ]


texts = st.text(st.characters(), max_size=60).map(lambda text: text * 50)


@hypothesis_settings(max_examples=60)
@given(texts, st.none() | texts, texts, st.dictionaries(st.sampled_from("abcdefgh"), texts))
def test_any_story_is_told_in_json(
    title: str, summary: str | None, name: str, translated: dict[str, str]
) -> None:
    odd = dataclasses.replace(
        FACTS, title=title, summary=summary, publisher=name, authors=[name] * 12, feed_title=name,
        credited_sources=[name] * 12, topics=[name] * 12,
        url=f"https://x.example/{name[:50]}",
        translations={target: {"title": text, "summary": text} for target, text in
                      translated.items()},
    )  # fmt: skip
    data = document(odd)["data"]
    assert (data["story"]["summary"] is None) == (summary is None)
    assert len(data["article"]["authors"]) == len(data["article"]["credited_sources"]) == 10
    assert len(data["story"]["topics"]) == 10


def test_an_endpoint_is_told_what_it_wants() -> None:
    assert wants(["story.created"], "story.created")
    assert not wants(["story.updated"], "story.created")
    assert not wants([], "story.created")


FEED = FeedFacts(
    feed_id=3,
    title="Kabar Lembah (RSS)",
    url="https://lembah.example/rss",
    site_url="https://lembah.example/",
    state="failing",
    failing_since=SEEN,
    failures=6,
    reason=Reason.TIMEOUT,
    detail="no complete answer within 30 s",
    last_success_at=NOW - timedelta(days=1),
    next_poll_at=NOW + timedelta(hours=1),
)


class TestFeeds:
    def test_it_tells_the_feed(self) -> None:
        event = feed_failing(FEED, NOW)
        assert (event.type, event.occurred_at) == ("feed.failing", NOW)
        assert json.loads(event.body) == {
            "type": "feed.failing",
            "timestamp": "2026-11-24T12:00:00+00:00",
            "data": {
                "feed": {
                    "id": "3",
                    "title": "Kabar Lembah (RSS)",
                    "url": "https://lembah.example/rss",
                    "site_url": "https://lembah.example/",
                    "state": "failing",
                },
                "failing_since": "2026-11-24T11:59:00+00:00",
                "failures": 6,
                "reason": "timeout",
                "detail": "no complete answer within 30 s",
                "last_success_at": "2026-11-23T12:00:00+00:00",
                "next_poll_at": "2026-11-24T13:00:00+00:00",
            },
        }

    def test_what_is_not_known_is_null(self) -> None:
        bare = dataclasses.replace(
            FEED, title=None, site_url=None, reason=None, detail=None, last_success_at=None
        )
        data = json.loads(feed_failing(bare, NOW).body)["data"]
        assert data["feed"]["title"] is data["feed"]["site_url"] is data["detail"] is None
        assert data["last_success_at"] is None

    def test_a_time_of_failing_has_one_name_at_its_beginning_and_one_at_its_end(self) -> None:
        later = dataclasses.replace(FEED, failures=9)
        names = {
            (event.event_key, event.webhook_id)
            for event in (
                feed_failing(FEED, NOW),
                feed_failing(later, NOW + timedelta(hours=1)),
                feed_recovered(later, NOW + timedelta(hours=1)),
                feed_recovered(FEED, NOW + timedelta(hours=2)),
            )
        }
        assert {key for key, _ in names} == {
            "feed.failing:3:2026-11-24T11:59:00+00:00",
            "feed.recovered:3:2026-11-24T11:59:00+00:00",
        }
        assert len(names) == 2
        again = dataclasses.replace(FEED, failing_since=NOW)
        assert feed_failing(again, NOW).webhook_id not in {webhook_id for _, webhook_id in names}

    def test_whatever_a_feed_says_the_body_is_small(self) -> None:
        wild = dataclasses.replace(
            FEED, title="\x01\u20ac\ud800" * 9_999, detail="\x00" * 99_999,
            url="https://x/" + "a" * 9_999, site_url="https://x/\u20ac" * 999,
        )  # fmt: skip
        assert len(feed_recovered(wild, NOW).body) < 20_000
