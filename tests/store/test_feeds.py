from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, delete, event, insert, select, text
from sqlalchemy.exc import OperationalError

from tests import waiting
from tests.conftest import MakeSettings
from tests.store.rows import HOUR, LEASE, NOON, add_feed, at_once, change, claimed, row, rows
from tests.tasks.running import running
from worker.errors import KabarError
from worker.feeds.declared import Declared
from worker.settings import Settings
from worker.store import feeds, moves, open_engine, reading, writing
from worker.store.claims import claim
from worker.store.feeds import FileChange
from worker.store.models import Feed, File, FormerUrl

FEED = "https://example.org/feed"
OTHER = "https://example.com/rss"


@contextmanager
def updated(engine: Engine) -> Iterator[list[int]]:
    """How many feeds each statement within the block updates."""
    counts: list[int] = []

    def note(_connection: object, cursor: Any, statement: str, *_: object) -> None:
        if statement.startswith("UPDATE feeds"):
            counts.append(cursor.rowcount)

    event.listen(engine, "after_cursor_execute", note)
    yield counts
    event.remove(engine, "after_cursor_execute", note)


@contextmanager
def before(engine: Engine, number: int, do: Callable[[], object]) -> Iterator[list[str]]:
    """Do it before the block's statement with this number; the statements of the block so far.

    The first three of `apply_file` look for the digest, the feeds and their former URLs.
    """
    sent: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if not statement.startswith("BEGIN"):
            sent.append(statement)
            if len(sent) == number:
                do()

    event.listen(engine, "before_cursor_execute", note)
    yield sent
    event.remove(engine, "before_cursor_execute", note)


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

    @pytest.mark.slow
    def test_a_hundred_thousand_come_due_spread(self, engine: Engine) -> None:
        given = [Declared(f"https://example.org/{number}") for number in range(100_000)]
        assert feeds.add_many(engine, given) == 100_000
        with reading(engine) as connection:
            times = connection.execute(select(Feed.due_at)).scalars().all()
        first, last = min(times), max(times)
        assert timedelta(minutes=14) < last - first < timedelta(minutes=15)
        seconds = Counter(int((time - first).total_seconds()) for time in times)
        assert max(seconds.values()) < 180  # 111 on average
        assert min(seconds[second] for second in range(890)) > 50

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

    def test_only_what_differs_is_written(self, engine: Engine, path: Path) -> None:
        many = declare(*(f"https://example.org/{number}" for number in range(600)))
        said = 'title = "T"\ninterval_seconds = 60\ntags = ["a/b", "c"]\nheaders = {X-A = "b"}\n'
        path.write_text(many + declare(FEED) + said)
        feeds.apply_file(engine, path)
        changed = {
            "nothing": (f"# A word.\n{many}{declare(FEED)}{said}", 0),
            "one more": (many + declare(FEED) + said + declare(OTHER), 0),
            "a title": (many + declare(FEED) + said.replace("T", "U"), 2),  # and OTHER's pause
            "a tag": (many + declare(FEED) + said.replace("T", "U").replace("a/b", "b"), 1),
            "an option": (many + declare(FEED) + 'title = "U"\nuser_agent = "K"\n', 1),
            "none": (many + declare(FEED), 1),
        }
        for what, (content, count) in changed.items():
            path.write_text(content)
            with updated(engine) as counts:
                feeds.apply_file(engine, path)
            assert (what, sum(counts)) == (what, count)
        found = row(engine, Feed, url=FEED)
        assert (found["title_given"], found["interval_seconds"]) == (False, None)
        assert (found["tags"], found["options"]) == (None, None)

    def test_a_url_that_no_database_can_keep_is_applied_once(
        self, engine: Engine, path: Path
    ) -> None:
        for content in (declare(FEED + "?\\u0000"), declare(FEED + "?\\u0000", OTHER)):
            path.write_text(content)
            assert feeds.apply_file(engine, path) == FileChange(added=1, paused=0)
            assert feeds.apply_file(engine, path) is None
        assert {one["state"] for one in rows(engine, Feed)} == {"active"}

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


NEW = "https://news.example.org/feed"


