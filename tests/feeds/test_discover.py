"""A site's feed, found on real sites on loopback."""

import asyncio
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.http.peers import LOOPBACK, Handler, answer, header, path
from tests.tasks.site import Site, feed
from worker.errors import KabarError
from worker.feeds.discover import Found, discover
from worker.feeds.options import is_same_site
from worker.http import Client
from worker.settings import PolitenessSettings

RSS = "application/rss+xml"
ATOM = answer(
    b'<?xml version="1.0"?><feed xmlns="http://www.w3.org/2005/Atom"><title>The Ledger, in Atom'
    b"</title><id>urn:a</id><updated>2026-03-04T12:00:00Z</updated><entry><title>One</title>"
    b'<id>urn:a:1</id><updated>2026-03-03T12:00:00Z</updated><link href="https://a.b/1"/></entry>'
    b"<entry><title>Two</title><id>urn:a:2</id><updated>2026-03-04T12:00:00Z</updated>"
    b'<link href="https://a.b/2"/></entry></feed>',
    headers={"Content-Type": "application/atom+xml"},
)
JSON_FEED = answer(
    json.dumps(
        {
            "version": "https://jsonfeed.org/version/1.1",
            "title": "The Ledger, in JSON",
            "items": [{"id": "1", "url": "https://a.b/1", "title": "One"}],
        }
    ).encode(),
    headers={"Content-Type": "application/feed+json"},
)
FEED = feed("https://a.b/1", "https://a.b/2", "https://a.b/3")
USUAL = ("/feed", "/rss", "/feed.xml", "/rss.xml", "/atom.xml", "/index.xml",
         "/feeds/posts/default", "/feed/", "/rss/")  # fmt: skip
HTML = {"Content-Type": "text/html; charset=utf-8"}
API = answer(b'{"id": 5}', headers={"Content-Type": "application/json"})


@pytest.fixture
def site() -> Iterator[Site]:
    with Site() as site:
        yield site


@pytest.fixture
def other() -> Iterator[Site]:
    with Site() as site:
        yield site


def page(*links: str, base: str = "") -> Handler:
    head = "".join(f"<link {link}>" for link in links)
    return answer(
        f"<!doctype html><html><head>{base}{head}</head><p>News</html>".encode(), headers=HTML
    )


def link(href: str, of: str = RSS, **more: str) -> str:
    attributes = {"rel": "alternate", "type": of, "href": href, **more}
    return " ".join(f'{name}="{value}"' for name, value in attributes.items())


def find(url: str, given: dict[str, Any] | None = None, **how: Any) -> tuple[Found, ...]:
    waits: list[float] = how.pop("waits", [])
    politeness = how.pop("politeness", PolitenessSettings())

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    async def search() -> tuple[Found, ...]:
        async with Client(LOOPBACK) as client:
            return await discover(client, url, given or {}, politeness, sleep=sleep, **how)

    return asyncio.run(search())


def asked(site: Site) -> list[str]:
    return [path(request) for request in site.requests]


class TestFeedItself:
    @pytest.mark.parametrize(
        ("handler", "told"),
        [
            (FEED, ("The Ledger", "RSS", 3, None)),
            (ATOM, ("The Ledger, in Atom", "Atom", 2, datetime(2026, 3, 4, 12, tzinfo=UTC))),
            (JSON_FEED, ("The Ledger, in JSON", "JSON Feed", 1, None)),
        ],
    )
    def test_it_is_asked_for_once(
        self, site: Site, handler: Handler, told: tuple[str, str, int, datetime | None]
    ) -> None:
        site.routes["/feed"] = handler
        (found,) = find(site.url("/feed"))
        assert found.url == site.url("/feed")
        assert (found.title, found.kind, found.entries, found.newest_at) == told
        assert found.response is not None
        assert found.response.ok
        assert asked(site) == ["/feed"]

    @pytest.mark.parametrize(("status", "stored"), [(301, "/new"), (308, "/new"), (302, "/feed")])
    def test_one_that_has_moved(self, site: Site, status: int, stored: str) -> None:
        """A captive portal redirects too, but to no feed."""
        site.routes["/feed"] = answer(b"", status, headers={"Location": "/new"})
        site.routes["/new"] = FEED
        (found,) = find(site.url("/feed"))
        assert found.response is not None
        assert (found.url, found.response.url) == (site.url(stored), site.url(stored))
        assert found.response.moved_to is None

    def test_the_user_of_a_url_is_not_lost_on_the_way(self, site: Site) -> None:
        site.routes["/feed"] = answer(b"", 301, headers={"Location": "/new"})
        site.routes["/new"] = FEED
        url = site.url("/feed").replace("://", "://user:pass@")
        assert find(url)[0].url == url


