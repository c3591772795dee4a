"""Cluster: does an article open a story, or join one?

One story a canonical URL and content hash: an article joins the story of any article that has
either in common with it.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Facts:
    """What decides where an article belongs. `story_id` is the story that it is in already."""

    article_id: int
    story_id: int | None
    silent: bool


@dataclass(frozen=True, slots=True)
class Joins:
    """The article belongs to a story that is open already; nobody is alerted."""

    article_id: int
    story_id: int


@dataclass(frozen=True, slots=True)
class Opens:
    """The article opens a story. `alert` is off for what a feed's first poll found."""

    article_id: int
    alert: bool


PublishOutcome = Joins | Opens


def decide(facts: Facts, candidate: int | None) -> PublishOutcome:
    """Where the article belongs; `candidate` is the oldest story that shares URL or content."""
    if facts.story_id is not None:
        return Joins(facts.article_id, facts.story_id)
    if candidate is not None:
        return Joins(facts.article_id, candidate)
    return Opens(facts.article_id, alert=not facts.silent)
