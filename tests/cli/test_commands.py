import re
from datetime import UTC, datetime

import pytest
from sqlalchemy import Engine

from tests.cli.running import Commands
from tests.store.rows import NOON, add_article, add_feed, change, claimed, row
from worker import webhooks
from worker.store import processes, stories
from worker.store.models import Article, Endpoint, Feed, Process, Story

FEED = "https://example.org/feed"
HOOK = "https://example.org/hook"


def publish(engine: Engine, **values: object) -> int:
    """A story; its number."""
    add_article(engine, "publish", **values)
    (published,) = stories.publish(engine, claimed(engine, "publish"))
    assert published.story_id is not None
    return published.story_id


class TestFeeds:
    def test_a_feed_is_added_once_and_listed(self, kabar: Commands, either_store: Engine) -> None:
        assert kabar("feeds", "add", FEED).out == f"added {FEED}\n"
        assert kabar("feeds", "add", FEED).out == f"{FEED} is followed already\n"
        (listed,) = kabar("feeds", "list", "--json").json
        assert (listed["url"], listed["state"], listed["articles"]) == (FEED, "active", 0)
        assert datetime.fromisoformat(listed["due_at"]).utcoffset() is not None
        assert "lease_token" not in listed

    def test_adding_as_json(self, kabar: Commands, store: Engine) -> None:
        assert kabar("feeds", "add", FEED, "--json").json == {"url": FEED, "added": True}
        assert kabar("feeds", "add", FEED, "--json").json == {"url": FEED, "added": False}

    def test_a_table_has_a_row_a_feed(self, kabar: Commands, store: Engine) -> None:
        long = f"{FEED}/{'a' * 200}"
        add_feed(store, FEED, title="The Ledger", polled_at=NOON, detail="404 Not Found")
        add_feed(store, long)
        done = kabar("feeds", "list")
        header, first, second = done.out.splitlines()
        assert header.split()[:4] == ["id", "state", "title", "url"]
        assert "The Ledger" in first
        assert "404 Not Found" in first
        assert NOON.astimezone().strftime("%Y-%m-%d %H:%M:%S") in first
        assert long in second

    def test_none_yet(self, kabar: Commands, store: Engine) -> None:
        assert kabar("feeds", "list").out == "no feeds yet: add one with `kabar feeds add URL`\n"
        assert kabar("feeds", "list", "--json").json == []

    def test_a_title_is_no_markup_and_no_command_to_the_terminal(
        self, kabar: Commands, store: Engine
    ) -> None:
        add_feed(store, FEED, title="[red]a[/red] [/b] :smile: \x1b[31mb\x9bc\nd")
        out = kabar("feeds", "list").out
        assert "[red]a[/red] [/b] :smile:  [31mb c d" in out
        assert len(out.splitlines()) == 2

    @pytest.mark.parametrize("url", ["example.org/feed", "ftp://example.org/", "https://[::1"])
    def test_what_is_no_url(self, kabar: Commands, store: Engine, url: str) -> None:
        done = kabar("feeds", "add", url)
        assert (done.code, done.error) == (
            1,
            f"kabar: {url!r} is no URL of the form https://host/path",
        )

    @pytest.mark.parametrize("seconds", ["inf", "1e300"])
    def test_an_interval_that_never_ends(
        self, kabar: Commands, store: Engine, seconds: str
    ) -> None:
        done = kabar("feeds", "add", FEED, "--interval-seconds", seconds)
        assert "interval_seconds = " in done.error

    @pytest.mark.parametrize("seconds", ["0", "nan", "often"])
    def test_an_interval_that_is_none(self, kabar: Commands, store: Engine, seconds: str) -> None:
        done = kabar("feeds", "add", FEED, "--interval-seconds", seconds)
        assert done.code == 2
        assert "Invalid value for '--interval-seconds'" in done.err


class TestEndpoints:
    def test_an_endpoint_is_added_with_a_secret_of_its_own(
        self, kabar: Commands, either_store: Engine
    ) -> None:
        first, secret = kabar("endpoints", "add", "desk", HOOK).out.splitlines()
        assert first.startswith("added desk")
        webhooks.check_secret(secret)
        assert row(either_store, Endpoint)["secret"] == secret
        (listed,) = kabar("endpoints", "list", "--json").json
        assert (listed["name"], listed["url"], listed["state"]) == ("desk", HOOK, "active")
        assert listed["deliveries"] == {}
        assert secret not in kabar("endpoints", "list", "--json").out
        assert secret not in kabar("endpoints", "list").out

    def test_adding_as_json(self, kabar: Commands, store: Engine) -> None:
        secret = webhooks.generate_secret()
        added = kabar(
            "endpoints", "add", "desk", "http://10.0.0.1/hook",
            "--allow-http", "--allow-private", "--secret", secret, "--json",
        ).json  # fmt: skip
        assert added == {"name": "desk", "url": "http://10.0.0.1/hook", "secret": secret}
        found = row(store, Endpoint)
        assert (found["allow_http"], found["allow_private"]) == (True, True)

    def test_a_table_counts_deliveries(self, kabar: Commands, store: Engine) -> None:
        kabar("endpoints", "add", "desk", HOOK)
        publish(store)
        publish(store)
        _, line = kabar("endpoints", "list").out.splitlines()
        assert "2 pending" in line

    def test_none_yet(self, kabar: Commands, store: Engine) -> None:
        assert "`kabar endpoints add NAME URL`" in kabar("endpoints", "list").out
        assert kabar("endpoints", "list", "--json").json == []

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["night", "http://example.org/hook"], "--allow-http"),
            (["night", "HTTP://example.org/hook"], "--allow-http"),
            (["night", "example.org"], "is no URL"),
            (["night", HOOK, "--secret", "sesame"], "begins with whsec_"),
            (["night", HOOK, "--secret", "whsec_!"], "not base64"),
            (["night", HOOK, "--secret", "whsec_c2hvcnQ="], "24 to 64 bytes"),
            (["desk", HOOK], "there is an endpoint 'desk' already"),
        ],
    )
    def test_what_cannot_be_added(
        self, kabar: Commands, store: Engine, arguments: list[str], message: str
    ) -> None:
        kabar("endpoints", "add", "desk", HOOK)
        done = kabar("endpoints", "add", *arguments, "--json")
        assert done.code == 1
        assert message in done.error
        assert row(store, Endpoint)["name"] == "desk"


