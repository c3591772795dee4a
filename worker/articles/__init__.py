"""Articles: from an entry to the article's clean text."""

from worker.articles.extract import CleanArticle, ExtractionError, extract
from worker.articles.fetch import (
    Article,
    FetchOutcome,
    Page,
    crashed,
    decide,
    forbidden,
    put_off,
    request,
)

__all__ = [
    "Article",
    "CleanArticle",
    "ExtractionError",
    "FetchOutcome",
    "Page",
    "crashed",
    "decide",
    "extract",
    "forbidden",
    "put_off",
    "request",
]
