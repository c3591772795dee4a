"""Stories: from an article to the story that it opens or joins."""

from worker.stories.cluster import Facts, Joins, Opens, PublishOutcome, decide
from worker.stories.fingerprints import content_hash
from worker.stories.urls import is_home, same_site, unwrapped, url_key

__all__ = [
    "Facts",
    "Joins",
    "Opens",
    "PublishOutcome",
    "content_hash",
    "decide",
    "is_home",
    "same_site",
    "unwrapped",
    "url_key",
]
