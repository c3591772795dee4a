"""Feeds parsed: documents in tests/data/feeds with what is expected of them beside them."""

import dataclasses
import json
import string
import subprocess
import sys
import warnings
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from worker.feeds import Document, FeedError, parse
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
    found = dataclasses.asdict(document)
    for entry in found["entries"]:
        for name in ("published_at", "updated_at"):
            entry[name] = entry[name] and entry[name].isoformat()
        entry["authors"] = list(entry["authors"])
    return found


class TestDocuments:
    @pytest.mark.parametrize("path", sorted(DATA.glob("*.json")), ids=lambda path: path.stem)
    def test_is_parsed_as_expected(self, path: Path) -> None:
        expected = json.loads(path.read_text())
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            found = shown(parse(path.with_suffix(".xml").read_bytes(), URL, XML))
        entries, expected_entries = found.pop("entries"), expected.pop("entries")
        assert {key: found[key] for key in expected} == expected
        assert [
            {key: entry[key] for key in wanted}
            for entry, wanted in zip(entries, expected_entries, strict=True)
        ] == expected_entries

    def test_there_is_one_of_each_format(self) -> None:
        assert {path.stem for path in DATA.glob("*.json")} >= {"rss2", "rdf", "atom"}

    def test_an_id_does_not_change_when_the_feed_moves(self) -> None:
        body = rss(item(guid="a1", more="<link>/a</link>"))
        (here,), (there,) = (
            parse(body, url, XML).entries for url in (URL, "http://other.example/feed")
        )
        assert here.identity == there.identity == "a1"
        assert (here.url, there.url) == ("https://feeds.example/a", "http://other.example/a")

    def test_a_revision_is_of_the_text(self) -> None:
        texts = ["<description>one</description>", "<description>two</description>"]
        one, two = (read(rss(item(more=text))).entries[0] for text in texts)
        assert one.identity == two.identity
        assert one.revision != two.revision
        assert one == read(rss(item(more=texts[0]) + item(guid="2"))).entries[0]

    def test_the_first_of_two_with_one_id_counts(self) -> None:
        document = read(rss(item("first") + item("second") + item("third", "2")))
        assert [entry.title for entry in document.entries] == ["first", "third"]

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


class TestNoFeeds:
    @pytest.mark.parametrize(
        ("body", "detail"),
        [
            (b"", "the document is empty"),
            (b" \r\n\t", "the document is empty"),
            (b"&#xDAAA;", "the document is empty"),
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
            b'{"version": "https://jsonfeed.org/version/1.1", "title": "x", "items": []}',
            b'<?xml version="1.0"?><urlset><url><loc>https://x.example/</loc></url></urlset>',
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


class TestBombs:
    def test_entities_are_not_expanded(self) -> None:
        entities = "".join(
            f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' if n else '<!ENTITY l0 "lol">'
            for n in range(10)
        )
        body = f"<?xml version='1.0'?><!DOCTYPE x [{entities}]>".encode()
        body += rss(item("&l9;", more="<description>&l9;&l9;</description>"), None)
        script = (
            "import resource, sys; from worker.feeds import parse\n"
            "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
            f"document = parse(sys.stdin.buffer.read(), {URL!r}, {XML!r})\n"
            "after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
            "print(len(document.entries[0].title), (after - before) // 1024)\n"
        )
        command = [sys.executable, "-c", script]
        done = subprocess.run(command, input=body, capture_output=True, timeout=100, cwd=ROOT)
        characters, mebibytes = map(int, done.stdout.split())
        assert characters < 100
        if sys.platform == "linux":  # kilobytes there
            assert mebibytes < 100

    def test_external_entities_are_not_read(self, tmp_path: Path) -> None:
        (tmp_path / "secret").write_text("hunter2")
        uri = (tmp_path / "secret").as_uri()
        body = f'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a SYSTEM "{uri}">]>'.encode()
        (entry,) = read(body + rss(item("x&a;y"), None)).entries
        assert "hunter2" not in entry.title

    @pytest.mark.parametrize("deep", ["<description>" + "<div>" * 20_000, "<a>" * 20_000])
    def test_depth(self, deep: str) -> None:
        body = rss(item("whole", "1") + item("deep", "2", deep))
        assert read(body).entries[0].title == "whole"


def test_five_thousand_items() -> None:
    document = read(rss("".join(item(f"Title {n}", f"{n}") for n in range(5_000))))
    assert [entry.identity for entry in document.entries] == [f"{n}" for n in range(5_000)]


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


@hypothesis_settings(max_examples=200)
@given(
    body=st.one_of(
        st.binary(max_size=200),
        markup.map(str.encode),
        st.builds("{}{}".format, st.sampled_from(["<rss version='2.0'><channel>",
            "<feed xmlns='http://www.w3.org/2005/Atom'>", "<rdf:RDF><channel>", ""]), elements)
        .map(str.encode),
        markup.map(lambda text: rss(item(text, text, text))),
    ),
    content_type=st.one_of(st.just("application/xml"), st.text(max_size=30)),
)  # fmt: skip
def test_any_bytes_give_a_document_or_a_feed_error(body: bytes, content_type: str) -> None:
    document = outcome(body, content_type)
    if isinstance(document, Reason):
        assert document in {Reason.NOT_A_FEED, Reason.MALFORMED_FEED}
        return
    identities = [entry.identity for entry in document.entries]
    assert len(set(identities)) == len(identities)
    for entry in document.entries:
        assert entry.identity
        assert entry.url or entry.title or entry.summary or entry.content
        assert entry.url is None or entry.url.startswith(("http:", "https:"))
        for text in (entry.identity, entry.title, entry.summary, entry.content, entry.url or ""):
            assert "\0" not in text
            text.encode()
        for time in (entry.published_at, entry.updated_at):
            assert time is None or isinstance(time, datetime)
            assert time is None or time.tzinfo is not None