class TestStories:
    def test_stories_are_listed_and_shown(self, kabar: Commands, either_store: Engine) -> None:
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

    def test_what_happened_to_an_article(self, kabar: Commands, store: Engine) -> None:
        story_id = publish(store, title="One", url=None)
        history = [
            {"stage": "fetch", "at": NOON.isoformat(), "outcome": "degraded", "reason": "gone",
             "detail": "410 Gone"},
            {"stage": "publish", "at": NOON.isoformat(), "outcome": "failed", "reason": "crashed"},
        ]  # fmt: skip
        change(store, Article, history=history)
        change(store, Story, title="One\x1b[2J", summary=None)
        lines = kabar("stories", "show", str(story_id)).out.splitlines()
        assert lines[0] == "One [2J"
        assert "(no summary)" in lines
        assert re.fullmatch(r"article \d+  \(no link\)", lines[-3])
        assert lines[-2:] == [
            "  2026-03-04 12:00:00Z  fetch      degraded: gone (410 Gone)",
            "  2026-03-04 12:00:00Z  publish    failed: crashed",
        ]

    def test_none_yet(self, kabar: Commands, store: Engine) -> None:
        assert "`kabar feeds add URL`" in kabar("stories", "list").out
        assert kabar("stories", "list", "--json").json == []

    def test_a_story_that_is_not_there(self, kabar: Commands, store: Engine) -> None:
        done = kabar("stories", "show", "7", "--json")
        assert (done.code, done.error) == (
            1,
            "kabar: there is no story 7: `kabar stories list` shows the newest",
        )

    @pytest.mark.parametrize("number", ["0", "9" * 30, "seven"])
    def test_what_is_no_number_of_a_story(
        self, kabar: Commands, store: Engine, number: str
    ) -> None:
        done = kabar("stories", "show", number)
        assert done.code == 2
        assert "Invalid value for 'ID'" in done.err


class TestStatus:
    def test_what_waits_and_who_lives(self, kabar: Commands, either_store: Engine) -> None:
        add_feed(either_store, due_at=NOON)
        add_article(either_store, "publish", due_at=NOON)
        processes.Heart(("io",), NOON).beat(either_store)
        status = kabar("status", "--json").json
        stages = {stage["stage"]: stage for stage in status["stages"]}
        assert list(stages) == ["poll", "fetch", "process", "translate", "publish", "deliver"]
        assert stages["poll"]["waiting"] == stages["publish"]["waiting"] == 1
        assert stages["fetch"] == {
            "stage": "fetch",
            "waiting": 0,
            "later": 0,
            "in_work": 0,
            "oldest_due_at": None,
        }
        assert stages["poll"]["oldest_due_at"] == NOON.isoformat()
        assert [process["role"] for process in status["processes"]] == ["io"]

    def test_as_a_table(self, kabar: Commands, store: Engine) -> None:
        add_article(store, "publish", due_at=NOON)
        out = kabar("status").out
        assert re.search(r"^publish +1 +0 +0 +\d{4}-", out, re.MULTILINE)
        assert "no process was heard of: start `kabar up`" in out


class TestHealth:
    def test_a_role_that_was_heard_of(self, kabar: Commands, either_store: Engine) -> None:
        processes.Heart(("io",), datetime.now(UTC)).beat(either_store)
        assert kabar("health", "io").out == "healthy\n"

    def test_a_role_that_is_silent(self, kabar: Commands, store: Engine) -> None:
        done = kabar("health", "beat")
        assert (done.code, done.error) == (
            1,
            "kabar: beat on this host was last heard of: never",
        )
        processes.Heart(("beat",), NOON).beat(store)
        change(store, Process, seen_at=NOON)
        assert re.search(r"last heard of: \d+ s ago$", kabar("health", "beat").error)


def test_the_store_keeps_what_the_commands_wrote(kabar: Commands, store: Engine) -> None:
    kabar("feeds", "add", FEED, "--interval-seconds", "60")
    assert row(store, Feed)["interval_seconds"] == 60
