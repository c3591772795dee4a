"""Webhooks: from a story to signed deliveries (Standard Webhooks 1.0.0)."""

from worker.webhooks.chat import Messenger, Target
from worker.webhooks.deliver import (
    AttemptOutcome,
    Delivery,
    Endpoint,
    OldSecret,
    decide,
    send,
)
from worker.webhooks.events import (
    EndpointFacts,
    Event,
    FeedFacts,
    StoryFacts,
    StoryUpdate,
    endpoint_disabled,
    feed_failing,
    feed_recovered,
    story_created,
    story_updated,
    with_reason,
)
from worker.webhooks.health import Health
from worker.webhooks.match import (
    InvalidRuleError,
    Rules,
    Subject,
    Verdict,
    check_rules,
    judge,
    judge_sources,
    read_rules,
    source_of,
    store_rules,
    wants,
)
from worker.webhooks.rate import Rate
from worker.webhooks.seal import UnreadableSecretError, seal, unseal
from worker.webhooks.sign import InvalidSecretError, check_secret, generate_secret, headers

__all__ = [
    "AttemptOutcome",
    "Delivery",
    "Endpoint",
    "EndpointFacts",
    "Event",
    "FeedFacts",
    "Health",
    "InvalidRuleError",
    "InvalidSecretError",
    "Messenger",
    "OldSecret",
    "Rate",
    "Rules",
    "StoryFacts",
    "StoryUpdate",
    "Subject",
    "Target",
    "UnreadableSecretError",
    "Verdict",
    "check_rules",
    "check_secret",
    "decide",
    "endpoint_disabled",
    "feed_failing",
    "feed_recovered",
    "generate_secret",
    "headers",
    "judge",
    "judge_sources",
    "read_rules",
    "seal",
    "send",
    "source_of",
    "store_rules",
    "story_created",
    "story_updated",
    "unseal",
    "wants",
    "with_reason",
]