class TestNamed:
    @pytest.mark.parametrize(
        ("href", "base", "at"),
        [
            ("/news/feed", "", "/news/feed"),
            ("feed", "", "/section/feed"),
            ("../feed?a=1&amp;b=2#top", "", "/feed?a=1&b=2"),
            (" feed\n", "", "/section/feed"),
            ("feed", "<base href='/elsewhere/'>", "/elsewhere/feed"),
            ("feed", "<base target='_top'>", "/section/feed"),
            ("feed", "<base href='javascript:0'>", "/section/feed"),
            ("{feed}/feed", "<base href='/elsewhere/'>", "/feed"),
        ],
    )
    def test_a_page_names_its_feed(self, site: Site, href: str, base: str, at: str) -> None:
        href = href.replace("{feed}", site.url("").replace("http://", "feed://"))
        site.routes |= {"/section/page.html": page(link(href), base=base), at: FEED}
        (found,) = find(site.url("/section/page.html"))
        assert (found.url, found.title, found.entries) == (site.url(at), "The Ledger", 3)
        assert asked(site) == ["/section/page.html", at]

    @pytest.mark.parametrize(
        "written",
        [
            "<LINK REL='Alternate' TYPE='Application/RSS+XML; charset=utf-8' HREF='/f'>",
            "<link rel='alternate home' type=application/atom+xml href=/f>",
            "<link rel='feed' type='application/feed+json' href='/f'>",
            "<link rel=alternate type=application/rdf+xml href=/f />",
            "<link rel=alternate type=text/xml href=/f>",
            "</head><body><p><div><link rel=alternate type=application/rss+xml href=/f>",
        ],
    )
    def test_ways_to_write_it(self, site: Site, written: str) -> None:
        site.routes |= {"/": answer(f"<title>x</title>{written}".encode(), headers=HTML)}
        site.routes |= {"/f": FEED}
        assert find(site.url("/"))[0].url == site.url("/f")
        assert asked(site) == ["/", "/f"]

    @pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "iso-8859-1"])
    def test_xhtml_in_any_encoding(self, site: Site, encoding: str) -> None:
        text = (
            f'<?xml version="1.0" encoding="{encoding}"?>'
            "<html xmlns='http://www.w3.org/1999/xhtml'><head>"
            f"<link {link('/f', title='Édition')}/>"
            f"<link {link('/g', title='Édition')}/></head></html>"
        )
        kind = {"Content-Type": f"text/html; charset={encoding}"}
        site.routes |= {"/": answer(text.encode(encoding), headers=kind), "/f": FEED}
        first, second = find(site.url("/"))
        assert (first.url, second.title) == (site.url("/f"), "Édition")

    def test_what_names_no_feed(self, site: Site) -> None:
        others = (
            link("/style", rel="stylesheet"), link("/de", "text/html", hreflang="de"),
            link("/embed", "application/json+oembed"), link("javascript:alert(1)"),
            link("data:text/xml,a"), link("ftp://example.org/feed"), link("http://[::1/feed"),
            link(""), "rel=alternate href=/none", f"rel=alternate type={RSS}",
        )  # fmt: skip
        site.routes |= {"/": page(*others), "/feed": FEED}
        assert find(site.url("/"))[0].url == site.url("/feed")
        assert asked(site) == ["/", "/feed"]

    def test_a_link_header(self, site: Site) -> None:
        named = {"Link": f'</f>; rel="alternate"; type="{RSS}", </css>; rel=preload'}
        site.routes |= {"/": answer(b"<p>news", headers=HTML | named), "/f": FEED}
        assert find(site.url("/"))[0].url == site.url("/f")
        assert asked(site) == ["/", "/f"]

    def test_the_user_in_a_pages_link_is_not_used(self, site: Site) -> None:
        named = site.url("/f").replace("://", "://mallory:pw@")
        site.routes |= {"/": page(link(named)), "/f": FEED}
        assert find(site.url("/"))[0].url == site.url("/f")
        assert header(site.requests[1], "Authorization") is None


