"""Polling: what is asked, and what the answer means for the feed."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from tests.feeds.newsroom import URL, rss
from tests.http.peers import LOOPBACK, Handler, answer, header, path, peer
from worker.feeds import (
    Feed,
    Hub,
    Move,
    PollOutcome,
    crashed,
    decide,
    overdue,
    request,
    request_children,
)
from worker.http import Client, Hop, Response
from worker.reasons import Reason
from worker.settings import PollSettings

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
SETTINGS = PollSettings()
RSS2 = (Path(__file__).parents[1] / "data" / "feeds" / "rss2.xml").read_bytes()
FEED = Feed(id=7, url=URL)
KNOWN = Feed(
    id=7, url=URL, etag='"1"', last_modified="Mon, 23 Nov 2026 12:00:00 GMT",
    body_hash="0" * 64, changed_at=NOW - 20 * HOUR, succeeded_at=NOW - HOUR, failures=3,
    failure_score=1.5, identity_by="guid",
)  # fmt: skip
FAILING = replace(KNOWN, failures=5, failure_score=5.0, state="failing", failing_at=NOW - DAY)


def response(
    status: int | None = 200, body: bytes = b"", failure: Reason | None = None, **headers: str
) -> Response:
    return Response(
        url=URL,
        final_url=URL,
        status=status,
        body=body,
        failure=failure,
        headers={name.replace("_", "-"): value for name, value in headers.items()},
        detail="the detail",
    )


def moved(to: str, *statuses: int, came: Response | None = None) -> Response:
    """A response that redirects with these statuses led to."""
    hops = tuple(
        Hop(status, URL if place == 0 else f"https://hop.example/{place}")
        for place, status in enumerate(statuses)
    )
    return replace(came or response(304), hops=hops, final_url=to)


class TestSuccess:
    def test_first_sight(self) -> None:
        outcome = decide(FEED, response(body=RSS2, ETag='"2"'), NOW, SETTINGS)
        assert (outcome.result, outcome.status, outcome.reason) == ("changed", 200, None)
        assert (outcome.title, outcome.site_url, outcome.language) == (
            "Kabar Kota Lembah",
            "https://lembah.example/",
            "id-ID",
        )
        assert len(outcome.entries) == 3
        feed = outcome.feed
        assert (feed.changed_at, feed.succeeded_at, feed.status) == (NOW, NOW, 200)
        assert (feed.etag, feed.last_modified, feed.identity_by) == ('"2"', None, "guid")
        assert feed.body_hash is not None
        assert feed.newest_at == max(
            each.published_at.replace(second=0) for each in outcome.entries if each.published_at
        )

    def test_changed(self) -> None:
        outcome = decide(KNOWN, response(body=RSS2), NOW, SETTINGS)
        assert (outcome.result, len(outcome.entries)) == ("changed", 3)
        feed = outcome.feed
        assert feed.changed_at == NOW
        assert (feed.failures, feed.failure_score, feed.state) == (0, 0, "active")

    def test_not_modified(self) -> None:
        outcome = decide(KNOWN, response(304), NOW, SETTINGS)
        assert (outcome.result, outcome.status, outcome.entries) == ("unchanged", 304, ())
        assert outcome.feed == replace(
            KNOWN, failures=0, failure_score=0, status=304, succeeded_at=NOW
        )

    def test_the_same_body_again(self) -> None:
        first = decide(FEED, response(body=RSS2, ETag='"1"'), NOW, SETTINGS)
        later = NOW + HOUR
        again = decide(first.feed, response(body=RSS2, ETag='"2"'), later, SETTINGS)
        assert (again.result, again.status, again.entries) == ("unchanged", 200, ())
        assert again.feed == replace(first.feed, etag='"2"', succeeded_at=later)

    def test_relative_links_are_of_the_address_that_answered(self) -> None:
        outcome = decide(
            FEED, replace(response(body=RSS2), final_url="https://new.example/feed"), NOW, SETTINGS
        )
        assert outcome.entries[1].url == "https://new.example/berita/harga-cabai"
        assert outcome.feed.url == URL

    def test_what_the_document_asks_for_holds_on_304_too(self) -> None:
        asks = (
            "<ttl>120</ttl><skipHours><hour>3</hour><hour>4</hour></skipHours>"
            "<skipDays><day>Sunday</day></skipDays>"
        )
        first = decide(FEED, response(body=rss([NOW - HOUR], asks), ETag='"1"'), NOW, SETTINGS)
        feed = first.feed
        assert (feed.hint_seconds, feed.skip_hours, feed.skip_days) == (7_200, (3, 4), (6,))
        again = decide(feed, response(304), first.due_at, SETTINGS)
        for outcome, at in ((first, NOW), (again, first.due_at)):
            assert outcome.due_at >= at + 2 * HOUR
        at_night = decide(feed, response(304), datetime(2026, 11, 25, 1, 30, tzinfo=UTC), SETTINGS)
        assert at_night.due_at.hour == 5

    def test_a_document_that_was_cut_off_is_asked_for_whole(self) -> None:
        whole = rss([NOW - HOUR, NOW - 2 * HOUR, NOW - 3 * HOUR])
        cut = decide(KNOWN, response(body=whole[:-60], ETag='"2"'), NOW, SETTINGS)
        assert cut.result == "changed"
        assert len(cut.entries) == 2
        assert (cut.feed.etag, cut.feed.last_modified, cut.feed.body_hash) == (None, None, None)

    @pytest.mark.parametrize(
        ("days", "hours_before", "dropped"),
        [(0.9, 1, False), (1.01, 1, True), (1.5, 1, False), (2.01, 1, True), (3.01, 1, False),
         (4.01, 1, True), (30, 24, False), (33, 24, False), (32.5, 24, True)],
    )  # fmt: skip
    def test_a_server_that_says_304_for_good_is_found_out(
        self, days: float, hours_before: int, dropped: bool
    ) -> None:
        feed = replace(KNOWN, changed_at=NOW - days * DAY, succeeded_at=NOW - hours_before * HOUR)
        after = decide(feed, response(304), NOW, SETTINGS).feed
        assert ((after.etag, after.last_modified) == (None, None)) == dropped
        assert after.body_hash == feed.body_hash  # the same document is not parsed again

    def test_the_silent_are_asked_for_the_whole_document_ever_more_rarely(self) -> None:
        feed, now, whole = replace(KNOWN, changed_at=NOW), NOW, 0
        for _ in range(3_000):
            whole += feed.etag is None
            if now >= NOW + 64 * DAY:
                break
            outcome = decide(replace(feed, etag='"1"'), response(304), now, SETTINGS)
            feed, now = outcome.feed, outcome.due_at
        assert now >= NOW + 64 * DAY
        assert 6 <= whole <= 7


class TestHub:
    LINKS = '<https://hub.example/>; rel="hub", <https://feeds.example/topic>; rel="self"'
    DOCUMENT = rss([NOW - HOUR]).replace(
        b"<title>News</title>",
        b'<title>News</title><a:link xmlns:a="http://www.w3.org/2005/Atom" rel="hub" '
        b'href="https://other.example/"/><a:link xmlns:a="http://www.w3.org/2005/Atom" '
        b'rel="self" href="https://feeds.example/said"/>',
    )

    def test_headers_come_first(self) -> None:
        outcome = decide(FEED, response(body=self.DOCUMENT, Link=self.LINKS), NOW, SETTINGS)
        assert outcome.hub == Hub("https://hub.example/", "https://feeds.example/topic")

    def test_then_the_document(self) -> None:
        outcome = decide(FEED, response(body=self.DOCUMENT), NOW, SETTINGS)
        assert outcome.hub == Hub("https://other.example/", "https://feeds.example/said")

    def test_a_feed_that_does_not_name_itself_is_its_address(self) -> None:
        links = '<https://hub.example/>; rel="hub"'
        outcome = decide(FEED, response(body=RSS2, Link=links), NOW, SETTINGS)
        assert outcome.hub == Hub("https://hub.example/", URL)

    def test_without_the_document_only_a_full_answer_counts(self) -> None:
        full = decide(KNOWN, response(304, Link=self.LINKS), NOW, SETTINGS)
        assert full.hub == Hub("https://hub.example/", "https://feeds.example/topic")
        half = response(304, Link='<https://hub.example/>; rel="hub"')
        assert decide(KNOWN, half, NOW, SETTINGS).hub is None

    def test_most_feeds_have_none(self) -> None:
        assert decide(FEED, response(body=RSS2), NOW, SETTINGS).hub is None


class TestBackfill:
    DATES = (NOW - HOUR, NOW - 2 * DAY, NOW - 30 * DAY, None)

    def taken(self, **changes: Any) -> tuple[list[str], list[str]]:
        """The guids of what becomes an article, and of what of that is silent."""
        settings = PollSettings(**changes)
        outcome = decide(FEED, response(body=rss(self.DATES)), NOW, settings)
        assert [each.identity for each in outcome.entries] == ["n4", "n3", "n2", "n1"]
        taken = [
            each.identity for each in outcome.entries if each.identity not in outcome.passed_over
        ]
        return taken, [identity for identity in taken if identity in outcome.silent]

    @pytest.mark.parametrize(
        ("backfill", "expected"),
        [
            (10, ["n4", "n3", "n2", "n1"]),
            (2, ["n4", "n3"]),
            (0, []),
            ("none", []),
            ("all", ["n4", "n3", "n2", "n1"]),
            (date(2026, 11, 22), ["n4", "n3"]),
            (date(2026, 11, 23), ["n4"]),
            (date(2027, 1, 1), []),
        ],
    )
    def test_what_is_taken(self, backfill: object, expected: list[str]) -> None:
        assert self.taken(backfill=backfill) == (expected, expected)

    def test_alerts_if_asked_for_however_old(self) -> None:
        assert self.taken(backfill=3, backfill_alerts=True) == (["n4", "n3", "n2"], [])

    def test_later_the_old_are_silent(self) -> None:
        outcome = decide(KNOWN, response(body=rss(self.DATES)), NOW, SETTINGS)
        assert outcome.passed_over == frozenset()
        assert outcome.silent == {"n3", "n2"}
        patient = PollSettings(alert_max_age_seconds=3 * 86_400)
        outcome = decide(KNOWN, response(body=rss(self.DATES)), NOW, patient)
        assert outcome.silent == {"n2"}

    def test_an_empty_document_is_a_first_sight_too(self) -> None:
        first = decide(FEED, response(body=rss([])), NOW, SETTINGS)
        assert (first.result, first.entries) == ("changed", ())
        later = NOW + HOUR
        second = decide(first.feed, response(body=rss([later])), later, SETTINGS)
        assert (second.passed_over, second.silent) == (frozenset(), frozenset())


class TestFailure:
    @pytest.mark.parametrize(
        ("bad", "reason", "detail", "weight"),
        [
            (response(None, failure=Reason.TIMEOUT), Reason.TIMEOUT, "the detail", 0.5),
            (response(None, failure=Reason.DNS_FAILED), Reason.DNS_FAILED, "the detail", 0.25),
            (response(None, failure=Reason.INVALID_URL), Reason.INVALID_URL, "the detail", 1),
            (response(200, failure=Reason.TOO_LARGE), Reason.TOO_LARGE, "the detail", 1),
            (response(401), Reason.UNAUTHORIZED, "the detail", 1),
            (response(404), Reason.NOT_FOUND, "the detail", 0.5),
            (response(410), Reason.GONE, "the detail", 1),
            (response(400), Reason.CLIENT_ERROR, "the detail", 1),
            (response(503), Reason.SERVER_ERROR, "the detail", 0.5),
            (response(200), Reason.NOT_A_FEED, "the document is empty", 0.5),
            (response(204), Reason.NOT_A_FEED, "the document is empty", 0.5),
            (
                response(200, b"<!DOCTYPE html><html>"),
                Reason.NOT_A_FEED,
                "an HTML page, not a feed; look on it for the feed's URL",
                0.5,
            ),
        ],
    )
    def test_it_is_told_and_what_is_known_is_kept(
        self, bad: Response, reason: Reason, detail: str, weight: float
    ) -> None:
        outcome = decide(KNOWN, bad, NOW, SETTINGS)
        assert (outcome.result, outcome.reason, outcome.detail) == ("failed", reason, detail)
        assert outcome.status == bad.status
        assert outcome.feed == replace(
            KNOWN, failures=4, failure_score=1.5 + weight, status=bad.status
        )
        assert (outcome.entries, outcome.event) == ((), None)

    def test_a_rate_limit_is_no_failure_of_the_feed(self) -> None:
        outcome = decide(KNOWN, response(429, Retry_After="3600"), NOW, SETTINGS)
        assert (outcome.result, outcome.reason) == ("failed", Reason.RATE_LIMITED)
        assert outcome.feed == replace(KNOWN, status=429)
        assert outcome.cool_down == HOUR
        assert outcome.due_at >= NOW + HOUR

    def test_rate_limits_for_a_month_make_no_feed_failing(self) -> None:
        feed, now = replace(KNOWN, failures=0, failure_score=0), NOW
        for _ in range(60):
            outcome = decide(feed, response(429), now, SETTINGS)
            assert (outcome.feed.state, outcome.event) == ("active", None)
            feed, now = outcome.feed, outcome.due_at
        assert now > NOW + 30 * DAY

    @pytest.mark.parametrize(
        ("status", "retry_after", "expected"),
        [(429, "", 10 * MINUTE), (503, "60", MINUTE), (503, "", None), (404, "60", None)],
    )
    def test_the_host_is_left_alone(
        self, status: int, retry_after: str, expected: timedelta | None
    ) -> None:
        outcome = decide(KNOWN, response(status, Retry_After=retry_after), NOW, SETTINGS)
        assert outcome.cool_down == expected

    def test_a_feed_that_is_broken_once_is_asked_for_whole_again(self) -> None:
        # Its validators are not kept: a 304 to them would hide that it was never read.
        broken = decide(FEED, response(body=b"oops", ETag='"oops"'), NOW, SETTINGS)
        assert (broken.feed.etag, broken.feed.body_hash) == (None, None)

    def test_a_304_to_who_has_nothing(self) -> None:
        outcome = decide(FEED, response(304), NOW, SETTINGS)
        assert (outcome.result, outcome.reason) == ("failed", Reason.UNEXPECTED_STATUS)

    def test_recovery_counts_from_the_start(self) -> None:
        failed = decide(KNOWN, response(500), NOW, SETTINGS)
        recovered = decide(failed.feed, response(304), NOW, SETTINGS)
        failed_again = decide(recovered.feed, response(500), NOW, SETTINGS)
        assert failed_again.feed.failures == 1
        assert recovered.due_at < failed_again.due_at < failed.due_at

    def test_a_feed_that_takes_its_process_down_waits_a_day_at_least(self) -> None:
        outcome = crashed(KNOWN, NOW, SETTINGS)
        assert (outcome.result, outcome.reason) == ("failed", Reason.CRASHED)
        assert outcome.due_at >= NOW + DAY
        assert outcome.feed == replace(KNOWN, failures=4, failure_score=2.5, status=None)

    def test_a_feed_whose_polls_come_to_no_end_waits_ever_longer(self) -> None:
        feed, now, waits = replace(FEED, etag='"1"'), NOW, []
        for failures in range(1, 5):
            outcome = overdue(feed, now, SETTINGS)
            assert (outcome.result, outcome.reason) == ("failed", Reason.TIMEOUT)
            assert (outcome.feed.failures, outcome.feed.etag) == (failures, '"1"')
            waits.append(outcome.due_at - now)
            feed, now = outcome.feed, outcome.due_at
        assert waits == sorted(waits)
        assert 15 * MINUTE < waits[0] < HOUR < waits[-1] < DAY


class TestFailing:
    def test_it_is_told_once_and_tried_ever_more_slowly(self) -> None:
        feed, now, events, waits = replace(KNOWN, failures=0, failure_score=0), NOW, [], []
        for _ in range(40):
            outcome = decide(feed, response(500), now, SETTINGS)
            events.append(outcome.event)
            waits.append(outcome.due_at - now)
            feed, now = outcome.feed, outcome.due_at
        assert events == [None] * 9 + ["failing"] + [None] * 30  # ten soft failures weigh 5
        assert (feed.state, feed.failures) == ("failing", 40)
        assert waits == sorted(waits)
        assert 7 * DAY / 1.1 <= waits[-1] <= 7 * DAY
        assert feed.failing_at == NOW + sum(waits[:9], timedelta())

    @pytest.mark.parametrize("came", [response(304), response(body=RSS2)])
    def test_it_recovers(self, came: Response) -> None:
        outcome = decide(FAILING, came, NOW, SETTINGS)
        assert outcome.event == "recovered"
        feed = outcome.feed
        assert (feed.state, feed.failures, feed.failure_score) == ("active", 0, 0)
        assert feed.failing_at is None
        assert decide(feed, response(304), NOW, SETTINGS).event is None

    def test_a_rate_limit_is_no_recovery(self) -> None:
        outcome = decide(FAILING, response(429), NOW, SETTINGS)
        assert (outcome.event, outcome.feed.state) == (None, "failing")

    def test_after_how_much(self) -> None:
        outcome = decide(KNOWN, response(403), NOW, PollSettings(failing_after=2.5))
        assert (outcome.event, outcome.feed.state) == ("failing", "failing")
        outcome = decide(KNOWN, response(403), NOW, PollSettings(failing_after=2.75))
        assert (outcome.event, outcome.feed.state) == (None, "active")

    def test_gone_when_it_is_said_twice(self) -> None:
        once = decide(KNOWN, response(410), NOW, SETTINGS)
        assert (once.feed.state, once.event) == ("active", None)
        twice = decide(once.feed, response(410), once.due_at, SETTINGS)
        assert (twice.feed.state, twice.event) == ("gone", "failing")
        assert [each.name for each in twice.why] == ["gone"]
        between = decide(once.feed, response(404), NOW, SETTINGS)
        assert decide(between.feed, response(410), NOW, SETTINGS).feed.state == "active"

    def test_a_failing_feed_that_is_gone_was_told_of(self) -> None:
        gone = decide(replace(FAILING, status=410), response(410), NOW, SETTINGS)
        assert (gone.feed.state, gone.event, gone.feed.failing_at) == ("gone", None, NOW - DAY)

    def test_what_was_gone_and_is_resumed_recovers(self) -> None:
        resumed = replace(FAILING, state="active", status=None)
        assert decide(resumed, response(500), NOW, SETTINGS).event is None
        assert decide(resumed, response(304), NOW, SETTINGS).event == "recovered"


class Events(RuleBasedStateMachine):
    """Whatever happens to a feed, `failing` and `recovered` take turns."""

    def __init__(self) -> None:
        super().__init__()
        self.feed, self.now = KNOWN, NOW
        self.events: list[str] = []

    def follow(self, outcome: PollOutcome) -> None:
        self.feed, self.now = outcome.feed, outcome.due_at
        if outcome.event:
            self.events.append(outcome.event)

    @rule(status=st.sampled_from([200, 304]))
    def succeed(self, status: int) -> None:
        self.follow(decide(self.feed, response(status, RSS2), self.now, SETTINGS))
        assert self.feed.state == "active"
        assert self.events[-1:] != ["failing"]

    @rule(
        status=st.sampled_from([None, 301, 403, 404, 410, 429, 500, 503]),
        failure=st.sampled_from([Reason.TIMEOUT, Reason.DNS_FAILED, Reason.INVALID_URL]),
        times=st.integers(1, 6),
    )
    def fail(self, status: int | None, failure: Reason, times: int) -> None:
        came = response(status, failure=None if status else failure)
        for _ in range(times):
            self.follow(decide(self.feed, came, self.now, SETTINGS))

    @rule()
    def crash(self) -> None:
        self.follow(crashed(self.feed, self.now, SETTINGS))

    @rule()
    def resume(self) -> None:
        self.feed = replace(self.feed, state="active", status=None)

    @invariant()
    def take_turns(self) -> None:
        assert self.events == [("failing", "recovered")[n % 2] for n in range(len(self.events))]
        assert (self.feed.failing_at is not None) == (self.events[-1:] == ["failing"])
        if self.feed.failure_score >= SETTINGS.failing_after:
            assert self.events[-1:] == ["failing"]


TestEvents = Events.TestCase


class TestMove:
    NEW = "https://new.example/feed"

    def polls(self, *gaps: timedelta, came: Response | None = None) -> list[PollOutcome]:
        """The outcomes of polls that met the same permanent redirect, so far apart."""
        feed, now, outcomes = replace(KNOWN, body_hash=None), NOW, []
        for gap in (timedelta(), *gaps):
            now += gap
            outcomes.append(decide(feed, moved(self.NEW, 301, came=came), now, SETTINGS))
            feed = outcomes[-1].feed
        return outcomes

    def test_it_is_believed_after_three_polls_over_a_day(self) -> None:
        outcomes = self.polls(12 * HOUR, 12 * HOUR)
        assert [each.moved_to for each in outcomes] == [None, None, self.NEW]
        assert outcomes[1].feed.move == Move(self.NEW, 2, NOW)
        assert outcomes[2].feed.move is None
        assert outcomes[2].feed.url == URL  # the store moves it

    def test_not_after_two_and_not_within_a_day(self) -> None:
        assert self.polls(2 * DAY)[-1].moved_to is None
        outcomes = self.polls(*[HOUR] * 23)
        assert [each.moved_to for each in outcomes] == [None] * 24
        assert self.polls(*[HOUR] * 24)[-1].moved_to == self.NEW

    @pytest.mark.parametrize(
        "between",
        [
            response(304),
            moved("https://new.example/feed", 302),
            response(404),
        ],
    )
    def test_a_poll_without_it_starts_anew(self, between: Response) -> None:
        feed = replace(KNOWN, move=Move(self.NEW, 9, NOW - 9 * DAY))
        assert decide(feed, between, NOW, SETTINGS).feed.move is None

    def test_another_move_counts_for_itself(self) -> None:
        feed = replace(KNOWN, move=Move(self.NEW, 9, NOW - 9 * DAY))
        outcome = decide(feed, moved("https://other.example/", 308), NOW, SETTINGS)
        assert outcome.feed.move == Move("https://other.example/", 1, NOW)

    def test_a_page_of_a_captive_portal_is_not_moved_to(self) -> None:
        page = response(200, b"<!DOCTYPE html><html>Sign in")
        outcomes = self.polls(DAY, DAY, DAY, came=page)
        assert {(each.moved_to, each.feed.move) for each in outcomes} == {(None, None)}

    def test_a_failure_on_the_way_neither_counts_nor_resets(self) -> None:
        feed = replace(KNOWN, move=Move(self.NEW, 2, NOW - 9 * DAY))
        for bad in (
            response(None, failure=Reason.TIMEOUT),
            moved(self.NEW, 301, came=response(503)),
        ):
            outcome = decide(feed, bad, NOW, SETTINGS)
            assert (outcome.feed.move, outcome.moved_to) == (feed.move, None)

    def test_nor_does_one_that_could_not_be_kept(self) -> None:
        long = "https://new.example/" + "x" * 2_000
        assert decide(KNOWN, moved(long, 301), NOW, SETTINGS).feed.move is None

    def test_a_url_with_userinfo_stays(self) -> None:
        feed = replace(
            KNOWN, url="https://a:b@feeds.example/", move=Move(self.NEW, 9, NOW - 9 * DAY)
        )
        assert decide(feed, moved(self.NEW, 301), NOW, SETTINGS).moved_to is None

    @pytest.mark.parametrize(
        ("options", "moves"),
        [
            ({"username": "a", "password_file": "b"}, False),
            ({"cookie_env": "C"}, False),
            ({"headers_env": {"X-Key": "K"}}, False),
            ({"user_agent": "Mine/1"}, True),
            ({"robots": False}, True),
        ],
    )
    def test_what_is_meant_for_one_site_is_taken_to_no_other(
        self, options: dict[str, object], moves: bool
    ) -> None:
        feed = replace(KNOWN, options=options, move=Move(self.NEW, 9, NOW - 9 * DAY))
        assert (decide(feed, moved(self.NEW, 301), NOW, SETTINGS).moved_to is not None) is moves

    def test_it_may_move_within_its_site(self) -> None:
        near = f"{URL}/new"
        feed = replace(KNOWN, options={"cookie_env": "C"}, move=Move(near, 9, NOW - 9 * DAY))
        assert decide(feed, moved(near, 301), NOW, SETTINGS).moved_to == near


class TestSitemapIndex:
    INDEX = (
        '<?xml version="1.0"?><sitemapindex xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">'
        "<sitemap><loc>{0}/a.xml</loc><lastmod>2026-11-24T11:00:00Z</lastmod></sitemap>"
        "<sitemap><loc>{0}/b.xml</loc><lastmod>2026-11-23T11:00:00Z</lastmod></sitemap>"
        "<sitemap><loc>{0}/c.xml</loc><lastmod>2026-11-22T11:00:00Z</lastmod></sitemap>"
        "<sitemap><loc>{0}/d.xml</loc><lastmod>2026-11-21T11:00:00Z</lastmod></sitemap>"
        "<sitemap><loc>https://elsewhere.example/e.xml</loc><lastmod>2026-11-24T12:00:00Z</lastmod>"
        "</sitemap></sitemapindex>"
    )

    @staticmethod
    def sitemap(*names: str) -> bytes:
        urls = "".join(
            f"<url><loc>https://feeds.example/{name}</loc><news:news><news:publication><news:name>"
            "N</news:name><news:language>en</news:language></news:publication>"
            "<news:publication_date>2026-11-24T10:00:00Z</news:publication_date>"
            f"<news:title>{name}</news:title></news:news></url>"
            for name in names
        )
        return (
            '<?xml version="1.0"?><urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9" '
            'xmlns:news="http://www.google.com/schemas/sitemap-news/0.9">' + urls + "</urlset>"
        ).encode()

    def index(self) -> Response:
        return response(body=self.INDEX.format("https://feeds.example").encode(), ETag='"1"')

    def test_its_sitemaps_are_one_document(self) -> None:
        children = [response(body=self.sitemap("x", "y")), response(body=self.sitemap("z"))]
        outcome = decide(FEED, self.index(), NOW, SETTINGS, children)
        assert [each.title for each in outcome.entries] == ["x", "y", "z"]
        assert (outcome.title, outcome.language, outcome.feed.identity_by) == ("N", "en", "link")
        # Not to be answered with 304: a sitemap changes while its index may not.
        assert (outcome.feed.etag, outcome.feed.last_modified) == (None, None)
        again = decide(outcome.feed, self.index(), NOW, SETTINGS, children)
        assert (again.result, again.feed.etag) == ("unchanged", None)
        news = [response(body=self.sitemap("w", "x")), children[1]]
        assert decide(outcome.feed, self.index(), NOW, SETTINGS, news).result == "changed"

    def test_one_without_news_says_nothing_of_the_others(self) -> None:
        for names in ([[], ["x"]], [["x"], []]):
            children = [response(body=self.sitemap(*each)) for each in names]
            outcome = decide(FEED, self.index(), NOW, SETTINGS, children)
            assert [each.identity for each in outcome.entries] == ["https://feeds.example/x"]
            assert outcome.feed.identity_by == "link"

    @pytest.mark.parametrize("bad", [response(500), response(body=b"<html>")])
    def test_one_that_fails_costs_no_other(self, bad: Response) -> None:
        good = response(body=self.sitemap("z"))
        for children in ([bad, good], [good, bad]):
            outcome = decide(FEED, self.index(), NOW, SETTINGS, children)
            assert (outcome.result, len(outcome.entries)) == ("changed", 1)

    def test_when_all_fail_so_does_the_feed(self) -> None:
        refused = response(429, Retry_After="3600")
        outcome = decide(FEED, self.index(), NOW, SETTINGS, [refused, refused])
        assert (outcome.result, outcome.reason) == ("failed", Reason.RATE_LIMITED)
        assert outcome.cool_down == HOUR
        assert outcome.due_at >= NOW + HOUR
        outcome = decide(FEED, self.index(), NOW, SETTINGS, [response(body=b"<html>")])
        assert (outcome.result, outcome.reason) == ("failed", Reason.NOT_A_FEED)

    def test_the_newest_of_the_same_host_are_asked_for(self) -> None:
        async def serve(sent: bytes, writer: asyncio.StreamWriter) -> None:
            host = header(sent, "Host")
            body = (
                self.INDEX.format(f"http://{host}").encode()
                if path(sent) == "/index.xml"
                else self.sitemap(path(sent))
            )
            await answer(body)(sent, writer)

        came, children, asked = asyncio.run(_ask_all(serve, "/index.xml"))
        assert asked == ["/index.xml", "/a.xml", "/b.xml", "/c.xml"]
        outcome = decide(replace(FEED, url=came.url), came, NOW, SETTINGS, children)
        assert [each.title for each in outcome.entries] == ["/a.xml", "/b.xml", "/c.xml"]

    def test_other_documents_have_none(self) -> None:
        _, children, asked = asyncio.run(_ask_all(answer(RSS2), "/feed"))
        assert (children, asked) == ((), ["/feed"])


async def _ask_all(handler: Handler, at: str) -> tuple[Response, tuple[Response, ...], list[str]]:
    async with peer(handler) as there, Client(LOOPBACK) as client:
        feed = replace(FEED, url=there.url(at))
        came = await request(client, feed)
        children = await request_children(client, feed, came)
        return came, children, [path(each) for each in there.requests]


urls = st.text(st.characters(exclude_categories=["Cs"]))
times = st.none() | st.floats(0, 400).map(lambda days: NOW - days * DAY)
feeds = st.builds(
    Feed,
    id=st.just(1),
    url=urls,
    interval_seconds=st.none() | st.floats(1, 31_536_000),
    state=st.sampled_from(["active", "failing", "gone"]),
    etag=st.none() | st.just('"1"'),
    changed_at=times,
    succeeded_at=times,
    failures=st.integers(0, 10_000),
    failure_score=st.floats(0, 10_000),
    failing_at=times,
    status=st.sampled_from([None, 200, 304, 410, 429]),
    gap_seconds=st.none() | st.floats(60, 1e8),
    newest_at=times,
)
answers = st.builds(
    response,
    status=st.sampled_from([None, 200, 204, 301, 304, 404, 410, 429, 500, 503]),
    body=st.sampled_from([b"", b"<html>", RSS2, rss([NOW, NOW - DAY])]),
    failure=st.sampled_from([None, Reason.TIMEOUT, Reason.DNS_FAILED]),
    Retry_After=st.one_of(st.integers(0, 10**12).map(str), st.sampled_from(["", "-1", "soon"])),
).filter(lambda came: came.status is not None or came.failure is not None)


@given(feeds, answers)
def test_a_poll_is_always_followed_by_another(feed: Feed, came: Response) -> None:
    outcome = decide(feed, came, NOW, SETTINGS)
    assert outcome == decide(feed, came, NOW, SETTINGS)
    asked = came.retry_after(NOW) or timedelta()
    assert outcome.due_at >= NOW + min(asked, 7 * DAY)
    assert outcome.due_at > NOW
    assert sum(each.effective for each in outcome.why) == 1
    assert outcome.feed.status == outcome.status == came.status
    if outcome.result == "failed":
        assert outcome.reason
        assert (outcome.feed.failures > feed.failures) == (outcome.reason != Reason.RATE_LIMITED)
    else:
        assert (outcome.feed.failures, outcome.feed.state) == (0, "active")


class TestRequest:
    @staticmethod
    def ask(feed: Feed, **limits: float) -> tuple[bytes, Response]:
        async def run() -> tuple[bytes, Response]:
            async with peer(answer(RSS2, headers={"ETag": '"1"'})) as there:
                async with Client(LOOPBACK) as client:
                    came = await request(client, replace(feed, url=there.url("/feed")), **limits)
                return b"".join(there.requests), came

        return asyncio.run(run())

    def test_a_feed_that_is_not_known(self) -> None:
        sent, came = self.ask(FEED)
        assert header(sent, "If-None-Match") is None
        assert header(sent, "If-Modified-Since") is None
        for kind in ("application/rss+xml", "application/atom+xml", "application/feed+json"):
            assert kind in (header(sent, "Accept") or "")
        assert decide(FEED, came, NOW, SETTINGS).feed.etag == '"1"'

    def test_a_feed_that_is_known(self) -> None:
        sent, _ = self.ask(KNOWN)
        assert header(sent, "If-None-Match") == '"1"'
        assert header(sent, "If-Modified-Since") == "Mon, 23 Nov 2026 12:00:00 GMT"

    def test_its_options(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("FEED_PASSWORD", "secret")
        options: Mapping[str, Any] = {
            "user_agent": "Desk/1",
            "headers": {"X-Key": "k", "Accept": "text/xml"},
            "cookie": "a=b",
            "username": "me",
            "password_env": "FEED_PASSWORD",
        }
        sent, _ = self.ask(replace(KNOWN, options=options))
        assert header(sent, "User-Agent") == "Desk/1"
        assert header(sent, "X-Key") == "k"
        assert header(sent, "Accept") == "text/xml"
        assert header(sent, "Cookie") == "a=b"
        assert header(sent, "Authorization") == "Basic bWU6c2VjcmV0"
        assert header(sent, "If-None-Match") == '"1"'

    def test_options_that_cannot_be_used_are_a_failure_of_the_feed(self) -> None:
        sent, came = self.ask(replace(FEED, options={"cookie_file": "/no/such/file"}))
        assert sent == b""
        outcome = decide(FEED, came, NOW, SETTINGS)
        assert outcome.reason == Reason.INVALID_CONFIGURATION
        assert "cookie_file" in outcome.detail
        assert (outcome.feed.failure_score, outcome.status) == (1, None)
