"""Deliveries: what an answer means, and what goes over the wire."""

import asyncio
import dataclasses
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr
from standardwebhooks import Webhook, WebhookVerificationError

from tests.http.peers import LOOPBACK, Handler, Peer, answer, header, peer, redirect, settings
from worker.http import Client, Response
from worker.reasons import Reason
from worker.settings import HttpSettings, WebhookSettings
from worker.webhooks import (
    AttemptOutcome,
    Delivery,
    Endpoint,
    OldSecret,
    decide,
    generate_secret,
    seal,
    send,
)

NOW = datetime(2026, 11, 24, 12, 0, 0, 900_000, tzinfo=UTC)
SETTINGS = WebhookSettings()
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
URL = "https://hooks.example/kabar"
BODY = '{"type":"story.created","data":{"title":"Sungai “meluap” 😀"}}'.encode()


def delivery(attempt: int = 1) -> Delivery:
    return Delivery(id=9, webhook_id="msg_abc", body=BODY, attempt=attempt)


def response(
    status: int | None = 200, failure: Reason | None = None, body: bytes = b"", **headers: str
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


def judge(came: Response | None, attempt: int = 1) -> AttemptOutcome:
    outcome = decide(delivery(attempt), came, NOW, SETTINGS)
    assert (outcome.delivery_id, outcome.attempt) == (9, attempt)
    assert (outcome.due_at is not None) == (outcome.state == "pending")
    assert (outcome.reason is None) == (outcome.state == "sent")
    return outcome


class TestDecide:
    @pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
    def test_2xx_is_sent(self, status: int) -> None:
        outcome = judge(response(status, body=b"thanks"))
        assert (outcome.state, outcome.status, outcome.excerpt) == ("sent", status, "thanks")

    def test_2xx_on_the_last_attempt_is_sent(self) -> None:
        assert judge(response(200), attempt=10).state == "sent"

    @pytest.mark.parametrize(
        ("came", "reason"),
        [
            (response(301), Reason.REDIRECTED),
            (response(302, Location="https://hooks.example/"), Reason.REDIRECTED),
            (response(304), Reason.UNEXPECTED_STATUS),
            (response(308), Reason.REDIRECTED),
            (response(400), Reason.CLIENT_ERROR),
            (response(401), Reason.UNAUTHORIZED),
            (response(404), Reason.NOT_FOUND),
            (response(429), Reason.RATE_LIMITED),
            (response(500), Reason.SERVER_ERROR),
            (response(502), Reason.SERVER_ERROR),
            (response(504), Reason.SERVER_ERROR),
            (response(600), Reason.UNEXPECTED_STATUS),
            (response(None, Reason.TIMEOUT), Reason.TIMEOUT),
            (response(None, Reason.CONNECT_FAILED), Reason.CONNECT_FAILED),
            (response(None, Reason.ADDRESS_DENIED), Reason.ADDRESS_DENIED),
            (response(200, Reason.CONNECTION_LOST), Reason.CONNECTION_LOST),
        ],
    )
    def test_the_rest_is_tried_again_until_the_schedule_ends(
        self, came: Response, reason: Reason
    ) -> None:
        first = judge(came)
        assert (first.state, first.reason, first.status) == ("pending", reason, came.status)
        assert first.detail == "the detail"
        assert judge(came, attempt=9).state == "pending"
        last = judge(came, attempt=10)
        assert (last.state, last.reason) == ("dead", reason)

    @pytest.mark.parametrize("attempt", [1, 10])
    def test_410_holds_whatever_there_is_for_the_endpoint(self, attempt: int) -> None:
        outcome = judge(response(410), attempt)
        assert (outcome.state, outcome.reason) == ("held", Reason.GONE)
        assert outcome.endpoint_gone
        assert not judge(response(404)).endpoint_gone

    def test_a_url_that_may_not_be_used(self) -> None:
        outcome = judge(None)
        assert (outcome.state, outcome.reason, outcome.status) == (
            "dead",
            Reason.INVALID_URL,
            None,
        )
        assert outcome.detail == Reason.INVALID_URL.text

    def test_what_is_replayed_has_its_schedule_before_it_again(self) -> None:
        for turn, state in ((1, "pending"), (9, "pending"), (10, "dead")):
            again = Delivery(9, "msg_abc", BODY, attempt=10 + turn, earlier=10)
            outcome = decide(again, response(500), NOW, SETTINGS)
            assert (outcome.state, outcome.attempt) == (state, 10 + turn)
        again = Delivery(9, "msg_abc", BODY, attempt=11, earlier=10)
        outcome = decide(again, response(500), NOW, SETTINGS)
        assert outcome.due_at is not None
        assert outcome.due_at <= NOW + timedelta(seconds=6)

    def test_it_says_how_long_the_request_took(self) -> None:
        came = dataclasses.replace(response(500), elapsed_seconds=0.125)
        assert judge(came).duration_seconds == 0.125
        assert judge(None).duration_seconds is None

    def test_without_a_schedule_there_is_one_attempt(self) -> None:
        once = WebhookSettings(retry_seconds=())
        assert decide(delivery(), response(500), NOW, once).state == "dead"

    @pytest.mark.parametrize(
        ("body", "excerpt"),
        [
            (b"x" * 5_000, "x" * 2_000),
            ("é".encode() * 5_000, "é" * 2_000),
            (b"\xff\xfe", "\ufffd\ufffd"),
            (b"a\0b\x01\x7f\n\tc", "a\ufffdb\ufffd\ufffd\n\tc"),
            (b"", ""),
        ],
    )
    def test_what_is_kept_of_the_answer(self, body: bytes, excerpt: str) -> None:
        assert judge(response(500, body=body)).excerpt == excerpt


def wait(came: Response, attempt: int = 1, webhook_id: str = "msg_abc") -> float:
    """Seconds until the next attempt."""
    outcome = decide(Delivery(9, webhook_id, BODY, attempt), came, NOW, SETTINGS)
    assert outcome.due_at is not None
    return (outcome.due_at - NOW).total_seconds()


class TestWaits:
    @pytest.mark.parametrize(
        ("asked", "least", "most"),
        [
            ("120", 120, 120),
            ("0", 4, 6),
            ("Tue, 24 Nov 2026 13:00:00 GMT", 3_599, 3_600),
            ("Tue, 24 Nov 2026 11:00:00 GMT", 4, 6),
            ("999999999999", 86_400, 86_400),
            ("Fri, 31 Dec 9999 23:59:59 GMT", 86_400, 86_400),
            ("soon", 4, 6),
            ("-5", 4, 6),
            ("", 4, 6),
        ],
    )
    @pytest.mark.parametrize("status", [429, 503])
    def test_what_the_receiver_asks_for_is_a_floor_up_to_a_day(
        self, status: int, asked: str, least: float, most: float
    ) -> None:
        assert least <= wait(response(status, Retry_After=asked)) <= most

    @pytest.mark.parametrize("attempt", [1, 10])
    @pytest.mark.parametrize(
        ("came", "rest"),
        [
            (response(429, Retry_After="120"), timedelta(seconds=120)),
            (response(503, Retry_After="999999999999"), timedelta(days=1)),
            (response(502), timedelta()),
            (response(504, Retry_After="soon"), timedelta()),
            (response(500, Retry_After="120"), None),
            (response(410), None),
            (response(200), None),
            (response(None, Reason.TIMEOUT), None),
        ],
    )
    def test_who_is_busy_wants_to_be_left_alone(
        self, came: Response, rest: timedelta | None, attempt: int
    ) -> None:
        assert judge(came, attempt).rest == rest

    def test_deliveries_that_failed_together_are_not_tried_together(self) -> None:
        waits = [wait(response(500), webhook_id=f"msg_{n}") for n in range(200)]
        assert len(set(waits)) == 200
        assert min(waits) < 4.2
        assert max(waits) > 5.8

    @given(
        st.text(max_size=40),
        st.integers(1, 9),
        st.sampled_from([None, 302, 400, 429, 503]),
        st.none() | st.integers(0, 10**12),
    )
    def test_a_wait_is_the_schedules_give_or_take_a_fifth(
        self, webhook_id: str, attempt: int, status: int | None, asked: int | None
    ) -> None:
        retry_after = "" if asked is None else str(asked)
        came = response(status, None if status else Reason.TIMEOUT, Retry_After=retry_after)
        seconds = wait(came, attempt, webhook_id)
        scheduled = SETTINGS.retry_seconds[attempt - 1]
        floor = min(asked or 0, 86_400)
        assert seconds >= floor
        assert seconds >= scheduled * 0.8 - 1e-6
        assert seconds == floor or seconds <= scheduled * 1.2 + 1e-6


def sent(
    handler: Handler,
    *,
    allow_http: bool = True,
    allow_private: bool = False,
    having: HttpSettings = LOOPBACK,
    times: tuple[datetime, ...] = (NOW,),
    to: Callable[[str], Endpoint] | None = None,
    under: WebhookSettings = SETTINGS,
) -> tuple[Peer, list[Response | None]]:
    """The receiver and what it answered to one attempt at each of `times`."""

    async def run() -> tuple[Peer, list[Response | None]]:
        async with peer(handler) as there, Client(having) as client:
            url = there.url("/kabar?token=1")
            endpoint = (
                to(url) if to else Endpoint(1, "hook", url, SECRET, allow_private, allow_http)
            )
            return there, [
                await send(client, endpoint, delivery(number), time, under)
                for number, time in enumerate(times, start=1)
            ]

    return asyncio.run(run())


def signatures(request: bytes) -> list[str]:
    return (header(request, "webhook-signature") or "").split(" ")


def verify(request: bytes, secret: str) -> None:
    """Let the reference library judge a request; raises what it raises."""
    names = ("webhook-id", "webhook-timestamp", "webhook-signature")
    named = {name: header(request, name) or "" for name in names}
    Webhook(secret).verify(request.partition(b"\r\n\r\n")[2], named)


class TestSend:
    def test_what_goes_over_the_wire(self) -> None:
        there, (came,) = sent(answer(b"ok"))
        assert came is not None
        assert came.ok
        (request,) = there.requests
        head, _, body = request.partition(b"\r\n\r\n")
        assert head.startswith(b"POST /kabar?token=1 HTTP/1.1\r\n")
        assert body == BODY
        names = {line.split(b":")[0] for line in head.split(b"\r\n")[1:]}
        assert {b"webhook-id", b"webhook-timestamp", b"webhook-signature"} <= names
        assert header(request, "webhook-id") == "msg_abc"
        assert header(request, "webhook-timestamp") == str(int(NOW.timestamp()))
        assert header(request, "Content-Type") == "application/json"
        assert header(request, "Content-Length") == str(len(BODY))
        assert header(request, "User-Agent") == LOOPBACK.user_agent

    def test_an_attempt_is_signed_at_its_own_time(self) -> None:
        now = datetime.now(UTC)
        times = (now - timedelta(seconds=60), now)
        there, answers = sent(answer(status=500), times=times)
        assert [came and came.status for came in answers] == [500, 500]
        first, second = there.requests
        for request, time in zip((first, second), times, strict=True):
            body = request.partition(b"\r\n\r\n")[2]
            named = {
                name: header(request, name) or ""
                for name in ("webhook-id", "webhook-timestamp", "webhook-signature")
            }
            assert Webhook(SECRET).verify(body, named) == json.loads(BODY)
            assert named["webhook-timestamp"] == str(int(time.timestamp()))
        assert header(first, "webhook-id") == header(second, "webhook-id")
        assert header(first, "webhook-signature") != header(second, "webhook-signature")

    def test_a_secret_that_was_replaced_signs_until_its_time_is_over(self) -> None:
        now = datetime.now(UTC)
        new = generate_secret()

        def rotated(url: str) -> Endpoint:
            old = OldSecret(SECRET, now)
            return Endpoint(1, "hook", url, new, False, True, (old,))

        earlier = now - timedelta(seconds=1)
        there, _ = sent(answer(b"ok"), times=(earlier, now), to=rotated)
        both, one = map(signatures, there.requests)
        assert (len(both), len(one)) == (2, 1)
        verify(there.requests[0], new)
        verify(there.requests[0], SECRET)
        verify(there.requests[1], new)
        with pytest.raises(WebhookVerificationError):
            verify(there.requests[1], SECRET)

    def test_sealed_secrets_sign(self) -> None:
        now = datetime.now(UTC)
        sealing = WebhookSettings(secret_key=SecretStr("k" * 43 + "="))
        old = generate_secret()

        def sealed(url: str) -> Endpoint:
            kept = (OldSecret(seal(old, sealing), now + timedelta(hours=1)),)
            return Endpoint(1, "hook", url, seal(SECRET, sealing), False, True, kept)

        there, _ = sent(answer(b"ok"), times=(now,), to=sealed, under=sealing)
        verify(there.requests[0], SECRET)
        verify(there.requests[0], old)

    def test_without_its_key_nothing_is_sent_and_it_is_tried_again(self) -> None:
        sealing = WebhookSettings(secret_key=SecretStr("k" * 43 + "="))

        def sealed(url: str) -> Endpoint:
            return Endpoint(1, "hook", url, seal(SECRET, sealing), False, True)

        there, (came,) = sent(answer(b"ok"), to=sealed)
        assert there.connections == 0
        outcome = judge(came)
        assert (outcome.state, outcome.reason) == ("pending", Reason.INVALID_CONFIGURATION)
        assert "webhooks.secret_key is not set" in outcome.detail

    def test_plain_http_has_to_be_allowed(self) -> None:
        there, answers = sent(answer(b"ok"), allow_http=False)
        assert answers == [None]
        assert there.connections == 0

    @pytest.mark.parametrize("url", ["ftp://hooks.example/", "hooks.example", "", "http://[::1/"])
    @pytest.mark.parametrize("allow_http", [False, True])
    def test_what_is_no_url_is_not_asked(self, url: str, allow_http: bool) -> None:
        async def run() -> Response | None:
            endpoint = Endpoint(1, "hook", url, SECRET, allow_private=True, allow_http=allow_http)
            async with Client(LOOPBACK) as client:
                return await send(client, endpoint, delivery(), NOW, SETTINGS)

        came = asyncio.run(run())
        if allow_http:
            assert came is not None
            assert came.error is Reason.INVALID_URL
        else:
            assert came is None

    def test_a_receiver_in_ones_own_network_has_to_be_allowed(self) -> None:
        nowhere = settings()
        there, (came,) = sent(answer(b"ok"), having=nowhere)
        assert came is not None
        assert came.error is Reason.ADDRESS_DENIED
        assert there.connections == 0
        there, (came,) = sent(answer(b"ok"), having=nowhere, allow_private=True)
        assert came is not None
        assert came.ok
        assert len(there.requests) == 1

    def test_a_redirect_is_not_followed(self) -> None:
        there, (came,) = sent(redirect("/elsewhere", 307))
        assert len(there.requests) == 1
        assert judge(came).reason is Reason.REDIRECTED
