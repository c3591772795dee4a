"""WebSub as a subscriber: when a hub is asked, what its answers mean, what it may push."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.http.peers import LOOPBACK, answer, header, path, peer, redirect, settings
from worker.feeds import Feed, Hub
from worker.feeds.websub import (
    Answer,
    Request,
    Subscription,
    Verdict,
    answered,
    is_authentic,
    plan,
    pushed,
    subscribe,
    subscribed,
    verify,
)
from worker.http import Client, Response
from worker.reasons import Reason
from worker.settings import PollSettings, WebSubSettings

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)
DAY = timedelta(days=1)
MINUTE = timedelta(minutes=1)
HUB = Hub("https://hub.example/", "https://news.example/feed")
SETTINGS = WebSubSettings(callback_url="https://me.example/base/")
ASKED = Subscription(
    feed_id=7,
    hub=HUB.url,
    topic=HUB.topic,
    token="token",
    secret="secret",
    state="asked",
    asked_at=NOON,
    failures=1,
)
ACTIVE = replace(
    ASKED,
    state="active",
    verified_at=NOON,
    lease_ends_at=NOON + 10 * DAY,
    failures=0,
)
REQUEST = Request(HUB.url, HUB.topic, "token", "secret", "https://me.example/websub/token", 60)
ATOM = (Path(__file__).parents[1] / "data" / "feeds" / "atom.xml").read_bytes()


class TestPlan:
    def test_a_hub_is_asked_as_the_recommendation_says(self) -> None:
        request = plan(HUB, None, NOON, SETTINGS)
        assert request is not None
        assert request.hub == HUB.url
        form = {name: values[0] for name, values in parse_qs(request.body.decode()).items()}
        assert form == {
            "hub.mode": "subscribe",
            "hub.topic": HUB.topic,
            "hub.callback": f"https://me.example/base/websub/{request.token}",
            "hub.lease_seconds": "864000",
            "hub.secret": request.secret,
        }

    def test_token_and_secret_cannot_be_guessed_and_serve_one_subscription(self) -> None:
        first, second = plan(HUB, None, NOON, SETTINGS), plan(HUB, None, NOON, SETTINGS)
        assert first is not None
        assert second is not None
        assert first.token != second.token
        assert first.secret != second.secret
        # Section 5.1: less than 200 bytes. The store holds 64 of each.
        assert 43 <= len(first.token) <= 64
        assert 43 <= len(first.secret) <= 64
        for hidden in (first.token, first.secret):
            assert hidden not in repr(first)

    def test_without_a_callback_url_nobody_is_asked(self) -> None:
        assert plan(HUB, None, NOON, WebSubSettings()) is None
        assert plan(HUB, ACTIVE, NOON + 6 * DAY, WebSubSettings()) is None

    def test_without_a_hub_there_is_nothing_to_ask(self) -> None:
        assert plan(None, None, NOON, SETTINGS) is None

    @pytest.mark.parametrize("hub", [HUB, None])
    def test_a_lease_is_renewed_when_half_of_it_is_over(self, hub: Hub | None) -> None:
        """Also after a poll that brought no document, and so names no hub."""
        assert plan(hub, ACTIVE, NOON + 5 * DAY - MINUTE, SETTINGS) is None
        request = plan(hub, ACTIVE, NOON + 5 * DAY, SETTINGS)
        assert request is not None
        # The former subscription goes on until the hub verifies this one.
        assert (request.token, request.secret) == (ACTIVE.token, ACTIVE.secret)
        assert (request.hub, request.topic) == (HUB.url, HUB.topic)

    @pytest.mark.parametrize(
        ("failures", "wait"),
        [(1, 10 * MINUTE), (2, 20 * MINUTE), (4, 80 * MINUTE), (9, DAY), (99, DAY)],
    )
    def test_a_hub_that_does_not_verify_is_asked_ever_less(
        self, failures: int, wait: timedelta
    ) -> None:
        for known in (ASKED, replace(ACTIVE, lease_ends_at=NOON + MINUTE)):
            known = replace(known, failures=failures)  # noqa: PLW2901
            assert plan(HUB, known, NOON + wait - MINUTE / 2, SETTINGS) is None
            assert plan(HUB, known, NOON + wait, SETTINGS) is not None

    def test_a_hub_that_denied_is_left_alone_for_a_week(self) -> None:
        denied = replace(ACTIVE, state="denied", lease_ends_at=NOON + DAY)
        assert plan(HUB, denied, NOON + 7 * DAY, SETTINGS) is None
        assert plan(HUB, denied, NOON + 8 * DAY, SETTINGS) is not None

    @pytest.mark.parametrize(
        "other", [replace(HUB, url="https://other.example/"), replace(HUB, topic="https://n/2")]
    )
    def test_another_hub_or_topic_is_another_subscription(self, other: Hub) -> None:
        for known in (ACTIVE, ASKED, replace(ACTIVE, state="denied")):
            request = plan(other, known, NOON + DAY, SETTINGS)
            assert request is not None
            assert (request.hub, request.topic) == (other.url, other.topic)
            assert request.token != known.token
            assert request.secret != known.secret

    def test_a_document_that_names_another_hub_each_time_does_not_ask_each_time(self) -> None:
        other = replace(HUB, url="https://other.example/")
        assert plan(other, ACTIVE, NOON + 59 * MINUTE, SETTINGS) is None


class TestAnswered:
    @pytest.mark.parametrize("status", [202, 204])
    def test_accepted(self, status: int) -> None:
        assert answered(REQUEST, response(status), NOON) == Answer(True, status)

    @pytest.mark.parametrize(
        ("status", "reason"),
        [
            (400, Reason.CLIENT_ERROR),
            (404, Reason.NOT_FOUND),
            (503, Reason.SERVER_ERROR),
            (304, Reason.UNEXPECTED_STATUS),
            (302, Reason.REDIRECTED),
            (307, Reason.REDIRECTED),
        ],
    )
    def test_refused_with_the_hubs_own_words(self, status: int, reason: Reason) -> None:
        came = response(status, body=b"no such\n topic\xff")
        found = answered(REQUEST, came, NOON)
        assert found == Answer(False, status, reason, "the detail: no such topic\ufffd")

    def test_of_which_none_is_a_secret(self) -> None:
        found = answered(REQUEST, response(400, body=b"refused: " + REQUEST.body), NOON)
        assert isinstance(found, Answer)
        assert found.detail.startswith("the detail: refused: hub.mode=subscribe")
        assert REQUEST.token not in found.detail
        assert REQUEST.secret not in found.detail

    def test_no_answer_at_all(self) -> None:
        came = Response("u", "u", failure=Reason.TIMEOUT, detail="too late")
        assert answered(REQUEST, came, NOON) == Answer(False, None, Reason.TIMEOUT, "too late")

    def test_a_hub_that_wants_to_be_left_alone(self) -> None:
        for asked, waits in (("7200", timedelta(hours=2)), ("99999999", 7 * DAY)):
            found = answered(REQUEST, response(429, {"Retry-After": asked}), NOON)
            assert isinstance(found, Answer)
            assert found.cool_down == waits

    @pytest.mark.parametrize("status", [307, 308])
    def test_another_hub_is_asked_the_same(self, status: int) -> None:
        came = response(status, {"Location": "/other?a=b"})
        assert answered(REQUEST, came, NOON) == replace(
            REQUEST, hub="https://hub.example/other?a=b"
        )

    @pytest.mark.parametrize("location", ["http://hub.example/", "https://[", "ftp://hub.example/"])
    def test_the_secret_does_not_leave_tls(self, location: str) -> None:
        found = answered(REQUEST, response(307, {"Location": location}), NOON)
        assert isinstance(found, Answer)
        assert found.reason == Reason.REDIRECTED


class TestSubscribe:
    def test_the_form_is_posted(self) -> None:
        async def ask() -> tuple[Answer, bytes]:
            async with peer(answer(status=202)) as hub, Client(LOOPBACK) as client:
                found = await subscribe(client, replace(REQUEST, hub=hub.url("/hub")), NOON)
                return found, hub.requests[0]

        found, request = asyncio.run(ask())
        assert found.accepted
        assert request.startswith(b"POST /hub HTTP/1.1\r\n")
        assert header(request, "Content-Type") == "application/x-www-form-urlencoded"
        assert request.partition(b"\r\n\r\n")[2] == REQUEST.body

    def test_redirects_are_followed_but_not_for_ever(self) -> None:
        async def ask() -> tuple[Answer, list[str]]:
            async with peer(redirect("/round", 307)) as hub, Client(LOOPBACK) as client:
                found = await subscribe(client, replace(REQUEST, hub=hub.url("/hub")), NOON)
                return found, [path(request) for request in hub.requests]

        found, paths = asyncio.run(ask())
        assert (found.accepted, found.reason) == (False, Reason.TOO_MANY_REDIRECTS)
        assert paths == ["/hub", *["/round"] * 3]

    def test_a_hub_at_an_address_that_is_not_public_is_not_connected_to(self) -> None:
        async def ask() -> tuple[Answer, int]:
            async with peer(answer(status=202)) as hub, Client(settings()) as client:
                found = await subscribe(client, replace(REQUEST, hub=hub.url()), NOON)
                return found, hub.connections

        found, connections = asyncio.run(ask())
        assert (found.reason, connections) == (Reason.ADDRESS_DENIED, 0)


class TestVerify:
    def test_what_was_asked_is_confirmed_with_the_challenge(self) -> None:
        for known in (ASKED, ACTIVE):
            verdict = ask(known, lease="3600")
            assert (verdict.status, verdict.text) == (200, "4711")
            assert verdict.known == replace(
                known,
                state="active",
                verified_at=NOON,
                lease_ends_at=NOON + timedelta(hours=1),
                failures=0,
            )

    @pytest.mark.parametrize(
        ("lease", "seconds"),
        [
            ("", 864_000),
            ("0", 864_000),
            ("-5", 864_000),
            ("soon", 864_000),
            ("٣", 864_000),
            ("9" * 400, 864_000),
            ("9" * 19, 31_536_000),
            ("60", 60),
        ],
    )
    def test_absurd_leases(self, lease: str, seconds: int) -> None:
        verdict = ask(ASKED, lease=lease)
        assert verdict.known is not None
        assert verdict.known.lease_ends_at == NOON + timedelta(seconds=seconds)

    def test_what_was_not_asked_is_refused(self) -> None:
        refused = Verdict(404)
        assert ask(None) == refused
        assert ask(ASKED, topic="https://news.example/other") == refused
        assert ask(ASKED, challenge="") == refused
        assert ask(ASKED, mode="") == refused
        assert ask(ASKED, mode="publish") == refused
        assert ask(replace(ACTIVE, state="denied")) == refused
        assert verify(ASKED, {}, NOON, SETTINGS) == refused

    def test_hubs_may_write_the_topic_in_another_way(self) -> None:
        known = replace(ASKED, topic="https://news.example/%7Efeed")
        assert ask(known, topic="https://news.example/~feed").status == 200

    def test_an_end_that_we_want_is_confirmed(self) -> None:
        for known in (None, replace(ACTIVE, state="denied"), replace(ACTIVE, topic="https://n/2")):
            verdict = ask(known, mode="unsubscribe")
            assert verdict == Verdict(200, "4711")

    def test_an_end_that_somebody_else_wants_is_not(self) -> None:
        for known in (ASKED, ACTIVE):
            assert ask(known, mode="unsubscribe") == Verdict(404)

    @pytest.mark.parametrize("known", [ASKED, ACTIVE])
    def test_a_denial_ends_it(self, known: Subscription) -> None:
        query = {"hub.mode": "denied", "hub.topic": HUB.topic, "hub.reason": "x" * 999}
        verdict = verify(known, query, NOON + DAY, SETTINGS)
        assert (verdict.status, verdict.text) == (200, "")
        assert verdict.known is not None
        assert (verdict.known.state, verdict.known.lease_ends_at) == ("denied", NOON + DAY)
        assert verdict.known.detail == f"denied: {'x' * 300}"

    def test_a_denial_of_something_else_changes_nothing(self) -> None:
        query = {"hub.mode": "denied", "hub.topic": "https://news.example/other"}
        assert verify(ACTIVE, query, NOON, SETTINGS) == Verdict(404)
        assert verify(None, query, NOON, SETTINGS) == Verdict(404)


class TestSignature:
    """The vectors are case 2 of RFC 2202 and of RFC 4231."""

    SECRET, BODY = "Jefe", b"what do ya want for nothing?"
    RIGHT = (
        "sha1=effcdf6ae5eb2fa2d27416d5f184df9c259a7c79",
        "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
        (
            "sha384=af45d2e376484031617f78d2b58a6b1b9c7ef464f5a01b47e42ec3736322445e"
            "8e2240ca5e69e2c78b3239ecfab21649"
        ),
        (
            "sha512=164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea250554"
            "9758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737"
        ),
    )

    @pytest.mark.parametrize("signature", [*RIGHT, RIGHT[1].upper()])
    def test_right(self, signature: str) -> None:
        assert is_authentic(self.SECRET, signature, self.BODY)
        assert not is_authentic(self.SECRET, signature, self.BODY + b"!")
        assert not is_authentic("Jeff", signature, self.BODY)

    @pytest.mark.parametrize(
        "signature",
        [
            "",
            "=",
            "sha256",
            "sha256=",
            RIGHT[1].removeprefix("sha256="),
            RIGHT[1][:-1],
            RIGHT[1].replace("sha256", "sha512"),
            # Not among those of section 8.1, though Python could.
            "md5=750c783e6ab0b503eaa86e310a5db738",
            "sha256=\u0665",
        ],
    )
    def test_wrong(self, signature: str) -> None:
        assert not is_authentic(self.SECRET, signature, self.BODY)

    @given(st.text(), st.binary())
    def test_no_header_is_too_odd(self, signature: str, body: bytes) -> None:
        assert not is_authentic(self.SECRET, signature, body)


class TestPushed:
    FEED = Feed(id=7, url=HUB.topic, etag='"1"', changed_at=NOON - DAY, body_hash="0" * 64)

    def test_its_entries_are_those_of_a_poll(self) -> None:
        outcome = pushed(self.FEED, ATOM, "application/atom+xml", NOON, PollSettings())
        assert (outcome.result, outcome.reason) == ("changed", None)
        assert len(outcome.entries) > 0
        assert outcome.passed_over == frozenset()

    def test_a_document_that_the_last_poll_saw_is_read_all_the_same(self) -> None:
        first = pushed(self.FEED, ATOM, "application/atom+xml", NOON, PollSettings())
        again = replace(self.FEED, body_hash=first.feed.body_hash)
        outcome = pushed(again, ATOM, "application/atom+xml", NOON, PollSettings())
        assert outcome.entries == first.entries

    @pytest.mark.parametrize(
        ("body", "reason"),
        [
            (b"", Reason.NOT_A_FEED),
            (b"<!doctype html><html></html>", Reason.NOT_A_FEED),
            (b"<rss version='2.0'><channel><title>T</title><item><tit", Reason.MALFORMED_FEED),
        ],
    )
    def test_what_is_no_feed_fails(self, body: bytes, reason: Reason) -> None:
        outcome = pushed(self.FEED, body, "", NOON, PollSettings())
        assert (outcome.result, outcome.reason) == ("failed", reason)


def test_the_poll_learns_of_pushes_and_of_the_lease() -> None:
    feed = Feed(id=7, url=HUB.topic)
    assert subscribed(feed, None) == feed
    found = subscribed(feed, replace(ACTIVE, pushed_at=NOON + DAY))
    assert (found.pushed_at, found.lease_ends_at) == (NOON + DAY, NOON + 10 * DAY)


def response(status: int, headers: Mapping[str, str] | None = None, body: bytes = b"") -> Response:
    return Response(HUB.url, HUB.url, status, headers=headers or {}, body=body, detail="the detail")


def ask(
    known: Subscription | None,
    *,
    mode: str = "subscribe",
    topic: str = HUB.topic,
    challenge: str = "4711",
    lease: str = "60",
) -> Verdict:
    query = {
        "hub.mode": mode,
        "hub.topic": topic,
        "hub.challenge": challenge,
        "hub.lease_seconds": lease,
    }
    return verify(known, query, NOON, SETTINGS)
