"""Parse a feed's document into entries: RSS, RDF, Atom, JSON Feed, or a Google News sitemap."""

import re
import zlib
from collections.abc import Callable, Mapping
from urllib.parse import urljoin, urlsplit

from worker.feeds import charset, dates, identity, jsonfeed, sitemap, syndication
from worker.feeds.document import Channel, Document, Entry, FeedError, Item
from worker.feeds.identity import IdentityBy, Marks, digest
from worker.reasons import Reason

__all__ = ["Document", "Entry", "FeedError", "IdentityBy", "parse"]

_MAX_ENTRIES = 10_000  # of a document, the newest
_MAX_TEXT = 200_000  # characters of an entry's own content that are kept
_MAX_TITLE = 1_000
_MAX_UNPACKED = 20_000_000  # bytes; a news sitemap has 1,000 URLs at most
_GZIP = b"\x1f\x8b"
_LANGUAGE_TAG = re.compile(r"[A-Za-z]{2,8}([-_][A-Za-z0-9]{1,8})*")
_LONGEST_TAG = 35  # RFC 5646 section 4.4.1
_ROOT = re.compile(
    rb"(?>\s+|<\?.*?\?>|<!--.*?-->|<!DOCTYPE[^>\[]*(?:\[[^\]]*\]\s*)?>)*+<(?:[\w.-]+:)?([\w.-]+)",
    re.DOTALL | re.IGNORECASE,
)
_LEADING = re.compile(rb"(?:\s|\xef\xbb\xbf)++")  # the second is a byte order mark
_HEAD = 4_096  # bytes in which the root element is looked for
_CONTROLS = bytes([*range(9), 11, 12, *range(14, 32)])  # that no XML document may hold
# What PostgreSQL's text cannot hold (NUL) or UTF-8 (surrogates), and no page shows.
_UNUSABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")
_USABLE = re.compile("[\t\n\r -~\x80-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]*+")


def parse(
    body: bytes, url: str, headers: Mapping[str, str], *, identity_by: IdentityBy | None = None
) -> Document:
    """Parse the document `body` that came from `url` with these response headers.

    `identity_by` is how the feed's entries were told apart before; it is kept, and chosen when it
    is None. Of more than 10,000 entries the newest are taken. Raises `FeedError` when it is no
    feed, or broken beyond its first entry.
    """
    text = charset.to_utf8(_unpacked(body), headers.get("content-type", ""))
    text = text.translate(None, _CONTROLS)
    if leading := _LEADING.match(text):
        text = text[leading.end() :]
    if not text:
        raise FeedError(Reason.NOT_A_FEED, "the document is empty")
    return _document(_reader(text)(text), url, identity_by)


def _unpacked(body: bytes) -> bytes:
    """`body`, or what is in it if it is a gzip file, as sitemaps often are."""
    if not body.startswith(_GZIP):
        return body
    try:
        unpacked = zlib.decompressobj(wbits=31).decompress(body, _MAX_UNPACKED + 1)
    except zlib.error as error:
        raise FeedError(Reason.NOT_A_FEED, f"no feed format: broken gzip: {error}") from error
    if len(unpacked) > _MAX_UNPACKED:
        raise FeedError(Reason.TOO_LARGE, f"over {_MAX_UNPACKED:,} bytes when unpacked")
    return unpacked


def _reader(text: bytes) -> Callable[[bytes], Channel]:
    if text[:1] in b"{[":
        return jsonfeed.read
    root = _ROOT.match(text[:_HEAD])
    is_sitemap = root and root[1].lower() in {b"urlset", b"sitemapindex"}
    return sitemap.read if is_sitemap else syndication.read


def _document(channel: Channel, url: str, identity_by: IdentityBy | None) -> Document:
    language = _language(channel.language)
    told = [(marks, item) for item in channel.items if (marks := _marks(item, url))]
    by = identity_by or identity.choose([marks for marks, _ in told])
    names = identity.identities([marks for marks, _ in told], by) if by else ()
    site_url = _link(channel.link, url)
    # Some have no pages of their own, and link all entries to the site: they are told for
    # themselves, not taken for one article.
    is_everybodys = sum(marks.link == site_url for marks, _ in told) > 1
    entries: dict[str, Entry] = {}
    for name, (marks, item) in zip(names, told, strict=True):
        if name not in entries:
            link = None if is_everybodys and marks.link == site_url else marks.link
            entries[name] = _entry(name, marks, item, link, language)
    return Document(
        title=_text(channel.title)[:_MAX_TITLE].rstrip() or None,
        site_url=site_url,
        language=language,
        entries=_newest(tuple(entries.values())),
        identity_by=by,
        hint_seconds=channel.hint_seconds,
        skip_hours=channel.skip_hours,
        skip_days=channel.skip_days,
        hub_urls=_links(channel.hubs, url),
        self_url=_link(channel.self_link, url),
        children=_links(channel.children, url),
        complete=channel.complete,
    )


def _marks(item: Item, base: str) -> Marks | None:
    """What `item` is told by, cleaned; None when there is nothing in it."""
    marks = Marks(
        guid=_plain(item.guid) or None,
        link=_link(item.link, base),
        title=_text(item.title)[:_MAX_TITLE].rstrip(),
        summary=_plain(item.summary[:_MAX_TEXT]),
        content=_plain(item.content[:_MAX_TEXT]),
    )
    return marks if marks.link or marks.title or marks.summary or marks.content else None


def _entry(name: str, marks: Marks, item: Item, link: str | None, language: str | None) -> Entry:
    updated = dates.read(item.updated, language)
    return Entry(
        identity=name,
        url=link,
        title=marks.title,
        summary=marks.summary,
        content=marks.content,
        authors=tuple(name for author in item.authors if (name := _text(author))),
        published_at=dates.read(item.published, language) or updated,
        updated_at=updated,
        # The time of the update was the last part; so most entries that are stored keep theirs.
        revision=digest(marks.title, marks.summary, marks.content, ""),
    )


def _newest(entries: tuple[Entry, ...]) -> tuple[Entry, ...]:
    """The newest 10,000 in the document's order, the undated being the oldest."""
    if len(entries) <= _MAX_ENTRIES:
        return entries
    ages = sorted(
        range(len(entries)),
        key=lambda n: -e.timestamp() if (e := entries[n].published_at) else 0,
    )
    return tuple(entries[n] for n in sorted(ages[:_MAX_ENTRIES]))


def _text(value: str) -> str:
    return " ".join(_plain(value).split())


def _plain(value: str) -> str:
    # Most texts need nothing, which is seen in half the time that replacing takes.
    return value if _USABLE.fullmatch(value) else _UNUSABLE.sub("", value)


def _language(value: str) -> str | None:
    tag = _text(value)
    return tag if _LANGUAGE_TAG.fullmatch(tag) and len(tag) <= _LONGEST_TAG else None


def _links(values: tuple[str, ...], base: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(link for value in values if (link := _link(value, base))))


def _link(value: str, base: str) -> str | None:
    if not value:
        return None
    try:
        url = urljoin(base, _plain(value).strip())
        parts = urlsplit(url)
    except ValueError:  # such as a broken IPv6 literal
        return None
    return url if parts.scheme in {"http", "https"} and parts.netloc else None
