"""`kabar feeds`: the list, and each feed by itself."""

import asyncio
import io
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import Engine, delete, insert, update

from tests.cli.running import Commands
from tests.http.peers import Handler, answer, header, path
from tests.store.rows import HOUR, NOON, add_article, add_feed, change, claimed, row, rows
from tests.tasks.site import Site
from worker.cli import polling
from worker.errors import KabarError
from worker.feeds import opml
from worker.feeds.opml import Subscription as Listed
from worker.http import Client, Response
from worker.http.politeness import host_of
from worker.settings import load
from worker.store import feeds, hosts
from worker.store.claims import finish
from worker.store.models import Article, Entry, Feed, Host, Subscription
from worker.store.sessions import writing

FEED = "https://example.org/feed"
OTHER = "https://example.net/berita/feed.xml"
SECRET = "sesame"


def test_a_feed_is_added_once_and_listed(kabar: Commands, either_store: Engine) -> None:
    assert kabar("feeds", "add", FEED, "--no-discover").out == f"added {FEED}\n"
    assert kabar("feeds", "add", FEED).out == f"{FEED} is followed already\n"
    (listed,) = kabar("feeds", "list", "--json").json
    assert (listed["url"], listed["state"], listed["tags"]) == (FEED, "active", None)
    assert datetime.fromisoformat(listed["due_at"]).utcoffset() is not None
    assert "lease_token" not in listed


def test_adding_as_json(kabar: Commands, store: Engine) -> None:
    feed = {"url": FEED, "title": None, "kind": None, "entries": None, "newest_at": None}
    for is_new in (True, False):
        document = kabar("feeds", "add", FEED, "--no-discover", "--json").json
        added = {"added": is_new}
        assert document == {"url": FEED, **added, "feeds": [{**feed, **added}]}


def test_a_table_has_a_row_a_feed(kabar: Commands, store: Engine) -> None:
    long = f"{FEED}/{'a' * 200}"
    add_feed(store, FEED, title="The Ledger", listed_at=NOON, detail="404 Not Found")
    add_feed(store, long, state="paused")
    done = kabar("feeds", "list")
    header, first, second = done.out.splitlines()
    assert re.split("  +", header.rstrip()) == [
        "id", "state", "title", "url", "last new", "next poll", "error"
    ]  # fmt: skip
    assert "The Ledger" in first
    assert "404 Not Found" in first
    assert first.count(NOON.astimezone().strftime("%Y-%m-%d %H:%M:%S")) == 2
    assert long in second
    assert NOON.astimezone().strftime("%Y-%m-%d") not in second


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
    done = kabar("feeds", "add", FEED, "--no-discover", "--interval-seconds", seconds)
    assert "interval_seconds = " in done.error
    assert rows(store, Feed) == []


@pytest.mark.parametrize("seconds", ["0", "nan", "often"])
def test_an_interval_that_is_none(kabar: Commands, store: Engine, seconds: str) -> None:
    done = kabar("feeds", "add", FEED, "--interval-seconds", seconds)
    assert done.code == 2
    assert "Invalid value for '--interval-seconds'" in done.err


def test_the_store_keeps_what_was_given(kabar: Commands, store: Engine) -> None:
    kabar(
        "feeds", "add", FEED, "--no-discover", "--interval-seconds", "60", "--title", "Berita",
        "--tag", "Asia/Indonesia", "--tag", "ekonomi", "--user-agent", "Siaran/1",
        "--header", "Accept-Language: id", "--header-env", "X-Key: FEED_KEY",
        "--cookie-file", "cookie", "--username", "a", "--password-env", "FEED_PASSWORD",
        "--proxy", "http://proxy:3128",
    )  # fmt: skip
    feed = row(store, Feed)
    assert (feed["interval_seconds"], feed["title"]) == (60, "Berita")
    assert feed["tags"] == ["Asia/Indonesia", "ekonomi"]
    assert feed["options"] == {
        "user_agent": "Siaran/1", "headers": {"Accept-Language": "id"},
        "headers_env": {"X-Key": "FEED_KEY"}, "cookie_file": str(Path("cookie").absolute()),
        "username": "a", "password_env": "FEED_PASSWORD", "proxy": "http://proxy:3128",
    }  # fmt: skip


