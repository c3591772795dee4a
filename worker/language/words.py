"""Words of a sentence, to count and to compare by."""

import re
from collections.abc import Iterable, Set
from functools import lru_cache
from itertools import pairwise

# Scripts without blanks between words: each character is counted as a word.
_DENSE = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
_WORD = re.compile(rf"[{_DENSE}]|[^\W{_DENSE}]+")
_DENSE_CHARACTER = re.compile(rf"[{_DENSE}]")
_DENSE_WORD = 2.5  # characters

_TELLING = 4  # letters
_ALIKE = 0.6  # of a sentence's pairs of words, in the others
_REPEATED = 0.8  # of a sentence's words, in the title
_LONGER = 1.5  # than the title, and it has more to say


@lru_cache(maxsize=64)  # a sentence is asked for its words again and again, and then never more
def words(text: str) -> tuple[str, ...]:
    """The words of `text` in small letters; in a script without blanks, its characters."""
    return tuple(_WORD.findall(text.casefold()))


def count(text: str) -> float:
    """How many words `text` has, about; in a script without blanks too."""
    return len(words(text)) / (_DENSE_WORD if is_dense(text) else 1)


def telling(text: str) -> set[str]:
    """Those of its words that are not all over the language: the longer ones."""
    return {word for word in words(text) if len(word) >= _TELLING or _DENSE_CHARACTER.match(word)}


def is_dense(text: str) -> bool:
    """Whether it is in a script without blanks, where a character says twice as much."""
    sample = text[:400]
    if not _DENSE_CHARACTER.search(sample):
        return False
    return 2 * len(_DENSE_CHARACTER.findall(sample)) > sum(map(str.isalpha, sample))


def repeats(sentence: str, title: str) -> bool:
    """Whether a sentence is the title once more, or nearly."""
    if len(sentence) > _LONGER * len(title):
        return False
    of_sentence, of_title = words(sentence), set(words(title))
    return bool(of_sentence) and (
        sum(word in of_title for word in of_sentence) >= _REPEATED * len(of_sentence)
    )


def pairs(sentences: Iterable[str]) -> set[tuple[str, str]]:
    """The words that stand side by side, in any of the sentences."""
    return {pair for sentence in sentences for pair in pairwise(words(sentence))}


def says(others: Set[tuple[str, str]], sentence: str) -> bool:
    """Whether others, of which these are the pairs of words, say what `sentence` says."""
    own = pairs([sentence])
    return len(own & others) >= _ALIKE * len(own)
