"""Summarise an article in two to four of its own whole sentences: the publisher's description of it
where that is one, else its lead.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import chain, islice, repeat

from worker.articles import dateline
from worker.language.descriptions import accepted
from worker.language.lists import lists
from worker.language.sentences import ends_cut_short, ends_whole, split
from worker.language.words import count, is_dense, pairs, repeats, says
from worker.settings import ProcessSettings

# When a summary says enough; the settings say what is too much.
_ENOUGH_SENTENCES, _ENOUGH_CHARACTERS = 2, 200
_ENOUGH_WORDS = 25  # of a description to stand alone
_READ = 12_000  # characters in which a lead is looked for
_CANDIDATES = 40
_BEGINNING = 3  # sentences of a lead; a description that these contain is not told beside it
_OPENING = 800  # characters
_LEAST_WORDS = 4  # in a sentence

_CLAUSE = re.compile(r"[,;:–—，；：、،؛](?=\s|[^\x00-\x7f])")
_NO_BLANK_AFTER = re.compile(r"[。．！？」』）]$")


@dataclass(frozen=True, slots=True)
class Summary:
    """A summary and the method that made it: `publisher`, `lead` or `lead+publisher`; `llm` where a
    language model chose the sentences, `feed` where nothing was read of an article but what its
    feed says.
    """

    text: str
    method: str


def summarize(
    text: str,
    language: str | None,
    settings: ProcessSettings,
    *,
    title: str = "",
    descriptions: Iterable[str] = (),
    publisher: str | None = None,
) -> Summary | None:
    """A summary of `text` (paragraphs, a blank line between), None when it has no sentence.

    Its sentences are whole, in their order, and in the publisher's words: those of the first of the
    `descriptions` (the page's, the feed's) that passes for a summary, then of the lead. Only a
    first sentence that is longer than a summary may be is cut.
    """
    text = text[:_READ]
    lead = _Lead(text, language, title)
    told: list[str] = []
    for description in descriptions:
        if _is_how_it_begins(description, text):
            break
        if told := accepted(
            description,
            language,
            article=f"{title}\n{text}" if text else "",
            lead=lead,
            title=title,
            publisher=publisher,
        ):
            break
    if sum(map(count, told)) >= _ENOUGH_WORDS:
        return _filled(told, (), settings)
    of_lead = pairs(islice(lead, _BEGINNING)) if told else set()
    if all(says(of_lead, sentence) for sentence in told):
        return _filled((), lead, settings)
    known = pairs(told)
    return _filled(told, (one for one in lead if not says(known, one)), settings)


def candidates(
    text: str, language: str | None, title: str = "", most: int = _CANDIDATES
) -> list[str]:
    """The first `most` sentences from which a summary of `text` may be made.

    They are whole, but for a dateline before the first. Captions, bylines, promotions and what
    repeats the title are not among them, unless there is nothing else.
    """
    return list(islice(_Lead(text[:_READ], language, title), most))


def chosen(sentences: Sequence[str], settings: ProcessSettings) -> Summary | None:
    """The summary of just these sentences, None where they are none, or more than it may hold."""
    if not 0 < len(sentences) <= settings.summary_sentences:
        return None
    text = reduce(_joined, sentences)
    return Summary(text, "llm") if len(text) <= longest(sentences[0], settings) else None


def longest(first: str, settings: ProcessSettings) -> int:
    """Characters that a summary may have whose first sentence is `first`."""
    return settings.summary_characters // _share(first)


def _is_how_it_begins(description: str, text: str) -> bool:
    """Whether it was copied from the text's beginning, as a third of all descriptions are."""
    copied = " ".join(description.split())
    return bool(copied) and copied in text[:_OPENING]


class _Lead:
    """An article's sentences that tell its news, found as they are asked for."""

    def __init__(self, text: str, language: str | None, title: str) -> None:
        self._found: list[str] = []
        self._more = self._read(text, language, title)

    def __iter__(self) -> Iterator[str]:
        yield from self._found
        for sentence in self._more:
            self._found.append(sentence)
            yield sentence

    def _read(self, text: str, language: str | None, title: str) -> Iterator[str]:
        others = []
        for sentence in _sentences(text, language):
            if _tells(sentence, language, title):
                yield sentence
            else:
                others.append(sentence)
        if not self._found:
            yield from others


def _sentences(text: str, language: str | None) -> Iterator[str]:
    """Stripped, and without datelines."""
    begins = True
    for paragraph in text.split("\n\n"):
        line = _decodable(" ".join(paragraph.split()))
        if begins and line:
            rest = dateline.read(line).rest
            begins = rest == line and not ends_whole(line)  # a headline or caption: look further
            line = rest
        yield from filter(None, map(str.strip, split(line, language)))


def _tells(sentence: str, language: str | None, title: str) -> bool:
    known = lists(language)
    if sentence.lower().startswith(known.openings) or repeats(sentence, title):
        return False
    is_whole = ends_whole(sentence) and not ends_cut_short(sentence)
    return (is_whole or known.has_no_stops) and _has_words(sentence)


def _has_words(sentence: str) -> bool:
    return sentence.count(" ") >= _LEAST_WORDS or count(sentence) >= _LEAST_WORDS


def _filled(told: Sequence[str], lead: Iterable[str], settings: ProcessSettings) -> Summary | None:
    """What there is place for: all of the description, then of the lead until it is enough."""
    text = ""
    taken = {"lead": 0, "publisher": 0}
    most = enough = 0
    for source, sentence in chain(zip(repeat("publisher"), told), zip(repeat("lead"), lead)):
        if not text:
            most = longest(sentence, settings)
            enough = _ENOUGH_CHARACTERS // _share(sentence)
        number = sum(taken.values())
        is_enough = number >= _ENOUGH_SENTENCES and len(text) >= enough
        if number == settings.summary_sentences or (source == "lead" and is_enough):
            break
        longer = _joined(text, sentence) if text else _cut(sentence, most)
        if len(longer) > most:
            break
        is_cut = not text and longer != sentence
        text = longer
        taken[source] += 1
        if is_cut:  # nothing follows half a sentence
            break
    method = "+".join(source for source, number in taken.items() if number)
    return Summary(text, method) if text else None


def _share(sentence: str) -> int:
    return 2 if is_dense(sentence) else 1


def _joined(text: str, sentence: str) -> str:
    return text + sentence if _NO_BLANK_AFTER.search(text) else f"{text} {sentence}"


def _cut(sentence: str, most: int) -> str:
    """The sentence, or of what is longer than `most` characters the clauses that fit."""
    if len(sentence) <= most:
        return sentence
    start = sentence[: most - 1]
    clauses = [mark.start() for mark in _CLAUSE.finditer(start, most // 3)]
    end = clauses[-1] if clauses else max(start.rfind(" "), 0) or len(start)
    return start[:end].rstrip() + "…"


def _decodable(text: str) -> str:
    return text.encode("utf-8", "replace").decode()
