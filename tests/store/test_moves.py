"""Feeds that move to another URL, where another feed may be already."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, insert, update
from structlog.testing import capture_logs

from tests.store.polling import entry, failed, listing, poll, unchanged
from tests.store.rows import HOUR, NOON, add_feed, at_once, claimed, row, rows
from worker.feeds import Entry, Move, PollOutcome
from worker.settings import Settings
from worker.store import feeds, open_engine, polls, writing
from worker.store.models import Article, Feed, FormerUrl, Subscription
from worker.store.models import Entry as EntryRow

OLD = "https://example.org/feed"
NEW = "https://news.example.org/feed"


def move(engine: Engine, to: str = NEW, *entries: Entry, now: Any = NOON + HOUR) -> polls.Saved:
    """Poll the feed at `OLD` again, which has moved for good."""
    batch = claimed(engine, "poll", now)
    return polls.save(
        engine,
        batch,
        [
            listing(one, entries, now, moved_to=to) if one["url"] == OLD else unchanged(one, now)
            for one in batch.rows
        ],
    )


def remembered(engine: Engine) -> dict[str, int]:
    return {one["url"]: one["feed_id"] for one in rows(engine, FormerUrl)}


class TestAlone:
    def test_it_is_asked_at_the_new_url(self, engine: Engine) -> None:
        feed_id = add_feed(engine, OLD)
        poll(engine, [entry("a")])
        assert move(engine, NEW, entry("a"), entry("b")).articles == 1
        found = row(engine, Feed)
        assert (found["id"], found["url"], found["lease_token"]) == (feed_id, NEW, None)
        assert found["due_at"] == NOON + HOUR + HOUR / 2
        assert remembered(engine) == {OLD: feed_id}
        assert len(rows(engine, EntryRow)) == 2

    def test_a_move_that_is_not_believed_yet(self, engine: Engine) -> None:
        add_feed(engine, OLD)
        batch = claimed(engine, "poll")
        outcome = unchanged(batch.rows[0])
        seen = replace(outcome, feed=replace(outcome.feed, move=Move(NEW, 2, NOON - HOUR)))
        polls.save(engine, batch, [seen])
        found = row(engine, Feed)
        assert (found["url"], found["moved_to"]) == (OLD, NEW)
        assert polls.known(found).move == Move(NEW, 2, NOON - HOUR)
        batch = claimed(engine, "poll", NOON + HOUR)
        polls.save(engine, batch, [replace(seen, feed=replace(seen.feed, move=None))])
        assert polls.known(row(engine, Feed)).move is None

    def test_there_and_back(self, engine: Engine) -> None:
        feed_id = add_feed(engine, OLD)
        move(engine)
        batch = claimed(engine, "poll", NOON + 2 * HOUR)
        polls.save(engine, batch, [unchanged(batch.rows[0], moved_to=OLD)])
        assert row(engine, Feed)["url"] == OLD
        assert remembered(engine) == {NEW: feed_id}

    def test_a_move_to_where_it_is(self, engine: Engine) -> None:
        add_feed(engine, OLD)
        move(engine, OLD)
        assert row(engine, Feed)["url"] == OLD
        assert remembered(engine) == {}

    def test_a_late_move_moves_nothing(self, engine: Engine) -> None:
        add_feed(engine, OLD)
        late = claimed(engine, "poll")
        claimed(engine, "poll", NOON + HOUR)
        assert polls.save(engine, late, [unchanged(late.rows[0], moved_to=NEW)]).articles == 0
        assert row(engine, Feed)["url"] == OLD

    def test_a_declared_feed_is_not_added_again(self, engine: Engine, tmp_path: Path) -> None:
        path = tmp_path / "feeds.toml"
        path.write_text(f'[[feeds]]\nurl = "{OLD}"\n')
        feeds.apply_file(engine, path)
        with writing(engine) as connection:
            connection.execute(update(Feed).values(due_at=NOON))
        move(engine)
        path.write_text(f'[[feeds]]\nurl = "{OLD}"\ninterval_seconds = 60\n')
        assert feeds.apply_file(engine, path) == feeds.FileChange(added=0, paused=0)
        assert (row(engine, Feed)["url"], row(engine, Feed)["interval_seconds"]) == (NEW, 60)


class TestMerge:
    def test_both_keep_what_they_know(self, engine: Engine) -> None:
        moving = add_feed(engine, OLD, changed_at=NOON - HOUR)
        there = add_feed(engine, NEW, changed_at=NOON - HOUR)
        poll(
            engine,
            {OLD: [entry("a"), entry("b"), entry("p")], NEW: [entry("b"), entry("c")]},
            passed_over={"p"},
        )
        with writing(engine) as connection:
            later = update(Feed).where(Feed.id == there).values(due_at=NOON + 9 * HOUR)
            connection.execute(later)
        assert move(engine, NEW, entry("b"), entry("news")).articles == 0

        found = row(engine, Feed)
        assert (found["id"], found["url"], found["state"]) == (there, NEW, "active")
        assert {one["feed_id"] for one in rows(engine, Article)} == {there}
        assert len(rows(engine, Article)) == 3
        known = {one["identity"]: one["article_id"] for one in rows(engine, EntryRow)}
        assert set(known) == {"a", "b", "c", "p"}
        assert known["p"] is None
        assert remembered(engine) == {OLD: there}
        assert moving not in {one["feed_id"] for one in rows(engine, EntryRow)}

        # What the outcome found comes with the poll that is due at once.
        assert found["due_at"] == NOON + HOUR
        every = [entry(name) for name in ("a", "b", "c", "p", "news")]
        assert poll(engine, every, NOON + HOUR) == 1

    def test_what_is_of_the_one_that_moved_goes_with_it(self, engine: Engine) -> None:
        moving, there = add_feed(engine, OLD), add_feed(engine, NEW)
        subscription = {
            "hub": "https://hub", "topic": OLD, "secret": "s", "state": "active", "asked_at": NOON,
        }  # fmt: skip
        with writing(engine) as connection:
            connection.execute(
                insert(Subscription),
                [
                    {"feed_id": moving, "token": "1", **subscription},
                    {"feed_id": there, "token": "2", **subscription},
                ],
            )
            connection.execute(insert(FormerUrl).values(url="https://older", feed_id=moving))
        move(engine)
        assert row(engine, Subscription)["feed_id"] == there
        assert remembered(engine) == {OLD: there, "https://older": there}

    @pytest.mark.parametrize(
        ("state", "moved_to"),
        [
            ("active", "active"),
            ("failing", "failing"),
            ("paused", "active"),
            ("gone", "active"),
            ("undeclared", "active"),
        ],
    )
    def test_it_is_followed_as_either_was(self, engine: Engine, state: str, moved_to: str) -> None:
        add_feed(engine, OLD, changed_at=NOON - HOUR, identity_by="link")
        there = {"changed_at": NOON - 2 * HOUR, "identity_by": "guid", "etag": '"there"'}
        add_feed(engine, NEW, state=state, due_at=NOON + 9 * HOUR, **there)
        move(engine)
        found = row(engine, Feed)
        assert found["state"] == moved_to
        assert {name: found[name] for name in there} == there

    @pytest.mark.parametrize(
        ("mine", "there", "united"),
        [
            ("paused", "active", "active"),
            ("paused", "failing", "failing"),
            ("paused", "paused", "paused"),
            ("paused", "undeclared", "paused"),
            ("paused", "gone", "paused"),
            ("undeclared", "paused", "paused"),
            ("undeclared", "undeclared", "undeclared"),
            ("failing", "paused", "active"),
        ],
    )
    def test_what_was_paused_while_it_was_polled_is_followed_no_more(
        self, engine: Engine, mine: str, there: str, united: str
    ) -> None:
        moving = add_feed(engine, OLD)
        add_feed(engine, NEW, state=there, due_at=NOON + 9 * HOUR)
        batch = claimed(engine, "poll")
        with writing(engine) as connection:
            connection.execute(update(Feed).where(Feed.id == moving).values(state=mine))
        polls.save(engine, batch, [unchanged(batch.rows[0], moved_to=NEW)])
        assert row(engine, Feed)["state"] == united

    @pytest.mark.parametrize(("there", "level"), [("paused", "warning"), ("active", "info")])
    def test_it_is_said(self, engine: Engine, there: str, level: str) -> None:
        moving = add_feed(engine, "https://user:secret@example.org/feed")
        into = add_feed(engine, NEW, state=there, due_at=NOON + 9 * HOUR)
        batch = claimed(engine, "poll")
        with capture_logs() as logged:
            polls.save(engine, batch, [unchanged(batch.rows[0], moved_to=NEW)])
        (line,) = logged
        assert (line["log_level"], line["into_was"], line["state"]) == (level, there, "active")
        assert (line["feed"], line["into"]) == (moving, into)
        assert "secret" not in str(line)

    def test_tags_are_united_and_what_is_declared_wins(self, engine: Engine) -> None:
        mine = {"interval_seconds": 60, "options": {"proxy": "p"}, "title": "Mine"}
        add_feed(engine, OLD, declared=True, tags=["b", "c"], title_given=True, **mine)
        add_feed(engine, NEW, tags=["a", "b"], interval_seconds=9, title="There")
        move(engine)
        found = row(engine, Feed)
        assert found["tags"] == ["a", "b", "c"]
        assert (found["declared"], found["title_given"]) == (True, True)
        assert {name: found[name] for name in mine} == mine

    @pytest.mark.parametrize(("mine", "there"), [(False, True), (True, True), (False, False)])
    def test_else_what_is_there_wins(self, engine: Engine, mine: bool, there: bool) -> None:
        add_feed(engine, OLD, declared=mine, interval_seconds=60, title="Mine", title_given=True)
        add_feed(engine, NEW, declared=there, interval_seconds=9, title="There")
        move(engine)
        found = row(engine, Feed)
        assert (found["declared"], found["interval_seconds"]) == (there, 9)
        assert (found["title"], found["tags"], found["options"]) == ("There", None, None)

    def test_one_that_was_never_polled_takes_over_what_is_known(self, engine: Engine) -> None:
        add_feed(engine, OLD, changed_at=NOON - HOUR, identity_by="link")
        add_feed(engine, NEW, due_at=NOON + 9 * HOUR)
        move(engine)
        found = polls.known(row(engine, Feed))
        assert (found.changed_at, found.identity_by) == (NOON - HOUR, "link")

    def test_two_that_move_to_one_url_become_one(self, engine: Engine) -> None:
        first = add_feed(engine, OLD)
        add_feed(engine, "https://example.org/old2")
        batch = claimed(engine, "poll")
        outcomes = [
            listing(one, [entry(name)], moved_to=NEW)
            for one, name in zip(batch.rows, "ab", strict=True)
        ]
        polls.save(engine, batch, outcomes)
        found = row(engine, Feed)
        assert (found["id"], found["url"]) == (first, NEW)
        assert set(remembered(engine).values()) == {first}

    def test_two_that_move_onto_each_other_at_once(
        self, engine: Engine, store_settings: Settings
    ) -> None:
        """Each holds the row that the other needs; one finds nobody there any more."""
        add_feed(engine, OLD)
        add_feed(engine, NEW)
        batches = [claimed(engine, "poll", limit=1) for _ in range(2)]

        def save(number: int, url: str) -> None:
            own = open_engine(store_settings)
            polls.save(own, batches[number], [unchanged(batches[number].rows[0], moved_to=url)])
            own.dispose()

        at_once(lambda: save(0, NEW), lambda: save(1, OLD))
        assert len(rows(engine, Feed)) == 1

    def test_others_of_the_group_are_saved_as_ever(self, engine: Engine) -> None:
        add_feed(engine, OLD)
        add_feed(engine, NEW, due_at=NOON + 9 * HOUR)
        other = add_feed(engine, "https://example.net/feed")
        batch = claimed(engine, "poll")

        def outcome(one: Any) -> PollOutcome:
            return listing(one, [], moved_to=NEW) if one["url"] == OLD else failed(one)

        polls.save(engine, batch, [outcome(one) for one in batch.rows])
        assert row(engine, Feed, id=other)["failures"] == 1
        assert {one["lease_token"] for one in rows(engine, Feed)} == {None}
