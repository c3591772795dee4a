"""From the pages of an article to one clean article, or the reason why they hold none."""

import re
from collections.abc import Collection, Sequence
from dataclasses import fields, replace
from typing import Any

from worker.articles import blocked, plain
from worker.articles.extract import CleanArticle, ExtractionError, extract
from worker.articles.page import Page
from worker.reasons import Reason

# Of the parts' own fields the first that is given counts; the text is joined.
_FROM_FIRST = frozenset({"title", "lead", "text", "paragraphs", "word_count", "confidence"})
_END = re.compile(r"""[.!?…。！？؟।:;]["'”’»」』)\]*]{0,3}$""")
_PAGE = r"(?:halaman|hal\.?|page|seite|página|pagina|strona|sayfa|laman|страница|صفحة|ページ)"
_OF = r"(?:dari|daripada|of|von|de|di|z|/|sur|van|из|من)"
_PAGE_LINE = re.compile(
    rf"{_PAGE}\s*:?\s*\d{{1,3}}(?:\s*{_OF}\s*\d{{1,3}})?\W{{0,5}}|"
    rf"\d{{1,3}}\s*/\s*\d{{1,3}}|{_PAGE}?\s*:?\s*(?:\d{{1,2}}\s+){{1,20}}\d{{1,2}}"
    r"(?:\s+(?:selanjutnya|next|weiter|berikutnya))?",
    re.IGNORECASE,
)
_PAGE_TITLE = re.compile(
    rf"[\s\-–—|,(\[]{{1,5}}{_PAGE}\s*(?:\d{{1,3}}|all|semua)(?:\s*{_OF}\s*\d{{1,3}})?[)\]]?$",
    re.IGNORECASE,
)


def assemble(pages: Sequence[Page], *, repeated: Collection[str] = frozenset()) -> CleanArticle:
    """The article on `pages`, which are its parts in reading order; `repeated` as for `extract`.

    Raises `ExtractionError` when the first holds none; a later part that holds none is left out.
    """
    first = _first(pages[0], repeated)
    others = []
    for page in pages[1:]:
        try:
            others.append(_other(page, repeated))
        except ExtractionError:
            break  # what comes after a gap would not be understood
    return join([first, *others])


def join(parts: Sequence[CleanArticle]) -> CleanArticle:
    """One article of its parts: each paragraph once, up to a part that brings nothing new."""
    first = parts[0]
    if len(parts) == 1:
        return first
    paragraphs = [one for one in first.paragraphs if not _is_paging(one)]
    seen = {plain.key(one) for one in (first.title, *_all(first))}
    for part in parts[1:]:
        known = seen | {plain.key(part.title)}
        new = [one for one in _all(part) if plain.key(one) not in known and not _is_paging(one)]
        if not new:
            break
        if paragraphs and _goes_on(paragraphs[-1], new[0]):
            paragraphs[-1] += f" {new.pop(0)}"
        paragraphs.extend(new)
        seen.update(map(plain.key, new))
    given = {field.name: _given(parts, field.name) for field in fields(first) if field.init}
    kept = {name: value for name, value in given.items() if name not in _FROM_FIRST}
    kept["credited_sources"] = tuple(
        dict.fromkeys(source for part in parts for source in part.credited_sources)
    )
    kept["blocks"] = tuple({one.key: one for part in parts for one in part.blocks}.values())
    title = _PAGE_TITLE.sub("", first.title)
    return replace(first, **kept, title=title, paragraphs=tuple(paragraphs))


def _first(page: Page, repeated: Collection[str]) -> CleanArticle:
    try:
        article = extract(page, repeated=repeated)
    except ExtractionError as error:
        if error.reason is Reason.NO_TEXT and (found := blocked.judge(page, "")):
            raise ExtractionError(found.reason, found.detail) from error
        raise
    if found := blocked.judge(page, article.text):
        shown = article if found.reason is Reason.PAYWALLED else None
        raise ExtractionError(found.reason, found.detail, shown)
    return article


def _other(page: Page, repeated: Collection[str]) -> CleanArticle:
    """A later part, which may be as short as can be; next to it a list of teasers may be long."""
    article = extract(page, repeated=repeated, least=1)
    found = blocked.judge(page, article.text)
    if found and found.reason is not Reason.NOT_AN_ARTICLE:
        raise ExtractionError(found.reason, found.detail)
    return article


def _all(part: CleanArticle) -> tuple[str, ...]:
    return (part.lead, *part.paragraphs) if part.lead else part.paragraphs


def _is_paging(text: str) -> bool:
    return bool(_PAGE_LINE.fullmatch(text))


def _goes_on(end: str, start: str) -> bool:
    """Whether a sentence was cut in two by the end of a page."""
    return not _END.search(end) and start[:1].islower()


def _given(parts: Sequence[CleanArticle], name: str) -> Any:
    return next(
        (value for part in parts if (value := getattr(part, name))), getattr(parts[0], name)
    )
