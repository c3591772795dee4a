"""Feeds parsed: documents in tests/data/feeds with what is expected of them beside them."""

import calendar
import dataclasses
import gzip
import json
import random
import string
import warnings
from datetime import datetime
from io import BytesIO
from pathlib import Path
from typing import Any
from xml.sax import make_parser
from xml.sax.handler import ContentHandler

import feedparser.api
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from worker.feeds import Document, FeedError, parse
from worker.feeds.identity import IdentityBy
from worker.reasons import Reason

DATA = Path(__file__).parents[1] / "data" / "feeds"
ROOT = Path(__file__).parents[2]
URL = "https://feeds.example/all/feed.xml"
XML = {"content-type": "application/xml"}


def rss(items: str, encoding: str | None = "utf-8") -> bytes:
    declaration = f'<?xml version="1.0" encoding="{encoding}"?>' if encoding else ""
    return (
        f'{declaration}<rss version="2.0"><channel><title>T</title>{items}</channel></rss>'.encode()
    )


def item(title: str = "A title", guid: str = "1", more: str = "") -> str:
    return f'<item><title>{title}</title><guid isPermaLink="false">{guid}</guid>{more}</item>'


def read(body: bytes, content_type: str = "application/xml") -> Document:
    return parse(body, URL, {"content-type": content_type})


def refusal(body: bytes) -> FeedError:
    with pytest.raises(FeedError) as caught:
        parse(body, URL, XML)
    return caught.value


def outcome(body: bytes, content_type: str) -> Document | Reason:
    """The document, or the reason why there is none; any other error is raised."""
    try:
        return read(body, content_type)
    except FeedError as error:
        return error.reason


def shown(document: Document) -> dict[str, Any]:
    """The document in the words of JSON."""
    found: dict[str, Any] = json.loads(
        json.dumps(dataclasses.asdict(document), default=lambda time: time.isoformat())
    )
    return found


def source(path: Path) -> Path:
    """The document that the expectation at `path` is of."""
    (found,) = (each for each in path.parent.glob(f"{path.stem}.*") if each != path)
    return found


