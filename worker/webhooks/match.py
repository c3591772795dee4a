"""Match: which endpoint is told of which event."""

from collections.abc import Collection


def wants(event_types: Collection[str], event_type: str) -> bool:
    """Whether an endpoint that subscribed to `event_types` is told of an event of this type."""
    return event_type in event_types
