"""Words of a sentence, to count and to compare by."""

import re
from collections.abc import Iterable
from itertools import pairwise

# Scripts without blanks between words: each character is counted as a word.
_DENSE = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
_WORD = re.compile(rf"[{_DENSE}]|[^\W{_DENSE}]+")
_DENSE_CHARACTER = re.compile(rf"[{_DENSE}]")
_DENSE_WORD = 2.5  # characters

_TELLING = 4  # letters
_ALIKE = 0.6  # of a sentence's pairs of words, in the others
_REPEATED = 0.8  # of a sentence's words, in the title


def words(text: str) -> list[str]:
    """The words of `text` in small letters; in a script without blanks, its characters."""
    return _WORD.findall(text.casefold())


def count(text: str) -> float:
    """How many words `text` has, about; in a script without blanks too."""
    found = _WORD.findall(text)
    return len(found) / _DENSE_WORD if is_dense(text) else len(found)


def telling(text: str) -> set[str]:
    """Those of its words that are not all over the language: the longer ones."""
    return {word for word in words(text) if len(word) >= _TELLING or _DENSE_CHARACTER.match(word)}


def is_dense(text: str) -> bool:
    """Whether it is in a script without blanks, where a character says twice as much."""
    sample = text[:400]
    return 2 * len(_DENSE_CHARACTER.findall(sample)) > sum(map(str.isalpha, sample))


def repeats(sentence: str, title: str) -> bool:
    """Whether a sentence is the title once more, or nearly."""
    of_sentence, of_title = words(sentence), set(words(title))
    if not of_sentence or len(of_sentence) > 1.5 * len(of_title) + 2:
        return False
    return sum(word in of_title for word in of_sentence) >= _REPEATED * len(of_sentence)


def says(others: Iterable[str], sentence: str) -> bool:
    """Whether the others say what `sentence` says: by the pairs of its words."""
    pairs = set(pairwise(words(sentence)))
    known = {pair for other in others for pair in pairwise(words(other))}
    return not pairs or len(pairs & known) >= _ALIKE * len(pairs)
