"""Bad input: what is no feed is refused with a reason, and of what is broken the whole part counts.

The documents are in tests/data/feeds/bad, what is expected of them in expected.json there. Those
that would be large are made here.
"""

import gzip
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from worker.feeds import Document, FeedError, parse
from worker.reasons import Reason

BAD = Path(__file__).parents[1] / "data" / "feeds" / "bad"
ROOT = Path(__file__).parents[2]
URL = "https://feeds.example/all/feed.xml"
XML = {"content-type": "application/xml"}
EXPECTED: dict[str, Any] = json.loads((BAD / "expected.json").read_text())

MEASURED = f"""
import resource, sys
from worker.feeds import FeedError, parse
body = sys.stdin.buffer.read()
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    print(len(parse(body, {URL!r}, {XML!r}).entries), end=" ")
except FeedError as error:
    print(error.reason, end=" ")
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


def read(body: bytes) -> Document:
    return parse(body, URL, XML)


def reason(body: bytes) -> Reason:
    with pytest.raises(FeedError) as caught:
        read(body)
    assert caught.value.detail
    return caught.value.reason


def measured(body: bytes) -> tuple[str, int]:
    """How many entries there are, or the reason why none, and how many MiB it took."""
    command = [sys.executable, "-c", MEASURED]
    done = subprocess.run(
        command, input=body, capture_output=True, timeout=100, cwd=ROOT, check=True
    )
    found, mebibytes = done.stdout.decode().split()
    return found, int(mebibytes) if sys.platform == "linux" else 0  # kilobytes there


def items(count: int) -> Iterator[bytes]:
    for n in range(count):
        yield (
            b"<item><title>Title %d</title><link>/%d</link><guid isPermaLink='false'>%d</guid>"
            b"<pubDate>Tue, 24 Nov 2026 %02d:%02d:%02d GMT</pubDate></item>"
            % (n, n, n, n // 3600 % 24, n // 60 % 60, n % 60)
        )


def rss(*content: bytes, head: bytes = b"<?xml version='1.0'?>") -> bytes:
    return b"%b\n<rss version='2.0'><channel>%b</channel></rss>" % (head, b"".join(content))


def sitemap(*content: bytes) -> bytes:
    namespace = b"http://www.google.com/schemas/sitemap-news/0.9"
    return b"<urlset xmlns:news='%b'>%b</urlset>" % (namespace, b"".join(content))


def url(number: int, more: bytes = b"", day: bytes = b"") -> bytes:
    return (
        b"<url><loc>https://x.example/%d</loc><news:news><news:publication_date>%b"
        b"</news:publication_date><news:title>%d</news:title></news:news>%b</url>"
        % (number, day, number, more)
    )


def test_there_is_an_expectation_for_each_file() -> None:
    assert set(EXPECTED) == {path.name for path in BAD.iterdir()} - {"expected.json"}


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_a_file(name: str) -> None:
    expected, body = EXPECTED[name], (BAD / name).read_bytes()
    if "reason" in expected:
        assert reason(body) == expected["reason"]
        return
    document = read(body)
    entries = document.entries
    assert [entry.title for entry in entries] == expected["titles"]
    assert document.complete is not name.startswith("cut-off")
    if "dates" in expected:
        assert [entry.published_at for entry in entries if entry.published_at] == expected["dates"]


@pytest.mark.parametrize(
    ("behind", "uses"),
    # Behind a comment with a tag feedparser does not see it; expat itself would allow 100 times
    # the document's size.
    [(b"", 2_000), (b"<!-- <rss> -->", 300_000)],
)
def test_a_long_entity_is_not_expanded(behind: bytes, uses: int) -> None:
    head = b'%b\n<!DOCTYPE rss [\n<!ENTITY a "%b">\n]>' % (behind, b"x" * 200_000)
    found, mebibytes = measured(rss(b"<item><title>%b</title></item>" % (b"&a;" * uses), head=head))
    assert found == "1"
    assert mebibytes < 100


def test_an_entity_of_entities_is_not_expanded() -> None:
    head = b'<!-- <rss> -->\n<!DOCTYPE rss [\n<!ENTITY a "x">\n<!ENTITY b "&a;&a;">\n]>'
    (entry,) = read(rss(b"<item><title>&b;</title></item>", head=head)).entries
    assert entry.title == "&b;"


@pytest.mark.parametrize("name", [name for name in EXPECTED if name.startswith("billion")])
def test_laughs_take_no_memory(name: str) -> None:
    _, mebibytes = measured((BAD / name).read_bytes())
    assert mebibytes < 50


def test_an_entity_for_a_character_is_read() -> None:
    head = b"<!DOCTYPE rss [\n<!ENTITY copy '&#169;'>\n<!ENTITY nbsp '&#160;'>\n]>"
    (entry,) = read(rss(b"<item><title>&copy;&nbsp;x</title></item>", head=head)).entries
    assert entry.title == "© x"


@pytest.mark.parametrize("name", [name for name in EXPECTED if name.startswith("external")])
def test_external_entities_are_not_read(name: str, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("hunter2")
    body = (BAD / name).read_bytes()
    body = body.replace(b"file:///etc/hostname", (tmp_path / "secret").as_uri().encode())
    assert "hunter2" not in str(read(body))


def test_space_before_the_root() -> None:
    # feedparser alone would take the square of it: hours.
    body = rss(*items(1), head=b"<?xml version='1.0'?>" + b"\n" * 1_000_000)
    assert len(read(body).entries) == 1


@pytest.mark.parametrize("depth", [20_000, pytest.param(200_000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("end", [b"</a>", b""])
def test_depth(depth: int, end: bytes) -> None:
    whole, deep = b"<item><title>whole</title></item>", b"<a>" * depth + end * depth
    assert read(rss(whole, deep)).entries[0].title == "whole"
    assert read(rss(whole, b"<item><description>", deep, b"</description></item>")).entries
    assert read(sitemap(url(1), url(2, deep))).entries[0].title == "1"


@pytest.mark.parametrize("deep", [b"[", b'{"items":[', b'{"version":"https://jsonfeed.org","a":'])
def test_depth_in_json(deep: bytes) -> None:
    assert reason(deep * 200_000) in {Reason.NOT_A_FEED, Reason.MALFORMED_FEED}


def test_of_too_many_items_the_newest_count() -> None:
    # A sitemap, since it takes a tenth of the time.
    def numbers(listed: list[bytes]) -> list[int]:
        return [int(entry.title) for entry in read(sitemap(*listed)).entries]

    dated = [url(n, day=b"2026-11-24 %02d:%02d" % divmod(n, 60)) for n in range(1440)]
    undated = [url(n) for n in range(2000, 10_600)]
    assert numbers(undated + dated) == [*range(2000, 10_560), *range(1440)]
    assert numbers(dated * 7 + undated) == [*range(1440), *range(2000, 10_560)]


@pytest.mark.slow
def test_fifty_thousand_items() -> None:
    entries = read(rss(*items(50_000))).entries
    assert sorted(int(entry.identity) for entry in entries) == list(range(40_000, 50_000))


def test_of_an_indexs_sitemaps_the_newest_count() -> None:
    listed = b"".join(
        b"<sitemap><loc>/%d.xml</loc><lastmod>%d-01-01</lastmod></sitemap>" % (year, year)
        for year in range(2000, 2100)
    )
    children = read(b"<sitemapindex>%b</sitemapindex>" % listed).children
    assert children == tuple(f"https://feeds.example/{year}.xml" for year in range(2099, 2049, -1))


class TestGzip:
    def test_a_bomb(self) -> None:
        bomb = gzip.compress(b" " * 100_000_000)
        found, mebibytes = measured(bomb)
        assert found == Reason.TOO_LARGE
        assert mebibytes < 80

    def test_what_is_just_small_enough(self) -> None:
        body = rss(*items(1))
        padded = b" " * (20_000_000 - len(body)) + body
        assert len(read(gzip.compress(padded)).entries) == 1
        assert reason(gzip.compress(b" " + padded)) is Reason.TOO_LARGE

    def test_broken(self) -> None:
        packed = bytearray(gzip.compress(rss(*items(100))))
        packed[20:40] = bytes(20)
        assert reason(bytes(packed)) is Reason.NOT_A_FEED

    def test_cut_off(self) -> None:
        packed = gzip.compress(rss(*items(1000)))
        entries = read(packed[: len(packed) // 2]).entries
        assert 0 < len(entries) < 1000


def test_a_sitemap_cut_anywhere_has_no_entry_that_is_half() -> None:
    body = sitemap(url(1), url(2), url(3))
    whole = read(body).entries
    for cut in range(body.index(b"<loc>", body.index(url(2))), len(body)):
        entries = read(body[:cut]).entries
        assert entries
        assert entries == whole[: len(entries)]
    assert reason(body[: body.index(b"</loc>")]) is Reason.MALFORMED_FEED
