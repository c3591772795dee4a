"""Extract an article from its page: parse once, then body, line rules and metadata."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from urllib.parse import urlsplit

from worker.articles import (
    body,
    clean,
    dateline,
    furniture,
    metadata,
    plain,
    rules,
    scripted,
    segments,
    source,
)
from worker.articles import credits as credited
from worker.articles.body import Line
from worker.articles.clean import Block, Facts
from worker.articles.dateline import Dateline
from worker.articles.metadata import Metadata
from worker.articles.page import Page
from worker.articles.picture import Image
from worker.reasons import Reason

# "You need to enable JavaScript to run this app", "Please log in": no article is as short.
_MIN_CHARACTERS = 100
_FEW = 200  # characters; a page with as few may be drawn by its scripts
_LONGEST_PARAGRAPH = 100_000
_LONG_ARTICLE = 1_000
_START = 1_500  # characters of a text that its description may be found in
_MOST_CUTS = 2_000  # segments of a page that show where a text's paragraphs begin
_LONGEST_PLACE = 60
_LONGEST_AGENCY = 20
_SENTENCE_ENDS = (".", "!", "?", '"', "”", "。")
_BRACKETS = "()（）[]. "
_NO_DATELINE = Dateline(None, None, None, "")
_AROUND = 8  # segments before and behind the text that may hold its credits
_LONGEST_CREDIT = 250


class ExtractionError(Exception):
    """The page gave no article; `reason` says in which way. `shown` is what there is all the same
    of one that is to be paid for.
    """

    def __init__(self, reason: Reason, detail: str, shown: "CleanArticle | None" = None) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail
        self.shown = shown


@dataclass(frozen=True, slots=True)
class CleanArticle:
    """An article without what its page put around it.

    `text` is `paragraphs`, a blank line between; given either, the other follows, and `paragraphs`
    counts. `lead` (the standfirst) is no part of it. Times are aware and to the minute, midnight
    where only a day is known; `zone_written` says whether the page named the zone of
    `published_at`, which is the site's otherwise. `language` is as the page declares it. `method`
    names who found the body; `confidence` (0 to 1) is how sure that is, see `docs/extraction.md`.
    `blocks` is what the body was judged by: that, and what was dropped of it as the site's
    furniture.
    """

    title: str
    text: str = ""
    authors: tuple[str, ...] = ()
    publisher: str | None = None
    published_at: datetime | None = None
    canonical_url: str | None = None
    image: Image | None = None
    language: str | None = None
    lead: str | None = None
    paragraphs: tuple[str, ...] = ()
    editor: str | None = None
    credited_sources: tuple[str, ...] = ()
    dateline: str | None = None
    modified_at: datetime | None = None
    section: str | None = None
    tags: tuple[str, ...] = ()
    method: str = "feed"
    confidence: float = 0.0
    zone_written: bool = True
    blocks: tuple[furniture.Block, ...] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        paragraphs = self.paragraphs or tuple(filter(None, self.text.split("\n\n")))
        object.__setattr__(self, "paragraphs", paragraphs)
        object.__setattr__(self, "text", "\n\n".join(paragraphs))

    @property
    def word_count(self) -> int:
        return len(self.text.split())


def extract(
    page: Page, *, repeated: Collection[str] = frozenset(), least: int = _MIN_CHARACTERS
) -> CleanArticle:
    """The article on `page`, of `least` characters; `repeated` are keys (`furniture.key`) of blocks
    that its site has in several articles.

    Raises `ExtractionError` when there is none, or when the extractor itself fails on the page.
    """
    try:
        reading = _Reading(page, repeated)
        article = reading.article()
    except ExtractionError:
        raise
    except Exception as error:
        raise _failure(error) from error
    if len(article.text) + len(article.lead or "") < least:
        raise ExtractionError(Reason.NO_TEXT, Reason.NO_TEXT.text)
    return article


def explain(page: Page, *, repeated: Collection[str] = frozenset()) -> tuple[Block, ...]:
    """Each block of `page`, kept or dropped, with the rule that did it. Raises as `extract`."""
    try:
        return _Reading(page, repeated).blocks()
    except ExtractionError:
        raise
    except Exception as error:
        raise _failure(error) from error


def _failure(error: Exception) -> ExtractionError:
    return ExtractionError(Reason.EXTRACTION_FAILED, f"{type(error).__name__}: {error}")


class _Reading:
    """A page as it is read, step by step."""

    def __init__(self, page: Page, repeated: Collection[str]) -> None:
        if not source.is_html(page.body):
            raise ExtractionError(Reason.NOT_HTML, Reason.NOT_HTML.text)
        self._page = page
        self._raw = source.decode(page)
        tree = source.parse(self._raw)
        if tree is None:
            raise ExtractionError(Reason.NO_TEXT, Reason.NO_TEXT.text)
        self._tree = tree
        in_force = rules.load()
        self._site = in_force.site(_host(page.url))
        self._segments = segments.read(self._tree, page.url, self._site.hints)
        self._metadata = self._read_metadata()
        self._lines, self._method = body.choose(
            lambda: self._extracted(fast=True), lambda: self._extracted(fast=False), self._segments
        )
        self._facts = Facts(
            self._titles(), self._metadata.description or "", self._metadata.authors, repeated
        )
        self._lead = clean.judge(self._lines, self._segments, self._facts, in_force, self._site)

    def article(self) -> CleanArticle:
        found, paragraphs = self._paragraphs()
        said = credited.read(self._credit_lines())
        if found.source:
            said = replace(said, sources=(*said.sources, found.source))
        about = metadata.with_credits(self._metadata, said)
        return CleanArticle(
            title=about.title,
            lead=(_plain(self._lead) or None) if self._lead else None,
            paragraphs=paragraphs,
            authors=about.authors,
            editor=about.editor,
            publisher=about.publisher or about.site_name or _host(self._page.url) or None,
            credited_sources=about.credited_sources,
            dateline=found.place,
            published_at=about.published_at,
            modified_at=about.modified_at,
            section=about.section,
            tags=about.tags,
            image=about.image,
            language=about.language,
            canonical_url=about.canonical_url,
            method=self._method,
            confidence=self._confidence(paragraphs),
            zone_written=about.zone_written,
            blocks=tuple(
                furniture.Block(furniture.key(one.text), len(one.text), bool(one.rule))
                for one in self._lines
                if one.rule in {"", clean.LEARNED}
            ),
        )

    def blocks(self) -> tuple[Block, ...]:
        """The page's segments in its order, and the lines that are none of them; of a page that
        shows no article those of the one that its data hold.
        """
        _, paragraphs = self._paragraphs()
        if self._method == "script":
            return tuple(map(_block, self._lines))
        if self._method == "json-ld":
            return tuple(Block(one, True, "json-ld") for one in paragraphs)
        by_segment = {id(one.segment): one for one in self._lines if one.segment}
        blocks = [_block(one) for one in self._lines if one.segment is None]
        for one in self._segments.all:
            line = by_segment.get(id(one))
            blocks.append(_block(line) if line else Block(one.text, False, "outside the body"))
        return tuple(blocks)

    def _read_metadata(self) -> Metadata:
        raw = self._raw if isinstance(self._raw, str) else ""
        return metadata.read(
            self._tree, raw, self._page.url, zone=self._site.zone, now=self._page.fetched_at
        )

    def _extracted(self, fast: bool) -> str:
        found = source.trafilatura().bare_extraction(
            self._tree, url=self._page.url, fast=fast, include_comments=False, with_metadata=False
        )
        return (found.text or "") if found else ""

    def _titles(self) -> tuple[str, ...]:
        """All that the page's headline may be called."""
        shown = [one.text for one in self._segments.all if one.element == "h1"]
        shared = [
            meta.get("content", "")
            for meta in self._tree.iter("meta")
            if meta.get("property", meta.get("name", "")).lower() in {"og:title", "twitter:title"}
        ]
        whole = self._tree.findtext(".//title") or ""
        return tuple(filter(None, (self._metadata.title, *shown, *shared, whole)))

    def _paragraphs(self) -> tuple[Dateline, tuple[str, ...]]:
        """The dateline and the text without it."""
        kept = [_plain(line.text) for line in self._lines if not line.rule]
        kept = self._rescued([one for one in kept if one])
        if not kept:
            return _NO_DATELINE, ()
        if len(kept) > 1 and len(kept[0]) <= _LONGEST_PLACE and kept[0].endswith(("-", "–", "—")):
            kept[:2] = [f"{kept[0]} {kept[1]}"]  # "<b>Semarang</b> - " stood alone
        kept[0] = _without_brand(kept[0], _host(self._page.url))
        found = dateline.read(kept[0])
        if found.rest and self._is_apart(found):
            kept[0] = found.rest
        kept[-1], agency = _without_agency(clean.without_mark(kept[-1]))
        return replace(found, source=found.source or agency), tuple(kept)

    def _rescued(self, kept: list[str]) -> list[str]:
        """The text, or JSON-LD's where that has far more: the page shows it by script only, or to
        subscribers. Where neither has one, what the page's scripts hold.
        """
        size = sum(map(len, kept))
        declared = self._metadata.article_body or ""
        if len(declared) <= 2 * size:
            return kept if size >= _FEW else self._scripted(2 * size) or kept
        self._method = "json-ld"
        lines = [line for line in declared.splitlines() if line.strip()]
        if len(lines) == 1:
            lines = list(_cut(lines[0], self._segments)) or lines
        return [_plain(line) for line in lines]

    def _scripted(self, more_than: int) -> list[str]:
        markup = scripted.html(self._raw) if isinstance(self._raw, str) else None
        tree = source.parse(markup) if markup else None
        if tree is None:
            return []
        page = segments.read(tree, self._page.url, self._site.hints)
        lines = body.all_of(page)
        clean.judge(lines, page, self._facts, rules.load(), self._site)
        found = [_plain(line.text) for line in lines if not line.rule]
        if sum(map(len, found)) < max(_MIN_CHARACTERS, more_than):
            return []
        self._lines, self._method = lines, "script"
        return found

    def _is_apart(self, found: Dateline) -> bool:
        """Whether it is a dateline for sure; a place alone may be the sentence's subject."""
        if found.brand or found.source or self._site.has_datelines:
            return True
        return found.place is not None

    def _credit_lines(self) -> Iterator[str]:
        """Short lines that are no part of the text, from just before it to just behind it."""
        kept = {id(one.segment) for one in self._lines if not one.rule and one.segment}
        inside = [one.index for one in self._segments.all if id(one) in kept]
        if inside:
            around = slice(max(0, inside[0] - _AROUND), inside[-1] + _AROUND)
            for one in self._segments.all[around]:
                if id(one) not in kept and len(one.text) <= _LONGEST_CREDIT:
                    yield one.text

    def _confidence(self, paragraphs: tuple[str, ...]) -> float:
        """Half is the share of the page's paragraphs that were kept, a third how long the text is,
        the rest whether the page's description is in it.
        """
        size = sum(map(len, paragraphs))
        chosen = body.Selection(self._lines, self._segments)
        share = min(1.0, size / max(1, chosen.prose_around()))
        words = plain.key((self._metadata.description or "")[:80])[:40]
        start = " ".join((self._lead or "", *paragraphs[:3]))[:_START]
        is_described = bool(words) and words in plain.key(start)
        return round(0.5 * share + 0.3 * min(1.0, size / _LONG_ARTICLE) + 0.2 * is_described, 2)


