"""Polling: what is asked, and what the answer means for the feed."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.http.peers import LOOPBACK, answer, header, peer
from worker.feeds import Feed, crashed, decide, request
from worker.http import Client, Response
from worker.reasons import Reason
from worker.settings import PollSettings

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
SETTINGS = PollSettings()
URL = "https://feeds.example/all/feed.xml"
RSS2 = (Path(__file__).parents[1] / "data" / "feeds" / "rss2.xml").read_bytes()
FEED = Feed(id=7, url=URL)
KNOWN = Feed(
    id=7, url=URL, etag='"1"', last_modified="Mon, 23 Nov 2026 12:00:00 GMT",
    body_hash="0" * 64, changed_at=NOW - timedelta(days=1), failures=3,
)  # fmt: skip


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


class TestSuccess:
    def test_first_sight(self) -> None:
        outcome = decide(FEED, response(body=RSS2, ETag='"2"'), NOW, SETTINGS)
        assert (outcome.result, outcome.status, outcome.reason) == ("changed", 200, None)
        assert outcome.first_sight
        assert (outcome.title, outcome.site_url, outcome.language) == (
            "Kabar Kota Lembah",
            "https://lembah.example/",
            "id-ID",
        )
        assert len(outcome.entries) == 3
        assert outcome.feed.changed_at == NOW
        assert (outcome.feed.etag, outcome.feed.last_modified) == ('"2"', None)
        assert outcome.feed.body_hash is not None

    def test_changed(self) -> None:
        outcome = decide(KNOWN, response(body=RSS2), NOW, SETTINGS)
        assert (outcome.result, outcome.first_sight, len(outcome.entries)) == ("changed", False, 3)
        assert outcome.feed.changed_at == NOW
        assert outcome.feed.failures == 0

    def test_not_modified(self) -> None:
        outcome = decide(KNOWN, response(304), NOW, SETTINGS)
        assert (outcome.result, outcome.status, outcome.entries) == ("unchanged", 304, ())
        assert outcome.feed == replace(KNOWN, failures=0)

    def test_the_same_body_again(self) -> None:
        first = decide(FEED, response(body=RSS2, ETag='"1"'), NOW, SETTINGS)
        later = NOW + timedelta(hours=1)
        again = decide(first.feed, response(body=RSS2, ETag='"2"'), later, SETTINGS)
        assert (again.result, again.status, again.entries) == ("unchanged", 200, ())
        assert again.feed == replace(first.feed, etag='"2"')

    def test_relative_links_are_of_the_address_that_answered(self) -> None:
        moved = replace(response(body=RSS2), final_url="https://new.example/feed")
        outcome = decide(FEED, moved, NOW, SETTINGS)
        assert outcome.entries[1].url == "https://new.example/berita/harga-cabai"
        assert outcome.feed.url == URL


class TestFailure:
    @pytest.mark.parametrize(
        ("bad", "reason", "detail"),
        [
            (response(None, failure=Reason.TIMEOUT), Reason.TIMEOUT, "the detail"),
            (response(200, failure=Reason.TOO_LARGE), Reason.TOO_LARGE, "the detail"),
            (response(404), Reason.NOT_FOUND, "the detail"),
            (response(410), Reason.GONE, "the detail"),
            (response(429), Reason.RATE_LIMITED, "the detail"),
            (response(503), Reason.SERVER_ERROR, "the detail"),
            (response(200), Reason.NOT_A_FEED, "the document is empty"),
            (response(204), Reason.NOT_A_FEED, "the document is empty"),
            (
                response(200, b"<!DOCTYPE html><html>"),
                Reason.NOT_A_FEED,
                "an HTML page, not a feed; look on it for the feed's URL",
            ),
        ],
    )
    def test_it_is_told_and_what_is_known_is_kept(
        self, bad: Response, reason: Reason, detail: str
    ) -> None:
        outcome = decide(KNOWN, bad, NOW, SETTINGS)
        assert (outcome.result, outcome.reason, outcome.detail) == ("failed", reason, detail)
        assert outcome.status == bad.status
        assert outcome.feed == replace(KNOWN, failures=4)
        assert outcome.entries == ()

    def test_a_feed_that_is_broken_once_is_asked_for_whole_again(self) -> None:
        # Its validators are not kept: a 304 to them would hide that it was never read.
        broken = decide(FEED, response(body=b"oops", ETag='"oops"'), NOW, SETTINGS)
        assert (broken.feed.etag, broken.feed.body_hash) == (None, None)

    def test_recovery_counts_from_the_start(self) -> None:
        failed = decide(KNOWN, response(500), NOW, SETTINGS)
        recovered = decide(failed.feed, response(304), NOW, SETTINGS)
        failed_again = decide(recovered.feed, response(500), NOW, SETTINGS)
        assert failed_again.feed.failures == 1
        assert recovered.due_at < failed_again.due_at < failed.due_at

    def test_a_feed_that_takes_its_process_down_waits_longest(self) -> None:
        outcome = crashed(KNOWN, NOW, SETTINGS)
        assert (outcome.result, outcome.reason) == ("failed", Reason.CRASHED)
        assert outcome.due_at == NOW + timedelta(seconds=SETTINGS.max_interval_seconds)
        assert outcome.feed == replace(KNOWN, failures=4)


intervals = st.floats(1, 31_536_000)
polls = st.builds(PollSettings, interval_seconds=intervals, max_interval_seconds=intervals)
feeds = st.builds(
    Feed,
    id=st.just(1),
    url=st.text(st.characters(exclude_categories=["Cs"])),
    interval_seconds=st.none() | intervals,
    failures=st.integers(0, 10_000),
)
answers = st.builds(
    response,
    status=st.sampled_from([None, 200, 204, 301, 304, 404, 410, 429, 500, 503]),
    body=st.sampled_from([b"", b"<html>", RSS2]),
    failure=st.sampled_from([None, Reason.TIMEOUT, Reason.DNS_FAILED]),
    Retry_After=st.one_of(st.integers(0, 10**12).map(str), st.sampled_from(["", "-1", "soon"])),
)


@given(feeds, answers, polls)
def test_a_poll_is_always_followed_by_another(
    feed: Feed, came: Response, settings: PollSettings
) -> None:
    outcome = decide(feed, came, NOW, settings)
    assert outcome.due_at > NOW
    assert (outcome.result == "failed") == (outcome.feed.failures > 0)
    if outcome.result == "failed":
        assert outcome.reason
        asked = came.retry_after(NOW) or timedelta()
        assert outcome.due_at >= NOW + min(asked, timedelta(days=7))


@given(feeds, polls)
def test_waits_grow_with_failures_up_to_the_longest(feed: Feed, settings: PollSettings) -> None:
    usual = decide(replace(feed, failures=0), response(304), NOW, settings).due_at - NOW
    most = max(usual, timedelta(seconds=settings.max_interval_seconds))
    waits = []
    for _ in range(25):
        outcome = decide(feed, response(500), NOW, settings)
        waits.append(outcome.due_at - NOW)
        feed = outcome.feed
    assert waits == sorted(waits)
    assert usual <= waits[0] <= waits[-1] <= most


@given(feeds, polls)
def test_feeds_drift_apart_by_a_tenth_at_most(feed: Feed, settings: PollSettings) -> None:
    seconds = feed.interval_seconds or settings.interval_seconds
    wait = (decide(feed, response(304), NOW, settings).due_at - NOW).total_seconds()
    assert seconds <= wait + 1e-6
    assert wait <= seconds * 1.1 + 1e-6


def test_feeds_added_together_are_not_due_together() -> None:
    due = {
        decide(Feed(id=n, url=f"{URL}?{n}"), response(304), NOW, SETTINGS).due_at
        for n in range(100)
    }
    assert len(due) == 100
    assert max(due) - min(due) > timedelta(seconds=SETTINGS.interval_seconds * 0.08)


class TestRequest:
    @staticmethod
    def ask(feed: Feed) -> tuple[bytes, Response]:
        async def run() -> tuple[bytes, Response]:
            async with peer(answer(RSS2, headers={"ETag": '"1"'})) as there:
                async with Client(LOOPBACK) as client:
                    came = await request(client, replace(feed, url=there.url("/feed")))
                return there.requests[0], came

        return asyncio.run(run())

    def test_a_feed_that_is_not_known(self) -> None:
        sent, came = self.ask(FEED)
        assert header(sent, "If-None-Match") is None
        assert header(sent, "If-Modified-Since") is None
        assert "application/rss+xml" in (header(sent, "Accept") or "")
        assert decide(FEED, came, NOW, SETTINGS).feed.etag == '"1"'

    def test_a_feed_that_is_known(self) -> None:
        sent, _ = self.ask(KNOWN)
        assert header(sent, "If-None-Match") == '"1"'
        assert header(sent, "If-Modified-Since") == "Mon, 23 Nov 2026 12:00:00 GMT"
