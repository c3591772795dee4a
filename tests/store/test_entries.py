"""What a document lists, against what is known of its feed."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from sqlalchemy import Engine, update

from tests.store.polling import entry, listing, poll, statements
from tests.store.rows import HOUR, NOON, add_feed, at_once, change, claimed, row, rows
from worker.feeds import Entry, parse
from worker.settings import Settings, Stage
from worker.store import open_engine, polls, writing
from worker.store.claims import finish
from worker.store.models import Article, Feed
from worker.store.models import Entry as EntryRow

FEED = "https://example.org/feed"
OTHER = "https://example.com/rss"
DAY = 24 * HOUR


@pytest.fixture(autouse=True)
def feed_id(engine: Engine) -> int:
    """A feed that was polled before, without any entry."""
    return add_feed(engine, FEED, changed_at=NOON - HOUR)


def stages(engine: Engine) -> dict[str, str]:
    """The articles' stages by their titles."""
    return {one["feed_entry"]["title"][-1]: one["stage"] for one in rows(engine, Article)}


class TestNews:
    def test_new_entries_become_articles(self, engine: Engine, feed_id: int) -> None:
        listed = [entry("a"), entry("b", updated_at=NOON)]
        assert poll(engine, listed) == 2
        assert poll(engine, listed, NOON + HOUR) == 0

        article = row(engine, Article, url="https://example.org/news/a")
        assert (article["stage"], article["due_at"], article["silent"]) == ("fetch", NOON, False)
        assert (article["feed_id"], article["first_seen_at"]) == (feed_id, NOON)
        assert article["published_at"] == NOON - timedelta(days=1)
        assert article["feed_entry"]["title"] == "Title of a"
        assert article["feed_entry"]["authors"] == ["A. Reporter"]
        assert [line["stage"] for line in article["history"]] == ["poll"]
        known = row(engine, EntryRow, identity="a")
        assert (known["article_id"], known["first_seen_at"]) == (article["id"], NOON)
        assert row(engine, EntryRow, identity="b")["updated_at"] == NOON

    def test_a_date_in_the_future_is_now(self, engine: Engine) -> None:
        poll(engine, [entry("a", hours=100)])
        assert row(engine, Article)["published_at"] == NOON

    def test_what_is_passed_over_is_known_without_an_article(self, engine: Engine) -> None:
        listed = [entry("old"), entry("new")]
        assert poll(engine, listed, passed_over={"old"}, silent={"old", "new"}) == 1
        assert row(engine, Article)["silent"]
        assert row(engine, EntryRow, identity="old")["article_id"] is None

        assert poll(engine, [*listed, entry("newest")], NOON + HOUR) == 1
        newest = row(engine, Article, id=row(engine, EntryRow, identity="newest")["article_id"])
        assert not newest["silent"]
        assert row(engine, EntryRow, identity="old")["article_id"] is None

    def test_when_a_poll_last_brought_something_new(self, engine: Engine) -> None:
        add_feed(engine, OTHER, changed_at=NOON - HOUR)
        poll(engine, {FEED: [entry("a")], OTHER: []})
        poll(engine, {FEED: [entry("a", revision="2")], OTHER: []}, NOON + HOUR)
        assert row(engine, Feed, url=FEED)["listed_at"] == NOON
        assert row(engine, Feed, url=OTHER)["listed_at"] is None

    def test_an_article_that_two_feeds_list_is_one(self, engine: Engine) -> None:
        add_feed(engine, OTHER, changed_at=NOON - HOUR)
        same = entry("urn:1", url="https://www.example.org/news/a?utm_source=rss")
        listed = {FEED: [entry("a")], OTHER: [same]}
        poll(engine, listed)
        poll(engine, listed, NOON + HOUR)
        article = row(engine, Article)
        assert {found["article_id"] for found in rows(engine, EntryRow)} == {article["id"]}
        assert len(rows(engine, EntryRow)) == 2

    def test_an_article_that_another_feed_lists_later_is_the_same(self, engine: Engine) -> None:
        poll(engine, [entry("a")])
        before = row(engine, Article)
        add_feed(engine, OTHER, due_at=NOON, changed_at=NOON - HOUR)
        poll(engine, {OTHER: [entry("a", revision="9")]})
        assert row(engine, Article) == before
        assert len(rows(engine, EntryRow, article_id=before["id"])) == 2

    @pytest.mark.parametrize(("stage", "silent"), [("process", False), ("done", True)])
    def test_a_backfilled_article_is_news_when_another_feed_lists_it_as_new(
        self, engine: Engine, stage: str, silent: bool
    ) -> None:
        add_feed(engine, OTHER)
        poll(engine, {FEED: [], OTHER: [entry("a")]}, silent={"a"})
        assert row(engine, Article)["silent"]
        change(engine, Article, stage=stage)
        poll(engine, {FEED: [entry("a")], OTHER: []}, NOON + HOUR)
        assert row(engine, Article)["silent"] == silent

    def test_entries_of_one_feed_with_one_link_are_one_article(self, engine: Engine) -> None:
        link = "https://example.org/live"
        poll(engine, [entry("a", url=link), entry("b", url=link)])
        assert row(engine, Article)["feed_entry"]["title"] == "Title of a"
        assert len(rows(engine, EntryRow)) == 2

    def test_entries_without_a_link_are_articles_of_their_feed(self, engine: Engine) -> None:
        add_feed(engine, OTHER, changed_at=NOON - HOUR)
        listed = [entry("a", url=None), entry("b", url=None)]
        assert poll(engine, listed) == 4
        assert {article["url"] for article in rows(engine, Article)} == {None}
        assert poll(engine, listed, NOON + HOUR) == 0

    def test_five_thousand_entries(self, engine: Engine) -> None:
        listed = [entry(f"{number:04}") for number in range(5_000)]
        old = {f"{number:04}" for number in range(3_000)}
        assert poll(engine, listed[:4_000], passed_over=old) == 1_000
        assert poll(engine, listed, NOON + DAY) == 1_000
        seen = rows(engine, EntryRow)
        assert len(seen) == 5_000
        assert {found["seen_at"] for found in seen} == {NOON + DAY}

    def test_text_that_a_database_has_no_place_for(self, engine: Engine) -> None:
        """NUL, which PostgreSQL refuses, and half a surrogate pair, which has no UTF-8."""
        odd = entry("a \N{LEFT DOUBLE QUOTATION MARK}", title="A\0B\ud800C")
        assert poll(engine, [odd], title="T\0\ud800") == 1
        assert row(engine, Feed)["title"] == "T\ufffd?"
        assert poll(engine, [odd], NOON + HOUR) == 0


