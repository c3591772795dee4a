"""Feeds: from a feed to its new entries, and to when it is asked again."""

from worker.feeds.parse import Document, Entry, FeedError, parse
from worker.feeds.poll import (
    Feed,
    Hub,
    Move,
    PollOutcome,
    crashed,
    decide,
    overdue,
    request,
    request_children,
)
from worker.feeds.schedule import Input, spread

__all__ = [
    "Document",
    "Entry",
    "Feed",
    "FeedError",
    "Hub",
    "Input",
    "Move",
    "PollOutcome",
    "crashed",
    "decide",
    "overdue",
    "parse",
    "request",
    "request_children",
    "spread",
]