def test_a_file_is_no_feed(kabar: Commands, store: Engine, tmp_path: Path) -> None:
    (tmp_path / "subscriptions.opml").write_text("<opml/>")
    error = kabar("feeds", "add", "subscriptions.opml").error
    assert error == (
        "kabar: subscriptions.opml is a file: `kabar feeds import` reads a list of feeds (OPML); "
        "a single feed is added by its URL"
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
    assert re.search("^next poll +2026-03-04 13:00:00$", shown, re.MULTILINE)
    assert "failures" not in shown
    document = kabar("feeds", "show", FEED, "--json").json
    assert (document["id"], document["title"]) == (number, "The Ledger")
    assert (document["articles"], document["subscription"]) == (0, None)
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
    kabar: Commands, store: Engine, site: Site, handler: Handler, said: str
) -> None:
    """It is taken for one when it is added with `--no-discover`, since nobody asks the site."""
    site.routes["/"] = handler
    url = site.url("/")
    assert kabar("feeds", "add", url, "--no-discover").code == 0
    assert kabar("feeds", "poll", url).code == 1
    assert said in kabar("feeds", "show", url).out
    assert said.partition(" (")[0] in kabar("feeds", "list").out


def test_a_feed_is_paused_and_resumed(kabar: Commands, either_store: Engine) -> None:
    add_feed(either_store, FEED, due_at=NOON + 24 * HOUR)
    assert kabar("feeds", "pause", FEED).out == f"paused {FEED}\n"
    assert row(either_store, Feed)["state"] == "paused"
    assert re.search("^next poll +none$", kabar("feeds", "show", FEED).out, re.MULTILINE)

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


