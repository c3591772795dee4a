from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine

from tests.store.rows import HOUR, LEASE, NOON, add_feed, at_once, change, claimed, row, rows
from worker.errors import KabarError
from worker.feeds import Entry, PollOutcome
from worker.reasons import Reason
from worker.settings import PollSettings, Settings, Stage
from worker.store import feeds, open_engine, writing
from worker.store.claims import claim, finish
from worker.store.feeds import FileChange
from worker.store.models import Article, Feed
from worker.store.models import Entry as EntryRow

FEED = "https://example.org/feed"
OTHER = "https://example.com/rss"


def entry(name: str, *, revision: str = "1", url: str | None = "", hours: int = 0) -> Entry:
    """An entry, published `hours` after the day before."""
    return Entry(
        identity=name,
        url=f"https://example.org/news/{name}" if url == "" else url,
        title=f"Title of {name}",
        summary="",
        content="",
        authors=("A. Reporter",),
        published_at=NOON - timedelta(days=1) + hours * HOUR,
        updated_at=None,
        revision=revision,
    )


def declare(*urls: str) -> str:
    return "".join(f'[[feeds]]\nurl = "{url}"\n' for url in urls)


def poll(
    engine: Engine, settings: Settings, listed: dict[str, Sequence[Entry]], now: datetime = NOON
) -> int:
    """Claim the due feeds and save that each lists what `listed` says for its URL."""
    batch = claimed(engine, "poll", now)
    outcomes = []
    for feed_row in batch.rows:
        feed = feeds.known(feed_row)
        outcomes.append(
            PollOutcome(
                "changed",
                replace(feed, changed_at=now, etag='"1"'),
                now + HOUR / 2,
                200,
                title="A feed",
                entries=tuple(listed[feed.url]),
                first_sight=feed.changed_at is None,
            )
        )
    return feeds.save(engine, batch, outcomes, settings=settings)


def with_poll(settings: Settings, **values: object) -> Settings:
    return settings.model_copy(update={"poll": PollSettings.model_validate(values)})


class TestAdd:
    def test_a_new_feed_is_due_at_once(self, engine: Engine) -> None:
        assert feeds.add(engine, FEED, title="Given", interval_seconds=60)
        (listed,) = feeds.listing(engine)
        assert (listed["url"], listed["title"], listed["interval_seconds"]) == (FEED, "Given", 60)
        assert (listed["state"], listed["articles"]) == ("active", 0)
        assert claim(engine, "poll", 10, LEASE) is not None

    def test_a_feed_that_is_there_stays_as_it_is(self, engine: Engine) -> None:
        feeds.add(engine, FEED, title="Given")
        assert not feeds.add(engine, FEED, title="Other")
        assert row(engine, Feed)["title"] == "Given"

    @pytest.mark.parametrize(
        "url",
        [
            "example.org/feed",
            "ftp://example.org/feed",
            "https://",
            "https://[::1/feed",
            "https://example.org:99999/feed",
            f"https://example.org/{'a' * 3_000}",
            "",
        ],
    )
    def test_what_is_no_url_of_a_feed_is_refused(self, engine: Engine, url: str) -> None:
        with pytest.raises(KabarError, match="is no URL of the form"):
            feeds.add(engine, url)
        assert rows(engine, Feed) == []


