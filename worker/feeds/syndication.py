"""Read RSS, RDF and Atom, by feedparser."""

import html
import re
from dataclasses import replace
from io import BytesIO
from typing import Any
from xml.sax import SAXException
from xml.sax.expatreader import ExpatParser

import feedparser.api

from worker.feeds.document import Channel, FeedError, Item
from worker.reasons import Reason

_HTML = re.compile(rb"<(?:!doctype\s+html|html|head|body)\b", re.IGNORECASE)
_OPML = re.compile(rb"<opml\b", re.IGNORECASE)
_END = re.compile(rb"</(?:\w+:)?(?:rss|feed|rdf)\s*>", re.IGNORECASE)
_TAG = re.compile(r"</?[a-z][^<>]*>", re.IGNORECASE)
# References to what XML has no place for: controls, surrogates (some write an emoji as a pair of
# them), U+FFFE and U+FFFF. Each would make the document malformed.
_UNUSABLE = re.compile(
    rb"&#(?:[xX]0*(?:[0-8bBcCeEfF]|1[0-9a-fA-F]|[dD][89a-fA-F][0-9a-fA-F]{2}|[fF]{3}[eEfF])"
    rb"|0*(?:[0-8]|1[124-9]|2[0-9]|3[01]|5529[6-9]|55[3-9]\d\d|56\d{3}|57[0-2]\d\d|573[0-3]\d"
    rb"|5734[0-3]|6553[45]))(?![0-9a-fA-F]);?"
)
_FIRST_TAG = re.compile(rb"<\w")
_BLANK = re.compile(rb"\s{2,}")
_ENTITY = re.compile(rb"<!ENTITY[^>]*>")
_LONGEST_ENTITY = 32  # characters; `&a;` often enough would fill the memory with more
_LONGEST_DECLARATION = 100
_LONGEST_HINT = 86_400  # seconds; some give seconds where minutes belong
_NUMBER = re.compile(r"\s*(\d{1,9}(?:\.\d{1,9})?)")
_PERIODS = {"hour": 3600, "da": 86_400, "week": 604_800, "month": 2_592_000, "year": 31_536_000}
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_MAX_HUBS = 10


def read(text: bytes) -> Channel:
    """The feed in `text`, UTF-8. Raises `FeedError` when it is none, or broken beyond its first
    item.
    """
    text = _tame(text)
    parsed = _parse(text)
    if not parsed.get("version"):
        _refuse(text, parsed)
    items = parsed.entries
    is_complete = True
    if parsed.bozo:
        is_complete = _END.search(text[-1024:]) is not None
        if not is_complete:
            items = items[:-1]  # cut off in its midst; it comes whole next time
        if not items:
            raise FeedError(Reason.MALFORMED_FEED, f"not well-formed: {parsed.bozo_exception}")
    return replace(_channel(text, parsed.feed, items), complete=is_complete)


def _tame(text: bytes) -> bytes:
    text = _UNUSABLE.sub(b"", text)
    root = _FIRST_TAG.search(text)
    start = root.start() if root else len(text)
    if start < _LONGEST_DECLARATION:
        return text
    # feedparser's time grows with the square of the white space before the root, and it expands
    # entities of any length.
    head = _BLANK.sub(b"\n", text[:start])
    return _ENTITY.sub(_unless_long, head) + text[start:]


def _unless_long(declaration: re.Match[bytes]) -> bytes:
    return declaration[0] if len(declaration[0]) <= _LONGEST_DECLARATION else b""


class _Expat(ExpatParser):
    """The standard library's, but faster, and without entities that grow."""

    def reset(self) -> None:
        super().reset()
        parser: Any = self._parser  # type: ignore[attr-defined]
        # Text in one piece, not one for each entity: escaped HTML is parsed in half the time.
        parser.buffer_text = True
        parser.EntityDeclHandler = _check_entity


def _check_entity(name: str, _parameter: int, value: str | None, *_: str | None) -> None:
    if value is None or len(value) > _LONGEST_ENTITY or "&" in value:
        raise SAXException(f"the entity {name} is not to be trusted")


def create_parser() -> ExpatParser:
    """What makes this module a driver of xml.sax: feedparser asks for a parser here."""
    return _Expat()


feedparser.api.PREFERRED_XML_PARSERS.insert(0, __name__)


def _parse(text: bytes) -> Any:
    # feedparser would sanitise each entry's HTML, which takes most of its time; texts are cleaned
    # once, where they are used. Nor is it told the feed's URL: it would resolve entries' ids by
    # it, and all of them would be new when the feed moves.
    try:
        return feedparser.parse(
            # A stream, since bytes may be a path to feedparser: it would open that file.
            BytesIO(text),
            response_headers={"content-type": "application/xml; charset=utf-8"},
            sanitize_html=False,
            resolve_relative_uris=False,
        )
    except Exception as error:
        raise FeedError(
            Reason.MALFORMED_FEED, f"feedparser gave up: {type(error).__name__}: {error}"
        ) from error


