"""Articles: from an entry to the article's clean text."""

from worker.articles.assemble import assemble, join
from worker.articles.elsewhere import elsewhere
from worker.articles.extract import CleanArticle, ExtractionError, explain, extract
from worker.articles.fetch import (
    Article,
    FetchOutcome,
    completed,
    crashed,
    decide,
    deferred,
    forbidden,
    put_off,
    request,
)
from worker.articles.page import Page
from worker.articles.pages import Gathered, gather

__all__ = [
    "Article",
    "CleanArticle",
    "ExtractionError",
    "FetchOutcome",
    "Gathered",
    "Page",
    "assemble",
    "completed",
    "crashed",
    "decide",
    "deferred",
    "elsewhere",
    "explain",
    "extract",
    "forbidden",
    "gather",
    "join",
    "put_off",
    "request",
]