class TestFile:
    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        return tmp_path / "feeds.toml"

    def test_declared_feeds_are_followed(self, engine: Engine, path: Path) -> None:
        path.write_text(
            f'[[feeds]]\nurl = "{FEED}"\n'
            f'[[feeds]]\nurl = "{OTHER}"\ntitle = "Édition"\ninterval_seconds = 300\n',
            encoding="utf-8",
        )
        add_feed(engine, FEED)
        assert feeds.apply_file(engine, path) == FileChange(added=1, paused=0)
        assert feeds.apply_file(engine, path) is None
        other = row(engine, Feed, url=OTHER)
        assert (other["title"], other["interval_seconds"]) == ("Édition", 300)
        assert {feed["declared"] for feed in rows(engine, Feed)} == {True}

    def test_what_leaves_the_file_is_paused_and_comes_back_with_it(
        self, engine: Engine, path: Path
    ) -> None:
        path.write_text(declare(FEED, OTHER))
        feeds.apply_file(engine, path)
        path.write_text(declare(OTHER))
        assert feeds.apply_file(engine, path) == FileChange(added=0, paused=1)
        assert row(engine, Feed, url=FEED)["state"] == "undeclared"
        assert len(claimed(engine, "poll", datetime.now(UTC) + HOUR).rows) == 1
        path.write_text(declare(FEED))
        assert feeds.apply_file(engine, path) == FileChange(added=0, paused=1)
        assert row(engine, Feed, url=FEED)["state"] == "active"

    def test_what_was_added_or_paused_by_hand_stays_so(self, engine: Engine, path: Path) -> None:
        add_feed(engine, FEED)
        path.write_text(declare(OTHER))
        feeds.apply_file(engine, path)
        assert row(engine, Feed, url=FEED)["state"] == "active"
        change(engine, Feed, state="paused")
        path.write_text(declare(OTHER, "https://example.net/third"))
        feeds.apply_file(engine, path)
        assert row(engine, Feed, url=OTHER)["state"] == "paused"

    def test_many_processes_may_apply_it_at_once(self, engine: Engine, path: Path) -> None:
        path.write_text(declare(*(f"https://example.org/{number}" for number in range(50))))
        changes = at_once(*[lambda: feeds.apply_file(engine, path)] * 8)
        assert sum(change.added for change in changes if change) == 50
        assert len(rows(engine, Feed)) == 50

    def test_a_file_that_is_not_there_declares_nothing(self, engine: Engine, path: Path) -> None:
        path.write_text(declare(FEED))
        feeds.apply_file(engine, path)
        path.unlink()
        assert feeds.apply_file(engine, path) is None
        assert row(engine, Feed)["state"] == "active"

    def test_a_file_may_list_none(self, engine: Engine, path: Path) -> None:
        path.write_text("# none yet\n")
        assert feeds.apply_file(engine, path) == FileChange(added=0, paused=0)

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("[[feeds]]\nurl = ", "Invalid value"),
            ('[[feeds]]\ntitle = "No URL"\n', "needs a url"),
            ("[[feeds]]\nurl = 3\n", "needs a url"),
            ('feeds = ["https://example.org/feed"]\n', "needs a url"),
            ("feeds = 3\n", "a list of"),
            ('[[feeds]]\nurl = "{}"\nintervall_seconds = 5\n', "no such key 'intervall_seconds'"),
            ('[[feeds]]\nurl = "{}"\ninterval_seconds = "5"\n', "interval_seconds = '5'"),
            ('[[feeds]]\nurl = "{}"\ninterval_seconds = 0\n', "interval_seconds = 0"),
            ('[[feeds]]\nurl = "{}"\ninterval_seconds = true\n', "interval_seconds = True"),
            ('[[feeds]]\nurl = "{}"\ninterval_seconds = nan\n', "interval_seconds = nan"),
            ('[[feeds]]\nurl = "{}"\ntitle = 5\n', "title = 5"),
            ('[[feed]]\nurl = "{}"\n', "no such key 'feed'"),
            ('[[feeds]]\nurl = "{}"\n[[feeds]]\nurl = "example.com"\n', "'example.com' is no URL"),
        ],
    )
    def test_a_file_that_cannot_be_understood_adds_none(
        self, engine: Engine, path: Path, text: str, message: str
    ) -> None:
        path.write_text(text.replace("{}", FEED))
        with pytest.raises(KabarError) as raised:
            feeds.apply_file(engine, path)
        assert str(raised.value).startswith(f"{path}: ")
        assert message in str(raised.value)
        assert rows(engine, Feed) == []

    def test_a_file_that_is_not_utf8(self, engine: Engine, path: Path) -> None:
        path.write_bytes(b'[[feeds]]\nurl = "https://example.org/\xe9"\n')
        with pytest.raises(KabarError, match="utf-8"):
            feeds.apply_file(engine, path)


