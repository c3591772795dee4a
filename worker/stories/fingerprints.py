"""Fingerprints: what makes two texts the same."""

import hashlib
import re
import unicodedata
from dataclasses import dataclass

_WORD = re.compile(r"\w+")
_MIN_WORDS = 20  # shorter texts are alike by chance: notices, captions, "Please log in"
_SHINGLE = 3  # words
_SAME = 0.9


@dataclass(frozen=True, slots=True)
class Wording:
    """What an article says."""

    title: str
    text: str


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


def is_reworded(old: Wording, new: Wording) -> bool:
    """Whether an article says something else than before: its title has other words, or more than a
    tenth of all runs of three words are in one of the texts only (resemblance: Broder 1997).

    Case, marks and spacing do not count, nor does a correction in a text of some length.
    """
    if _words(old.title) != _words(new.title):
        return True
    before, after = _shingles(_words(old.text)), _shingles(_words(new.text))
    return len(before & after) < _SAME * len(before | after)


def _shingles(words: list[str]) -> set[tuple[str, ...]]:
    size = min(_SHINGLE, len(words))
    return {tuple(words[at : at + size]) for at in range(len(words) - size + 1)} if words else set()


def _words(text: str) -> list[str]:
    return _WORD.findall(unicodedata.normalize("NFKC", text).casefold())
