"""Who wrote a page's article, who edited it, and whom it credits."""

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from worker.articles import bylines, jsonld, plain
from worker.articles.credits import Credits, agency, helped
from worker.articles.credits import read as read_credits
from worker.articles.credits import sources as split_sources
from worker.articles.head import Head, is_caption, text_of

if TYPE_CHECKING:
    from lxml.html import HtmlElement


def read(page: Head) -> Credits:
    """The authors, the editor, and the agencies that the page's head and its byline credit."""
    near = read_credits(_near(page))
    editor = near.editor or _editor(page)
    sources = [*near.sources, *_helpers(page), *_sources(page)]
    first: tuple[str, ...] = ()
    for named in _author_groups(page, near):
        group = tuple(one for one in named if one != editor)
        people = tuple(one for one in group if not _is_portal(one, page))
        agencies = [agency(one) for one in people]
        sources.extend(filter(None, agencies))
        # An agency that is named beside a paper's own signature is its source only.
        if people and not (first and all(agencies)):
            first = people
            break
        first = first or group
    return Credits(first, editor, tuple(dict.fromkeys(sources)))


def _author_groups(page: Head, near: Credits) -> Iterator[tuple[str, ...]]:
    """Who may have written the article, by one kind of evidence after the other."""
    yield near.authors
    for node in page.articles:
        yield _named(page, node.get("author"))
    for name in _AUTHOR_METAS:
        yield bylines.union(map(bylines.names, page.metas.get(name, ())))
    yield near.authors
    yield from _marked(page)
    for node in page.others:
        yield _named(page, node.get("author"))
    for node in page.articles:
        yield _named(page, node.get("creator"))


_AUTHOR_METAS = (
    "author", "article:author", "parsely-author", "sailthru.author", "dc.creator",
    "dcterms.creator", "dc.contributor", "article:author_name", "og:article:author", "byl",
    "cxenseparse:author", "articleauthor", "content_author", "mediator_author", "citation_author",
    "authors", "bt:author", "og:author", "creator", "reporter", "writer", "penulis",
)  # fmt: skip


def _named(page: Head, value: Any) -> tuple[str, ...]:
    """The people of JSON-LD's `author`; an organisation's name is one, whatever it holds."""
    return bylines.union(_names_of(page, one) for one in jsonld.values(value))


def _names_of(page: Head, value: Any) -> tuple[str, ...]:
    if not isinstance(value, dict):
        return bylines.names(value) if isinstance(value, str) else ()
    person = page.resolved(value)
    name = jsonld.text(person.get("name"), 200)
    if not name and (person.get("familyName") or person.get("givenName")):
        name = f"{jsonld.text(person.get('givenName'))} {jsonld.text(person.get('familyName'))}"
    if any(kind.endswith("Organization") for kind in jsonld.types(person)):
        return (name,) if name and not bylines.is_account(name) else ()
    return bylines.names(name)


def _editor(page: Head) -> str | None:
    for node in page.articles:
        if names := _named(page, node.get("editor")):
            return names[0]
    names = bylines.names(page.meta("editor", "content_editor"))
    return names[0] if names else None


def _is_portal(name: str, page: Head) -> bool:
    key = plain.key(name)
    if key in page.site or key.removesuffix("com") in page.site:
        return True
    # "Kompas Cyber Media" of kompas.com, "FOCUS online"
    return any(len(word) > 3 and word in page.labels for word in name.casefold().split())


_BYLINE = re.compile(
    r"(?:^|[\s_-])(?:by-?lines?|authors?|author-?names?|penulis|reporter|wartawan|pewarta|writer|"
    r"autor(?:en)?|auteur|muhabir|contributors?)(?:$|[\s_-])",
    re.IGNORECASE,
)


def _marked(page: Head) -> Iterator[tuple[str, ...]]:
    """Names in elements that are marked as an author's."""
    found: dict[str, list[tuple[str, ...]]] = {"itemprop": [], "rel": [], "class": []}
    for element in page.near:
        if "author" in element.get("itemprop", "").lower():
            found["itemprop"].append(_byline(element))
        elif "author" in element.get("rel", "").lower():
            found["rel"].append(_byline(element))
        elif _BYLINE.search(element.get("class", "")[:200]):
            found["class"].append(_byline(element))
        elif element.text and _SIGNED.match(element.text[:500]):
            found["class"].append(_own(element))
    yield bylines.union(found["itemprop"])
    yield bylines.union(found["rel"])
    # The nearest only: those behind it are of other articles.
    yield next(filter(None, found["class"]), ())


_SIGNED = re.compile(r"\s*(?:By|Von|Oleh|Por|Par|Door|Przez)\s+(?=[^\W\d_a-z])")


def _own(element: "HtmlElement") -> tuple[str, ...]:
    words = plain.line(element.text, 121)
    found = bylines.names(words) if len(words) <= 120 else ()
    return found if all(bylines.may_be_shown(one) for one in found) else ()


def _byline(element: "HtmlElement") -> tuple[str, ...]:
    if element.tag == "meta":
        return bylines.names(element.get("content", ""))
    words = text_of(element, " ", 20)
    found = bylines.names(words) if len(words) <= 120 else ()
    return found if all(bylines.may_be_shown(one) for one in found) else ()


_LABEL = re.compile(r"[:：]|^\s*(?:Reporter|Penulis|Pewarta|Editor|Redaktur|Laporan)\b")
_BARE_LABEL = re.compile(r"[:：]$|^(?:Reporter|Penulis|Pewarta|Editor|Redaktur)$")


def _near(page: Head) -> Iterator[str]:
    """The short texts near the headline that may be credits: "Penulis: X | Editor: Y"."""
    for element in page.near:
        own = element.text
        if not own or len(own) > 500 or not _LABEL.search(own) or is_caption(element):
            continue
        words = text_of(element, " ", 12)
        parent = element.getparent()
        if _BARE_LABEL.search(words) and parent is not None:
            words = text_of(parent, " ", 12)
        yield words


_MOST_NEAR = 60  # elements behind the headline that may be its byline
_LONGEST_PIECE = 80


def _helpers(page: Head) -> Iterator[str]:
    """The agencies that a byline names beside its author, in the element or behind it."""
    for element in page.behind[:_MOST_NEAR]:
        for piece, around in ((element.text, element), (element.tail, element.getparent())):
            if piece and len(piece) <= _LONGEST_PIECE and _may_be_byline(around):
                yield from helped(plain.line(piece))


def _may_be_byline(element: "HtmlElement | None") -> bool:
    """Whether it is no paragraph of the text and no caption."""
    if element is None or is_caption(element):
        return False
    return element.tag != "p" or bool(_BYLINE.search(element.get("class", "")[:200]))


def _sources(page: Head) -> Iterator[str]:
    """What a meta names as the article's source."""
    for name in ("source", "news:source", "dc.source", "content_source", "articlesource"):
        for content in page.metas.get(name, ()):
            words = plain.line(content, 120)
            if words and "://" not in words and plain.key(words) not in page.site:
                yield from split_sources(words)
