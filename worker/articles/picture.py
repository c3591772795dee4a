"""The picture that a page leads with, its caption and its credit."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from worker.articles import jsonld
from worker.articles.head import LONGEST_URL, Head, absolute, is_caption, text_of

if TYPE_CHECKING:
    from lxml.html import HtmlElement


@dataclass(frozen=True, slots=True)
class Image:
    """The picture that a page leads with."""

    url: str
    caption: str | None = None
    credit: str | None = None


def read(page: Head) -> Image | None:
    """The picture that the page leads with, with the caption that it stands over."""
    for url, caption, credit in _images(page):
        if found := absolute(url, page.base):
            shown, photographer = _caption(page, found)
            return Image(found, shown or caption or None, photographer or credit or None)
    return None


def _images(page: Head) -> Iterator[tuple[str, str, str]]:
    """URL, caption and credit of the pictures that are declared, then of those shown."""
    for node in page.articles:
        for one in jsonld.values(node.get("image")):
            yield _image(page, one)
    alt = page.meta("og:image:alt", "twitter:image:alt")
    for name in ("og:image", "og:image:url", "og:image:secure_url", "twitter:image", "image"):
        yield from ((url, alt, "") for url in page.metas.get(name, ()))
    yield from ((url, "", "") for url in page.links.get("image_src", ()))
    figures = (element for element in page.near if element.tag == "figure")
    for figure in figures:
        for shown in islice(figure.iter("img"), 1):
            yield shown.get("data-src") or shown.get("src") or "", "", ""


def _image(page: Head, value: object) -> tuple[str, str, str]:
    """What JSON-LD says of a picture: its URL, or an object, or another's `@id`."""
    if not isinstance(value, dict):
        return jsonld.text(value, LONGEST_URL), "", ""
    shot = page.ids.get(str(value.get("@id")), value)
    credit = jsonld.text(shot.get("creditText")) or page.named(shot.get("creator"))
    url = shot.get("url") or shot.get("contentUrl")
    return jsonld.text(url, LONGEST_URL), jsonld.text(shot.get("caption")), credit


_CREDIT = re.compile(
    r"[\s(\[.]*(?:\((?P<in>[^()]{3,80})\)|(?:(?:foto|photo|picture|bild|fotografer|credit|kredit|"
    r"image|imagen|sumber foto|source)\s?:|©|Ⓒ)\s*(?P<after>[^:]{2,80}?))[\s)\].]*$",
    re.IGNORECASE,
)
_PHOTOGRAPHER = re.compile(r"/|foto|photo|dok\.|getty|©|\.com|\.co", re.IGNORECASE)


def _caption(page: Head, url: str) -> tuple[str, str]:
    """Caption and credit under the picture, where the page shows that one near its headline."""
    name = url.partition("?")[0].rpartition("/")[2]
    captions = (element for element in page.near if is_caption(element))
    for element in islice(captions, 5):
        words = text_of(element)
        if 3 <= len(words) <= 600 and _shows(element, name):
            return _credited(words)
    return "", ""


def _shows(caption: "HtmlElement", name: str) -> bool:
    """Whether the picture over the caption is the file `name`, or the only one there."""
    parent = caption.getparent()
    for _ in range(2):
        if parent is None:
            return False
        pictures = list(islice(parent.iter("img", "amp-img", "source"), 9))
        if any(name and name in (one.get("src") or one.get("srcset") or "") for one in pictures):
            return True
        if parent.tag == "figure" or pictures:
            return bool(parent.tag == "figure")
        parent = parent.getparent()
    return False


def _credited(words: str) -> tuple[str, str]:
    match = _CREDIT.search(words[-200:])
    if not match or (match["in"] and not _PHOTOGRAPHER.search(match["in"])):
        return words, ""
    start = max(len(words) - 200, 0) + match.start()
    return words[:start].strip(" .|-–—("), (match["in"] or match["after"]).strip(" .")