def _without_agency(text: str) -> tuple[str, str | None]:
    """A last paragraph without the agency behind it ("… a mediodía. EFE"), and its name."""
    end = max(text.rfind(mark, 0, -1) for mark in _SENTENCE_ENDS) + 1
    said = text[end:].strip()
    if not 0 < len(said) <= _LONGEST_AGENCY or not end:
        return text, None
    agency = credited.agency(said.strip(_BRACKETS))
    return (text[:end].rstrip(), agency) if agency else (text, None)


def _without_brand(text: str, host: str) -> str:
    """A first paragraph without the site's own name before it: "INFOSEMARANGRAYA.COM - "."""
    name = host.removeprefix("www.")
    start = text[: len(name)].casefold()
    rest = text[len(name) :].lstrip(" ,-–—:") if name and start == name else ""
    return rest or text


def _block(line: Line) -> Block:
    return Block(line.text, not line.rule or line.rule == "lead", line.rule or "text")


def _cut(text: str, page: segments.Segments) -> Iterator[str]:
    """A text without line breaks in the page's own paragraphs, as far as it shows them."""
    at = 0
    for one in page.all[:_MOST_CUTS]:
        found = text.find(one.text[:60], at) if one.is_prose else -1
        if found > at:
            yield text[at:found].strip()
            at = found
    yield text[at:].strip()


def _plain(text: str) -> str:
    return plain.line(text, _LONGEST_PARAGRAPH)


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:  # such as a broken IPv6 literal
        return ""
