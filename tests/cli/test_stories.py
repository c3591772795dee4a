"""`kabar stories`."""

import re

import pytest
from sqlalchemy import Engine

from tests.cli.rows import publish
from tests.cli.running import Commands
from tests.store.rows import NOON, change
from worker.store.models import Article, Story


def test_stories_are_listed_and_shown(kabar: Commands, either_store: Engine) -> None:
    first = publish(either_store, title="One", summary="It rains.", text="Long text.")
    second = publish(either_store, title="Two")
    listed = kabar("stories", "list", "--json").json
    assert [(story["id"], story["title"]) for story in listed] == [
        (second, "Two"),
        (first, "One"),
    ]
    assert len(kabar("stories", "list", "--json", "--limit", "1").json) == 1

    shown = kabar("stories", "show", str(first), "--json").json
    assert (shown["title"], shown["summary"]) == ("One", "It rains.")
    (article,) = shown["articles"]
    assert article["text"] == "Long text."
    assert [line["stage"] for line in article["history"]] == ["publish"]
    assert not {"lease_token", "url_key", "content_hash"} & set(article)


def test_what_happened_to_an_article(kabar: Commands, store: Engine) -> None:
    story_id = publish(store, title="One", url=None)
    history = [
        {"stage": "fetch", "at": NOON.isoformat(), "outcome": "degraded", "reason": "gone",
         "detail": "410 Gone", "attempts": 3},
        {"stage": "publish", "at": NOON.isoformat(), "outcome": "failed", "reason": "crashed",
         "attempts": 1},
    ]  # fmt: skip
    change(store, Article, history=history)
    change(store, Story, title="One\x1b[2J", summary=None)
    lines = kabar("stories", "show", str(story_id)).out.splitlines()
    assert lines[0] == "One [2J"
    assert "(no summary)" in lines
    assert re.fullmatch(r"article \d+  \(no link\)", lines[-3])
    at = NOON.astimezone().strftime("%Y-%m-%d %H:%M:%S")
    assert lines[-2:] == [
        f"  {at}  fetch      degraded at try 3: gone (410 Gone)",
        f"  {at}  publish    failed: crashed",
    ]


def test_none_yet(kabar: Commands, store: Engine) -> None:
    assert "`kabar feeds add URL`" in kabar("stories", "list").out
    assert kabar("stories", "list", "--json").json == []


def test_a_story_that_is_not_there(kabar: Commands, store: Engine) -> None:
    done = kabar("stories", "show", "7", "--json")
    assert (done.code, done.error) == (
        1,
        "kabar: there is no story 7: `kabar stories list` shows the newest",
    )


@pytest.mark.parametrize("number", ["0", "9" * 30, "seven"])
def test_what_is_no_number_of_a_story(kabar: Commands, store: Engine, number: str) -> None:
    done = kabar("stories", "show", number)
    assert done.code == 2
    assert "Invalid value for 'ID'" in done.err
