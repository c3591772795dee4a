"""Fetching a page: what is asked, and what the answer means for the article."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.http.peers import LOOPBACK, answer, header, peer
from worker.articles import (
    Article,
    Gathered,
    Page,
    completed,
    crashed,
    decide,
    forbidden,
    put_off,
    request,
)
from worker.http import Client, Response
from worker.http.robots import Robots, RobotsFile
from worker.reasons import Reason
from worker.settings import FetchSettings

NOW = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
SETTINGS = FetchSettings(retry_seconds=(10, 60))
URL = "https://lembah.example/berita/jembatan"
HTML = "text/html; charset=Windows-1252"


KABAR = "Kabar/0.1 (news reader)"
MINUTE = timedelta(minutes=1)


def article(
    attempts: int = 1,
    *,
    url: str | None = URL,
    first_seen_at: datetime | None = NOW,
    silent: bool = False,
) -> Article:
    return Article(id=7, url=url, attempts=attempts, first_seen_at=first_seen_at, silent=silent)


def robots(body: bytes | None, reason: Reason | None = None, status: int | None = 200) -> Robots:
    return Robots(RobotsFile(body, status, NOW + MINUTE, reason))


def response(status: int | None = 200, failure: Reason | None = None, **headers: str) -> Response:
    return Response(
        url=URL,
        final_url=f"{URL}?page=all",
        status=status,
        body=b"<p>x</p>" if status == 200 else b"",
        failure=failure,
        headers={name.replace("_", "-"): value for name, value in headers.items()},
        detail="the detail",
    )


class TestAPage:
    def test_is_fetched(self) -> None:
        outcome = decide(article(), response(Content_Type=HTML), NOW, SETTINGS)
        assert (outcome.article_id, outcome.result, outcome.due_at) == (7, "fetched", NOW)
        assert (outcome.status, outcome.reason) == (200, None)
        assert outcome.pages == (Page(f"{URL}?page=all", b"<p>x</p>", "windows-1252", NOW),)

    @pytest.mark.parametrize("kind", ["TEXT/HTML", "application/xhtml+xml; charset=utf-8", ""])
    def test_is_html_by_its_type(self, kind: str) -> None:
        assert decide(article(), response(Content_Type=kind), NOW, SETTINGS).pages

    def test_a_charset_that_is_no_name_is_left_out(self) -> None:
        kind = f"text/html; charset={'x' * 65}"
        outcome = decide(article(), response(Content_Type=kind), NOW, SETTINGS)
        assert [page.charset for page in outcome.pages] == [None]

    @pytest.mark.parametrize("kind", ["application/pdf", "image/jpeg", "application/json", "html"])
    def test_what_is_no_html(self, kind: str) -> None:
        outcome = decide(article(), response(Content_Type=kind), NOW, SETTINGS)
        assert (outcome.result, outcome.reason) == ("degraded", Reason.NOT_HTML)
        assert (outcome.detail, outcome.pages, outcome.status) == (kind, (), 200)


class TestWhatIsSentAsHtml:
    @pytest.mark.parametrize(
        ("body", "kind"),
        [
            (b"%PDF-1.7\n<p>x</p>", "PDF"),
            (b"\x89PNG\r\n\x1a\n", "an image"),
            (b"PK\x03\x04<p>x</p>", "an archive"),
            (b' \n{"html": "<p>x</p>"}', "JSON"),
            (b"[1, 2]", "JSON"),
        ],
    )
    def test_and_is_none(self, body: bytes, kind: str) -> None:
        came = replace(response(Content_Type="text/html"), body=body)
        outcome = decide(article(), came, NOW, SETTINGS)
        assert (outcome.result, outcome.reason) == ("degraded", Reason.NOT_HTML)
        assert outcome.detail == f"{kind}, sent as text/html"

    @pytest.mark.parametrize(
        "body", [b"", b"{{ title }}<p>x</p>", b"[Iklan] <p>x</p>", b"<p>%PDF-</p>", b"[" * 99_999]
    )
    def test_and_may_be(self, body: bytes) -> None:
        came = replace(response(Content_Type="text/html"), body=body)
        assert decide(article(), came, NOW, SETTINGS).result == "fetched"


class TestChecksAndWalls:
    @pytest.mark.parametrize("status", [403, 429, 503])
    def test_a_check_is_not_tried_again(self, status: int) -> None:
        title = b"<title>Just a moment...</title>"
        came = replace(response(status, Retry_After="60"), body=title)
        outcome = decide(article(), came, NOW, SETTINGS)
        assert (outcome.result, outcome.reason) == ("degraded", Reason.BOT_CHECK)
        assert bool(outcome.cool_downs) == (status != 403)

    def test_payment_is_asked_for(self) -> None:
        outcome = decide(article(), response(402), NOW, SETTINGS)
        assert (outcome.result, outcome.reason) == ("degraded", Reason.PAYWALLED)


class TestParts:
    def test_take_the_place_of_the_first(self) -> None:
        outcome = decide(article(), response(Content_Type=HTML), NOW, SETTINGS)
        parts = (*outcome.pages, *outcome.pages)
        whole = completed(outcome, Gathered(parts))
        assert (whole.result, whole.pages, whole.reason) == ("fetched", parts, None)
        some = completed(outcome, Gathered(parts, "part 3 could not be fetched"))
        assert (some.result, some.pages, some.reason) == ("fetched", parts, Reason.INCOMPLETE)
        assert some.detail == "part 3 could not be fetched"


class TestNoPage:
    def test_an_entry_without_a_link(self) -> None:
        outcome = decide(Article(7, None, 1), None, NOW, SETTINGS)
        assert (outcome.result, outcome.reason, outcome.due_at) == (
            "degraded",
            Reason.NO_LINK,
            NOW,
        )
        assert outcome.detail == Reason.NO_LINK.text

    @pytest.mark.parametrize(
        "bad",
        [
            response(401), response(403), response(404), response(410),
            response(None, Reason.INVALID_URL), response(None, Reason.ADDRESS_DENIED),
            response(200, Reason.TOO_LARGE),
        ],
    )  # fmt: skip
    def test_what_no_other_try_will_cure(self, bad: Response) -> None:
        outcome = decide(article(), bad, NOW, SETTINGS)
        assert (outcome.result, outcome.reason, outcome.due_at) == ("degraded", bad.error, NOW)
        assert (outcome.detail, outcome.status) == ("the detail", bad.status)

    @pytest.mark.parametrize(
        "bad",
        [
            response(429), response(418), response(500), response(503), response(302),
            response(None, Reason.TIMEOUT), response(None, Reason.DNS_FAILED),
            response(None, Reason.CONNECT_FAILED), response(None, Reason.TLS_FAILED),
            response(200, Reason.CONNECTION_LOST),
        ],
    )  # fmt: skip
    def test_what_is_tried_again(self, bad: Response) -> None:
        waits = []
        for attempts in (1, 2):
            outcome = decide(article(attempts), bad, NOW, SETTINGS)
            assert (outcome.result, outcome.reason) == ("retry", bad.error)
            waits.append((outcome.due_at - NOW).total_seconds())
        assert waits == [10, 60]
        given_up = decide(article(3), bad, NOW, SETTINGS)
        assert (given_up.result, given_up.reason, given_up.due_at) == (
            "degraded",
            bad.error,
            NOW,
        )

    def test_without_a_schedule_there_is_one_try(self) -> None:
        outcome = decide(article(), response(503), NOW, FetchSettings(retry_seconds=()))
        assert outcome.result == "degraded"

    @pytest.mark.parametrize(("asked", "seconds"), [("5", 10), ("120", 120), ("nonsense", 10)])
    def test_what_the_site_asks_for_is_a_floor(self, asked: str, seconds: int) -> None:
        outcome = decide(article(), response(503, Retry_After=asked), NOW, SETTINGS)
        assert (outcome.result, outcome.due_at) == ("retry", NOW + timedelta(seconds=seconds))

    def test_a_story_does_not_wait_for_a_day(self) -> None:
        outcome = decide(article(), response(429, Retry_After="86400"), NOW, SETTINGS)
        assert (outcome.result, outcome.reason) == ("degraded", Reason.RATE_LIMITED)
        assert outcome.due_at == NOW

    def test_one_that_takes_its_process_down(self) -> None:
        outcome = crashed(article(4), NOW)
        assert (outcome.result, outcome.reason) == ("degraded", Reason.CRASHED)

    @pytest.mark.parametrize(
        ("bad", "cool_down"),
        [
            (response(429, Retry_After="120"), timedelta(minutes=2)),
            (response(503, Retry_After="120"), timedelta(minutes=2)),
            (response(503), None),
            (response(404, Retry_After="120"), None),
            (response(None, Reason.TIMEOUT), None),
        ],
    )
    @pytest.mark.parametrize("attempts", [1, 3])
    def test_what_its_host_asks_for_is_for_all_pages(
        self, bad: Response, cool_down: timedelta | None, attempts: int
    ) -> None:
        asked_for = {"lembah.example": cool_down} if cool_down else {}
        assert decide(article(attempts), bad, NOW, SETTINGS).cool_downs == asked_for

    def test_one_that_nobody_waits_for_has_time(self) -> None:
        busy = response(503, Retry_After="7200")
        outcome = decide(article(silent=True), busy, NOW, SETTINGS)
        assert (outcome.result, outcome.due_at) == ("retry", NOW + timedelta(hours=2))


class TestRobots:
    def test_a_page_that_may_be_fetched(self) -> None:
        file = robots(b"User-agent: *\nDisallow: /berita/arsip")
        assert forbidden(article(), file, KABAR, NOW, SETTINGS) is None

    @pytest.mark.parametrize("attempts", [1, 2, 9])
    def test_a_page_that_may_not_is_told_from_the_feed(self, attempts: int) -> None:
        file = robots(b"User-agent: Kabar\nDisallow: /berita/")
        outcome = forbidden(article(attempts), file, KABAR, NOW, SETTINGS)
        assert outcome is not None
        assert (outcome.article_id, outcome.result, outcome.due_at) == (7, "degraded", NOW)
        assert (outcome.reason, outcome.status) == (Reason.ROBOTS_DENIED, None)
        assert outcome.detail == Reason.ROBOTS_DENIED.text

    def test_the_last_file_counts_while_the_host_is_broken(self) -> None:
        file = robots(b"User-agent: *\nDisallow: /x", Reason.SERVER_ERROR, 502)
        assert forbidden(article(), file, KABAR, NOW, SETTINGS) is None

    @pytest.mark.parametrize(
        ("reason", "status", "told", "words"),
        [
            (Reason.SERVER_ERROR, 503, Reason.SERVER_ERROR, Reason.SERVER_ERROR.text),
            (Reason.TIMEOUT, None, Reason.TIMEOUT, Reason.TIMEOUT.text),
            (None, 503, Reason.ROBOTS_DENIED, "status 503"),
            (None, None, Reason.ROBOTS_DENIED, "no answer"),
        ],
    )
    def test_wishes_that_are_not_known_are_asked_for_again(
        self, reason: Reason | None, status: int | None, told: Reason, words: str
    ) -> None:
        file = robots(None, reason, status)
        waits = []
        for attempts in (1, 2, 3):
            outcome = forbidden(article(attempts), file, KABAR, NOW, SETTINGS)
            assert outcome is not None
            assert (outcome.reason, outcome.pages) == (told, ())
            assert "robots.txt" in outcome.detail
            assert words in outcome.detail
            waits.append((outcome.result, outcome.due_at - NOW))
        # Not before robots.txt is asked for again.
        assert waits == [("retry", MINUTE), ("retry", MINUTE), ("degraded", timedelta())]

    def test_a_host_that_wants_hours_of_rest_is_told_from_the_feed(self) -> None:
        file = Robots(RobotsFile(None, 503, NOW + timedelta(hours=1), Reason.SERVER_ERROR))
        outcome = forbidden(article(), file, KABAR, NOW, SETTINGS)
        assert outcome is not None
        assert outcome.result == "degraded"

    def test_an_address_that_must_not_be_connected_to_is_not_tried_again(self) -> None:
        file = robots(None, Reason.ADDRESS_DENIED, None)
        outcome = forbidden(article(), file, KABAR, NOW, SETTINGS)
        assert outcome is not None
        assert (outcome.result, outcome.reason) == ("degraded", Reason.ADDRESS_DENIED)

    def test_an_entry_without_a_link_is_no_matter_of_robots(self) -> None:
        file = robots(b"User-agent: *\nDisallow: /")
        assert forbidden(article(url=None), file, KABAR, NOW, SETTINGS) is None


class TestAHostThatIsToBeLeftAlone:
    @pytest.mark.parametrize("minutes", [0, 1, 15])
    def test_is_waited_for(self, minutes: int) -> None:
        assert put_off(article(9), NOW + minutes * MINUTE, NOW) is None

    @pytest.mark.parametrize("attempts", [1, 9])
    def test_but_not_for_longer_than_a_story_can_wait(self, attempts: int) -> None:
        outcome = put_off(article(attempts), NOW + 16 * MINUTE, NOW)
        assert outcome is not None
        assert (outcome.article_id, outcome.result, outcome.due_at) == (7, "degraded", NOW)
        assert outcome.reason == Reason.RATE_LIMITED
        assert outcome.detail == "its host is to be left alone until 2026-11-25 12:16 UTC"

    def test_nor_again_and_again(self) -> None:
        seen = article(first_seen_at=NOW - 50 * MINUTE)
        assert put_off(seen, NOW + 10 * MINUTE, NOW) is None
        assert put_off(seen, NOW + 11 * MINUTE, NOW) is not None

    def test_one_that_nobody_waits_for_has_time(self) -> None:
        day = 24 * 60 * MINUTE
        silent = article(silent=True, first_seen_at=NOW - 3 * day)
        assert put_off(silent, NOW + day, NOW) is None
        assert put_off(silent, NOW + day + MINUTE, NOW) is not None
        older = article(silent=True, first_seen_at=NOW - 4 * day)
        assert put_off(older, NOW + MINUTE, NOW) is not None

    def test_an_article_of_unknown_age_is_new(self) -> None:
        assert put_off(article(first_seen_at=None), NOW + 15 * MINUTE, NOW) is None


@given(
    attempts=st.integers(1, 50),
    status=st.none() | st.integers(100, 999),
    failure=st.none() | st.sampled_from(Reason),
    retry_after=st.text(max_size=10) | st.integers(0, 10**15).map(str),
    content_type=st.text(max_size=30),
    schedule=st.lists(st.floats(0, 31_536_000), max_size=4).map(tuple),
)
def test_every_answer_ends_in_a_page_another_try_or_the_feeds_text(
    attempts: int, status: int | None, failure: Reason | None, retry_after: str,
    content_type: str, schedule: tuple[float, ...],
) -> None:  # fmt: skip
    came = response(
        status,
        Reason.TIMEOUT if status is None else failure,
        Retry_After=retry_after,
        Content_Type=content_type,
    )
    outcome = decide(article(attempts), came, NOW, FetchSettings(retry_seconds=schedule))
    assert outcome.due_at >= NOW
    if outcome.result == "fetched":
        assert outcome.pages
        assert outcome.reason is None
    else:
        assert not outcome.pages
        assert outcome.reason is not None
    if outcome.result == "retry":
        assert attempts <= len(schedule)
        assert outcome.due_at >= NOW + (came.retry_after(NOW) or timedelta())


def test_a_real_request_asks_for_html() -> None:
    async def run() -> tuple[bytes, Response]:
        page = answer(b"<p>hello</p>", headers={"Content-Type": "text/html"})
        async with peer(page) as there, Client(LOOPBACK) as client:
            came = await request(client, there.url("/a"))
            return there.requests[0], came

    sent, came = asyncio.run(run())
    assert (header(sent, "Accept") or "").startswith("text/html")
    outcome = decide(article(), came, NOW, SETTINGS)
    assert [page.body for page in outcome.pages] == [b"<p>hello</p>"]
