"""From a page's bytes to its tree."""

import re
from functools import cache
from types import ModuleType

from lxml.etree import ElementDefaultClassLookup, ParserError
from lxml.html import (
    HtmlComment,
    HtmlElement,
    HtmlEntity,
    HTMLParser,
    HtmlProcessingInstruction,
    document_fromstring,
)
from w3lib.encoding import html_body_declared_encoding, resolve_encoding

from worker.articles.page import Page

_START = 1_000  # bytes that tell what a body is
_BINARY = (b"%PDF-", b"\x89PNG", b"GIF8", b"\xff\xd8\xff", b"PK\x03\x04", b"\x1f\x8b")
_INVALID = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_DECLARATION = re.compile(
    r"<\?xml[^<>]{0,300}>|<\s?!\s?doctype[^<>/]{0,300}/[^<>]{0,300}>", re.IGNORECASE
)
_UNSEEN = re.compile(r"<(/?)(script|style|svg)(?=[\s>/])([^<>]{0,500})", re.IGNORECASE)
_TEXT_IN_SVG = ("<p>", "<p ", "<h1", "<h2", "<article", "<section", "<div")


def is_html(body: bytes) -> bool:
    """Whether a body may be HTML. JSON and PDF are not, whatever their headers say."""
    start = body[:_START].lstrip()
    if start.startswith(_BINARY):
        return False
    return not start.startswith((b"{", b"[")) or b"<" in start


def decode(page: Page) -> str | bytes:
    """The text of a page; its bytes, for the parser to guess, where no encoding fits."""
    # Valid UTF-8 wins over the label: what decodes as UTF-8 by accident is as good as never. The
    # labels are read as browsers read them, who take `iso-8859-1` for windows-1252.
    labelled = resolve_encoding(page.charset) if page.charset else None
    declared = html_body_declared_encoding(page.body)
    for encoding in (_unmarked_utf16(page.body), "utf-8-sig", labelled, declared):
        try:
            if encoding:
                return page.body.decode(encoding)
        except (LookupError, ValueError):  # `hex`, `undefined`, or bytes that it has not
            continue
    return page.body


def _unmarked_utf16(body: bytes) -> str | None:
    """UTF-16 without a byte order mark is told by the zeros of its markup."""
    start = body[:_START]
    even, odd = start[::2], start[1::2]
    if len(odd) < 4 or abs(even.count(0) - odd.count(0)) < 0.7 * len(odd):
        return None
    return "utf-16-be" if even.count(0) > odd.count(0) else "utf-16-le"


def parse(raw: str | bytes) -> HtmlElement | None:
    """The tree of a page, without its scripts (but for JSON-LD), styles and drawings."""
    text = raw if isinstance(raw, str) else _guess(raw)
    text = _INVALID.sub("", without_unseen(text))
    # A declaration with a slash in it, or one of an encoding, is too much for libxml2.
    start = _DECLARATION.sub("", text[:_START], count=1)
    markup = (start + text[_START:]).encode("utf-8", "surrogatepass")
    try:
        return document_fromstring(markup, parser=_parser())
    except ParserError:  # there is nothing in it
        return None


def _guess(raw: bytes) -> str:
    from trafilatura.utils import decode_file

    return str(decode_file(raw))


@cache
def _parser() -> HTMLParser:
    parser = HTMLParser(
        encoding="utf-8",
        collect_ids=False,
        default_doctype=False,
        remove_comments=True,
        remove_pis=True,
    )
    # lxml.html asks a Python function for the class of each element that is touched, since forms
    # and their fields have one of their own. Nobody here needs those; it is 7 % of an extraction.
    lookup = ElementDefaultClassLookup(
        element=HtmlElement,
        comment=HtmlComment,
        pi=HtmlProcessingInstruction,
        entity=HtmlEntity,
    )
    parser.set_element_class_lookup(lookup)
    return parser


def without_unseen(raw: str) -> str:
    """`raw` without what shows no text: on some pages that is nine tenths.

    One pass: an element that does not end is left as it is, and so is one in a script.
    """
    kept: list[str] = []
    last = start = 0
    inside = ""
    for match in _UNSEEN.finditer(raw):
        name = match[2].lower()
        if not inside:
            if not match[1] and not ("ld+json" in match[3] or match[3].endswith("/")):
                inside, start = name, match.start()
        elif match[1] and name == inside:
            end = match.end() + (raw[match.end() : match.end() + 1] == ">")
            if inside != "svg" or not _holds_text(raw, start, end):
                kept.append(raw[last:start])
                last = end
            inside = ""
    return "".join([*kept, raw[last:]]) if kept else raw


def _holds_text(raw: str, start: int, end: int) -> bool:
    """Whether an `<svg` that never ended took a part of the page with it."""
    return any(raw.find(tag, start, end) >= 0 for tag in _TEXT_IN_SVG)


@cache
def trafilatura() -> ModuleType:
    """The library; loaded here, since only one of our processes needs it: 0.4 s and 40 MB."""
    import trafilatura

    return trafilatura
