"""Read a sitemap (sitemaps.org): the articles of a Google News sitemap, or an index's sitemaps.

News tags: https://developers.google.com/search/docs/crawling-indexing/sitemaps/news-sitemap
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from io import BytesIO
from typing import Any

from lxml import etree

from worker.feeds import dates
from worker.feeds.document import Channel, FeedError, Item
from worker.reasons import Reason

_MAX_CHILDREN = 50  # of an index's; some list one for each month since 1999
_NEWS = b"sitemap-news"  # of the tags' namespace
_END = re.compile(rb"</(?:\w+:)?(?:urlset|sitemapindex)\s*>", re.IGNORECASE)
_LONG_AGO = datetime.min.replace(tzinfo=UTC)


def read(text: bytes) -> Channel:
    """The sitemap in `text`, UTF-8; a URL without news tags is no news and is left out.

    Raises `FeedError` when there is no news at all in it, or when it is broken before the first.
    """
    found = list(_elements(text))
    if not (is_complete := _END.search(text[-1024:]) is not None):
        found = found[:-1]  # cut off in its midst; it comes whole next time
        if not found:
            raise FeedError(Reason.MALFORMED_FEED, "a sitemap that breaks off before its first URL")
    news = [one for one in found if "news" in one]
    children = [one for one in found if "sitemap" in one]
    # One that declares the tags may have no news just now: only those of two days stay in it.
    if not (news or children) and found and _NEWS not in text[:4096]:
        raise FeedError(Reason.NOT_A_FEED, "a sitemap without news; there is nothing to follow")
    return Channel(
        items=tuple(_item(one) for one in news),
        title=_first(news, "name"),
        language=_first(news, "language"),
        children=_newest(children),
        complete=is_complete,
    )


def _elements(text: bytes) -> Iterator[dict[str, str]]:
    """Each URL's or sitemap's texts by the names of their tags."""
    try:
        for _, element in etree.iterparse(
            BytesIO(text),
            tag=("{*}url", "{*}sitemap"),
            encoding="utf-8",
            recover=True,
            resolve_entities=False,
            no_network=True,
        ):
            yield _texts(element)
            element.clear()
    except etree.XMLSyntaxError:  # beyond recovery; what came before it counts
        return


def _texts(element: Any) -> dict[str, str]:
    found = {_name(element): ""}
    for child in element.iter():
        if child.getparent() is element or _name(child.getparent()) in {"news", "publication"}:
            found.setdefault(_name(child), "".join(child.itertext()).strip())
    return found


def _name(element: Any) -> str:
    tag = element.tag
    return tag.rpartition("}")[2].lower() if isinstance(tag, str) else ""


def _item(news: dict[str, str]) -> Item:
    return Item(
        link=news.get("loc", ""),
        title=news.get("title", ""),
        published=news.get("publication_date", ""),
        updated=news.get("lastmod", ""),
    )


def _first(found: list[dict[str, str]], name: str) -> str:
    return next((one[name] for one in found if one.get(name)), "")


def _newest(children: list[dict[str, str]]) -> tuple[str, ...]:
    newest = sorted(
        children, key=lambda one: dates.read(one.get("lastmod", "")) or _LONG_AGO, reverse=True
    )
    return tuple(one["loc"] for one in newest if one.get("loc"))[:_MAX_CHILDREN]
