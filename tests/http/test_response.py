"""The questions that a response answers."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.http import Response
from worker.reasons import Reason

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
URL = "http://host.test/"

moments = st.datetimes(timezones=st.just(UTC))
http_dates = moments.map(lambda moment: moment.replace(microsecond=0)).filter(
    lambda moment: moment.year >= 1970
)
header_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


def response(status: int | None = 200, failure: Reason | None = None, **headers: str) -> Response:
    return Response(
        url=URL,
        final_url=URL,
        status=status,
        failure=failure,
        headers={name.replace("_", "-"): value for name, value in headers.items()},
    )


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (200, None),
        (204, None),
        (299, None),
        (304, None),
        (300, Reason.REDIRECTED),
        (302, Reason.REDIRECTED),
        (400, Reason.CLIENT_ERROR),
        (401, Reason.UNAUTHORIZED),
        (403, Reason.UNAUTHORIZED),
        (404, Reason.NOT_FOUND),
        (410, Reason.GONE),
        (418, Reason.CLIENT_ERROR),
        (429, Reason.RATE_LIMITED),
        (500, Reason.SERVER_ERROR),
        (503, Reason.SERVER_ERROR),
        (0, Reason.UNEXPECTED_STATUS),
        (101, Reason.UNEXPECTED_STATUS),
        (600, Reason.UNEXPECTED_STATUS),
        (999, Reason.UNEXPECTED_STATUS),
    ],
)
def test_error_by_status(status: int, error: Reason | None) -> None:
    assert response(status).error is error
    assert response(status).ok == (200 <= status <= 299)
    assert response(status).modified == (status != 304)


@pytest.mark.parametrize("status", [None, 200, 404])
def test_a_failure_counts_before_the_status(status: int | None) -> None:
    failed = response(status, Reason.TIMEOUT)
    assert failed.error is Reason.TIMEOUT
    assert not failed.ok


def test_permanent_errors() -> None:
    cured_by_no_later_try = {
        Reason.INVALID_URL,
        Reason.ADDRESS_DENIED,
        Reason.TOO_LARGE,
        Reason.UNAUTHORIZED,
        Reason.NOT_FOUND,
        Reason.GONE,
    }
    assert {reason for reason in Reason if response(None, reason).permanent} == (
        cured_by_no_later_try
    )
    permanent = {status for status in range(100, 600) if response(status).permanent}
    assert permanent == {401, 403, 404, 410}


def test_headers_are_found_in_any_case() -> None:
    assert response(eTAG='"1"').headers["Etag"] == '"1"'
    assert response().headers.get("etag") is None


@pytest.mark.parametrize(
    ("value", "content_type", "charset"),
    [
        ("text/html", "text/html", None),
        ("Text/HTML; Charset=UTF-8", "text/html", "utf-8"),
        ('application/rss+xml ;charset="ISO-8859-1"; x=y', "application/rss+xml", "iso-8859-1"),
        ("text/html; charset='utf-8'", "text/html", "utf-8"),
        ("text/html; charset=", "text/html", None),
        ("text/html; charset", "text/html", None),
        ("; charset=utf-8", "", "utf-8"),
        ("", "", None),
    ],
)
def test_content_type_and_charset(value: str, content_type: str, charset: str | None) -> None:
    assert response(Content_Type=value).content_type == content_type
    assert response(Content_Type=value).charset == charset


def test_without_headers_there_are_no_answers() -> None:
    bare = response()
    assert (bare.content_type, bare.charset) == ("", None)
    assert (bare.etag, bare.last_modified, bare.retry_after(NOW)) == (None, None, None)


@pytest.mark.parametrize(
    ("value", "validator"),
    [
        ('W/"x y"', 'W/"x y"'),
        ("Tue, 24 Nov 2026 12:00:00 GMT", "Tue, 24 Nov 2026 12:00:00 GMT"),
        ("", None),
        ('"é"', None),
        ('"\x00"', None),
        ('"\udce9"', None),
    ],
)
def test_validators_are_what_can_be_sent_back(value: str, validator: str | None) -> None:
    assert response(ETag=value).etag == validator
    assert response(Last_Modified=value).last_modified == validator


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0),
        ("120", 120),
        (" 120 ", 120),
        ("1.5", 1.5),
        ("0000000000120", 120),
        ("9" * 5000, 10 * 365 * 86_400),
        ("Tue, 24 Nov 2026 12:00:30 GMT", 30),
        ("Tuesday, 24-Nov-26 12:00:30 GMT", 30),
        ("Tue Nov 24 12:00:30 2026", 30),
        ("Tue, 24 Nov 2026 11:00:00 GMT", 0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 10 * 365 * 86_400),
        ("", None),
        ("-5", None),
        ("+5", None),
        ("1e9", None),
        ("٣", None),
        ("soon", None),
        ("nan", None),
        ("inf", None),
        ("Tue, 99 Nov 2026 12:00:00 GMT", None),
        ("Tue, 24 Nov 2026 12:00:00 +9999", None),
    ],
)
def test_retry_after(value: str, seconds: float | None) -> None:
    expected = None if seconds is None else timedelta(seconds=seconds)
    assert response(429, Retry_After=value).retry_after(NOW) == expected


def test_retry_after_as_a_date_is_relative_to_the_servers_clock() -> None:
    slow_clock = response(
        503,
        Retry_After="Tue, 24 Nov 2026 10:01:00 GMT",
        Date="Tue, 24 Nov 2026 10:00:00 GMT",
    )
    assert slow_clock.retry_after(NOW) == timedelta(minutes=1)


@given(st.integers(min_value=0), moments)
def test_retry_after_seconds_are_that_many(seconds: int, now: datetime) -> None:
    wait = response(429, Retry_After=str(seconds)).retry_after(now)
    assert wait == timedelta(seconds=min(seconds, 10 * 365 * 86_400))


@given(http_dates, http_dates, moments)
def test_retry_after_a_date_is_the_time_until_then(
    until: datetime, date: datetime, now: datetime
) -> None:
    wait = response(
        429,
        Retry_After=format_datetime(until, usegmt=True),
        Date=format_datetime(date, usegmt=True),
    ).retry_after(now)
    most = timedelta(days=3650)
    assert wait == min(max(until - date, timedelta()), most)


@given(
    st.one_of(header_text, st.from_regex(r"[A-Z][a-z]{2}, \d+ Nov \d+ \d+:\d+:\d+ [-+]?\w+")),
    header_text,
    moments,
)
def test_retry_after_is_never_negative_nor_an_error(value: str, date: str, now: datetime) -> None:
    wait = response(429, Retry_After=value, Date=date).retry_after(now)
    assert wait is None or timedelta() <= wait <= timedelta(days=3650)
