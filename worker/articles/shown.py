"""What a page shows of its article where it declares nothing: the list of tags, the breadcrumb."""

import re
from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from worker.articles import plain
from worker.articles.head import Head, absolute, bare, text_of

if TYPE_CHECKING:
    from lxml.html import HtmlElement

_MOST_ELEMENTS = 5_000
_LONGEST = 60  # characters of a tag or a section
_TAG_PATH = re.compile(
    r"/(?:tags?|tagar|topics?|topik|topico|temas?|themen?|keywords?|etiquetas?|labels?|sujets?)/",
    re.IGNORECASE,
)
_TAG_BOX = re.compile(
    r"(?:^|[\s_-])(?:tags?|tagging|taglist|topics?|topik|temas|keywords?|etiquetas)(?:$|[\s_-])",
    re.IGNORECASE,
)
_OF_THE_SITE = re.compile(r"trend|popul|cloud|\bhot\b|menu|\bnav", re.IGNORECASE)


def tags(page: Head) -> tuple[str, ...]:
    """The links of the first list of tags behind the headline; links in the text are none."""
    found: list[str] = []
    first: HtmlElement | None = None
    for element in islice(page.following(), _MOST_ELEMENTS):
        if element.tag != "a" or not _is_tag(element):
            continue
        box = _box(element)
        if box is None:
            continue
        if first is not None and box is not first:
            break
        first = box
        if 0 < len(word := text_of(element).lstrip("#").strip()) <= _LONGEST:
            found.append(word)
    return tuple(dict.fromkeys(found))


def _is_tag(link: "HtmlElement") -> bool:
    return "tag" in link.get("rel", "").split() or bool(_TAG_PATH.search(link.get("href", "")))


def _box(link: "HtmlElement") -> "HtmlElement | None":
    """The element around a tag that is marked as a list of the article's tags."""
    for around in islice(link.iterancestors(), 5):
        name = f"{around.get('class', '')} {around.get('id', '')}"[:300]
        if _OF_THE_SITE.search(name):
            return None
        if around.tag in {"body", "article", "main"}:
            return None
        if _TAG_BOX.search(name.strip()):
            return around
    return None


def section(page: Head) -> str | None:
    """The first link of the breadcrumb that is neither the site's front page nor this page."""
    for element in page.near:
        if _is_breadcrumb(element):
            return next(_sections(element, page), None)
    return None


def _is_breadcrumb(element: "HtmlElement") -> bool:
    marks = (element.get("class", ""), element.get("id", ""), element.get("aria-label", ""))
    return any("breadcrumb" in mark.lower() for mark in marks) and element.find(".//a") is not None


def _sections(breadcrumb: "HtmlElement", page: Head) -> Iterator[str]:
    for link in islice(breadcrumb.iter("a"), 10):
        url = absolute(link.get("href", ""), page.base)
        words = text_of(link).strip(" /›»>")
        if not url or not 0 < len(words) <= _LONGEST or bare(url) == bare(page.url):
            continue
        is_front = not urlsplit(url).path.strip("/") and urlsplit(url).hostname == page.host
        if not is_front and plain.key(words) not in page.site | _HOME:
            yield words


_HOME = frozenset(
    plain.key(one)
    for one in (
        "Home", "Beranda", "Depan", "Laman Utama", "Inicio", "Portada", "Accueil", "Startseite",
        "Start", "Главная", "الرئيسية", "ホーム", "首页", "Início", "Anasayfa", "Strona główna",
    )
)  # fmt: skip
