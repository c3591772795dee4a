"""Feeds: from a feed to its new entries, and to when it is asked again."""

from worker.feeds.parse import Document, Entry, FeedError, parse
from worker.feeds.poll import Feed, PollOutcome, crashed, decide, request

__all__ = [
    "Document",
    "Entry",
    "Feed",
    "FeedError",
    "PollOutcome",
    "crashed",
    "decide",
    "parse",
    "request",
]