class TestDocuments:
    @pytest.mark.parametrize("path", sorted(DATA.glob("*.json")), ids=lambda path: path.stem)
    def test_is_parsed_as_expected(self, path: Path) -> None:
        expected = json.loads(path.read_text())
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            found = shown(parse(source(path).read_bytes(), URL, XML))
        entries, expected_entries = found.pop("entries"), expected.pop("entries")
        assert {key: found[key] for key in expected} == expected
        assert [
            {key: entry[key] for key in wanted}
            for entry, wanted in zip(entries, expected_entries, strict=True)
        ] == expected_entries

    def test_there_is_one_of_each_format(self) -> None:
        assert {path.stem for path in DATA.glob("*.json")} >= {
            "rss090", "rss091", "rss2", "rdf", "atom03", "atom",
            "jsonfeed10", "jsonfeed11", "news", "index",
        }  # fmt: skip

    @pytest.mark.parametrize("path", sorted(DATA.glob("*.json")), ids=lambda path: path.stem)
    def test_is_parsed_the_same_from_a_gzip_file(self, path: Path) -> None:
        body = source(path).read_bytes()
        assert parse(gzip.compress(body), URL, XML) == parse(body, URL, XML)

    def test_an_id_does_not_change_when_the_feed_moves(self) -> None:
        body = rss(item(guid="a1", more="<link>/a</link>"))
        (here,), (there,) = (
            parse(body, url, XML).entries for url in (URL, "http://other.example/feed")
        )
        assert here.identity == there.identity == "a1"
        assert (here.url, there.url) == ("https://feeds.example/a", "http://other.example/a")

    def test_a_link_of_all_to_the_site_leads_to_none_of_them(self) -> None:
        links = ("https://feeds.example/", "https://feeds.example/", "https://feeds.example/c")
        items = "".join(
            item(title, title, f"<link>{link}</link>")
            for title, link in zip("abc", links, strict=True)
        )
        found = read(rss(f"<link>https://feeds.example/</link>{items}"))
        assert [entry.url for entry in found.entries] == [None, None, "https://feeds.example/c"]

    def test_a_single_notice_may_link_to_the_site(self) -> None:
        one = item(more="<link>https://feeds.example/</link>")
        (entry,) = read(rss(f"<link>https://feeds.example/</link>{one}")).entries
        assert entry.url == "https://feeds.example/"

    def test_a_revision_is_of_the_text(self) -> None:
        texts = ["<description>one</description>", "<description>two</description>"]
        one, two = (read(rss(item(more=text))).entries[0] for text in texts)
        assert one.identity == two.identity
        assert one.revision != two.revision
        assert one == read(rss(item(more=texts[0]) + item(guid="2"))).entries[0]

    def test_a_revision_is_not_of_the_time(self) -> None:
        times = ["2026-11-24T10:00:00Z", "2026-11-24T11:00:00Z"]
        one, two = (read(rss(item(more=f"<updated>{time}</updated>"))).entries[0] for time in times)
        assert one.updated_at != two.updated_at
        assert one.revision == two.revision

    @pytest.mark.parametrize(
        ("value", "identity"), [("7", "7"), ("1.5", "1.5"), ("true", "http://x.example/"),
                                ("[1]", "http://x.example/"), ('""', "http://x.example/")]
    )  # fmt: skip
    def test_an_id_in_json_is_a_text_or_a_number(self, value: str, identity: str) -> None:
        body = f'{{"feed_url": "", "items": [{{"id": {value}, "url": "http://x.example/"}}]}}'
        (entry,) = parse(body.encode(), URL, XML, identity_by="guid").entries
        assert entry.identity == identity

    def test_how_entries_are_told_apart_is_kept(self) -> None:
        body = rss(item("s") + item("t"))  # one guid on both
        assert read(body).identity_by == "content"
        for by in ("guid", "link", "content"):
            document = parse(body, URL, XML, identity_by=by)
            assert (document.identity_by, len(document.entries)) == (by, 2)
            assert parse(rss(""), URL, XML, identity_by=by).identity_by == by
        assert read(rss("")).identity_by is None

    HOURLY = "<sy:updatePeriod>hourly</sy:updatePeriod>"
    DAILY = "<sy:updatePeriod>Dayly</sy:updatePeriod>"

    @pytest.mark.parametrize(
        ("channel", "seconds"),
        [
            ("", None),
            ("<ttl>60</ttl>", 3600),
            ("<ttl> 1.5 min</ttl>", 90),
            ("<ttl>1440</ttl>", 86_400),
            ("<ttl>99999999999999999999</ttl>", 86_400),
            ("<ttl>0</ttl>", None),
            ("<ttl>-5</ttl>", None),
            ("<ttl>often</ttl>", None),
            ("<ttl unit='minutes'>60</ttl>", None),
            ("<sy:updatePeriod>\nhourly </sy:updatePeriod>", 3600),
            (DAILY, 86_400),
            ("<sy:updatePeriod>weekly</sy:updatePeriod>", 86_400),
            ("<sy:updatePeriod>always</sy:updatePeriod>", None),
            ("<sy:updateFrequency>3</sy:updateFrequency>", None),
            (HOURLY + "<sy:updateFrequency>0.5</sy:updateFrequency>", 7200),
            (DAILY + "<sy:updateFrequency>24</sy:updateFrequency>", 3600),
            (DAILY + "<sy:updateFrequency>0</sy:updateFrequency>", 86_400),
            ("<ttl>5</ttl>" + HOURLY, 3600),
            ("<ttl>120</ttl>" + HOURLY, 7200),
        ],
    )
    @pytest.mark.parametrize("end", ["", "</oops>"])
    def test_how_long_to_wait(self, channel: str, seconds: float | None, end: str) -> None:
        module = b" xmlns:sy='http://purl.org/rss/1.0/modules/syndication/'"
        body = rss(channel + item() + end).replace(b"<rss", b"<rss" + module)
        assert read(body).hint_seconds == seconds

    def test_never_is_no_hint(self) -> None:
        hours = "".join(f"<hour>{hour}</hour>" for hour in range(24))
        days = "".join(f"<day>{day}</day>" for day in calendar.day_name)
        body = rss(f"<skipHours>{hours}</skipHours><skipDays>{days}</skipDays>{item()}")
        assert (read(body).skip_hours, read(body).skip_days) == ((), ())

    def test_links_of_an_entry_are_not_the_feeds(self) -> None:
        body = rss(item(more='<atom:link rel="hub" href="/x"/><atom:link rel="self" href="/y"/>'))
        assert (read(body).hub_urls, read(body).self_url) == ((), None)

    def test_the_first_of_two_that_are_one_counts(self) -> None:
        link = "<link>/a</link>"
        document = read(
            rss(item("first", more=link) + item("first", more=link + "<author>b</author>"))
        )
        assert [entry.authors for entry in document.entries] == [()]

    def test_a_long_id_becomes_its_hash(self) -> None:
        ids = ["g" * 500, "g" * 501, "é" * 2_000, "é" * 2_001]
        document = read(rss("".join(item(guid=guid) for guid in ids)))
        identities = [entry.identity for entry in document.entries]
        assert identities[0] == ids[0]
        assert len(set(identities)) == 4
        assert max(len(identity.encode()) for identity in identities) <= 2_000

    @pytest.mark.parametrize("language", ["x" * 36, "en us", "<b>en</b>", "12", "-"])
    def test_a_language_that_is_none(self, language: str) -> None:
        assert read(rss(f"<language>{language}</language>{item()}")).language is None