class TestRank:
    def test_several_are_told_of_but_only_the_first_is_asked_for(self, site: Site) -> None:
        links = (link("/a", title="All"), link("/b", "application/atom+xml", title="Also"))
        site.routes |= {"/": page(*links), "/a": FEED, "/b": ATOM}
        first, second = find(site.url("/"))
        assert (first.url, first.entries) == (site.url("/a"), 3)
        assert second == Found(site.url("/b"), "Also", "Atom")
        assert asked(site) == ["/", "/a"]

    def test_each_when_every_one_is_wanted(self, site: Site) -> None:
        links = (link("/a"), link("/gone", title="Gone"), link("/page"), link("/b"), link("/a"))
        site.routes |= {"/": page(*links), "/a": FEED, "/page": page(), "/b": ATOM}
        found = find(site.url("/"), every=True)
        assert [(one.url, one.entries) for one in found] == [
            (site.url("/a"), 3),
            (site.url("/b"), 2),
        ]
        assert asked(site) == ["/", "/a", "/gone", "/page", "/b"]

    @pytest.mark.parametrize(
        "comments",
        [
            link("/comments/feed"),
            link("/f2", title="The Ledger » Comments Feed"),
            link("/f2", title="Komentar untuk Berita"),
            link("/f2?type=KOMMENTARE"),
        ],
    )
    def test_comments_are_last(self, site: Site, comments: str) -> None:
        site.routes |= {"/": page(comments, link("/f")), "/f": FEED}
        assert find(site.url("/"))[0].url == site.url("/f")
        assert asked(site) == ["/", "/f"]

    def test_but_better_than_nothing(self, site: Site) -> None:
        site.routes |= {"/": page(link("/comments"), link("/f")), "/comments": FEED}
        assert [found.url for found in find(site.url("/"))] == [site.url("/comments")]

    def test_a_section_has_its_own(self, site: Site) -> None:
        links = (link("/feed"), link("/sports/feed"), link("/sport/feed"),
                 link("/sport/comments/feed"))  # fmt: skip
        site.routes |= {"/sport/?page=2": page(*links), "/sport/feed": FEED}
        ranked = ("/sport/feed", "/feed", "/sports/feed", "/sport/comments/feed")
        found = find(site.url("/sport/?page=2"))
        assert [one.url for one in found] == [site.url(at) for at in ranked]

    def test_what_may_be_anything_comes_behind(self, site: Site) -> None:
        """WordPress names its API so."""
        site.routes |= {"/": page(link("/api", "application/json"), link("/f")), "/f": FEED}
        site.routes |= {"/api": API}
        assert [found.url for found in find(site.url("/"), every=True)] == [site.url("/f")]
        assert asked(site) == ["/", "/f", "/api"]

    def test_the_next_when_the_best_is_none(self, site: Site) -> None:
        site.routes |= {"/": page(link("/gone"), link("/html"), link("/f")), "/f": FEED}
        site.routes |= {"/html": page()}
        assert [found.url for found in find(site.url("/"))] == [site.url("/f")]


