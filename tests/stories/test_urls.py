"""URL keys: pairs that are one address, and pairs that are two."""

import base64
import string
from itertools import combinations
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.stories import same_site, unwrapped, url_key

BASE = "https://news.example/a/b?id=1&p=2"


@pytest.mark.parametrize(
    "same",
    [
        "http://news.example/a/b?id=1&p=2",
        "https://news.example:443/a/b?id=1&p=2",
        "http://news.example:80/a/b?id=1&p=2",
        "https://NEWS.Example/a/b?id=1&p=2",
        "https://www.news.example/a/b?id=1&p=2",
        "https://m.news.example/a/b?id=1&p=2",
        "https://mobile.news.example/a/b?id=1&p=2",
        "https://amp.news.example/a/b?id=1&p=2",
        "https://user:pw@news.example/a/b?id=1&p=2",
        "https://news.example/a/b?p=2&id=1",
        "https://news.example/a/b?id=1&amp;p=2",
        "https://news.example/a/b/?id=1&p=2",
        "https://news.example//a//b?id=1&p=2",
        "https://news.example/a/../a/./b?id=1&p=2",
        "https://news.example/%61/b?id=1&p=2",
        "https://news.example/a/b/amp?id=1&p=2",
        "https://news.example/a/b/amp/?id=1&p=2",
        "https://news.example/a/b;jsessionid=0A1B?id=1&p=2",
        "https://news.example/a/b?id=1&p=2#comments",
        "https://news.example/a/b?id=1&p=2&utm_source=rss&utm_medium=feed",
        "https://news.example/a/b?UTM_Source=x&id=1&p=2",
        "https://news.example/a/b?fbclid=I&id=1&gclid=&p=2&xtor=RSS-1",
        "https://news.example/a/b?id=1&p=2&source=rss",
        "https://news.example/a/b?id=1&p=2&output=amp",
        "  https://news.example/a/b?id=1&p=2\n",
    ],
)
def test_one_address(same: str) -> None:
    assert url_key(same) == url_key(BASE)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("https://пример.example/а б", "https://xn--e1afmkfd.example/%D0%B0%20%D0%B1"),
        ("https://news.example", "http://www.news.example/?"),
        ("https://news.example/a.amp.html", "https://news.example/a.html"),
        ("https://news.example/a?q=x+y", "https://news.example/a?q=x%20y"),
        ("https://news.example/?flag", "https://news.example/?flag="),
        ("https://news.example/?a=1&copy=2", "https://news.example/?copy=2&a=1"),
    ],
)
def test_other_pairs_of_one_address(one: str, other: str) -> None:
    assert url_key(one) == url_key(other)


def test_different_addresses() -> None:
    different = [
        BASE,
        "https://news.example/a/b",
        "https://news.example/a/b?id=1",
        "https://news.example/a/b?id=2&p=2",
        "https://news.example/a/b?id=1&p=2&source=print",
        "https://news.example/a/b?id=1&p=2&ref=5",
        "https://news.example/a/b?id=1&p=2&flag",
        "https://news.example/a/B?id=1&p=2",
        "https://news.example/a/b/c?id=1&p=2",
        "https://news.example/amp/a/b?id=1&p=2",
        "https://news.example:8443/a/b?id=1&p=2",
        "https://blog.news.example/a/b?id=1&p=2",
        "https://news.example.org/a/b?id=1&p=2",
        "https://www.example/a/b?id=1&p=2",
        "https://example/a/b?id=1&p=2",
        "https://news.example/a%2Fb?id=1&p=2",
        "https://news.example/a/b?id=1%26p=2",
        "http://[::1/a",
        "http://[::1/b",
        "",
    ]
    for one, other in combinations(different, 2):
        assert url_key(one) != url_key(other), (one, other)


@pytest.mark.parametrize(
    ("url", "other", "same"),
    [
        ("https://news.example/a", "http://www.news.example/b", True),
        ("https://m.news.example/a", "https://NEWS.example:443/", True),
        ("https://news.example/", "https://example/", False),
        ("https://news.example:8443/", "https://news.example/", False),
        ("https://blog.example/", "https://news.example/", False),
        ("/a", "/a", False),
        ("http://[::1", "http://[::1", False),
        ("", "", False),
    ],
)
def test_same_site(url: str, other: str, same: bool) -> None:
    assert same_site(url, other) is same
    assert same_site(other, url) is same


names = st.text(string.ascii_lowercase, min_size=1, max_size=5).map(lambda name: f"k{name}")
pairs = st.lists(st.tuples(names, st.text(string.ascii_letters + string.digits, max_size=5)))
paths = st.lists(st.text(string.ascii_letters, min_size=1, max_size=6), max_size=4)
trackers = st.lists(
    st.sampled_from(["utm_source=x", "utm_", "FBCLID=1", "gclid", "mc_cid=%20", "ref=home"])
)


@given(paths, pairs, trackers, st.randoms())
def test_trackers_and_order_do_not_count(
    path: list[str], query: list[tuple[str, str]], added: list[str], random: Random
) -> None:
    plain = [f"{name}={value}" for name, value in query]
    mixed = [*plain, *added]
    random.shuffle(mixed)
    address = f"https://news.example/{'/'.join(path)}"
    assert url_key(f"{address}?{'&'.join(mixed)}") == url_key(f"{address}?{'&'.join(plain)}")


