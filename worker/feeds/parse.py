"""Parse a feed document (RSS, RDF or Atom, by feedparser) into entries."""

import calendar
import hashlib
import html
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from io import BytesIO
from time import struct_time
from typing import Any
from urllib.parse import urljoin, urlsplit

import feedparser

from worker.reasons import Reason

_MAX_TEXT = 200_000  # characters of an entry's own content that are kept
_MAX_TITLE = 1_000
_LONGEST_IDENTITY = 500  # PostgreSQL indexes no more than 2,700 bytes
_LANGUAGE_TAG = re.compile(r"[A-Za-z]{2,8}([-_][A-Za-z0-9]{1,8})*")
_LONGEST_TAG = 35  # RFC 5646 section 4.4.1
_HTML = re.compile(rb"<(?:!doctype\s+html|html|head|body)\b", re.IGNORECASE)
_OPML = re.compile(rb"<opml\b", re.IGNORECASE)
_END = re.compile(rb"</(?:\w+:)?(?:rss|feed|rdf)\s*>", re.IGNORECASE)
_TAG = re.compile(r"</?[a-z][^<>]*>", re.IGNORECASE)
_REFERENCE = re.compile(rb"&#([xX]0*[0-9a-fA-F]{4}|0*[0-9]{5});")
# What no XML document may hold, and PostgreSQL's text cannot (NUL) or UTF-8 (surrogates).
_UNUSABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")


class FeedError(Exception):
    """The document is of no use as a feed; `reason` says in which way."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Entry:
    """One item of a feed, as the publisher gave it; `summary` and `content` may hold HTML.

    `identity` is the same whenever the feed lists the item; `revision` changes with its text.
    """

    identity: str
    url: str | None
    title: str
    summary: str
    content: str
    authors: tuple[str, ...]
    published_at: datetime | None
    updated_at: datetime | None
    revision: str


@dataclass(frozen=True, slots=True)
class Document:
    """A parsed feed; entries in the document's order, each identity once."""

    title: str | None
    site_url: str | None
    language: str | None
    entries: tuple[Entry, ...]


def parse(body: bytes, url: str, headers: Mapping[str, str]) -> Document:
    """Parse the document `body` that came from `url` with these response headers.

    Raises `FeedError` when it is no feed or broken beyond its first entry.
    """
    body = _REFERENCE.sub(_unless_surrogate, body)
    if not body.strip():
        raise FeedError(Reason.NOT_A_FEED, "the document is empty")
    parsed = _parse(body, headers)
    if not parsed.version:
        _refuse(body, parsed)
    items = parsed.entries
    if parsed.bozo and _is_broken(parsed):
        if not _END.search(body[-1024:]):
            items = items[:-1]  # cut off in its midst; it comes whole next time
        if not items:
            raise FeedError(Reason.MALFORMED_FEED, f"not well-formed: {parsed.bozo_exception}")
    entries: dict[str, Entry] = {}
    for item in items:
        if entry := _entry(item, url):
            entries.setdefault(entry.identity, entry)
    return Document(
        title=_title(parsed.feed) or None,
        site_url=_link(parsed.feed.get("link"), url),
        language=_language(parsed.feed.get("language")),
        entries=tuple(entries.values()),
    )


def _parse(body: bytes, headers: Mapping[str, str]) -> Any:
    # feedparser would sanitise each entry's HTML, which takes most of its time; texts are cleaned
    # once, where they are used. Nor is it told the feed's URL: it would resolve entries' ids by
    # it, and all of them would be new when the feed moves.
    try:
        return feedparser.parse(
            # A stream, since bytes may be a path to feedparser: it would open that file.
            BytesIO(body),
            response_headers={"content-type": headers.get("content-type", "")},
            sanitize_html=False,
            resolve_relative_uris=False,
        )
    except Exception as error:  # such as its UnicodeError on the charset `undefined`
        raise FeedError(
            Reason.MALFORMED_FEED, f"feedparser gave up: {type(error).__name__}: {error}"
        ) from error