def test_text_comes_to_feedparser_in_one_piece() -> None:
    class Handler(ContentHandler):
        def __init__(self) -> None:
            self.pieces: list[str] = []

        def characters(self, content: str) -> None:
            self.pieces.append(content)

    handler, parser = Handler(), make_parser(feedparser.api.PREFERRED_XML_PARSERS)
    parser.setContentHandler(handler)
    parser.parse(BytesIO(b"<a>&lt;p&gt;One\n&amp; two&lt;/p&gt;</a>"))
    assert handler.pieces == ["<p>One\n& two</p>"]


class TestNoFeeds:
    @pytest.mark.parametrize(
        ("body", "detail"),
        [
            (b"", "the document is empty"),
            (b" \r\n\t", "the document is empty"),
            (b"\xef\xbb\xbf \0", "the document is empty"),
            (b"&#xDAAA;", "no feed format"),
            (b'{"items": []}', "JSON, but no JSON Feed"),
            (
                b"<!DOCTYPE html><html><head><title>News</title></head><body>x</body></html>",
                "an HTML page, not a feed; look on it for the feed's URL",
            ),
            (
                b"\xef\xbb\xbf<!-- cached -->\n<HTML><p>x",
                "an HTML page, not a feed; look on it for the feed's URL",
            ),
        ],
    )
    def test_what_it_is_instead(self, body: bytes, detail: str) -> None:
        error = refusal(body)
        assert (error.reason, error.detail, str(error)) == (Reason.NOT_A_FEED, detail, detail)

    @pytest.mark.parametrize(
        "body",
        [
            b"Error establishing a database connection",
            b"\x1f\x8b\x08\x00 not decompressed",
            b"http://169.254.169.254/latest/meta-data/",
        ],
    )
    def test_no_feed_format(self, body: bytes) -> None:
        error = refusal(body)
        assert error.reason is Reason.NOT_A_FEED
        assert error.detail.startswith("no feed format")

    def test_a_path_is_not_opened(self) -> None:
        path = DATA / "rss2.xml"
        assert path.is_file()
        assert refusal(bytes(path)).reason is Reason.NOT_A_FEED

    def test_a_feed_without_entries_is_a_feed(self) -> None:
        assert read(rss("")).entries == ()


class TestTruncated:
    DOCUMENT = rss("".join(item(f"Title {n}", f"{n}", f"<link>/{n}</link>") for n in range(3)))

    def test_the_entries_that_came_whole_count(self) -> None:
        cut = self.DOCUMENT.index(b"Title 2") + 4
        assert [entry.identity for entry in read(self.DOCUMENT[:cut]).entries] == ["0", "1"]

    def test_wherever_it_is_cut_no_entry_is_half(self) -> None:
        whole = read(self.DOCUMENT).entries
        for cut in range(self.DOCUMENT.index(b"<item>", 200), len(self.DOCUMENT)):
            entries = read(self.DOCUMENT[:cut]).entries
            assert entries
            assert entries == whole[: len(entries)]

    def test_without_an_entry_that_came_whole(self) -> None:
        for cut in (self.DOCUMENT.index(b"<item>"), self.DOCUMENT.index(b"</item>")):
            error = refusal(self.DOCUMENT[:cut])
            assert error.reason is Reason.MALFORMED_FEED
            assert error.detail.startswith("not well-formed: ")

    def test_what_is_only_malformed_keeps_its_entries(self) -> None:
        document = read(rss(item("Tom & Jerry &nbsp; friends", "1") + item("<b>x", "2")))
        assert [entry.identity for entry in document.entries] == ["1", "2"]


