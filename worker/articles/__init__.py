"""Articles: from an entry to the article's clean text."""

from worker.articles.extract import CleanArticle, ExtractionError, extract
from worker.articles.fetch import Article, FetchOutcome, Page, crashed, decide, request

__all__ = [
    "Article",
    "CleanArticle",
    "ExtractionError",
    "FetchOutcome",
    "Page",
    "crashed",
    "decide",
    "extract",
    "request",
]
