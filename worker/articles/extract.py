"""Extract an article from its page, by trafilatura."""

from dataclasses import dataclass
from datetime import UTC, datetime

from worker.articles.fetch import Page
from worker.reasons import Reason


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
    import trafilatura  # here, since only one of our processes needs it: 0.4 s and 40 MB

    html = _decode(page)
    try:
        document = trafilatura.bare_extraction(
            html, url=page.url, include_comments=False, include_tables=False, with_metadata=True
        )
    except Exception as error:
        raise ExtractionError(
            Reason.EXTRACTION_FAILED, f"{type(error).__name__}: {error}"
        ) from error
    if document is None or isinstance(document, dict) or not document.text:
        raise ExtractionError(Reason.NO_TEXT, Reason.NO_TEXT.text)
    return CleanArticle(
        title=(document.title or "").strip(),
        text="\n\n".join(line.strip() for line in document.text.splitlines() if line.strip()),
        authors=tuple(name.strip() for name in (document.author or "").split(";") if name.strip()),
        publisher=document.sitename or document.hostname,
        published_at=_day(document.date),
        canonical_url=document.url,
        image=document.image,
        language=document.language,
    )


def _decode(page: Page) -> str | bytes:
    # Valid UTF-8 wins over the label: what decodes as UTF-8 by accident is as good as never.
    try:
        return page.body.decode("utf-8")
    except UnicodeDecodeError:
        pass
    try:
        return page.body.decode(page.charset) if page.charset else page.body
    except (LookupError, UnicodeDecodeError):
        return page.body  # trafilatura guesses


def _day(value: str | None) -> datetime | None:
    try:
        return datetime.fromisoformat(value).replace(tzinfo=UTC) if value else None
    except ValueError:
        return None
