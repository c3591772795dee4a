"""What a page says of its article: JSON-LD, metas, `<time>`, bylines and written dates."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, tzinfo
from functools import cache
from itertools import islice
from types import ModuleType
from typing import TYPE_CHECKING

from lxml.etree import XPath

from worker.articles import jsonld, moments, people, picture, plain, shown
from worker.articles.credits import Credits
from worker.articles.head import LONGEST_URL, Head, absolute, bare, text_of
from worker.articles.moments import Stamp
from worker.articles.picture import Image

if TYPE_CHECKING:
    from lxml.html import HtmlElement

_MOST_TAGS = 50


@dataclass(frozen=True, slots=True)
class Pages:
    """The other parts of an article, as the page declares them."""

    next: str | None = None
    previous: str | None = None
    all: str | None = None


@dataclass(frozen=True, slots=True)
class Metadata:
    """What a page says of its article; URLs are absolute, times aware and to the minute.

    `published_at` is midnight when only a day is known; `zone_written` says whether the page named
    its zone, which is the site's otherwise. `modified_at` is never before it, and may be the same.
    `authors` never holds `editor`, and holds the publisher only where nobody else signed.
    `article_body` is JSON-LD's, with its line breaks.
    """

    title: str = ""
    site_name: str | None = None
    description: str | None = None
    authors: tuple[str, ...] = ()
    editor: str | None = None
    publisher: str | None = None
    credited_sources: tuple[str, ...] = ()
    published_at: datetime | None = None
    modified_at: datetime | None = None
    zone_written: bool = False
    section: str | None = None
    tags: tuple[str, ...] = ()
    image: Image | None = None
    language: str | None = None
    canonical_url: str | None = None
    amp_of: str | None = None
    pages: Pages = field(default_factory=Pages)
    article_body: str | None = None
    is_free: bool | None = None
    kind: str | None = None


def read(
    tree: "HtmlElement",
    raw: str,
    url: str,
    *,
    zone: tzinfo | None = None,
    now: datetime | None = None,
) -> Metadata:
    """The metadata of the page `raw` at `url`, whose parsed form is `tree` (unchanged by this).

    `zone` is what the site's times are in where none is written; without it that is guessed from
    the site's country. `now` is what "two hours ago" counts from, and no article is from after it.
    Never raises: what cannot be read is left out.
    """
    page = Head(tree, url)
    zone = zone or moments.zone_of(page.host, page.language)
    published, modified = _times(page, raw, zone, now)
    named = people.read(page)
    publisher = _publisher(page)
    return Metadata(
        title=page.headline,
        site_name=page.meta("og:site_name") or None,
        description=page.description,
        authors=named.authors,
        editor=named.editor,
        publisher=publisher,
        credited_sources=named.sources,
        published_at=published.at if published else None,
        modified_at=modified.at if modified else None,
        zone_written=bool(published and published.zoned),
        section=page.section or shown.section(page),
        tags=_tags(page),
        image=picture.read(page),
        language=page.language,
        canonical_url=page.canonical,
        amp_of=page.canonical if page.is_amp and page.canonical != url else None,
        pages=Pages(page.link("next"), page.link("prev"), _show_all(page)),
        article_body=_article_body(page),
        is_free=_is_free(page),
        kind=_kind(page),
    )


def with_credits(metadata: Metadata, found: Credits) -> Metadata:
    """`metadata` with what the lines before and behind the article's text say: they know the
    reporter where the page's JSON-LD names the editor or the paper.
    """
    editor = metadata.editor or found.editor
    authors = tuple(one for one in metadata.authors if one != editor)
    papers = {plain.key(one) for one in (metadata.publisher, metadata.site_name) if one}
    if all(plain.key(one) in papers for one in authors):
        authors = tuple(one for one in found.authors if one != editor) or authors
    sources = tuple(dict.fromkeys([*metadata.credited_sources, *found.sources]))
    return replace(metadata, authors=authors, editor=editor, credited_sources=sources)


def _publisher(page: Head) -> str | None:
    for name in (*page.publishers, page.meta("publisher", "dc.publisher")):
        if name and "://" not in name:
            return str(name.lstrip("@"))
    return None


def _tags(page: Head) -> tuple[str, ...]:
    found: list[str] = []
    for node in page.articles:
        for one in jsonld.values(node.get("keywords")):
            word = jsonld.text(one)
            found.extend(word.split(",") if isinstance(one, str) else [word])
    found.extend(page.metas.get("article:tag", ()))
    for name in ("parsely-tags", "news_keywords", "keywords", "content_tag"):
        if not any(found):
            found.extend(",".join(page.metas.get(name, ())).split(","))
    if not any(found):
        found.extend(shown.tags(page))
    kept = {plain.key(one): one for one in map(plain.line, found) if 0 < len(one) <= 80}
    return tuple(kept.values())[:_MOST_TAGS]


def _article_body(page: Head) -> str | None:
    for node in page.articles:
        for one in jsonld.values(node.get("articleBody")):
            if isinstance(one, str) and one.strip():
                lines = (plain.line(part, len(part)) for part in one.splitlines())
                return "\n".join(lines).strip() or None
    return None


def _is_free(page: Head) -> bool | None:
    for node in page.articles:
        for one in jsonld.values(node.get("isAccessibleForFree")):
            word = str(one).rsplit("/", 1)[-1].strip().lower()
            if word in {"true", "false"}:
                return word == "true"
    return None


def _kind(page: Head) -> str | None:
    for node in page.articles or page.others:
        if found := jsonld.types(node):
            return found[0]
    for node in page.nodes:
        if "ItemList" in jsonld.types(node):
            return "ItemList"
    return page.meta("og:type") or None


# -- Dates

_PUBLISHED = (
    "article:published_time", "article:published", "og:published_time", "og:article:published_time",
    "datepublished", "content_publisheddate", "parsely-pub-date", "sailthru.date",
    "cxenseparse:recs:publishtime", "cxenseparse:publishtime", "date", "pubdate", "publishdate",
    "publish-date", "publish_date", "published", "publisheddate", "published-date",
    "published_time", "publishtime", "publication_date", "publicationdate", "dc.date.issued",
    "dcterms.issued", "dc.date", "dcterms.date", "dc.date.created", "dcterms.created",
    "datecreated", "article.published", "article.created", "article_date_original", "bt:pubdate",
    "originalpublicationdate", "iso-8601-publish-date", "mediator_published_time",
    "citation_publication_date", "citation_online_date", "rnews:datepublished",
    "vr:published_time", "created", "timestamp", "publish_time", "firstpublished", "pdate",
)  # fmt: skip
_MODIFIED = (
    "article:modified_time", "article:modified", "og:updated_time", "datemodified",
    "content_lastupdate", "content_modifieddate", "parsely-mod-date", "dcterms.modified",
    "dc.date.modified", "last-modified", "lastmod", "modified", "article:updated_time",
    "revised", "updated",
)  # fmt: skip


def _times(
    page: Head, raw: str, zone: tzinfo | None, now: datetime | None
) -> tuple[Stamp | None, Stamp | None]:
    """When the article was published and when changed."""

    def read(value: object) -> Stamp | None:
        return moments.read(value, zone=zone, language=page.language, now=now)

    published = moments.best(map(read, _published(page)))
    modified = moments.best(map(read, _modified(page)))
    if published is None and modified is None:
        published = _guessed(raw, page.url, zone)
    if published is None:
        return modified, None
    # A date of change before that of publication is the draft's.
    changed = modified and modified.at >= published.at
    return published, modified if changed else None


def _published(page: Head) -> Iterator[object]:
    """What may say when the article was published, the surest first."""
    for names in (("datePublished",), ("uploadDate", "dateCreated")):
        for node in page.articles:
            for name in names:
                yield from jsonld.values(node.get(name))
    for node in page.others:
        yield from jsonld.values(node.get("datePublished"))
    for name in _PUBLISHED:
        yield from page.metas.get(name, ())
    yield from _shown(page)


def _modified(page: Head) -> Iterator[object]:
    for node in (*page.articles, *page.others):
        yield from jsonld.values(node.get("dateModified"))
    for name in _MODIFIED:
        yield from page.metas.get(name, ())
    for element in page.times:
        if "modified" in element.get("itemprop", "").lower():
            yield element.get("datetime") or text_of(element)


_DIGIT = re.compile(r"\d")


def _shown(page: Head) -> Iterator[str]:
    """Dates that the page shows: `<time>` that is marked, then whatever is nearest to the headline,
    then the first `<time>`.
    """
    for element in page.times:
        if "datepublished" in element.get("itemprop", "").lower() or "pubdate" in element.attrib:
            yield from _time(element)
    for element in _by_distance(page):
        if element.tag == "time":
            yield from _time(element)
        elif element.tag != "a":
            words = text_of(element, most=12)
            if 6 <= len(words) <= 100 and _DIGIT.search(words):
                yield words
    for element in page.times[:1]:
        yield from _time(element)


def _by_distance(page: Head) -> list["HtmlElement"]:
    """The elements near the headline; those right before it before those far behind."""
    return [*page.behind[:15], *page.before, *page.behind[15:]]


def _time(element: "HtmlElement") -> Iterator[str]:
    if "modified" not in element.get("itemprop", "").lower():
        yield element.get("datetime", "")
        yield text_of(element)


_PATH_DATE = re.compile(r"/((?:19|20)\d\d)[/-]?(\d\d)[/-]?(\d\d)(?!\d)")
_LARGEST_GUESS = 60_000  # characters of a page that the last resort sees


def _guessed(raw: str, url: str, zone: tzinfo | None) -> Stamp | None:
    """A day that the address names, or one that htmldate finds."""
    match = _PATH_DATE.search(url[:LONGEST_URL])
    if match and (day := moments.read("-".join(match.groups()), zone=zone)):
        return day
    # What it is shown is cut, since nothing can end it: 1.5 s for some pages of 150 KB.
    try:
        found = _htmldate().find_date(
            raw[:_LARGEST_GUESS], extensive_search=False, original_date=True
        )
    except Exception:  # noqa: BLE001 - whatever breaks it, the page has no date then
        return None
    # A month that it cannot read is January to it.
    return moments.read(found, zone=zone) if found and not found.endswith("-01-01") else None


@cache
def _htmldate() -> ModuleType:
    """The library, loaded with the first page that names no date: it takes 0.1 s."""
    import htmldate

    return htmldate


_WHOLE = frozenset(
    plain.key(one)
    for one in (
        "Semua Halaman", "Tampilkan Semua", "Lihat Semua Halaman", "Selengkapnya Semua", "All",
        "Show all", "View all pages", "Single page", "View as single page", "Auf einer Seite lesen",
        "Alles auf einer Seite", "Artikel auf einer Seite lesen", "Afficher en une page",
    )
)  # fmt: skip


_TO_ALL = XPath(
    "descendant::a[contains(@href, 'all') or contains(@href, 'All') or contains(@href, 'komplett')]"
)


def _show_all(page: Head) -> str | None:
    """A link to the article on one page: with such words, and to the same path."""
    here = bare(page.url)
    for element in islice(_TO_ALL(page.root), 200):
        url = absolute(element.get("href", ""), page.base)
        if (
            url
            and bare(url).startswith(here)
            and (plain.key(text_of(element)) in _WHOLE or "page=all" in url)
        ):
            return url
    return None
