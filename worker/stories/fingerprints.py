"""Fingerprints: what makes two texts the same."""

import hashlib
import re
import unicodedata

_WORD = re.compile(r"\w+")
_MIN_WORDS = 20  # shorter texts are alike by chance: notices, captions, "Please log in"


def content_hash(text: str) -> str | None:
    """A hash (64 hex digits) of the words of `text`, whatever their case, marks and spacing.

    None for a text too short to stand for an article.
    """
    words = _WORD.findall(unicodedata.normalize("NFKC", text).casefold())
    if len(words) < _MIN_WORDS:
        return None
    return hashlib.sha256(" ".join(words).encode("utf-8", "surrogatepass")).hexdigest()
