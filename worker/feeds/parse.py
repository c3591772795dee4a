"""Parse a feed document (RSS, RDF or Atom, by feedparser) into entries."""

import calendar
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from time import struct_time
from typing import Any
from urllib.parse import urljoin, urlsplit

import feedparser

from worker.reasons import Reason

_MAX_TEXT = 200_000  # characters of an entry's own content that are kept
_LEADING_HTML = re.compile(rb"^\s*(?:<!doctype\s+html|<html)", re.IGNORECASE)


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
    # feedparser would sanitise each entry's HTML, which takes most of its time; texts are cleaned
    # once, where they are used.
    parsed = feedparser.parse(
        body,
        response_headers={
            "content-type": headers.get("content-type", ""),
            "content-location": url,
        },
        sanitize_html=False,
        resolve_relative_uris=False,
    )
    if not parsed.version:
        _refuse(body, parsed)
    if not parsed.entries and parsed.bozo and _is_broken(parsed):
        raise FeedError(Reason.MALFORMED_FEED, f"not well-formed: {parsed.bozo_exception}")
    entries: dict[str, Entry] = {}
    for item in parsed.entries:
        entry = _entry(item, url)
        entries.setdefault(entry.identity, entry)
    return Document(
        title=_text(parsed.feed.get("title")) or None,
        site_url=_link(parsed.feed.get("link"), url),
        language=parsed.feed.get("language") or None,
        entries=tuple(entries.values()),
    )


def _refuse(body: bytes, parsed: Any) -> None:
    if not body.strip():
        raise FeedError(Reason.NOT_A_FEED, "the document is empty")
    if _LEADING_HTML.match(body[:1024]):
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


def _entry(item: Any, base: str) -> Entry:
    title = _text(item.get("title"))
    url = _link(item.get("link"), base)
    summary = (item.get("summary") or "")[:_MAX_TEXT]
    content = max(
        (part.get("value") or "" for part in item.get("content", ())), key=len, default=""
    )
    content = content[:_MAX_TEXT]
    updated = _time(item.get("updated_parsed"))
    revision = _hash(title, summary, content, updated.isoformat() if updated else "")
    return Entry(
        identity=item.get("id") or url or _hash(title, summary, content),
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


def _text(value: str | None) -> str:
    return " ".join((value or "").split())


def _link(value: str | None, base: str) -> str | None:
    try:
        url = urljoin(base, (value or "").strip()) if value else ""
        return url if urlsplit(url).scheme in {"http", "https"} else None
    except ValueError:  # such as a broken IPv6 literal
        return None


def _time(value: struct_time | None) -> datetime | None:
    try:
        return datetime.fromtimestamp(calendar.timegm(value), UTC) if value else None
    except (ValueError, OverflowError, OSError):  # a year that no clock knows
        return None


def _hash(*parts: str) -> str:
    return hashlib.sha256("\x1f".join(parts).encode("utf-8", "surrogatepass")).hexdigest()
