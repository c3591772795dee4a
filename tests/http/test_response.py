"""The questions that a response answers."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from worker.http import Hop, Response
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


# Freshness.


def fresh_for(**headers: str) -> float | None:
    fresh = response(304, **headers).cache_for(NOW)
    return None if fresh is None else fresh.total_seconds()


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("max-age=600", 600),
        ("public, MAX-AGE = 600", 600),
        ('max-age="600"', 600),
        ("max-age=600, max-age=60", 600),
        ("max-age=600; public", 600),
        ("private", None),
        ("", None),
        ("s-maxage=600", None),
        ("must-revalidate", None),
        ("no-cache", 0),
        ("no-store, max-age=600", 0),
        ("max-age=600, No-Cache", 0),
        ('no-cache="Set-Cookie", max-age=600', 600),
        ('private="max-age=5, no-store", max-age=600', 600),
        ("max-age=-1", 0),
        ("max-age=1.5", 0),
        ("max-age=soon", 0),
        ("max-age", 0),
        ("max-age=" + "9" * 5_000, 10 * 365 * 86_400),
        ("x-max-age=600", None),
    ],
)
def test_freshness_by_cache_control(value: str, seconds: float | None) -> None:
    assert fresh_for(Cache_Control=value) == seconds


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Cache-Control": "max-age=600", "Age": "200"}, 400),
        ({"Cache-Control": "max-age=600", "Age": "700"}, 0),
        ({"Cache-Control": "max-age=600", "Age": "-5"}, 600),
        ({"Cache-Control": "max-age=600", "Age": "9" * 5_000}, 0),
        ({"Expires": "Tue, 24 Nov 2026 12:10:00 GMT"}, 600),
        ({"Expires": "Tue, 24 Nov 2026 12:10:00 GMT", "Age": "60"}, 540),
        (
            {
                "Expires": "Tue, 24 Nov 2026 10:10:00 GMT",
                "Date": "Tue, 24 Nov 2026 10:00:00 GMT",
            },
            600,
        ),
        ({"Expires": "Tue, 24 Nov 2026 12:10:00 GMT", "Cache-Control": "max-age=5"}, 5),
        ({"Expires": "Tue, 24 Nov 2026 12:10:00 GMT", "Cache-Control": "no-cache"}, 0),
        ({"Expires": "Tue, 24 Nov 2026 12:10:00 GMT", "Cache-Control": "public"}, 600),
        ({"Expires": "Thu, 01 Jan 1970 00:00:00 GMT"}, 0),
        ({"Expires": "Fri, 31 Dec 9999 23:59:59 GMT"}, 10 * 365 * 86_400),
        ({"Expires": "0"}, 0),
        ({"Expires": "-1"}, 0),
        ({"Expires": ""}, 0),
        ({"Age": "60"}, None),
    ],
)
def test_freshness_by_expires_and_age(headers: dict[str, str], seconds: float | None) -> None:
    assert fresh_for(**headers) == seconds


def test_cache_control_may_come_in_several_headers() -> None:
    headers = CIMultiDict([("Cache-Control", "public"), ("cache-control", "max-age=600")])
    several = Response(url=URL, final_url=URL, status=200, headers=headers)
    assert several.cache_for(NOW) == timedelta(minutes=10)


@given(st.integers(0, 10**9), st.integers(0, 10**9), moments)
def test_max_age_less_age_is_what_is_left(most: int, age: int, now: datetime) -> None:
    aged = response(200, Cache_Control=f"max-age={most}", Age=str(age))
    left = min(most, 315_360_000) - min(age, 315_360_000)
    assert aged.cache_for(now) == timedelta(seconds=max(left, 0))


directives = st.one_of(
    header_text,
    st.lists(
        st.sampled_from(["max-age", "no-cache", "=", '"', ",", "600", "-", " ", "\\", ";"])
    ).map("".join),
)


@given(directives, header_text, header_text, header_text, moments)
def test_freshness_is_never_negative_nor_an_error(
    control: str, expires: str, date: str, age: str, now: datetime
) -> None:
    fresh = response(200, Cache_Control=control, Expires=expires, Date=date, Age=age).cache_for(now)
    assert fresh is not None
    assert timedelta() <= fresh <= timedelta(days=3650)


# Moves.


@pytest.mark.parametrize(
    ("statuses", "moved_to"),
    [
        ([], None),
        ([301], "/1"),
        ([308], "/1"),
        ([302], None),
        ([307], None),
        ([301, 308, 301], "/3"),
        ([301, 302, 301], "/1"),
        ([303, 301], None),
        ([308, 301, 307], "/2"),
    ],
)
def test_only_the_leading_permanent_hops_move_a_url(
    statuses: list[int], moved_to: str | None
) -> None:
    urls = [f"http://host.test/{n}" for n in range(len(statuses) + 1)]
    hops = tuple(map(Hop, statuses, urls))
    went = Response(url=urls[0], final_url=urls[-1], status=200, hops=hops)
    assert went.moved_to == (moved_to and f"http://host.test{moved_to}")


def test_a_move_that_leads_back_or_nowhere_is_none() -> None:
    there, back = Hop(301, URL), Hop(301, f"{URL}next")
    assert Response(url=URL, final_url=URL, status=200, hops=(there, back)).moved_to is None
    # A Location that cannot be followed leaves `final_url` where it was.
    assert Response(url=URL, final_url=URL, hops=(there,)).moved_to is None


# Links.


def links(*values: str) -> dict[str, tuple[str, ...]]:
    headers = CIMultiDict(("Link", value) for value in values)
    return dict(
        Response(url=URL, final_url="http://host.test/a/b", status=200, headers=headers).links
    )


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ('<https://hub.test/>; rel="hub"', {"hub": ("https://hub.test/",)}),
        ("<https://hub.test/>;rel=hub", {"hub": ("https://hub.test/",)}),
        ("<https://hub.test/> ; REL = HUB", {"hub": ("https://hub.test/",)}),
        ("<https://hub.test/> rel=hub", {"hub": ("https://hub.test/",)}),
        ('<c>; rel="self"', {"self": ("http://host.test/a/c",)}),
        ("</c?d=1,2;3>; rel=self", {"self": ("http://host.test/c?d=1,2;3",)}),
        ("<//other.test/>; rel=self", {"self": ("http://other.test/",)}),
        ("< /c >; rel=self", {"self": ("http://host.test/c",)}),
        ("<>; rel=self", {"self": ("http://host.test/a/b",)}),
        ("<c>; rel='self'", {"'self'": ("http://host.test/a/c",)}),
        (
            '<c>; rel="self  Alternate self"',
            {"self": ("http://host.test/a/c",), "alternate": ("http://host.test/a/c",)},
        ),
        (
            "<c>; rel=hub, <d>; rel=hub,, ,<e>; rel=self",
            {
                "hub": ("http://host.test/a/c", "http://host.test/a/d"),
                "self": ("http://host.test/a/e",),
            },
        ),
        (
            r'<c>; title="a, <x>; rel=hub; \"b\""; rel=self; rel=next',
            {"self": ("http://host.test/a/c",)},
        ),
        ("<c>; rel=hub; anchor='#x'", {}),
        ('<c>; anchor="http://other.test/"; rel=hub', {}),
        ("<a <c>; rel=hub", {"hub": ("http://host.test/a/c",)}),
        ("<c>", {}),
        ("<c>; rel", {}),
        ("<c>; rel=", {}),
        ('<c>; rel="hub', {}),
        ("<c; rel=hub", {}),
        ("c; rel=hub", {}),
        ("<ftp://host.test/>; rel=hub", {}),
        ("<javascript:alert(1)>; rel=hub", {}),
        ("<http://[>; rel=hub", {}),
        ("<a\x00b>; rel=hub", {}),
        ("<" + "a" * 9_000 + ">; rel=hub", {}),
        ("", {}),
    ],
)
def test_links(value: str, found: dict[str, tuple[str, ...]]) -> None:
    assert links(value) == found


def test_links_of_several_headers_are_one_list() -> None:
    assert links("<c>; rel=hub", "<d>; rel=self", "<e>; rel=hub") == {
        "hub": ("http://host.test/a/c", "http://host.test/a/e"),
        "self": ("http://host.test/a/d",),
    }


link_text = st.lists(
    st.one_of(
        header_text,
        st.sampled_from(["<", ">", ";", ",", '"', "\\", " ", "=", "rel", "hub", "a", "http://["]),
    ),
    max_size=30,
).map("".join)


@given(st.lists(link_text, max_size=3))
def test_links_of_any_text_are_absolute(values: list[str]) -> None:
    for relation, urls in links(*values).items():
        assert relation == relation.lower()
        assert relation.split() == [relation]
        assert urls
        assert all(url.startswith(("http://", "https://")) for url in urls)


url_references = st.from_regex(r"/[a-z0-9/?=&.,;-]{0,20}", fullmatch=True)


@given(st.dictionaries(st.from_regex(r"[a-z]{1,9}", fullmatch=True), url_references), st.booleans())
def test_links_that_are_well_written_are_all_found(written: dict[str, str], in_one: bool) -> None:
    values = [f'<http://h.test{url}>; title="x, y"; rel="{rel}"' for rel, url in written.items()]
    found = links(", ".join(values)) if in_one else links(*values)
    assert found == {rel: (f"http://h.test{url}",) for rel, url in written.items()}


@pytest.mark.parametrize(
    "junk",
    ["<", "<>;", '<a>;"', "<a>;y", "<a>; ", "<a>;y ", '<a>;a="', "<a>;a=\\", ";y", "a=", ' "'],
)
@pytest.mark.timeout(15)
def test_long_junk_in_headers_is_read_in_one_go(junk: str) -> None:
    """Were its parts tried again and again, this would take half a minute."""
    for long in (junk * (65_000 // len(junk)), junk + junk[-1] * 65_000):
        assert links(long) is not None
        assert fresh_for(Cache_Control=long) in (None, 0)