class TestSave:
    @pytest.fixture
    def feed_id(self, engine: Engine) -> int:
        """A feed that was polled before, without any entry."""
        return add_feed(engine, FEED, changed_at=NOON - HOUR)

    @pytest.fixture
    def settings(self, store_settings: Settings) -> Settings:
        return store_settings

    def test_new_entries_become_articles(
        self, engine: Engine, settings: Settings, feed_id: int
    ) -> None:
        listed = [entry("a"), entry("b")]
        assert poll(engine, settings, {FEED: listed}) == 2
        assert poll(engine, settings, {FEED: listed}, NOON + HOUR) == 0

        article = row(engine, Article, url="https://example.org/news/a")
        assert (article["stage"], article["due_at"], article["silent"]) == ("fetch", NOON, False)
        assert (article["feed_id"], article["first_seen_at"]) == (feed_id, NOON)
        assert article["published_at"] == NOON - timedelta(days=1)
        assert article["feed_entry"]["title"] == "Title of a"
        assert article["feed_entry"]["authors"] == ["A. Reporter"]
        assert [line["stage"] for line in article["history"]] == ["poll"]
        assert row(engine, EntryRow, identity="a")["article_id"] == article["id"]
        assert feeds.listing(engine)[0]["articles"] == 2

    def test_the_feed_is_given_back_with_what_is_known_now(
        self, engine: Engine, settings: Settings, feed_id: int
    ) -> None:
        poll(engine, settings, {FEED: []})
        feed = row(engine, Feed)
        assert (feed["lease_token"], feed["lease_until"], feed["attempts"]) == (None, None, 0)
        assert (feed["due_at"], feed["polled_at"]) == (NOON + HOUR / 2, NOON)
        assert (feed["etag"], feed["title"], feed["status"]) == ('"1"', "A feed", 200)

    def test_a_failed_poll_keeps_what_the_feed_said_of_itself(
        self, engine: Engine, settings: Settings, feed_id: int
    ) -> None:
        poll(engine, settings, {FEED: []})
        batch = claimed(engine, "poll", NOON + HOUR)
        feed = replace(feeds.known(batch.rows[0]), failures=1)
        failed = PollOutcome(
            "failed", feed, NOON + 2 * HOUR, 404, Reason.NOT_FOUND, "404 Not Found"
        )
        assert feeds.save(engine, batch, [failed], settings=settings) == 0
        found = row(engine, Feed)
        assert (found["failures"], found["reason"], found["detail"]) == (
            1,
            "not_found",
            "404 Not Found",
        )
        assert (found["title"], found["etag"]) == ("A feed", '"1"')

    def test_a_date_in_the_future_is_now(
        self, engine: Engine, settings: Settings, feed_id: int
    ) -> None:
        poll(engine, settings, {FEED: [entry("a", hours=100)]})
        assert row(engine, Article)["published_at"] == NOON

    def test_the_first_poll_takes_the_newest_and_remembers_the_rest(
        self, engine: Engine, settings: Settings
    ) -> None:
        add_feed(engine, FEED)
        few = with_poll(settings, backfill=2)
        listed = [entry("old", hours=1), entry("new", hours=9), entry("newer", hours=10)]
        assert poll(engine, few, {FEED: listed}) == 2
        articles = rows(engine, Article)
        assert {article["feed_entry"]["title"] for article in articles} == {
            "Title of new",
            "Title of newer",
        }
        assert all(article["silent"] for article in articles)
        assert row(engine, EntryRow, identity="old")["article_id"] is None

        later = [*listed, entry("newest", hours=11)]
        assert poll(engine, few, {FEED: later}, NOON + HOUR) == 1
        newest = row(engine, Article, id=row(engine, EntryRow, identity="newest")["article_id"])
        assert not newest["silent"]
        assert row(engine, EntryRow, identity="old")["article_id"] is None

    def test_undated_entries_are_new_in_the_documents_order(
        self, engine: Engine, settings: Settings
    ) -> None:
        add_feed(engine, FEED)
        listed = [replace(entry(name), published_at=None) for name in "abc"]
        poll(engine, with_poll(settings, backfill=1), {FEED: listed})
        assert row(engine, Article)["feed_entry"]["title"] == "Title of a"

    @pytest.mark.parametrize(
        ("poll_settings", "silent"),
        [({"backfill": 0}, []), ({"backfill_alerts": True}, [False])],
    )
    def test_backfill_is_for_the_user_to_choose(
        self,
        engine: Engine,
        settings: Settings,
        poll_settings: dict[str, object],
        silent: list[bool],
    ) -> None:
        add_feed(engine, FEED)
        poll(engine, with_poll(settings, **poll_settings), {FEED: [entry("a")]})
        assert [article["silent"] for article in rows(engine, Article)] == silent
        assert len(rows(engine, EntryRow)) == 1

    @pytest.mark.parametrize("stage", ["done", "failed"])
    def test_a_changed_entry_sends_a_finished_article_back_to_fetch(
        self, engine: Engine, settings: Settings, feed_id: int, stage: str
    ) -> None:
        poll(engine, settings, {FEED: [entry("a"), entry("b")]})
        ended = {"stage": stage, "degradations": [{"stage": "fetch"}], "reason": "crashed"}
        change(engine, Article, **ended, due_at=NOON - HOUR)
        changed = replace(entry("a", revision="2"), title="Corrected")
        poll(engine, settings, {FEED: [changed, entry("b")]}, NOON + HOUR)

        article = row(engine, Article, url="https://example.org/news/a")
        assert (article["stage"], article["due_at"]) == ("fetch", NOON + HOUR)
        assert (article["degradations"], article["reason"]) == ([], None)
        assert article["feed_entry"]["title"] == "Corrected"
        assert row(engine, EntryRow, identity="a")["revision"] == "2"
        assert row(engine, Article, url="https://example.org/news/b")["stage"] == stage

        change(engine, Article, stage=stage)
        poll(engine, settings, {FEED: [changed, entry("b")]}, NOON + 2 * HOUR)
        assert {article["stage"] for article in rows(engine, Article)} == {stage}

    @pytest.mark.parametrize("stage", ["fetch", "process", "translate", "publish"])
    def test_a_changed_entry_calls_an_article_back_from_whoever_holds_it(
        self, engine: Engine, settings: Settings, feed_id: int, stage: Stage
    ) -> None:
        poll(engine, settings, {FEED: [entry("a")]})
        change(engine, Article, stage=stage)
        held = claimed(engine, stage, NOON)
        changed = replace(entry("a", revision="2"), title="Corrected")
        poll(engine, settings, {FEED: [changed]}, NOON + HOUR)
        article = row(engine, Article)
        assert (article["stage"], article["feed_entry"]["title"]) == ("fetch", "Corrected")
        with writing(engine) as connection:
            assert not finish(connection, stage, article["id"], held.token, {"stage": "done"})

    def test_a_changed_entry_leaves_a_deleted_article_alone(
        self, engine: Engine, settings: Settings, feed_id: int
    ) -> None:
        poll(engine, settings, {FEED: [entry("a")]})
        change(engine, Article, stage="deleted")
        before = row(engine, Article)
        poll(engine, settings, {FEED: [entry("a", revision="2")]}, NOON + HOUR)
        assert row(engine, Article) == before

    def test_an_article_that_two_feeds_list_is_one(
        self, engine: Engine, settings: Settings, feed_id: int
    ) -> None:
        add_feed(engine, OTHER, changed_at=NOON - HOUR)
        same = entry("urn:1", url="https://www.example.org/news/a?utm_source=rss")
        poll(engine, settings, {FEED: [entry("a")], OTHER: [same]})
        poll(engine, settings, {FEED: [entry("a")], OTHER: [same]}, NOON + HOUR)
        article = row(engine, Article)
        assert {found["article_id"] for found in rows(engine, EntryRow)} == {article["id"]}
        assert len(rows(engine, EntryRow)) == 2

    def test_an_article_that_another_feed_lists_later_is_the_same(
        self, engine: Engine, settings: Settings, feed_id: int
    ) -> None:
        poll(engine, settings, {FEED: [entry("a")]})
        before = row(engine, Article)
        add_feed(engine, OTHER, due_at=NOON, changed_at=NOON - HOUR)
        poll(engine, settings, {OTHER: [entry("a", revision="9")]})
        assert row(engine, Article) == before
        assert len(rows(engine, EntryRow, article_id=before["id"])) == 2

    @pytest.mark.parametrize(("stage", "silent"), [("process", False), ("done", True)])
    def test_a_backfilled_article_is_news_when_another_feed_lists_it_as_new(
        self, engine: Engine, settings: Settings, feed_id: int, stage: str, silent: bool
    ) -> None:
        add_feed(engine, OTHER)
        poll(engine, settings, {FEED: [], OTHER: [entry("a")]})
        assert row(engine, Article)["silent"]
        change(engine, Article, stage=stage)
        poll(engine, settings, {FEED: [entry("a")], OTHER: []}, NOON + HOUR)
        assert row(engine, Article)["silent"] == silent

    def test_entries_of_one_feed_with_one_link_are_one_article(
        self, engine: Engine, settings: Settings, feed_id: int
    ) -> None:
        link = "https://example.org/live"
        poll(engine, settings, {FEED: [entry("a", url=link), entry("b", url=link)]})
        assert row(engine, Article)["feed_entry"]["title"] == "Title of a"
        assert len(rows(engine, EntryRow)) == 2

    def test_entries_without_a_link_are_articles_of_their_feed(
        self, engine: Engine, settings: Settings, feed_id: int
    ) -> None:
        add_feed(engine, OTHER, changed_at=NOON - HOUR)
        listed = [entry("a", url=None), entry("b", url=None)]
        assert poll(engine, settings, {FEED: listed, OTHER: listed}) == 4
        assert {article["url"] for article in rows(engine, Article)} == {None}
        assert poll(engine, settings, {FEED: listed, OTHER: listed}, NOON + HOUR) == 0

    def test_seen_at_moves_while_an_entry_is_listed(
        self, engine: Engine, settings: Settings, feed_id: int
    ) -> None:
        poll(engine, settings, {FEED: [entry("a"), entry("b")]})
        poll(engine, settings, {FEED: [entry("a")]}, NOON + HOUR)
        kept, gone = row(engine, EntryRow, identity="a"), row(engine, EntryRow, identity="b")
        assert (kept["first_seen_at"], kept["seen_at"]) == (NOON, NOON + HOUR)
        assert gone["seen_at"] == NOON

    def test_a_late_outcome_changes_nothing_at_all(
        self, engine: Engine, settings: Settings, feed_id: int
    ) -> None:
        poll(engine, settings, {FEED: [entry("a")]})
        change(engine, Article, stage="done")
        late = claimed(engine, "poll", NOON + HOUR)
        holder = claimed(engine, "poll", NOON + 2 * HOUR)
        before = rows(engine, Feed), rows(engine, EntryRow), rows(engine, Article)

        feed = replace(feeds.known(late.rows[0]), etag='"late"')
        news = (entry("a", revision="2"), entry("b"))
        outcome = PollOutcome("changed", feed, NOON, 200, title="Late", entries=news)
        assert feeds.save(engine, late, [outcome], settings=settings) == 0
        assert (rows(engine, Feed), rows(engine, EntryRow), rows(engine, Article)) == before

        assert feeds.save(engine, holder, [outcome], settings=settings) == 1
        assert row(engine, Feed)["title"] == "Late"

    def test_five_thousand_entries(self, engine: Engine, settings: Settings) -> None:
        add_feed(engine, FEED)
        listed = [entry(f"{number:04}") for number in range(5_000)]
        assert poll(engine, settings, {FEED: listed[:4_000]}) == settings.poll.backfill
        assert poll(engine, settings, {FEED: listed}, NOON + HOUR) == 1_000
        seen = rows(engine, EntryRow)
        assert len(seen) == 5_000
        assert {found["seen_at"] for found in seen} == {NOON + HOUR}

    def test_text_that_a_database_has_no_place_for(
        self, engine: Engine, settings: Settings, feed_id: int
    ) -> None:
        """NUL, which PostgreSQL refuses, and half a surrogate pair, which has no UTF-8."""
        odd = replace(entry("a"), title="A\0B\ud800C")
        batch = claimed(engine, "poll")
        feed = replace(feeds.known(batch.rows[0]), changed_at=NOON)
        outcome = PollOutcome("changed", feed, NOON + HOUR, 200, title="T\0\ud800", entries=(odd,))
        assert feeds.save(engine, batch, [outcome], settings=settings) == 1
        assert row(engine, Feed)["title"] == "T\ufffd?"


