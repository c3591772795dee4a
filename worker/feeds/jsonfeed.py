"""Read a JSON Feed, version 1.0 or 1.1 (jsonfeed.org), and what comes close to one."""

import html
import json
from typing import Any

from worker.feeds.document import Channel, FeedError, Item
from worker.reasons import Reason

_NAME = "jsonfeed.org"
_HUB_TYPES = {"websub", "pubsubhubbub", ""}  # rssCloud is another protocol


def read(text: bytes) -> Channel:
    """The feed in `text`, UTF-8. Raises `FeedError` when it is none, or no JSON."""
    feed = _load(text)
    if not _is_feed(feed):
        raise FeedError(Reason.NOT_A_FEED, "JSON, but no JSON Feed")
    return Channel(
        items=tuple(_item(item) for item in feed["items"] if isinstance(item, dict)),
        title=_text(feed, "title"),
        link=_text(feed, "home_page_url"),
        language=_text(feed, "language"),
        hubs=tuple(
            _text(hub, "url")
            for hub in _objects(feed, "hubs")
            if _text(hub, "type").lower() in _HUB_TYPES
        ),
        self_link=_text(feed, "feed_url"),
    )


def _load(text: bytes) -> Any:
    try:
        return json.loads(text, strict=False)
    except (ValueError, RecursionError) as error:
        reason = Reason.MALFORMED_FEED if _NAME.encode() in text[:2048] else Reason.NOT_A_FEED
        raise FeedError(reason, f"no valid JSON: {error}") from error


def _is_feed(feed: Any) -> bool:
    if not isinstance(feed, dict) or not isinstance(feed.get("items"), list):
        return False
    # Some leave the version out; the two URLs are nobody else's names.
    return _NAME in _text(feed, "version") or bool({"home_page_url", "feed_url"} & feed.keys())


def _item(item: dict[str, Any]) -> Item:
    content = _text(item, "content_html")
    return Item(
        guid=_id(item.get("id")),
        link=_text(item, "url") or _text(item, "external_url"),
        title=_text(item, "title"),
        summary=html.escape(_text(item, "summary"), quote=False),
        content=content or _paragraphs(_text(item, "content_text")),
        authors=tuple(
            _text(author, "name")
            # `author` is version 1.0.
            for author in _objects(item, "authors") or _objects(item, "author")
        ),
        published=_text(item, "date_published"),
        updated=_text(item, "date_modified"),
    )


def _id(value: Any) -> str:
    # It may be a number, says the specification.
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return str(value) if is_number or isinstance(value, str) else ""


def _text(value: dict[str, Any], key: str) -> str:
    found = value.get(key)
    return found if isinstance(found, str) else ""


def _objects(value: dict[str, Any], key: str) -> list[dict[str, Any]]:
    found = value.get(key)
    return [one for one in (found if isinstance(found, list) else [found]) if isinstance(one, dict)]


def _paragraphs(text: str) -> str:
    parts = (part.strip() for part in text.split("\n\n"))
    return "".join(f"<p>{html.escape(part, quote=False)}</p>" for part in parts if part)