class TestDiscovery:
    def test_the_feed_of_a_site(self, kabar: Commands, either_store: Engine, site: Site) -> None:
        """What it was found by is its first poll: the site is asked for nothing twice."""
        site.routes |= {"/": page("/feed"), "/feed": feed("https://a.b/1", "https://a.b/2")}
        done = kabar("feeds", "add", site.url("/"), "--tag", "news")
        assert done.out == f"added {site.url('/feed')}: The Ledger (RSS, 2 entries)\n"
        assert [path(request) for request in site.requests] == ["/", "/feed"]
        added = row(either_store, Feed)
        assert (added["url"], added["title"], added["tags"]) == (
            site.url("/feed"), "The Ledger", ["news"]
        )  # fmt: skip
        assert (added["status"], added["lease_token"]) == (200, None)
        assert added["due_at"] > added["polled_at"]
        assert {article["stage"] for article in rows(either_store, Article)} == {"fetch"}
        assert len(rows(either_store, Entry)) == 2

    def test_several(self, kabar: Commands, store: Engine, site: Site) -> None:
        site.routes |= {"/": page("/a", "/b", "/c"), "/a": feed("https://a.b/1"), "/c": feed()}
        done = kabar("feeds", "add", site.url("/"))
        added, empty, hint, header, *others = done.out.splitlines()
        assert added == f"added {site.url('/a')}: The Ledger (RSS, 1 entry)"
        assert (empty, hint) == ("", "also there; --all adds all, or add one by its URL:")
        assert header.split() == ["url", "title", "kind", "entries", "newest"]
        assert [line.split() for line in others] == [
            [site.url("/b"), "Feed", "/b", "RSS"],
            [site.url("/c"), "Feed", "/c", "RSS"],
        ]
        assert row(store, Feed)["url"] == site.url("/a")

    def test_all_of_them(self, kabar: Commands, store: Engine, site: Site) -> None:
        site.routes |= {"/": page("/a", "/b", "/c"), "/a": feed("https://a.b/1"), "/c": feed()}
        document = kabar("feeds", "add", site.url("/"), "--all", "--json").json
        assert (document["url"], document["added"]) == (site.url("/"), True)
        assert [(one["url"], one["entries"], one["added"]) for one in document["feeds"]] == [
            (site.url("/a"), 1, True),
            (site.url("/c"), 0, True),
        ]
        assert [one["url"] for one in rows(store, Feed)] == [site.url("/a"), site.url("/c")]

    def test_to_look_only(self, kabar: Commands, store: Engine, site: Site) -> None:
        site.routes |= {"/": page("/a", "/b"), "/a": feed("https://a.b/1"), "/b": feed()}
        done = kabar("feeds", "add", site.url("/"), "--dry-run")
        _header, *found = done.out.splitlines()
        assert [line.split() for line in found] == [
            [site.url("/a"), "The", "Ledger", "RSS", "1"],
            [site.url("/b"), "The", "Ledger", "RSS", "0"],
        ]
        assert rows(store, Feed) == []

    def test_one_that_is_followed_already(self, kabar: Commands, store: Engine, site: Site) -> None:
        add_feed(store, site.url("/feed"))
        site.routes |= {"/": page("/feed"), "/feed": feed("https://a.b/1")}
        done = kabar("feeds", "add", site.url("/"))
        assert done.out == f"{site.url('/feed')} is followed already\n"
        assert row(store, Feed)["polled_at"] is None
        assert not kabar("feeds", "add", site.url("/"), "--json").json["added"]

    def test_where_it_has_moved_to(self, kabar: Commands, store: Engine, site: Site) -> None:
        site.routes |= {"/old": answer(b"", 301, headers={"Location": "/new"})}
        site.routes |= {"/new": feed("https://a.b/1")}
        kabar("feeds", "add", site.url("/old"))
        added = row(store, Feed)
        assert (added["url"], added["moved_to"]) == (site.url("/new"), None)

    @pytest.mark.parametrize(
        ("handler", "message"),
        [
            (answer(b"", 500), "500 Phrase"),
            (answer(b"<p>news", headers={"Content-Type": "text/html"}), "no feed was found there"),
        ],
    )
    def test_none(
        self, kabar: Commands, store: Engine, site: Site, handler: Handler, message: str
    ) -> None:
        site.routes["/"] = handler
        for more in ((), ("--dry-run",), ("--all", "--json")):
            error = kabar("feeds", "add", site.url("/").replace("//", "//u:sesame@"), *more).error
            assert message in error
            assert error.endswith("; nothing was added (--no-discover adds a URL as it is)")
            assert "sesame" not in error
        assert rows(store, Feed) == []

    def test_its_options_are_for_the_search_too(
        self, kabar: Commands, store: Engine, site: Site, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("FEED_COOKIE", "sid=1")
        site.routes |= {"/": page("/feed"), "/feed": feed("https://a.b/1")}
        kabar("feeds", "add", site.url("/"), "--cookie-env", "FEED_COOKIE", "--header", "X-Key: k")
        for request in site.requests:
            assert (header(request, "Cookie"), header(request, "X-Key")) == ("sid=1", "k")
        assert row(store, Feed)["options"] == {
            "cookie_env": "FEED_COOKIE", "headers": {"X-Key": "k"}
        }  # fmt: skip

    def test_a_feed_elsewhere_is_not_told_what_was_meant_for_the_site(
        self, kabar: Commands, store: Engine, site: Site
    ) -> None:
        with Site() as other:
            other.routes["/feed"] = feed("https://a.b/1")
            site.routes["/"] = page(other.url("/feed"))
            error = kabar("feeds", "add", site.url("/"), "--header", "X-Key: k").error
            assert f"the feed is on another site, {other.url('/feed')}: add it by that" in error
            assert rows(store, Feed) == []
            assert kabar("feeds", "add", site.url("/"), "--user-agent", "a").code == 0

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (("--all", "--title", "a"), "--title is for one feed, --all for several"),
            (("--header", "X-Key"), "--header X-Key…: 'Name: value' was expected"),
            (("--header", "X-Key:"), "headers.X-Key: a line of text was expected"),
            (("--header", "Host: a"), "headers: Host cannot be set"),
            (("--tag", "/"), "tags: '/': a name was expected"),
            (("--title", "a\nb"), "title = 'a\\nb': a line of text was expected"),
            (("--password-env", "A"), "password_env: there is no username to go with it"),
            (("--proxy", "proxy"), "proxy: a URL of the form http://host:port was expected"),
            (("--cookie-env", "NOT_SET"), "no such variable in the environment; nothing was added"),
        ],
    )
    def test_what_cannot_be_used(
        self, kabar: Commands, store: Engine, arguments: tuple[str, ...], message: str
    ) -> None:
        assert message in kabar("feeds", "add", FEED, *arguments).error
        assert rows(store, Feed) == []