class TestAtOnce:
    def test_polls_that_list_the_same_articles_do_not_deadlock(
        self, engine: Engine, store_settings: Settings
    ) -> None:
        """Four feeds, two claims: what one lists first, the other lists last."""
        low = [entry(f"low-{number}") for number in range(150)]
        high = [entry(f"high-{number}") for number in range(150)]
        listed = dict(zip("abcd", (low, high, high, low), strict=True))
        for name in listed:
            add_feed(engine, f"https://{name}.example/feed", changed_at=NOON - HOUR)

        self.poll_in_two(engine, store_settings, listed, NOON)
        assert len(rows(engine, Article)) == 300
        assert len(rows(engine, EntryRow)) == 600

        change(engine, Article, stage="done")
        changed = {
            name: [replace(one, revision="2") for one in entries]
            for name, entries in listed.items()
        }
        self.poll_in_two(engine, store_settings, changed, NOON + HOUR)
        assert {article["stage"] for article in rows(engine, Article)} == {"fetch"}

    def poll_in_two(
        self,
        engine: Engine,
        settings: Settings,
        listed: dict[str, list[Entry]],
        now: datetime,
    ) -> None:
        batches = [claimed(engine, "poll", now, limit=2) for _ in range(2)]

        def save(number: int) -> int:
            own = open_engine(settings)
            outcomes = []
            for feed_row in batches[number].rows:
                feed = replace(feeds.known(feed_row), changed_at=now)
                entries = tuple(listed[feed.url.removeprefix("https://")[0]])
                outcomes.append(PollOutcome("changed", feed, now + HOUR / 2, 200, entries=entries))
            try:
                return feeds.save(own, batches[number], outcomes, settings=settings)
            finally:
                own.dispose()

        at_once(lambda: save(0), lambda: save(1))