class TestChanges:
    @pytest.mark.parametrize("stage", ["done", "failed"])
    def test_a_changed_entry_sends_a_finished_article_back_to_fetch(
        self, engine: Engine, stage: str
    ) -> None:
        poll(engine, [entry("a"), entry("b")])
        ended = {"stage": stage, "degradations": [{"stage": "fetch"}], "reason": "crashed"}
        change(engine, Article, **ended, due_at=NOON - HOUR)
        changed = entry("a", revision="2", title="Corrected")
        assert poll(engine, [changed, entry("b")], NOON + HOUR) == 1

        article = row(engine, Article, url="https://example.org/news/a")
        assert (article["stage"], article["due_at"]) == ("fetch", NOON + HOUR)
        assert (article["degradations"], article["reason"]) == ([], None)
        assert article["feed_entry"]["title"] == "Corrected"
        assert row(engine, EntryRow, identity="a")["revision"] == "2"
        assert row(engine, Article, url="https://example.org/news/b")["stage"] == stage

        change(engine, Article, stage=stage)
        assert poll(engine, [changed, entry("b")], NOON + 2 * HOUR) == 0
        assert {article["stage"] for article in rows(engine, Article)} == {stage}

    @pytest.mark.parametrize("stage", ["fetch", "process", "translate", "publish"])
    def test_a_changed_entry_calls_an_article_back_from_whoever_holds_it(
        self, engine: Engine, stage: Stage
    ) -> None:
        poll(engine, [entry("a")])
        change(engine, Article, stage=stage)
        held = claimed(engine, stage, NOON)
        poll(engine, [entry("a", revision="2", title="Corrected")], NOON + HOUR)
        article = row(engine, Article)
        assert (article["stage"], article["feed_entry"]["title"]) == ("fetch", "Corrected")
        with writing(engine) as connection:
            assert not finish(connection, stage, article["id"], held.token, {"stage": "done"})

    def test_a_changed_entry_leaves_a_deleted_article_alone(self, engine: Engine) -> None:
        poll(engine, [entry("a")])
        change(engine, Article, stage="deleted")
        before = row(engine, Article)
        poll(engine, [entry("a", revision="2")], NOON + HOUR)
        assert row(engine, Article) == before

    def test_a_passed_over_entry_that_changes_stays_passed_over(self, engine: Engine) -> None:
        poll(engine, [entry("a")], passed_over={"a"})
        assert poll(engine, [entry("a", revision="2", updated_at=NOON)], NOON + HOUR) == 0
        assert rows(engine, Article) == []
        known = row(engine, EntryRow)
        assert (known["revision"], known["updated_at"]) == ("2", NOON)

    @pytest.mark.parametrize("number", [2, 3, 9])
    def test_one_time_of_update_that_moves_is_a_change(self, engine: Engine, number: int) -> None:
        listed = [entry(str(n), updated_at=NOON - HOUR) for n in range(number)]
        poll(engine, listed)
        change(engine, Article, stage="done")
        listed[0] = replace(listed[0], updated_at=NOON)
        assert poll(engine, listed, NOON + HOUR) == 1
        assert sorted(stages(engine).values()) == ["done"] * (number - 1) + ["fetch"]
        assert row(engine, EntryRow, identity="0")["updated_at"] == NOON
        change(engine, Article, stage="done")
        assert poll(engine, listed, NOON + 2 * HOUR) == 0

    @pytest.mark.parametrize(("number", "fetched"), [(1, 1), (2, 2), (3, 0), (9, 0)])
    def test_a_document_that_stamps_all_anew_has_changed_nothing(
        self, engine: Engine, number: int, fetched: int
    ) -> None:
        def listed(updated_at: datetime) -> list[Entry]:
            return [entry(str(n), updated_at=updated_at) for n in range(number)]

        poll(engine, listed(NOON - HOUR))
        change(engine, Article, stage="done")
        new = entry("new", updated_at=NOON)
        assert poll(engine, [new, *listed(NOON)], NOON + HOUR) == fetched + 1
        assert {one["updated_at"] for one in rows(engine, EntryRow)} == {NOON}

    def test_a_corrected_entry_among_restamped_ones_is_fetched_again(self, engine: Engine) -> None:
        poll(engine, [entry(name, updated_at=NOON - HOUR) for name in "abcd"])
        change(engine, Article, stage="done")
        listed = [entry(name, updated_at=NOON) for name in "abcd"]
        listed[1] = replace(listed[1], revision="2")
        assert poll(engine, listed, NOON + HOUR) == 1
        assert stages(engine) == {"a": "done", "b": "fetch", "c": "done", "d": "done"}

    def test_a_time_of_update_that_comes_or_goes_is_none_that_moves(self, engine: Engine) -> None:
        poll(engine, [entry("a"), entry("b", updated_at=NOON)])
        assert poll(engine, [entry("a", updated_at=NOON), entry("b")], NOON + HOUR) == 0
        assert poll(engine, [entry("b", revision="2")], NOON + 2 * HOUR) == 1
        assert {one["updated_at"] for one in rows(engine, EntryRow)} == {NOON}

    def test_what_an_older_version_stored_is_learned_anew(self, engine: Engine) -> None:
        """Its revisions were made by another rule (see migration 0002)."""
        poll(engine, [entry("a"), entry("b")])
        change(engine, Article, stage="done")
        change(engine, EntryRow, revision="")
        listed = [entry("a", updated_at=NOON, revision="2"), entry("b", revision="2")]
        assert poll(engine, listed, NOON + HOUR) == 0
        assert {one["revision"] for one in rows(engine, EntryRow)} == {"2"}
        listed[1] = entry("b", revision="3")
        assert poll(engine, listed, NOON + 2 * HOUR) == 1
        assert stages(engine) == {"a": "done", "b": "fetch"}