class TestList:
    def test_those_that_fail(self, kabar: Commands, either_store: Engine) -> None:
        for state in ("active", "failing", "gone", "paused"):
            add_feed(either_store, f"{FEED}/{state}", state=state)
        listed = kabar("feeds", "list", "--failing", "--json").json
        assert [feed["state"] for feed in listed] == ["failing", "gone"]

    def test_those_with_a_tag(self, kabar: Commands, either_store: Engine) -> None:
        tags = (None, ["Asia"], ["x", "Asia/Indonesia"], ["Asian"])
        for number, given in enumerate(tags):
            add_feed(either_store, f"{FEED}/{number}", tags=given)
        listed = kabar("feeds", "list", "--tag", "Asia", "--json").json
        assert [feed["id"] for feed in listed] == [2, 3]
        assert kabar("feeds", "list", "--tag", "Europa").out == "none of the feeds is so\n"


class TestShow:
    def test_what_the_next_poll_follows_from(self, kabar: Commands, either_store: Engine) -> None:
        why = [
            {"name": "rhythm", "at": NOON.isoformat(), "detail": "an entry an hour",
             "effective": False},
            {"name": "Retry-After", "at": (NOON + HOUR).isoformat(), "detail": "",
             "effective": True},
        ]  # fmt: skip
        add_feed(either_store, FEED, schedule=why, due_at=NOON + HOUR)
        shown = kabar("feeds", "show", FEED).out
        _, table = shown.split("\nthe next poll follows from:\n")
        _, first, second = table.splitlines()
        assert re.split("  +", first.strip()) == [
            "rhythm", "2026-03-04 12:00:00", "an entry an hour"
        ]  # fmt: skip
        assert second.split() == ["*", "Retry-After", "2026-03-04", "13:00:00"]
        assert kabar("feeds", "show", FEED, "--json").json["schedule"] == why

    @pytest.mark.parametrize(
        ("due_at", "why"), [(NOON + HOUR, "put off"), (NOON - HOUR, "brought forward")]
    )
    def test_that_it_was_rescheduled_since(
        self, kabar: Commands, store: Engine, due_at: datetime, why: str
    ) -> None:
        of_poll = [{"name": "spread", "at": NOON.isoformat(), "detail": "", "effective": False}]
        add_feed(store, FEED, schedule=of_poll, due_at=due_at)
        assert f"\nsince then it was {why}: " in kabar("feeds", "show", FEED).out
        change(store, Feed, due_at=NOON)
        assert "since then" not in kabar("feeds", "show", FEED).out

    def test_that_its_host_wants_to_be_left_alone(
        self, kabar: Commands, either_store: Engine
    ) -> None:
        add_feed(either_store, FEED)
        until = datetime(2100, 1, 1, tzinfo=UTC)
        with writing(either_store) as connection:
            hosts.cool_down(connection, host_of(FEED), until)
        shown = kabar("feeds", "show", FEED).out
        assert re.search("^host +wants to be left alone until 2100-01-01 00:00:00$", shown, re.M)
        document = kabar("feeds", "show", FEED, "--json").json
        assert document["host_resting_until"] == until.isoformat()
        change(either_store, Host, cool_down_until=NOON)
        assert "left alone" not in kabar("feeds", "show", FEED).out
        assert kabar("feeds", "show", FEED, "--json").json["host_resting_until"] is None

    def test_all_that_is_known(self, kabar: Commands, store: Engine) -> None:
        number = add_feed(
            store, FEED, language="id", tags=["Asia/Indonesia", "x"], interval_seconds=300,
            options={"verify_tls": False, "headers_env": {"X-Key": "KEY"}, "cookie": "sesame"},
            succeeded_at=NOON, listed_at=NOON, newest_at=NOON, gap_seconds=5_400,
            hint_seconds=3_600, identity_by="link", moved_to=OTHER, moved_polls=2, moved_at=NOON,
            failures=2, failing_at=NOON,
        )  # fmt: skip
        with writing(store) as connection:
            connection.execute(
                insert(Subscription).values(
                    feed_id=number, hub="https://hub.example/", topic=FEED, token="t",
                    secret="sesame", state="active", asked_at=NOON, lease_ends_at=NOON + HOUR,
                    pushed_at=NOON,
                )
            )  # fmt: skip
        lines = dict(re.split("  +", line, maxsplit=1) for line in
                     kabar("feeds", "show", FEED).out.splitlines())  # fmt: skip
        noon = "2026-03-04 12:00:00"
        assert lines == {
            "feed": f"1  {FEED}",
            "language": "id",
            "tags": "Asia/Indonesia, x",
            "state": "active",
            "options": "verify_tls = false, headers_env = X-Key: KEY, cookie = (hidden)",
            "own interval": "300 s",
            "last success": noon,
            "last new": noon,
            "newest entry": noon,
            "gap expected": "5,400 s",
            "gap asked for": "3,600 s",
            "entries known by": "link",
            "moving to": f"{OTHER}, by 2 polls since {noon}",
            "pushed": f"active at https://hub.example/, until 2026-03-04 13:00:00, last {noon}",
            "failures in a row": "2",
            "failing since": noon,
            "next poll": noon,
        }
        subscription = kabar("feeds", "show", FEED, "--json").json["subscription"]
        assert (subscription["state"], subscription["topic"]) == ("active", FEED)
        assert not {"token", "secret"} & set(subscription)