class TestFileMeanwhile:
    """What others do while the file is applied."""

    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        return tmp_path / "feeds.toml"

    @pytest.fixture
    def other(self, store_settings: Settings) -> Iterator[Engine]:
        """Another process's engine; it gives up soon."""
        other = open_engine(store_settings)

        def hurry(raw: Any, _record: object) -> None:
            is_sqlite = other.dialect.name == "sqlite"
            raw.execute("PRAGMA busy_timeout = 50" if is_sqlite else "SET lock_timeout = 50")

        event.listen(other, "connect", hurry)
        yield other
        other.dispose()

    @pytest.mark.parametrize("title", [None, "Said"])
    @pytest.mark.parametrize(
        ("at", "to", "also"),
        [(FEED, NEW, None), (NEW, FEED, None), (FEED, NEW, "by hand"), (FEED, NEW, "declared")],
        ids=["away", "back", "onto another", "onto one that is no longer listed"],
    )
    def test_a_feed_moves(
        self,
        engine: Engine,
        other: Engine,
        path: Path,
        at: str,
        to: str,
        also: str | None,
        title: str | None,
    ) -> None:
        """Whenever it does, it is followed as the file says."""

        def move() -> bool:
            try:
                with writing(other) as connection:
                    ids = select(Feed.id).where(Feed.url.in_((at, to))).order_by(Feed.id)
                    connection.execute(ids.with_for_update(key_share=True))
                    mine = connection.execute(select(Feed.id).where(Feed.url == at)).scalar_one()
                    moves.move(connection, mine, to, NOON)
            except OperationalError:  # it has to wait
                return False
            return True

        number, all_sent, in_time = 0, False, 0
        while not all_sent:
            number += 1
            with writing(engine) as connection:
                connection.execute(delete(Feed))
                connection.execute(delete(File))
            mine = add_feed(engine, at, declared=True, title_given=False)
            if at != FEED:
                remember(engine, FEED, mine)
            if also:
                add_feed(engine, to, declared=also == "declared")
            path.write_text(declare(FEED) + (f'title = "{title}"\n' if title else ""))
            moved: list[bool] = []
            with before(engine, number, lambda: moved.append(move())) as sent:  # noqa: B023
                feeds.apply_file(engine, path)
            all_sent = number > len(sent)
            in_time += any(moved)
            if not any(moved):
                assert move()
            feeds.apply_file(engine, path)
            assert feeds.apply_file(engine, path) is None
            found = row(engine, Feed)
            assert (found["url"], found["state"], found["declared"], found["title"]) == (
                to, "active", True, title,
            )  # fmt: skip
        assert in_time >= 3

    def test_another_file_is_applied(
        self, engine: Engine, other: Engine, path: Path, tmp_path: Path
    ) -> None:
        """What was compared before counts no more."""
        path.write_text(declare(FEED))
        feeds.apply_file(engine, path)
        path.write_text(declare(FEED, OTHER))
        another = tmp_path / "another.toml"
        another.write_text(declare(FEED) + 'title = "Another"\n')
        with before(engine, 3, lambda: feeds.apply_file(other, another)):
            assert feeds.apply_file(engine, path) is None
        assert row(engine, Feed)["title"] == "Another"
        assert feeds.apply_file(engine, path) == FileChange(added=1, paused=0)
        assert row(engine, Feed, url=FEED)["title_given"] is False

    def test_the_same_feed_is_added_by_hand(
        self, engine: Engine, other: Engine, path: Path
    ) -> None:
        path.write_text(declare(FEED))
        with before(engine, 3, lambda: feeds.add(other, FEED)):
            assert feeds.apply_file(engine, path) == FileChange(added=0, paused=0)
        assert feeds.apply_file(engine, path) == FileChange(added=0, paused=0)
        assert row(engine, Feed)["declared"]
        assert feeds.apply_file(engine, path) is None

    def test_polls_are_saved(
        self, migrated_postgres_url: str, make_settings: MakeSettings, path: Path
    ) -> None:
        """Neither waits for what the other holds. (SQLite has one writer at a time.)"""
        engine = open_engine(make_settings(store={"url": migrated_postgres_url}))
        first = add_feed(engine, FEED, declared=True)  # to be paused
        second = add_feed(engine, OTHER, declared=True)  # to be changed
        path.write_text(declare(OTHER) + 'title = "Changed"\n')

        def lock(connection: Any, feed_id: int) -> None:
            mine = select(Feed.id).where(Feed.id == feed_id)
            connection.execute(mine.with_for_update(key_share=True))

        def waits() -> bool:
            with reading(engine) as connection:
                waiting_ones = text(
                    "SELECT count(*) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND wait_event_type = 'Lock'"
                )
                return bool(connection.execute(waiting_ones).scalar_one())

        with writing(engine) as poll:
            lock(poll, first)
            with running(lambda: feeds.apply_file(engine, path)):
                waiting.until(waits, "the file's feeds are waited for")
                lock(poll, second)
                poll.commit()
        states = {one["url"]: (one["state"], one["title"]) for one in rows(engine, Feed)}
        assert states == {FEED: ("undeclared", None), OTHER: ("active", "Changed")}
        engine.dispose()