class TestUsual:
    @pytest.mark.parametrize("at", USUAL)
    def test_paths_at_the_top(self, site: Site, at: str) -> None:
        site.routes |= {"/": page(), "/2026/story.html": page(), at: FEED}
        for start in ("/", "/2026/story.html"):
            before = len(site.requests)
            (found,) = find(site.url(start))
            assert found.url == site.url(at)
            made = asked(site)[before:]
            assert made == [start, *USUAL[: USUAL.index(at) + 1]]

    @pytest.mark.parametrize("start", ["/blog", "/blog/"])
    def test_paths_beside_the_page_come_first(self, site: Site, start: str) -> None:
        site.routes |= {start: page(), "/feed": FEED, "/blog/rss.xml": ATOM}
        (found,) = find(site.url(start))
        assert (found.url, found.kind) == (site.url("/blog/rss.xml"), "Atom")
        assert asked(site) == [start, "/blog/feed", "/blog/rss.xml"]

    def test_when_what_the_page_names_is_of_no_use(self, site: Site) -> None:
        site.routes |= {"/": page(link("/gone"), link("/feed")), "/feed": page(), "/rss": FEED}
        assert find(site.url("/"))[0].url == site.url("/rss")
        assert asked(site) == ["/", "/gone", "/feed", "/rss"]

    def test_a_site_that_answers_all_with_its_front_page(self, site: Site) -> None:
        site.routes |= {at: page() for at in ("/", *USUAL)}
        with pytest.raises(KabarError, match=r"no feed was found there \(10 URLs asked for\)"):
            find(site.url("/"))
        assert len(asked(site)) == len(set(asked(site))) == 10


class TestManners:
    def test_no_more_than_sixteen_requests(self, site: Site) -> None:
        site.routes["/"] = page(*(link(f"/{number}") for number in range(1_000)))
        with pytest.raises(KabarError, match="16 URLs asked for"):
            find(site.url("/"))
        assert len(asked(site)) == len(set(asked(site))) == 16

    def test_what_was_not_asked_for_is_told_all_the_same(self, site: Site) -> None:
        site.routes["/"] = page(*(link(f"/{number}") for number in range(100)))
        site.routes |= {f"/{number}": FEED for number in range(100)}
        found = find(site.url("/"), every=True)
        assert [one.entries for one in found] == [3] * 15 + [None] * 35
        assert len(asked(site)) == 16

    def test_requests_to_a_host_are_spaced(self, site: Site, other: Site) -> None:
        host = site.url("").removeprefix("http://")
        links = (link("/a"), link("/b"), link(other.url("/c")), link(other.url("/d")))
        site.routes |= {"/": page(*links), "/d": FEED}
        waits: list[float] = []
        polite = PolitenessSettings.model_validate(
            {"spacing_seconds": 3, "hosts": {host: {"spacing_seconds": 5}}}
        )
        other.routes["/d"] = FEED
        find(site.url("/"), waits=waits, politeness=polite)
        assert waits == [5, 5, 3]

    def test_so_is_the_first_to_a_host_that_a_redirect_led_to(
        self, site: Site, other: Site
    ) -> None:
        site.routes["/"] = answer(b"", 302, headers={"Location": other.url("/")})
        other.routes |= {"/": page(link("/feed")), "/feed": FEED}
        waits: list[float] = []
        assert find(site.url("/"), waits=waits)[0].url == other.url("/feed")
        assert waits == [1]

    @pytest.mark.parametrize("status", [429, 503])
    def test_a_host_that_wants_to_be_left_alone(self, site: Site, other: Site, status: int) -> None:
        links = (link("/a"), link("/b"), link(other.url("/c")))
        site.routes |= {"/": page(*links), "/a": answer(b"", status), "/b": FEED}
        other.routes |= {"/c": ATOM}
        assert [found.url for found in find(site.url("/"))] == [other.url("/c")]
        assert asked(site) == ["/", "/a"]

    def test_a_host_that_breaks_off(self, site: Site) -> None:
        async def broken(_request: bytes, writer: asyncio.StreamWriter) -> None:
            writer.close()

        site.routes |= {"/": page(), "/feed": broken, "/rss": FEED}
        with pytest.raises(KabarError, match="2 URLs asked for"):
            find(site.url("/"))

    def test_secrets_go_to_the_site_that_was_named_only(self, site: Site, other: Site) -> None:
        links = (link(other.url("/c")), link("/a"))
        site.routes |= {"/": page(*links), "/a": FEED}
        given = {
            "user_agent": "Siaran/1", "headers": {"X-Key": "k"}, "cookie": "sid=1",
            "username": "a", "password": "b",
        }  # fmt: skip
        find(site.url("/"), given)
        for request in site.requests:
            names = ("User-Agent", "X-Key", "Cookie", "Authorization")
            sent = [header(request, name) for name in names]
            assert sent == ["Siaran/1", "k", "sid=1", "Basic YTpi"]
        (request,) = other.requests
        assert header(request, "User-Agent") == "Siaran/1"
        for name in ("X-Key", "Cookie", "Authorization"):
            assert header(request, name) is None

    def test_the_user_of_the_sites_url_is_that_of_its_feed(self, site: Site, other: Site) -> None:
        site.routes |= {"/": page(link(other.url("/c")), link("/a")), "/a": FEED}
        start = site.url("/").replace("://", "://a:b@")
        (found,) = find(start)
        assert found.url == f"{start}a"
        assert header(site.requests[1], "Authorization") == "Basic YTpi"
        assert header(other.requests[0], "Authorization") is None

    @pytest.mark.parametrize(
        ("url", "also", "same"),
        [
            ("https://a.b/x", "https://A.b/y", True),
            ("https://a.b/", "https://a.b:443/", True),
            ("http://a.b/", "https://a.b/", True),
            ("https://a.b/", "http://a.b/", False),
            ("https://a.b/", "https://www.a.b/", False),
            ("https://a.b/", "https://a.b:8443/", False),
            ("http://a.b:8080/", "https://a.b/", False),
            ("https://u:p@a.b/", "https://a.b/", True),
        ],
    )
    def test_the_same_site(self, url: str, also: str, same: bool) -> None:
        assert is_same_site(url, also) is same