class TestSeen:
    def test_seen_at_moves_once_a_day_while_an_entry_is_listed(self, engine: Engine) -> None:
        poll(engine, [entry("a"), entry("b")])
        poll(engine, [entry("a")], NOON + DAY - HOUR)
        assert {one["seen_at"] for one in rows(engine, EntryRow)} == {NOON}
        poll(engine, [entry("a")], NOON + DAY)
        kept, gone = row(engine, EntryRow, identity="a"), row(engine, EntryRow, identity="b")
        assert (kept["first_seen_at"], kept["seen_at"]) == (NOON, NOON + DAY)
        assert gone["seen_at"] == NOON

    def test_a_poll_that_brings_nothing_new_writes_no_entry(self, engine: Engine) -> None:
        listed = [entry(name, updated_at=NOON) for name in "abc"]
        poll(engine, listed)
        with statements(engine) as sent:
            poll(engine, listed, NOON + HOUR)
        assert [one for one in sent if "entries" in one and not one.startswith("SELECT")] == []

    def test_an_entry_that_long_is_not_listed_is_forgotten(self, engine: Engine) -> None:
        add_feed(engine, OTHER, changed_at=NOON - HOUR)
        poll(engine, {FEED: [entry("a"), entry("b")], OTHER: [entry("c")]})
        with writing(engine) as connection:
            later = update(Feed).where(Feed.url == OTHER).values(due_at=NOON + 200 * DAY)
            connection.execute(later)
        poll(engine, {FEED: [entry("a")]}, NOON + 90 * DAY)
        assert [one["identity"] for one in rows(engine, EntryRow)] == ["a", "b", "c"]
        poll(engine, {FEED: [entry("a")]}, NOON + 91 * DAY)
        # The other feed's document is the same as ever: it may well list its entry still.
        assert [one["identity"] for one in rows(engine, EntryRow)] == ["a", "c"]
        assert len(rows(engine, Article)) == 3


