"""Topics: what an article's site says that it is about."""

import unicodedata
from collections.abc import Iterable

_MOST = 50
_LONGEST = 100  # characters; what is longer is a sentence that stood in the wrong place


def topics(section: str | None, tags: Iterable[str]) -> tuple[str, ...]:
    """Section and tags as topics: each once, whatever its case, as it was first written."""
    found: dict[str, str] = {}
    for said in (section or "", *tags):
        topic = " ".join(unicodedata.normalize("NFC", said).split()).lstrip("#").strip()
        if 0 < len(topic) <= _LONGEST:
            found.setdefault(topic.casefold(), topic)
    return tuple(found.values())[:_MOST]