def _refuse(text: bytes, parsed: Any) -> None:
    if _OPML.search(text[:1024]):  # it has a head and a body too
        raise FeedError(Reason.NOT_A_FEED, "an OPML list of feeds, not a feed; add each by its URL")
    if _HTML.search(text[:1024]):
        raise FeedError(
            Reason.NOT_A_FEED, "an HTML page, not a feed; look on it for the feed's URL"
        )
    problem = parsed.get("bozo_exception")
    raise FeedError(
        Reason.NOT_A_FEED, f"no feed format: {problem}" if problem else "no feed format"
    )


def _channel(text: bytes, feed: Any, items: list[Any]) -> Channel:
    asks = "skiphours" in feed or "skipdays" in feed
    return Channel(
        items=tuple(_item(item) for item in items),
        title=_title(feed),
        link=_text(feed, "link"),
        language=_text(feed, "language"),
        hint_seconds=_hint_seconds(feed),
        skip_hours=_skip_hours(text) if asks else (),
        skip_days=_skip_days(text) if asks else (),
        hubs=_links(feed, "hub")[:_MAX_HUBS],
        self_link=next(iter(_links(feed, "self")), ""),
    )


def _item(item: Any) -> Item:
    guid, link = _text(item, "id"), _text(item, "link")
    # A guid stands in for a missing link, as RSS has it, but only if it is a URL by itself.
    if link == guid and not guid.lower().startswith(("http://", "https://")):
        link = ""
    return Item(
        guid=guid,
        link=link,
        title=_title(item),
        summary=_text(item, "summary"),
        content=max((_text(part, "value") for part in _list(item, "content")), key=len, default=""),
        authors=tuple(_text(author, "name") for author in _list(item, "authors")),
        published=_text(item, "published") or _text(item, "created"),
        updated=_text(item, "updated"),
    )


def _title(titled: Any) -> str:
    title = _text(titled, "title")
    detail = dict.get(titled, "title_detail")
    if isinstance(detail, dict) and _text(detail, "type") == "text/plain":
        return title
    return html.unescape(_TAG.sub("", title))


# Asked of the dict itself: feedparser's own `get` takes long, and answers with the time of
# publication for that of an update. Any tag of a publisher's can become a key with a value of any
# type, such as `<authors>`.
def _text(fields: Any, key: str) -> str:
    value = dict.get(fields, key)
    return value if isinstance(value, str) else ""


def _list(fields: Any, key: str) -> list[Any]:
    value = dict.get(fields, key)
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _links(feed: Any, rel: str) -> tuple[str, ...]:
    return tuple(
        href
        for link in _list(feed, "links")
        if rel in _text(link, "rel").split() and (href := _text(link, "href"))
    )


def _hint_seconds(feed: Any) -> float | None:
    """How long the publisher asks to be left alone: `<ttl>` in minutes, or the syndication
    module's period by its frequency (web.resource.org/rss/1.0/modules/syndication).
    """
    period, often = _text(feed, "sy_updateperiod"), _number(_text(feed, "sy_updatefrequency"))
    # By their first letters: `dayly`, `hour` and `Monthly` occur. `always` asks for nothing.
    seconds = [
        seconds for name, seconds in _PERIODS.items() if period.strip().lower().startswith(name)
    ]
    hint = max(_number(_text(feed, "ttl")) * 60, *(each / (often or 1) for each in seconds), 0)
    return min(hint, _LONGEST_HINT) or None


def _number(text: str) -> float:
    match = _NUMBER.match(text)
    return float(match[1]) if match else 0


# feedparser keeps but the last of hours and days.
def _skip_hours(text: bytes) -> tuple[int, ...]:
    said = [int(hour) for hour in _listed(text, b"skipHours", b"hour") if hour.isdecimal()]
    hours = {hour % 24 for hour in said if hour <= 24}  # 24 is midnight
    return tuple(sorted(hours)) if len(hours) < 24 else ()


def _skip_days(text: bytes) -> tuple[int, ...]:
    names = {day[:3].lower() for day in _listed(text, b"skipDays", b"day")}
    days = [number for number, name in enumerate(_DAYS) if name in names]
    return tuple(days) if len(days) < 7 else ()


def _listed(text: bytes, parent: bytes, child: bytes) -> list[str]:
    block = re.search(rb"<%b\s*>(.*?)</%b\s*>" % (parent, parent), text, re.IGNORECASE | re.DOTALL)
    pattern = rb"<%b\s*>\s*(\w{1,9})\s*</" % child
    found = re.findall(pattern, block[1], re.IGNORECASE) if block else []
    return [value.decode(errors="replace") for value in found]