class TestRefused:
    @pytest.mark.parametrize(
        ("handler", "message"),
        [
            (answer(b"gone", 404), "404 Phrase"),
            (answer(b"", 429), "429 Phrase"),
            (answer(b"<opml version='2.0'><body/></opml>"), r"a list of feeds \(OPML\)"),
            (
                answer(b'<?xml version="1.0"?><rss version="2.0"><channel><title>x', headers={}),
                "a feed, but not well-formed",
            ),
        ],
    )
    def test_what_the_site_answers(self, site: Site, handler: Handler, message: str) -> None:
        site.routes |= {"/": handler, "/feed": FEED}
        url = site.url("/").replace("://", "://user:sesame@")
        with pytest.raises(KabarError, match=message) as raised:
            find(url)
        assert str(raised.value).startswith(site.url("/"))
        assert asked(site) == ["/"]

    def test_nobody_there(self, free_port: int) -> None:
        with pytest.raises(KabarError, match=f"http://127.0.0.1:{free_port}/: "):
            find(f"http://127.0.0.1:{free_port}/")

    def test_an_address_that_is_not_public(self) -> None:
        with pytest.raises(KabarError, match=r"169\.254\.169\.254"):
            find("http://169.254.169.254/")

    def test_one_that_a_page_names(self, site: Site) -> None:
        """Metadata services of clouds and the like are asked for nothing."""
        site.routes |= {"/": page(link("http://169.254.169.254/latest"), link("/f")), "/f": FEED}
        assert find(site.url("/"))[0].url == site.url("/f")

    @pytest.mark.parametrize(
        "body",
        [
            b"", b"\0" * 100, b"<div>" * 10_000, b"<link rel=alternate type=" + b"a" * 1_000_000,
            b'<!DOCTYPE html [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><p>&b;', b"\x89PNG\r\n\x1a\n",
        ],
    )  # fmt: skip
    def test_odd_pages(self, site: Site, body: bytes) -> None:
        site.routes |= {"/": answer(body, headers=HTML), "/rss": FEED}
        assert find(site.url("/"))[0].url == site.url("/rss")

    @settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(st.text(max_size=60), st.text(max_size=60), st.binary(max_size=60))
    def test_whatever_a_page_holds(self, site: Site, base: str, href: str, junk: bytes) -> None:
        head = f"<base href='{base}'><link rel=alternate type={RSS} href='{href}'>"
        body = head.encode("utf-8", "replace") + junk
        site.routes |= {"/x.html": answer(body, headers=HTML), "/feed": FEED}
        assert find(site.url("/x.html"))[0].entries == 3