class TestCharacters:
    @pytest.mark.parametrize(
        ("declared", "header", "really"),
        [
            ("iso-8859-1", "text/xml; charset=utf-8", "utf-8"),
            ("utf-8", "text/xml; charset=iso-8859-1", "utf-8"),
            ("utf-8", "text/xml; charset=utf-8", "windows-1252"),
            (None, "text/html", "utf-8"),
            (None, "application/rss+xml; charset=unheard-of", "utf-8"),
            ("utf-16", "application/xml", "utf-16"),
        ],
    )
    def test_a_wrong_label(self, declared: str | None, header: str, really: str) -> None:
        body = rss(item("“Café” — naïve"), declared).decode().encode(really)
        assert read(body, header).entries[0].title == "“Café” — naïve"

    @pytest.mark.parametrize("charset", ["undefined", "punycode", "a\0b", "hex", "rot13"])
    def test_a_charset_that_is_none(self, charset: str) -> None:
        for body, header in (
            (rss(item(), charset), "application/xml"),
            (rss(item(), None), f"application/xml; charset={charset}"),
        ):
            found = outcome(body, header)
            assert found is Reason.MALFORMED_FEED or isinstance(found, Document)

    def test_no_control_characters(self) -> None:
        body = rss(item("A\x00B\x0bC&#0;&#1;D", "g\x00&#2;", "<description>x\x1by</description>"))
        (entry,) = read(body).entries
        assert (entry.title, entry.identity, entry.summary) == ("ABCD", "g", "xy")

    def test_no_surrogates(self) -> None:
        body = rss(item("smile &#xD83D;&#xde00;&#55357;", more="<link>/a&#xD800;b</link>"))
        (entry,) = read(body).entries
        assert (entry.title, entry.url) == ("smile", "https://feeds.example/ab")

    def test_a_text_is_capped(self) -> None:
        long = "é" * 300_000
        body = rss(
            item(long, more=f"<description>{long}</description>")
            + f'<item><title>x</title><content:encoded xmlns:content="'
            f'http://purl.org/rss/1.0/modules/content/">{long}</content:encoded></item>'
        )
        first, second = read(body).entries
        assert (len(first.title), len(first.summary), len(second.content)) == (
            1_000,
            200_000,
            200_000,
        )


markup = st.text(
    st.one_of(
        st.sampled_from('<>/&;="!?-[]# \n'),
        st.characters(exclude_categories=["Cs"]),
        st.sampled_from(string.ascii_lowercase),
    )
)
elements = st.lists(
    st.sampled_from(
        [
            "<item>", "</item>", "<entry>", "</entry>", "<title>", "</title>", "<link>", "</link>",
            "<link href='/x'/>", "<guid>", "</guid>", "<id>", "</id>", "<author>", "</author>",
            "<name>", "<content type='xhtml'>", "</content>", "<description>", "<pubDate>",
            "</pubDate>", "<updated>", "<![CDATA[", "]]>", "<!--", "&#0;", "&#xDFFF;", "&amp;",
            "<category/>", "<enclosure url='x'/>", "<dc:creator>", "<source>", "<image>", "\0",
            "<language>", "2026-11-24T10:00:00Z", "99999-13-41", "text", "http://[", "xml:base='['",
            "<media:content>", "<georss:point>", "<itunes:image href='x'/>", "<textinput>",
        ]
    ),
    max_size=40,
).map("".join)  # fmt: skip


bodies = st.one_of(
    st.binary(max_size=200),
    markup.map(str.encode),
    st.builds(
        "{}{}".format,
        st.sampled_from(
            [
                "<rss version='2.0'><channel>",
                "<feed xmlns='http://www.w3.org/2005/Atom'>",
                "<rdf:RDF><channel>",
                "<urlset xmlns:n='http://www.google.com/schemas/sitemap-news/0.9'>",
                "",
            ]
        ),
        elements,
    ).map(str.encode),
    markup.map(lambda text: rss(item(text, text, text))),
    st.recursive(
        st.one_of(st.none(), st.integers(), st.text(), st.just("http://x.example/")),
        lambda inner: st.one_of(
            st.lists(inner, max_size=3),
            st.dictionaries(
                st.sampled_from(["id", "url", "title", "content_html", "content_text", "authors",
                                 "name", "hubs", "date_published", "summary"]),
                inner,
            ),
        ),
    ).map(lambda value: json.dumps({"version": "jsonfeed.org", "items": [value, {"title": value}],
                                    "hubs": value}).encode()),
)  # fmt: skip


