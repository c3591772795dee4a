from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from sqlalchemy import Engine, insert

from tests.store.rows import HOUR, LEASE, NOON, add_feed, at_once, change, claimed, row, rows
from worker.errors import KabarError
from worker.feeds.declared import Declared
from worker.store import feeds, writing
from worker.store.claims import claim
from worker.store.feeds import FileChange
from worker.store.models import Feed, FormerUrl

FEED = "https://example.org/feed"
OTHER = "https://example.com/rss"


def remember(engine: Engine, url: str, feed_id: int) -> None:
    """That the feed had this URL before."""
    with writing(engine) as connection:
        connection.execute(insert(FormerUrl).values(url=url, feed_id=feed_id))


def declare(*urls: str) -> str:
    return "".join(f'[[feeds]]\nurl = "{url}"\n' for url in urls)


class TestAdd:
    def test_a_new_feed_is_due_at_once(self, engine: Engine) -> None:
        assert feeds.add(engine, FEED, title="Given", interval_seconds=60)
        (listed,) = feeds.listing(engine)
        assert (listed["url"], listed["title"], listed["interval_seconds"]) == (FEED, "Given", 60)
        assert (listed["state"], listed["options"], listed["tags"]) == ("active", None, None)
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

    def test_many_come_due_one_after_the_other(self, engine: Engine) -> None:
        given = [Declared(f"https://example.org/{number}") for number in range(1_200)]
        given += [Declared(FEED, "Given", 60, ("Asia", "News"), {"user_agent": "K"})]
        assert feeds.add_many(engine, given) == 1_201
        assert feeds.add_many(engine, [*given, Declared(OTHER)]) == 1
        added = row(engine, Feed, url=FEED)
        assert (added["title"], added["tags"], added["options"]) == (
            "Given",
            ["Asia", "News"],
            {"user_agent": "K"},
        )
        waits = sorted(one["due_at"] - one["created_at"] for one in rows(engine, Feed))
        assert waits[0] < timedelta(seconds=1)
        assert timedelta(seconds=11) < waits[-1] < timedelta(seconds=13)
        gaps = [later - sooner for sooner, later in pairwise(waits)]
        assert max(gaps) < timedelta(seconds=1)

    def test_none_is_added_with_one_that_cannot_be(self, engine: Engine) -> None:
        with pytest.raises(KabarError, match="is no URL"):
            feeds.add_many(engine, [Declared(FEED), Declared("gopher://example.org")])
        assert feeds.add_many(engine, []) == 0
        assert rows(engine, Feed) == []

    def test_a_feed_that_moved_is_known_by_its_former_url(self, engine: Engine) -> None:
        feed_id = add_feed(engine, OTHER)
        remember(engine, FEED, feed_id)
        assert not feeds.add(engine, FEED)
        found = feeds.find(engine, FEED)
        assert found is not None
        assert found["url"] == OTHER
        feeds.remove(engine, feed_id)
        assert feeds.add(engine, FEED)

    def test_a_url_that_is_taken_again_names_whom_it_names_now(self, engine: Engine) -> None:
        remember(engine, FEED, add_feed(engine, OTHER))
        feed_id = add_feed(engine, FEED)
        found = feeds.find(engine, FEED)
        assert found is not None
        assert (found["id"], found["articles"]) == (feed_id, 0)


class TestState:
    @pytest.fixture
    def feed_id(self, engine: Engine) -> int:
        return add_feed(engine, FEED, due_at=NOON - HOUR)

    def test_a_paused_feed_is_followed_again_at_once(self, engine: Engine, feed_id: int) -> None:
        feeds.set_state(engine, feed_id, "paused")
        assert claim(engine, "poll", 10, LEASE) is None
        before = datetime.now(UTC)
        feeds.set_state(engine, feed_id, "active")
        found = row(engine, Feed)
        assert found["state"] == "active"
        assert found["due_at"] >= before - timedelta(minutes=1)

    def test_one_that_was_failing_is_still(self, engine: Engine, feed_id: int) -> None:
        change(engine, Feed, state="failing", failing_at=NOON, failures=7, failure_score=5)
        feeds.set_state(engine, feed_id, "paused")
        feeds.set_state(engine, feed_id, "active")
        found = row(engine, Feed)
        assert (found["state"], found["failing_at"]) == ("failing", NOON)
        assert (found["failures"], found["failure_score"]) == (7, 5)

    def test_one_that_was_gone_begins_anew(self, engine: Engine, feed_id: int) -> None:
        change(engine, Feed, state="gone", failing_at=NOON, failures=7, failure_score=5)
        feeds.set_state(engine, feed_id, "active")
        found = row(engine, Feed)
        assert (found["state"], found["failing_at"]) == ("active", None)
        assert (found["failures"], found["failure_score"]) == (0, 0)

    def test_those_that_fail_are_listed_by_themselves(self, engine: Engine, feed_id: int) -> None:
        add_feed(engine, OTHER, state="failing")
        add_feed(engine, "https://example.net/feed", state="gone")
        add_feed(engine, "https://example.net/paused", state="paused")
        assert [one["state"] for one in feeds.listing(engine, failing=True)] == ["failing", "gone"]
        assert len(feeds.listing(engine)) == 4


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

    def test_a_feed_that_moved_is_the_one_that_is_declared(
        self, engine: Engine, path: Path
    ) -> None:
        path.write_text(declare(FEED))
        feeds.apply_file(engine, path)
        change(engine, Feed, url=OTHER)
        remember(engine, FEED, row(engine, Feed)["id"])
        path.write_text(declare(FEED) + "title = 'Here'\n")
        assert feeds.apply_file(engine, path) == FileChange(added=0, paused=0)
        found = row(engine, Feed)
        assert (found["title"], found["state"], found["declared"]) == ("Here", "active", True)
        path.write_text(declare(OTHER))
        assert feeds.apply_file(engine, path) == FileChange(added=0, paused=0)
        path.write_text("")
        assert feeds.apply_file(engine, path) == FileChange(added=0, paused=1)
        path.write_text(declare(FEED))
        assert feeds.apply_file(engine, path) == FileChange(added=0, paused=0)
        assert row(engine, Feed)["state"] == "active"

    def test_options_and_tags_are_as_declared(self, engine: Engine, path: Path) -> None:
        add_feed(engine, FEED, options={"proxy": "http://p:1"}, tags=["old"], due_at=NOON)
        path.write_text(declare(FEED) + 'tags = ["new"]\nuser_agent = "K"\n' + declare(OTHER))
        assert feeds.apply_file(engine, path) == FileChange(added=1, paused=0)
        found = row(engine, Feed, url=FEED)
        assert (found["options"], found["tags"]) == ({"user_agent": "K"}, ["new"])
        assert found["due_at"] == NOON

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
