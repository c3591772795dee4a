"""Stories: from an article to the story that it opens or joins."""

from worker.stories.cluster import Facts, Joins, Opens, PublishOutcome, decide
from worker.stories.fingerprints import Wording, content_hash, is_reworded
from worker.stories.topics import topics
from worker.stories.urls import is_home, same_site, url_key
from worker.stories.wrappers import unwrapped

__all__ = [
    "Facts",
    "Joins",
    "Opens",
    "PublishOutcome",
    "Wording",
    "content_hash",
    "decide",
    "is_home",
    "is_reworded",
    "same_site",
    "topics",
    "unwrapped",
    "url_key",
]