def _unless_surrogate(reference: re.Match[bytes]) -> bytes:
    # Some write an emoji as a pair of them, and feedparser gives up on the whole document.
    digits = reference[1].decode().lower()
    code = int(digits[1:], 16) if digits[0] == "x" else int(digits)
    return b"" if 0xD800 <= code <= 0xDFFF else reference[0]


def _refuse(body: bytes, parsed: Any) -> None:
    if _OPML.search(body[:1024]):  # it has a head and a body too
        raise FeedError(Reason.NOT_A_FEED, "an OPML list of feeds, not a feed; add each by its URL")
    if _HTML.search(body[:1024]):
        raise FeedError(
            Reason.NOT_A_FEED, "an HTML page, not a feed; look on it for the feed's URL"
        )
    problem = parsed.get("bozo_exception")
    raise FeedError(
        Reason.NOT_A_FEED, f"no feed format: {problem}" if problem else "no feed format"
    )


def _is_broken(parsed: Any) -> bool:
    # A wrong encoding label is a bozo too, but costs nothing.
    return not isinstance(
        parsed.bozo_exception,
        feedparser.CharacterEncodingOverride | feedparser.NonXMLContentType,
    )


def _entry(item: Any, base: str) -> Entry | None:
    """The entry of `item`, None when there is nothing in it."""
    title = _title(item)
    # An id stands in for a missing link, as RSS has it, but only if it is a URL by itself.
    url = _link(item.get("link"), "" if item.get("link") == item.get("id") else base)
    summary = _plain(item.get("summary"))[:_MAX_TEXT]
    content = max(
        (_plain(part.get("value")) for part in item.get("content", ())), key=len, default=""
    )[:_MAX_TEXT]
    if not (url or title or summary or content):
        return None
    # Asked of the dict itself: feedparser answers with the time of publication in its place.
    updated = _time(dict.get(item, "updated_parsed"))
    revision = _hash(title, summary, content, updated.isoformat() if updated else "")
    return Entry(
        identity=_identity(_plain(item.get("id")) or url or _hash(title, summary, content)),
        url=url,
        title=title,
        summary=summary,
        content=content,
        authors=tuple(
            name for author in item.get("authors", ()) if (name := _text(author.get("name")))
        ),
        published_at=_time(item.get("published_parsed")) or updated,
        updated_at=updated,
        revision=revision,
    )


def _title(titled: Any) -> str:
    title = titled.get("title") or ""
    if (titled.get("title_detail") or {}).get("type") != "text/plain":
        title = html.unescape(_TAG.sub("", title))
    return _text(title)[:_MAX_TITLE]


def _identity(name: str) -> str:
    return name if len(name) <= _LONGEST_IDENTITY else _hash(name)


def _text(value: str | None) -> str:
    return " ".join(_plain(value).split())


def _plain(value: str | None) -> str:
    # NUL comes by `&#0;` in a document that is not well-formed; no database and no page shows it.
    return _UNUSABLE.sub("", value or "")


def _language(value: str | None) -> str | None:
    tag = _text(value)
    return tag if _LANGUAGE_TAG.fullmatch(tag) and len(tag) <= _LONGEST_TAG else None


def _link(value: str | None, base: str) -> str | None:
    try:
        url = urljoin(base, _plain(value).strip()) if value else ""
        return url if urlsplit(url).scheme in {"http", "https"} else None
    except ValueError:  # such as a broken IPv6 literal
        return None


def _time(value: struct_time | None) -> datetime | None:
    if value is None or value.tm_year <= 1970:  # the zero of a clock that was never set
        return None
    try:
        return datetime.fromtimestamp(calendar.timegm(value), UTC)
    except (ValueError, OverflowError, OSError):  # a year that no clock knows
        return None


def _hash(*parts: str) -> str:
    return hashlib.sha256("\x1f".join(parts).encode("utf-8", "surrogatepass")).hexdigest()