@hypothesis_settings(max_examples=200)
@given(
    body=bodies,
    content_type=st.one_of(st.just("application/xml"), st.text(max_size=30)),
)
def test_any_bytes_give_a_document_or_a_feed_error(body: bytes, content_type: str) -> None:
    check(outcome(body, content_type))


documents = [path.read_bytes() for path in sorted(DATA.glob("**/*.*")) if path.suffix != ".json"]
edits = st.lists(
    st.tuples(
        st.floats(0, 1),
        st.integers(0, 40),
        st.sampled_from(
            [b"", b"\0", b"<", b">", b"&", b"]]>", b"<item>", b"\xff", b"\xc3", b'"', b"{"]
        ),
    ),
    min_size=1,
    max_size=5,
)


@hypothesis_settings(max_examples=200)
@given(st.sampled_from(documents), edits)
def test_a_real_document_damaged_gives_a_document_or_a_feed_error(
    body: bytes, changes: list[tuple[float, int, bytes]]
) -> None:
    for place, length, text in changes:
        start = int(place * len(body))
        body = body[:start] + text + body[start + length :]
    check(outcome(body, "application/xml"))


def check(document: Document | Reason) -> None:
    """What must hold of whatever came of a body."""
    if isinstance(document, Reason):
        assert document in {Reason.NOT_A_FEED, Reason.MALFORMED_FEED}
        return
    identities = [entry.identity for entry in document.entries]
    assert len(set(identities)) == len(identities)
    assert bool(document.entries) <= bool(document.identity_by)
    for url in (*document.hub_urls, *document.children):
        assert url.startswith(("http:", "https:"))
    for entry in document.entries:
        assert entry.identity
        assert entry.url or entry.title or entry.summary or entry.content
        assert entry.url is None or entry.url.startswith(("http:", "https:"))
        for text in (entry.identity, entry.title, entry.summary, entry.content, entry.url or ""):
            assert "\0" not in text
            text.encode()
        for time in (entry.published_at, entry.updated_at):
            assert time is None or (isinstance(time, datetime) and time.tzinfo is not None)


listed = st.lists(
    st.builds(
        lambda guid, link, title: (
            "<item>"
            + (f"<guid isPermaLink='false'>{guid}</guid>" if guid else "")
            + (f"<link>https://x.example/{link}</link>" if link else "")
            + f"<title>{title}</title></item>"
        ),
        st.sampled_from(["", "g", "h", "i"]),
        st.sampled_from(["", "a", "b", "c"]),
        st.sampled_from(["s", "t", "u"]),
    ),
    max_size=10,
)


@given(listed, st.sampled_from([None, "guid", "link", "content"]), st.randoms())
def test_identities_are_the_same_in_whatever_order(
    items: list[str], identity_by: IdentityBy | None, chance: random.Random
) -> None:
    def identities() -> tuple[IdentityBy | None, set[str]]:
        document = parse(rss("".join(items)), URL, XML, identity_by=identity_by)
        return document.identity_by, {entry.identity for entry in document.entries}

    before = identities()
    assert identities() == before
    chance.shuffle(items)
    assert identities() == before


texts = st.text(
    st.one_of(
        st.characters(exclude_categories=["Cs"]), st.sampled_from(" \t\n\0\x1b\x7f\ufffe<&;aé")
    ),
    max_size=30,
)


@given(
    st.lists(
        st.fixed_dictionaries(
            {"title": texts, "content_html": texts, "url": st.one_of(texts, st.just("/a b"))}
        ),
        max_size=3,
    ),
    st.integers(900, 1100),
)
def test_cleaning_what_is_clean_changes_nothing(items: list[dict[str, str]], length: int) -> None:
    items.append({"title": "a " * length, "content_html": "é" * 200_001})
    once = written(items)
    again = written(
        [
            {"title": entry.title, "content_html": entry.content, "url": entry.url or ""}
            for entry in once.entries
        ]
    )
    assert again == once


def written(items: list[dict[str, str]]) -> Document:
    feed = {"version": "https://jsonfeed.org/version/1.1", "items": items}
    return parse(json.dumps(feed).encode(), URL, XML, identity_by="content")
