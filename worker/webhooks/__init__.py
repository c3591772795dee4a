"""Webhooks: from a story to signed deliveries (Standard Webhooks 1.0.0)."""

from worker.webhooks.deliver import AttemptOutcome, Delivery, Endpoint, decide, send
from worker.webhooks.events import (
    Event,
    FeedFacts,
    StoryFacts,
    feed_failing,
    feed_recovered,
    story_created,
)
from worker.webhooks.match import wants
from worker.webhooks.sign import InvalidSecretError, check_secret, generate_secret, headers

__all__ = [
    "AttemptOutcome",
    "Delivery",
    "Endpoint",
    "Event",
    "FeedFacts",
    "InvalidSecretError",
    "StoryFacts",
    "check_secret",
    "decide",
    "feed_failing",
    "feed_recovered",
    "generate_secret",
    "headers",
    "send",
    "story_created",
    "wants",
]
