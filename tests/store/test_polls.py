"""What a group of polls brings, saved in one transaction."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, update

from tests.store.polling import entry, failed, listing, poll, statements, unchanged
from tests.store.rows import HOUR, NOON, add_feed, at_once, change, claimed, row, rows
from worker.feeds import Feed as KnownFeed
from worker.feeds import Input, Move, PollOutcome
from worker.reasons import Reason
from worker.settings import Settings
from worker.store import feeds, hosts, open_engine, polls, webhooks, writing
from worker.store.models import Article, Delivery, Endpoint, Event, Feed, Tally
from worker.store.models import Entry as EntryRow
from worker.store.polls import Saved
from worker.store.sessions import read_now, reading
from worker.webhooks import generate_secret
from worker.webhooks.events import EVENT_TYPES

FEED = "https://example.org/feed"
OTHER = "https://example.com/rss"

LEARNED = KnownFeed(
    id=0,
    url=FEED,
    state="failing",
    etag='"e"',
    last_modified="yesterday",
    body_hash="b" * 64,
    changed_at=NOON - 4 * HOUR,
    succeeded_at=NOON - 3 * HOUR,
    failures=7,
    failure_score=5.25,
    failing_at=NOON - 2 * HOUR,
    identity_by="link",
    gap_seconds=1234.5,
    newest_at=NOON - 5 * HOUR,
    hint_seconds=600.0,
    skip_hours=(0, 23),
    skip_days=(6,),
    move=Move(OTHER, 2, NOON - HOUR),
)


@pytest.fixture(autouse=True)
def feed_id(engine: Engine) -> int:
    """A feed that was polled before, without any entry."""
    return add_feed(engine, FEED, changed_at=NOON - HOUR)


def save(engine: Engine, *make: Callable[[Any], PollOutcome], now: Any = NOON) -> Saved:
    """Claim the due feeds and save what `make` makes of their rows."""
    batch = claimed(engine, "poll", now)
    outcomes = [make_one(one) for make_one, one in zip(make, batch.rows, strict=True)]
    return polls.save(engine, batch, outcomes)


class TestFeeds:
    def test_the_feed_is_given_back_with_what_is_known_now(self, engine: Engine) -> None:
        poll(engine, [])
        feed = row(engine, Feed)
        assert (feed["lease_token"], feed["lease_until"], feed["attempts"]) == (None, None, 0)
        assert (feed["due_at"], feed["polled_at"]) == (NOON + HOUR / 2, NOON)
        assert (feed["etag"], feed["title"], feed["status"]) == ('"1"', "A feed", 200)

    def test_all_that_is_learned_is_known_at_the_next_poll(
        self, engine: Engine, feed_id: int
    ) -> None:
        learned = replace(LEARNED, id=feed_id)
        outcome = PollOutcome("failed", learned, NOON + HOUR, status=500, reason=Reason.TIMEOUT)
        save(engine, lambda _: outcome)
        known = polls.known(row(engine, Feed))
        assert known == replace(learned, status=500)

        save(engine, unchanged, now=NOON + 2 * HOUR)
        assert polls.known(row(engine, Feed)) == replace(learned, status=304, succeeded_at=NOON)

    def test_what_was_learned_may_be_forgotten(self, engine: Engine, feed_id: int) -> None:
        learned = replace(LEARNED, id=feed_id, identity_by=None)
        blank = KnownFeed(id=feed_id, url=FEED)
        save(engine, lambda _: PollOutcome("unchanged", learned, NOON))
        save(engine, lambda _: PollOutcome("unchanged", blank, NOON))
        assert polls.known(row(engine, Feed)) == blank

    def test_a_feed_whose_state_alone_has_changed(self, engine: Engine) -> None:
        change(engine, Feed, state="gone")
        feed = replace(polls.known(row(engine, Feed)), state="active")
        change(engine, Feed, state="failing")
        save(engine, lambda one: unchanged(one, feed=feed))
        assert row(engine, Feed)["state"] == "active"

    def test_how_entries_are_told_apart_is_kept(self, engine: Engine) -> None:
        change(engine, Feed, identity_by="link")
        batch = claimed(engine, "poll")
        late = unchanged(batch.rows[0])
        flipped = replace(late, result="changed", feed=replace(late.feed, identity_by="guid"))
        polls.save(engine, batch, [flipped])
        assert row(engine, Feed)["identity_by"] == "link"

    def test_an_unchanged_poll_writes_little(self, engine: Engine) -> None:
        batch = claimed(engine, "poll")
        with statements(engine) as sent:
            polls.save(engine, batch, [unchanged(batch.rows[0])])
        (written,) = [one for one in sent if one.startswith("UPDATE")]
        assert "etag" not in written
        found = row(engine, Feed)
        assert (found["status"], found["succeeded_at"], found["polled_at"]) == (304, NOON, NOON)

    def test_many_feeds_take_no_more_statements_than_a_few(self, engine: Engine) -> None:
        numbers = []
        for times in (1, 15):
            change(engine, Feed, state="paused")
            for number in range(3 * times):
                add_feed(engine, f"https://example.org/{times}/{number}")
            batch = claimed(engine, "poll")
            outcomes = [
                outcome
                for n in range(0, len(batch.rows), 3)
                for outcome in (
                    unchanged(batch.rows[n]),
                    failed(batch.rows[n + 1]),
                    listing(batch.rows[n + 2], [entry(f"{times}-{n}-{m}") for m in range(9)]),
                )
            ]
            with statements(engine) as sent:
                polls.save(engine, batch, outcomes)
            numbers.append(len(sent))
        assert numbers[0] == numbers[1]
        assert len(rows(engine, EntryRow)) == 9 + 15 * 9

    def test_what_the_next_poll_follows_from_is_kept(self, engine: Engine) -> None:
        why = (Input("rhythm", NOON + HOUR, "every hour"), Input("spread", NOON, "", True))
        save(engine, lambda one: unchanged(one, why=why))
        assert row(engine, Feed)["schedule"] == [
            {
                "name": "rhythm",
                "at": "2026-03-04T13:00:00+00:00",
                "detail": "every hour",
                "effective": False,
            },
            {"name": "spread", "at": "2026-03-04T12:00:00+00:00", "detail": "", "effective": True},
        ]

    def test_a_failed_poll_keeps_what_the_feed_said_of_itself(self, engine: Engine) -> None:
        poll(engine, [], site_url="https://example.org/", language="id")
        gone: dict[str, Any] = {
            "status": 404,
            "reason": Reason.NOT_FOUND,
            "detail": "404 Not Found",
        }
        save(engine, lambda one: failed(one, **gone), now=NOON + HOUR)
        found = row(engine, Feed)
        assert (found["failures"], found["reason"]) == (1, "not_found")
        assert (found["detail"], found["title"], found["etag"]) == (
            "404 Not Found",
            "A feed",
            '"1"',
        )
        assert (found["site_url"], found["language"]) == ("https://example.org/", "id")

    def test_a_title_that_was_given_stays(self, engine: Engine) -> None:
        change(engine, Feed, title="Mine", title_given=True)
        poll(engine, [])
        assert row(engine, Feed)["title"] == "Mine"

    @pytest.mark.parametrize(
        ("meanwhile", "after"),
        [("paused", "paused"), ("undeclared", "undeclared"), ("gone", "failing")],
    )
    def test_what_was_put_aside_meanwhile_stays_so(
        self, engine: Engine, meanwhile: str, after: str
    ) -> None:
        batch = claimed(engine, "poll")
        change(engine, Feed, state=meanwhile)
        outcome = failed(batch.rows[0])
        polls.save(engine, batch, [replace(outcome, feed=replace(outcome.feed, state="failing"))])
        assert row(engine, Feed)["state"] == after

    def test_a_late_outcome_changes_nothing_at_all(self, engine: Engine) -> None:
        poll(engine, [entry("a")])
        change(engine, Article, stage="done")
        webhooks.add(engine, "desk", "https://desk", generate_secret(), event_types=EVENT_TYPES)
        late = claimed(engine, "poll", NOON + HOUR)
        holder = claimed(engine, "poll", NOON + 2 * HOUR)
        tables = (Feed, EntryRow, Article, Event, Tally)
        before = [rows(engine, table) for table in tables]

        news = (entry("a", revision="2"), entry("b"))
        outcome = replace(
            listing(late.rows[0], news, title="Late"), event="failing", cool_down=timedelta(hours=1)
        )
        assert polls.save(engine, late, [outcome]) == Saved(0, 0)
        assert [rows(engine, table) for table in tables] == before
        assert hosts.known(engine, ["example.org"]) == {}

        assert polls.save(engine, holder, [outcome]) == Saved(2, 1)
        assert row(engine, Feed)["title"] == "Late"

    def test_only_what_is_late_of_a_group_is_left_out(self, engine: Engine, feed_id: int) -> None:
        add_feed(engine, OTHER)
        late = claimed(engine, "poll", limit=1)
        claimed(engine, "poll", NOON + HOUR, limit=1)
        batch = claimed(engine, "poll", NOON)
        both = replace(batch, rows=[*late.rows, *batch.rows])
        polls.save(engine, both, [unchanged(one) for one in both.rows])
        assert row(engine, Feed, id=feed_id)["polled_at"] is None
        assert row(engine, Feed, url=OTHER)["polled_at"] == NOON

    def test_a_feed_that_was_removed_meanwhile(self, engine: Engine, feed_id: int) -> None:
        batch = claimed(engine, "poll")
        feeds.remove(engine, feed_id)
        assert polls.save(engine, batch, [listing(batch.rows[0], [entry("a")])]) == Saved(0, 0)
        assert rows(engine, Article) == []

    def test_a_poll_that_cannot_be_saved_leaves_all_as_it_was(self, engine: Engine) -> None:
        """The hash of a document moves with its entries, or not at all."""
        batch = claimed(engine, "poll")
        outcome = listing(batch.rows[0], [entry("a"), entry("b", revision=None)])
        outcome = replace(outcome, feed=replace(outcome.feed, body_hash="new"))
        before = rows(engine, Feed)
        with pytest.raises(Exception, match=r"revision|null"):
            polls.save(engine, batch, [outcome])
        assert rows(engine, Feed) == before
        assert rows(engine, Article) == rows(engine, EntryRow) == []

    def test_outcomes_are_counted(self, engine: Engine) -> None:
        add_feed(engine, OTHER)
        add_feed(engine, "https://example.net/")
        slow: dict[str, Any] = {"reason": Reason.TIMEOUT}
        save(engine, unchanged, lambda one: failed(one, **slow), lambda one: failed(one, **slow))
        counted = {(one["outcome"], one["reason"]): one["number"] for one in rows(engine, Tally)}
        assert counted == {("unchanged", None): 1, ("failed", "timeout"): 2}


def store_now(engine: Engine) -> datetime:
    with reading(engine) as connection:
        return read_now(connection)


class TestHosts:
    def test_a_site_that_wants_to_be_left_alone(self, engine: Engine) -> None:
        add_feed(engine, "https://example.org/other")
        add_feed(engine, "https://EXAMPLE.com:8443/feed")

        def cool(hours: int) -> Callable[[Any], PollOutcome]:
            return lambda one: failed(one, cool_down=hours * HOUR)

        before = store_now(engine)
        save(engine, cool(5), cool(2), cool(1))
        after = store_now(engine)
        known = hosts.known(engine, ["example.org", "example.com:8443"])
        # From the answer on, not from the claim: that may be a minute ago.
        for host, hours in (("example.org", 5), ("example.com:8443", 1)):
            until = known[host].cool_down_until
            assert until is not None
            assert before <= until - hours * HOUR <= after

    def test_groups_that_cool_the_same_hosts_do_not_deadlock(
        self, engine: Engine, store_settings: Settings
    ) -> None:
        change(engine, Feed, state="paused")
        names = [f"https://h{number}.example/feed" for number in range(40)]
        for name in names + [f"{name}2" for name in reversed(names)]:
            add_feed(engine, name)
        batches = [claimed(engine, "poll", limit=40) for _ in range(2)]

        def cool(number: int) -> None:
            own = open_engine(store_settings)
            outcomes = [failed(one, cool_down=HOUR) for one in batches[number].rows]
            polls.save(own, batches[number], outcomes)
            own.dispose()

        at_once(lambda: cool(0), lambda: cool(1))
        assert len(hosts.known(engine, [f"h{number}.example" for number in range(40)])) == 40


class TestEvents:
    @pytest.fixture(autouse=True)
    def endpoints(self, engine: Engine) -> None:
        for name, types in (
            ("all", EVENT_TYPES),
            ("stories", ["story.created"]),
            ("off", ["feed.failing"]),
        ):
            webhooks.add(engine, name, "https://x", generate_secret(), event_types=types)
        off = webhooks.find(engine, "off")
        assert off is not None
        with writing(engine) as connection:
            mine = update(Endpoint).where(Endpoint.id == off["id"])
            connection.execute(mine.values(state="disabled"))

    def fail(self, one: Any) -> PollOutcome:
        outcome = failed(one, event="failing", reason=Reason.TIMEOUT, detail="Too slow.")
        feed = replace(
            outcome.feed, state="failing", failing_at=NOON, failures=6, succeeded_at=NOON - HOUR
        )
        return replace(outcome, feed=feed)

    def recover(self, one: Any) -> PollOutcome:
        outcome = listing(one, [entry("a")], NOON + HOUR, event="recovered")
        return replace(
            outcome,
            feed=replace(
                outcome.feed, state="active", failing_at=None, failures=0, succeeded_at=NOON + HOUR
            ),
        )

    def told(self, engine: Engine) -> list[tuple[str, str, str]]:
        names = {one["id"]: one["name"] for one in rows(engine, Endpoint)}
        events = {one["id"]: one["type"] for one in rows(engine, Event)}
        return [
            (events[one["event_id"]], names[one["endpoint_id"]], one["state"])
            for one in rows(engine, Delivery)
        ]

    def test_who_subscribed_is_told_once_that_a_feed_fails_and_once_that_it_answers(
        self, engine: Engine, feed_id: int
    ) -> None:
        change(engine, Feed, title="Berita", site_url="https://example.org/",
               url="https://me:secret@example.org/feed?token=1")  # fmt: skip
        assert save(engine, self.fail) == Saved(0, 1)
        assert self.told(engine) == [
            ("feed.failing", "all", "pending"),
            ("feed.failing", "off", "held"),
        ]
        found = row(engine, Event)
        assert found["event_key"] == f"feed.failing:{feed_id}:2026-03-04T12:00:00+00:00"
        assert found["occurred_at"] == NOON
        body = json.loads(found["body"])
        assert body["type"] == "feed.failing"
        assert body["data"] == {
            "feed": {
                "id": str(feed_id),
                "title": "Berita",
                "url": body["data"]["feed"]["url"],
                "site_url": "https://example.org/",
                "state": "failing",
            },
            "failing_since": "2026-03-04T12:00:00+00:00",
            "failures": 6,
            "reason": "timeout",
            "detail": "Too slow.",
            "last_success_at": "2026-03-04T11:00:00+00:00",
            "next_poll_at": "2026-03-04T13:00:00+00:00",
        }
        assert "secret" not in body["data"]["feed"]["url"]

        assert save(engine, self.recover, now=NOON + HOUR) == Saved(1, 1)
        over = row(engine, Event, type="feed.recovered")
        assert over["event_key"] == f"feed.recovered:{feed_id}:2026-03-04T12:00:00+00:00"
        data = json.loads(over["body"])["data"]
        assert (data["feed"]["state"], data["feed"]["title"]) == ("active", "A feed")
        assert (data["failing_since"], data["failures"]) == ("2026-03-04T12:00:00+00:00", 6)
        assert (data["reason"], data["detail"]) == ("timeout", "Too slow.")
        assert data["last_success_at"] == "2026-03-04T13:00:00+00:00"
        assert [told for told in self.told(engine) if told[0] == "feed.recovered"] == [
            ("feed.recovered", "all", "pending")
        ]

    def test_the_same_failing_is_told_once(self, engine: Engine) -> None:
        assert save(engine, self.fail).events == 1
        change(engine, Feed, due_at=NOON)
        assert save(engine, self.fail).events == 0
        assert len(rows(engine, Event)) == 1
        assert len(rows(engine, Delivery)) == 2

    def test_of_what_nobody_subscribed_to_there_is_no_event(self, engine: Engine) -> None:
        change(engine, Endpoint, event_types=["story.created"])
        assert save(engine, self.fail).events == 0
        assert rows(engine, Event) == []