@given(paths, paths, pairs, pairs)
def test_paths_and_queries_count(
    path: list[str], other_path: list[str], query: list[tuple[str, str]],
    other_query: list[tuple[str, str]],
) -> None:  # fmt: skip
    def key(path: list[str], query: list[tuple[str, str]]) -> str:
        pairs = "&".join(f"{name}={value}" for name, value in query)
        return url_key(f"https://news.example/{'/'.join(path)}/x?{pairs}")

    same = path == other_path and sorted(query) == sorted(other_query)
    assert (key(path, query) == key(other_path, other_query)) is same


@given(st.one_of(st.text(st.characters()), st.text("htps:/[]?&=;.%#@amwx\0\ud800é1 \n")))
def test_anything_has_a_key(url: str) -> None:
    key = url_key(url)
    assert len(key) == 64
    assert int(key, 16) >= 0
    assert key == url_key(url)
    assert same_site(url, url) in {True, False}


@pytest.mark.parametrize(
    "wrapped",
    [
        "https://www.google.com/url?rct=j&sa=t&url=https://news.example/a?b%3D1&ct=ga&cd=C",
        "https://www.google.co.id/url?q=https%3A%2F%2Fnews.example%2Fa%3Fb%3D1&sa=U",
        "https://news.google.com/news/url?sa=t&amp;url=https%3A%2F%2Fnews.example%2Fa%3Fb%3D1",
        "http://www.bing.com/news/apiclick.aspx?ref=Rss&url=https%3a%2f%2fnews.example%2fa%3fb%3d1",
        "https://l.facebook.com/l.php?u=https%3A%2F%2Fnews.example%2Fa%3Fb%3D1&h=AT0",
        "https://out.reddit.com/t3_1?url=https%3A%2F%2Fnews.example%2Fa%3Fb%3D1",
        "https://getpocket.com/redirect?url=https%3A%2F%2Fnews.example%2Fa%3Fb%3D1",
        "https://lm.facebook.com/l.php?u=https%3A%2F%2Fout.reddit.com%2Ft3_1%3Furl%3D"  # noqa: ISC004
        "https%253A%252F%252Fnews.example%252Fa%253Fb%253D1",
        "https://duckduckgo.com/l/?uddg=https%3A%2F%2Fnews.example%2Fa%3Fb%3D1&rut=0",
        "https://eur01.safelinks.protection.outlook.com/?url=https%3A%2F%2Fnews.example%2Fa%3Fb%3D1",
        "https://www.bing.com/ck/a?!&&p=1&u=a1aHR0cHM6Ly9uZXdzLmV4YW1wbGUvYT9iPTE&ntb=1",
        "https://r.search.yahoo.com/_ylt=A/RV=2/RE=1/RO=10/RU=https%3a%2f%2fnews.example%2fa%3fb%3d1/RK=2/",
        "https://www.google.co.id/amp/s/news.example/a?b=1",
        "https://news-example.cdn.ampproject.org/c/s/news.example/a?b=1",
        "https://cdn.ampproject.org/v/s/news.example/a?b=1",
        *(
            f"https://news.google.com/{path}/CBMiGmh0dHBzOi8vbmV3cy5leGFtcGxlL2E_Yj0x0gEA{query}"
            for path in ("rss/articles", "articles", "read", "__i/rss/rd/articles")
            for query in ("", "?oc=5&hl=en-ID")
        ),
    ],
)
def test_what_an_aggregator_wraps_is_the_article_itself(wrapped: str) -> None:
    assert unwrapped(wrapped) == "https://news.example/a?b=1"
    assert url_key(wrapped) == url_key("https://news.example/a?b=1")


@pytest.mark.parametrize(
    "url",
    [
        "https://news.example/url?url=https://other.example/",
        "https://www.google.com/search?q=https://news.example/",
        "https://www.google.com/url?q=jembatan",
        "https://news.google.com/rss/articles/CBMiXmh0dHBz?oc=5",
        "https://news.google.com/rss/articles/CBMiW0FVX3lxTE1hYmNkZWZnaGlqa2xtbm9wcXJzdHV2?oc=5",
        "https://news.google.com/rss/articles/CBMi_2h0dHBzOi8vbmV3cy5leGFtcGxlL2E?oc=5",
        "https://www.bing.com/ck/a?u=a1amF2YXNjcmlwdDphbGVydCgxKQ",
        "https://www.bing.com/ck/a?u=a1%C3%A9",
        "https://www.google.com/amp/s/nowhere",
        "https://r.search.yahoo.com/RU=javascript%3aalert/RK=2",
        "https://www.google.com.evil.example/url?q=https://news.example/",
        "https://[::1",
        "",
    ],
)
def test_what_is_no_wrapper_stays(url: str) -> None:
    assert unwrapped(url) == url


LONG = f"https://news.example/{'a' * 300}"


def test_google_news_with_a_long_address() -> None:
    content = b'\x08\x13"' + bytes([len(LONG) & 0x7F | 0x80, len(LONG) >> 7]) + LONG.encode()
    name = base64.urlsafe_b64encode(content + b"\xd2\x01\x00").decode().rstrip("=")
    assert unwrapped(f"https://news.google.com/rss/articles/{name}?oc=5") == LONG


@given(
    st.sampled_from(
        ["https://news.google.com/rss/articles/", "https://www.bing.com/ck/a?u=a1",
         "https://r.search.yahoo.com/RU=", "https://www.google.com/amp/s/"]
    ),
    st.binary(max_size=80) | st.binary(max_size=40).map(lambda some: b'\x08\x13"' + some),
    st.text(max_size=20),
)  # fmt: skip
def test_whatever_a_wrapper_holds(start: str, content: bytes, end: str) -> None:
    for inside in (base64.urlsafe_b64encode(content).decode(), end):
        found = unwrapped(f"{start}{inside}{end}")
        assert found.strip().startswith(("http://", "https://"))
