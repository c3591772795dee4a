"""Process an article: extract its text, identify the language, summarise. CPU only, and pure."""

import html
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Literal

import lxml.html
from lxml.etree import ParserError, strip_elements

from worker.articles import CleanArticle, ExtractionError, Page, assemble, extract
from worker.language.identify import identify, primary, weigh
from worker.language.summarize import Summary, summarize
from worker.language.targets import needed
from worker.reasons import Reason
from worker.settings import ProcessSettings, Settings

_TAG = re.compile(r"<[^<>]*>")
_MARKUP = re.compile(r"<[a-z/!?][^<>]*>", re.IGNORECASE)
_BLANK_LINE = re.compile(r"\n\s*\n")
_HIDDEN = ("script", "style", "template", "noscript", "iframe")
_BLOCKS = (
    "p", "br", "div", "li", "h1", "h2", "h3", "h4", "h5", "h6", "blockquote", "pre", "section",
    "article", "figure", "figcaption", "tr", "td", "th", "dt", "dd", "hr",
)  # fmt: skip
_WARM_UP = f"<html><body><article><p>{'Some words of a text. ' * 20}</p></article></body></html>"
_UNPARSED = 600  # characters of the feed's text that are shown without having been parsed


@dataclass(frozen=True, slots=True)
class FeedText:
    """What the feed said of an article; `summary` and `content` may hold HTML."""

    title: str
    summary: str
    content: str
    authors: tuple[str, ...]
    publisher: str | None
    language: str | None


@dataclass(frozen=True, slots=True)
class Source:
    """What an article is made from. Without pages the feed's own text is used.

    `languages` is how many articles of its host were surely in each language, `repeated` the keys
    of its furniture.
    """

    article_id: int
    url: str | None
    published_at: datetime | None
    feed: FeedText
    pages: Sequence[Page]
    languages: Mapping[str, int] = field(default_factory=dict)
    repeated: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class ProcessOutcome:
    """A readable article. `reason` says why it was made from the feed's text, if it was; `detail`
    says more of that, or what was left out of its page. `page_url` is where its page was fetched
    from in the end. Where `is_language_sure` it is worth counting among the languages of its host.
    """

    article_id: int
    next_stage: Literal["translate", "publish"]
    article: CleanArticle
    published_at: datetime | None
    language: str | None
    summary: Summary | None
    reason: Reason | None = None
    detail: str = ""
    page_url: str | None = None
    is_language_sure: bool = False


def load() -> None:
    """Load extractor and models now: before a fork, so that all pool processes share them."""
    page = Page("https://example.org/", _WARM_UP.encode(), None, datetime.now(UTC))
    text = extract(page).text
    summarize(text, identify(text), ProcessSettings())


def process(source: Source, settings: Settings) -> ProcessOutcome:
    """Make the article from its pages, or, where they give none, from what the feed said."""
    if not source.pages:
        return _outcome(source, _from_feed(source), settings)
    try:
        article = assemble(source.pages, repeated=source.repeated)
        return _outcome(source, article, settings, detail=_left_out(article))
    except ExtractionError as error:
        article = _longest(_from_feed(source), error.shown)
        return _outcome(source, article, settings, error.reason, error.detail)


def crashed(source: Source, settings: Settings) -> ProcessOutcome:
    """The outcome for an article that took its process down, time and again.

    The culprit may be the feed's text as well as the page: neither the parser nor the identifier
    sees it again.
    """
    language = primary(source.feed.language)
    text = source.feed.summary or source.feed.content
    text = " ".join(html.unescape(_TAG.sub(" ", text)).split())[:_UNPARSED]
    return ProcessOutcome(
        article_id=source.article_id,
        next_stage=_next_stage(language, settings),
        article=CleanArticle(source.feed.title, text, source.feed.authors, source.feed.publisher),
        published_at=source.published_at,
        language=language,
        summary=Summary(text, "feed") if text else None,
        reason=Reason.CRASHED,
        detail=Reason.CRASHED.text,
    )


def _longest(said: CleanArticle, shown: CleanArticle | None) -> CleanArticle:
    """What the feed said, or what its page shows of an article that is to be paid for."""
    return shown if shown and len(shown.text) > len(said.text) else said


def _left_out(article: CleanArticle) -> str:
    number = sum(block.dropped for block in article.blocks)
    return f"left out as furniture of its site: {number}" if number else ""


def _from_feed(source: Source) -> CleanArticle:
    return CleanArticle(
        title=source.feed.title,
        text=_plain(source.feed.content) or _plain(source.feed.summary),
        authors=source.feed.authors,
        publisher=source.feed.publisher,
        language=source.feed.language,
    )


def _outcome(
    source: Source,
    article: CleanArticle,
    settings: Settings,
    reason: Reason | None = None,
    detail: str = "",
) -> ProcessOutcome:
    title = source.feed.title or article.title  # a page's own often names the site too
    # The text first: it is told by fewer words than a headline is.
    told = weigh(
        f"{article.text}\n{title}",
        article.language or source.feed.language,
        source.languages,
    )
    return ProcessOutcome(
        article_id=source.article_id,
        next_stage=_next_stage(told.language, settings),
        article=replace(article, title=title),
        published_at=source.published_at or article.published_at,
        language=told.language,
        summary=summarize(
            article.text,
            told.language,
            settings.process,
            title=title,
            descriptions=_descriptions(source, article),
            publisher=article.publisher,
        ),
        reason=reason,
        detail=detail,
        page_url=source.pages[0].url if source.pages else None,
        is_language_sure=told.is_sure,
    )


def _descriptions(source: Source, article: CleanArticle) -> Iterator[str]:
    yield article.lead or ""
    yield _plain(source.feed.summary)


def _next_stage(language: str | None, settings: Settings) -> Literal["translate", "publish"]:
    return "translate" if needed(language, settings.translate.targets) else "publish"


def _plain(text: str) -> str:
    """The text of a piece of HTML, or of plain text: paragraphs, a blank line between."""
    if not _MARKUP.search(text):
        return _paragraphs(_BLANK_LINE.split(html.unescape(text)))
    try:
        tree = lxml.html.fragment_fromstring(" ".join(text.split()), create_parent="div")
    except (ParserError, ValueError):  # such as control characters that XML has no place for
        return ""
    strip_elements(tree, *_HIDDEN, with_tail=False)
    for element in tree.iter(*_BLOCKS):
        element.text = f"\n{element.text or ''}"
        element.tail = f"\n{element.tail or ''}"
    return _paragraphs(tree.text_content().split("\n"))


def _paragraphs(parts: Iterable[str]) -> str:
    lines = (" ".join(part.split()) for part in parts)
    return "\n\n".join(line for line in lines if line)
