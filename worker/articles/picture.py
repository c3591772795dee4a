"""The picture that a page leads with, its caption and its credit."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from worker.articles import jsonld, plain
from worker.articles.credits import agency
from worker.articles.head import LONGEST_URL, Head, absolute, is_caption

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
            said, signed = _credited([caption], page)
            return Image(found, shown or said or None, photographer or credit or signed or None)
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


def _caption(page: Head, url: str) -> tuple[str, str]:
    """Caption and credit under the picture, where the page shows that one near its headline."""
    name = url.partition("?")[0].rpartition("/")[2]
    captions = (element for element in page.near if is_caption(element))
    for element in islice(captions, 5):
        lines = _lines(element)
        if 3 <= sum(map(len, lines)) <= 600 and _shows(element, name):
            return _credited(lines, page)
    return "", ""


def _lines(element: "HtmlElement") -> list[str]:
    """The element's lines, as `<br>` and blocks part them."""
    lines = [""]
    for one in islice(element.iter(), 100):
        if one is not element and one.tag in {"br", "p", "div"}:
            lines.append("")
        lines[-1] += (one.text or "")[:2_000] if isinstance(one.tag, str) else ""
        for closed in _closed_by(one, element):
            if closed.tag in {"p", "div"}:
                lines.append("")
            lines[-1] += (closed.tail or "")[:2_000]
    return list(filter(None, map(plain.line, lines)))


def _closed_by(last: "HtmlElement", root: "HtmlElement") -> "Iterator[HtmlElement]":
    """The elements within `root` that end where `last`, read in their order, does."""
    element: HtmlElement | None = last
    if len(last):
        return
    while element is not None and element is not root:
        yield element
        if element.getnext() is not None:
            return
        element = element.getparent()


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


# -- Credits, as captions give them

_WITHIN = 200  # characters from the end of a caption
_KINDS = (
    "foto|fotos|photo|photos|photograph|photographs|photography|picture|pictures|pic|pics|bild|"
    "bilder|image|images|imagen|imágenes|gambar|фото|снимок|صورة|写真"
)
_LABEL = (
    rf"(?:(?:{_KINDS})(?: (?:by|oleh|de|par|von))?|sumber foto|fotografer|credits?|kredit|crédit|"
    r"crédit photo|crédito|fotoğraf|source|sumber|quelle|fuente)\s*[:：]|©|Ⓒ|"
    rf"(?:{_KINDS}) (?:by|oleh|von)\s"
)
_SIGNED = rf"(?:{_LABEL})\s*(?P<credit>[^:：]{{2,80}})$"
_LABELLED = re.compile(rf"(?<=\W){_SIGNED}", re.IGNORECASE)
_LABELLED_WHOLE = re.compile(rf"^{_SIGNED}", re.IGNORECASE)
_LABEL_FIRST = re.compile(rf"(?:{_LABEL})\s*", re.IGNORECASE)
_BRACKETED = re.compile(r"[(（\[](?P<credit>[^()（）\[\]]{2,80})[)）\]]\s*\.?$")
_DASHED = re.compile(r"\s[-–—]{1,2}\s?(?P<credit>[^-–—]{2,80})$")
_KIND_FIRST = re.compile(rf"(?:{_KINDS})\s+\w", re.IGNORECASE)
_SLASHED = re.compile(r"\s/\s(?P<credit>[^/:]{3,60})$")
_BEHIND_A_SENTENCE = re.compile(r"[.!?…][\"'”’»]?\s+(?P<credit>[^.!?…]{1,60}/[^!?…]{2,60})$")
_PHOTOGRAPHER = re.compile(r"/|foto|photo|dok\.|getty|©|\.com|\.co|(?:撮影|提供)$", re.IGNORECASE)
_DATE = re.compile(r"\d\s?[/.-]\s?\d")
_MOST_WORDS = 7  # of a name, or of "Photo:" and a name


def _credited(lines: list[str], page: Head) -> tuple[str, str]:
    """Caption and credit; the credit may have a line of its own."""
    for at in (0, -1) if len(lines) > 1 else ():
        if _is_credit_line(lines[at]):
            others = lines[1:] if at == 0 else lines[:-1]
            return " ".join(others), _signature(lines[at])
    words = " ".join(lines)
    for start, credit in _endings(words, page):
        caption = words[:start].rstrip(" |/-–—·(（[")
        return _unlabelled(caption), _signature(credit)
    return _unlabelled(words), ""


def _endings(words: str, page: Head) -> Iterator[tuple[int, str]]:
    """Where a credit at the end of a caption starts, and the credit; the likeliest first."""
    before = max(0, len(words) - _WITHIN)
    end = words[before:]
    for form, is_credit in (
        (_LABELLED, lambda credit: len(credit.split()) <= _MOST_WORDS),
        (_BRACKETED, lambda credit: _is_bracketed(credit, page)),
        (_LABELLED_WHOLE, lambda credit: len(credit.split()) <= _MOST_WORDS),
        (_DASHED, lambda credit: bool(_KIND_FIRST.match(credit) or agency(credit))),
        (_BEHIND_A_SENTENCE, lambda credit: _is_name(credit.partition("/")[0])),
        (_SLASHED, _is_name),
    ):
        match = form.search(end)
        if match and is_credit(match["credit"]) and not _DATE.search(match["credit"]):
            start = match.start("credit") if form is _BEHIND_A_SENTENCE else match.start()
            yield before + start, match["credit"]


def _is_bracketed(credit: str, page: Head) -> bool:
    """Whether words in brackets are a credit: a photographer, an agency, or the site itself."""
    if _PHOTOGRAPHER.search(credit) or _LABEL_FIRST.match(credit) or agency(credit):
        return True
    key = plain.key(credit)
    names = [f" {name.casefold()} " for name in page.publishers]
    return key in page.site or any(f" {credit.casefold().strip()} " in name for name in names)


def _is_credit_line(line: str) -> bool:
    if len(line.split()) > _MOST_WORDS or _DATE.search(line):
        return False
    first, slash, _ = line.partition("/")
    return bool(_LABEL_FIRST.match(line) or agency(line) or (slash and _is_name(first)))


def _is_name(words: str) -> bool:
    """Whether all words are written as names are, "de" and such aside."""
    parts = words.split()
    return 0 < len(parts) <= 5 and all(one[:1].isupper() or len(one) <= 3 for one in parts)


_OPENED = re.compile(r"[(（\[]")
_INITIALS_END = re.compile(r"/\w{2,4}\.$")  # "ANTARA FOTO/Galih Saputra/foc."


def _signature(credit: str) -> str:
    """A credit without its label and full stop."""
    credit = _unlabelled(credit.strip(" (（[|-–—"))
    credit = credit if _INITIALS_END.search(credit) else credit.rstrip(" .")
    return credit if _OPENED.search(credit) else credit.rstrip(" )）]")


def _unlabelled(words: str) -> str:
    label = _LABEL_FIRST.match(words)
    return words[label.end() :].strip() if label else words.strip()
