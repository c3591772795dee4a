"""Extract an article from its page, by trafilatura."""

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from types import ModuleType
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

from w3lib.encoding import html_body_declared_encoding, resolve_encoding

from worker.articles.page import Page
from worker.reasons import Reason

if TYPE_CHECKING:
    from lxml.html import HtmlElement
    from trafilatura.settings import Document

# "You need to enable JavaScript to run this app", "Please log in": no article is as short.
_MIN_CHARACTERS = 100
_MAX_LINK = 2_000  # characters; more is a page put into a URL (`data:` and the like)


class ExtractionError(Exception):
    """The page gave no article; `reason` says in which way."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True, slots=True)
class CleanArticle:
    """An article without what its page put around it; `text` is paragraphs, a blank line between.

    `published_at` is to the day (midnight UTC) and `language` as the page declares it.
    """

    title: str
    text: str
    authors: tuple[str, ...] = ()
    publisher: str | None = None
    published_at: datetime | None = None
    canonical_url: str | None = None
    image: str | None = None
    language: str | None = None

    @property
    def word_count(self) -> int:
        return len(self.text.split())


def extract(page: Page) -> CleanArticle:
    """The article on `page`.

    Raises `ExtractionError` when there is none, or when the extractor itself fails on the page.
    """
    document, language = _document(page)
    title = (document.title or "").strip()
    text = _text(document.text or "", title)
    if len(text) < _MIN_CHARACTERS:
        raise ExtractionError(Reason.NO_TEXT, Reason.NO_TEXT.text)
    return CleanArticle(
        title=title,
        text=text,
        authors=tuple(name.strip() for name in (document.author or "").split(";") if name.strip()),
        publisher=document.sitename or document.hostname,
        published_at=_day(document.date),
        canonical_url=document.url,
        image=_link(document.image, page.url),
        language=language,
    )


def _document(page: Page) -> tuple["Document", str | None]:
    """What trafilatura makes of the page, and the language that the page declares."""
    library = _trafilatura()
    try:
        tree = library.load_html(_decode(page))
        language = _declared_language(tree)
        document = library.bare_extraction(
            tree, url=page.url, include_comments=False, include_tables=False, with_metadata=True
        )
    except Exception as error:
        raise ExtractionError(
            Reason.EXTRACTION_FAILED, f"{type(error).__name__}: {error}"
        ) from error
    if document is None or isinstance(document, dict):
        raise ExtractionError(Reason.NO_TEXT, Reason.NO_TEXT.text)
    return document, language


@cache
def _trafilatura() -> ModuleType:
    """The library; loaded here, since only one of our processes needs it: 0.4 s and 40 MB."""
    import trafilatura
    from lxml.etree import ElementDefaultClassLookup
    from lxml.html import HtmlComment, HtmlElement, HtmlEntity, HtmlProcessingInstruction
    from trafilatura.utils import HTML_PARSER

    # lxml.html asks a Python function for the class of each element that is touched, since forms
    # and their fields have one of their own. Nobody here needs those; it is 7 % of an extraction.
    lookup = ElementDefaultClassLookup(
        element=HtmlElement,
        comment=HtmlComment,
        pi=HtmlProcessingInstruction,
        entity=HtmlEntity,
    )
    HTML_PARSER.set_element_class_lookup(lookup)
    return trafilatura


def _decode(page: Page) -> str | bytes:
    # Valid UTF-8 wins over the label: what decodes as UTF-8 by accident is as good as never. The
    # labels are read as browsers read them, who take `iso-8859-1` for windows-1252.
    labelled = resolve_encoding(page.charset) if page.charset else None
    for encoding in ("utf-8-sig", labelled, html_body_declared_encoding(page.body)):
        try:
            if encoding:
                return page.body.decode(encoding)
        except (LookupError, ValueError):  # `hex`, `undefined`, or bytes that it has not
            continue
    return page.body  # trafilatura guesses


def _declared_language(tree: "HtmlElement | None") -> str | None:
    declared = tree.get("lang") or tree.get("xml:lang") if tree is not None else None
    return declared.strip() or None if declared else None


def _text(text: str, title: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if lines and lines[0] == title:  # the headline, which is no part of the lead
        del lines[0]
    return "\n\n".join(lines)


def _link(value: Any, base: str) -> str | None:
    try:
        url = urljoin(base, value.strip()) if value else ""
    except ValueError:  # such as a broken IPv6 literal
        return None
    return url if url.startswith(("http://", "https://")) and len(url) <= _MAX_LINK else None


def _day(value: str | None) -> datetime | None:
    try:
        return datetime.fromisoformat(value).replace(tzinfo=UTC) if value else None
    except ValueError:
        return None
