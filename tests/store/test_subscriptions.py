"""Subscriptions at hubs, and news that hubs push, in the store."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from sqlalchemy import Engine

from tests.store.rows import HOUR, NOON, add_feed, at_once, change, claimed, row, rows
from worker.feeds import Entry, PollOutcome
from worker.feeds.websub import Answer, Request
from worker.reasons import Reason
from worker.settings import Settings
from worker.store import feeds, open_engine, polls, subscriptions
from worker.store.models import Article, Feed, Host, Tally
from worker.store.models import Entry as EntryRow
from worker.store.models import Subscription as Row
from worker.store.sessions import read_now, reading
from worker.store.subscriptions import Target

REQUEST = Request(
    "https://hub/", "https://n/feed", "token", "secret", "https://me/websub/token", 60
)
OTHER = replace(REQUEST, hub="https://hub2/", token="token2", secret="secret2")


class TestAsking:
    def test_what_was_asked_is_known_by_feed_and_by_token(self, engine: Engine) -> None:
        feed_id, other_id = add_feed(engine), add_feed(engine, "https://example.org/other")
        before = now(engine)
        assert subscriptions.asked(engine, feed_id, REQUEST)

        (known,) = subscriptions.known(engine, [feed_id, other_id]).values()
        assert (known.feed_id, known.hub, known.topic) == (feed_id, REQUEST.hub, REQUEST.topic)
        assert (known.token, known.secret) == ("token", "secret")
        assert (known.state, known.failures, known.verified_at) == ("asked", 1, None)
        assert before <= known.asked_at <= now(engine)

        target = subscriptions.find(engine, "token")
        assert target is not None
        assert target.subscription == known
        assert target.feed.id == feed_id
        assert subscriptions.find(engine, "no-such-token") is None

    def test_many_feeds_are_known_at_once(self, engine: Engine) -> None:
        ids = [add_feed(engine, f"https://example.org/{number}") for number in range(3)]
        for number in ids[1:]:
            subscriptions.asked(engine, number, replace(REQUEST, token=f"token{number}"))
        wanted = [*ids, *range(1_000, 2_000)]
        assert set(subscriptions.known(engine, wanted)) == set(ids[1:])
        assert subscriptions.known(engine, []) == {}

    def test_asking_again_is_counted_and_does_not_end_what_goes_on(self, engine: Engine) -> None:
        target = subscribed(engine)
        subscriptions.asked(engine, target.feed.id, REQUEST)
        subscriptions.asked(engine, target.feed.id, REQUEST)
        again = found(engine).subscription
        assert (again.state, again.failures) == ("active", 2)
        assert again.asked_at > target.subscription.asked_at
        assert again.lease_ends_at == target.subscription.lease_ends_at

    def test_asking_again_after_a_denial_begins_anew(self, engine: Engine) -> None:
        target = subscribed(engine)
        denied = replace(target.subscription, state="denied", detail="denied: no")
        assert subscriptions.save(engine, denied)
        subscriptions.asked(engine, target.feed.id, REQUEST)
        assert found(engine).subscription.state == "asked"

    def test_another_hub_takes_the_place_of_the_first(self, engine: Engine) -> None:
        target = subscribed(engine)
        change(engine, Row, pushed_at=NOON, detail="was", failures=4)
        subscriptions.asked(engine, target.feed.id, OTHER)
        assert subscriptions.find(engine, "token") is None
        known = found(engine, "token2").subscription
        assert (known.hub, known.secret, known.state) == (OTHER.hub, OTHER.secret, "asked")
        assert (known.verified_at, known.lease_ends_at, known.pushed_at) == (None, None, None)
        assert (known.failures, known.detail) == (1, None)
        assert len(rows(engine, Row)) == 1

    def test_a_feed_that_is_gone_is_not_asked_for(self, engine: Engine) -> None:
        feed_id = add_feed(engine)
        feeds.remove(engine, feed_id)
        assert not subscriptions.asked(engine, feed_id, REQUEST)
        assert rows(engine, Row) == []

    def test_a_refusal_is_kept(self, engine: Engine) -> None:
        subscriptions.asked(engine, add_feed(engine), REQUEST)
        answer = Answer(False, 503, Reason.SERVER_ERROR, "503 Unavailable: not today")
        subscriptions.failed(engine, REQUEST, answer)
        known = found(engine).subscription
        assert (known.state, known.failures, known.detail) == ("asked", 1, answer.detail)

    def test_a_hub_that_wants_to_be_left_alone_is_asked_for_no_feed(self, engine: Engine) -> None:
        feed_id, other_id = add_feed(engine), add_feed(engine, "https://example.org/other")
        subscriptions.asked(engine, feed_id, REQUEST)
        answer = Answer(False, 429, Reason.RATE_LIMITED, "429", cool_down=HOUR)
        subscriptions.failed(engine, REQUEST, answer)
        same = replace(REQUEST, token="token3", topic="https://n/other")
        assert not subscriptions.asked(engine, other_id, same)
        assert not subscriptions.asked(engine, feed_id, REQUEST)
        assert subscriptions.asked(engine, other_id, OTHER)
        change(engine, Host, cool_down_until=now(engine))
        assert subscriptions.asked(engine, feed_id, REQUEST)

    def test_a_verification_is_kept_unless_another_hub_was_asked_meanwhile(
        self, engine: Engine
    ) -> None:
        target = subscribed(engine)
        assert target.subscription.state == "active"
        subscriptions.asked(engine, target.feed.id, OTHER)
        assert not subscriptions.save(engine, target.subscription)
        assert found(engine, "token2").subscription.state == "asked"

    @pytest.mark.parametrize("state", ["paused", "undeclared", "gone"])
    def test_the_token_of_a_feed_that_is_not_followed_stands_for_nobody(
        self, engine: Engine, state: str
    ) -> None:
        subscribed(engine)
        change(engine, Feed, state=state)
        assert subscriptions.find(engine, "token") is None
        change(engine, Feed, state="failing")
        assert found(engine).feed.state == "failing"

    def test_with_its_feed_the_subscription_goes(self, engine: Engine) -> None:
        feeds.remove(engine, subscribed(engine).feed.id)
        assert rows(engine, Row) == []


class TestIngest:
    def test_news_become_articles_to_fetch(self, engine: Engine) -> None:
        target = subscribed(engine)
        before = row(engine, Feed)
        began = now(engine)
        assert subscriptions.ingest(engine, news(target, entry("a"), entry("b"))) == 2
        assert {article["stage"] for article in rows(engine, Article)} == {"fetch"}
        assert {article["silent"] for article in rows(engine, Article)} == {False}
        assert all(article["due_at"] <= now(engine) for article in rows(engine, Article))
        pushed_at = found(engine).subscription.pushed_at
        assert pushed_at is not None
        assert began <= pushed_at <= now(engine)
        (tally,) = rows(engine, Tally)
        assert (tally["stage"], tally["outcome"], tally["reason"]) == ("poll", "pushed", None)

        after = dict(row(engine, Feed))
        learned = {"gap_seconds": 60.0, "newest_at": NOON, "identity_by": "guid"}
        assert after == {**before, **learned, "listed_at": pushed_at}

    def test_what_was_read_by_other_identities_than_count_now_is_not_stored(
        self, engine: Engine
    ) -> None:
        target = subscribed(engine)
        change(engine, Feed, identity_by="link")
        assert subscriptions.ingest(engine, news(target, entry("a"))) is None
        assert row(engine, Feed)["identity_by"] == "link"
        assert rows(engine, Article) == []
        assert found(engine).subscription.pushed_at is None

    def test_silent_and_passed_over_are_what_they_are_in_a_poll(self, engine: Engine) -> None:
        target = subscribed(engine)
        outcome = news(target, entry("a"), entry("b"))
        outcome = replace(outcome, silent=frozenset("a"), passed_over=frozenset("b"))
        assert subscriptions.ingest(engine, outcome) == 1
        assert row(engine, Article)["silent"]
        assert len(rows(engine, EntryRow)) == 2

    def test_the_same_push_again_brings_nothing(self, engine: Engine) -> None:
        target = subscribed(engine)
        outcome = news(target, entry("a"))
        assert subscriptions.ingest(engine, outcome) == 1
        change(engine, Article, stage="done")
        assert subscriptions.ingest(engine, outcome) == 0
        assert row(engine, Article)["stage"] == "done"

    def test_an_entry_that_changed_is_fetched_again(self, engine: Engine) -> None:
        target = subscribed(engine)
        subscriptions.ingest(engine, news(target, entry("a")))
        change(engine, Article, stage="done")
        subscriptions.ingest(engine, news(target, entry("a", revision="2")))
        assert row(engine, Article)["stage"] == "fetch"

    def test_a_feed_that_is_gone_takes_nothing(self, engine: Engine) -> None:
        target = subscribed(engine)
        feeds.remove(engine, target.feed.id)
        assert subscriptions.ingest(engine, news(target, entry("a"))) == 0
        assert rows(engine, Article) == []
        assert rows(engine, Tally) == []

    def test_a_poll_that_is_under_way_goes_on(self, engine: Engine) -> None:
        """The push takes no lease, and the poll's outcome counts."""
        target = subscribed(engine)
        batch = claimed(engine, "poll")
        subscriptions.ingest(engine, news(target, entry("a")))
        assert row(engine, Feed)["lease_token"] == batch.token
        assert polls.save(engine, batch, [polled(target, entry("b"), entry("a"))]).articles == 1
        assert len(rows(engine, Article)) == 2
        assert row(engine, Feed)["due_at"] == NOON + HOUR

    def test_pushes_and_a_poll_at_once_bring_each_article_once(
        self, engine: Engine, store_settings: Settings
    ) -> None:
        target = subscribed(engine)
        listed = [entry(f"n{number}") for number in range(100)]
        batch = claimed(engine, "poll")

        def push() -> int | None:
            return apart(
                store_settings, lambda own: subscriptions.ingest(own, news(target, *listed))
            )

        def poll() -> int | None:
            outcome = polled(target, *reversed(listed))
            return apart(store_settings, lambda own: polls.save(own, batch, [outcome]).articles)

        assert sorted(at_once(push, poll, push), key=lambda n: n or 0) == [0, 0, 100]
        assert len(rows(engine, Article)) == 100
        assert len(rows(engine, EntryRow)) == 100

    def test_what_was_of_no_use_is_counted(self, engine: Engine) -> None:
        subscriptions.refused(engine, Reason.BAD_SIGNATURE)
        tally = row(engine, Tally)
        assert (tally["stage"], tally["outcome"]) == ("poll", "refused")
        assert tally["reason"] == "bad_signature"


