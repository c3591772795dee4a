"""`kabar feeds`."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import Engine, insert

from tests.cli.running import Commands
from tests.conftest import MakeSettings
from tests.http.peers import LOOPBACK, Handler, answer
from tests.store.rows import HOUR, NOON, add_article, add_feed, claimed, row, rows
from tests.tasks.site import Site
from worker import feeds as room
from worker.http import Client
from worker.store import feeds
from worker.store.claims import finish
from worker.store.models import Article, Entry, Feed
from worker.store.sessions import writing

FEED = "https://example.org/feed"
OTHER = "https://example.net/berita/feed.xml"


def test_a_feed_is_added_once_and_listed(kabar: Commands, either_store: Engine) -> None:
    assert kabar("feeds", "add", FEED).out == f"added {FEED}\n"
    assert kabar("feeds", "add", FEED).out == f"{FEED} is followed already\n"
    (listed,) = kabar("feeds", "list", "--json").json
    assert (listed["url"], listed["state"], listed["articles"]) == (FEED, "active", 0)
    assert datetime.fromisoformat(listed["due_at"]).utcoffset() is not None
    assert "lease_token" not in listed


def test_adding_as_json(kabar: Commands, store: Engine) -> None:
    assert kabar("feeds", "add", FEED, "--json").json == {"url": FEED, "added": True}
    assert kabar("feeds", "add", FEED, "--json").json == {"url": FEED, "added": False}


def test_a_table_has_a_row_a_feed(kabar: Commands, store: Engine) -> None:
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


def test_none_yet(kabar: Commands, store: Engine) -> None:
    assert kabar("feeds", "list").out == "no feeds yet: add one with `kabar feeds add URL`\n"
    assert kabar("feeds", "list", "--json").json == []


def test_a_title_is_no_markup_and_no_command_to_the_terminal(
    kabar: Commands, store: Engine
) -> None:
    add_feed(store, FEED, title="[red]a[/red] [/b] :smile: \x1b[31mb\x9bc\nd")
    out = kabar("feeds", "list").out
    assert "[red]a[/red] [/b] :smile:  [31mb c d" in out
    assert len(out.splitlines()) == 2


@pytest.mark.parametrize("url", ["example.org/feed", "ftp://example.org/", "https://[::1"])
def test_what_is_no_url(kabar: Commands, store: Engine, url: str) -> None:
    done = kabar("feeds", "add", url)
    assert (done.code, done.error) == (
        1,
        f"kabar: {url!r} is no URL of the form https://host/path",
    )


@pytest.mark.parametrize("seconds", ["inf", "1e300"])
def test_an_interval_that_never_ends(kabar: Commands, store: Engine, seconds: str) -> None:
    done = kabar("feeds", "add", FEED, "--interval-seconds", seconds)
    assert "interval_seconds = " in done.error


@pytest.mark.parametrize("seconds", ["0", "nan", "often"])
def test_an_interval_that_is_none(kabar: Commands, store: Engine, seconds: str) -> None:
    done = kabar("feeds", "add", FEED, "--interval-seconds", seconds)
    assert done.code == 2
    assert "Invalid value for '--interval-seconds'" in done.err


def test_the_store_keeps_what_was_given(kabar: Commands, store: Engine) -> None:
    kabar("feeds", "add", FEED, "--interval-seconds", "60")
    assert row(store, Feed)["interval_seconds"] == 60


def test_a_file_is_no_feed(kabar: Commands, store: Engine, tmp_path: Path) -> None:
    (tmp_path / "subscriptions.opml").write_text("<opml/>")
    error = kabar("feeds", "add", "subscriptions.opml").error
    assert error == (
        "kabar: subscriptions.opml is a file: a feed is added by its URL, each one by itself"
    )
    assert rows(store, Feed) == []


def test_a_feed_is_shown(kabar: Commands, either_store: Engine) -> None:
    number = add_feed(
        either_store, FEED, title="The Ledger", site_url="https://example.org/", polled_at=NOON,
        changed_at=NOON, due_at=NOON + HOUR, status=200,
    )  # fmt: skip
    shown = kabar("feeds", "show", str(number)).out
    assert shown == kabar("feeds", "show", FEED).out
    assert f"{number}  {FEED}\n" in shown
    assert "2026-03-04 12:00:00, fine (status 200)" in shown
    assert "next poll    2026-03-04 13:00:00" in shown
    assert "failures" not in shown
    document = kabar("feeds", "show", FEED, "--json").json
    assert (document["id"], document["title"]) == (number, "The Ledger")
    assert document["due_at"] == "2026-03-04T13:00:00+00:00"
    assert "lease_token" not in document


def test_a_feed_that_fails_says_why(kabar: Commands, store: Engine) -> None:
    add_feed(store, FEED, polled_at=NOON, failures=3, status=404, detail="404 Not Found",
             reason="not_found")  # fmt: skip
    shown = kabar("feeds", "show", FEED).out
    assert "404 Not Found (status 404)" in shown
    assert "failures in a row  3" in shown


@pytest.mark.parametrize(
    ("handler", "said"),
    [
        (
            answer(b"<!doctype html><html><body>news", headers={"Content-Type": "text/html"}),
            "an HTML page, not a feed; look on it for the feed's URL",
        ),
        (
            answer(b'<?xml version="1.0"?><opml version="2.0"><head><title>mine</title></head>'
                   b'<body><outline xmlUrl="https://example.org/feed"/></body></opml>'),
            "an OPML list of feeds, not a feed; add each by its URL",
        ),
        (answer(b""), "the document is empty"),
        (answer(b"gone fishing", 404), "404 Phrase (status 404)"),
    ],
)  # fmt: skip
def test_what_turns_out_to_be_no_feed_says_so(
    kabar: Commands, store: Engine, site: Site, make_settings: MakeSettings,
    handler: Handler, said: str,
) -> None:  # fmt: skip
    """It is taken for one when it is added, since nobody asks the site then."""
    site.routes["/"] = handler
    url = site.url("/")
    assert kabar("feeds", "add", url).code == 0
    _poll(store, make_settings)
    assert said in kabar("feeds", "show", url).out
    assert said.partition(" (")[0] in kabar("feeds", "list").out


def test_a_feed_is_paused_and_resumed(kabar: Commands, either_store: Engine) -> None:
    add_feed(either_store, FEED, due_at=NOON + 24 * HOUR)
    assert kabar("feeds", "pause", FEED).out == f"paused {FEED}\n"
    assert row(either_store, Feed)["state"] == "paused"
    assert "next poll  none" in kabar("feeds", "show", FEED).out

    assert kabar("feeds", "resume", "1").out == f"resumed {FEED}\n"
    resumed = row(either_store, Feed)
    assert resumed["state"] == "active"
    assert abs(resumed["due_at"] - datetime.now(UTC)) < HOUR


def test_what_a_late_poll_brings_does_not_resume_a_feed(kabar: Commands, store: Engine) -> None:
    add_feed(store, FEED)
    batch = claimed(store, "poll")
    kabar("feeds", "pause", FEED)
    with writing(store) as connection:
        assert finish(connection, "poll", 1, batch.token, {"due_at": NOON, "failures": 1})
    assert row(store, Feed)["state"] == "paused"


def test_a_feed_is_removed_and_its_articles_stay(kabar: Commands, either_store: Engine) -> None:
    number = add_feed(either_store, FEED)
    article = add_article(either_store, "done", feed_id=number)
    with writing(either_store) as connection:
        entry = {"feed_id": number, "identity": "a", "article_id": article, "revision": "a"}
        connection.execute(insert(Entry), entry | {"first_seen_at": NOON, "seen_at": NOON})
    assert kabar("feeds", "remove", FEED).out == f"removed {FEED}\n"
    assert rows(either_store, Feed) == rows(either_store, Entry) == []
    assert row(either_store, Article)["feed_id"] is None


def test_a_feed_of_the_feeds_file(kabar: Commands, store: Engine, tmp_path: Path) -> None:
    """It may be paused and removed by hand; what is removed comes back with the file's next
    change, and that is said.
    """
    path = tmp_path / "feeds.toml"
    path.write_text(f'[[feeds]]\nurl = "{FEED}"\n')
    feeds.apply_file(store, path)
    assert "active (by the feeds file)" in kabar("feeds", "show", FEED).out
    kabar("feeds", "pause", FEED)
    path.write_text(f'[[feeds]]\nurl = "{FEED}"\ntitle = "Ledger"\n')
    feeds.apply_file(store, path)
    assert row(store, Feed)["state"] == "paused"

    done = kabar("feeds", "remove", FEED)
    assert done.out == f"removed {FEED}\n"
    assert done.err == "it stands in the feeds file, and comes back when that changes\n"
    path.write_text(f'[[feeds]]\nurl = "{FEED}"\ntitle = "The Ledger"\n')
    feeds.apply_file(store, path)
    assert row(store, Feed)["state"] == "active"


@pytest.mark.parametrize(
    ("asked", "hint"),
    [
        ("https://example.net/berita/feed", f"; did you mean {OTHER}?"),
        ("99", ": `kabar feeds list` shows what there is"),
        ("9" * 40, ": `kabar feeds list` shows what there is"),
        (str(2**63), ": `kabar feeds list` shows what there is"),
    ],
)
def test_a_feed_that_is_not_there(
    kabar: Commands, either_store: Engine, asked: str, hint: str
) -> None:
    add_feed(either_store, FEED)
    add_feed(either_store, OTHER)
    done = kabar("feeds", "show", asked)
    assert (done.code, done.error) == (1, f"kabar: there is no feed {asked}{hint}")


@pytest.mark.parametrize("verb", ["pause", "resume", "remove"])
def test_nothing_is_done_to_the_nearest(kabar: Commands, store: Engine, verb: str) -> None:
    add_feed(store, FEED, state="failing")
    assert f"did you mean {FEED}?" in kabar("feeds", verb, f"{FEED}s").error
    assert row(store, Feed)["state"] == "failing"


@pytest.fixture
def site() -> Iterator[Site]:
    with Site() as site:
        yield site


def _poll(engine: Engine, make_settings: MakeSettings) -> None:
    settings = make_settings()
    batch = claimed(engine, "poll", datetime.now(UTC))

    async def poll() -> room.PollOutcome:
        feed = feeds.known(batch.rows[0])
        async with Client(LOOPBACK) as client:
            response = await room.request(client, feed)
        return room.decide(feed, response, batch.now, settings.poll)

    feeds.save(engine, batch, [asyncio.run(poll())], settings=settings)