class TestRenewedGuids:
    def test_an_entry_under_a_new_guid_is_the_same(self, engine: Engine) -> None:
        listed = [entry(str(number)) for number in range(30)]
        poll(engine, listed)
        change(engine, Article, stage="done")
        known = row(engine, EntryRow, identity="3")
        renewed = replace(listed[3], identity="new", url="http://example.org/news/3?utm_source=x")
        assert poll(engine, [*listed[:3], renewed, *listed[4:]], NOON + HOUR) == 0

        assert len(rows(engine, EntryRow)) == len(rows(engine, Article)) == 30
        assert row(engine, EntryRow, identity="new")["id"] == known["id"]
        assert row(engine, Feed)["identity_by"] == "guid"
        assert {one["stage"] for one in rows(engine, Article)} == {"done"}

    def test_one_that_was_passed_over_is_no_news_under_a_new_guid(self, engine: Engine) -> None:
        poll(engine, [entry("a")], passed_over={"a"})
        same = entry("b", url="https://example.org/news/a")
        assert poll(engine, [same], NOON + HOUR) == 0
        assert row(engine, EntryRow)["identity"] == "b"
        assert rows(engine, Article) == []

    def test_an_edited_entry_under_a_new_guid_is_fetched_again(self, engine: Engine) -> None:
        poll(engine, [entry("a")])
        change(engine, Article, stage="done")
        edited = entry("b", url="https://example.org/news/a", revision="2")
        assert poll(engine, [edited], NOON + HOUR) == 1
        assert row(engine, Article)["stage"] == "fetch"
        assert row(engine, EntryRow)["revision"] == "2"

    def test_entries_that_share_a_link_are_not_one(self, engine: Engine) -> None:
        """Such as all of a feed that links to its front page; the oldest leaves the document."""
        home = "https://example.org/"
        poll(engine, [entry(name, url=home) for name in "abc"], passed_over=set("abc"))
        assert poll(engine, [entry(name, url=home) for name in "bcd"], NOON + HOUR) == 1
        assert [one["identity"] for one in rows(engine, EntryRow)] == list("abcd")
        assert poll(engine, [entry(name, url=home) for name in "ef"], NOON + 2 * HOUR) == 2
        assert [one["identity"] for one in rows(engine, EntryRow)] == list("abcdef")

    def test_what_the_document_lists_under_its_old_guid_too_is_new(self, engine: Engine) -> None:
        poll(engine, [entry("a")], passed_over={"a"})
        same = entry("b", url="https://example.org/news/a?utm_source=rss")
        assert poll(engine, [entry("a"), same], NOON + HOUR) == 1
        assert len(rows(engine, EntryRow)) == 2

    def test_an_entry_of_another_feed_is_another(self, engine: Engine) -> None:
        add_feed(engine, OTHER, changed_at=NOON - HOUR)
        poll(engine, {FEED: [entry("a")], OTHER: []}, passed_over={"a"})
        same = entry("b", url="https://example.org/news/a")
        assert poll(engine, {FEED: [], OTHER: [same]}, NOON + HOUR) == 1

    @pytest.mark.parametrize("by", ["link", "content"])
    def test_only_guids_are_renewed(self, engine: Engine, by: str) -> None:
        change(engine, Feed, identity_by=by)
        poll(engine, [entry("a")], passed_over={"a"})
        assert poll(engine, [entry("b", url="https://example.org/news/a")], NOON + HOUR) == 1

    @pytest.mark.parametrize(
        ("number", "renewed", "by"),
        [(30, 1, "guid"), (40, 2, "guid"), (39, 2, "link"), (30, 30, "link"), (2, 2, "link")],
    )
    def test_many_new_guids_are_a_habit(
        self, engine: Engine, number: int, renewed: int, by: str
    ) -> None:
        listed = [entry(f"1-{n}", url=f"https://example.org/{n}") for n in range(number)]
        poll(engine, listed, passed_over={f"1-{n}" for n in range(5)})
        listed[:renewed] = [replace(one, identity=f"2{one.identity}") for one in listed[:renewed]]
        assert poll(engine, listed, NOON + HOUR) == 0
        assert row(engine, Feed)["identity_by"] == by
        names = {one["identity"] for one in rows(engine, EntryRow)}
        assert names == {one.url if by == "link" else one.identity for one in listed}

    def test_links_that_tell_entries_apart_no_better_are_not_gone_by(self, engine: Engine) -> None:
        rest = [entry("x", url=None), entry("y", url=None)]
        for number in (1, 2):
            names = [entry(f"{number}-{n}", url=f"https://example.org/{n}") for n in range(5)]
            poll(engine, [*names, *rest], NOON + number * HOUR)
        assert row(engine, Feed)["identity_by"] == "guid"
        assert len(rows(engine, EntryRow)) == len(rows(engine, Article)) == 7

    def test_nothing_is_news_again_once_links_count(self, engine: Engine) -> None:
        """By the parser itself, whose guids change at each fetch while entries come and go."""
        made = 0
        for poll_number in range(1, 6):
            newest = 30 + 2 * poll_number
            items = "".join(
                f"<item><guid>{poll_number}-{n}</guid><title>T{n}</title>"
                f"<link>https://example.org/n/{n}</link></item>"
                for n in range(newest, newest - 20, -1)
            )
            body = f"<rss version='2.0'><channel><title>F</title>{items}</channel></rss>".encode()
            by = row(engine, Feed)["identity_by"]
            document = parse(body, FEED, {}, identity_by=by)
            first = {one.identity for one in document.entries[5:]} if poll_number == 1 else set()
            now = NOON + poll_number * HOUR
            made += poll(engine, document.entries, now, passed_over=first)
        assert row(engine, Feed)["identity_by"] == "link"
        assert made == 5 + 4 * 2
        assert len(rows(engine, Article)) == 5 + 4 * 2
        assert len(rows(engine, EntryRow)) == 20 + 4 * 2

    def test_entries_that_left_the_document_are_renamed_with_it(self, engine: Engine) -> None:
        poll(engine, [entry(f"1-{n}", url=f"https://example.org/{n}") for n in range(8)])
        later = [entry(f"2-{n}", url=f"https://example.org/{n}") for n in range(4, 8)]
        poll(engine, later, NOON + HOUR)
        assert {one["identity"] for one in rows(engine, EntryRow)} == {
            f"https://example.org/{n}" for n in range(8)
        }

    def test_names_that_are_taken_stay_with_whom_they_name(self, engine: Engine) -> None:
        """Guids that are other entries' links, and links that two known entries have."""
        one, two, three = (f"https://example.org/{n}" for n in (1, 2, 3))
        poll(engine, [entry(two, url=one), entry("b", url=two), entry("c", url=three)])
        poll(engine, [entry(two, url=one), entry("d", url=three)], NOON + HOUR)
        renewed = [entry("g", url=three), entry("f", url=two), entry("e", url=one)]
        poll(engine, renewed, NOON + 2 * HOUR)
        assert row(engine, Feed)["identity_by"] == "link"
        assert len(rows(engine, Article)) == 3
        listed = [entry(url, url=url) for url in (one, two, three)]
        assert poll(engine, listed, NOON + 3 * HOUR) == 0
        assert len(rows(engine, Article)) == 3

    def test_a_document_that_was_read_by_guid_meanwhile_is_read_again(self, engine: Engine) -> None:
        batch = claimed(engine, "poll")
        change(engine, Feed, identity_by="link")  # as a push does that comes first
        outcome = listing(batch.rows[0], [entry("a")])
        assert polls.save(engine, batch, [outcome]).articles == 0
        feed = row(engine, Feed)
        assert (feed["identity_by"], feed["etag"], feed["body_hash"]) == ("link", None, None)
        assert feed["lease_token"] is None


class TestAtOnce:
    def test_polls_that_list_the_same_articles_do_not_deadlock(
        self, engine: Engine, store_settings: Settings
    ) -> None:
        """Four feeds, two claims: what one lists first, the other lists last."""
        low = [entry(f"low-{number}") for number in range(150)]
        high = [entry(f"high-{number}") for number in range(150)]
        listed = dict(zip("abcd", (low, high, high, low), strict=True))
        change(engine, Feed, state="paused")
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
        self, engine: Engine, settings: Settings, listed: dict[str, list[Entry]], now: datetime
    ) -> None:
        batches = [claimed(engine, "poll", now, limit=2) for _ in range(2)]

        def save(number: int) -> int:
            own = open_engine(settings)
            outcomes = [
                listing(feed, listed[feed["url"].removeprefix("https://")[0]], now)
                for feed in batches[number].rows
            ]
            try:
                return polls.save(own, batches[number], outcomes).articles
            finally:
                own.dispose()

        at_once(lambda: save(0), lambda: save(1))