def entry(name: str, revision: str = "1") -> Entry:
    return Entry(
        identity=name,
        url=f"https://example.org/news/{name}",
        title=f"Title of {name}",
        summary="",
        content="",
        authors=(),
        published_at=NOON,
        updated_at=None,
        revision=revision,
    )


def subscribed(engine: Engine) -> Target:
    """A feed that was polled an hour ago, with an active subscription."""
    subscriptions.asked(engine, add_feed(engine, changed_at=NOON - HOUR), REQUEST)
    asked = found(engine)
    active = replace(
        asked.subscription,
        state="active",
        verified_at=asked.now,
        lease_ends_at=asked.now + timedelta(days=10),
        failures=0,
    )
    assert subscriptions.save(engine, active)
    return found(engine)


def found(engine: Engine, token: str = "token") -> Target:
    target = subscriptions.find(engine, token)
    assert target is not None
    return target


def news(target: Target, *entries: Entry) -> PollOutcome:
    """What a push is decided to be; what it says of the document at the feed's URL is to be
    ignored.
    """
    feed = replace(
        target.feed,
        etag='"pushed"',
        body_hash="0" * 64,
        changed_at=NOON,
        failures=3,
        identity_by="guid",
        gap_seconds=60.0,
        newest_at=NOON,
    )
    return PollOutcome("changed", feed, NOON + 9 * HOUR, status=200, title="T", entries=entries)


def polled(target: Target, *entries: Entry) -> PollOutcome:
    feed = replace(target.feed, changed_at=NOON, identity_by="guid")
    return PollOutcome("changed", feed, NOON + HOUR, status=200, entries=entries)


def apart(settings: Settings, work: Callable[[Engine], int | None]) -> int | None:
    """Do `work` on an engine of its own, as another process does."""
    own = open_engine(settings)
    try:
        return work(own)
    finally:
        own.dispose()


def now(engine: Engine) -> datetime:
    with reading(engine) as connection:
        return read_now(connection)