class TestPoll:
    def test_what_is_sent_what_comes_and_what_follows(
        self, kabar: Commands, either_store: Engine, site: Site
    ) -> None:
        site.routes["/old"] = answer(b"", 302, headers={"Location": "/feed"})
        validator = {"ETag": '"1"'}
        site.routes["/feed"] = feed("https://a.b/1", "https://a.b/2", headers=validator)
        add_feed(either_store, site.url("/old"), due_at=NOON + 10_000 * HOUR)
        done = kabar("feeds", "poll", "1")
        assert done.code == 0
        lines = done.out.splitlines()
        assert lines[0] == f"> GET {site.url('/old')}"
        assert any(line.startswith("> User-Agent: Kabar/") for line in lines)
        assert any(line.startswith("> Accept: application/atom+xml") for line in lines)
        assert f"< 302 from {site.url('/old')}" in lines
        assert re.search(r"^< 200 Phrase after \d+\.\d\d s, \d+ bytes$", done.out, re.MULTILINE)
        assert '< ETag: "1"' in lines
        assert "The Ledger: 2 entries, 2 new" in lines
        assert {"  On 1", "  On 2"} <= set(lines)
        assert re.fullmatch(r"next poll \d{4}-\d\d-\d\d \d\d:\d\d:\d\d \(.+\)", lines[-1])
        polled = row(either_store, Feed)
        assert (polled["title"], polled["lease_token"]) == ("The Ledger", None)
        assert polled["due_at"] < NOON + 10_000 * HOUR

        again = kabar("feeds", "poll", "1", "--json").json
        assert again["request_headers"]["If-None-Match"] == '"1"'
        assert (again["result"], again["status"], again["new_articles"]) == ("unchanged", 200, 0)
        assert again["hops"] == [{"status": 302, "url": site.url("/old")}]
        assert again["final_url"] == site.url("/feed")
        assert [each["effective"] for each in again["schedule"]].count(True) == 1
        assert datetime.fromisoformat(again["due_at"]) == row(either_store, Feed)["due_at"]

    def test_one_that_fails_ends_with_1(self, kabar: Commands, store: Engine, site: Site) -> None:
        add_feed(store, site.url("/gone"))
        done = kabar("feeds", "poll", "1")
        assert (done.code, done.err) == (1, "")
        assert "< 404 Phrase after" in done.out
        assert "failed: 404 Phrase" in done.out
        assert row(store, Feed)["reason"] == "not_found"
        document = kabar("feeds", "poll", "1", "--json").out
        assert json.loads(document)["reason"] == "not_found"

    def test_one_that_another_process_polls(
        self, kabar: Commands, either_store: Engine, site: Site
    ) -> None:
        add_feed(either_store, site.url("/feed"))
        claimed(either_store, "poll", datetime.now(UTC))
        before = row(either_store, Feed)
        assert "is being polled right now" in kabar("feeds", "poll", "1").error
        assert row(either_store, Feed) == before
        assert site.requests == []

    def test_a_host_that_wants_to_be_left_alone(
        self, kabar: Commands, either_store: Engine, site: Site
    ) -> None:
        until = datetime.now(UTC) + HOUR
        host = site.url("").removeprefix("http://")
        with writing(either_store) as connection:
            hosts.cool_down(connection, host, until)
        add_feed(either_store, site.url("/feed"))
        told = f"{host} asked to be left alone until {until.astimezone():%Y-%m-%d %H:%M:%S}"
        assert kabar("feeds", "poll", "1").error == f"kabar: {told}"
        assert kabar("feeds", "add", site.url("/")).error == f"kabar: {told}"
        assert site.requests == []
        with writing(either_store) as connection:
            connection.execute(update(Host).values(cool_down_until=NOON))
        assert "404" in kabar("feeds", "poll", "1").out

    @pytest.mark.parametrize("state", ["paused", "undeclared"])
    def test_one_that_is_not_followed(self, kabar: Commands, store: Engine, state: str) -> None:
        add_feed(store, FEED, state=state)
        assert f"is {state}: resume it first" in kabar("feeds", "poll", "1").error
        assert row(store, Feed)["attempts"] == 0

    def test_one_that_is_gone_is_asked_once_more(
        self, kabar: Commands, store: Engine, site: Site
    ) -> None:
        site.routes["/feed"] = feed("https://a.b/1")
        add_feed(store, site.url("/feed"), state="gone", failures=2)
        assert kabar("feeds", "poll", "1").code == 0
        assert (row(store, Feed)["state"], row(store, Feed)["failures"]) == ("active", 0)

    def test_what_breaks_off_leaves_the_feed_as_it_was(
        self, kabar: Commands, store: Engine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        add_feed(store, FEED)
        before = row(store, Feed)

        def interrupted(*_: object, **__: object) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr("worker.feeds.request", interrupted)
        with pytest.raises(KeyboardInterrupt):
            polling.poll(store, load(), before)
        assert row(store, Feed) == before

    def test_what_came_while_another_process_polls_is_left_to_that(
        self, store: Engine, site: Site
    ) -> None:
        number = add_feed(store, site.url("/feed"))
        claimed(store, "poll", datetime.now(UTC))
        site.routes["/feed"] = feed("https://a.b/1")

        async def get() -> Response:
            async with Client(load().http) as client:
                return await client.get(site.url("/feed"))

        before = row(store, Feed)
        assert polling.take_in(store, load(), number, asyncio.run(get())) is None
        assert row(store, Feed) == before

    def test_an_index_of_sitemaps(self, kabar: Commands, store: Engine, site: Site) -> None:
        news = "http://www.google.com/schemas/sitemap-news/0.9"
        of = 'xmlns="http://www.sitemaps.org/schemas/sitemap/0.9"'
        index = f"<sitemapindex {of}><sitemap><loc>{site.url('/news.xml')}</loc></sitemap>"
        urls = (
            f'<urlset {of} xmlns:news="{news}"><url><loc>https://a.b/1</loc><news:news>'
            "<news:publication><news:name>The Ledger</news:name><news:language>en</news:language>"
            "</news:publication><news:publication_date>2026-03-04</news:publication_date>"
            "<news:title>One</news:title></news:news></url></urlset>"
        )
        site.routes["/sitemap.xml"] = answer(f"{index}</sitemapindex>".encode())
        site.routes["/news.xml"] = answer(urls.encode())
        assert "(sitemap, 0 entries)" in kabar("feeds", "add", site.url("/sitemap.xml")).out
        assert [path(request) for request in site.requests] == ["/sitemap.xml", "/news.xml"]
        assert row(store, Article)["url"] == "https://a.b/1"
        assert kabar("feeds", "poll", "1", "--json").json["result"] == "unchanged"

    def test_a_hub_is_asked_to_push(
        self, kabar: Commands, store: Engine, site: Site, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("KABAR_WEBSUB__CALLBACK_URL", "https://news.example.com")
        links = f'<{site.url("/hub")}>; rel="hub", <{site.url("/feed")}>; rel="self"'
        site.routes["/feed"] = feed("https://a.b/1", headers={"Link": links})
        site.routes["/hub"] = answer(b"", 202)
        kabar("feeds", "add", site.url("/feed"))
        assert [path(request) for request in site.requests] == ["/feed", "/hub"]
        asked = row(store, Subscription)
        assert (asked["hub"], asked["topic"]) == (site.url("/hub"), site.url("/feed"))
        assert f"asked at {site.url('/hub')}" in kabar("feeds", "show", "1").out

        site.routes["/hub"] = answer(b"no such topic", 404)
        with writing(store) as connection:
            connection.execute(delete(Subscription))
            connection.execute(update(Feed).values(body_hash=None, etag=None, last_modified=None))
        kabar("feeds", "poll", "1")
        assert "404" in row(store, Subscription)["detail"]


class TestSecrets:
    def test_no_output_holds_one(
        self, kabar: Commands, store: Engine, site: Site, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """User and password of URLs, values of options, token and secret of a subscription."""
        monkeypatch.setenv("KEY", SECRET)
        url = site.url("/feed").replace("://", f"://{SECRET}:{SECRET}@")
        elsewhere = f"https://{SECRET}:{SECRET}@example.net/"
        site.routes["/feed"] = feed("https://a.b/1", headers={"Set-Cookie": f"sid={SECRET}"})
        added = kabar("feeds", "add", url, "--no-discover", "--header", f"X-A: {SECRET}",
                      "--header-env", "X-B: KEY", "--cookie-env", "KEY")  # fmt: skip
        outputs = [added, kabar("feeds", "add", url)]
        change(store, Feed, moved_to=elsewhere, moved_polls=1, moved_at=NOON, site_url=elsewhere)
        with writing(store) as connection:
            connection.execute(
                insert(Subscription).values(
                    feed_id=1, hub=elsewhere, topic=elsewhere, token=SECRET, secret=SECRET,
                    state="asked", asked_at=NOON,
                )
            )  # fmt: skip
        outputs += [
            kabar("feeds", *command)
            for command in (
                ("list",), ("list", "--json"), ("show", "1"), ("show", "1", "--json"),
                ("poll", "1"), ("poll", url, "--json"), ("export",), ("pause", url),
                ("poll", url), ("resume", url), ("show", f"{url}s"), ("remove", url),
                ("add", url, "--json"), ("list", "--json"), ("show", "2", "--json"),
                ("add", f"ftp://a:{SECRET}@example.org/"), ("add", url, "--dry-run"),
                ("add", f"http://a:{SECRET}@127.0.0.1:9/"),
            )
        ]  # fmt: skip
        for done in outputs:
            assert done.out + done.err
            assert SECRET not in done.out + done.err
        sent = site.requests[0]
        assert (header(sent, "X-A"), header(sent, "X-B"), header(sent, "Cookie")) == (SECRET,) * 3

    def test_nor_the_feeds_files_error(self, store: Engine, tmp_path: Path) -> None:
        file = tmp_path / "feeds.toml"
        file.write_text(f'[[feeds]]\nurl = "{FEED}"\ncookie = "{SECRET}"\ncookie_env = "A"\n')
        with pytest.raises(KabarError) as raised:
            feeds.apply_file(store, file)
        assert SECRET not in str(raised.value)


class TestImport:
    def test_a_list(self, kabar: Commands, either_store: Engine, tmp_path: Path) -> None:
        add_feed(either_store, FEED, title="As it was")
        (tmp_path / "mine.opml").write_bytes(
            opml.write(
                [Listed(FEED), Listed(OTHER, "Berita", tags=("Asia/Indonesia",))],
                NOON,
            )
        )
        done = kabar("feeds", "import", "mine.opml")
        assert (done.out, done.err) == ("added 1 feed; 1 were followed already\n", "")
        known, new = rows(either_store, Feed)
        assert known["title"] == "As it was"
        assert (new["url"], new["title"], new["tags"]) == (OTHER, "Berita", ["Asia/Indonesia"])
        again = kabar("feeds", "import", "mine.opml", "--json").json
        assert again == {"added": 0, "followed": 2, "problems": []}

    def test_what_cannot_be_used_is_told_and_the_rest_imported(
        self, kabar: Commands, store: Engine, tmp_path: Path
    ) -> None:
        text = f'<opml>\n<outline xmlUrl="example.org"/>\n<outline xmlUrl="{FEED}"/></opml>'
        (tmp_path / "mine.opml").write_text(text)
        done = kabar("feeds", "import", "mine.opml")
        assert (done.code, done.out) == (0, "added 1 feed\n")
        assert done.err.splitlines() == [
            "line 2: 'example.org' is no URL of the form https://host/path",
            "1 could not be used",
        ]

    def test_standard_input(
        self, kabar: Commands, store: Engine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        text = f'<opml><outline xmlUrl="{FEED}"/></opml>'.encode()
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text)))
        assert kabar("feeds", "import", "-").out == "added 1 feed\n"

    @pytest.mark.parametrize(
        ("body", "message"),
        [
            (b"<html><body>news</body></html>", "an HTML page, not an OPML list of feeds"),
            (b"<opml/>", "there is no feed in it"),
            (b'<!DOCTYPE opml [<!ENTITY a "b">]><opml/>', "declares entities of its own"),
        ],
    )
    def test_nothing_usable(
        self, kabar: Commands, store: Engine, tmp_path: Path, body: bytes, message: str
    ) -> None:
        (tmp_path / "mine.opml").write_bytes(body)
        done = kabar("feeds", "import", "mine.opml")
        assert (done.code, message in done.error) == (2, True)
        assert done.error.startswith("kabar: mine.opml: ")

    def test_no_file(self, kabar: Commands, store: Engine, tmp_path: Path) -> None:
        assert kabar("feeds", "import", "no.opml").error == (
            "kabar: no.opml: No such file or directory"
        )
        assert kabar("feeds", "import", ".").error == "kabar: .: Is a directory"

    def test_one_too_large(
        self, kabar: Commands, store: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("worker.feeds.opml.MOST_BYTES", 10)
        (tmp_path / "mine.opml").write_bytes(b"<opml>     </opml>")
        assert kabar("feeds", "import", "mine.opml").error == "kabar: mine.opml: over 10 bytes"


class TestExport:
    def test_there_and_back(self, kabar: Commands, either_store: Engine, tmp_path: Path) -> None:
        listed = [
            {"url": FEED, "title": "The Ledger", "site_url": "https://example.org/"},
            {"url": OTHER, "title": None, "tags": ["Asia/Indonesia", "x"], "state": "paused"},
        ]
        for one in listed:
            add_feed(either_store, **one)
        done = kabar("feeds", "export", "mine.opml")
        assert (done.code, done.out, done.err) == (0, "", "")
        written = (tmp_path / "mine.opml").read_bytes()
        assert b'htmlUrl="https://example.org/"' in written
        with writing(either_store) as connection:
            connection.execute(delete(Feed))
        assert kabar("feeds", "import", "mine.opml").out == "added 2 feeds\n"
        assert [(one["url"], one["title"], one["tags"]) for one in rows(either_store, Feed)] == [
            (FEED, "The Ledger", None),
            (OTHER, None, ["Asia/Indonesia", "x"]),
        ]

    def test_standard_output(self, kabar: Commands, store: Engine) -> None:
        add_feed(store, FEED, title="Édition")
        for done in (kabar("feeds", "export"), kabar("feeds", "export", "-")):
            assert opml.read(done.out.encode()).feeds[0].title == "Édition"

    def test_users_and_passwords_are_left_out(self, kabar: Commands, store: Engine) -> None:
        add_feed(store, "https://user:sesame@example.org/feed")
        done = kabar("feeds", "export")
        assert f'xmlUrl="{FEED}"' in done.out
        assert done.err == "the user and password of 1 URL were left out\n"

    def test_a_file_that_cannot_be_written(self, kabar: Commands, store: Engine) -> None:
        error = kabar("feeds", "export", "nowhere/mine.opml").error
        assert error == "kabar: nowhere/mine.opml: No such file or directory"


def page(*feeds: str) -> Handler:
    links = "".join(
        f'<link rel=alternate type=application/rss+xml title="Feed {href}" href="{href}">'
        for href in feeds
    )
    return answer(f"<!doctype html>{links}<p>News".encode(), headers={"Content-Type": "text/html"})


def feed(*links: str, headers: dict[str, str] | None = None) -> Handler:
    """An RSS feed of articles at `links`, each titled by its last part."""
    items = "".join(
        f"<item><title>On {link.rpartition('/')[2]}</title><link>{link}</link></item>"
        for link in links
    )
    document = f"<rss version='2.0'><channel><title>The Ledger</title>{items}</channel></rss>"
    return answer(
        document.encode(), headers={"Content-Type": "application/rss+xml"} | (headers or {})
    )


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setenv("KABAR_HTTP__ALLOW_NETWORKS", "127.0.0.0/8")
    monkeypatch.setenv("KABAR_POLITENESS__SPACING_SECONDS", "0")
    with Site() as site:
        yield site
