"""Fingerprints: what makes two texts the same."""

import hashlib
import re
import unicodedata

_WORD = re.compile(r"\w+")
_MIN_WORDS = 20  # shorter texts are alike by chance: notices, captions, "Please log in"


def content_hash(text: str, title: str = "") -> str | None:
    """A hash (64 hex digits) of the words of text and title, whatever their case, marks, spacing.

    None for a text too short to stand for an article. The title counts, since a consent page in
    place of the article is the same text under each of them.
    """
    words = _words(text)
    if len(words) < _MIN_WORDS:
        return None
    named = " ".join([*_words(title), "\n", *words])
    return hashlib.sha256(named.encode("utf-8", "surrogatepass")).hexdigest()


def _words(text: str) -> list[str]:
    return _WORD.findall(unicodedata.normalize("NFKC", text).casefold())
